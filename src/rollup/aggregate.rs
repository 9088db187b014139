//! The summary of one bucket: counters, counts by error, distributions of observations.

use std::collections::BTreeMap;

use crate::events::Contribution;
use crate::vocabulary::{COUNTERS, ChoiceId, DISTRIBUTIONS};

/// The extremes that may have been removed from an aggregate: one bit per distribution, at the index of the distribution. Until
/// they are found again among the remaining observations, the aggregate still shows the removed values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use = "lost extremes have to be found again"]
pub struct LostExtremes {
    /// The distributions whose smallest observation may be removed.
    pub min: u8,
    /// The distributions whose largest observation may be removed.
    pub max: u8,
}

// One bit for each distribution.
const _: () = assert!(DISTRIBUTIONS <= u8::BITS as usize);

impl LostExtremes {
    /// Whether no extreme is lost.
    pub fn is_empty(self) -> bool {
        self.min == 0 && self.max == 0
    }

    /// Returns the extremes that are lost in either of the two.
    pub fn union(self, other: Self) -> Self {
        Self { min: self.min | other.min, max: self.max | other.max }
    }

    /// Whether the smallest observation of a distribution is lost, and whether the largest is.
    pub fn of(self, place: usize) -> (bool, bool) {
        (self.min >> place & 1 == 1, self.max >> place & 1 == 1)
    }
}

/// A set of parts of an aggregate: one bit for each counter, then one for each distribution, then one for the counts by error.
/// The bits are part of the file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts(u64);

impl Parts {
    /// No part.
    pub const NONE: Self = Self(0);
    /// Every part.
    pub const ALL: Self = Self(u64::MAX);
    /// All counters.
    pub const COUNTERS: Self = Self((1 << COUNTERS) - 1);
    /// The counts by error.
    pub const ERRORS: Self = Self(1 << (COUNTERS + DISTRIBUTIONS));

    /// The counter at an index.
    pub fn counter(place: usize) -> Self {
        Self(1 << place)
    }

    /// The distribution at an index.
    pub fn distribution(place: usize) -> Self {
        Self(1 << (COUNTERS + place))
    }

    /// The parts of a bit set.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the bit set, with one bit for each part.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Returns the union of the two sets.
    #[must_use]
    pub fn union(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether the set contains a part at this bit or a higher one.
    pub fn reaches(self, bit: usize) -> bool {
        self.0 >> bit > 0
    }

    /// Whether the set contains all of `others`.
    pub fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// The summary of a set of contributions to one bucket. The default is empty and the identity of [`merge`](Self::merge).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aggregate {
    /// The number of contributions. The bucket exists while there are any (docs/reference.md, Counting).
    pub events: u64,
    /// The counters of the metrics type, by index.
    pub counters: [u64; COUNTERS],
    /// The number of contributions that name each error; no zeros.
    pub errors: BTreeMap<ChoiceId, u64>,
    /// The distributions of the metrics type, by index.
    pub distributions: [Distribution; DISTRIBUTIONS],
}

impl Aggregate {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Removes all contributions.
    pub fn clear(&mut self) {
        self.events = 0;
        self.counters.fill(0);
        if !self.errors.is_empty() {
            self.errors.clear();
        }
        for distribution in &mut self.distributions {
            *distribution = Distribution { n: 0, sum: 0, min: 0, max: 0 };
        }
    }

    /// Returns the parts that are not empty.
    pub fn parts(&self) -> Parts {
        let mut parts = if self.errors.is_empty() { Parts::NONE } else { Parts::ERRORS };
        for (place, &counter) in self.counters.iter().enumerate() {
            parts = if counter > 0 { parts.union(Parts::counter(place)) } else { parts };
        }
        for (place, distribution) in self.distributions.iter().enumerate() {
            parts = if distribution.n > 0 { parts.union(Parts::distribution(place)) } else { parts };
        }
        parts
    }

    /// Adds one contribution.
    pub fn fold(&mut self, contribution: &Contribution) {
        self.events += 1;
        if let Some(counter) = contribution.counter {
            self.counters[counter] += 1;
        }
        if let Some(error) = contribution.error {
            *self.errors.entry(error).or_default() += 1;
        }
        for (distribution, observation) in self.distributions.iter_mut().zip(contribution.observations) {
            if let Some(value) = observation {
                distribution.observe(value);
            }
        }
    }

    /// Adds all contributions of another aggregate.
    pub fn merge(&mut self, other: &Self) {
        self.events += other.events;
        for (counter, other) in self.counters.iter_mut().zip(other.counters) {
            *counter += other;
        }
        for (&error, count) in &other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        for (distribution, other) in self.distributions.iter_mut().zip(&other.distributions) {
            distribution.merge(other);
        }
    }

    /// Removes `removed`, which must be contained, and adds `added`. Returns the extremes that may have been removed.
    pub fn replace(&mut self, removed: &Self, added: &Self) -> LostExtremes {
        self.merge(added);
        self.events -= removed.events;
        for (counter, removed) in self.counters.iter_mut().zip(removed.counters) {
            *counter -= removed;
        }
        for (error, removed) in &removed.errors {
            let count = self.errors.get_mut(error).expect("what is taken out was counted");
            *count -= removed;
            if *count == 0 {
                self.errors.remove(error);
            }
        }
        let mut lost = LostExtremes::default();
        for (place, distribution) in self.distributions.iter_mut().enumerate() {
            let (removed, added) = (&removed.distributions[place], &added.distributions[place]);
            let (min, max) = distribution.subtract(removed, added);
            lost.min |= u8::from(min) << place;
            lost.max |= u8::from(max) << place;
        }
        lost
    }
}

/// The summary of a set of observations, in microseconds or bytes. The default is empty and the identity of `merge`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// The number of observations.
    pub n: u64,
    /// The sum of the observations.
    pub sum: u128,
    /// The smallest observation; 0 while there are none.
    pub min: u64,
    /// The largest observation; 0 while there are none.
    pub max: u64,
}

impl Distribution {
    /// Adds one observation.
    pub fn observe(&mut self, value: u64) {
        self.merge(&Self { n: 1, sum: value.into(), min: value, max: value });
    }

    /// Adds all observations of another distribution.
    pub fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            *self = other.clone();
            return;
        }
        self.n += other.n;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Removes `removed`, after `added` was merged in. Returns whether the smallest and whether the largest observation may have
    /// been removed. An extreme is not lost if `added` has an equal one.
    fn subtract(&mut self, removed: &Self, added: &Self) -> (bool, bool) {
        if removed.n == 0 {
            return (false, false);
        }
        self.n -= removed.n;
        self.sum -= removed.sum;
        if self.n == added.n {
            // No older observation remains.
            (self.min, self.max) = (added.min, added.max);
            return (false, false);
        }
        let min_kept = self.min < removed.min || (added.n > 0 && added.min == self.min);
        let max_kept = self.max > removed.max || (added.n > 0 && added.max == self.max);
        (!min_kept, !max_kept)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn summarise(values: &[u64]) -> Distribution {
        let mut distribution = Distribution::default();
        for &value in values {
            distribution.observe(value);
        }
        distribution
    }

    /// Computes the distribution by its definition, from the list of values.
    fn oracle(values: &[u64]) -> Distribution {
        Distribution {
            n: values.len() as u64,
            sum: values.iter().map(|&value| u128::from(value)).sum(),
            min: values.iter().copied().min().unwrap_or(0),
            max: values.iter().copied().max().unwrap_or(0),
        }
    }

    proptest! {
        #[test]
        fn merging_ignores_where_a_batch_is_cut(values in vec(any::<u64>(), 0..64), cut in any::<Index>()) {
            let (left, right) = values.split_at(cut.index(values.len() + 1));
            let mut merged = summarise(right);
            merged.merge(&summarise(left));
            prop_assert_eq!(merged, oracle(&values));
        }

        #[test]
        fn replacing_is_exact_or_says_that_it_is_not(
            kept in vec(0..20_u64, 0..6),
            removed in vec(0..20_u64, 0..4),
            added in vec(0..20_u64, 0..4),
        ) {
            let mut distribution = summarise(&[kept.clone(), removed.clone()].concat());
            distribution.merge(&summarise(&added));
            let (min_lost, max_lost) = distribution.subtract(&summarise(&removed), &summarise(&added));
            let expected = oracle(&[kept, added].concat());
            prop_assert_eq!((distribution.n, distribution.sum), (expected.n, expected.sum));
            // While an extreme is lost, the stored value lies at or beyond the real one. If the two are equal, the value is
            // right.
            prop_assert!(distribution.min == expected.min || (min_lost && distribution.min <= expected.min));
            prop_assert!(distribution.max == expected.max || (max_lost && distribution.max >= expected.max));
        }
    }
}
