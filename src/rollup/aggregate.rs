//! The summary of one bucket: counters, counts by error, distributions of observations.

use std::collections::BTreeMap;

use super::distribution::Distribution;
use super::histogram::Tally;
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

/// A set of parts of an aggregate: one bit for each counter, then one for each distribution, then one for the counts by error, then
/// one for the histogram of each distribution. The bits are part of the file format, except those of histograms.
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

    /// All histograms, without their distributions.
    pub const HISTOGRAMS: Self = Self(((1 << DISTRIBUTIONS) - 1) << (COUNTERS + DISTRIBUTIONS + 1));

    /// The counter at an index.
    pub fn counter(place: usize) -> Self {
        Self(1 << place)
    }

    /// The distribution at an index.
    pub fn distribution(place: usize) -> Self {
        Self(1 << (COUNTERS + place))
    }

    /// The histogram of the distribution at an index, with the distribution.
    pub fn histogram(place: usize) -> Self {
        Self(1 << (COUNTERS + DISTRIBUTIONS + 1 + place)).union(Self::distribution(place))
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

    /// Whether the set contains any distribution.
    pub fn has_distributions(self) -> bool {
        self.0 & ((1 << DISTRIBUTIONS) - 1) << COUNTERS != 0
    }

    /// Whether the set contains these parts or any with a higher bit.
    pub fn reaches(self, parts: Self) -> bool {
        self.0 >> parts.0.trailing_zeros() > 0
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
            distribution.clear();
        }
    }

    /// The memory that it takes beside itself, in bytes, approximately.
    pub fn memory(&self) -> usize {
        let errors = self.errors.len() * size_of::<(ChoiceId, u64)>() * 2;
        errors + self.distributions.iter().map(|distribution| distribution.histogram.memory()).sum::<usize>()
    }

    /// Puts the histograms in order, so that percentiles can be read off at once.
    pub fn sort(&mut self, tally: &mut Tally) {
        for distribution in &mut self.distributions {
            distribution.histogram.sort(tally);
        }
    }

    /// Whether it may be of the same contributions: all is equal but for histograms that one of the two does not know.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let mut pairs = self.distributions.iter().zip(&other.distributions);
        (self.events, self.counters, &self.errors) == (other.events, other.counters, &other.errors)
            && pairs.all(|(one, other)| one.has_same_numbers(other) && one.counts_agree(other))
    }

    /// Returns the parts that are not empty, without histograms.
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
        self.merge_with(other, Distribution::merge);
    }

    /// Like [`merge`](Self::merge), but leaves out the histograms.
    pub fn merge_numbers(&mut self, other: &Self) {
        self.merge_with(other, Distribution::merge_numbers);
    }

    fn merge_with(&mut self, other: &Self, merge: impl Fn(&mut Distribution, &Distribution)) {
        self.events += other.events;
        for (counter, other) in self.counters.iter_mut().zip(other.counters) {
            *counter += other;
        }
        for (&error, count) in &other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        for (distribution, other) in self.distributions.iter_mut().zip(&other.distributions) {
            if other.n > 0 {
                merge(distribution, other);
            }
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
