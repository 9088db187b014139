//! Whether another process has written since this one did.
//!
//! Who writes may keep what it knows of the stored state from one transaction to the next, as long as nobody else writes. With a
//! file nobody can. In a database that several servers share, everything that is known ends with a commit of another one.

use parking_lot::Mutex;

use super::rows::Stamp;

/// What the writer of this process knows of the others.
#[derive(Debug, Default)]
pub(super) struct Writer {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The last state that this process wrote or noticed.
    last: Option<Stamp>,
    /// How often that was not the state which was found next.
    changes_of_others: u64,
}

impl Writer {
    /// Notices the state that a transaction or a snapshot of the writer begins with.
    pub(super) fn notice(&self, stamp: Stamp) {
        let mut seen = self.seen.lock();
        if seen.last.replace(stamp).is_some_and(|last| last != stamp) {
            seen.changes_of_others += 1;
        }
    }

    /// Notes the state that a commit of this process has made.
    pub(super) fn wrote(&self, stamp: Stamp) {
        self.seen.lock().last = Some(stamp);
    }

    /// How often another process was noticed to have written.
    pub(super) fn changes_of_others(&self) -> u64 {
        self.seen.lock().changes_of_others
    }
}
