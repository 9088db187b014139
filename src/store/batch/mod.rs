//! Writing: the operations of one atomic change.

mod events;
mod expiry;
mod rollups;
mod rows;

use std::sync::Arc;

use redb::{ReadableTable, Table, WriteTransaction};

use super::codec::{self, Record};
use super::{Kept, StoreError, definition_key, tables};
use crate::events::{Choice, Choices};
pub use events::{Change, StoredEvents};
pub use expiry::Homeless;
pub use rollups::StoredRollups;

/// One change of the store while it is made: it reads what it wrote, and nobody else does before it is committed.
pub struct Batch<'txn> {
    choices: Arc<Choices>,
    choices_changed: bool,
    /// Rollups were hidden.
    rollups_hidden: bool,
    kept: Kept,
    meta: Table<'txn, &'static str, u64>,
    definitions: Table<'txn, tables::DefinitionKey, &'static [u8]>,
    /// The events.
    pub events: StoredEvents<'txn>,
    /// The rollups; kept equal to a recomputation from the events by whoever changes these.
    pub rollups: StoredRollups<'txn>,
}

impl<'txn> Batch<'txn> {
    pub(super) fn new(transaction: &'txn WriteTransaction, choices: Arc<Choices>) -> Result<Self, StoreError> {
        let meta = transaction.open_table(tables::META)?;
        let kept = Kept::read(&meta)?;
        Ok(Self {
            choices,
            choices_changed: false,
            rollups_hidden: false,
            kept,
            meta,
            definitions: transaction.open_table(tables::CHOICES)?,
            events: StoredEvents::new(transaction, kept.events_from)?,
            rollups: StoredRollups::new(transaction)?,
        })
    }

    /// Writes what is not written yet. To be called at the end. Returns the definitions, if they have changed, and the version
    /// since which they stand.
    pub(super) fn finish(mut self) -> Result<Option<(u64, Arc<Choices>)>, StoreError> {
        let rollups_changed = self.rollups.finish()?;
        if rollups_changed || self.choices_changed || self.rollups_hidden {
            let version = self.meta.get(tables::META_VERSION)?.map_or(0, |version| version.value()) + 1;
            self.meta.insert(tables::META_VERSION, version)?;
            if self.choices_changed {
                self.meta.insert(tables::META_CHOICES, version)?;
                return Ok(Some((version, self.choices)));
            }
        }
        Ok(None)
    }

    /// The definitions as they are stored now.
    pub fn choices(&self) -> &Arc<Choices> {
        &self.choices
    }

    /// Stores definitions; each replaces an earlier one of the same choice.
    pub fn define(&mut self, choices: &[&Choice]) -> Result<(), StoreError> {
        let mut record = Record::default();
        for &choice in choices {
            let row = match choice {
                Choice::JobType(job_type) => codec::encode_definition(&mut record, job_type),
                Choice::Strike(strike) => codec::encode_definition(&mut record, strike),
                Choice::Error(error) => codec::encode_definition(&mut record, error),
            };
            self.definitions.insert(definition_key(choice), row)?;
            Arc::make_mut(&mut self.choices).define(choice.clone());
        }
        self.choices_changed |= !choices.is_empty();
        Ok(())
    }
}
