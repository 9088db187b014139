//! Writing: the operations of one atomic change.
use std::sync::Arc;

use redb::{ReadableTable, Table, WriteTransaction};

use super::index_pages::{IndexPage, Place};
use super::{StoreError, blocks, choice_row, codec, index_pages, rollup_rows, tables};
use crate::catalog::MetricsTypeId;
use crate::events::{Choice, Choices, Event, EventKey, EventKind, Partition};
use crate::rollup::{Rollup, RollupKey, Scope};

type BlockKey = (u32, u64, u8, u64);

/// One change of the store while it is made: it reads what it wrote, and nobody else does before it is committed.
pub struct Batch<'txn> {
    choices: Arc<Choices>,
    meta: Table<'txn, &'static str, u64>,
    definitions: Table<'txn, (u8, u64), &'static [u8]>,
    blocks: Table<'txn, BlockKey, &'static [u8]>,
    index: Table<'txn, (u8, u64), &'static [u8]>,
    rollups: Table<'txn, (u32, u8, u64), &'static [u8]>,
    totals: Table<'txn, (u8, u32), &'static [u8]>,
}

/// What happens to one event: the stored one, if any, gives way to another one, if any. Both have the same key.
#[derive(Debug)]
pub struct Change<'a> {
    /// The event that is stored.
    pub before: Option<Event>,
    /// The event that is to be stored.
    pub after: Option<&'a Event>,
}

/// The events that are kept together: where, and their kind. Ordered as their blocks are.
type Home = (Place, EventKind);

/// Where an event is kept from now on, if it is kept at all.
struct Move {
    key: EventKey,
    to: Option<Place>,
}

/// What happens to one event of a home: another content, or none.
struct Edit<'a> {
    home: Home,
    id: u64,
    event: Option<&'a Event>,
}

impl<'txn> Batch<'txn> {
    pub(super) fn new(transaction: &'txn WriteTransaction, choices: Arc<Choices>) -> Result<Self, StoreError> {
        Ok(Self {
            choices,
            meta: transaction.open_table(tables::META)?,
            definitions: transaction.open_table(tables::CHOICES)?,
            blocks: transaction.open_table(tables::BLOCKS)?,
            index: transaction.open_table(tables::INDEX)?,
            rollups: transaction.open_table(tables::ROLLUPS)?,
            totals: transaction.open_table(tables::TOTALS)?,
        })
    }

    /// The definitions as they are stored now.
    pub fn choices(&self) -> &Arc<Choices> {
        &self.choices
    }

    /// Stores definitions; each replaces an earlier one of the same choice.
    pub fn define(&mut self, choices: &[&Choice]) -> Result<(), StoreError> {
        for &choice in choices {
            let record = match choice {
                Choice::JobType(job_type) => codec::encode_definition(job_type),
                Choice::Strike(strike) => codec::encode_definition(strike),
                Choice::Error(error) => codec::encode_definition(error),
            };
            self.definitions.insert(choice_row(choice), record.as_slice())?;
            Arc::make_mut(&mut self.choices).define(choice.clone());
        }
        if !choices.is_empty() {
            let changes = self.meta.get(tables::META_CHOICES)?.map_or(0, |changes| changes.value());
            self.meta.insert(tables::META_CHOICES, changes + 1)?;
        }
        Ok(())
    }

    /// The stored events of these keys, which must be ascending, in the same order.
    pub fn events(&self, keys: &[EventKey]) -> Result<Vec<Event>, StoreError> {
        debug_assert!(keys.is_sorted_by(|a, b| a < b), "neighbouring ids share pages");
        let mut wanted: Vec<(Home, u64)> = Vec::new();
        for keys in keys.chunk_by(|a, b| index_row(*a) == index_row(*b)) {
            let page = self.index_page(index_row(keys[0]))?;
            let places = keys.iter().filter_map(|key| Some(((page.get(low_byte(key.id))?, key.kind), key.id)));
            wanted.extend(places);
        }
        wanted.sort_unstable();
        let mut events = Vec::with_capacity(wanted.len());
        let mut wanted = &wanted[..];
        while let Some(&(home, id)) = wanted.first() {
            let block = self.block_of(home, id)?.map_or_else(Vec::new, |(_, events)| events);
            let last = block.last().map_or(id, |event| event.key().id);
            let here = wanted.partition_point(|&(other, id)| other == home && id <= last);
            let (here, rest) = wanted.split_at(here);
            let found = events.len();
            events.extend(
                block.into_iter().filter(|event| here.binary_search_by_key(&event.key().id, |&(_, id)| id).is_ok()),
            );
            if here.is_empty() || events.len() - found != here.len() {
                return Err(codec::Corrupt("the index names an event that is not there").into());
            }
            wanted = rest;
        }
        events.sort_unstable_by_key(Event::key);
        Ok(events)
    }

    /// The events that end on the date of a partition, of its type's kinds and choice, whether they count in it or not.
    pub fn partition_events(&self, partition: Partition) -> Result<Vec<Event>, StoreError> {
        let kinds: &[EventKind] = match partition.metrics {
            MetricsTypeId::JobTypes => &[EventKind::Job, EventKind::JobExecution],
            MetricsTypeId::Ingests => &[EventKind::Ingest],
            // Executions that name the error are kept with their job types; its counts never need them.
            MetricsTypeId::Errors => &[],
        };
        let mut events = Vec::new();
        for &kind in kinds {
            let home = (Some((partition.date, partition.choice)), kind);
            for row in self.blocks.range(block_key(home, 0)..=block_key(home, u64::MAX))? {
                events.extend(blocks::decode_events(home.0, kind, row?.1.value())?);
            }
        }
        Ok(events)
    }

    /// Puts events into the place of others, wherever those are kept. No two changes may have the same key.
    pub fn replace(&mut self, changes: &[Change<'_>]) -> Result<(), StoreError> {
        let mut edits = Vec::with_capacity(changes.len());
        let mut moves = Vec::with_capacity(changes.len());
        for Change { before, after } in changes {
            let Some(key) = before.as_ref().or(*after).map(Event::key) else { continue };
            let old = before.as_ref().map(place_of);
            let new = after.map(place_of);
            if old != new {
                moves.push(Move { key, to: new });
                if let Some(old) = old {
                    edits.push(Edit { home: (old, key.kind), id: key.id, event: None });
                }
            }
            if let Some(new) = new {
                edits.push(Edit { home: (new, key.kind), id: key.id, event: *after });
            }
        }
        edits.sort_unstable_by_key(|edit| (edit.home, edit.id));
        for edits in edits.chunk_by(|a, b| a.home == b.home) {
            self.edit_home(edits[0].home, edits)?;
        }
        moves.sort_unstable_by_key(|moved| moved.key);
        for moves in moves.chunk_by(|a, b| index_row(a.key) == index_row(b.key)) {
            let row = index_row(moves[0].key);
            let mut page = self.index_page(row)?;
            for Move { key, to } in moves {
                page.set(low_byte(key.id), *to);
            }
            let row_bytes = (!page.is_empty()).then(|| index_pages::encode_index_page(&page));
            put_or_remove(&mut self.index, row, row_bytes)?;
        }
        Ok(())
    }

    /// The rollup of that name; empty if nothing is counted there.
    pub fn rollup(&self, RollupKey { date, metrics, scope }: RollupKey) -> Result<Rollup, StoreError> {
        let row = match scope {
            Scope::All => self.totals.get((metrics as u8, date.days()))?,
            Scope::Choice(choice) => self.rollups.get((date.days(), metrics as u8, choice.get()))?,
        };
        Ok(row.map_or_else(|| Ok(Rollup::default()), |row| rollup_rows::decode_rollup(row.value()))?)
    }

    /// Stores a rollup; an empty one takes its row away.
    pub fn put_rollup(
        &mut self,
        RollupKey { date, metrics, scope }: RollupKey,
        rollup: &Rollup,
    ) -> Result<(), StoreError> {
        let row = (!rollup.is_empty()).then(|| rollup_rows::encode_rollup(rollup));
        match scope {
            Scope::All => put_or_remove(&mut self.totals, (metrics as u8, date.days()), row),
            Scope::Choice(choice) => put_or_remove(&mut self.rollups, (date.days(), metrics as u8, choice.get()), row),
        }
    }

    fn index_page(&self, row: (u8, u64)) -> Result<IndexPage, StoreError> {
        let page = self.index.get(row)?;
        Ok(page.map_or_else(|| Ok(IndexPage::default()), |page| index_pages::decode_index_page(page.value()))?)
    }

    /// The block that an id of a home belongs into, with its lower bound; `None` if there is none yet.
    fn block_of(&self, home: Home, id: u64) -> Result<Option<(u64, Vec<Event>)>, StoreError> {
        let Some(row) = self.blocks.range(block_key(home, 0)..=block_key(home, id))?.next_back() else {
            return Ok(None);
        };
        let (key, value) = row?;
        Ok(Some((key.value().3, blocks::decode_events(home.0, home.1, value.value())?)))
    }

    /// Inserts, replaces and removes events of one home; the edits are ordered by id.
    fn edit_home(&mut self, home: Home, mut edits: &[Edit<'_>]) -> Result<(), StoreError> {
        while let Some(first) = edits.first() {
            // Mostly the last block is the one, or there is none yet: then nothing lies behind it.
            let mut bound = u64::MAX;
            let mut stored = self.block_of(home, u64::MAX)?;
            if stored.as_ref().is_some_and(|&(lower, _)| lower > first.id) {
                stored = self.block_of(home, first.id)?;
                let lower = stored.as_ref().map_or(0, |&(lower, _)| lower);
                let next = self.blocks.range(block_key(home, lower + 1)..=block_key(home, u64::MAX))?.next();
                bound = next.transpose()?.map_or(u64::MAX, |(key, _)| key.value().3);
            }
            let is_stored = stored.is_some();
            let (lower, block) = stored.unwrap_or_default();
            let (here, later) = edits.split_at(edits.partition_point(|edit| edit.id < bound));
            let last = block.last().map_or(0, |event| event.key().id);
            let at_the_end = here.iter().all(|edit| edit.id > last || edit.event.is_none());
            let events = merge(&block, here);
            if events.is_empty() {
                if is_stored {
                    self.blocks.remove(block_key(home, lower))?;
                }
            } else {
                for (place, events) in blocks::cut_into_blocks(&events, at_the_end).into_iter().enumerate() {
                    let lower = if place == 0 { lower } else { events[0].key().id };
                    self.blocks.insert(block_key(home, lower), blocks::encode_events(home.0, events).as_slice())?;
                }
            }
            edits = later;
        }
        Ok(())
    }
}

fn put_or_remove<'k, K: redb::Key + 'static>(
    table: &mut Table<'_, K, &'static [u8]>,
    key: impl std::borrow::Borrow<K::SelfType<'k>>,
    row: Option<Vec<u8>>,
) -> Result<(), StoreError> {
    match row {
        Some(row) => table.insert(key, row.as_slice())?,
        None => table.remove(key)?,
    };
    Ok(())
}

/// The events of a block after edits; both are ordered by id.
fn merge<'a>(block: &'a [Event], edits: &[Edit<'a>]) -> Vec<&'a Event> {
    let mut merged = Vec::with_capacity(block.len() + edits.len());
    let mut edits = edits.iter().peekable();
    for event in block {
        let id = event.key().id;
        while let Some(edit) = edits.next_if(|edit| edit.id < id) {
            merged.extend(edit.event);
        }
        match edits.next_if(|edit| edit.id == id) {
            Some(edit) => merged.extend(edit.event),
            None => merged.push(event),
        }
    }
    merged.extend(edits.filter_map(|edit| edit.event));
    merged
}

/// Where an event is kept.
fn place_of(event: &Event) -> Place {
    event.home().map(|partition| (partition.date, partition.choice))
}

fn block_key((place, kind): Home, lower: u64) -> BlockKey {
    let (date, choice) = place.map_or((0, 0), |(date, choice)| (date.days(), choice.get()));
    (date, choice, kind as u8, lower)
}

fn index_row(key: EventKey) -> (u8, u64) {
    (key.kind as u8, key.id >> 8)
}

fn low_byte(id: u64) -> u8 {
    (id & 0xff) as u8
}
