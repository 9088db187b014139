//! Rebuild: computes the rollups of a day anew from its events, to check or to repair them.
//!
//! A heavy day takes seconds, and the rollup task is the only writer. So a [`Rebuild`] works in slices, and other requests
//! commit between them. It reads the events in the order of their blocks. If a commit changes events that were read already,
//! the rebuild gets these changes in a [`Journal`] and applies them. Changes of events that it has yet to read are found when
//! it gets there. So the computed sums are always those of the stored events that the rebuild has passed. Then the rebuild
//! compares the rollups, in slices, too. Nothing has to be compared twice, because a commit keeps a right rollup right. At the
//! end it stores the rollups that are wrong, those of choices first, then those of all choices together.
//!
//! An applied change may lose an extreme, as in a commit. The extreme is found again in the same way (`extremes`).
//!
//! The changes of another server are in no journal, so after its commit the rebuild begins anew. If that happens again and again,
//! the rebuild is done in one transaction, during which nobody else can write.
//!
//! Not here: which days there are (`api::admin`, `commands::check`), when slices run (`RollupTask`).

use std::collections::{BTreeMap, BTreeSet};

use super::extremes::{ExtremesCache, ReadAllowance};
use crate::events::{Contribution, Event};
use crate::rollup::{LostExtremes, Rollup, RollupKey, RollupScope};
use crate::store::{
    BLOCKS_AT_ONCE, Corrupt, EventCursor, Indexed, Observers, Snapshot, Store, StoreError, StoredEvents, Transaction,
};
use crate::time::Date;
use crate::vocabulary::{ChoiceId, MetricsTypeId};

/// The cost of a block of events, in the unit of [`super::extremes::Limits`]: all its events are counted twice and looked up.
const BLOCK_COST: usize = 128;
/// The cost of comparing a rollup, in the same unit.
const ROLLUP_COST: usize = 16;
/// The cost of a step when no other work waits: so much that the start of each step does not matter.
const WHOLE: usize = 1 << 22;
/// How often a rebuild begins anew before it makes all others wait.
const MOST_RESTARTS: u32 = 5;

/// The result of examining one day.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// The number of events.
    pub events: u64,
    /// The number of events whose location in the index is wrong or missing.
    pub unindexed: u64,
    /// The number of events in a block whose lower bound does not fit them, so that no lookup finds them.
    pub misplaced: u64,
    /// The number of rollups that there should be.
    pub rollups: u64,
    /// The rollups that differed from the sums of the events, ordered, each with the hours that differed. In a damaged rollup,
    /// all hours that there should be differ.
    pub wrong: Vec<(RollupKey, Vec<u8>)>,
}

/// The changes that a commit makes to the events of a day.
#[derive(Debug)]
pub struct Journal {
    day: Option<Date>,
    /// The events, and whether each is added (`true`) or removed.
    changes: Vec<(bool, Event)>,
}

impl Journal {
    /// Records that one event replaces another, is new, or is deleted.
    pub fn note(&mut self, before: Option<&Event>, after: Option<&Event>) {
        for (is_added, event) in [(false, before), (true, after)] {
            if let Some(event) = event.filter(|event| event.partition().map(|home| home.date) == self.day) {
                self.changes.push((is_added, event.clone()));
            }
        }
    }
}

/// The rebuild of one day.
#[derive(Debug)]
pub struct Rebuild {
    day: Option<Date>,
    repair: bool,
    phase: Phase,
    /// The sums of the events that were read so far.
    sums: BTreeMap<RollupKey, Sum>,
    /// The result so far; wrong rollups are in the order of choices.
    examined: Examined,
    /// The rollup whose observers are being read, and the id to continue from.
    reading: Option<(RollupKey, u64)>,
    /// The rollups whose observers were read.
    read: BTreeSet<RollupKey>,
    /// How often it began anew.
    restarts: u32,
}

/// The phase of a rebuild.
#[derive(Debug)]
enum Phase {
    /// Reads events, from this cursor on.
    Events(EventCursor),
    /// Compares the rollups of choices, from this number on.
    Choices(u64),
    /// Compares the rollups of all choices together.
    All,
    /// There is nothing more to do.
    Done,
}

/// A rollup that is being computed.
#[derive(Debug, Default)]
struct Sum {
    rollup: Rollup,
    /// The unknown extremes, by hour.
    lost: BTreeMap<u8, LostExtremes>,
}

impl Sum {
    fn apply(&mut self, removed: &Rollup, added: &Rollup) {
        for (hour, lost) in self.rollup.apply(removed, added) {
            let all = self.lost.entry(hour).or_default();
            *all = all.union(lost);
        }
    }

    /// Finds the unknown extremes. Returns whether the allowance was enough.
    fn find(
        &mut self,
        key: RollupKey,
        observers: &mut impl Observers,
        extremes: &mut ExtremesCache,
        allowance: &mut ReadAllowance,
    ) -> Result<bool, StoreError> {
        while let Some((&hour, &lost)) = self.lost.first_key_value() {
            if self.rollup.hour(hour).is_some() {
                let aggregate = self.rollup.hour_mut(hour);
                if extremes.find(observers, (key, hour), lost, aggregate, 0, allowance)?.is_some() {
                    return Ok(false);
                }
            }
            self.lost.remove(&hour);
        }
        Ok(true)
    }
}

impl Rebuild {
    /// A rebuild of the rollups of a day; `None` stands for the events without a day, which have no rollups. If `repair`, it
    /// stores the rollups that are wrong.
    pub fn new(day: Option<Date>, repair: bool) -> Self {
        Self {
            day,
            repair,
            phase: Phase::Events(EventCursor::start(day)),
            sums: BTreeMap::new(),
            examined: Examined::default(),
            reading: None,
            read: BTreeSet::new(),
            restarts: 0,
        }
    }

    /// Begins anew, since what it has read may be outdated.
    pub fn restart(&mut self) {
        *self = Self { restarts: self.restarts + 1, ..Self::new(self.day, self.repair) };
    }

    /// A journal for the changes of the next commit. The caller passes it to [`follow`](Self::follow) only if the commit took
    /// effect.
    pub fn journal(&self) -> Journal {
        Journal { day: self.day, changes: Vec::new() }
    }

    /// Applies the changes of a commit.
    pub fn follow(&mut self, journal: Journal) {
        for (is_added, event) in journal.changes {
            if let Phase::Events(cursor) = &self.phase
                && !cursor.has_passed(&event)
            {
                continue;
            }
            self.examined.events = self.examined.events.wrapping_add_signed(if is_added { 1 } else { -1 });
            for contribution in event.contributions().iter().flatten() {
                let (nothing, mut one) = (Rollup::default(), Rollup::default());
                one.hour_mut(contribution.hour).fold(contribution);
                let (removed, added) = if is_added { (&nothing, &one) } else { (&one, &nothing) };
                for key in keys_of(contribution) {
                    self.sums.entry(key).or_default().apply(removed, added);
                }
            }
        }
    }

    /// Does one slice, up to a cost. Returns the result when the rebuild is done. The snapshot is that of the writer, and no other
    /// thread of this process writes during the slice. A day whose events are forgotten stays unchanged.
    pub fn slice(
        &mut self,
        store: &Store,
        snapshot: Snapshot,
        extremes: &mut ExtremesCache,
        most_cost: usize,
    ) -> Result<Option<Examined>, StoreError> {
        if self.restarts > MOST_RESTARTS {
            drop(snapshot);
            extremes.clear();
            return self.run_alone(store).map(Some);
        }
        let changes = store.changes_of_others();
        let wrong = self.step(&snapshot, &mut &snapshot, extremes, most_cost)?;
        drop(snapshot);
        if self.repair && !wrong.is_empty() {
            let mut transaction = store.begin()?;
            if store.changes_of_others() != changes {
                self.restart();
                return Ok(None);
            }
            let repaired = self.put(&wrong, &mut transaction, extremes).and_then(|()| transaction.commit());
            // The rollups of choices are observers, too.
            extremes.clear();
            repaired?;
        }
        Ok(self.result())
    }

    /// Does everything in one transaction. All other writers wait.
    fn run_alone(&mut self, store: &Store) -> Result<Examined, StoreError> {
        let mut transaction = store.begin()?;
        let snapshot = store.snapshot()?;
        self.restart();
        let examined = self.run_in(&mut transaction, &snapshot)?;
        transaction.commit()?;
        Ok(examined)
    }

    /// Does everything in a transaction, which began with the state of the snapshot.
    fn run_in(&mut self, transaction: &mut Transaction<'_>, snapshot: &Snapshot) -> Result<Examined, StoreError> {
        let mut extremes = ExtremesCache::default();
        loop {
            let wrong = self.step(snapshot, transaction, &mut extremes, WHOLE)?;
            transaction.keep_turn()?;
            if self.repair {
                self.put(&wrong, transaction, &mut extremes)?;
                extremes.clear();
            }
            if let Some(examined) = self.result() {
                return Ok(examined);
            }
        }
    }

    /// Reads and compares, up to a cost. Returns the rollups that are wrong, at the end of a phase.
    fn step(
        &mut self,
        snapshot: &Snapshot,
        observers: &mut impl Observers,
        extremes: &mut ExtremesCache,
        most_cost: usize,
    ) -> Result<Vec<RollupKey>, StoreError> {
        if self.day.is_some_and(|date| date < snapshot.kept().events_from) {
            *self = Self { phase: Phase::Done, ..Self::new(self.day, self.repair) };
        }
        match self.phase {
            Phase::Events(cursor) => {
                let next = self.read_events(snapshot, cursor, most_cost / BLOCK_COST)?;
                self.phase = next.map_or(Phase::Choices(0), Phase::Events);
            }
            Phase::Choices(from) => {
                let next = self.compare_choices(snapshot, observers, from, extremes, most_cost)?;
                extremes.keep();
                if let Some(next) = next {
                    self.phase = Phase::Choices(next);
                } else {
                    self.phase = Phase::All;
                    return Ok(self.wrong(|scope| scope != RollupScope::All));
                }
            }
            Phase::All => {
                let is_done = self.compare_all(snapshot, observers, extremes, most_cost)?;
                extremes.keep();
                if is_done {
                    self.phase = Phase::Done;
                    return Ok(self.wrong(|scope| scope == RollupScope::All));
                }
            }
            Phase::Done => {}
        }
        Ok(Vec::new())
    }

    /// The result, if everything is done.
    fn result(&mut self) -> Option<Examined> {
        if !matches!(self.phase, Phase::Done) {
            return None;
        }
        let mut examined = std::mem::take(&mut self.examined);
        examined.rollups = self.sums.values().filter(|sum| !sum.rollup.is_empty()).count() as u64;
        examined.wrong.sort_unstable();
        Some(examined)
    }

    fn read_events(
        &mut self,
        snapshot: &Snapshot,
        from: EventCursor,
        most_blocks: usize,
    ) -> Result<Option<EventCursor>, StoreError> {
        let StoredEvents { events, misplaced, next } =
            snapshot.events_from(self.day, from, most_blocks.clamp(1, BLOCKS_AT_ONCE))?;
        for contribution in events.iter().flat_map(Event::contributions).flatten() {
            for key in keys_of(&contribution) {
                self.sums.entry(key).or_default().rollup.hour_mut(contribution.hour).fold(&contribution);
            }
        }
        self.examined.events += events.len() as u64;
        self.examined.misplaced += misplaced;
        let indexed = snapshot.look_up_index(&events)?;
        self.examined.unindexed += indexed.into_iter().filter(|indexed| *indexed != Ok(Indexed::Here)).count() as u64;
        Ok(next)
    }

    /// Compares the rollups of choices from a number on. Returns the number to continue from, if any is left.
    fn compare_choices(
        &mut self,
        snapshot: &Snapshot,
        observers: &mut impl Observers,
        from: u64,
        extremes: &mut ExtremesCache,
        most_cost: usize,
    ) -> Result<Option<u64>, StoreError> {
        let Some(date) = self.day else { return Ok(None) };
        let most = (most_cost / ROLLUP_COST).max(1);
        let (stored, next) = snapshot.rollups_from(date, from, most)?;
        let mut keys: BTreeSet<(ChoiceId, MetricsTypeId)> = BTreeSet::new();
        let expected = self.sums.keys().chain(stored.keys());
        keys.extend(expected.filter_map(|key| match key.scope {
            RollupScope::Choice(choice) if choice.get() >= from && next.is_none_or(|next| choice.get() < next) => {
                Some((choice, key.metrics))
            }
            RollupScope::Choice(_) | RollupScope::All => None,
        }));
        let mut left = most_cost;
        for (choice, metrics) in keys {
            let key = RollupKey { date, metrics, scope: RollupScope::Choice(choice) };
            if self.is_compared(key) {
                continue;
            }
            if !self.compare(key, stored.get(&key), observers, extremes, &mut left)? {
                return Ok(Some(from));
            }
        }
        Ok(next)
    }

    /// Compares the rollups of all choices together. Returns whether all are compared.
    fn compare_all(
        &mut self,
        snapshot: &Snapshot,
        observers: &mut impl Observers,
        extremes: &mut ExtremesCache,
        most_cost: usize,
    ) -> Result<bool, StoreError> {
        let Some(date) = self.day else { return Ok(true) };
        let stored = snapshot.totals_of(date)?;
        let of_all = self.sums.keys().filter(|key| key.scope == RollupScope::All).copied();
        let keys: BTreeSet<_> = of_all.chain(stored.keys().copied()).collect();
        let mut left = most_cost;
        for key in keys {
            if !self.is_compared(key) && !self.compare(key, stored.get(&key), observers, extremes, &mut left)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether an earlier slice that broke off found this rollup wrong already.
    fn is_compared(&self, key: RollupKey) -> bool {
        self.examined.wrong.iter().any(|(wrong, _)| *wrong == key)
    }

    /// Compares a rollup with the stored one, which may be damaged. Returns whether that was possible; if not, its observers have
    /// to be read first.
    fn compare(
        &mut self,
        key: RollupKey,
        stored: Option<&Result<Rollup, Corrupt>>,
        observers: &mut impl Observers,
        extremes: &mut ExtremesCache,
        left: &mut usize,
    ) -> Result<bool, StoreError> {
        let sum = self.sums.entry(key).or_default();
        if let Some((_, from)) = self.reading.filter(|(reading, _)| *reading == key) {
            self.reading = extremes.read(observers, key, from, left)?.map(|next| (key, next));
            if self.reading.is_some() {
                return Ok(false);
            }
            self.read.insert(key);
        }
        let mut allowance = ReadAllowance::new(*left, 0, self.read.clone());
        if !sum.find(key, observers, extremes, &mut allowance)? {
            self.reading = Some((key, 0));
            return Ok(false);
        }
        let (nothing, is_damaged) = (Rollup::default(), stored.is_some_and(Result::is_err));
        let stored = stored.and_then(|stored| stored.as_ref().ok()).unwrap_or(&nothing);
        if is_damaged || sum.rollup != *stored {
            let hours = (0..24).filter(|&hour| sum.rollup.hour(hour) != stored.hour(hour)).collect();
            self.examined.wrong.push((key, hours));
        }
        Ok(true)
    }

    fn wrong(&self, of: impl Fn(RollupScope) -> bool) -> Vec<RollupKey> {
        self.examined.wrong.iter().map(|(key, _)| *key).filter(|key| of(key.scope)).collect()
    }

    /// Stores the computed rollups of these keys.
    fn put(
        &mut self,
        keys: &[RollupKey],
        transaction: &mut Transaction<'_>,
        extremes: &mut ExtremesCache,
    ) -> Result<(), StoreError> {
        for &key in keys {
            let sum = self.sums.entry(key).or_default();
            sum.find(key, transaction, extremes, &mut ReadAllowance::unlimited())?;
            transaction.replace_rollup(key, &sum.rollup);
        }
        Ok(())
    }
}

/// The rollup of the contribution's partition, and the rollup of all choices together.
fn keys_of(contribution: &Contribution) -> [RollupKey; 2] {
    let key = contribution.partition.rollup();
    [key, RollupKey { scope: RollupScope::All, ..key }]
}

/// Compares the rollups of a day with its events in one state.
pub fn examine(snapshot: &Snapshot, day: Option<Date>) -> Result<Examined, StoreError> {
    let (mut rebuild, mut extremes) = (Rebuild::new(day, false), ExtremesCache::default());
    loop {
        rebuild.step(snapshot, &mut &*snapshot, &mut extremes, WHOLE)?;
        if let Some(examined) = rebuild.result() {
            return Ok(examined);
        }
    }
}

/// Compares the rollups of a day with its events in a snapshot, and stores those that are wrong, in a transaction that began with the
/// same state. A rollup whose histograms are unknown is wrong.
pub fn repair_in(transaction: &mut Transaction<'_>, snapshot: &Snapshot, day: Date) -> Result<Examined, StoreError> {
    Rebuild::new(Some(day), true).run_in(transaction, snapshot)
}

/// Compares the rollups of a day with its events, and stores those that are wrong, in one transaction.
pub fn repair(store: &Store, day: Option<Date>) -> Result<Examined, StoreError> {
    Rebuild::new(day, true).run_alone(store)
}
