//! Writing: a transaction is one atomic change of the store.

mod events;
mod expiry;
mod rollups;

use std::sync::Arc;

use super::codec::Record;
use super::definition_rows::{definition_key, encode_choice, read_definitions};
use super::definitions::RecentDefinitions;
use super::error::StoreError;
use super::keys;
use super::rows::{self, Changes, Database, Table};
use super::snapshot::{RetentionMarks, STATE_NUMBERS, State};
use crate::events::{Choice, Choices};

/// One change of the store. It reads its own writes, which no other reader sees before the commit. Dropping it changes nothing.
pub struct Transaction<'db> {
    rows: Box<dyn rows::Transaction + 'db>,
    recent: &'db RecentDefinitions,
    version: u64,
    kept: RetentionMarks,
    definitions: Arc<Choices>,
    /// Definitions that are not written yet.
    defined: Changes,
    /// Rollups of choices that are not written yet, and those of all choices together.
    rollups: Changes,
    totals: Changes,
    /// The number of rollups that were put.
    rollups_put: u64,
    /// Whether rollups were hidden.
    are_rollups_hidden: bool,
    /// Named numbers to set.
    numbers: Vec<(&'static str, Option<u64>)>,
    /// A buffer for packing values.
    record: Record,
}

impl<'db> Transaction<'db> {
    pub(super) fn begin(database: &'db dyn Database, recent: &'db RecentDefinitions) -> Result<Self, StoreError> {
        let (rows, numbers) = database.begin(&STATE_NUMBERS)?;
        let State { version, defined_by, kept } = State::read(&numbers)?;
        let definitions = recent.get(defined_by, || read_definitions(&*rows))?;
        Ok(Self {
            rows,
            recent,
            version,
            kept,
            definitions,
            defined: Changes::default(),
            rollups: Changes::default(),
            totals: Changes::default(),
            rollups_put: 0,
            are_rollups_hidden: false,
            numbers: Vec::new(),
            record: Record::default(),
        })
    }

    /// Returns the rows in their current state, without the rows that are not written yet.
    pub(super) fn rows(&self) -> &dyn rows::Read {
        &*self.rows
    }

    /// Returns the current definitions.
    pub fn definitions(&self) -> &Arc<Choices> {
        &self.definitions
    }

    /// Stores definitions. Each replaces an earlier one of the same choice.
    pub fn define(&mut self, choices: &[&Choice]) {
        for &choice in choices {
            self.defined.replace(definition_key(choice), encode_choice(&mut self.record, choice));
            Arc::make_mut(&mut self.definitions).define(choice.clone());
        }
    }

    /// Commits the change, durably.
    pub fn commit(mut self) -> Result<(), StoreError> {
        let are_defined = !self.defined.is_empty();
        let mut definitions = None;
        if self.rollups_put > 0 || self.are_rollups_hidden || are_defined {
            let version = self.version + 1;
            self.numbers.push((keys::NUMBER_VERSION, Some(version)));
            if are_defined {
                self.numbers.push((keys::NUMBER_DEFINITIONS, Some(version)));
                definitions = Some((version, self.definitions));
            }
        }
        for changes in [&mut self.defined, &mut self.rollups, &mut self.totals] {
            changes.sort();
        }
        let changes =
            [(Table::Definitions, &self.defined), (Table::Rollups, &self.rollups), (Table::Totals, &self.totals)];
        let rows = self.rows;
        self.recent.commit(definitions, || Ok(rows.commit(&changes, &self.numbers)?))
    }
}
