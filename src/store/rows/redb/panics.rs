//! A panic of `redb` becomes an error.
//!
//! Once a file is open, `redb` takes what stands in it for true, and panics where that cannot be: a length that leads beyond its
//! page, a text that is none. Files are verified when they are opened ([`super::OpenOptions::verify`]); what was not, or is damaged
//! later, ends here. Every operation of the store and of a snapshot is guarded. Panics of ours are bugs, and go on.
//!
//! After a failed read or write, `redb` refuses whatever is not in its cache until the database is opened again. A [`Guard`]
//! remembers that, so that whoever opens it ([`super::RedbDatabase`]) learns of it without trying.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, Location, PanicHookInfo};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::rows::{Cause, RowsError};

/// Watches over one open database.
#[derive(Debug, Default)]
pub(super) struct Guard {
    failed: AtomicBool,
    damaged: AtomicBool,
}

impl Guard {
    /// Does some work with the database; [`RowsError::Damaged`] if `redb` panics.
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

    /// From now on the content of the file is not trusted: it has to be verified when it is opened again.
    pub(super) fn distrust(&self) {
        self.damaged.store(true, Ordering::Relaxed);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether `redb` found that the file is damaged, or panicked.
    pub(super) fn has_met_damage(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Whether some work failed for a reason that lasts until the database is opened again.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

thread_local! {
    /// How many guards this thread is within.
    static GUARDS: Cell<u32> = const { Cell::new(0) };
    /// What `redb` said when it panicked.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does some work with a database that is not open, or no longer; [`RowsError::Damaged`] if `redb` panics.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, RowsError>) -> Result<T, RowsError> {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(listen);
    GUARDS.set(GUARDS.get() + 1);
    // Whatever the panic left half done is the database's; the worker opens it again before the next write.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDS.set(GUARDS.get() - 1);
    result.unwrap_or_else(|panic| match SAID.take() {
        Some(said) => Err(RowsError::Damaged(Cause::new(format!("the database is damaged: {said}")))),
        None => panic::resume_unwind(panic),
    })
}

/// From now on, panics of `redb` within a guard are noted rather than printed.
fn listen() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| match info.location() {
        Some(place) if GUARDS.get() > 0 && is_of_redb(place.file()) => _ = SAID.replace(Some(said(info, place))),
        Some(_) | None => others(info),
    }));
}

/// Whether a source file is one of `redb`'s: its package is a directory named after it and, from a registry, its version, with the
/// source in `src`.
fn is_of_redb(file: &str) -> bool {
    let is_package = |part: &str| part == "redb" || part.starts_with("redb-");
    let parts: Vec<_> = Path::new(file).iter().filter_map(|part| part.to_str()).collect();
    parts.windows(2).any(|parts| is_package(parts[0]) && parts[1] == "src")
}

/// `Malformed allocator state (page_manager.rs:1760)`
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
