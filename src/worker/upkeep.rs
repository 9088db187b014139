//! Keeps the database usable: what the rollup task does while nothing comes, and after failures.
//!
//! After a failure of its own, it closes the database and opens it again at once, so that the stored data can be read. It notices a
//! failure of a reader before the next commit, or when the task is idle, about a second later. While writing fails, it tries once a
//! second.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Readiness, upgrade};
use crate::store::{RowsError, Store, StoreError};
use crate::telemetry::chain;
use crate::telemetry::server_metrics::{ServerMetrics, StorageOperation};

/// How long nothing comes before upkeep is done, and how long it waits between two attempts.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// How often it checks whether there is room for more data.
const LOOK_FOR_ROOM: Duration = Duration::from_mins(1);

/// What is known of the health of the database.
pub(super) struct Upkeep {
    store: Arc<Store>,
    readiness: Arc<Readiness>,
    figures: Arc<ServerMetrics>,
    /// When writing was last tried after a failure; `None` while there is no failure.
    last_attempt: Option<Instant>,
    /// Whether something was written since the last checkpoint.
    needs_checkpoint: bool,
    /// When there last was room beside the database; `None` if no check has succeeded yet.
    found_room: Option<Instant>,
}

impl Upkeep {
    /// The upkeep of this store, which reports in `readiness` when it cannot be written.
    pub(super) fn new(store: Arc<Store>, readiness: Arc<Readiness>, figures: Arc<ServerMetrics>) -> Self {
        Self { store, readiness, figures, last_attempt: None, needs_checkpoint: true, found_room: None }
    }

    /// Opens the store. As long as a database across a network cannot be reached, it tries again, until the server stops.
    pub(super) fn open(&self) -> Result<(), StoreError> {
        loop {
            let opened = self.store.open_first().and_then(|()| upgrade::run(&self.store, || {}));
            let opened = opened.and_then(|()| match self.store.check() {
                Err(error @ StoreError::Rows(RowsError::Unusable(_))) => Err(error),
                // What may pass is no reason not to read.
                _ => Ok(()),
            });
            let is_away = matches!(opened, Err(StoreError::Rows(RowsError::Unavailable(_)))) && self.store.is_remote();
            match opened {
                Err(error) if is_away && !self.readiness.is_stopping() => self.unready(&chain(&error)),
                opened => {
                    self.readiness.end_trouble();
                    return opened;
                }
            }
            thread::sleep(PAUSE);
        }
    }

    /// Whether the database can be written, as far as is known.
    pub(super) fn can_write(&self) -> bool {
        self.last_attempt.is_none()
    }

    /// Whether it is time to try again after a failure.
    pub(super) fn is_due(&self) -> bool {
        self.last_attempt.is_some_and(|attempt| attempt.elapsed() >= PAUSE)
    }

    /// Records that something was written.
    pub(super) fn wrote(&mut self) {
        self.needs_checkpoint = true;
    }

    /// Uses the time in which no requests come. A panic in here ends the task: it is unknown then whether the database can still
    /// be used, and a new start finds out.
    pub(super) fn pause(&mut self) {
        if let Err(error) = self.recover() {
            return self.failed(StorageOperation::Recovery, &error);
        }
        // The file may have been moved meanwhile.
        if let Err(error) = self.store.check() {
            return self.failed(StorageOperation::File, &error);
        }
        if std::mem::take(&mut self.needs_checkpoint)
            && let Err(error) = self.store.checkpoint()
        {
            return self.failed(StorageOperation::Checkpoint, &error);
        }
        self.find_room();
    }

    /// After a failure, also one of a reader: opens the database again, and checks whether it can be written.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        let is_usable = self.store.is_usable();
        if is_usable && self.can_write() {
            return Ok(());
        }
        if !is_usable {
            if self.can_write() {
                self.unready("the database failed while it was read");
            }
            self.store.reopen()?;
            // The database of a server may be an earlier one by now.
            upgrade::run(&self.store, || {})?;
        }
        self.store.probe()?;
        tracing::info!("the database can be written again");
        self.last_attempt = None;
        self.found_room = Some(Instant::now());
        self.needs_checkpoint = true;
        self.readiness.end_trouble();
        Ok(())
    }

    /// Checks whether there is room for more data, unless a recent check has found some.
    pub(super) fn find_room(&mut self) {
        if self.found_room.is_some_and(|found| found.elapsed() < LOOK_FOR_ROOM) {
            return;
        }
        match self.store.check_room() {
            Ok(()) => self.found_room = Some(Instant::now()),
            Err(error) => self.failed(StorageOperation::Room, &error),
        }
    }

    /// Counts a failure of anything other than a commit of requests, and handles it.
    pub(super) fn failed(&mut self, operation: StorageOperation, error: &StoreError) {
        self.figures.count_storage_failure(operation);
        self.unwritable(error);
    }

    /// Marks the database as not writable. Opens it again at once if possible, so that the stored data can be read.
    pub(super) fn unwritable(&mut self, error: &StoreError) {
        self.unready(&chain(error));
        let is_open = matches!(error, StoreError::Rows(RowsError::Unavailable(_) | RowsError::Damaged(_)));
        if is_open && let Err(error) = self.store.reopen() {
            self.unready(&chain(&error));
        }
        self.last_attempt = Some(Instant::now());
    }

    /// Records why nothing can be written at the moment, and logs each reason once.
    fn unready(&self, trouble: &str) {
        if self.readiness.set_trouble(trouble) {
            tracing::error!(error = trouble, "the database cannot be written");
        }
    }
}
