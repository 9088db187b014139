//! The summary of some observations: how many, their sum, the smallest and the largest, and a histogram for percentiles.

use std::borrow::Cow;

use super::histogram::{Cell, Count, Histogram, Tally, combine};

/// The summary of a set of observations, in microseconds or bytes. The default is empty and the identity of `merge`.
///
/// Its histogram may be empty if there are at most two observations, since `min` and `max` say what they are. It is unknown for days
/// whose events were forgotten before there were histograms; an empty one of more observations counts as unknown, too.
#[derive(Debug, Clone, Default)]
pub struct Distribution {
    /// The number of observations.
    pub n: u64,
    /// The sum of the observations.
    pub sum: u128,
    /// The smallest observation; 0 while there are none.
    pub min: u64,
    /// The largest observation; 0 while there are none.
    pub max: u64,
    /// The number of observations by cell. With one or two observations it may be empty or not, which means the same.
    pub histogram: Histogram,
}

/// The number of observations that the smallest and the largest describe.
const ENDS: u64 = 2;

impl Distribution {
    /// Removes all observations.
    pub fn clear(&mut self) {
        (self.n, self.sum, self.min, self.max) = (0, 0, 0, 0);
        self.histogram.clear();
    }

    /// Adds one observation.
    pub fn observe(&mut self, value: u64) {
        if !self.has_only_ends() || self.n >= ENDS {
            if self.know_counts() {
                self.histogram.push(Count::one(value));
            } else {
                self.histogram.forget();
            }
        }
        let is_first = self.n == 0;
        self.n += 1;
        self.sum += u128::from(value);
        self.min = if is_first { value } else { self.min.min(value) };
        self.max = self.max.max(value);
    }

    /// Adds all observations of another distribution.
    pub fn merge(&mut self, other: &Self) {
        if other.n == 1 && other.has_only_ends() {
            // Nearly all are like this: an hour of a choice has few observations.
            return self.observe(other.min);
        }
        if other.n == 0 {
            return;
        }
        if self.n == 0 {
            self.histogram.clone_from(&other.histogram);
        } else if self.n + other.n > ENDS || !self.has_only_ends() || !other.has_only_ends() {
            if !other.knows_counts() || !self.know_counts() {
                self.histogram.forget();
            } else if other.histogram.is_empty() {
                self.histogram.extend(other.ends());
            } else {
                self.histogram.merge(&other.histogram);
            }
        }
        self.merge_numbers(other);
    }

    /// Adds all observations of another distribution, but leaves out the histogram.
    pub fn merge_numbers(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        let is_first = self.n == 0;
        self.n += other.n;
        self.sum += other.sum;
        self.min = if is_first { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
    }

    /// Whether the histogram is known.
    pub fn knows_counts(&self) -> bool {
        !self.histogram.is_unknown() && (self.n <= ENDS || !self.histogram.is_empty())
    }

    /// Whether its histogram says nothing, not even that it is unknown.
    fn has_only_ends(&self) -> bool {
        self.histogram.is_empty() && !self.histogram.is_unknown()
    }

    /// Puts the observations that only the ends tell into the histogram. Returns whether it is known.
    fn know_counts(&mut self) -> bool {
        if self.has_only_ends() && self.n <= ENDS {
            let ends = self.ends();
            self.histogram.extend(ends);
        }
        !self.histogram.is_empty()
    }

    /// The counts of the smallest and the largest observation; one or none if there are not more observations.
    fn ends(&self) -> impl Iterator<Item = Count> + use<> {
        let ends = usize::try_from(self.n.min(ENDS)).expect("two at most");
        [self.max, self.min].into_iter().skip(2 - ends).map(Count::one)
    }

    /// The number of observations by cell, ascending; `None` if it is unknown.
    pub fn counts(&self) -> Option<Cow<'_, [Count]>> {
        if !self.histogram.is_empty() {
            return Some(self.histogram.counts());
        }
        self.knows_counts().then(|| {
            let mut ends: Vec<_> = self.ends().collect();
            combine(&mut ends);
            Cow::Owned(ends)
        })
    }

    /// Adds the number of observations by cell to a tally. Adds nothing if it is unknown.
    pub fn add_counts_to(&self, tally: &mut Tally) {
        if self.n <= ENDS && self.has_only_ends() {
            let ends = [self.min, self.max].map(Count::one);
            tally.add(&ends[..usize::try_from(self.n).expect("two at most")]);
        } else {
            tally.add(self.histogram.unordered());
        }
    }

    /// Returns the observation at the rank ceil(`percent` × n ÷ 100) of all in ascending order: exactly if it is the smallest or
    /// the largest, otherwise a value of the same cell. Returns `None` if there are no observations, or if the histogram is unknown.
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        if !self.knows_counts() {
            return None;
        }
        let rank = u64::try_from((u128::from(self.n) * u128::from(percent)).div_ceil(100)).unwrap_or(u64::MAX);
        match rank {
            0 => None,
            1 => Some(self.min),
            rank if rank >= self.n => Some(self.max),
            rank => {
                let counts = self.histogram.counts();
                // From the nearer end.
                let cell = if rank <= self.n / 2 {
                    cell_at(rank, counts.iter())
                } else {
                    cell_at(self.n + 1 - rank, counts.iter().rev())
                };
                cell.map(|cell| cell.typical().clamp(self.min, self.max))
            }
        }
    }

    /// Removes `removed`, after `added` was merged in. Returns whether the smallest and whether the largest observation may have
    /// been removed. An extreme is not lost if `added` has an equal one.
    pub(super) fn subtract(&mut self, removed: &Self, added: &Self) -> (bool, bool) {
        if removed.n == 0 {
            return (false, false);
        }
        let left = self.n - removed.n;
        if left == added.n {
            // No older observation remains.
            self.clone_from(added);
            return (false, false);
        }
        let min_kept = self.min < removed.min || (added.n > 0 && added.min == self.min);
        let max_kept = self.max > removed.max || (added.n > 0 && added.max == self.max);
        let is_told_by_ends = self.has_only_ends() && min_kept && max_kept;
        if !is_told_by_ends && self.know_counts() {
            match removed.counts() {
                Some(removed) => self.histogram.subtract(&removed),
                None => self.histogram.forget(),
            }
        }
        self.n = left;
        self.sum -= removed.sum;
        (!min_kept, !max_kept)
    }

    /// Whether all but the histograms is equal.
    pub(super) fn has_same_numbers(&self, other: &Self) -> bool {
        (self.n, self.sum, self.min, self.max) == (other.n, other.sum, other.min, other.max)
    }

    /// Whether the histograms are equal or one of them is unknown, given the same numbers.
    pub(super) fn counts_agree(&self, other: &Self) -> bool {
        !self.knows_counts() || !other.knows_counts() || self.n <= ENDS || self.counts() == other.counts()
    }
}

/// The cell of the observation at a rank, from 1.
fn cell_at<'c>(rank: u64, mut counts: impl Iterator<Item = &'c Count>) -> Option<Cell> {
    let mut left = rank;
    let found = counts.find(|count| {
        let is_here = left <= count.observations();
        left = left.saturating_sub(count.observations());
        is_here
    });
    found.map(|count| count.cell())
}

impl PartialEq for Distribution {
    fn eq(&self, other: &Self) -> bool {
        let are_both_known = self.knows_counts() == other.knows_counts();
        self.has_same_numbers(other) && are_both_known && self.counts_agree(other)
    }
}

impl Eq for Distribution {}

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
        let mut histogram = Histogram::default();
        histogram.extend(values.iter().copied().map(Count::one));
        Distribution {
            n: values.len() as u64,
            sum: values.iter().map(|&value| u128::from(value)).sum(),
            min: values.iter().copied().min().unwrap_or(0),
            max: values.iter().copied().max().unwrap_or(0),
            histogram,
        }
    }

    /// Any of the shapes that observations have, in microseconds.
    fn any_observations() -> impl Strategy<Value = Vec<u64>> {
        let few = prop_oneof![0..5_u64, 100..140_u64, Just(3_600_000_000), any::<u64>()];
        let seconds = (0..100_000_u64).prop_map(|seconds| seconds * 1_000_000);
        prop_oneof![
            vec(few, 0..20),
            vec(seconds, 0..100),
            vec((any::<u64>(), 0..64).prop_map(|(it, bits)| it >> bits), 0..200)
        ]
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
            let are_known = !min_lost && !max_lost || !distribution.histogram.is_empty();
            prop_assert!(are_known && (distribution.n <= ENDS || distribution.counts() == expected.counts()));
            // While an extreme is lost, the stored value lies at or beyond the real one. If the two are equal, the value is
            // right.
            prop_assert!(distribution.min == expected.min || (min_lost && distribution.min <= expected.min));
            prop_assert!(distribution.max == expected.max || (max_lost && distribution.max >= expected.max));
        }

        #[test]
        fn what_follows_lost_extremes_is_counted_right(
            start in vec(0..20_u64, 1..6),
            removed in vec(any::<Index>(), 1..4),
            added in vec(0..20_u64, 0..6),
        ) {
            let (mut left, mut distribution) = (start.clone(), summarise(&start));
            for place in removed {
                if left.len() > 1 {
                    let value = left.swap_remove(place.index(left.len()));
                    let _ = distribution.subtract(&summarise(&[value]), &Distribution::default());
                }
            }
            for value in added {
                left.push(value);
                distribution.merge(&summarise(&[value]));
            }
            // Whoever finds the extremes again has all of it.
            (distribution.min, distribution.max) = (*left.iter().min().unwrap(), *left.iter().max().unwrap());
            prop_assert_eq!(distribution, oracle(&left));
        }

        #[test]
        fn a_percentile_is_within_one_percent_and_exact_at_the_ends(values in any_observations(), percent in 1..=99_u8) {
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let rank = (values.len() * usize::from(percent)).div_ceil(100);
            let shown = summarise(&values).percentile(percent);
            prop_assert_eq!(shown.is_some(), !values.is_empty());
            if let Some(shown) = shown {
                let exact = sorted[rank - 1];
                prop_assert!(shown.abs_diff(exact) <= exact / 100, "{} for {}", shown, exact);
                prop_assert!(sorted[0] <= shown && shown <= sorted[sorted.len() - 1]);
                if rank == 1 || rank == values.len() {
                    prop_assert_eq!(shown, exact);
                }
            }
        }

        #[test]
        fn what_is_unknown_of_a_part_is_unknown_of_the_whole(
            known in vec(any::<u64>(), 0..5),
            unknown in vec(any::<u64>(), 1..9),
        ) {
            let mut part = summarise(&unknown);
            part.histogram.forget();
            for (mut one, other) in [(summarise(&known), part.clone()), (part.clone(), summarise(&known))] {
                one.merge(&other);
                prop_assert!(one.histogram.is_empty() && !one.knows_counts());
                prop_assert_eq!(one.counts(), None);
                let whole = summarise(&[known.clone(), unknown.clone()].concat());
                prop_assert!(one != whole && one.has_same_numbers(&whole) && one.counts_agree(&whole));
                for percent in [1, 50, 99] {
                    prop_assert_eq!(one.percentile(percent), None);
                }
            }
        }
    }
}
