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
use crate::events::{Choice, ChoiceId, Choices, Event, EventKey, Kind, Object, Partition};
use crate::figures::Figures;
use crate::rollup::{Rollup, RollupKey, Scope};
use crate::store::{Batch, Change, StoreError, StoredRollups};
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

    /// Counts an object.
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Stale => self.stale += 1,
        }
    }
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Created,
    Updated,
    Unchanged,
    Stale,
}

/// The names of the outcomes, by their places.
const OUTCOMES: [&str; 4] = ["created", "updated", "unchanged", "stale"];

/// What storing some requests did.
#[derive(Debug, Default)]
pub struct Applied {
    /// What became of the objects of each request.
    pub receipts: Vec<Receipt>,
    /// What was done altogether.
    pub counts: Counts,
}

/// How much was done.
#[derive(Debug, Default)]
pub struct Counts {
    /// The objects of each kind that became each of the outcomes.
    objects: [[u64; OUTCOMES.len()]; Kind::ALL.len()],
    /// Rollups that were written.
    rollups: u64,
    /// Hours that were computed again.
    recomputed_hours: u64,
}

impl Counts {
    /// Adds what was done to the server's figures.
    pub fn count_in(&self, figures: &Figures) {
        for (kind, outcomes) in Kind::ALL.iter().zip(&self.objects) {
            for (outcome, &number) in OUTCOMES.iter().zip(outcomes).filter(|(_, number)| **number > 0) {
                figures.count_objects(kind.name(), outcome, number);
            }
        }
        figures.rollups.inc_by(self.rollups);
        figures.recomputed_hours.inc_by(self.recomputed_hours);
    }
}

impl Applied {
    fn count(&mut self, request: usize, kind: Kind, outcome: Outcome) {
        self.receipts[request].count(outcome);
        self.counts.objects[kind as usize][outcome as usize] += 1;
    }
}

/// Stores the objects of some requests, in order; a receipt for each. Every choice that an event names must be known.
pub fn apply(batch: &mut Batch<'_>, requests: &[Vec<Object>]) -> Result<Applied, StoreError> {
    let mut applied = Applied { receipts: vec![Receipt::default(); requests.len()], counts: Counts::default() };
    let mut definitions = Definitions::default();
    let mut events = Vec::with_capacity(requests.iter().map(Vec::len).sum());
    for (request, objects) in requests.iter().enumerate() {
        for object in objects {
            match object {
                Object::Choice(choice) => {
                    applied.count(request, object.kind(), definitions.resolve(choice, batch.choices()));
                }
                Object::Event(event) => events.push(Posted { key: event.key(), kind: object.kind(), request, event }),
            }
        }
    }
    batch.define(&definitions.changed)?;
    // Events of different keys have nothing to do with each other; those of one key stay in their order.
    radsort::sort_by_key(&mut events, |posted| posted.key.order());
    let keys: Vec<_> = events.chunk_by(|a, b| a.key == b.key).map(|events| events[0].key).collect();
    let stored = batch.events.load(&keys)?;
    let changes = resolve(&events, &stored, &mut applied);
    let mut moved = Moved::default();
    batch.events.replace(changes, |change| moved.add(change, &mut batch.rollups))?;
    applied.counts.recomputed_hours = moved.finish(batch)?;
    applied.counts.rollups = batch.rollups.written();
    Ok(applied)
}

/// An event of a group, and which request it came with.
struct Posted<'a> {
    key: EventKey,
    kind: Kind,
    request: usize,
    event: &'a Event,
}

/// What differs when the events have been applied in their order to those that are stored; both are ordered by key.
fn resolve<'a>(events: &[Posted<'a>], stored: &'a [Event], applied: &mut Applied) -> Vec<Change<'a>> {
    let mut stored = stored.iter().peekable();
    let mut changes = Vec::with_capacity(events.len());
    for events in events.chunk_by(|a, b| a.key == b.key) {
        let before = stored.next_if(|stored| stored.key() == events[0].key);
        let mut present = before;
        for posted in events {
            let outcome = Outcome::of(posted.event, present);
            applied.count(posted.request, posted.kind, outcome);
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
    /// The partition whose changes come at the moment, and what they make of its rollup.
    partition: Option<Partition>,
    difference: Difference,
    /// What can be folded only when all events are stored: changes to other partitions than the one that their event is
    /// kept in (errors, and those that it left), and whatever took an hour's smallest or largest observation away.
    later: BTreeMap<Partition, Difference>,
    /// What becomes of all choices together.
    totals: BTreeMap<(MetricsTypeId, Date), Difference>,
}

#[derive(Default)]
struct Difference {
    removed: Rollup,
    added: Rollup,
}

impl Difference {
    fn merge(&mut self, other: &Self) {
        self.removed.merge(&other.removed);
        self.added.merge(&other.added);
    }
}

impl Moved {
    /// Takes in a change. Changes come partition by partition.
    fn add(&mut self, change: &Change<'_>, rollups: &mut StoredRollups<'_>) -> Result<(), StoreError> {
        let &Change { before, after, partition, .. } = change;
        let gone = before.map_or([None; 2], Event::contributions);
        let come = after.contributions();
        if gone == come {
            return Ok(());
        }
        if self.partition != partition {
            self.fold_partition(rollups)?;
            self.partition = partition;
        }
        for gone in gone.iter().flatten() {
            self.difference(gone.partition).removed.hour_mut(gone.hour).fold(gone);
        }
        for come in come.iter().flatten() {
            self.difference(come.partition).added.hour_mut(come.hour).fold(come);
        }
        Ok(())
    }

    fn difference(&mut self, partition: Partition) -> &mut Difference {
        if self.partition == Some(partition) { &mut self.difference } else { self.later.entry(partition).or_default() }
    }

    /// Folds what was taken in for the partition at hand into its rollup, if the rollup's extremes stay known.
    fn fold_partition(&mut self, rollups: &mut StoredRollups<'_>) -> Result<(), StoreError> {
        let Some(partition) = self.partition.take() else { return Ok(()) };
        let difference = &mut self.difference;
        let mut rollup = rollups.get(partition.rollup())?;
        let is_new = rollup.is_empty() && difference.removed.is_empty();
        if is_new || rollup.apply(&difference.removed, &difference.added).is_empty() {
            rollups.put(partition.rollup(), if is_new { &difference.added } else { &rollup })?;
            self.totals.entry((partition.metrics, partition.date)).or_default().merge(difference);
        } else {
            self.later.entry(partition).or_default().merge(difference);
        }
        difference.removed.clear();
        difference.added.clear();
        Ok(())
    }

    /// Folds what was put off, then what became of all choices together. Returns how many hours were computed again.
    fn finish(mut self, batch: &mut Batch<'_>) -> Result<u64, StoreError> {
        self.fold_partition(&mut batch.rollups)?;
        let mut recomputed = 0;
        for (partition, difference) in self.later {
            self.totals.entry((partition.metrics, partition.date)).or_default().merge(&difference);
            recomputed += fold(batch, partition.rollup(), &difference, |batch| recompute_choice(batch, partition))?;
        }
        for ((metrics, date), difference) in self.totals {
            let key = RollupKey { metrics, scope: Scope::All, date };
            recomputed += fold(batch, key, &difference, |batch| recompute_all(batch, metrics, date))?;
        }
        Ok(recomputed)
    }
}

/// Folds a difference into one rollup; `recompute` finds the whole rollup anew, for the hours that lost their extremes.
/// Returns how many these are.
fn fold(
    batch: &mut Batch<'_>,
    key: RollupKey,
    difference: &Difference,
    recompute: impl FnOnce(&mut Batch<'_>) -> Result<Rollup, StoreError>,
) -> Result<u64, StoreError> {
    let mut rollup = batch.rollups.get(key)?;
    let lost = rollup.apply(&difference.removed, &difference.added);
    if !lost.is_empty() {
        let mut anew = recompute(batch)?;
        for &hour in &lost {
            rollup.set_hour(hour, std::mem::take(anew.hour_mut(hour)));
        }
    }
    batch.rollups.put(key, &rollup)?;
    Ok(lost.len() as u64)
}

/// The rollup of a partition, from its events.
fn recompute_choice(batch: &Batch<'_>, partition: Partition) -> Result<Rollup, StoreError> {
    let mut rollup = Rollup::default();
    for event in batch.events.of_partition(partition)? {
        for contribution in event.contributions().iter().flatten().filter(|it| it.partition == partition) {
            rollup.hour_mut(contribution.hour).fold(contribution);
        }
    }
    Ok(rollup)
}

/// The rollup of all choices together, from the rollups of each.
fn recompute_all(batch: &mut Batch<'_>, metrics: MetricsTypeId, date: Date) -> Result<Rollup, StoreError> {
    let choices = batch.choices();
    let ids: Vec<ChoiceId> = match metrics {
        MetricsTypeId::JobTypes => choices.job_types.keys().copied().collect(),
        MetricsTypeId::Ingests => choices.strikes.keys().copied().collect(),
        MetricsTypeId::Errors => choices.errors.keys().copied().collect(),
    };
    let mut rollup = Rollup::default();
    for choice in ids {
        rollup.merge(&batch.rollups.get(RollupKey { metrics, scope: Scope::Choice(choice), date })?);
    }
    Ok(rollup)
}
