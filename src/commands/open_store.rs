//! The store of commands that work without a server.

use std::time::{Duration, Instant};

use super::CannotStart;
use crate::app::StartError;
use crate::config::StorageConfig;
use crate::store::{Store, StoreError};
use crate::worker::upgrade;

/// How often the progress of an upgrade is shown.
const TELL_UPGRADE: Duration = Duration::from_secs(5);

/// Opens the store, which must exist.
pub(super) fn open_store(storage: &StorageConfig) -> anyhow::Result<Store> {
    let store = storage.store().map_err(StartError::Store)?;
    if !store.exists().map_err(StartError::Store)? {
        return Err(CannotStart::new(format!("there is no database in `{}`", storage.place())).into());
    }
    open_and_upgrade(&store).map_err(StartError::Store)?;
    Ok(store)
}

/// Opens the store, and creates it if it is missing. A file of an earlier format is upgraded. A shared database is not, since servers of
/// the earlier version may run on it: a server has to upgrade it.
pub(super) fn open_and_upgrade(store: &Store) -> Result<(), StoreError> {
    store.open_first()?;
    if store.needs_upgrade() && store.is_remote() {
        return Err(StoreError::EarlierFormat);
    }
    let mut told = Instant::now();
    upgrade::run(store, || {
        if told.elapsed() >= TELL_UPGRADE {
            tracing::info!("{}", store.open_progress());
            told = Instant::now();
        }
    })
}
