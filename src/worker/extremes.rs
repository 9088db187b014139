//! Finding extremes again: a cache of zone maps, and reads for the zones that it does not have.
//!
//! When a correction removes the smallest or largest observation of an hour, the next one is looked for in the zone map of that
//! rollup ([`ZoneMap`]). Unknown parts of the map are read from the events of the partition, or from the rollups of the choices,
//! zone by zone. Reading stops as soon as it finds another observation that equals the lost one. Often there is one, such as
//! another queue time of 0. Reading begins near the event that was removed, since neighbouring ids tend to end in the same hour.
//!
//! Every commit reports each observation that it changes ([`ExtremesCache::follow`]), so that the maps stay exact without being
//! read again. The maps belong to one state of the store. The caller reports the end of each transaction:
//!
//! | outcome | call |
//! | --- | --- |
//! | committed | [`keep`](ExtremesCache::keep) |
//! | given up | [`undo`](ExtremesCache::undo) |
//! | unknown | [`clear`](ExtremesCache::clear) |
//!
//! Not here: which extremes are lost (`ledger`), reading outside a commit (`parked`).

use std::collections::{BTreeMap, BTreeSet};

use crate::events::{Event, EventChange};
use crate::rollup::{Aggregate, LostExtremes, Ranges, RollupKey, Zone, ZoneMap, ranges_of};
use crate::store::{Corrupt, Observers, StoreError};
use crate::time::Date;
use crate::vocabulary::DISTRIBUTIONS;

/// The limits of reading and of the cache. Costs are in microseconds, roughly ([`crate::store::ObserverRead::cost`]).
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The cost of reading one zone. A correction that drops a zone adds this cost to the next correction. Smaller zones make
    /// corrections cheaper and maps larger: 16 blocks are 2,048 events, and a map has about one byte for ten of them.
    pub zone_cost: usize,
    /// The cost of reading within one commit: a few milliseconds, since all requests wait for it. Reads that cost more are done
    /// in slices.
    pub commit_cost: usize,
    /// The additional cost for each event that the commit replaces: about the cost of replacing it, so that large requests need
    /// not be tried twice.
    pub replace_cost: usize,
    /// The cost of a slice between two commits: as much as within one commit, for the same reason.
    pub slice_cost: usize,
    /// The memory of all maps, in bytes: as much as a small page cache, and enough for partitions of many million events.
    pub cached_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { zone_cost: 512, commit_cost: 2_048, replace_cost: 4, slice_cost: 2_048, cached_bytes: 32 << 20 }
    }
}

/// The allowance for reading within a commit.
#[derive(Debug)]
pub struct ReadAllowance {
    left: usize,
    /// The addition for each event that is replaced.
    replace_cost: usize,
    /// The rollups whose observers may be read at any cost. They were read before the commit, so only later changes are missing.
    free: BTreeSet<RollupKey>,
}

impl ReadAllowance {
    /// An allowance of a base cost and of an addition for each replaced event. Rollups in `free` cost nothing.
    pub fn new(cost: usize, replace_cost: usize, free: BTreeSet<RollupKey>) -> Self {
        Self { left: cost, replace_cost, free }
    }

    /// An allowance without a limit.
    pub fn unlimited() -> Self {
        Self::new(usize::MAX, 0, BTreeSet::new())
    }

    /// Raises the allowance for a number of replaced events.
    pub fn allow_for(&mut self, replaced: usize) {
        self.left = self.left.saturating_add(self.replace_cost.saturating_mul(replaced));
    }

    /// Whether the observers of a rollup may be read.
    pub(super) fn allows(&self, key: RollupKey) -> bool {
        self.left > 0 || self.free.contains(&key)
    }

    fn spend(&mut self, key: RollupKey, cost: usize) {
        if !self.free.contains(&key) {
            self.left = self.left.saturating_sub(cost);
        }
    }
}

/// Extremes that are lost and not found, because reading on would have cost too much.
#[derive(Debug)]
pub struct Unresolved {
    /// The rollup.
    pub key: RollupKey,
    /// The hour of the rollup.
    pub hour: u8,
    /// The extremes that are lost.
    pub lost: LostExtremes,
    /// The values of the extremes before they were lost.
    pub values: Ranges,
}

impl Unresolved {
    /// Whether an event with these observations held any of the lost extremes.
    pub fn is_held_by(&self, observations: &[Option<u64>; DISTRIBUTIONS]) -> bool {
        let values = observations.iter().zip(&self.values).enumerate();
        values.into_iter().any(|(place, (observation, range))| {
            let (min_lost, max_lost) = self.lost.of(place);
            let held = observation.zip(*range);
            held.is_some_and(|(value, (min, max))| (min_lost && value == min) || (max_lost && value == max))
        })
    }
}

/// A gap that begins fewer ids than this before the start of reading is read from its beginning. That is some zones.
const SMALL_GAP: u64 = 8_192;

/// The memory of a map without its zones, in bytes.
const MAP_BYTES: usize = 256;

/// Zone maps of the rollups that lost an extreme lately.
#[derive(Debug, Default)]
pub struct ExtremesCache {
    limits: Limits,
    maps: BTreeMap<RollupKey, Cached>,
    /// The maps with changes that may be undone, some of them more than once.
    changed: Vec<RollupKey>,
    /// The number of uses so far.
    clock: u64,
}

#[derive(Debug, Default)]
struct Cached {
    map: ZoneMap,
    /// The clock of the cache at the last use.
    used: u64,
}

impl ExtremesCache {
    /// An empty cache.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The limits of reading and of the cache.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether the cache has a map of a rollup.
    pub fn knows(&self, key: RollupKey) -> bool {
        !self.maps.is_empty() && self.maps.contains_key(&key)
    }

    /// Replaces the observations of one observer in a map; either side may be absent. Each side comes with its hour.
    pub fn replace(&mut self, key: RollupKey, id: u64, removed: Option<(u8, &Ranges)>, added: Option<(u8, &Ranges)>) {
        if self.maps.is_empty() {
            return;
        }
        let Some(cached) = self.maps.get_mut(&key) else { return };
        // The new observations come first: then an extreme that stays has two holders meanwhile, and its zone need not be
        // dropped.
        if let Some((hour, ranges)) = added {
            cached.map.add(id, hour, ranges);
        }
        if let Some((hour, ranges)) = removed {
            cached.map.remove(id, hour, ranges);
        }
        note_change(&mut self.changed, key);
    }

    /// Applies the changes of events to the maps of their partitions.
    pub fn follow(&mut self, changes: &[EventChange<'_>]) {
        if self.maps.is_empty() {
            return;
        }
        for &EventChange { key, before, after, .. } in changes {
            let [removed, added] = [before, after].map(|event| event.map_or([None; 2], Event::contributions));
            if removed == added {
                continue;
            }
            // The new observations come first, as within one partition.
            for (contribution, is_added) in added.iter().zip([true; 2]).chain(removed.iter().zip([false; 2])) {
                if let Some(observed) = contribution.as_ref().filter(|it| it.observations != [None; DISTRIBUTIONS]) {
                    let observer = Some((observed.hour, &ranges_of(observed)));
                    let (removed, added) = if is_added { (None, observer) } else { (observer, None) };
                    self.replace(observed.partition.rollup(), key.id, removed, added);
                }
            }
        }
    }

    /// Finds the lost extremes of an hour again, and puts them into its aggregate. Reads the unknown zones, beginning `near` the
    /// observer that was removed. Returns the extremes that are still lost when the allowance is spent.
    pub fn find(
        &mut self,
        observers: &mut impl Observers,
        (key, hour): (RollupKey, u8),
        mut lost: LostExtremes,
        aggregate: &mut Aggregate,
        near: u64,
        allowance: &mut ReadAllowance,
    ) -> Result<Option<Unresolved>, StoreError> {
        self.clock += 1;
        let cached = self.maps.entry(key).or_default();
        cached.used = self.clock;
        note_change(&mut self.changed, key);
        lost = aggregate.still_lost(lost, &cached.map.ranges(hour));
        // A small gap is read as a whole, so that a dropped zone is read at once.
        let start = cached.map.gap_start(near);
        let mut from = if near - start < SMALL_GAP { start } else { near };
        while !lost.is_empty() {
            let Some(gap) = cached.map.gap(from) else {
                if from == 0 {
                    break;
                }
                from = 0;
                continue;
            };
            if !allowance.allows(key) {
                return Ok(Some(Unresolved { key, hour, lost, values: aggregate.ranges() }));
            }
            let (start, mut zone) = (*gap.start(), Zone::default());
            let read =
                observers.observers(key, gap, self.limits.zone_cost, |_, hour, ranges| zone.add(hour, ranges))?;
            allowance.spend(key, read.cost);
            lost = zone.ranges(hour).map_or(lost, |ranges| aggregate.still_lost(lost, &ranges));
            cached.map.insert(start..=read.last, zone);
            from = read.last.saturating_add(1);
        }
        if !lost.is_empty() && !aggregate.find_lost(lost, &cached.map.ranges(hour)) {
            return Err(Corrupt("a rollup counts observations that no event has; rebuild its day").into());
        }
        Ok(None)
    }

    /// Reads the unknown observers of a rollup from an id on, until `left` is spent. Returns the id to continue from, or `None`
    /// behind the last one. The observers must be those of the committed state.
    pub fn read(
        &mut self,
        observers: &mut impl Observers,
        key: RollupKey,
        mut from: u64,
        left: &mut usize,
    ) -> Result<Option<u64>, StoreError> {
        self.clock += 1;
        let cached = self.maps.entry(key).or_default();
        cached.used = self.clock;
        while let Some(gap) = cached.map.gap(from) {
            if *left == 0 {
                return Ok(Some(*gap.start()));
            }
            let (start, mut zone) = (*gap.start(), Zone::default());
            let read =
                observers.observers(key, gap, self.limits.zone_cost, |_, hour, ranges| zone.add(hour, ranges))?;
            // A read that finds nothing costs something, too.
            *left = left.saturating_sub(read.cost.max(1));
            cached.map.insert(start..=read.last, zone);
            cached.map.keep();
            let Some(next) = read.last.checked_add(1) else { break };
            from = next;
        }
        Ok(None)
    }

    /// Keeps all changes, because they are committed.
    pub fn keep(&mut self) {
        for key in self.changed.drain(..) {
            if let Some(cached) = self.maps.get_mut(&key) {
                cached.map.keep();
            }
        }
        self.evict();
    }

    /// Undoes the changes since the last commit.
    pub fn undo(&mut self) {
        for key in self.changed.drain(..) {
            if let Some(cached) = self.maps.get_mut(&key) {
                cached.map.undo();
            }
        }
    }

    /// Drops the maps of the days before a date.
    pub fn forget_before(&mut self, date: Date) {
        self.maps.retain(|key, _| key.date >= date);
    }

    /// Drops all maps.
    pub fn clear(&mut self) {
        self.maps.clear();
        self.changed.clear();
    }

    /// Evicts the maps that were used longest ago, until the others are within the limit.
    fn evict(&mut self) {
        let bytes = |cached: &Cached| cached.map.bytes() + MAP_BYTES;
        let mut sum: usize = self.maps.values().map(bytes).sum();
        if sum <= self.limits.cached_bytes {
            return;
        }
        let mut by_use: Vec<_> = self.maps.iter().map(|(&key, cached)| (cached.used, key, bytes(cached))).collect();
        by_use.sort_unstable_by_key(|&(used, ..)| used);
        for (_, key, bytes) in by_use {
            if sum <= self.limits.cached_bytes {
                break;
            }
            self.maps.remove(&key);
            sum -= bytes;
        }
    }
}

/// Records that a map has changed. Changes of a rollup come one after the other, so comparing with the last one is enough.
fn note_change(changed: &mut Vec<RollupKey>, key: RollupKey) {
    if changed.last() != Some(&key) {
        changed.push(key);
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;
    use crate::rollup::RollupScope;
    use crate::store::ObserverRead;
    use crate::vocabulary::{ChoiceId, MetricsTypeId};

    /// An event for each id from 1 on, all in one hour. Each costs 1 to read.
    struct Events {
        values: Vec<u64>,
        cost: usize,
    }

    impl Events {
        fn ranges(&self, id: u64) -> Ranges {
            let value = self.values[usize::try_from(id).unwrap() - 1];
            let mut ranges = [None; DISTRIBUTIONS];
            ranges[0] = Some((value, value));
            ranges
        }

        fn aggregate(&self) -> Aggregate {
            let mut aggregate = Aggregate { events: self.values.len() as u64, ..Aggregate::default() };
            self.values.iter().for_each(|&value| aggregate.distributions[0].observe(value));
            aggregate
        }

        /// Replaces the value of an event, and returns the cost of finding the extremes again.
        fn correct(&mut self, cache: &mut ExtremesCache, id: u64, value: u64) -> usize {
            let mut aggregate = self.aggregate();
            let before = self.ranges(id);
            let place = usize::try_from(id).unwrap() - 1;
            let summary = |value| {
                let mut summary = Aggregate { events: 1, ..Aggregate::default() };
                summary.distributions[0].observe(value);
                summary
            };
            let lost = aggregate.replace(&summary(self.values[place]), &summary(value));
            self.values[place] = value;
            cache.replace(key(), id, Some((HOUR, &before)), Some((HOUR, &self.ranges(id))));
            self.cost = 0;
            if !lost.is_empty() {
                let mut allowance = ReadAllowance::unlimited();
                let wanted = cache.find(self, (key(), HOUR), lost, &mut aggregate, id, &mut allowance).unwrap();
                assert!(wanted.is_none());
            }
            assert_eq!(aggregate, self.aggregate());
            cache.keep();
            self.cost
        }
    }

    impl Observers for Events {
        fn observers(
            &mut self,
            _: RollupKey,
            ids: RangeInclusive<u64>,
            most_cost: usize,
            mut visit: impl FnMut(u64, u8, &Ranges),
        ) -> Result<ObserverRead, StoreError> {
            let here = (1..=self.values.len() as u64).filter(|id| ids.contains(id));
            let mut read = ObserverRead { last: *ids.end(), cost: 0 };
            for id in here {
                if read.cost == most_cost {
                    read.last = id - 1;
                    break;
                }
                visit(id, HOUR, &self.ranges(id));
                read.cost += 1;
            }
            self.cost += read.cost;
            Ok(read)
        }
    }

    const HOUR: u8 = 7;

    fn key() -> RollupKey {
        let choice = RollupScope::Choice(ChoiceId::new(1).unwrap());
        RollupKey { date: Date::MIN, metrics: MetricsTypeId::JobTypes, scope: choice }
    }

    fn cache() -> ExtremesCache {
        ExtremesCache::new(Limits { zone_cost: 10, ..Limits::default() })
    }

    #[test]
    fn everything_is_read_once_and_then_a_zone_for_each_correction() {
        let mut events = Events { values: (1..=1000).collect(), cost: 0 };
        let mut cache = cache();
        assert_eq!(events.correct(&mut cache, 1000, 500), 1000);
        for id in (901..1000).rev() {
            let cost = events.correct(&mut cache, id, 500);
            assert!(cost <= 11, "{id} cost {cost}");
        }
    }

    #[test]
    fn an_equal_extreme_nearby_is_all_that_has_to_be_read() {
        let mut events = Events { values: [vec![0; 500], (0..500).collect()].concat(), cost: 0 };
        let mut cache = cache();
        assert_eq!(events.correct(&mut cache, 300, 499), 10);
        assert_eq!(events.correct(&mut cache, 301, 499), 0, "others in its zone are known");
        assert_eq!(events.correct(&mut cache, 1, 499), 0, "anywhere");
    }

    #[test]
    fn what_costs_too_much_is_wanted_and_read_in_slices() {
        let mut events = Events { values: (1..=1000).collect(), cost: 0 };
        let mut cache = cache();
        let mut aggregate = events.aggregate();
        let lost = LostExtremes { min: 0, max: 1 };
        let mut find = |cache: &mut ExtremesCache, events: &mut Events, mut allowance: ReadAllowance| {
            cache.find(events, (key(), HOUR), lost, &mut aggregate, 500, &mut allowance).unwrap()
        };
        // The largest value is lost, and all values are below it.
        events.values.iter_mut().for_each(|value| *value /= 2);
        let wanted = find(&mut cache, &mut events, ReadAllowance::new(100, 0, BTreeSet::new())).expect("it costs more");
        assert_eq!((wanted.key, wanted.hour, wanted.lost, wanted.values[0]), (key(), HOUR, lost, Some((1, 1000))));
        assert_eq!(events.cost, 100);
        cache.undo();
        let (mut from, mut slices) = (Some(0), 0);
        while let Some(next) = from {
            events.cost = 0;
            let mut left = 30;
            from = cache.read(&mut events, key(), next, &mut left).unwrap();
            assert!(events.cost <= 30);
            slices += 1;
        }
        assert_eq!(slices, 1000_usize.div_ceil(30));
        events.cost = 0;
        assert!(find(&mut cache, &mut events, ReadAllowance::new(0, 0, BTreeSet::new())).is_none());
        assert_eq!((events.cost, aggregate.distributions[0].max), (0, 500));
    }

    #[test]
    fn maps_that_were_used_longest_ago_are_evicted() {
        let mut events = Events { values: (1..=1000).collect(), cost: 0 };
        let mut cache = ExtremesCache::new(Limits { zone_cost: 10, cached_bytes: 1000, ..Limits::default() });
        assert_eq!(events.correct(&mut cache, 1000, 500), 1000);
        assert!(!cache.knows(key()));
        assert_eq!(events.correct(&mut cache, 999, 500), 1000);
    }
}
