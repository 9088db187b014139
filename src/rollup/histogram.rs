//! Histograms: how many observations fall into each of some fixed ranges, for percentiles.
//!
//! The ranges are called cells here, since a bucket is a span of time. A cell is exact below 128 microseconds or bytes. From there
//! on, each power of two is divided into 128 cells of equal width. So a cell is at most 1/128 of its values wide, which keeps a
//! percentile within the 1 % that docs/reference.md (Percentiles) promises. The cells never change: two histograms merge by adding
//! their counts, and subtract exactly. So corrections need no recomputation.
//!
//! Two libraries were judged. `hdrhistogram` has such cells, too, but keeps an array of all cells up to the largest value: 40 kB
//! for an hour in microseconds, of which there are dozens in each commit. `sketches-ddsketch` cannot subtract. Both pack a day of
//! six executions into far more bytes than the six that it takes here (`store::histograms`).

use std::borrow::Cow;

/// The number of cells in each power of two, as a power of two.
const STEP_BITS: u16 = 7;
/// The bits of a [`Count`] that hold the number of observations.
const COUNT_BITS: u32 = 48;

/// A range of observations that count as equal: its number, in ascending order of the observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell(u16);

impl Cell {
    /// The last cell, which has the largest possible observations.
    pub const LAST: Self = Self(((64 - STEP_BITS + 1) << STEP_BITS) - 1);

    /// Returns the cell of an observation.
    pub fn of(observation: u64) -> Self {
        let bits = u64::BITS - observation.leading_zeros();
        let shift = bits.saturating_sub(u32::from(STEP_BITS) + 1);
        let number = u64::from(shift << STEP_BITS) + (observation >> shift);
        Self(u16::try_from(number).expect("a shift of at most 56 and a step of at most 8 bits make 13 bits"))
    }

    /// Returns the cell with a number, if there is one.
    pub fn new(number: u16) -> Option<Self> {
        (number <= Self::LAST.0).then_some(Self(number))
    }

    /// Returns the number of the cell.
    pub fn number(self) -> u16 {
        self.0
    }

    /// Returns the smallest and the largest observation of the cell.
    pub fn bounds(self) -> (u64, u64) {
        let shift = (self.0 >> STEP_BITS).saturating_sub(1);
        let first = u64::from(self.0 - (shift << STEP_BITS)) << shift;
        (first, first + ((1 << shift) - 1))
    }

    /// Returns the observation that stands for all in the cell: the roundest one, in whole seconds, tenths of them, and so on to
    /// milliseconds; otherwise the middle. Most programs measure in one of these.
    pub fn typical(self) -> u64 {
        let (first, last) = self.bounds();
        let middle = first + (last - first) / 2;
        let round = [1_000_000, 100_000, 10_000, 1_000].map(|unit| middle.saturating_add(unit / 2) / unit * unit);
        round.into_iter().find(|round| (first..=last).contains(round)).unwrap_or(middle)
    }
}

/// The number of observations in one cell, in 64 bits: the cell first, so that numbers have the order of their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(u64);

impl Count {
    /// Returns a count, if it is small enough: no database holds 2^48 observations.
    pub fn new(cell: Cell, observations: u64) -> Option<Self> {
        (observations >> COUNT_BITS == 0).then_some(Self(u64::from(cell.0) << COUNT_BITS | observations))
    }

    /// Returns the count of one observation.
    pub fn one(observation: u64) -> Self {
        Self(u64::from(Cell::of(observation).0) << COUNT_BITS | 1)
    }

    /// Returns the cell.
    pub fn cell(self) -> Cell {
        Cell(u16::try_from(self.0 >> COUNT_BITS).expect("16 bits are left"))
    }

    /// Returns the number of observations in the cell.
    pub fn observations(self) -> u64 {
        self.0 & ((1 << COUNT_BITS) - 1)
    }
}

/// Sorts counts by cell, and makes one of those of the same cell.
pub(super) fn combine(counts: &mut Vec<Count>) {
    counts.sort_unstable();
    merge_equal(counts);
}

/// Makes one count of neighbours of the same cell.
fn merge_equal(counts: &mut Vec<Count>) {
    counts.dedup_by(|next, before| {
        let is_same = next.cell() == before.cell();
        if is_same {
            before.0 += next.observations();
        }
        is_same
    });
}

/// Adds up the counts of several histograms, in any order. It is used again and again: taking the sums out leaves it empty. It takes
/// no memory before it is used, since most queries and many commits need none.
#[derive(Debug, Default)]
pub struct Tally {
    /// Counts that are added up only when they are taken out, which is faster for so few: up to [`FEW`].
    few: Vec<Count>,
    /// The sums of the others. This is faster than sorting them.
    sums: Option<Box<Sums>>,
    /// What was taken out last.
    taken: Vec<Count>,
}

const FEW: usize = 16;

impl Tally {
    /// Adds counts.
    #[inline]
    pub fn add(&mut self, counts: &[Count]) {
        if self.few.len() + counts.len() <= FEW {
            self.few.extend_from_slice(counts);
        } else {
            self.sums.get_or_insert_default().add(counts);
        }
    }

    /// Takes the sums out, in the order of the cells.
    pub fn take(&mut self) -> &[Count] {
        self.taken.clear();
        match &mut self.sums {
            Some(sums) if sums.has_any() => {
                sums.add(&self.few);
                sums.take(&mut self.taken);
            }
            _ => sort_few(&self.few, &mut self.taken),
        }
        self.few.clear();
        &self.taken
    }
}

/// Appends up to [`FEW`] counts in the order of their cells, each cell once. Each count finds its place by counting the smaller ones,
/// since a processor cannot foresee the branches of other ways to sort.
fn sort_few(counts: &[Count], into: &mut Vec<Count>) {
    // Equal cells in the order of their places.
    let mut keys = [0_u32; FEW];
    for ((place, key), count) in (0..).zip(&mut keys).zip(counts) {
        *key = u32::from(count.cell().0) << 8 | place;
    }
    let keys = &keys[..counts.len()];
    let mut sorted = [Count(0); FEW];
    for (count, key) in counts.iter().zip(keys) {
        sorted[keys.iter().map(|other| usize::from(other < key)).sum::<usize>()] = *count;
    }
    into.extend_from_slice(&sorted[..counts.len()]);
    merge_equal(into);
}

/// The number of observations by cell, of all cells that a number of 13 bits could name.
#[derive(Debug)]
struct Sums {
    observations: Box<[u64; CELLS]>,
    /// One bit for each cell that has any.
    cells: [u64; CELLS / 64],
    /// One bit for each of these words that has any.
    words: [u64; CELLS / 64 / 64],
}

const CELLS: usize = 1 << 13;
const _: () = assert!((Cell::LAST.0 as usize) < CELLS);

impl Default for Sums {
    fn default() -> Self {
        let observations = vec![0; CELLS].try_into().expect("there are so many");
        Self { observations, cells: [0; CELLS / 64], words: [0; CELLS / 64 / 64] }
    }
}

impl Sums {
    fn has_any(&self) -> bool {
        self.words.iter().any(|words| *words > 0)
    }

    fn add(&mut self, counts: &[Count]) {
        for count in counts {
            let place = usize::from(count.cell().0) % CELLS;
            self.observations[place] += count.observations();
            self.cells[place / 64] |= 1 << (place % 64);
            self.words[place / 64 / 64] |= 1 << (place / 64 % 64);
        }
    }

    /// Appends the sums in the order of the cells.
    fn take(&mut self, into: &mut Vec<Count>) {
        for block in 0..self.words.len() {
            for word in take_bits(&mut self.words[block]).map(|bit| block * 64 + bit) {
                into.extend(take_bits(&mut self.cells[word]).map(|bit| {
                    let place = word * 64 + bit;
                    Count((place as u64) << COUNT_BITS | std::mem::take(&mut self.observations[place]))
                }));
            }
        }
    }
}

/// The places of the bits that are set, ascending. Clears them.
fn take_bits(bits: &mut u64) -> impl Iterator<Item = usize> + use<> {
    let mut left = std::mem::take(bits);
    std::iter::from_fn(move || {
        let place = (left > 0).then_some(left.trailing_zeros() as usize);
        left &= left.wrapping_sub(1);
        place
    })
}

/// The counts of some observations. The default has none.
#[derive(Debug, Default)]
pub struct Histogram(Option<Box<Counts>>);

/// Apart from the distribution, since most have none.
#[derive(Debug, Default)]
struct Counts {
    /// First some with ascending cells, then others, whose cells may occur several times.
    all: Vec<Count>,
    /// The number of the first ones.
    sorted: usize,
    /// Whether it is unknown what there was to count.
    is_unknown: bool,
}

impl Clone for Histogram {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        clone.clone_from(self);
        clone
    }

    fn clone_from(&mut self, source: &Self) {
        self.clear();
        if let Some(source) = source.0.as_ref().filter(|it| it.is_unknown || !it.all.is_empty()) {
            let it = self.0.get_or_insert_default();
            it.all.extend_from_slice(&source.all);
            (it.sorted, it.is_unknown) = (source.sorted, source.is_unknown);
        }
    }
}

/// So many counts may wait to be sorted: what a commit adds to an hour is sorted once, when it is packed.
const MOST_WAITING: usize = 4_096;

impl Histogram {
    /// Whether it is unknown what there was to count. There are no counts then.
    pub fn is_unknown(&self) -> bool {
        self.0.as_ref().is_some_and(|it| it.is_unknown)
    }

    /// Makes it unknown what there was to count.
    pub fn forget(&mut self) {
        self.clear();
        self.0.get_or_insert_default().is_unknown = true;
    }

    /// Whether there are no counts.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|it| it.all.is_empty())
    }

    /// Removes all counts, and keeps the memory for reuse.
    pub fn clear(&mut self) {
        if let Some(it) = &mut self.0 {
            it.all.clear();
            it.sorted = 0;
            it.is_unknown = false;
        }
    }

    /// Adds a count.
    pub fn push(&mut self, count: Count) {
        let it = self.counts_mut();
        it.all.push(count);
        it.sort_many();
    }

    /// Adds counts, in any order.
    pub fn extend(&mut self, counts: impl IntoIterator<Item = Count>) {
        let it = self.counts_mut();
        it.all.extend(counts);
        it.sort_many();
    }

    /// The counts, with room for some. Most histograms in memory are those of an hour of all choices together.
    fn counts_mut(&mut self) -> &mut Counts {
        self.0.get_or_insert_with(|| Box::new(Counts { all: Vec::with_capacity(2 * FEW), ..Counts::default() }))
    }

    /// Adds all counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.extend(other.unordered().iter().copied());
    }

    /// Removes counts, which must be contained.
    pub fn subtract(&mut self, removed: &[Count]) {
        let Some(it) = &mut self.0 else { return };
        it.sort();
        for count in removed {
            let place = it.all.binary_search_by_key(&count.cell(), |count| count.cell());
            let left = place.ok().map(|place| &mut it.all[place]).filter(|left| left.0 >= count.0);
            left.expect("what is taken out was counted").0 -= count.observations();
        }
        it.all.retain(|count| count.observations() > 0);
        it.sorted = it.all.len();
    }

    /// Puts the counts in order, with the help of an empty tally.
    pub fn sort(&mut self, tally: &mut Tally) {
        let Some(it) = self.0.as_mut().filter(|it| it.sorted < it.all.len()) else { return };
        it.add_up(tally);
    }

    /// The counts with ascending cells, each cell once.
    pub fn counts(&self) -> Cow<'_, [Count]> {
        let Some(it) = &self.0 else { return Cow::Borrowed(&[]) };
        if it.sorted == it.all.len() {
            return Cow::Borrowed(&it.all);
        }
        let mut counts = it.all.clone();
        combine(&mut counts);
        Cow::Owned(counts)
    }

    /// The counts as they are: in any order, and a cell may occur several times.
    pub fn unordered(&self) -> &[Count] {
        self.0.as_ref().map_or(&[], |it| &it.all)
    }

    /// Replaces the counts by those that `fill` appends to an empty list, whose cells ascend. If it fails, there are none.
    pub fn set<E>(&mut self, fill: impl FnOnce(&mut Vec<Count>) -> Result<(), E>) -> Result<(), E> {
        let it = self.0.get_or_insert_default();
        it.all.clear();
        let filled = fill(&mut it.all).inspect_err(|_| it.all.clear());
        it.sorted = it.all.len();
        debug_assert!(it.all.is_sorted_by(|one, next| one.cell() < next.cell()), "cells ascend");
        filled
    }

    /// The memory of the counts, in bytes.
    pub fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |it| size_of::<Counts>() + it.all.capacity() * size_of::<Count>())
    }
}

impl Counts {
    /// Sorts them if there are so many that they take a lot of memory.
    fn sort_many(&mut self) {
        if self.all.len() >= 2 * self.sorted + MOST_WAITING {
            // This is several times as fast as sorting so many, even with a new tally each time.
            self.add_up(&mut Tally::default());
        }
    }

    /// Puts them in order, with the help of an empty tally.
    fn add_up(&mut self, tally: &mut Tally) {
        tally.add(&self.all);
        self.all.clear();
        self.all.extend_from_slice(tally.take());
        self.sorted = self.all.len();
    }

    fn sort(&mut self) {
        if self.sorted < self.all.len() {
            // The stable sort makes use of what is in order already.
            self.all.sort();
            merge_equal(&mut self.all);
            self.sorted = self.all.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_follow_each_other_without_gaps_and_are_narrow() {
        let mut next = 0;
        for number in 0..=Cell::LAST.number() {
            let cell = Cell::new(number).unwrap();
            let (first, last) = cell.bounds();
            assert_eq!(first, next, "{number}");
            assert!(last - first <= first / 128, "{number}");
            for observation in [first, last, cell.typical()] {
                assert_eq!(Cell::of(observation), cell, "{observation}");
            }
            next = last.wrapping_add(1);
        }
        assert_eq!(next, 0, "the last cell ends with the largest number");
        assert_eq!(Cell::new(Cell::LAST.number() + 1), None);
    }

    #[test]
    fn round_numbers_stand_for_themselves() {
        for round in (0..128).map(|number| number * 1_000).chain((0..134).map(|number| number * 1_000_000)) {
            assert_eq!(Cell::of(round).typical(), round);
        }
        assert_eq!(Cell::of(3_599_000_000).typical(), 3_599_000_000);
    }

    proptest! {
        #[test]
        fn a_tally_has_the_sums_and_is_empty_afterwards(
            observations in proptest::collection::vec((any::<u64>(), 0..64).prop_map(|(it, bits)| it >> bits), 1..100),
            part in 1..40_usize,
        ) {
            let mut counts: Vec<_> = observations.iter().copied().map(Count::one).collect();
            combine(&mut counts);
            let mut tally = Tally::default();
            for _ in 0..2 {
                for part in observations.chunks(part) {
                    tally.add(&part.iter().copied().map(Count::one).collect::<Vec<_>>());
                }
                prop_assert_eq!(tally.take(), counts.as_slice());
            }
            prop_assert!(tally.take().is_empty());
        }

        #[test]
        fn counts_add_and_subtract_in_any_order(
            kept in proptest::collection::vec(0..3_000_u64, 0..300),
            removed in proptest::collection::vec(0..3_000_u64, 0..300),
            middle in any::<proptest::sample::Index>(),
        ) {
            let counts_of = |observations: &[u64]| {
                let mut counts: Vec<_> = observations.iter().copied().map(Count::one).collect();
                combine(&mut counts);
                counts
            };
            let mut all = [kept.clone(), removed.clone()].concat();
            let middle = middle.index(all.len() + 1);
            all.rotate_left(middle);
            let mut histogram = Histogram::default();
            for part in all.chunks(7) {
                let mut other = Histogram::default();
                other.extend(part.iter().copied().map(Count::one));
                histogram.merge(&other);
            }
            prop_assert_eq!(&*histogram.counts(), counts_of(&all));
            histogram.subtract(&counts_of(&removed));
            prop_assert_eq!(&*histogram.counts(), counts_of(&kept));
        }
    }
}
