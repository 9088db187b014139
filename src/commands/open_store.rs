//! The store of commands that work without a server.

use std::time::{Duration, Instant};

use super::CannotStart;
use crate::app::StartError;
use crate::config::StorageConfig;
use crate::store::Store;
use crate::worker::upgrade;

/// How often the progress of an upgrade is shown.
const TELL_UPGRADE: Duration = Duration::from_secs(5);

/// Opens the store, which must exist.
pub(super) fn open_store(storage: &StorageConfig) -> anyhow::Result<Store> {
    let store = storage.store().map_err(StartError::Store)?;
    if !store.exists().map_err(StartError::Store)? {
        return Err(CannotStart::new(format!("there is no database in `{}`", storage.place())).into());
    }
    store.open_first().map_err(StartError::Store)?;
    let mut told = Instant::now();
    let report = || {
        if told.elapsed() >= TELL_UPGRADE {
            tracing::info!("{}", store.open_progress());
            told = Instant::now();
        }
    };
    upgrade::run(&store, report).map_err(StartError::Store)?;
    Ok(store)
}
