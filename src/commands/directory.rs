//! The data directory of commands that work without a server.

use super::CannotStart;
use crate::app::StartError;
use crate::config::Config;
use crate::store::Store;

/// Opens the database in the data directory, which must exist.
pub(super) fn open_store(config: &Config) -> anyhow::Result<Store> {
    let directory = &config.storage.data;
    if !Store::exists(directory).map_err(StartError::Store)? {
        return Err(CannotStart::new(format!("there is no database in `{}`", directory.display())).into());
    }
    Ok(Store::open(directory, config.storage.open_options()).map_err(StartError::Store)?)
}
