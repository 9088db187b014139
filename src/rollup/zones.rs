//! Zone maps: the extremes of a rollup's observations, summarised by ranges of ids.
//!
//! A rollup stores its smallest and largest observation, but not the second smallest or largest. When an extreme is removed, the
//! next one has to be found among all that remain. A [`ZoneMap`] makes that cheap: it divides the ids of the observers into zones
//! and stores the extremes of each zone. So a correction leaves all zones but one unchanged. Adding an observation widens a zone.
//! Each extreme has a count of its holders, so that one of several equal ones may be removed. When the last one is removed, the
//! zone is dropped and has to be read again. The rejected alternative is a sorted reserve of the largest observations. It would
//! be smaller, but a request that removes more observations than the reserve holds would have to read everything again.
//!
//! A map may have gaps: ranges of ids that were not read yet, or whose zone was dropped. The extremes of all other ranges are
//! exact. Changes since the last [`keep`](ZoneMap::keep) can be undone, for a transaction that is not committed.
//!
//! The observers are events (each with one value) or, for all choices together, the rollups of the choices (each with a smallest
//! and a largest value).
//!
//! Not here: reading observers, which maps are cached and for how long (`worker::extremes`).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Aggregate, LostExtremes};
use crate::events::Contribution;
use crate::vocabulary::DISTRIBUTIONS;

/// The smallest and largest value of an observer in each distribution, by index.
pub type Ranges = [Option<(u64, u64)>; DISTRIBUTIONS];

/// Returns the values of one contribution as ranges.
pub fn ranges_of(contribution: &Contribution) -> Ranges {
    contribution.observations.map(|value| value.map(|value| (value, value)))
}

impl Aggregate {
    /// Returns the extremes of the distributions.
    pub fn ranges(&self) -> Ranges {
        self.distributions.each_ref().map(|it| (it.n > 0).then_some((it.min, it.max)))
    }
}

/// The extremes of one distribution within a zone and an hour, and the number of observers that hold each. Without observations,
/// both counts are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Extremes {
    min: u64,
    max: u64,
    min_holders: u32,
    max_holders: u32,
}

impl Extremes {
    fn range(self) -> Option<(u64, u64)> {
        (self.min_holders > 0).then_some((self.min, self.max))
    }

    fn add(&mut self, (min, max): (u64, u64)) {
        let is_empty = self.min_holders == 0;
        if is_empty || min < self.min {
            (self.min, self.min_holders) = (min, 1);
        } else if min == self.min {
            self.min_holders = self.min_holders.saturating_add(1);
        }
        if is_empty || max > self.max {
            (self.max, self.max_holders) = (max, 1);
        } else if max == self.max {
            self.max_holders = self.max_holders.saturating_add(1);
        }
    }

    /// Removes an observer. Returns whether the extremes of the remaining ones are known. They are unknown if it was the only
    /// holder of an extreme. An observer beyond the extremes was never added; then they are unknown, too.
    fn remove(&mut self, (min, max): (u64, u64)) -> bool {
        if self.min_holders == 0 || min < self.min || max > self.max {
            return false;
        }
        self.min_holders -= u32::from(min == self.min);
        self.max_holders -= u32::from(max == self.max);
        self.min_holders > 0 && self.max_holders > 0
    }
}

/// The extremes of the observers within a range of ids, by hour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Zone {
    /// Ordered by hour.
    hours: Vec<(u8, [Extremes; DISTRIBUTIONS])>,
}

impl Zone {
    /// Adds an observer.
    pub fn add(&mut self, hour: u8, ranges: &Ranges) {
        let place = match self.hours.binary_search_by_key(&hour, |(hour, _)| *hour) {
            Ok(place) => place,
            Err(_) if ranges.iter().all(Option::is_none) => return,
            Err(place) => {
                self.hours.insert(place, (hour, [Extremes::default(); DISTRIBUTIONS]));
                place
            }
        };
        for (extremes, range) in self.hours[place].1.iter_mut().zip(ranges) {
            if let Some(range) = range {
                extremes.add(*range);
            }
        }
    }

    /// Removes an observer. Returns whether the extremes of the remaining ones are known.
    fn remove(&mut self, hour: u8, ranges: &Ranges) -> bool {
        let Ok(place) = self.hours.binary_search_by_key(&hour, |(hour, _)| *hour) else {
            return ranges.iter().all(Option::is_none);
        };
        let mut extremes = self.hours[place].1.iter_mut().zip(ranges);
        extremes.all(|(extremes, range)| range.is_none_or(|range| extremes.remove(range)))
    }

    /// Returns the extremes of an hour, if it has observers.
    pub fn ranges(&self, hour: u8) -> Option<Ranges> {
        let place = self.hours.binary_search_by_key(&hour, |(hour, _)| *hour).ok()?;
        Some(self.hours[place].1.map(Extremes::range))
    }

    /// Returns the approximate size in bytes, including its entry in the map.
    fn bytes(&self) -> usize {
        64 + self.hours.capacity() * size_of::<(u8, [Extremes; DISTRIBUTIONS])>()
    }
}

/// A zone and the last id that belongs to it.
#[derive(Debug, Clone)]
struct Placed {
    last: u64,
    zone: Zone,
}

/// The zones of one rollup, by their first ids.
#[derive(Debug, Clone, Default)]
pub struct ZoneMap {
    zones: BTreeMap<u64, Placed>,
    /// The previous zones at these first ids, for undoing changes.
    before: BTreeMap<u64, Option<Placed>>,
    bytes: usize,
}

impl ZoneMap {
    /// Returns the approximate size of the map in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the first gap that ends at `from` or behind it, without the part before `from`.
    pub fn gap(&self, from: u64) -> Option<RangeInclusive<u64>> {
        let mut start = from;
        if let Some((_, placed)) = self.zones.range(..=from).next_back()
            && placed.last >= from
        {
            start = placed.last.checked_add(1)?;
        }
        for (&first, placed) in self.zones.range(start..) {
            if first > start {
                return Some(start..=first - 1);
            }
            start = placed.last.checked_add(1)?;
        }
        Some(start..=u64::MAX)
    }

    /// Returns the start of the gap that contains an id, or the id itself if no gap contains it.
    pub fn gap_start(&self, id: u64) -> u64 {
        match self.zones.range(..=id).next_back() {
            Some((_, placed)) if placed.last >= id => id,
            Some((_, placed)) => placed.last + 1,
            None => 0,
        }
    }

    /// Adds a zone, which must lie within a gap.
    pub fn insert(&mut self, ids: RangeInclusive<u64>, zone: Zone) {
        let (first, last) = ids.into_inner();
        debug_assert!(self.gap(first).is_some_and(|gap| *gap.start() == first && *gap.end() >= last), "zones overlap");
        self.before.entry(first).or_insert(None);
        self.put(first, Placed { last, zone });
    }

    /// Adds an observer that is not in the map.
    pub fn add(&mut self, id: u64, hour: u8, ranges: &Ranges) {
        if let Some((first, mut placed)) = self.touch(id) {
            placed.zone.add(hour, ranges);
            self.put(first, placed);
        }
    }

    /// Removes an observer that is in the map. If the extremes of its zone are then unknown, the zone is dropped.
    pub fn remove(&mut self, id: u64, hour: u8, ranges: &Ranges) {
        if let Some((first, mut placed)) = self.touch(id)
            && placed.zone.remove(hour, ranges)
        {
            self.put(first, placed);
        }
    }

    /// Returns the extremes of an hour over all zones.
    pub fn ranges(&self, hour: u8) -> Ranges {
        let mut all: Ranges = [None; DISTRIBUTIONS];
        for ranges in self.zones.values().filter_map(|placed| placed.zone.ranges(hour)) {
            for (all, range) in all.iter_mut().zip(ranges) {
                if let Some((min, max)) = range {
                    *all = Some(all.map_or((min, max), |all| (all.0.min(min), all.1.max(max))));
                }
            }
        }
        all
    }

    /// Makes the changes so far permanent.
    pub fn keep(&mut self) {
        self.before.clear();
    }

    /// Undoes the changes since the last [`keep`](Self::keep).
    pub fn undo(&mut self) {
        let before = std::mem::take(&mut self.before);
        for first in before.keys() {
            self.take(*first);
        }
        for (first, placed) in before {
            if let Some(placed) = placed {
                self.put(first, placed);
            }
        }
    }

    /// Removes the zone of an id from the map, so that it can be changed, and remembers its previous state.
    fn touch(&mut self, id: u64) -> Option<(u64, Placed)> {
        let (&first, placed) = self.zones.range(..=id).next_back().filter(|(_, placed)| placed.last >= id)?;
        self.before.entry(first).or_insert_with(|| Some(placed.clone()));
        self.take(first).map(|placed| (first, placed))
    }

    fn take(&mut self, first: u64) -> Option<Placed> {
        let placed = self.zones.remove(&first)?;
        self.bytes -= placed.zone.bytes();
        Some(placed)
    }

    fn put(&mut self, first: u64, placed: Placed) {
        self.bytes += placed.zone.bytes();
        self.zones.insert(first, placed);
    }
}

impl Aggregate {
    /// Returns the lost extremes that are still lost, given these values. An extreme is not lost if another observer still holds
    /// it, or if its distribution is empty by now.
    pub fn still_lost(&self, lost: LostExtremes, ranges: &Ranges) -> LostExtremes {
        let mut still = lost;
        for (place, (distribution, range)) in self.distributions.iter().zip(ranges).enumerate() {
            let is_empty = distribution.n == 0;
            let (min_held, max_held) =
                range.map_or((false, false), |(min, max)| (min == distribution.min, max == distribution.max));
            still.min &= !(u8::from(is_empty || min_held) << place);
            still.max &= !(u8::from(is_empty || max_held) << place);
        }
        still
    }

    /// Replaces the lost extremes with the extremes of all observations. Returns whether all lost extremes were found.
    #[must_use = "extremes that were not found are wrong"]
    pub fn find_lost(&mut self, lost: LostExtremes, ranges: &Ranges) -> bool {
        let mut found = true;
        for (place, (distribution, range)) in self.distributions.iter_mut().zip(ranges).enumerate() {
            let (min_lost, max_lost) = lost.of(place);
            match range {
                Some((min, max)) => {
                    distribution.min = if min_lost { *min } else { distribution.min };
                    distribution.max = if max_lost { *max } else { distribution.max };
                }
                None => found &= !min_lost && !max_lost,
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The last id in the tests; no observer has a larger one.
    const LAST: u64 = 40;

    type Observers = BTreeMap<u64, (u8, Ranges)>;

    fn any_observer() -> impl Strategy<Value = (u8, Ranges)> {
        let range = proptest::option::weighted(0.7, (0..6_u64, 0..3_u64))
            .prop_map(|it| it.map(|(min, more)| (min, min + more)));
        (0..3_u8, [range.clone(), range.clone(), range.clone(), range.clone(), range.clone(), range])
    }

    #[derive(Debug, Clone)]
    enum Step {
        Change(u64, Option<(u8, Ranges)>),
        Read { from: u64, ids: u64 },
        Keep,
        Undo,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..=LAST, proptest::option::weighted(0.6, any_observer())).prop_map(|(id, new)| Step::Change(id, new)),
            4 => (0..=LAST, 0..12_u64).prop_map(|(from, ids)| Step::Read { from, ids }),
            1 => Just(Step::Keep),
            1 => Just(Step::Undo),
        ]
    }

    /// Reads the observers of a gap into a new zone: of its first id and of up to `ids` more.
    fn read(map: &mut ZoneMap, observers: &Observers, from: u64, ids: u64) {
        let Some(gap) = map.gap(from) else { return };
        let last = gap.start().saturating_add(ids).min(*gap.end());
        let last = if last > LAST { *gap.end() } else { last };
        let mut zone = Zone::default();
        for (hour, ranges) in observers.range(*gap.start()..=last).map(|(_, observer)| observer) {
            zone.add(*hour, ranges);
        }
        map.insert(*gap.start()..=last, zone);
    }

    /// Computes the ranges over all observers, without zones.
    fn oracle(observers: &Observers, hour: u8) -> Ranges {
        let mut ranges: Ranges = [None; DISTRIBUTIONS];
        for (_, observed) in observers.values().filter(|(it, _)| *it == hour) {
            for (all, (min, max)) in ranges.iter_mut().zip(observed).filter_map(|(all, it)| Some((all, (*it)?))) {
                *all = Some(all.map_or((min, max), |(least, most)| (least.min(min), most.max(max))));
            }
        }
        ranges
    }

    proptest! {
        #[test]
        fn zones_say_what_all_observers_say(
            start in vec(proptest::option::of(any_observer()), 40),
            steps in vec(any_step(), 0..60),
        ) {
            let mut observers: Observers = (0..).zip(start).filter_map(|(id, it)| Some((id, it?))).collect();
            let mut kept = observers.clone();
            let mut map = ZoneMap::default();
            for step in steps {
                match step {
                    Step::Change(id, new) => {
                        if let Some((hour, ranges)) = observers.remove(&id) {
                            map.remove(id, hour, &ranges);
                        }
                        if let Some((hour, ranges)) = new {
                            map.add(id, hour, &ranges);
                            observers.insert(id, (hour, ranges));
                        }
                    }
                    Step::Read { from, ids } => read(&mut map, &observers, from, ids),
                    Step::Keep => {
                        map.keep();
                        kept = observers.clone();
                    }
                    Step::Undo => {
                        map.undo();
                        observers = kept.clone();
                    }
                }
                // The ranges of all observers contain those of a map with gaps. After the gaps are read, both are equal.
                let mut whole = map.clone();
                let mut reads = 0;
                while let Some(gap) = whole.gap(0) {
                    read(&mut whole, &observers, *gap.start(), LAST);
                    reads += 1;
                    prop_assert!(reads < 100, "reading gets nowhere");
                }
                prop_assert_eq!(whole.gap(0), None);
                for hour in 0..3 {
                    prop_assert_eq!(whole.ranges(hour), oracle(&observers, hour));
                }
                prop_assert_eq!(map.bytes, map.zones.values().map(|placed| placed.zone.bytes()).sum::<usize>());
            }
        }
    }

    #[test]
    fn a_zone_outlives_all_but_the_last_of_equal_extremes() {
        let zero = [Some((0, 0)), None, None, None, None, None];
        let seven = [Some((7, 7)), None, None, None, None, None];
        let mut zone = Zone::default();
        for ranges in [&zero, &zero, &seven, &seven] {
            zone.add(5, ranges);
        }
        let mut map = ZoneMap::default();
        map.insert(0..=u64::MAX, zone);
        map.remove(1, 5, &zero);
        map.remove(2, 5, &seven);
        assert_eq!(map.gap(0), None);
        assert_eq!(map.ranges(5)[0], Some((0, 7)));
        map.remove(3, 5, &zero);
        assert_eq!(map.gap(0), Some(0..=u64::MAX));
        map.undo();
        map.keep();
        assert!(map.gap(0).is_some(), "the zone itself was new");
    }
}
