//! Retention guard: decides when a retention period takes effect. A clock that jumped, or a period that deletes more, first
//! waits for the grace period.
//!
//! Data that a cut-off deletes is gone for ever, and a cut-off depends on two inputs that may be wrong for a moment: the clock
//! and the settings. So the guard trusts neither at once:
//!
//! - The *trusted time* advances with the steady clock. The system's clock is used as long as it is at most [`LEEWAY`] ahead of
//!   the last trusted time plus what the steady clock measured since. A clock that is further ahead is not trusted until it has
//!   run undisturbed for the grace period. A clock that is set back is trusted at once, since that deletes nothing.
//! - The *agreed periods* are in force. A longer period is agreed at once. A shorter one waits for the grace period, unless it
//!   moves the cut-off by no more than [`LEEWAY`], or nothing is stored yet.
//!
//! Both, and the progress of the grace period, are recorded in the database, so a restart changes nothing. The rejected
//! alternative is to store cut-offs and compare them with the next ones: that cannot tell a clock that jumped from a server that
//! was down.
//!
//! Not here: which rows are deleted (`mod.rs`), what is stored (`store::retention`).

use std::time::Duration;

use parking_lot::Mutex;

use crate::store::{Retention, RetentionMarks, RetentionRecord, Snapshot, StoreError};
use crate::time::{Clock, Date, Timestamp};

/// How far the clock may be ahead of the trusted time.
const LEEWAY: Duration = Duration::from_hours(48);
/// [`LEEWAY`] in days.
const LEEWAY_DAYS: u32 = 2;
/// How often the trusted time is recorded.
const BETWEEN_RECORDS: Duration = Duration::from_hours(1);
/// How far the clock may differ from the steady clock between two looks: this, and a twentieth of the time between them.
const TOLERANCE: Duration = Duration::from_secs(10);

/// Decides which time is trusted and which periods are in force. The rollup task calls [`look`](Self::look) regularly; requests
/// read the result meanwhile.
#[derive(Debug)]
pub struct RetentionGuard {
    settings: Retention,
    grace: Duration,
    clock: Clock,
    /// `None` before the first look.
    state: Mutex<Option<State>>,
}

/// The state at the last look.
#[derive(Debug, Clone, Copy)]
struct State {
    record: RetentionRecord,
    /// The reading of the steady clock.
    at: Duration,
    /// Whether the clock can be used and is not too far ahead.
    is_clock_trusted: bool,
    /// The reading of the steady clock when the record was stored last; `None` if it has to be stored at once.
    recorded: Option<Duration>,
}

/// The decision of a look.
#[derive(Debug, Clone, Copy)]
pub struct Decision {
    /// The first days that are kept.
    pub cut_offs: RetentionMarks,
    /// The record that has to be stored now, if any.
    pub record: Option<RetentionRecord>,
}

impl RetentionGuard {
    /// A guard for these settings.
    pub fn new(settings: Retention, grace: Duration, clock: Clock) -> Self {
        Self { settings, grace, clock, state: Mutex::new(None) }
    }

    /// The periods of the settings.
    pub fn settings(&self) -> Retention {
        self.settings
    }

    /// The first day whose events are accepted, by the settings and the trusted time.
    pub fn first_day(&self) -> Date {
        self.settings.first_day(self.now())
    }

    /// The trusted time: the clock's, unless the clock is too far ahead. Before the first look, which fails while the database
    /// cannot be read, it is the earliest time, so nothing is too old.
    pub fn now(&self) -> Timestamp {
        let state = *self.state.lock();
        state.map_or(Timestamp::MIN, |state| state.now(&self.clock))
    }

    /// Whether the clock is trusted.
    pub fn is_clock_trusted(&self) -> bool {
        self.state.lock().is_none_or(|state| state.is_clock_trusted)
    }

    /// How much of the grace period is left before the clock is trusted or shorter periods take effect; zero if nothing waits.
    pub fn waiting(&self) -> Duration {
        let state = self.state.lock().filter(|_| self.settings != Retention::default());
        state.map_or(Duration::ZERO, |state| state.left(self.grace))
    }

    /// Checks the clock and the stored data, and decides what is kept. The caller calls it before any request is checked, and
    /// then at least once an hour. If others have written since the last look, they may have agreed to longer periods.
    pub fn look(&self, snapshot: &Snapshot, have_others_written: bool) -> Result<Decision, StoreError> {
        let mut before = *self.state.lock();
        if have_others_written
            && let Some(state) = &mut before
            && let Some(record) = snapshot.retention_record()?
        {
            state.record.agreed = state.record.agreed.longest(record.agreed);
        }
        let state = self.decide(before, snapshot)?;
        self.tell(before.as_ref(), &state);
        let is_due = state.recorded.is_none_or(|recorded| state.at.saturating_sub(recorded) >= BETWEEN_RECORDS);
        // Only the task gets here. It does not hold the lock while it reads, so requests need not wait.
        *self.state.lock() = Some(state);
        Ok(Decision { cut_offs: self.cut_offs(), record: is_due.then_some(state.record) })
    }

    /// The first days that are kept, by the last look. Before the first look, all days are kept.
    pub fn cut_offs(&self) -> RetentionMarks {
        let state = *self.state.lock();
        let agreed = state.map_or(Retention::default(), |state| state.record.agreed);
        agreed.cut_offs(self.now())
    }

    /// How long a server that starts now waits before it deletes by these settings and this clock.
    pub fn preview(&self, snapshot: &Snapshot) -> Result<Duration, StoreError> {
        Ok(self.decide(None, snapshot)?.left(self.grace))
    }

    /// Notes that the record of the last decision is stored.
    pub fn recorded(&self) {
        if let Some(state) = &mut *self.state.lock() {
            state.recorded = Some(state.at);
        }
    }

    /// The current record, to be stored before the program stops; `None` before the first look.
    pub fn record(&self) -> Option<RetentionRecord> {
        let mut current = self.state.lock();
        let state = current.as_mut()?;
        *state = state.after(&self.clock, self.grace);
        Some(state.record)
    }

    /// Trusts the clock and agrees to the settings at once, because an operator confirms them.
    pub fn confirm(&self) {
        let (now, at) = (self.clock.now(), self.clock.steady());
        let agreed = self.settings;
        let record = RetentionRecord { trusted: now, seen: now, steady: self.grace, agreed, waiting: None };
        *self.state.lock() = Some(State { record, at, is_clock_trusted: true, recorded: None });
    }

    fn decide(&self, before: Option<State>, snapshot: &Snapshot) -> Result<State, StoreError> {
        let mut state = match before {
            Some(state) => state.after(&self.clock, self.grace),
            None => self.first_state(snapshot)?,
        };
        self.agree(&mut state, snapshot)?;
        Ok(state)
    }

    /// The state at the start of the program.
    fn first_state(&self, snapshot: &Snapshot) -> Result<State, StoreError> {
        let at = self.clock.steady();
        let now = self.clock.now();
        let Some(mut record) = snapshot.retention_record()? else {
            // A new database has no data to lose. In a database of an earlier version of this program, the newest event gives the
            // earliest possible time; an event from the future gives none.
            let trusted = if snapshot.is_empty()? {
                now
            } else {
                let newest = snapshot.newest_day(now.date())?;
                newest.map_or(Timestamp::MIN, |day| day.plus_days(1).start().min(now))
            };
            let record = RetentionRecord {
                trusted,
                seen: now,
                steady: Duration::ZERO,
                agreed: Retention::default(),
                waiting: None,
            };
            return Ok(State { record, at, is_clock_trusted: true, recorded: None }.judged(&self.clock, self.grace));
        };
        // It is unknown how long the program was down. By the clock, the lead over the recorded time has grown. A grace period
        // that is under way continues. A grace period that was over does not count for the new lead. After a long time,
        // everything begins anew.
        let is_plausible = now.micros() + us(TOLERANCE) >= record.seen.micros() && now.since(record.seen) <= us(LEEWAY);
        let mut recorded = Some(at);
        if !is_plausible {
            record = restarted(record);
            recorded = None;
        } else if record.steady >= self.grace {
            record.steady = Duration::ZERO;
        }
        Ok(State { record, at, is_clock_trusted: true, recorded }.judged(&self.clock, self.grace))
    }

    /// Agrees to the settings that may take effect, and makes the others wait.
    fn agree(&self, state: &mut State, snapshot: &Snapshot) -> Result<(), StoreError> {
        let before = state.record;
        let record = &mut state.record;
        record.agreed = record.agreed.longest(self.settings);
        if record.agreed == self.settings {
            record.waiting = None;
        } else {
            let waited = match record.waiting {
                Some((waiting, waited)) if waiting == self.settings => waited,
                _ => Duration::ZERO,
            };
            record.waiting = Some((self.settings, waited));
            let is_over = waited >= self.grace;
            if is_over || (state.is_clock_trusted && self.is_harmless(&before.agreed, snapshot)?) {
                record.agreed = self.settings;
                record.waiting = None;
            }
        }
        let waits_for = |record: &RetentionRecord| record.waiting.map(|(waiting, _)| waiting);
        if before.agreed != record.agreed || waits_for(&before) != waits_for(record) {
            state.recorded = None;
        }
        Ok(())
    }

    /// Whether the settings delete hardly more than the periods in force do or than was deleted already, or there is nothing to
    /// delete.
    fn is_harmless(&self, agreed: &Retention, snapshot: &Snapshot) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let (new, old, marks) = (self.settings.cut_offs(now), agreed.cut_offs(now), snapshot.kept());
        let is_near = |new: Date, old: Date, mark: Date| {
            // A wrong clock made a mark that lies in the future.
            let mark = if mark > now.date() { Date::MIN } else { mark };
            new <= old.max(mark).plus_days(LEEWAY_DAYS)
        };
        let are_near = is_near(new.events_from, old.events_from, marks.events_from)
            && is_near(new.rollups_from, old.rollups_from, marks.rollups_from);
        Ok(are_near || snapshot.is_empty()?)
    }

    /// Logs which waits have begun or ended.
    fn tell(&self, before: Option<&State>, state: &State) {
        let waits = |state: &State| state.record.waiting.map(|(retention, _)| retention);
        let was_trusted = before.is_none_or(|before| before.is_clock_trusted);
        if was_trusted && !state.is_clock_trusted && self.settings != Retention::default() {
            tracing::warn!(
                clock = %self.clock.now(),
                trusted = %state.now(&self.clock),
                "the clock is far ahead of the time of the last run or the newest event: nothing is deleted by it until it \
                 has run undisturbed for {} hours, or `scale-metrics expire` confirms it",
                hours(self.grace),
            );
        }
        if !was_trusted && state.is_clock_trusted {
            tracing::info!("the clock is trusted again");
        }
        let waited_for = before.and_then(waits);
        match waits(state) {
            Some(Retention { events_days, rollups_days }) if waited_for != waits(state) => tracing::warn!(
                retention.events_days = events_days,
                retention.rollups_days = rollups_days,
                "the settings of [retention] delete more than before: they take effect after {} hours, or when \
                 `scale-metrics expire` confirms them; `expire --dry-run` lists what they delete",
                hours(state.left(self.grace)),
            ),
            None if waited_for.is_some() => tracing::info!("the settings of [retention] are in force"),
            _ => {}
        }
    }
}

impl State {
    /// The trusted time.
    fn now(&self, clock: &Clock) -> Timestamp {
        let passed = clock.steady().saturating_sub(self.at);
        let trusted = later(self.record.trusted, passed);
        clock.read().ok().filter(|&now| now.since(trusted) <= us(LEEWAY)).unwrap_or(trusted)
    }

    /// The state some time later.
    fn after(mut self, clock: &Clock, grace: Duration) -> Self {
        let at = clock.steady();
        let passed = at.saturating_sub(self.at);
        self.at = at;
        let record = &mut self.record;
        record.trusted = later(record.trusted, passed);
        let expected = later(record.seen, passed);
        let is_undisturbed =
            clock.read().is_ok_and(|now| now.micros().abs_diff(expected.micros()) <= us(TOLERANCE + passed / 20));
        if is_undisturbed {
            record.steady = (record.steady + passed).min(grace);
            if let Some((_, waited)) = &mut record.waiting {
                *waited = (*waited + passed).min(grace);
            }
        } else {
            *record = restarted(*record);
            self.recorded = None;
        }
        self.judged(clock, grace)
    }

    /// The same state, with the trusted time corrected by the clock.
    fn judged(mut self, clock: &Clock, grace: Duration) -> Self {
        let Ok(now) = clock.read() else { return Self { is_clock_trusted: false, ..self } };
        let record = &mut self.record;
        record.seen = now;
        if now < record.trusted || record.steady >= grace {
            record.trusted = now;
        }
        self.is_clock_trusted = now.since(record.trusted) <= us(LEEWAY);
        self
    }

    /// How much of the grace period is left; zero if nothing waits for it.
    fn left(&self, grace: Duration) -> Duration {
        let waited = self.record.waiting.map(|(_, waited)| waited);
        let steady = (!self.is_clock_trusted).then_some(self.record.steady);
        waited.into_iter().chain(steady).min().map_or(Duration::ZERO, |passed| grace.saturating_sub(passed))
    }
}

/// The same record, with a grace period that begins anew.
fn restarted(record: RetentionRecord) -> RetentionRecord {
    let waiting = record.waiting.map(|(retention, _)| (retention, Duration::ZERO));
    RetentionRecord { steady: Duration::ZERO, waiting, ..record }
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn later(time: Timestamp, passed: Duration) -> Timestamp {
    Timestamp::from_micros(time.micros().saturating_add(us(passed))).unwrap_or(Timestamp::MAX)
}

fn hours(duration: Duration) -> u64 {
    duration.as_secs().div_ceil(3600)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::store::{OpenOptions, Store, Transaction};
    use crate::worker::commit;
    use crate::worker::retention::Expiry;

    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);
    const NOW: &str = "2026-11-25T12:00:00Z";

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A database, and a program that is started and stopped on it.
    struct Fixture {
        store: Store,
        clock: Clock,
        settings: Retention,
        guard: Arc<RetentionGuard>,
        expiry: Expiry,
        _directory: TempDir,
    }

    impl Fixture {
        /// Keeps events for that many days. Each of `days` has one event.
        fn new(events_days: u64, days: &[&str]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(directory.path(), OpenOptions::verified(1 << 20)).unwrap();
            let clock = Clock::fixed(time(NOW));
            let settings = Retention { events_days, rollups_days: 0 };
            let guard = Arc::new(RetentionGuard::new(settings, DAY, clock.clone()));
            let expiry = Expiry::new(Arc::clone(&guard));
            let mut fixture = Self { store, clock, settings, guard, expiry, _directory: directory };
            fixture.run();
            fixture.post(days);
            fixture
        }

        fn post(&self, days: &[&str]) {
            let definition = r#"{"kind": "job_type", "id": 1, "name": "a", "version": "1"}"#.to_owned();
            let job = |day: &&str| {
                let id = day.replace('-', "");
                format!(
                    "{{\"kind\": \"job\", \"id\": {id}, \"job_type\": 1, \"status\": \"COMPLETED\", \"ended\": \"{day}T00:00:00Z\"}}"
                )
            };
            let lines: Vec<_> = [definition].into_iter().chain(days.iter().map(job)).collect();
            commit::post(&self.store, &lines.join("\n"));
        }

        /// Steps until nothing is left to do.
        fn run(&mut self) {
            self.expiry.step(&self.store).unwrap();
            while !self.expiry.is_done() {
                self.expiry.step(&self.store).unwrap();
            }
        }

        /// Lets time pass, with a step every ten minutes.
        fn pass(&mut self, time: Duration) {
            for _ in 0..time.as_secs() / 600 {
                self.clock.pass(Duration::from_mins(10));
                self.run();
            }
        }

        fn restart(&mut self, settings: Retention) {
            self.expiry.record(&self.store).unwrap();
            self.settings = settings;
            self.guard = Arc::new(RetentionGuard::new(settings, DAY, self.clock.clone()));
            self.expiry = Expiry::new(Arc::clone(&self.guard));
            self.run();
        }

        /// Leaves the database as an earlier version of the program does.
        fn lose_record(&self) {
            let lose = |transaction: &mut Transaction<'_>| {
                transaction.forget_record();
                Ok(())
            };
            self.store.write(lose).unwrap();
        }

        fn days(&self) -> Vec<String> {
            let mut days = Vec::new();
            let snapshot = self.store.snapshot().unwrap();
            for date in snapshot.dates().unwrap() {
                snapshot
                    .events(Some(date), |_| {
                        days.push(date.to_string());
                        Ok::<_, StoreError>(())
                    })
                    .unwrap();
            }
            days
        }
    }

    const DAYS: [&str; 4] = ["2026-09-01", "2026-11-01", "2026-11-10", "2026-11-25"];

    #[test]
    fn a_clock_that_jumps_deletes_nothing_until_it_has_run_undisturbed_for_the_grace_period() {
        for jump in ["2099-01-01T00:00:00Z", "2027-01-09T12:00:00Z"] {
            let mut it = Fixture::new(30, &DAYS[1..]);
            it.clock.set(time(jump));
            it.run();
            it.pass(23 * HOUR);
            assert_eq!(it.days(), DAYS[1..], "{jump}");
            assert!(!it.guard.is_clock_trusted() && it.guard.waiting() <= 2 * HOUR);
            assert_eq!(it.guard.first_day().to_string(), "2026-10-27", "posts are judged by the time that is believed");
            // The clock jumps once more, so the grace period begins anew.
            it.clock.set(time("2098-01-01T00:00:00Z"));
            it.pass(23 * HOUR);
            assert_eq!(it.days(), DAYS[1..]);
            it.pass(2 * HOUR);
            assert_eq!(it.days(), [""; 0]);
            assert!(it.guard.is_clock_trusted() && it.guard.waiting().is_zero());
        }
    }

    #[test]
    fn a_wrong_clock_that_is_set_right_leaves_nothing_behind() {
        let mut it = Fixture::new(30, &DAYS[1..]);
        let kept = it.store.snapshot().unwrap().kept();
        it.clock.set(time("2099-01-01T00:00:00Z"));
        it.run();
        it.restart(it.settings);
        it.clock.set(time(NOW));
        it.restart(it.settings);
        it.pass(HOUR);
        assert!(it.guard.is_clock_trusted());
        assert_eq!(
            (it.days(), it.store.snapshot().unwrap().kept()),
            (DAYS[1..].iter().map(ToString::to_string).collect(), kept)
        );
        assert_eq!(it.guard.first_day().to_string(), "2026-10-26");
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_jump_forward_unnoticed() {
        let mut it = Fixture::new(30, &DAYS[1..]);
        it.clock.set(time("2020-01-01T00:00:00Z"));
        it.run();
        assert!(it.guard.is_clock_trusted());
        it.clock.set(time("2099-01-01T00:00:00Z"));
        it.run();
        assert!(!it.guard.is_clock_trusted());
        assert_eq!(it.days(), DAYS[1..]);
    }

    #[test]
    fn the_grace_period_goes_on_over_restarts_but_not_over_a_long_time_out_of_order() {
        let mut it = Fixture::new(30, &DAYS[1..]);
        it.clock.set(time("2099-01-01T00:00:00Z"));
        for _ in 0..3 {
            it.pass(7 * HOUR);
            it.restart(it.settings);
        }
        assert_eq!(it.days(), DAYS[1..]);
        it.pass(4 * HOUR);
        assert_eq!(it.days(), [""; 0]);

        let mut it = Fixture::new(30, &DAYS[1..]);
        it.clock.set(time("2099-01-01T00:00:00Z"));
        it.pass(23 * HOUR);
        it.expiry.record(&it.store).unwrap();
        // The guard cannot tell whether the program was down or the clock was set.
        it.clock.set(time("2099-03-01T00:00:00Z"));
        it.restart(it.settings);
        it.pass(23 * HOUR);
        assert_eq!(it.days(), DAYS[1..]);
    }

    #[test]
    fn a_server_that_was_down_for_long_goes_on_after_the_grace_period() {
        let mut it = Fixture::new(30, &DAYS[1..]);
        it.expiry.record(&it.store).unwrap();
        it.clock.set(time("2026-12-08T12:00:00Z"));
        it.restart(it.settings);
        assert_eq!(it.days(), DAYS[1..]);
        it.pass(25 * HOUR);
        assert_eq!(it.days(), DAYS[2..]);
    }

    #[test]
    fn shorter_periods_wait_and_longer_ones_do_not() {
        let mut it = Fixture::new(90, &DAYS);
        let short = Retention { events_days: 1, rollups_days: 0 };
        it.restart(short);
        assert_eq!(it.guard.first_day().to_string(), "2026-11-24", "posts are judged by the settings in force");
        it.pass(23 * HOUR);
        // The wrong setting is corrected before it takes effect. When it is made again, the grace period begins anew.
        it.restart(Retention { events_days: 90, rollups_days: 0 });
        assert_eq!(it.guard.first_day().to_string(), "2026-08-28");
        it.restart(short);
        it.pass(23 * HOUR);
        assert_eq!(it.days(), DAYS);
        it.restart(short);
        it.pass(2 * HOUR);
        assert_eq!(it.days(), DAYS[3..]);
    }

    #[test]
    fn days_go_by_one_after_the_other_as_ever() {
        let mut it = Fixture::new(30, &DAYS[1..]);
        it.pass(8 * DAY);
        assert_eq!(it.days(), DAYS[2..]);
        // The mark says what was deleted, not what the settings would delete.
        assert_eq!(it.store.snapshot().unwrap().kept().events_from.to_string(), "2026-11-02");
        it.restart(Retention { events_days: 29, rollups_days: 0 });
        assert!(it.guard.waiting().is_zero(), "a day more or less is no jump");
    }

    #[test]
    fn a_database_of_an_earlier_version_is_not_believed_blindly() {
        let without_a_record = |now: &str, events_days| {
            let mut it = Fixture::new(0, &DAYS);
            it.lose_record();
            it.settings.events_days = events_days;
            it.clock.set(time(now));
            it.guard = Arc::new(RetentionGuard::new(it.settings, DAY, it.clock.clone()));
            it.expiry = Expiry::new(Arc::clone(&it.guard));
            it.run();
            it
        };
        for now in ["2099-01-01T00:00:00Z", "2026-12-25T00:00:00Z", NOW] {
            let mut it = without_a_record(now, 30);
            assert_eq!(it.guard.is_clock_trusted(), now == NOW, "the newest event tells how late it is at least");
            it.pass(23 * HOUR);
            assert_eq!(it.days(), DAYS, "{now}");
            it.pass(2 * HOUR);
            assert_ne!(it.days(), DAYS, "{now}");
        }
    }

    #[test]
    fn events_from_the_future_do_not_vouch_for_a_clock() {
        let mut it = Fixture::new(30, &[DAYS[3], "2099-06-01"]);
        it.clock.set(time("2099-01-01T00:00:00Z"));
        it.lose_record();
        it.guard = Arc::new(RetentionGuard::new(it.settings, DAY, it.clock.clone()));
        it.expiry = Expiry::new(Arc::clone(&it.guard));
        it.run();
        assert!(!it.guard.is_clock_trusted());
        assert_eq!(it.days(), [DAYS[3], "2099-06-01"]);
    }
}
