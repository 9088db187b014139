//! How long events and rollups are kept.
//!
//! A day is forgotten as a whole: first it is hidden, then what is on disk of it goes in small steps between requests.
//! Forgotten events leave their numbers in the rollups; they can no longer be corrected, and posting one again would count it
//! twice, so it is refused. It is refused a day before it is forgotten: a request that was checked before midnight finds the
//! stored events still there.

use std::time::{Duration, Instant};

use crate::store::{Homeless, Kept, Store, StoreError};
use crate::time::{Clock, Date, Timestamp};

/// How many blocks of events a step takes away: some ten milliseconds.
const STEP_BLOCKS: usize = 256;
/// How many rollups a step takes away.
const STEP_ROLLUPS: usize = 2_000;

/// How long steps pause while there is more to take away.
const BETWEEN_STEPS: Duration = Duration::from_millis(20);
/// How often it is looked whether there is something.
const BETWEEN_LOOKS: Duration = Duration::from_mins(1);

/// For how many days something is kept; 0 means for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Events that ended.
    pub events_days: u64,
    /// Rollups; at least as long as events.
    pub rollups_days: u64,
}

impl Retention {
    /// The first day whose events are taken in.
    pub fn first_day(self, now: Timestamp) -> Date {
        first_day(self.events_days, now)
    }

    /// What is kept from now on, where that was kept before: never more.
    pub fn kept(self, now: Timestamp, before: Kept) -> Kept {
        let forgotten = |days: u64| if days == 0 { Date::MIN } else { first_day(days.saturating_add(1), now) };
        let events_from = before.events_from.max(forgotten(self.events_days));
        let rollups_from = before.rollups_from.max(forgotten(self.rollups_days).min(events_from));
        Kept { events_from, rollups_from }
    }
}

/// The day so many days before today; the first of all for 0.
fn first_day(days: u64, now: Timestamp) -> Date {
    let today = now.date().days();
    let days = u32::try_from(days).ok().filter(|&days| days > 0).and_then(|days| today.checked_sub(days));
    days.and_then(Date::from_days).unwrap_or(Date::MIN)
}

/// What a step took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Events.
    pub events: u64,
    /// Rollups of a choice or of all.
    pub rollups: u64,
}

/// Forgets what is too old, step by step.
#[derive(Debug)]
pub struct Expiry {
    retention: Retention,
    clock: Clock,
    /// When to look next.
    due: Instant,
    /// There may be something to take away.
    pending: bool,
    /// How far the events without a home were looked through; `None` when that is done.
    homeless: Option<Homeless>,
}

impl Expiry {
    /// Forgets by that rule.
    pub fn new(retention: Retention, clock: Clock) -> Self {
        Self { retention, clock, due: Instant::now(), pending: true, homeless: Some(Homeless::default()) }
    }

    /// How long until it has to look again; `None` if everything is kept for ever.
    pub fn wait(&self) -> Option<Duration> {
        let is_on = self.retention != Retention::default() || self.pending;
        is_on.then(|| self.due.saturating_duration_since(Instant::now()))
    }

    /// Does the next step; returns what it took away.
    pub fn step(&mut self, store: &Store) -> Result<Taken, StoreError> {
        let result = self.try_step(store);
        let pause = if self.pending && result.is_ok() { BETWEEN_STEPS } else { BETWEEN_LOOKS };
        self.due = Instant::now() + pause;
        result
    }

    /// Whether there is nothing to take away at the moment.
    pub fn is_done(&self) -> bool {
        !self.pending
    }

    fn try_step(&mut self, store: &Store) -> Result<Taken, StoreError> {
        let before = store.snapshot()?.kept();
        let kept = self.retention.kept(self.clock.now(), before);
        if kept.events_from == Date::MIN {
            self.pending = false;
            return Ok(Taken::default());
        }
        if kept != before {
            self.pending = true;
            self.homeless = Some(Homeless::default());
        }
        if !self.pending {
            return Ok(Taken::default());
        }
        let (taken, homeless) = store.write(|batch| {
            if kept != before {
                batch.keep(kept)?;
            }
            let mut taken =
                Taken { events: batch.take_events(STEP_BLOCKS)?, rollups: batch.take_rollups(STEP_ROLLUPS)? };
            let mut homeless = self.homeless;
            if let (0, Some(from)) = (taken.events, homeless) {
                (taken.events, homeless) = batch.take_homeless(from, STEP_BLOCKS)?;
            }
            Ok::<_, StoreError>((taken, homeless))
        })?;
        self.homeless = homeless;
        self.pending = taken != Taken::default() || homeless.is_some();
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn days_are_refused_a_day_before_they_are_forgotten_and_never_come_back() {
        let now: Timestamp = "2015-03-10T23:59:59Z".parse().unwrap();
        let all = Kept { events_from: Date::MIN, rollups_from: Date::MIN };
        let week = Retention { events_days: 7, rollups_days: 30 };
        assert_eq!(week.first_day(now), date("2015-03-03"));
        let kept = week.kept(now, all);
        assert_eq!(kept, Kept { events_from: date("2015-03-02"), rollups_from: date("2015-02-07") });
        let month = Retention { events_days: 30, rollups_days: 0 };
        assert_eq!(month.kept(now, kept), kept);
        assert_eq!(month.kept(now, all), Kept { events_from: date("2015-02-07"), rollups_from: Date::MIN });
        for for_ever in [Retention::default(), Retention { events_days: u64::MAX, rollups_days: u64::MAX - 1 }] {
            assert_eq!((for_ever.kept(now, all), for_ever.first_day(now)), (all, Date::MIN));
        }
        let both = Retention { events_days: 7, rollups_days: 7 };
        assert_eq!(both.kept(now, all).rollups_from, both.kept(now, all).events_from);
    }
}
