//! Reads with visitors that may fail.

use std::ops::ControlFlow;

use super::error::StoreError;
use super::rows::{RowsError, Visitor};

/// Runs a read with a visitor that may fail. The first failure ends the read and is returned.
pub(super) fn visiting<E: From<StoreError>>(
    read: impl FnOnce(&mut Visitor<'_>) -> Result<(), RowsError>,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let mut failure = None;
    let read = read(&mut |key, value| {
        visit(key, value).unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    });
    match failure {
        Some(failure) => Err(failure),
        None => read.map_err(|error| StoreError::from(error).into()),
    }
}
