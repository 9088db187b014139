//! Expiry: deletes data that is older than the settings of `[retention]` allow.
//!
//! A day is forgotten as a whole. First one small commit moves a mark, which hides the day. Then the day's rows are deleted in
//! small steps between requests. The numbers of forgotten events stay in the rollups. Such events can no longer be corrected, and
//! posting one again would count it twice, so it is refused. Events are refused a day before their day is forgotten, so a
//! request that was checked before midnight still finds the stored events.
//!
//! [`RetentionGuard`] decides which days are forgotten. A mark moves only past days that had something to delete. So a mark says
//! what was forgotten, and not what the clock or the settings said at some time.
//!
//! Not here: opening forgotten days again (`worker::reopen`).

mod guard;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::store::{EventCursor, RetentionMarks, Store, StoreError};
use crate::time::Date;

pub use crate::store::Retention;
pub use guard::{Decision, RetentionGuard};

/// How many blocks of events a step deletes: some ten milliseconds.
const STEP_BLOCKS: usize = 256;
/// How many rollups a step deletes.
const STEP_ROLLUPS: usize = 2_000;

/// The pause between steps while there is more to delete.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);
/// The pause between checks whether there is something to delete.
const BETWEEN_LOOKS: Duration = Duration::from_mins(1);

/// The counts of what a step deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// The number of events.
    pub events: u64,
    /// The number of rollups, of a choice or of all.
    pub rollups: u64,
}

/// Deletes data that is too old, step by step.
#[derive(Debug)]
pub struct Expiry {
    guard: Arc<RetentionGuard>,
    /// When the next step is due.
    due: Instant,
    /// Whether there may be something to delete.
    pending: bool,
    /// The cut-offs of the last step.
    cut_offs: Option<RetentionMarks>,
    /// The cursor of the scan through the events without a partition; `None` when the scan is done.
    unended: Option<EventCursor>,
    /// How often another server had written at the last look.
    changes_of_others: u64,
}

impl Expiry {
    /// An expiry that deletes what the guard allows.
    pub fn new(guard: Arc<RetentionGuard>) -> Self {
        let unended = Some(EventCursor::start(None));
        Self { guard, due: Instant::now(), pending: true, cut_offs: None, unended, changes_of_others: 0 }
    }

    /// The time until the next step.
    pub fn wait(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Does the next step, and returns what it deleted.
    pub fn step(&mut self, store: &Store) -> Result<Removed, StoreError> {
        let result = self.try_step(store);
        let pause = if self.pending && result.is_ok() { BETWEEN_STEPS } else { BETWEEN_LOOKS };
        self.due = Instant::now() + pause;
        result
    }

    /// Waits as long as after a step that failed.
    pub(super) fn postpone(&mut self) {
        self.due = Instant::now() + BETWEEN_LOOKS;
    }

    /// Whether there is nothing to delete at the moment.
    pub fn is_done(&self) -> bool {
        !self.pending
    }

    /// Stores the guard's record of the clock for the next start.
    pub fn record(&self, store: &Store) -> Result<(), StoreError> {
        let Some(record) = self.guard.record() else { return Ok(()) };
        store.write(|transaction| {
            transaction.record_retention(&record);
            Ok(())
        })?;
        self.guard.recorded();
        Ok(())
    }

    fn try_step(&mut self, store: &Store) -> Result<Removed, StoreError> {
        let snapshot = store.snapshot_of_writer()?;
        let changes = store.changes_of_others();
        let have_others_written = std::mem::replace(&mut self.changes_of_others, changes) != changes;
        let Decision { cut_offs, record } = self.guard.look(&snapshot, have_others_written)?;
        let (before, kept) = (snapshot.kept(), snapshot.marks(cut_offs)?);
        drop(snapshot);
        if self.cut_offs.is_none() && before.events_from > self.guard.now().date().plus_days(1) {
            tracing::warn!(
                "events of days before {} are refused, since a clock that was ahead deleted or hid them; `scale-metrics expire \
                 --reopen` opens days again",
                before.events_from,
            );
        }
        if self.cut_offs != Some(cut_offs) {
            self.cut_offs = Some(cut_offs);
            self.pending = true;
            self.unended = Some(EventCursor::start(None));
        }
        // A mark moves only to hide days whose events are stored, and it moves once for them.
        self.pending &= cut_offs.events_from > Date::MIN;
        self.pending |= kept != before;
        if !self.pending && record.is_none() {
            return Ok(Removed::default());
        }
        let step = store.write(|transaction| {
            // Another server may have opened days again meanwhile. The next step looks anew.
            if store.changes_of_others() != changes {
                return Ok(None);
            }
            if let Some(record) = record {
                transaction.record_retention(&record);
            }
            if !self.pending {
                return Ok(Some((Removed::default(), self.unended)));
            }
            if kept != before {
                transaction.keep(kept);
            }
            // Rows between a cut-off and a mark were hidden by another clock or other settings. They stay.
            let mut taken = Removed {
                events: transaction.remove_events(cut_offs.events_from, STEP_BLOCKS)?,
                rollups: transaction.remove_rollups(cut_offs.rollups_from, STEP_ROLLUPS)?,
            };
            let mut unended = self.unended;
            if let (0, Some(from)) = (taken.events, unended) {
                (taken.events, unended) = transaction.remove_unpartitioned(from, cut_offs.events_from, STEP_BLOCKS)?;
            }
            Ok(Some((taken, unended)))
        })?;
        let Some((taken, unended)) = step else {
            self.pending = true;
            return Ok(Removed::default());
        };
        if record.is_some() {
            self.guard.recorded();
        }
        self.unended = unended;
        self.pending &= taken != Removed::default() || unended.is_some();
        Ok(taken)
    }
}
