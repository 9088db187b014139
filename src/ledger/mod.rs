//! What posted objects do to what is stored, as pure functions.
//!
//! A commit asks three things here, and does all reading and writing itself (`worker::commit`):
//!
//! 1. [`Posted::resolve_definitions`] and [`Posted::resolve_events`]: which objects hold, given what is stored. Objects apply
//!    in the order of the requests. Only the state that a key has at the end is stored. A rollup changes only by the difference
//!    between the state before and the state at the end: that is why a retried request never counts twice.
//! 2. [`Deltas`]: what the changed events take out of the rollup of each partition, and what they add to it.
//! 3. [`RollupDelta::apply_to`]: the rollup after the delta is applied. Counts and sums are subtracted exactly. Which extremes
//!    may have gone is returned; they have to be found again among what remains.
//!
//! Not here: what an event contributes (`events::contribution`), how aggregates add up (`rollup`).

mod delta;
mod resolve;

pub use delta::{Deltas, RollupDelta};
pub use resolve::{Outcomes, Posted, Receipt};
