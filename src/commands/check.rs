//! `check`: verifies that everything in the database is consistent.
//!
//! First, the database verifies its file. Then, date by date, the check computes every rollup anew from the events and compares
//! it with the stored one, looks up every event in the index, and compares the ids in every block with its key. Blocks are read
//! one by one, so the check needs the memory of the rollups of one date at a time. Days whose events are forgotten cannot be
//! checked. Damaged data is reported, and the rest is still checked.
//!
//! Everything is read from one state, so servers that share the database may go on writing meanwhile. `--repair` then computes each
//! day that is wrong anew, in one transaction, during which nobody else can write; so it does with a wrong index.

use std::fmt;

use anyhow::Context as _;

use super::open_store::open_store;
use super::output::print;
use super::progress::{Progress, Unit};
use crate::config::StorageConfig;
use crate::rollup::{RollupKey, RollupScope};
use crate::store::{Corrupt, EventCursor, Store, StoreError};
use crate::time::Date;
use crate::worker::rebuild::{examine, repair};

/// The result of a check.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of events.
    pub events: u64,
    /// The number of rollups that there should be.
    pub rollups: u64,
    /// The problems that were found.
    pub problems: Vec<Problem>,
}

/// An inconsistency in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The database found its file damaged, and repaired it as far as possible.
    File,
    /// A rollup differs from the sum of its events. It can be rebuilt.
    Rollup {
        /// The key of the rollup.
        key: RollupKey,
        /// The hours that differ.
        hours: Vec<u8>,
    },
    /// The number of events that the index does not find where they are stored.
    NotIndexed(u64),
    /// How many more events the index names than there are.
    IndexedTooMany(u64),
    /// The events of a day, or those without a day, cannot be read. Only a backup has them.
    Damaged {
        /// The day.
        day: Option<Date>,
        /// The data that cannot be read.
        damage: Corrupt,
    },
    /// The number of events in blocks whose lower bounds say that the events are elsewhere. No post can replace such an event.
    Misplaced(u64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the file was damaged; the database mended it as far as it could"),
            Self::Rollup { key, hours } => {
                write!(f, "{} of {}, ", key.metrics.describe().name, key.date)?;
                match key.scope {
                    RollupScope::All => f.write_str("all choices")?,
                    RollupScope::Choice(choice) => write!(f, "choice {}", choice.get())?,
                }
                if hours.is_empty() {
                    return f.write_str(": the rollup is damaged, and there are no events");
                }
                let hours: Vec<_> = hours.iter().map(ToString::to_string).collect();
                write!(f, ": the rollup is not what the events add up to, in the hours {}", hours.join(", "))
            }
            Self::NotIndexed(count) => write!(f, "{count} events are not where the index says"),
            Self::IndexedTooMany(count) => write!(f, "the index names {count} events that are not there"),
            Self::Damaged { day, damage } => {
                match day {
                    Some(day) => write!(f, "the events of {day}")?,
                    None => f.write_str("the events that have not ended")?,
                }
                write!(f, " cannot be read ({damage}); restore a backup")
            }
            Self::Misplaced(count) => write!(
                f,
                "{count} events are in blocks that they do not belong into, so that they cannot be replaced; \
                 export everything and import it into a new directory"
            ),
        }
    }
}

impl Problem {
    fn is_of_index(&self) -> bool {
        matches!(self, Self::NotIndexed(_) | Self::IndexedTooMany(_))
    }

    fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

/// Checks everything that is stored. If `is_repair`, it stores the rollups that the events add up to, and a new index.
pub fn run(store: &Store, is_repair: bool) -> Result<Report, StoreError> {
    let mut report = Report::default();
    if !store.verify()? {
        report.problems.push(Problem::File);
    }
    let snapshot = store.snapshot()?;
    let events_from = snapshot.kept().events_from;
    let days: Vec<_> = [None].into_iter().chain(snapshot.dates()?.range(events_from..).copied().map(Some)).collect();
    let mut progress = Progress::new(Some(days.len() as u64), Unit::Count);
    let (mut events, mut lost, mut misplaced) = (0, 0, 0);
    for (done, &day) in days.iter().enumerate() {
        progress.set(done as u64, || format!("checked {events} events"));
        let examined = match examine(&snapshot, day) {
            Ok(examined) => examined,
            Err(StoreError::Corrupt(damage)) => {
                report.problems.push(Problem::Damaged { day, damage });
                continue;
            }
            Err(error) => return Err(error),
        };
        events += examined.events;
        lost += examined.unindexed;
        misplaced += examined.misplaced;
        report.rollups += examined.rollups;
        if is_repair && !examined.wrong.is_empty() {
            repair(store, day)?;
        }
        report.problems.extend(examined.wrong.into_iter().map(|(key, hours)| Problem::Rollup { key, hours }));
    }
    report.events = events;
    if misplaced > 0 {
        report.problems.push(Problem::Misplaced(misplaced));
    }
    if lost > 0 {
        report.problems.push(Problem::NotIndexed(lost));
    }
    if report.problems.iter().any(Problem::is_damage) {
        // The number of events that the index should name is unknown, and the index cannot be rebuilt.
        return Ok(report);
    }
    let indexed = snapshot.indexed()?;
    if indexed > events {
        report.problems.push(Problem::IndexedTooMany(indexed - events));
    }
    if is_repair && report.problems.iter().any(Problem::is_of_index) {
        rebuild_index(store, events_from)?;
    }
    Ok(report)
}

/// How many blocks of events are in memory while the index is rebuilt: some 50 MB.
const INDEXED_BLOCKS: usize = 1_024;

/// Rebuilds the index in one transaction.
fn rebuild_index(store: &Store, events_from: Date) -> Result<(), StoreError> {
    store.write(|transaction| {
        let snapshot = store.snapshot()?;
        transaction.clear_index()?;
        for day in [None].into_iter().chain(snapshot.dates()?.range(events_from..).copied().map(Some)) {
            let mut from = Some(EventCursor::start(day));
            while let Some(next) = from {
                let mut found = snapshot.events_from(day, next, INDEXED_BLOCKS)?;
                transaction.index(&mut found.events)?;
                from = found.next;
            }
        }
        Ok(())
    })
}

/// The command: checks, prints the problems, and fails if any is left.
pub(super) fn run_check(storage: &StorageConfig, is_repair: bool) -> anyhow::Result<()> {
    let store = open_store(storage)?;
    let report = run(&store, is_repair).context("the database cannot be read")?;
    store.close();
    for problem in &report.problems {
        let repaired = if is_repair { "repaired: " } else { "" };
        print(&format!("{repaired}{problem}"))?;
    }
    let Report { events, rollups, problems } = report;
    let noun = if problems.len() == 1 { "problem" } else { "problems" };
    print(&format!("checked {events} events and {rollups} rollups: {} {noun}", problems.len()))?;
    let left = if is_repair { 0 } else { problems.len() };
    anyhow::ensure!(left == 0, "{left} problems are left (hint: `check --repair` rebuilds rollups and index)");
    Ok(())
}
