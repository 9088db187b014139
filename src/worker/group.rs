//! What one commit does: resolve each event against the stored one, then fold the differences into the rollups.
//!
//! Objects apply in the order of the requests. Only the state that a key has at the end is stored, and only the difference
//! between what stood before and what stands then moves a rollup; that is why a retried batch never counts twice. Counts
//! and sums are subtracted exactly. When the smallest or largest observation of an hour may have gone, that hour is
//! computed again: of a choice from its events, of all choices together from the choices' rollups.
//!
//! Not here: what an event contributes (`events::contribution`), how aggregates add up (`rollup`).

use std::collections::BTreeMap;

use crate::catalog::MetricsTypeId;
use crate::events::{Choice, ChoiceId, Choices, Event, EventKey, Object, Partition};
use crate::rollup::{Rollup, RollupKey, Scope};
use crate::store::{Batch, Change, StoreError};
use crate::time::Date;

/// What became of the objects of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receipt {
    /// New.
    pub created: u64,
    /// In the place of another content.
    pub updated: u64,
    /// The same as before.
    pub unchanged: u64,
    /// Older than what was there, and ignored.
    pub stale: u64,
}

impl Receipt {
    /// The number of objects.
    pub fn accepted(self) -> u64 {
        self.created + self.updated + self.unchanged + self.stale
    }

    /// Adds what became of other objects.
    pub fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.stale += other.stale;
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Stale => self.stale += 1,
        }
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Created,
    Updated,
    Unchanged,
    Stale,
}

/// Stores the objects of some requests, in order; a receipt for each. Every choice that an event names must be known.
pub fn apply(batch: &mut Batch<'_>, requests: &[Vec<Object>]) -> Result<Vec<Receipt>, StoreError> {
    let mut receipts = vec![Receipt::default(); requests.len()];
    let mut definitions = Definitions::default();
    let mut events = Vec::with_capacity(requests.iter().map(Vec::len).sum());
    for (request, objects) in requests.iter().enumerate() {
        for object in objects {
            match object {
                Object::Choice(choice) => {
                    receipts[request].count(definitions.resolve(choice, batch.choices()));
                }
                Object::Event(event) => events.push(Posted { key: event.key(), request, event }),
            }
        }
    }
    batch.define(&definitions.changed)?;
    // Events of different keys have nothing to do with each other; those of one key stay in their order.
    events.sort_by_key(|posted| posted.key.order());
    let keys: Vec<_> = events.chunk_by(|a, b| a.key == b.key).map(|events| events[0].key).collect();
    let stored = batch.events(&keys)?;
    let mut moved = Moved::default();
    batch.replace(resolve(&events, &stored, &mut receipts), |change| moved.add(change))?;
    moved.fold_into(batch)?;
    Ok(receipts)
}

/// An event of a group, and which request it came with.
struct Posted<'a> {
    key: EventKey,
    request: usize,
    event: &'a Event,
}

/// What differs when the events have been applied in their order to those that are stored; both are ordered by key.
fn resolve<'a>(events: &[Posted<'a>], stored: &'a [Event], receipts: &mut [Receipt]) -> Vec<Change<'a>> {
    let mut stored = stored.iter().peekable();
    let mut changes = Vec::with_capacity(events.len());
    for events in events.chunk_by(|a, b| a.key == b.key) {
        let before = stored.next_if(|stored| stored.key() == events[0].key);
        let mut present = before;
        for posted in events {
            let outcome = Outcome::of(posted.event, present);
            receipts[posted.request].count(outcome);
            if matches!(outcome, Outcome::Created | Outcome::Updated) {
                present = Some(posted.event);
            }
        }
        if let Some(after) = present.filter(|_| present != before) {
            changes.push(Change::new(before, after));
        }
    }
    changes
}

impl Outcome {
    /// What becomes of an event where another content, if any, is present.
    fn of(event: &Event, present: Option<&Event>) -> Self {
        match present {
            None => Self::Created,
            Some(present) if present == event => Self::Unchanged,
            Some(present) if is_stale(event, present) => Self::Stale,
            Some(_) => Self::Updated,
        }
    }
}

/// The definitions of a group, as they come.
#[derive(Default)]
struct Definitions<'a> {
    changed: Vec<&'a Choice>,
    latest: Choices,
}

impl<'a> Definitions<'a> {
    fn resolve(&mut self, choice: &'a Choice, stored: &Choices) -> Outcome {
        let outcome = match self.latest.defined(choice).or_else(|| stored.defined(choice)) {
            Some(present) if present == *choice => return Outcome::Unchanged,
            Some(_) => Outcome::Updated,
            None => Outcome::Created,
        };
        self.latest.define(choice.clone());
        self.changed.push(choice);
        outcome
    }
}

/// Whether both say when they were changed, and the new one earlier.
fn is_stale(new: &Event, present: &Event) -> bool {
    matches!((new.last_modified(), present.last_modified()), (Some(new), Some(present)) if new < present)
}

/// What a group takes out of rollups and puts into them.
#[derive(Default)]
struct Moved {
    partitions: BTreeMap<Partition, Difference>,
}

#[derive(Default)]
struct Difference {
    removed: Rollup,
    added: Rollup,
}

impl Moved {
    fn add(&mut self, &Change { before, after, .. }: &Change<'_>) {
        if before.is_some_and(|before| before.contributions().eq(after.contributions())) {
            return;
        }
        for gone in before.into_iter().flat_map(Event::contributions) {
            let difference = self.partitions.entry(gone.partition).or_default();
            difference.removed.hour_mut(gone.hour).fold(&gone);
        }
        for come in after.contributions() {
            let difference = self.partitions.entry(come.partition).or_default();
            difference.added.hour_mut(come.hour).fold(&come);
        }
    }

    fn fold_into(self, batch: &mut Batch<'_>) -> Result<(), StoreError> {
        let mut of_all: BTreeMap<(MetricsTypeId, Date), Difference> = BTreeMap::new();
        for (partition, difference) in self.partitions {
            let Partition { metrics, choice, date } = partition;
            let all = of_all.entry((metrics, date)).or_default();
            all.removed.merge(&difference.removed);
            all.added.merge(&difference.added);
            let key = RollupKey { metrics, scope: Scope::Choice(choice), date };
            fold(batch, key, difference, |batch| recompute_choice(batch, partition))?;
        }
        for ((metrics, date), difference) in of_all {
            let key = RollupKey { metrics, scope: Scope::All, date };
            fold(batch, key, difference, |batch| recompute_all(batch, metrics, date))?;
        }
        Ok(())
    }
}

/// Folds a difference into one rollup; `recompute` finds the whole rollup anew, for the hours that lost their extremes.
fn fold(
    batch: &mut Batch<'_>,
    key: RollupKey,
    Difference { removed, added }: Difference,
    recompute: impl FnOnce(&Batch<'_>) -> Result<Rollup, StoreError>,
) -> Result<(), StoreError> {
    let mut rollup = batch.rollup(key)?;
    if rollup.is_empty() {
        return batch.put_rollup(key, &added);
    }
    let lost = rollup.apply(&removed, &added);
    if !lost.is_empty() {
        let mut anew = recompute(batch)?;
        for hour in lost {
            rollup.set_hour(hour, std::mem::take(anew.hour_mut(hour)));
        }
    }
    batch.put_rollup(key, &rollup)
}

/// The rollup of a partition, from its events.
fn recompute_choice(batch: &Batch<'_>, partition: Partition) -> Result<Rollup, StoreError> {
    let mut rollup = Rollup::default();
    for event in batch.partition_events(partition)? {
        for contribution in event.contributions().filter(|contribution| contribution.partition == partition) {
            rollup.hour_mut(contribution.hour).fold(&contribution);
        }
    }
    Ok(rollup)
}

/// The rollup of all choices together, from the rollups of each.
fn recompute_all(batch: &Batch<'_>, metrics: MetricsTypeId, date: Date) -> Result<Rollup, StoreError> {
    let choices = batch.choices();
    let ids: Vec<ChoiceId> = match metrics {
        MetricsTypeId::JobTypes => choices.job_types.keys().copied().collect(),
        MetricsTypeId::Ingests => choices.strikes.keys().copied().collect(),
        MetricsTypeId::Errors => choices.errors.keys().copied().collect(),
    };
    let mut rollup = Rollup::default();
    for choice in ids {
        rollup.merge(&batch.rollup(RollupKey { metrics, scope: Scope::Choice(choice), date })?);
    }
    Ok(rollup)
}
