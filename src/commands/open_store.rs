//! The store of commands that work without a server.

use super::CannotStart;
use crate::app::StartError;
use crate::config::StorageConfig;
use crate::store::Store;

/// Opens the store, which must exist.
pub(super) fn open_store(storage: &StorageConfig) -> anyhow::Result<Store> {
    let store = storage.store().map_err(StartError::Store)?;
    if !store.exists().map_err(StartError::Store)? {
        return Err(CannotStart::new(format!("there is no database in `{}`", storage.place())).into());
    }
    store.open_first().map_err(StartError::Store)?;
    Ok(store)
}
