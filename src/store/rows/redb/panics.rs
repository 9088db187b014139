//! Turns panics of `redb` into errors.
//!
//! Once a file is open, `redb` trusts its content, and panics if the content is impossible: a length that exceeds its page, or a
//! text that is not valid. Files are verified when they are opened ([`super::OpenOptions::verify`]). This module handles files
//! that were not verified or are damaged later. It guards every operation of the store and of a snapshot. Panics of this
//! program's own code are bugs, and are not caught.
//!
//! After a failed read or write, `redb` refuses to read anything outside its cache until the database is opened again. A
//! [`Guard`] records the failure, so that [`super::RedbDatabase`] can tell without another attempt that it has to reopen the
//! database.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, Location, PanicHookInfo};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::rows::{Cause, RowsError};

/// Records the failures of one open database.
#[derive(Debug, Default)]
pub(super) struct Guard {
    failed: AtomicBool,
    damaged: AtomicBool,
}

impl Guard {
    /// Runs some work with the database. Returns [`RowsError::Damaged`] if `redb` panics.
    pub(super) fn run<T>(&self, work: impl FnOnce() -> Result<T, RowsError>) -> Result<T, RowsError> {
        let result = guarded(work);
        if matches!(result, Err(RowsError::Damaged(_))) {
            self.damaged.store(true, Ordering::Relaxed);
        }
        if matches!(result, Err(RowsError::Damaged(_) | RowsError::Unavailable(_))) {
            self.failed.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Marks the content of the file as untrusted: it has to be verified when it is opened again.
    pub(super) fn distrust(&self) {
        self.damaged.store(true, Ordering::Relaxed);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether `redb` reported damage in the file, or panicked.
    pub(super) fn has_met_damage(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Whether some work failed for a reason that persists until the database is opened again.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

thread_local! {
    /// The number of guards that this thread is inside.
    static GUARDS: Cell<u32> = const { Cell::new(0) };
    /// The message of the last panic of `redb`.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs some work with a database that is not open, or no longer. Returns [`RowsError::Damaged`] if `redb` panics.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, RowsError>) -> Result<T, RowsError> {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(listen);
    GUARDS.set(GUARDS.get() + 1);
    // Only the database can be left in a partial state. The worker opens it again before the next write.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDS.set(GUARDS.get() - 1);
    result.unwrap_or_else(|panic| match SAID.take() {
        Some(said) => Err(RowsError::Damaged(Cause::new(format!("the database is damaged: {said}")))),
        None => panic::resume_unwind(panic),
    })
}

/// Installs a panic hook that records panics of `redb` within a guard rather than printing them.
fn listen() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| match info.location() {
        Some(place) if GUARDS.get() > 0 && is_of_redb(place.file()) => _ = SAID.replace(Some(said(info, place))),
        Some(_) | None => others(info),
    }));
}

/// Whether a source file belongs to `redb`. The directory of its package has the package's name and, if it comes from a registry,
/// the version. The source is in `src`.
fn is_of_redb(file: &str) -> bool {
    let is_package = |part: &str| part == "redb" || part.starts_with("redb-");
    let parts: Vec<_> = Path::new(file).iter().filter_map(|part| part.to_str()).collect();
    parts.windows(2).any(|parts| is_package(parts[0]) && parts[1] == "src")
}

/// Formats a panic, for example as `Malformed allocator state (page_manager.rs:1760)`.
fn said(info: &PanicHookInfo<'_>, place: &Location<'_>) -> String {
    let file = Path::new(place.file()).file_name().unwrap_or_default().to_string_lossy();
    format!("{} ({file}:{})", info.payload_as_str().unwrap_or("it does not say why"), place.line())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_redb_are_told_from_others() {
        for file in ["/home/a/registry/src/index/redb-4.5.0/src/db.rs", "vendor/redb/src/db.rs"] {
            assert!(is_of_redb(file), "{file}");
        }
        for file in [
            "src/store/rows/redb/mod.rs",
            "src/store/mod.rs",
            "/home/redb_user/scale-metrics/src/store/mod.rs",
            "core/src/result.rs",
        ] {
            assert!(!is_of_redb(file), "{file}");
        }
    }

    #[test]
    fn panics_of_ours_go_on_and_leave_nothing_behind() {
        let ours = panic::catch_unwind(|| guarded::<()>(|| panic!("a bug")));
        assert_eq!(ours.expect_err("it goes on").downcast_ref(), Some(&"a bug"));
        assert_eq!(GUARDS.get(), 0);
        assert!(SAID.take().is_none());
    }
}
