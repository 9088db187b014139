//! What one commit does: resolve each event against the stored one, then fold the differences into the rollups.
//!
//! Objects apply in the order of the requests. Only the state that a key has at the end is stored, and only the difference
//! between what stood before and what stands then moves a rollup; that is why a retried batch never counts twice. Counts
//! and sums are subtracted exactly. When the smallest or largest observation of an hour may have gone, it is found again: of
//! a choice among its events, of all choices together among the choices' rollups (`extremes`).
//!
//! Not here: what an event contributes (`events::contribution`), how aggregates add up (`rollup`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::extremes::{Budget, ExtremesCache, Wanted};
use super::rebuild::Journal;
use crate::catalog::MetricsTypeId;
use crate::events::contribution::DISTRIBUTIONS;
use crate::events::{Choice, Choices, Event, EventKey, Kind, Object, Partition};
use crate::figures::Figures;
use crate::rollup::{Aggregate, Ranges, Rollup, RollupKey, Scope, ranges_of};
use crate::store::{Batch, Change, Corrupt, StoreError, StoredRollups};
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
    /// Hours whose extremes were found again.
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
    let mut extremes = ExtremesCache::default();
    match apply_within(batch, requests, &mut extremes, &mut Budget::unlimited(), None)? {
        ControlFlow::Continue(applied) => Ok(applied),
        ControlFlow::Break(_) => unreachable!("nothing costs too much"),
    }
}

/// Like [`apply`], with what is known of extremes from before, and with a budget for reading what is not. When the batch is
/// not committed, what is known has to be undone. Breaks off, so that it must not be committed, when that would cost too much.
/// A journal takes in what changes.
pub fn apply_within(
    batch: &mut Batch<'_>,
    requests: &[Vec<Object>],
    extremes: &mut ExtremesCache,
    budget: &mut Budget,
    mut journal: Option<&mut Journal>,
) -> Result<ControlFlow<Causes, Applied>, StoreError> {
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
    budget.allow_for(changes.iter().filter(|change| change.before.is_some()).count());
    let mut moved = Moved::new(extremes, budget);
    batch.events.replace(changes, |change| {
        if let Some(journal) = journal.as_deref_mut() {
            journal.note(change.before, change.after);
        }
        moved.add(change, &mut batch.rollups)
    })?;
    match moved.finish(batch)? {
        ControlFlow::Continue(recomputed_hours) => applied.counts.recomputed_hours = recomputed_hours,
        ControlFlow::Break(wanted) => {
            let causes = causes(&wanted, &events, &stored);
            if causes.is_empty() {
                // An extreme that is lost was held by an event that some request has replaced.
                return Err(Corrupt("a rollup counts observations that no event has; rebuild its day").into());
            }
            return Ok(ControlFlow::Break(causes));
        }
    }
    applied.counts.rollups = batch.rollups.written();
    Ok(ControlFlow::Continue(applied))
}

/// The requests that took out extremes which would cost too much to find again, by their places, each with the rollups that it
/// took them from.
pub type Causes = BTreeMap<usize, BTreeSet<RollupKey>>;

/// Who took out what is wanted: all requests with an event whose stored content holds a lost extreme. Both lists are
/// ordered by key.
fn causes(wanted: &[Wanted], events: &[Posted<'_>], stored: &[Event]) -> Causes {
    let mut by_hour: BTreeMap<_, Vec<&Wanted>> = BTreeMap::new();
    for wanted in wanted {
        by_hour.entry((wanted.key.date, wanted.key.metrics, wanted.hour)).or_default().push(wanted);
    }
    let mut causes = Causes::new();
    let mut stored = stored.iter().peekable();
    for events in events.chunk_by(|a, b| a.key == b.key) {
        let Some(before) = stored.next_if(|stored| stored.key() == events[0].key) else { continue };
        for gone in before.contributions().iter().flatten() {
            let Partition { date, metrics, choice } = gone.partition;
            let of_hour = by_hour.get(&(date, metrics, gone.hour)).into_iter().flatten();
            let of_choice = of_hour.filter(|wanted| [Scope::All, Scope::Choice(choice)].contains(&wanted.key.scope));
            for wanted in of_choice.filter(|wanted| wanted.is_held_by(&gone.observations)) {
                for posted in events {
                    causes.entry(posted.request).or_default().insert(wanted.key);
                }
            }
        }
    }
    causes
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
struct Moved<'a> {
    extremes: &'a mut ExtremesCache,
    budget: &'a mut Budget,
    /// What would cost too much to find.
    wanted: Vec<Wanted>,
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
    /// The id of an event that something was taken out with.
    near: u64,
}

impl Difference {
    fn merge(&mut self, other: &Self) {
        self.removed.merge(&other.removed);
        self.added.merge(&other.added);
        self.near = self.near.max(other.near);
    }
}

impl<'a> Moved<'a> {
    fn new(extremes: &'a mut ExtremesCache, budget: &'a mut Budget) -> Self {
        Self {
            extremes,
            budget,
            wanted: Vec::new(),
            partition: None,
            difference: Difference::default(),
            later: BTreeMap::new(),
            totals: BTreeMap::new(),
        }
    }

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
        let id = after.key().id;
        for gone in gone.iter().flatten() {
            let difference = self.difference(gone.partition);
            difference.removed.hour_mut(gone.hour).fold(gone);
            difference.near = id;
        }
        for come in come.iter().flatten() {
            self.difference(come.partition).added.hour_mut(come.hour).fold(come);
        }
        // Added first, as in one partition.
        for (come, is_added) in come.iter().zip([true; 2]).chain(gone.iter().zip([false; 2])) {
            if let Some(observed) = come.as_ref().filter(|it| it.observations != [None; DISTRIBUTIONS]) {
                let observer = Some((observed.hour, &ranges_of(observed)));
                let (removed, added) = if is_added { (None, observer) } else { (observer, None) };
                self.extremes.replace(observed.partition.rollup(), id, removed, added);
            }
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
        let observer = Observer::new(partition, &rollup, difference, self.extremes);
        let is_new = rollup.is_empty() && difference.removed.is_empty();
        if is_new || rollup.apply(&difference.removed, &difference.added).is_empty() {
            let rollup = if is_new { &difference.added } else { &rollup };
            rollups.put(partition.rollup(), rollup)?;
            observer.replace(rollup, self.extremes);
            self.totals.entry((partition.metrics, partition.date)).or_default().merge(difference);
        } else {
            self.later.entry(partition).or_default().merge(difference);
        }
        difference.removed.clear();
        difference.added.clear();
        Ok(())
    }

    /// Folds what was put off, then what became of all choices together. Returns how many hours lost an extreme; breaks off
    /// with all that would cost too much to find, of which nothing is stored.
    fn finish(mut self, batch: &mut Batch<'_>) -> Result<ControlFlow<Vec<Wanted>, u64>, StoreError> {
        self.fold_partition(&mut batch.rollups)?;
        let mut recomputed = 0;
        for (partition, difference) in std::mem::take(&mut self.later) {
            self.totals.entry((partition.metrics, partition.date)).or_default().merge(&difference);
            let rollup = batch.rollups.get(partition.rollup())?;
            let observer = Observer::new(partition, &rollup, &difference, self.extremes);
            let (rollup, lost) = self.fold(batch, partition.rollup(), rollup, &difference)?;
            batch.rollups.put(partition.rollup(), &rollup)?;
            observer.replace(&rollup, self.extremes);
            recomputed += lost;
        }
        for ((metrics, date), difference) in std::mem::take(&mut self.totals) {
            let key = RollupKey { metrics, scope: Scope::All, date };
            let rollup = batch.rollups.get(key)?;
            // Choices are no events: nothing is near.
            let (rollup, lost) = self.fold(batch, key, rollup, &Difference { near: 0, ..difference })?;
            batch.rollups.put(key, &rollup)?;
            recomputed += lost;
        }
        if self.wanted.is_empty() { Ok(ControlFlow::Continue(recomputed)) } else { Ok(ControlFlow::Break(self.wanted)) }
    }

    /// Folds a difference into a rollup, and finds the extremes that this took away. Returns how many hours lost any.
    fn fold(
        &mut self,
        batch: &mut Batch<'_>,
        key: RollupKey,
        mut rollup: Rollup,
        difference: &Difference,
    ) -> Result<(Rollup, u64), StoreError> {
        let lost = rollup.apply(&difference.removed, &difference.added);
        for &(hour, extremes) in &lost {
            let (of, hour) = ((key, hour), rollup.hour_mut(hour));
            self.wanted.extend(self.extremes.find(batch, of, extremes, hour, difference.near, self.budget)?);
        }
        Ok((rollup, lost.len() as u64))
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
    fn new(partition: Partition, rollup: &Rollup, difference: &Difference, extremes: &ExtremesCache) -> Self {
        let key = RollupKey { scope: Scope::All, ..partition.rollup() };
        let mut before = Vec::new();
        if extremes.knows(key) {
            let hours = difference.removed.hour_bits() | difference.added.hour_bits();
            let changed = (0..24_u8).filter(|hour| hours >> hour & 1 == 1);
            before.extend(changed.map(|hour| (hour, ranges_in(rollup, hour))));
        }
        Self { key, id: partition.choice.get(), before }
    }

    /// Puts it as it is now in its place.
    fn replace(self, rollup: &Rollup, extremes: &mut ExtremesCache) {
        for (hour, before) in self.before {
            let after = ranges_in(rollup, hour);
            if after != before {
                extremes.replace(self.key, self.id, Some((hour, &before)), Some((hour, &after)));
            }
        }
    }
}

/// The extremes of an hour, whether it exists or not.
fn ranges_in(rollup: &Rollup, hour: u8) -> Ranges {
    rollup.hour(hour).map_or([None; DISTRIBUTIONS], Aggregate::ranges)
}
