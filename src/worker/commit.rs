//! What one commit does: read what is stored of the posted events, resolve, store, and fold the differences into the rollups.
//!
//! Reading and writing are done here, in a few steps for all events together; what follows from what is decided by the
//! pure functions of `ledger`. When the smallest or largest observation of an hour may have gone, it is found again
//! (`extremes`): that of a choice among its events, that of all choices together among the choices' rollups.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::extremes::{Budget, ExtremesCache, Unresolved};
use super::rebuild::Journal;
use crate::events::{Event, EventChange, Object, Partition};
use crate::ledger::{Deltas, Outcomes, Posted, RollupDelta};
use crate::rollup::{Aggregate, LostExtremes, Ranges, Rollup, RollupKey, RollupScope};
use crate::store::{Corrupt, StoreError, Transaction};
use crate::time::Date;
use crate::vocabulary::{DISTRIBUTIONS, MetricsTypeId};

/// How many rollups are read at once: some megabytes.
const ROLLUPS_AT_ONCE: usize = 8_192;

/// What storing some requests did.
#[derive(Debug)]
pub struct Applied {
    /// What became of the objects.
    pub outcomes: Outcomes,
    /// How many rollups were written.
    pub rollups: u64,
    /// How many hours had their extremes found again.
    pub recomputed_hours: u64,
}

/// Stores the objects of some requests, in order. Every choice that an event names must be known.
pub fn apply(transaction: &mut Transaction<'_>, requests: &[Vec<Object>]) -> Result<Applied, StoreError> {
    let mut extremes = ExtremesCache::default();
    match apply_within(transaction, requests, &mut extremes, &mut Budget::unlimited(), None)? {
        ControlFlow::Continue(applied) => Ok(applied),
        ControlFlow::Break(_) => unreachable!("nothing costs too much"),
    }
}

/// The requests that took out extremes which would cost too much to find again, by their places, each with the rollups that it
/// took them from.
pub type Causes = BTreeMap<usize, BTreeSet<RollupKey>>;

/// Like [`apply`], with what is known of extremes from before, and with a budget for reading what is not. When the transaction is
/// not committed, what is known has to be undone. Breaks off, so that it must not be committed, when that would cost too much.
/// A journal takes in what changes.
pub fn apply_within(
    transaction: &mut Transaction<'_>,
    requests: &[Vec<Object>],
    extremes: &mut ExtremesCache,
    budget: &mut Budget,
    journal: Option<&mut Journal>,
) -> Result<ControlFlow<Causes, Applied>, StoreError> {
    let posted = Posted::new(requests);
    let mut outcomes = Outcomes::new(requests.len());
    transaction.define(&posted.resolve_definitions(transaction.definitions(), &mut outcomes));
    let stored = transaction.events(&posted.keys())?;
    let mut changes = posted.resolve_events(&stored, &mut outcomes);
    budget.allow_for(changes.iter().filter(|change| change.before.is_some()).count());
    transaction.replace_events(&mut changes)?;
    if let Some(journal) = journal {
        for change in &changes {
            journal.note(change.before, change.after);
        }
    }
    extremes.follow(&changes);
    let mut folding = Folding { extremes, budget, wanted: Vec::new(), recomputed_hours: 0 };
    let totals = folding.fold_partitions(transaction, &changes)?;
    folding.fold_totals(transaction, totals)?;
    let Folding { wanted, recomputed_hours, .. } = folding;
    if !wanted.is_empty() {
        let causes = causes(&wanted, &posted, &stored);
        if causes.is_empty() {
            // An extreme that is lost was held by an event that some request has replaced.
            return Err(Corrupt("a rollup counts observations that no event has; rebuild its day").into());
        }
        return Ok(ControlFlow::Break(causes));
    }
    Ok(ControlFlow::Continue(Applied { outcomes, rollups: transaction.rollups_put(), recomputed_hours }))
}

/// Who took out what is wanted: all requests with an event whose stored content holds a lost extreme.
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

/// What becomes of all choices together.
type Totals = BTreeMap<(MetricsTypeId, Date), RollupDelta>;

/// Folds what changed into rollups.
struct Folding<'a> {
    extremes: &'a mut ExtremesCache,
    budget: &'a mut Budget,
    /// What would cost too much to find.
    wanted: Vec<Unresolved>,
    recomputed_hours: u64,
}

impl Folding<'_> {
    /// Folds what changed into the rollups of partitions. All events are stored by now. Returns what becomes of all choices
    /// together.
    fn fold_partitions(
        &mut self,
        transaction: &mut Transaction<'_>,
        changes: &[EventChange<'_>],
    ) -> Result<Totals, StoreError> {
        let mut totals = Totals::new();
        let deltas = Deltas::new(changes);
        let partitions = deltas.partitions();
        let mut deltas = deltas.peekable();
        for partitions in partitions.chunks(ROLLUPS_AT_ONCE) {
            let keys: Vec<_> = partitions.iter().map(|partition| partition.rollup()).collect();
            let stored = transaction.rollups(&keys)?;
            for (&partition, stored) in partitions.iter().zip(stored.iter()) {
                let Some((_, delta)) = deltas.next_if(|(next, _)| *next == partition) else { continue };
                let stored = stored?;
                totals.entry((partition.metrics, partition.date)).or_default().merge(&delta);
                let observer = Observer::new(partition, stored.as_ref(), &delta, self.extremes);
                let rollup = self.fold(transaction, partition.rollup(), stored, delta)?;
                observer.replace(&rollup, self.extremes);
            }
        }
        Ok(totals)
    }

    /// Folds what changed into the rollups of all choices together. Those of choices are stored by now.
    fn fold_totals(&mut self, transaction: &mut Transaction<'_>, totals: Totals) -> Result<(), StoreError> {
        let days: Vec<_> = totals.keys().copied().collect();
        let stored = transaction.totals(&days)?;
        for (((metrics, date), delta), stored) in totals.into_iter().zip(stored.iter()) {
            let key = RollupKey { metrics, scope: RollupScope::All, date };
            // Choices are no events: nothing is near.
            self.fold(transaction, key, stored?, RollupDelta { near: 0, ..delta })?;
        }
        Ok(())
    }

    /// Folds what changed into a rollup, finds the extremes that this took away, and stores it.
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
            self.find(transaction, (key, hour), lost, rollup.hour_mut(hour), near)?;
        }
        if is_new {
            transaction.insert_rollup(key, &rollup);
        } else {
            transaction.replace_rollup(key, &rollup);
        }
        Ok(rollup)
    }

    fn find(
        &mut self,
        transaction: &mut Transaction<'_>,
        of: (RollupKey, u8),
        lost: LostExtremes,
        aggregate: &mut Aggregate,
        near: u64,
    ) -> Result<(), StoreError> {
        self.wanted.extend(self.extremes.find(transaction, of, lost, aggregate, near, self.budget)?);
        Ok(())
    }
}

/// The rollup of a choice as one of those that all choices together are made of, before it changes.
struct Observer {
    /// All together.
    key: RollupKey,
    id: u64,
    /// The extremes of the hours that change; none while nothing is known of all together.
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

    /// Puts it as it is now in its place.
    fn replace(self, rollup: &Rollup, extremes: &mut ExtremesCache) {
        for (hour, before) in self.before {
            let after = ranges_in(Some(rollup), hour);
            if after != before {
                extremes.replace(self.key, self.id, Some((hour, &before)), Some((hour, &after)));
            }
        }
    }
}

/// The extremes of an hour, whether it exists or not.
fn ranges_in(rollup: Option<&Rollup>, hour: u8) -> Ranges {
    rollup.and_then(|rollup| rollup.hour(hour)).map_or([None; DISTRIBUTIONS], Aggregate::ranges)
}
