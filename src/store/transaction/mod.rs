//! Writing: a transaction is one atomic change of the store.

mod events;
mod expiry;
mod rollups;

use std::sync::Arc;

use super::codec::Record;
use super::definition_rows::{definition_key, encode_choice};
use super::definitions::RecentDefinitions;
use super::error::StoreError;
use super::format::Upgrade;
use super::keys::{self, TotalKey};
use super::reads::first_key;
use super::rollup_rows::Packer;
use super::rows::{self, Changes, Database, Order, Table};
use super::snapshot::{OF_STATE, RetentionMarks, STATE_NUMBERS, StoreState, state_numbers};
use super::version::Version;
use super::writer::Writer;
use crate::events::{Choice, Choices};
use crate::time::Date;

/// One change of the store. It reads its own writes, which no other reader sees before the commit. Dropping it changes nothing.
pub struct Transaction<'db> {
    rows: Box<dyn rows::Transaction + 'db>,
    recent: &'db RecentDefinitions,
    writer: &'db Writer,
    version: Version,
    kept: RetentionMarks,
    definitions: Arc<Choices>,
    /// Definitions that are not written yet.
    defined: Changes,
    /// Rollups of choices that are not written yet, and those of all choices together.
    rollups: Changes,
    totals: Changes,
    /// The number of rollups that were put.
    rollups_put: u64,
    /// Whether events that count were replaced. Readers see that even if it changes no rollup: an event may have moved within its
    /// hour, from one local day to another.
    are_events_changed: bool,
    /// Whether days were hidden, or are shown again.
    are_days_hidden: bool,
    /// Named numbers to set.
    numbers: Vec<(&'static str, Option<u64>)>,
    /// Buffers for packing values, and rollups.
    record: Record,
    packer: Packer,
}

impl<'db> Transaction<'db> {
    pub(super) fn begin(
        database: &'db dyn Database,
        recent: &'db RecentDefinitions,
        writer: &'db Writer,
    ) -> Result<Self, StoreError> {
        let (rows, numbers) = database.begin(state_numbers(database))?;
        Self::of(rows, &numbers, recent, writer)
    }

    /// Begins a transaction of the upgrade. Returns also what is left to do.
    pub(super) fn begin_upgrade(
        database: &'db dyn Database,
        recent: &'db RecentDefinitions,
        writer: &'db Writer,
    ) -> Result<(Self, Upgrade), StoreError> {
        let (rows, numbers) = database.begin(&STATE_NUMBERS)?;
        let (state, format) = numbers.split_at(OF_STATE);
        Ok((Self::of(rows, state, recent, writer)?, Upgrade::of(format)?))
    }

    fn of(
        rows: Box<dyn rows::Transaction + 'db>,
        numbers: &[Option<u64>],
        recent: &'db RecentDefinitions,
        writer: &'db Writer,
    ) -> Result<Self, StoreError> {
        let state = StoreState::read(&*rows, numbers, recent)?;
        writer.notice(rows.stamp());
        Ok(Self {
            rows,
            recent,
            writer,
            version: state.version(),
            kept: state.kept(),
            definitions: Arc::clone(state.definitions()),
            defined: Changes::default(),
            rollups: Changes::default(),
            totals: Changes::default(),
            rollups_put: 0,
            are_events_changed: false,
            are_days_hidden: false,
            numbers: Vec::new(),
            record: Record::default(),
            packer: Packer::default(),
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

    /// Reads something, so that other servers, which wait for their turn, see that this one uses it.
    pub fn keep_turn(&self) -> Result<(), StoreError> {
        first_key(self.rows(), .., Order::Ascending).map(|_: Option<TotalKey>| ())
    }

    /// Commits a step of the upgrade. `next` is the first day that is left.
    pub(super) fn commit_upgrade(mut self, next: Option<Date>) -> Result<(), StoreError> {
        self.numbers.push((keys::NUMBER_FORMAT, Some(keys::FORMAT)));
        self.numbers.push((keys::NUMBER_UPGRADE, next.map(|date| date.days().into())));
        self.commit()
    }

    /// Commits the change, durably.
    pub fn commit(mut self) -> Result<(), StoreError> {
        let are_defined = !self.defined.is_empty();
        let version = Version { number: self.version.number + 1, ..self.version };
        if self.rollups_put > 0 || self.are_events_changed || self.are_days_hidden || are_defined {
            self.numbers.push((keys::NUMBER_VERSION, Some(version.number)));
            if are_defined {
                self.numbers.push((keys::NUMBER_DEFINITIONS, Some(version.number)));
            }
        }
        for changes in [&mut self.defined, &mut self.rollups, &mut self.totals] {
            changes.sort();
        }
        let changes =
            [(Table::Definitions, &self.defined), (Table::Rollups, &self.rollups), (Table::Totals, &self.totals)];
        let stamp = self.rows.commit(&changes, &self.numbers)?;
        self.writer.wrote(stamp);
        if are_defined {
            self.recent.add(version, self.definitions);
        }
        Ok(())
    }
}
