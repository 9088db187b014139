//! The data directory of commands that work without a server.

use std::path::PathBuf;

use crate::app::StartError;
use crate::config::Config;
use crate::store::Store;

/// The data directory has no database.
#[derive(Debug, thiserror::Error)]
#[error("there is no database in `{}`", .0.display())]
pub(super) struct NoDatabase(PathBuf);

/// Opens the database in the data directory, which must exist.
pub(super) fn open_store(config: &Config) -> anyhow::Result<Store> {
    let directory = &config.storage.data;
    if !Store::exists(directory).map_err(StartError::Store)? {
        return Err(NoDatabase(directory.clone()).into());
    }
    Ok(Store::open(directory, config.storage.open_options()).map_err(StartError::Store)?)
}
