//! `check`: verifies that everything in the database is consistent.
//!
//! First, the database verifies its file. Then, date by date, the check computes every rollup anew from the events and compares
//! it with the stored one, looks up every event in the index, and compares the ids in every block with its key. Blocks are read
//! one by one, so the check needs the memory of the rollups of one date at a time. Days whose events are forgotten cannot be
//! checked. Damaged data is reported, and the rest is still checked.

use std::fmt;

use anyhow::Context as _;

use super::directory::open_store;
use super::output::print;
use super::progress::{Progress, Unit};
use crate::config::Config;
use crate::rollup::{RollupKey, RollupScope};
use crate::store::{Corrupt, EventCursor, Store, StoreError};
use crate::time::Date;
use crate::worker::rebuild::rebuild;

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

/// Checks everything that is stored. With `repair`, it stores the rollups that the events add up to, and a new index. Nobody else
/// may write meanwhile.
pub fn run(store: &Store, repair: bool) -> Result<Report, StoreError> {
    let mut report = Report::default();
    if !store.verify()? {
        report.problems.push(Problem::File);
    }
    let snapshot = store.snapshot()?;
    let events_from = snapshot.kept().events_from;
    let days: Vec<_> = [None].into_iter().chain(snapshot.dates()?.range(events_from..).copied().map(Some)).collect();
    drop(snapshot);
    let mut progress = Progress::new(Some(days.len() as u64), Unit::Count);
    let (mut events, mut lost, mut misplaced) = (0, 0, 0);
    for (done, &day) in days.iter().enumerate() {
        progress.set(done as u64, || format!("checked {events} events"));
        let examined = match rebuild(store, day, repair) {
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
    let indexed = store.snapshot()?.indexed()?;
    if indexed > events {
        report.problems.push(Problem::IndexedTooMany(indexed - events));
    }
    if repair && report.problems.iter().any(Problem::is_of_index) {
        rebuild_index(store, &days)?;
    }
    Ok(report)
}

/// How many blocks of events are in memory while the index is rebuilt: some 50 MB.
const INDEXED_BLOCKS: usize = 1_024;

/// Rebuilds the index. If the rebuild is interrupted, the next repair finds what is missing.
fn rebuild_index(store: &Store, days: &[Option<Date>]) -> Result<(), StoreError> {
    store.write(|transaction| {
        transaction.clear_index()?;
        Ok(())
    })?;
    for &day in days {
        let mut from = Some(EventCursor::start(day));
        while let Some(next) = from {
            let mut events = Vec::new();
            from = store.snapshot()?.events_from(day, next, INDEXED_BLOCKS, |event, _| {
                events.push(event.clone());
                Ok(())
            })?;
            store.write(|transaction| transaction.index(&mut events))?;
        }
    }
    Ok(())
}

/// The command: checks, prints the problems, and fails if any is left.
pub(super) fn run_check(config: &Config, repair: bool) -> anyhow::Result<()> {
    let store = open_store(config)?;
    let report = run(&store, repair).context("the database cannot be read")?;
    store.close();
    for problem in &report.problems {
        let repaired = if repair { "repaired: " } else { "" };
        print(&format!("{repaired}{problem}"))?;
    }
    let Report { events, rollups, problems } = report;
    print(&format!("checked {events} events and {rollups} rollups: {} problems", problems.len()))?;
    let left = if repair { 0 } else { problems.len() };
    anyhow::ensure!(left == 0, "{left} problems are left (hint: `check --repair` rebuilds rollups and index)");
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::rollup::Rollup;
    use crate::store::OpenOptions;
    use crate::vocabulary::{ChoiceId, MetricsTypeId};
    use crate::worker::commit::post;

    const EVENTS: &str = r#"
        {"kind": "job_type", "id": 1, "name": "a", "version": "1"}
        {"kind": "job_type", "id": 2, "name": "b", "version": "1"}
        {"kind": "error", "id": 5, "name": "lost", "category": "SYSTEM", "is_builtin": true}
        {"kind": "job", "id": 1, "job_type": 1, "status": "COMPLETED", "ended": "2015-01-01T01:00:00Z"}
        {"kind": "job", "id": 2, "job_type": 2, "status": "FAILED", "error": 5, "ended": "2015-01-01T02:00:00Z"}
        {"kind": "job", "id": 3, "job_type": 1, "status": "RUNNING"}
        {"kind": "job", "id": 700, "job_type": 1, "status": "CANCELED", "ended": "1970-01-01T00:00:00Z"}
        {"kind": "job_execution", "id": 1, "job_type": 1, "status": "COMPLETED",
            "started": "2015-01-01T00:10:00Z", "ended": "2015-01-01T01:00:00Z"}
        {"kind": "job_execution", "id": 2, "job_type": 2, "status": "FAILED", "error": 5, "ended": "2015-01-02T02:00:00Z"}
    "#;

    fn store() -> (TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), OpenOptions::verified(1 << 20)).unwrap();
        post(&store, &EVENTS.trim().replace(",\n", ", "));
        (directory, store)
    }

    fn key(metrics: MetricsTypeId, choice: Option<u64>, date: &str) -> RollupKey {
        let scope = choice.map_or(RollupScope::All, |id| RollupScope::Choice(ChoiceId::new(id).unwrap()));
        RollupKey { date: date.parse().unwrap(), metrics, scope }
    }

    #[test]
    fn what_fits_together_has_no_problems() {
        let (_directory, store) = store();
        let report = run(&store, false).unwrap();
        assert_eq!(report.problems, []);
        // Two job types and all on the first day of 2015, one and all in 1970, an error and all on the second day.
        assert_eq!((report.events, report.rollups), (6, 7));
    }

    #[test]
    fn rollups_that_differ_are_found_and_repaired() {
        let (_directory, store) = store();
        let jobs = MetricsTypeId::JobTypes;
        let wrong = key(jobs, Some(1), "2015-01-01");
        let missing = key(jobs, None, "1970-01-01");
        let too_many = key(MetricsTypeId::Ingests, Some(9), "2020-02-29");
        let before = store.snapshot().unwrap().rollups_of(wrong.date).unwrap();
        store
            .write(|transaction| {
                let mut rollup = before[&wrong].clone();
                rollup.hour_mut(1).counters[0] += 1;
                rollup.hour_mut(23).events += 1;
                transaction.replace_rollup(missing, &Rollup::default());
                transaction.replace_rollup(wrong, &rollup);
                transaction.replace_rollup(too_many, &rollup);
                Ok(())
            })
            .unwrap();
        let problem = |key, hours: &[u8]| Problem::Rollup { key, hours: hours.to_vec() };
        let expected = [problem(missing, &[0]), problem(wrong, &[1, 23]), problem(too_many, &[1, 23])];
        assert_eq!(run(&store, false).unwrap().problems, expected);
        assert_eq!(run(&store, true).unwrap().problems, expected);
        assert_eq!(run(&store, false).unwrap().problems, []);
        assert_eq!(store.snapshot().unwrap().rollups_of(wrong.date).unwrap(), before);
        assert_eq!(
            expected[1].to_string(),
            "job-types of 2015-01-01, choice 1: the rollup is not what the events add up to, in the hours 1, 23"
        );
    }

    #[test]
    fn damaged_rows_are_told_one_by_one_and_what_follows_from_events_is_repaired() {
        let (_directory, store) = store();
        let jobs = MetricsTypeId::JobTypes;
        let of_choice = key(jobs, Some(1), "2015-01-01");
        let of_all = key(jobs, None, "2015-01-01");
        let without_events = key(jobs, Some(9), "2015-01-02");
        let before = store.snapshot().unwrap().rollups_of(of_all.date).unwrap();
        store
            .write(|transaction| {
                for key in [of_choice, of_all, without_events] {
                    transaction.put_damaged_rollup(key);
                }
                transaction.damage_index()
            })
            .unwrap();
        let problem = |key, hours: &[u8]| Problem::Rollup { key, hours: hours.to_vec() };
        let expected = [
            problem(of_all, &[1, 2]),
            problem(of_choice, &[1]),
            problem(without_events, &[]),
            // Job 700 is on another page than the others.
            Problem::NotIndexed(5),
        ];
        assert_eq!(run(&store, false).unwrap().problems, expected);
        assert_eq!(run(&store, true).unwrap().problems, expected);
        assert_eq!(run(&store, false).unwrap().problems, []);
        assert_eq!(store.snapshot().unwrap().rollups_of(of_all.date).unwrap(), before);
        assert_eq!(
            expected[2].to_string(),
            "job-types of 2015-01-02, choice 9: the rollup is damaged, and there are no events"
        );
    }

    #[test]
    fn a_day_with_damaged_events_does_not_hide_what_is_wrong_elsewhere() {
        let (_directory, store) = store();
        let day: Date = "2015-01-01".parse().unwrap();
        let wrong = key(MetricsTypeId::Errors, Some(5), "2015-01-02");
        store
            .write(|transaction| {
                transaction.replace_rollup(wrong, &Rollup::default());
                transaction.damage_blocks(day)
            })
            .unwrap();
        for repair in [false, true] {
            let problems = run(&store, repair).unwrap().problems;
            let [Problem::Damaged { day: Some(found), .. }, Problem::Rollup { key, .. }] = &problems[..] else {
                panic!("{problems:?}");
            };
            assert_eq!((*found, *key), (day, wrong));
        }
        let problems = run(&store, false).unwrap().problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(
            problems[0].to_string(),
            "the events of 2015-01-01 cannot be read (stored data is damaged: a record is too short); restore a backup"
        );
    }
}
