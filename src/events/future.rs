//! Events that end in the future: somewhere, a clock or a time zone is wrong.
//!
//! They are taken in, since the server's clock may be the wrong one, but whoever posts them is told (docs/reference.md, Posting events).

use super::Object;
use crate::time::Timestamp;

/// Clocks differ by less than that, in microseconds.
const TOLERANCE_US: u64 = 5 * 60 * 1_000_000;

/// How many of the objects are events that have ended later than `now` allows.
pub fn count(objects: &[Object], now: Timestamp) -> u64 {
    let latest = now.micros().saturating_add(TOLERANCE_US);
    let is_future = |object: &&Object| matches!(object, Object::Event(event) if event.ended().is_some_and(|ended| ended.micros() > latest));
    objects.iter().filter(is_future).count() as u64
}
