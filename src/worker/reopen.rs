//! Reopening: makes forgotten days visible again, after a wrong clock or wrong settings.
//!
//! A mark says that days before it are forgotten. Moving it back is safe for a day without numbers, and for a day whose events
//! are all still in the file: both are then as if they had never been forgotten. It is not safe for a day whose numbers come from
//! events that are gone: if a client posted those events again, they would count twice. So opening such a day computes its
//! numbers anew from the events that are left, and an operator has to ask for it.
//!
//! Not here: when days are forgotten (`worker::retention`).

use std::collections::{BTreeMap, BTreeSet};

use crate::events::{Event, EventKey};
use crate::rollup::{Rollup, RollupKey, RollupScope};
use crate::store::{BLOCKS_AT_ONCE, EventCursor, Indexed, Retention, RetentionMarks, Snapshot, Store, StoreError};
use crate::time::Date;

/// The effects of opening some days again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reopening {
    /// The number of events that become visible again.
    pub events: u64,
    /// The number of their days.
    pub event_days: u64,
    /// The days whose numbers come from events that are gone. Their numbers are computed anew from the events that are left.
    pub lossy_days: Vec<Date>,
    /// The number of earlier days whose numbers become visible again, without their events.
    pub rollup_days: u64,
}

/// The effects of opening one forgotten day.
struct Day {
    /// How many events become visible again.
    events: u64,
    /// Events that were posted again later and are stored elsewhere: they are counted there.
    superseded: BTreeSet<EventKey>,
    /// Events that the index does not name.
    unindexed: Vec<Event>,
    /// Whether the numbers come from events that are gone.
    is_lossy: bool,
    /// The rollups that change, with their new content.
    rollups: Vec<(RollupKey, Rollup)>,
}

/// Computes the effects of opening the days from `from` on, without a change.
pub fn examine(store: &Store, from: Date) -> Result<Reopening, StoreError> {
    let snapshot = store.snapshot()?;
    let mut reopening = Reopening::default();
    for date in forgotten_days(&snapshot, from)? {
        let day = Day::read(&snapshot, date)?;
        reopening.events += day.events;
        reopening.event_days += u64::from(day.events > 0);
        reopening.lossy_days.extend(day.is_lossy.then_some(date));
    }
    reopening.rollup_days = whole_days_before(&snapshot, from)?.len() as u64;
    Ok(reopening)
}

/// Opens the days from `from` on again. The settings have to wait for the grace period from then on, since they may be the reason
/// why these days were forgotten; servers that share the database forget nothing more. If it breaks off, some of the days are open,
/// the latest first.
pub fn reopen(store: &Store, from: Date) -> Result<(), StoreError> {
    store.write(|transaction| {
        if let Some(mut record) = store.snapshot()?.retention_record()? {
            (record.agreed, record.waiting) = (Retention::default(), None);
            transaction.record_retention(&record);
        }
        Ok(())
    })?;
    let snapshot = store.snapshot()?;
    let (kept, days) = (snapshot.kept(), forgotten_days(&snapshot, from)?);
    let numbers_from = whole_days_before(&snapshot, from)?.last().copied();
    drop(snapshot);
    let until = |date: Date| RetentionMarks { events_from: date, rollups_from: kept.rollups_from.min(date) };
    for &date in days.iter().rev() {
        store.write(|transaction| {
            // Nobody else writes from now on until the commit.
            let mut day = Day::read(&store.snapshot()?, date)?;
            transaction.remove_events_of(date, &day.superseded)?;
            transaction.index(&mut day.unindexed)?;
            for (key, rollup) in &day.rollups {
                transaction.replace_rollup(*key, rollup);
            }
            transaction.keep(until(date));
            Ok(())
        })?;
    }
    let events_from = kept.events_from.min(from);
    let rollups_from = numbers_from.unwrap_or(events_from).min(kept.rollups_from);
    store.write(|transaction| {
        transaction.keep(RetentionMarks { events_from, rollups_from });
        Ok(())
    })
}

/// The forgotten days from `from` on for which something is stored.
fn forgotten_days(snapshot: &Snapshot, from: Date) -> Result<Vec<Date>, StoreError> {
    let end = snapshot.kept().events_from;
    Ok(if from < end { snapshot.dates()?.range(from..end).copied().collect() } else { Vec::new() })
}

/// The days right before `from` whose numbers were hidden and are complete, latest first. The list ends before a day that has
/// lost some of its rows.
fn whole_days_before(snapshot: &Snapshot, from: Date) -> Result<Vec<Date>, StoreError> {
    let mut days = Vec::new();
    if from >= snapshot.kept().rollups_from {
        return Ok(days);
    }
    for &date in snapshot.dates()?.range(..from).rev() {
        let rollups = snapshot.rollups_of(date)?;
        let (all, choices) =
            rollups.into_iter().partition::<BTreeMap<_, _>, _>(|(key, _)| key.scope == RollupScope::All);
        if !agree(&together(&choices), &all) {
            break;
        }
        days.push(date);
    }
    Ok(days)
}

impl Day {
    fn read(snapshot: &Snapshot, date: Date) -> Result<Self, StoreError> {
        let (mut left, mut counted) = (BTreeMap::new(), BTreeMap::new());
        let (mut events, mut superseded, mut unindexed) = (0, BTreeSet::new(), Vec::new());
        let mut from = Some(EventCursor::start(Some(date)));
        while let Some(cursor) = from {
            let found = snapshot.events_from(Some(date), cursor, BLOCKS_AT_ONCE)?;
            from = found.next;
            let indexed = snapshot.look_up_index(&found.events)?;
            for (event, indexed) in found.events.into_iter().zip(indexed) {
                fold(&mut counted, &event);
                let indexed = indexed?;
                if indexed == Indexed::Elsewhere {
                    superseded.insert(event.key());
                    continue;
                }
                events += 1;
                fold(&mut left, &event);
                if indexed == Indexed::Nowhere {
                    unindexed.push(event);
                }
            }
        }
        for rollups in [&mut left, &mut counted] {
            let all = together(rollups);
            rollups.extend(all);
        }
        let stored = snapshot.rollups_of(date)?;
        let are_hidden = date < snapshot.kept().rollups_from;
        let is_explained =
            |(key, rollup): (&RollupKey, &Rollup)| counted.get(key).is_some_and(|counted| counted.agrees_with(rollup));
        // While rows of the day are being deleted, only the rows that exist have to fit.
        let is_lossy = !stored.iter().all(is_explained) || (!are_hidden && stored.len() != counted.len());
        let keys: BTreeSet<_> = left.keys().chain(stored.keys()).copied().collect();
        let changes = keys.into_iter().filter(|key| left.get(key) != stored.get(key));
        let rollups = changes.map(|key| (key, left.get(&key).cloned().unwrap_or_default())).collect();
        Ok(Self { events, superseded, unindexed, is_lossy, rollups })
    }
}

/// Folds an event into the rollups of the choices that count it.
fn fold(rollups: &mut BTreeMap<RollupKey, Rollup>, event: &Event) {
    for contribution in event.contributions().iter().flatten() {
        let rollup = rollups.entry(contribution.partition.rollup()).or_default();
        rollup.hour_mut(contribution.hour).fold(contribution);
    }
}

/// The rollups of all choices together, computed from those of each choice.
fn together(choices: &BTreeMap<RollupKey, Rollup>) -> BTreeMap<RollupKey, Rollup> {
    let mut all: BTreeMap<RollupKey, Rollup> = BTreeMap::new();
    for (&key, rollup) in choices {
        all.entry(RollupKey { scope: RollupScope::All, ..key }).or_default().merge(rollup);
    }
    all
}

/// Whether the rollups are the same, but for histograms that are unknown: those of days that format 1 left.
fn agree(one: &BTreeMap<RollupKey, Rollup>, other: &BTreeMap<RollupKey, Rollup>) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|((key, one), (same, other))| key == same && one.agrees_with(other))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::commands::check;
    use crate::store::OpenOptions;
    use crate::vocabulary::MetricsTypeId;
    use crate::worker::commit::post;

    const DEFINITIONS: &str = r#"
        {"kind": "job_type", "id": 1, "name": "a", "version": "1"}
        {"kind": "job_type", "id": 2, "name": "b", "version": "1"}
        {"kind": "error", "id": 5, "name": "lost", "category": "SYSTEM", "is_builtin": true}
    "#;
    const DAYS: [&str; 4] = ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"];

    /// A store in which each day has two jobs and an execution that failed.
    fn store() -> (TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path(), OpenOptions::verified(1 << 20)).unwrap();
        post(&store, DEFINITIONS);
        for (day, number) in DAYS.iter().zip(1..) {
            post(&store, &(job(number, 1, day) + &job(100 + number, 2, day) + &execution(number, day)));
        }
        (directory, store)
    }

    fn job(id: u64, job_type: u64, day: &str) -> String {
        format!(
            "{{\"kind\": \"job\", \"id\": {id}, \"job_type\": {job_type}, \"status\": \"COMPLETED\", \"ended\": \"{day}T01:00:00Z\"}}\n"
        )
    }

    fn execution(id: u64, day: &str) -> String {
        format!(
            "{{\"kind\": \"job_execution\", \"id\": {id}, \"job_type\": 1, \"status\": \"FAILED\", \"error\": 5, \"ended\": \"{day}T02:00:00Z\"}}\n"
        )
    }

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    /// Hides days as a clock in 2099 does, and deletes the first blocks and rollups.
    fn forget(store: &Store, rollups_from: &str, blocks: usize, rollups: usize) {
        let kept = RetentionMarks { events_from: date("2099-01-01"), rollups_from: date(rollups_from) };
        store
            .write(|transaction| {
                transaction.keep(kept);
                transaction.remove_events(kept.events_from, blocks)?;
                transaction.remove_rollups(kept.rollups_from, rollups)
            })
            .unwrap();
    }

    /// The number of counted jobs of each day, as readers see it.
    fn jobs(store: &Store) -> Vec<u64> {
        let snapshot = store.snapshot().unwrap();
        let count = |day: &str| {
            let key = RollupKey { date: date(day), metrics: MetricsTypeId::JobTypes, scope: RollupScope::All };
            let rollups = snapshot.rollups_of(key.date).unwrap();
            let rollup = rollups.get(&key).filter(|_| key.date >= snapshot.kept().rollups_from);
            rollup.map_or(0, |rollup| (0..24).map(|hour| rollup.hour(hour).map_or(0, |it| it.counters[0])).sum())
        };
        DAYS.iter().map(|day| count(day)).collect()
    }

    /// Asserts that nothing is wrong, and that so many events are kept.
    #[track_caller]
    fn assert_fits(store: &Store, events: u64) {
        let report = check::run(store, false).unwrap();
        assert_eq!((report.problems, report.events), (Vec::new(), events));
        for day in DAYS {
            let snapshot = store.snapshot().unwrap();
            if date(day) >= snapshot.kept().rollups_from {
                let (all, choices) = snapshot
                    .rollups_of(date(day))
                    .unwrap()
                    .into_iter()
                    .partition(|(key, _): &(RollupKey, Rollup)| key.scope == RollupScope::All);
                let (all, choices): (BTreeMap<_, _>, BTreeMap<_, _>) = (all, choices);
                assert_eq!(together(&choices), all, "{day}");
            }
        }
    }

    #[test]
    fn days_that_were_only_hidden_show_again_as_they_were() {
        for rollups_from in ["1970-01-01", "2099-01-01"] {
            let (_directory, store) = store();
            forget(&store, rollups_from, 0, 0);
            assert_fits(&store, 0);
            let found = examine(&store, date(DAYS[1])).unwrap();
            let rollup_days = u64::from(rollups_from == "2099-01-01");
            assert_eq!(found, Reopening { events: 9, event_days: 3, lossy_days: Vec::new(), rollup_days });
            reopen(&store, date(DAYS[1])).unwrap();
            assert_eq!(store.snapshot().unwrap().kept().events_from, date(DAYS[1]));
            assert_fits(&store, 9);
            assert_eq!(jobs(&store), [2, 2, 2, 2]);
            reopen(&store, Date::MIN).unwrap();
            assert_fits(&store, 12);
            assert_eq!(jobs(&store), [2, 2, 2, 2]);
            // The events can be corrected again, and are found by their ids.
            post(&store, &(job(1, 1, DAYS[3]) + &job(2, 1, DAYS[1])));
            assert_fits(&store, 12);
            assert_eq!(jobs(&store), [1, 2, 2, 3]);
        }
    }

    #[test]
    fn days_without_numbers_open_without_loss() {
        let (_directory, store) = store();
        forget(&store, "1970-01-01", usize::MAX, 0);
        let from = date("2026-11-05");
        assert_eq!(examine(&store, from).unwrap(), Reopening::default());
        reopen(&store, from).unwrap();
        post(&store, &job(50, 1, "2026-11-05"));
        assert_fits(&store, 1);
        assert_eq!(jobs(&store), [2, 2, 2, 2]);
    }

    #[test]
    fn days_whose_events_are_gone_have_the_numbers_of_those_that_are_left() {
        let (_directory, store) = store();
        // A day has three blocks: one of each job type and one of executions.
        forget(&store, "1970-01-01", 4, 0);
        let found = examine(&store, Date::MIN).unwrap();
        let lossy_days = vec![date(DAYS[0]), date(DAYS[1])];
        assert_eq!(found, Reopening { events: 8, event_days: 3, lossy_days, rollup_days: 0 });
        assert_eq!(examine(&store, date(DAYS[2])).unwrap().lossy_days, []);
        reopen(&store, Date::MIN).unwrap();
        assert_fits(&store, 8);
        assert_eq!(jobs(&store), [0, 1, 2, 2]);
        // When all events are posted again, each counts once.
        for (day, number) in DAYS.iter().zip(1..) {
            post(&store, &(job(number, 1, day) + &job(100 + number, 2, day) + &execution(number, day)));
        }
        assert_fits(&store, 12);
        assert_eq!(jobs(&store), [2, 2, 2, 2]);
    }

    #[test]
    fn numbers_that_were_hidden_and_are_being_deleted_come_back_from_the_events_or_whole() {
        for rollups in 0..20 {
            let (_directory, store) = store();
            forget(&store, "2099-01-01", 3, rollups);
            let found = examine(&store, date(DAYS[1])).unwrap();
            assert_eq!((found.events, found.lossy_days), (9, Vec::new()));
            reopen(&store, date(DAYS[1])).unwrap();
            assert_fits(&store, 9);
            // The first day's events are gone: its numbers become visible again only if none of them is missing.
            let first_day = if rollups == 0 { 2 } else { 0 };
            assert_eq!(found.rollup_days, u64::from(rollups == 0));
            assert_eq!(jobs(&store), [first_day, 2, 2, 2], "{rollups}");
        }
    }

    #[test]
    fn an_event_that_was_posted_again_meanwhile_is_counted_where_it_is_now() {
        let (_directory, store) = store();
        forget(&store, "1970-01-01", 0, 0);
        post(&store, &job(2, 1, "2099-01-01"));
        let found = examine(&store, Date::MIN).unwrap();
        assert_eq!(found, Reopening { events: 11, event_days: 4, lossy_days: Vec::new(), rollup_days: 0 });
        reopen(&store, Date::MIN).unwrap();
        assert_fits(&store, 12);
        assert_eq!(jobs(&store), [2, 1, 2, 2]);
    }

    #[test]
    fn what_a_repaired_index_does_not_name_is_named_again() {
        let (_directory, store) = store();
        forget(&store, "1970-01-01", 0, 0);
        store
            .write(|transaction| {
                transaction.clear_index()?;
                Ok(())
            })
            .unwrap();
        reopen(&store, date(DAYS[2])).unwrap();
        assert_fits(&store, 6);
    }

    #[test]
    fn a_day_that_is_not_forgotten_changes_nothing() {
        let (_directory, store) = store();
        let before = store.snapshot().unwrap().kept();
        assert_eq!(examine(&store, date(DAYS[1])).unwrap(), Reopening::default());
        reopen(&store, date(DAYS[1])).unwrap();
        assert_eq!(store.snapshot().unwrap().kept(), before);
        assert_fits(&store, 12);
    }
}
