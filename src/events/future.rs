//! Counts events that end in the future. Such an event is a sign of a wrong clock or time zone.
//!
//! The server accepts these events, since its own clock may be the wrong one, but it tells the client (docs/reference.md, Posting
//! events).

use super::Object;
use crate::time::Timestamp;

/// The tolerated difference between two clocks, in microseconds.
const TOLERANCE_US: u64 = 5 * 60 * 1_000_000;

/// The number of objects that are events with an end more than the tolerance after `now`.
pub fn count(objects: &[Object], now: Timestamp) -> u64 {
    let latest = now.micros().saturating_add(TOLERANCE_US);
    let is_future = |object: &&Object| matches!(object, Object::Event(event) if event.ended().is_some_and(|ended| ended.micros() > latest));
    objects.iter().filter(is_future).count() as u64
}
