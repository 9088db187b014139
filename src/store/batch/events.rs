//! The events of a batch: where each is kept, and its content.
//!
//! Events of a kind that end on one date of one choice are at home together, in consecutive blocks ordered by id; the index
//! says for every id which home that is. Few events that come to a large block make a tail, a small block behind it that is
//! merged into it when it has grown, so that a stream of small posts does not write the large one again and again.
//!
//! Not here: what the bytes of a block mean (`blocks`), which of two contents holds (`worker`).

use redb::{ReadableTable, Table, WriteTransaction};

use super::rows::Rows;
use crate::events::{Event, EventKey, EventKind, Partition};
use crate::store::StoreError;
use crate::store::blocks::{self, MAX_EVENTS, TAIL_EVENTS};
use crate::store::codec::{Corrupt, Record};
use crate::store::index_pages::{self, IndexPage, Place};
use crate::store::tables::{self, BlockKey, PageKey};
use crate::time::Date;

/// The events as a batch reads and writes them.
pub struct StoredEvents<'txn> {
    /// Where rows are packed.
    pub(super) record: Record,
    pub(super) blocks: Table<'txn, BlockKey, &'static [u8]>,
    pub(super) index: Table<'txn, PageKey, &'static [u8]>,
    /// Blocks that are not written yet.
    rows: Rows<BlockKey>,
    /// Events that ended before are forgotten, whether they are still there or not.
    pub(super) kept_from: Date,
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
        let BlockKey { days, choice, kind, .. } = self.block(0);
        u128::from(days) << 96 | u128::from(choice) << 32 | u128::from(kind)
    }

    /// The key of its block with that lower bound.
    fn block(self, lower: u64) -> BlockKey {
        let (days, choice) = self.place.map_or((0, 0), |(date, choice)| (date.days(), choice.get()));
        BlockKey { days, choice, kind: self.kind as u8, lower }
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
    pub(super) fn new(transaction: &'txn WriteTransaction, kept_from: Date) -> Result<Self, StoreError> {
        Ok(Self {
            record: Record::default(),
            blocks: transaction.open_table(tables::BLOCKS)?,
            index: transaction.open_table(tables::INDEX)?,
            rows: Rows::new(),
            kept_from,
        })
    }

    /// The stored events of these keys, which must be ascending, in the same order.
    pub fn load(&self, keys: &[EventKey]) -> Result<Vec<Event>, StoreError> {
        debug_assert!(keys.is_sorted_by(|a, b| a < b), "neighbouring ids share pages");
        let mut wanted: Vec<(Home, u64)> = Vec::new();
        for keys in keys.chunk_by(|a, b| index_row(*a) == index_row(*b)) {
            let page = self.index_page(index_row(keys[0]))?;
            wanted.extend(keys.iter().filter_map(|key| {
                let place = page.get(low_byte(key.id)).filter(|place| !self.is_forgotten(*place))?;
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

    /// The blocks of all events, but for those that [`replace`](Self::replace) is about to write.
    pub(in crate::store) fn stored_blocks(&self) -> &Table<'txn, BlockKey, &'static [u8]> {
        &self.blocks
    }

    fn is_forgotten(&self, place: Place) -> bool {
        place.is_some_and(|(date, _)| date < self.kept_from)
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
        // Nothing is stored behind the last home: in the order of time, most are new, and need not be looked for.
        let last = self.blocks.last()?.map(|(key, _)| key.value());
        for edits in edits.chunk_by(|a, b| a.home == b.home) {
            let home = edits[0].home;
            if Some(home.block(0)) <= last {
                self.edit_home(home, edits)?;
            } else {
                self.put_blocks(home, Row::New(0), &merge(&[], edits), true);
            }
            while let Some(change) = changes.next_if(|change| change.home == home) {
                stored(change)?;
            }
        }
        self.rows.write_into(&mut self.blocks)
    }

    /// Takes everything out of the index.
    pub fn clear_index(&mut self) -> Result<(), StoreError> {
        Ok(self.index.retain(|_, _| false)?)
    }

    /// Writes into the index where these events are kept: where they belong.
    pub fn index(&mut self, events: &mut [Event]) -> Result<(), StoreError> {
        events.sort_unstable_by_key(Event::key);
        self.note_places(&events.iter().map(|event| Change::new(None, event)).collect::<Vec<_>>())
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

    pub(super) fn index_page(&self, row: PageKey) -> Result<IndexPage, StoreError> {
        let page = self.index.get(row)?;
        Ok(page.map_or_else(|| Ok(IndexPage::default()), |page| index_pages::decode_index_page(page.value()))?)
    }

    /// Puts bytes that are no page into the place of the first pages of the index.
    #[cfg(test)]
    pub(crate) fn damage_index(&mut self) -> Result<(), StoreError> {
        for kind in [EventKind::Job, EventKind::JobExecution] {
            self.index.insert(PageKey { page: 0, kind: kind as u8 }, b"no".as_slice())?;
        }
        Ok(())
    }

    /// Puts bytes that are no events into the place of the blocks of a day.
    #[cfg(test)]
    pub(crate) fn damage_blocks(&mut self, day: Date) -> Result<(), StoreError> {
        let range = BlockKey::first_of(day.days())..BlockKey::first_of(day.days() + 1);
        let keys: Vec<_> =
            self.blocks.range(range)?.map(|row| Ok(row?.0.value())).collect::<Result<_, StoreError>>()?;
        for key in keys {
            self.blocks.insert(key, b"no".as_slice())?;
        }
        Ok(())
    }

    /// Inserts, replaces and removes events of one home; the edits are ordered by id.
    fn edit_home(&mut self, home: Home, mut edits: &[Edit<'_>]) -> Result<(), StoreError> {
        while let Some(first) = edits.first() {
            if !self.rows.end_before(home.block(0)) {
                // The last block may be merged into one that these edits have just made another.
                self.rows.write_into(&mut self.blocks)?;
            }
            // Mostly the last block is the one, or there is none yet: then nothing lies behind it.
            let mut bound = u64::MAX;
            let mut block = self.find_block(home, u64::MAX)?;
            if block.as_ref().is_some_and(|block| block.lower > first.id) {
                block = self.find_block(home, first.id)?;
                let behind = home.block(block.as_ref().map_or(0, |block| block.lower + 1))..=home.block(u64::MAX);
                bound = self.blocks.range(behind)?.next().transpose()?.map_or(u64::MAX, |(key, _)| key.value().lower);
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
            self.put_blocks(home, Row::New(edits[0].id), &merge(&[], edits), true);
            return Ok(());
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
            Some(block) => self.put_blocks(home, Row::Stored(block.lower), &events, at_the_end),
            None => self.put_blocks(home, Row::New(0), &events, at_the_end),
        }
        Ok(())
    }

    /// Stores events of a home; the first of them in a row with that lower bound.
    fn put_blocks(&mut self, home: Home, mut row: Row, events: &[&Event], at_the_end: bool) {
        for (place, events) in blocks::cut_into_blocks(events, at_the_end).into_iter().enumerate() {
            if place > 0 {
                row = Row::New(events[0].key().id);
            }
            let (Row::New(lower) | Row::Stored(lower)) = row;
            let record = blocks::encode_events(&mut self.record, home.place, events);
            self.rows.push(home.block(lower), matches!(row, Row::New(_)), record);
        }
    }

    /// The block of a home that an id belongs into, if there is one.
    fn find_block(&self, home: Home, id: u64) -> Result<Option<Block>, StoreError> {
        let row = self.blocks.range(home.block(0)..=home.block(id))?.next_back().transpose()?;
        Ok(row.map(|(key, record)| Block { lower: key.value().lower, record: record.value().to_vec() }))
    }
}

/// The row of a block, by the lower bound of its ids: one that is not there yet, or one that is replaced.
#[derive(Clone, Copy)]
enum Row {
    New(u64),
    Stored(u64),
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

pub(super) fn index_row(key: EventKey) -> PageKey {
    PageKey { page: key.id >> 8, kind: key.kind as u8 }
}

pub(super) fn low_byte(id: u64) -> u8 {
    (id & 0xff) as u8
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;
    use crate::events::{ChoiceId, Job, JobStatus};
    use crate::store::{Opening, Store};
    use crate::time::Timestamp;

    fn job(id: u64, (job_type, second): (u64, u64)) -> Event {
        let job_type = ChoiceId::new(job_type).expect("in range");
        let ended = Timestamp::from_micros(1_420_070_400_000_000 + second * 1_000_000);
        Event::Job(Job { id, job_type, status: JobStatus::Completed, ended, error: None, last_modified: None })
    }

    /// Few homes and many events, so that blocks overflow; the ids rise from batch to batch, or come in any order.
    fn any_batches() -> impl Strategy<Value = Vec<BTreeMap<u64, (u64, u64)>>> {
        let content = (prop_oneof![9 => Just(1_u64), 1 => Just(2)], prop_oneof![9 => 0..9_u64, 1 => Just(100_000)]);
        let sizes = prop_oneof![1..6_usize, 1..400_usize];
        let rising = sizes.clone().prop_flat_map({
            let content = content.clone();
            move |size| vec((1..3_u64, content.clone()), size)
        });
        let rising = vec(rising, 1..12).prop_map(|batches| {
            let mut next = 1_000;
            let mut place = |(step, content)| {
                next += step;
                (next, content)
            };
            batches.into_iter().map(|batch| batch.into_iter().map(&mut place).collect()).collect()
        });
        let sizes = prop_oneof![0..1_usize, 1..4_usize, 1..60_usize];
        let shuffled = vec(sizes.prop_flat_map(move |size| btree_map(1..2_000_u64, content.clone(), size)), 12);
        (rising, shuffled).prop_map(|(rising, shuffled): (Vec<BTreeMap<_, _>>, Vec<_>)| {
            let both = |(rising, mut shuffled): (_, BTreeMap<_, _>)| {
                shuffled.extend(rising);
                shuffled
            };
            rising.into_iter().zip(shuffled).map(both).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        #[test]
        fn what_was_stored_last_is_loaded_again(batches in any_batches()) {
            let directory = tempfile::tempdir().expect("a temporary directory can be made");
            let store = Store::open(directory.path(), Opening::verified(1 << 20)).expect("the store opens");
            let mut expected = BTreeMap::new();
            for batch in batches {
                let new: Vec<_> = batch.iter().map(|(&id, &content)| job(id, content)).collect();
                let keys: Vec<_> = new.iter().map(Event::key).collect();
                expected.extend(new.iter().map(|event| (event.key(), event.clone())));
                store.write(|batch| {
                    let stored = batch.events.load(&keys)?;
                    let before = |event: &Event| stored.iter().find(|stored| stored.key() == event.key());
                    let changes = new.iter().map(|event| Change::new(before(event), event)).collect();
                    batch.events.replace(changes, |_| Ok(()))
                }).expect("it is stored");
                store.write(|batch| {
                    let keys: Vec<_> = expected.keys().copied().collect();
                    let all: Vec<_> = expected.values().cloned().collect();
                    assert_eq!(batch.events.load(&keys)?, all);
                    Ok::<_, StoreError>(())
                }).expect("it is read");
                let day = expected.values().next().and_then(Event::home).expect("it has ended").date;
                let mut kept = Vec::new();
                let snapshot = store.snapshot().expect("it is read");
                snapshot.events(Some(day), |event| {
                    kept.push(event.clone());
                    Ok(())
                }).expect("it is read");
                kept.sort_by_key(Event::key);
                let of_day = expected.values().filter(|event| event.home().is_some_and(|home| home.date == day));
                assert_eq!(kept, of_day.cloned().collect::<Vec<_>>());
            }
        }
    }
}
