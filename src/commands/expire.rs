//! `expire`: forgets data beyond its retention period at once, or reopens forgotten days.

use std::sync::Arc;
use std::time::Duration;

use super::CannotStart;
use super::open_store::open_store;
use super::output::{complain, print};
use super::progress::{Progress, Unit};
use crate::app::retention_guard;
use crate::config::Config;
use crate::store::{Forgettable, Snapshot};
use crate::time::{Clock, Date, Timestamp};
use crate::worker::reopen::{self, Reopening};
use crate::worker::retention::{Expiry, Retention};

/// The longest time after the last run or the newest event for which `expire` trusts the clock.
const MAX_IDLE: Duration = Duration::from_hours(7 * 24);

/// Forgets data that is too old, or prints what would be forgotten.
pub(super) fn run_expire(config: &Config, dry_run: bool, confirmed: Option<Date>) -> anyhow::Result<()> {
    config.refuse_short_rollups()?;
    let now = Clock::System.read()?;
    let store = open_store(&config.storage)?;
    let guard = Arc::new(retention_guard(config, Clock::System));
    let snapshot = store.snapshot()?;
    let cut_offs = guard.settings().cut_offs(now);
    let cut_off = cut_offs.events_from;
    let Forgettable { events, event_days, rollups, rollup_days } = snapshot.forgettable(cut_offs)?;
    let is_on = guard.settings() != Retention::default();
    let doubt = if is_on { doubt_clock(&snapshot, now)? } else { None };
    let refusal = match (confirmed, &doubt) {
        (Some(confirmed), _) if confirmed != cut_off => Some(format!(
            "--confirm {confirmed} is not the day before which events would go, which is {cut_off}: nothing was deleted"
        )),
        (None, Some(doubt)) if !dry_run => Some(format!(
            "{doubt}: nothing was deleted (hint: if the clock is right, confirm with --confirm {cut_off}; --dry-run lists what \
             goes)"
        )),
        _ => None,
    };
    if let Some(refusal) = refusal {
        return Err(CannotStart(refusal).into());
    }
    let waiting = guard.preview(&snapshot)?;
    drop(snapshot);
    if is_on && !dry_run {
        guard.confirm();
        let mut expiry = Expiry::new(guard);
        let mut progress = Progress::new(Some(events + rollups), Unit::Count);
        let mut done = 0;
        while !expiry.is_done() {
            let taken = expiry.step(&store)?;
            done += taken.events + taken.rollups;
            progress.set(done, || format!("took {done} events and rollups away"));
        }
    }
    store.close();
    let goes = if dry_run { "would go" } else { "gone" };
    print(&format!("{goes}: {events} events of {event_days} days before {cut_off}"))?;
    print(&format!("{goes}: {rollups} rollups of {rollup_days} days before {}", cut_offs.rollups_from))?;
    if dry_run && is_on {
        if let Some(doubt) = doubt {
            complain(&format!("note: {doubt}: `expire` needs --confirm {cut_off}"));
        }
        if !waiting.is_zero() {
            let hours = waiting.as_secs().div_ceil(60 * 60);
            complain(&format!(
                "note: a server waits for {hours} hours of undisturbed time first (retention.grace_hours)"
            ));
        }
    }
    Ok(())
}

/// Returns why the clock is not trusted, if so: it is far ahead both of the last run and of the newest event.
fn doubt_clock(snapshot: &Snapshot, now: Timestamp) -> anyhow::Result<Option<String>> {
    if snapshot.is_empty()? {
        return Ok(None);
    }
    let is_near = |time: Timestamp| Duration::from_micros(now.since(time)) <= MAX_IDLE;
    let last_run = snapshot.retention_record()?.map(|record| record.trusted);
    let newest = snapshot.newest_day(now.date())?;
    if last_run.is_some_and(is_near) || newest.is_some_and(|day| is_near(day.plus_days(1).start())) {
        return Ok(None);
    }
    let last_run = last_run.map_or("unknown".to_owned(), |time| time.to_string());
    let newest = newest.map_or("none".to_owned(), |day| day.to_string());
    Ok(Some(format!("the clock says {now}, far after the last run ({last_run}) and the newest event ({newest})")))
}

/// Reopens forgotten days.
pub(super) fn run_reopen(config: &Config, from: Date, dry_run: bool, drop_numbers: bool) -> anyhow::Result<()> {
    let store = open_store(&config.storage)?;
    let Reopening { events, event_days, lossy_days, rollup_days } = reopen::examine(&store, from)?;
    if let (Some(&first), Some(&last), false, false) = (lossy_days.first(), lossy_days.last(), dry_run, drop_numbers) {
        return Err(CannotStart(format!(
            "{} of these days, from {first} to {last}, have numbers of events that are gone: nothing was opened (hint: open from \
             a later day on, or add --drop-numbers, which makes their numbers those of the events that are left)",
            lossy_days.len()
        ))
        .into());
    }
    if !dry_run {
        reopen::reopen(&store, from)?;
    }
    let kept = store.snapshot()?.kept();
    store.close();
    let opens = if dry_run { "would open" } else { "opened" };
    print(&format!("{opens}: {events} events of {event_days} days from {from} on"))?;
    print(&format!("{opens}: the numbers of {rollup_days} days before it, without their events"))?;
    if let (Some(first), Some(last)) = (lossy_days.first(), lossy_days.last()) {
        let loses = if dry_run { "would lose" } else { "lost" };
        let days = lossy_days.len();
        print(&format!("{loses}: the numbers of events that are gone, on {days} days from {first} to {last}"))?;
    }
    print(&format!("events are kept from {} on", kept.events_from))
}
