//! The rollup task: the single writer of the database.
//!
//! Requests wait in a [`Queue`], which is bounded by the memory that they hold ([`crate::memory`]). The [`RollupTask`] has a thread
//! of its own. It takes the waiting requests and makes one synced commit of them, so that a thousand small posts cost about as much
//! as one. Then each request gets its result.
//!
//! Not here: reading requests (`api`), tables (`store`).

pub mod commit;
pub mod extremes;
mod parked;
mod queue;
mod readiness;
pub mod rebuild;
pub mod reopen;
pub mod retention;
mod task;
pub mod upgrade;
mod upkeep;

pub use crate::ledger::Receipt;
pub use queue::{Queue, QueueItem, RebuildCommand, Request, Stopping, WriteFailed};
pub use readiness::Readiness;
pub use rebuild::Examined;
pub use retention::Retention;
pub use task::{Progress, RollupTask};
