//! The events of a batch: where each is kept, and its content.
//!
//! Events of a kind that end on one date of one choice are at home together, in consecutive blocks ordered by id; the index
//! says for every id which home that is. Few events that come to a large block make a tail, a small block behind it that is
//! merged into it when it has grown, so that a stream of small posts does not write the large one again and again.
//!
//! Not here: what the bytes of a block mean (`blocks`), which of two contents holds (`worker`).

use std::ops::Bound;

use redb::{ReadableTable, Table, WriteTransaction};

use crate::catalog::MetricsTypeId;
use crate::events::{Event, EventKey, EventKind, Partition};
use crate::store::blocks::{self, MAX_EVENTS, TAIL_EVENTS};
use crate::store::codec::{Corrupt, Record};
use crate::store::index_pages::{self, IndexPage, Place};
use crate::store::{StoreError, tables};

type BlockKey = (u32, u64, u8, u64);
type IndexRow = (u64, u8);

/// The events as a batch reads and writes them.
pub struct StoredEvents<'txn> {
    /// Where rows are packed.
    record: Record,
    blocks: Table<'txn, BlockKey, &'static [u8]>,
    index: Table<'txn, IndexRow, &'static [u8]>,
}

/// What happens to one event: it comes, or takes the place of the stored one of the same key.
#[derive(Debug)]
pub struct Change<'a> {
    /// The event that is stored.
    pub before: Option<&'a Event>,
    /// The event that is to be stored.
    pub after: &'a Event,
    /// The partition that it is kept in, if it is in one.
    pub partition: Option<Partition>,
    /// Where that is among the others.
    home: Home,
}

impl<'a> Change<'a> {
    /// The change from one content to another one.
    pub fn new(before: Option<&'a Event>, after: &'a Event) -> Self {
        let partition = after.home();
        Self { before, after, partition, home: Home::new(partition, after) }
    }
}

/// The events that are kept together: where, and their kind. Ordered as their blocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Home {
    place: Place,
    kind: EventKind,
}

impl Home {
    /// Of an event that is kept in `partition`.
    fn new(partition: Option<Partition>, event: &Event) -> Self {
        Self { place: partition.map(|partition| (partition.date, partition.choice)), kind: event.key().kind }
    }

    /// A number that orders as homes do, which is faster to sort by.
    fn order(self) -> u128 {
        let (date, choice, kind, _) = self.block(0);
        u128::from(date) << 96 | u128::from(choice) << 32 | u128::from(kind)
    }

    /// The key of its block with that lower bound.
    fn block(self, lower: u64) -> BlockKey {
        let (date, choice) = self.place.map_or((0, 0), |(date, choice)| (date.days(), choice.get()));
        (date, choice, self.kind as u8, lower)
    }
}

/// What happens to one event of a home: another content, or none.
#[derive(Clone, Copy)]
struct Edit<'a> {
    home: Home,
    id: u64,
    event: Option<&'a Event>,
}

impl<'txn> StoredEvents<'txn> {
    pub(super) fn new(transaction: &'txn WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            record: Record::default(),
            blocks: transaction.open_table(tables::BLOCKS)?,
            index: transaction.open_table(tables::INDEX)?,
        })
    }

    /// The stored events of these keys, which must be ascending, in the same order.
    pub fn load(&self, keys: &[EventKey]) -> Result<Vec<Event>, StoreError> {
        debug_assert!(keys.is_sorted_by(|a, b| a < b), "neighbouring ids share pages");
        let mut wanted: Vec<(Home, u64)> = Vec::new();
        for keys in keys.chunk_by(|a, b| index_row(*a) == index_row(*b)) {
            let page = self.index_page(index_row(keys[0]))?;
            wanted.extend(keys.iter().filter_map(|key| {
                let place = page.get(low_byte(key.id))?;
                Some((Home { place, kind: key.kind }, key.id))
            }));
        }
        wanted.sort_unstable();
        let mut events = Vec::with_capacity(wanted.len());
        let mut wanted = &wanted[..];
        while let Some(&(home, id)) = wanted.first() {
            let block = self.find_block(home, id)?.map_or_else(|| Ok(Vec::new()), |block| block.events(home))?;
            let last = block.last().map_or(id, |event| event.key().id);
            let here = wanted.partition_point(|&(other, id)| other == home && id <= last);
            let (here, rest) = wanted.split_at(here);
            let found = events.len();
            events.extend(
                block.into_iter().filter(|event| here.binary_search_by_key(&event.key().id, |&(_, id)| id).is_ok()),
            );
            if here.is_empty() || events.len() - found != here.len() {
                return Err(Corrupt("the index names an event that is not there").into());
            }
            wanted = rest;
        }
        events.sort_unstable_by_key(Event::key);
        Ok(events)
    }

    /// The events that end on the date of a partition, of its type's kinds and choice, whether they count in it or not.
    pub fn of_partition(&self, partition: Partition) -> Result<Vec<Event>, StoreError> {
        let kinds: &[EventKind] = match partition.metrics {
            MetricsTypeId::JobTypes => &[EventKind::Job, EventKind::JobExecution],
            MetricsTypeId::Ingests => &[EventKind::Ingest],
            // Executions that name the error are kept with their job types; its counts never need them.
            MetricsTypeId::Errors => &[],
        };
        let mut events = Vec::new();
        for &kind in kinds {
            let home = Home { place: Some((partition.date, partition.choice)), kind };
            for row in self.blocks.range(home.block(0)..=home.block(u64::MAX))? {
                events.extend(blocks::decode_events(home.place, kind, row?.1.value())?);
            }
        }
        Ok(events)
    }

    /// Puts events into the place of others, wherever those are kept. The changes must come in the order of their keys, of
    /// which no two are the same. `stored` gets each in the order of their partitions, while its event is at hand.
    pub fn replace<'a>(
        &mut self,
        mut changes: Vec<Change<'a>>,
        mut stored: impl FnMut(&Change<'a>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        debug_assert!(changes.is_sorted_by(|a, b| a.after.key() < b.after.key()), "neighbouring ids share pages");
        self.note_places(&changes)?;
        radsort::sort_by_key(&mut changes, |change| change.home.order());
        let edits = edits_of(&changes);
        let mut changes = changes.iter().peekable();
        let mut store_next = |home: Home| {
            while let Some(change) = changes.next_if(|change| change.home == home) {
                stored(change)?;
            }
            Ok::<_, StoreError>(())
        };
        let last = self.blocks.last()?.map(|(key, _)| key.value());
        let (among, behind) = edits.split_at(edits.partition_point(|edit| Some(edit.home.block(0)) <= last));
        for edits in among.chunk_by(|a, b| a.home == b.home) {
            self.edit_home(edits[0].home, edits)?;
            store_next(edits[0].home)?;
        }
        // Homes that come behind all that are stored: in the order of time, those are most.
        let mut end = self.blocks.upper_bound_mut(Bound::<BlockKey>::Unbounded)?;
        for edits in behind.chunk_by(|a, b| a.home == b.home) {
            let home = edits[0].home;
            for (lower, events) in with_lower_bounds(0, blocks::cut_into_blocks(&merge(&[], edits), true)) {
                let row = blocks::encode_events(&mut self.record, home.place, events);
                end.insert_before(home.block(lower), row)?;
            }
            store_next(home)?;
        }
        Ok(end.close()?)
    }

    /// Writes into the index where the events of the changes are kept.
    fn note_places(&mut self, changes: &[Change<'_>]) -> Result<(), StoreError> {
        let row = |change: &Change<'_>| index_row(change.after.key());
        let mut pages: Vec<_> = changes.chunk_by(|a, b| row(a) == row(b)).collect();
        pages.sort_unstable_by_key(|changes| row(&changes[0]));
        for changes in pages {
            let row = row(&changes[0]);
            let mut page = self.index_page(row)?;
            for change in changes {
                page.set(low_byte(change.after.key().id), change.home.place);
            }
            self.index.insert(row, index_pages::encode_index_page(&mut self.record, &page))?;
        }
        Ok(())
    }

    fn index_page(&self, row: IndexRow) -> Result<IndexPage, StoreError> {
        let page = self.index.get(row)?;
        Ok(page.map_or_else(|| Ok(IndexPage::default()), |page| index_pages::decode_index_page(page.value()))?)
    }

    /// Inserts, replaces and removes events of one home; the edits are ordered by id.
    fn edit_home(&mut self, home: Home, mut edits: &[Edit<'_>]) -> Result<(), StoreError> {
        while let Some(first) = edits.first() {
            // Mostly the last block is the one, or there is none yet: then nothing lies behind it.
            let mut bound = u64::MAX;
            let mut block = self.find_block(home, u64::MAX)?;
            if block.as_ref().is_some_and(|block| block.lower > first.id) {
                block = self.find_block(home, first.id)?;
                let behind = home.block(block.as_ref().map_or(0, |block| block.lower + 1))..=home.block(u64::MAX);
                bound = self.blocks.range(behind)?.next().transpose()?.map_or(u64::MAX, |(key, _)| key.value().3);
            }
            let (here, later) = edits.split_at(edits.partition_point(|edit| edit.id < bound));
            match block {
                Some(block) if bound == u64::MAX => self.edit_last_block(home, block, here)?,
                block => self.edit_block(home, block, here)?,
            }
            edits = later;
        }
        Ok(())
    }

    /// Edits the last block of a home. Few new events behind its own are not worth unpacking it, if it is large: they
    /// make a tail, a small block that is merged into the one before when it has grown.
    fn edit_last_block(&mut self, home: Home, block: Block, edits: &[Edit<'_>]) -> Result<(), StoreError> {
        let (count, last) = blocks::count_and_last_id(&block.record)?;
        let grows = edits.iter().all(|edit| edit.id > last && edit.event.is_some());
        let fits_tail = |count| count <= TAIL_EVENTS;
        if !grows || !fits_tail(edits.len()) || fits_tail(count + edits.len()) {
            return self.edit_block(home, Some(block), edits);
        }
        if !fits_tail(count) {
            return self.put_blocks(home, edits[0].id, &merge(&[], edits), true);
        }
        let before = block.lower.checked_sub(1).map(|bound| self.find_block(home, bound)).transpose()?.flatten();
        if let Some(before) = before
            && blocks::count_and_last_id(&before.record)?.0 < MAX_EVENTS
        {
            self.blocks.remove(home.block(block.lower))?;
            let tail = block.events(home)?;
            let tail = tail.iter().map(|event| Edit { home, id: event.key().id, event: Some(event) });
            let edits: Vec<_> = tail.chain(edits.iter().copied()).collect();
            return self.edit_block(home, Some(before), &edits);
        }
        self.edit_block(home, Some(block), edits)
    }

    /// Edits a block of a home, or makes the first one.
    fn edit_block(&mut self, home: Home, block: Option<Block>, edits: &[Edit<'_>]) -> Result<(), StoreError> {
        let stored = block.as_ref().map_or_else(|| Ok(Vec::new()), |block| block.events(home))?;
        let last = stored.last().map_or(0, |event| event.key().id);
        let at_the_end = edits.iter().all(|edit| edit.id > last || edit.event.is_none());
        let events = merge(&stored, edits);
        match block {
            Some(block) if events.is_empty() => _ = self.blocks.remove(home.block(block.lower))?,
            block => self.put_blocks(home, block.map_or(0, |block| block.lower), &events, at_the_end)?,
        }
        Ok(())
    }

    /// Stores events of a home in the place of a block, or of none.
    fn put_blocks(&mut self, home: Home, lower: u64, events: &[&Event], at_the_end: bool) -> Result<(), StoreError> {
        for (lower, events) in with_lower_bounds(lower, blocks::cut_into_blocks(events, at_the_end)) {
            let row = blocks::encode_events(&mut self.record, home.place, events);
            self.blocks.insert(home.block(lower), row)?;
        }
        Ok(())
    }

    /// The block of a home that an id belongs into, if there is one.
    fn find_block(&self, home: Home, id: u64) -> Result<Option<Block>, StoreError> {
        let row = self.blocks.range(home.block(0)..=home.block(id))?.next_back().transpose()?;
        Ok(row.map(|(key, record)| Block { lower: key.value().3, record: record.value().to_vec() }))
    }
}

/// A stored block of a home.
struct Block {
    /// The lower bound of its ids.
    lower: u64,
    record: Vec<u8>,
}

impl Block {
    fn events(&self, home: Home) -> Result<Vec<Event>, Corrupt> {
        blocks::decode_events(home.place, home.kind, &self.record)
    }
}

/// The events of blocks with the lower bound of each: the first stands at `first`, the others at their first id.
fn with_lower_bounds<'b, 'e>(first: u64, blocks: Vec<&'b [&'e Event]>) -> impl Iterator<Item = (u64, &'b [&'e Event])> {
    let mut first = Some(first);
    blocks.into_iter().map(move |events| (first.take().unwrap_or_else(|| events[0].key().id), events))
}

/// What changes do to the homes of their events, ordered by home and id. The changes are ordered by home.
fn edits_of<'a>(changes: &[Change<'a>]) -> Vec<Edit<'a>> {
    let come = |change: &Change<'a>| Edit { home: change.home, id: change.after.key().id, event: Some(change.after) };
    let gone = |change: &Change<'a>| {
        let before = change.before?;
        let home = Home::new(before.home(), before);
        (home != change.home).then_some(Edit { home, id: change.after.key().id, event: None })
    };
    let mut edits = Vec::with_capacity(changes.len());
    edits.extend(changes.iter().map(come));
    edits.extend(changes.iter().filter_map(gone));
    edits.sort_by_key(|edit| (edit.home.order(), edit.id));
    edits
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

fn index_row(key: EventKey) -> IndexRow {
    (key.id >> 8, key.kind as u8)
}

fn low_byte(id: u64) -> u8 {
    (id & 0xff) as u8
}
