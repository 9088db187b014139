//! Readiness: whether the server can take writes, and if not, why. Threads report it, `/readyz` shows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::Stopping;
use crate::store::OpenProgress;

/// Whether the server can take writes, and why not.
#[derive(Debug, Default)]
pub struct Readiness {
    /// Why the database cannot be written at the moment; `None` if it can.
    trouble: Mutex<Option<String>>,
    /// The progress of opening the database, until it is open.
    opening: Mutex<Option<Arc<OpenProgress>>>,
    /// Why the database cannot be written any more: a thread ended that must not.
    ended: Mutex<Option<String>>,
    stopping: AtomicBool,
}

impl Readiness {
    /// The reasons why the server cannot take writes; empty if it can.
    pub fn reasons(&self) -> Vec<String> {
        let stopping = self.is_stopping().then(|| Stopping.to_string());
        let opening = self.opening.lock().as_ref().map(ToString::to_string);
        let trouble = self.trouble.lock().clone();
        let ended = self.ended.lock().clone();
        opening.into_iter().chain(trouble).chain(ended).chain(stopping).collect()
    }

    /// Records that the database is being opened, with its progress.
    pub fn opening(&self, progress: Arc<OpenProgress>) {
        *self.opening.lock() = Some(progress);
    }

    /// Records that the database is open.
    pub fn opened(&self) {
        *self.opening.lock() = None;
    }

    /// Whether the database is being opened for the first time.
    pub fn is_opening(&self) -> bool {
        self.opening.lock().is_some()
    }

    /// Records why the database cannot be written at the moment. Returns whether the reason is another one than before.
    pub(super) fn set_trouble(&self, trouble: &str) -> bool {
        self.trouble.lock().replace(trouble.to_owned()).as_deref() != Some(trouble)
    }

    /// Records that the database can be written again.
    pub(super) fn end_trouble(&self) {
        *self.trouble.lock() = None;
    }

    /// Records that nothing can be written until the process starts again.
    pub fn end(&self, reason: &str) {
        self.ended.lock().get_or_insert_with(|| reason.to_owned());
    }

    /// Whether the server is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Records that the server is stopping.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}
