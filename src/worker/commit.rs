//! One commit: reads the stored state of the posted events, resolves and stores them, and folds the differences into the rollups.
//!
//! This module reads and writes, in a few steps for all events together; the pure functions of `ledger` make the decisions. If
//! the smallest or largest observation of an hour may be gone, the next one is found (`extremes`). The extreme of a choice is
//! looked for among its events, the extreme of all choices together among the rollups of the choices.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::extremes::{ExtremesCache, ReadAllowance, Unresolved};
use super::rebuild::Journal;
use crate::events::{Event, EventChange, Object, Partition};
use crate::ledger::{Deltas, Outcomes, Posted, RollupDelta};
use crate::rollup::{Aggregate, Ranges, Rollup, RollupKey, RollupScope};
use crate::store::{Corrupt, StoreError, Transaction};
use crate::time::Date;
use crate::vocabulary::{DISTRIBUTIONS, MetricsTypeId};

/// How many rollups are read at once: some megabytes.
const ROLLUPS_AT_ONCE: usize = 8_192;

/// The effects of storing some requests.
#[derive(Debug)]
pub struct Applied {
    /// The outcome of each object.
    pub outcomes: Outcomes,
    /// The number of rollups that were written.
    pub rollups: u64,
    /// The number of hours whose extremes were found again.
    pub recomputed_hours: u64,
}

/// Stores the objects of some requests, in order. Every choice that an event names must be known.
pub fn apply(transaction: &mut Transaction<'_>, requests: &[Vec<Object>]) -> Result<Applied, StoreError> {
    let mut extremes = ExtremesCache::default();
    match apply_within(transaction, requests, &mut extremes, &mut ReadAllowance::unlimited(), None)? {
        ControlFlow::Continue(applied) => Ok(applied),
        ControlFlow::Break(_) => unreachable!("nothing costs too much"),
    }
}

/// Whether some objects belong to days that were forgotten after the objects were validated. They must not be stored then.
pub fn are_overtaken(transaction: &Transaction<'_>, requests: &[Vec<Object>]) -> bool {
    let events_from = transaction.kept().events_from;
    requests.iter().flatten().any(|object| object.ended_before(events_from))
}

/// Validates objects and stores them, as a post does.
#[cfg(test)]
pub(crate) fn post(store: &crate::store::Store, lines: &str) {
    let mut draft = store.snapshot().unwrap().draft();
    draft.read_ndjson(lines.as_bytes()).unwrap();
    let objects = draft.finish().unwrap();
    store.write(|transaction| apply(transaction, &[objects])).unwrap();
}

/// The requests that removed extremes which would cost too much to find again. The key is the place of a request; the value is
/// the set of rollups that lost an extreme.
pub type Causes = BTreeMap<usize, BTreeSet<RollupKey>>;

/// Like [`apply`], with a cache of extremes and an allowance for reading extremes that the cache does not have. Breaks off if
/// that would cost too much; the caller must not commit the transaction then. If the transaction is not committed, the caller
/// has to undo the changes of the cache. A journal records the changes of events.
pub fn apply_within(
    transaction: &mut Transaction<'_>,
    requests: &[Vec<Object>],
    extremes: &mut ExtremesCache,
    allowance: &mut ReadAllowance,
    journal: Option<&mut Journal>,
) -> Result<ControlFlow<Causes, Applied>, StoreError> {
    let posted = Posted::new(requests);
    let mut outcomes = Outcomes::new(requests.len());
    transaction.define(&posted.resolve_definitions(transaction.definitions(), &mut outcomes));
    let stored = transaction.events(&posted.keys())?;
    let mut changes = posted.resolve_events(&stored, &mut outcomes);
    allowance.allow_for(changes.iter().filter(|change| change.before.is_some()).count());
    transaction.replace_events(&mut changes)?;
    if let Some(journal) = journal {
        for change in &changes {
            journal.note(change.before, change.after);
        }
    }
    extremes.follow(&changes);
    let mut folding = Folding { extremes, allowance, wanted: Vec::new(), recomputed_hours: 0 };
    let totals = folding.fold_partitions(transaction, &changes)?;
    folding.fold_totals(transaction, totals)?;
    let Folding { wanted, recomputed_hours, .. } = folding;
    if !wanted.is_empty() {
        let causes = causes(&wanted, &posted, &stored);
        if causes.is_empty() {
            // Some request has replaced the event that held a lost extreme.
            return Err(Corrupt("a rollup counts observations that no event has; rebuild its day").into());
        }
        return Ok(ControlFlow::Break(causes));
    }
    Ok(ControlFlow::Continue(Applied { outcomes, rollups: transaction.rollups_put(), recomputed_hours }))
}

/// The requests that removed the unresolved extremes: all requests with an event whose stored content holds one of them.
fn causes(wanted: &[Unresolved], posted: &Posted<'_>, stored: &[Event]) -> Causes {
    let mut by_hour: BTreeMap<_, Vec<&Unresolved>> = BTreeMap::new();
    for wanted in wanted {
        by_hour.entry((wanted.key.date, wanted.key.metrics, wanted.hour)).or_default().push(wanted);
    }
    let mut causes = Causes::new();
    for before in stored {
        for removed in before.contributions().iter().flatten() {
            let Partition { date, metrics, choice } = removed.partition;
            let of_hour = by_hour.get(&(date, metrics, removed.hour)).into_iter().flatten();
            let of_choice =
                of_hour.filter(|wanted| [RollupScope::All, RollupScope::Choice(choice)].contains(&wanted.key.scope));
            for wanted in of_choice.filter(|wanted| wanted.is_held_by(&removed.observations)) {
                for request in posted.requests_of(before.key()) {
                    causes.entry(request).or_default().insert(wanted.key);
                }
            }
        }
    }
    causes
}

/// The changes of the rollups of all choices together.
type Totals = BTreeMap<(MetricsTypeId, Date), RollupDelta>;

/// Folds changes into rollups.
struct Folding<'a> {
    extremes: &'a mut ExtremesCache,
    allowance: &'a mut ReadAllowance,
    /// The extremes that would cost too much to find.
    wanted: Vec<Unresolved>,
    recomputed_hours: u64,
}

impl Folding<'_> {
    /// Folds changes into the rollups of partitions. The caller has stored all events by now. Returns the changes of the rollups
    /// of all choices together.
    fn fold_partitions(
        &mut self,
        transaction: &mut Transaction<'_>,
        changes: &[EventChange<'_>],
    ) -> Result<Totals, StoreError> {
        let mut totals = Totals::new();
        let mut deltas = Deltas::new(changes);
        let partitions = deltas.partitions();
        for partitions in partitions.chunks(ROLLUPS_AT_ONCE) {
            let stored = transaction.rollups(partitions)?;
            for (&partition, stored) in partitions.iter().zip(stored.iter()) {
                let delta = deltas.next_of(partition);
                if delta.is_empty() {
                    continue;
                }
                let stored = stored?;
                totals.entry((partition.metrics, partition.date)).or_default().merge(&delta);
                let observer = Observer::new(partition, stored.as_ref(), &delta, self.extremes);
                let rollup = self.fold(transaction, partition.rollup(), stored, delta)?;
                observer.replace(&rollup, self.extremes);
            }
        }
        Ok(totals)
    }

    /// Folds changes into the rollups of all choices together. The rollups of choices are stored by now.
    fn fold_totals(&mut self, transaction: &mut Transaction<'_>, totals: Totals) -> Result<(), StoreError> {
        let days: Vec<_> = totals.keys().copied().collect();
        let stored = transaction.totals(&days)?;
        for (((metrics, date), delta), stored) in totals.into_iter().zip(stored.iter()) {
            let key = RollupKey { metrics, scope: RollupScope::All, date };
            // Here the observers are choices, not events, so no id is a better place to begin.
            self.fold(transaction, key, stored?, RollupDelta { near: 0, ..delta })?;
        }
        Ok(())
    }

    /// Folds changes into a rollup, finds the extremes that it lost, and stores it.
    fn fold(
        &mut self,
        transaction: &mut Transaction<'_>,
        key: RollupKey,
        stored: Option<Rollup>,
        delta: RollupDelta,
    ) -> Result<Rollup, StoreError> {
        let (near, is_new) = (delta.near, stored.is_none());
        let (mut rollup, lost) = delta.apply_to(stored);
        self.recomputed_hours += lost.len() as u64;
        for (hour, lost) in lost {
            let aggregate = rollup.hour_mut(hour);
            let unresolved = self.extremes.find(transaction, (key, hour), lost, aggregate, near, self.allowance)?;
            self.wanted.extend(unresolved);
        }
        if is_new {
            transaction.insert_rollup(key, &rollup);
        } else {
            transaction.replace_rollup(key, &rollup);
        }
        Ok(rollup)
    }
}

/// The rollup of a choice before its change, as an observer of the rollup of all choices together.
struct Observer {
    /// The key of the rollup of all choices together.
    key: RollupKey,
    id: u64,
    /// The extremes of the hours that change; empty while the cache has nothing for the rollup of all choices.
    before: Vec<(u8, Ranges)>,
}

impl Observer {
    fn new(partition: Partition, stored: Option<&Rollup>, delta: &RollupDelta, extremes: &ExtremesCache) -> Self {
        let key = RollupKey { scope: RollupScope::All, ..partition.rollup() };
        let mut before = Vec::new();
        if extremes.knows(key) {
            let changed = (0..24_u8).filter(|hour| delta.hour_bits() >> hour & 1 == 1);
            before.extend(changed.map(|hour| (hour, ranges_in(stored, hour))));
        }
        Self { key, id: partition.choice.get(), before }
    }

    /// Replaces the cached extremes with the current ones.
    fn replace(self, rollup: &Rollup, extremes: &mut ExtremesCache) {
        for (hour, before) in self.before {
            let after = ranges_in(Some(rollup), hour);
            if after != before {
                extremes.replace(self.key, self.id, Some((hour, &before)), Some((hour, &after)));
            }
        }
    }
}

/// The extremes of an hour; none if the hour does not exist.
fn ranges_in(rollup: Option<&Rollup>, hour: u8) -> Ranges {
    rollup.and_then(|rollup| rollup.hour(hour)).map_or([None; DISTRIBUTIONS], Aggregate::ranges)
}
