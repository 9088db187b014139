//! Events in a transaction: the location of each event, and its content.
//!
//! The index has the location of every event, by id. Events of one location and kind are in blocks ordered by id
//! ([`BlockPrefix`]). A few events behind a large block make a tail: a small block that is merged into the one before it when it
//! has grown. So a stream of small posts does not rewrite the large block again and again.
//!
//! Blocks are read in two steps, regardless of the number of events. The first step reads the last block of each prefix, where
//! most events belong. The second step reads the earlier blocks that are needed.
//!
//! Not here: what the bytes of a block mean (`blocks`), which of two contents of an event applies (`ledger`).

use super::Transaction;
use crate::events::{Event, EventChange, EventKey};
use crate::store::blocks::{MAX_EVENTS, TAIL_EVENTS, count_and_last_id, cut_into_blocks, decode_events, encode_events};
use crate::store::codec::Record;
use crate::store::error::StoreError;
use crate::store::index_pages::{IndexPage, decode_index_page, encode_index_page};
use crate::store::keys::{BlockKey, PageKey, TableKey as _};
use crate::store::location::{BlockPrefix, Location, location_of};
use crate::store::reads::{self, look_up};
use crate::store::rows::{Changes, Floor, Read, Table};
use crate::store::single_events::{events_at, find_in_index};

/// The largest number of index pages that are changed at once: some megabytes.
const PAGES_AT_ONCE: usize = 4_096;

/// Returns the prefix of the block that contains a changed event; of a deleted event, that of events without a partition.
fn prefix_of(change: &EventChange<'_>) -> BlockPrefix {
    BlockPrefix { location: location_of(change.partition), kind: change.key.kind }
}

/// A change of one event of a prefix: the event gets another content, or is removed.
#[derive(Clone, Copy)]
struct Edit<'a> {
    prefix: BlockPrefix,
    id: u64,
    event: Option<&'a Event>,
}

impl Transaction<'_> {
    /// Returns the stored events of these keys, in the same order. The keys must be ascending.
    pub fn events(&mut self, keys: &[EventKey]) -> Result<Vec<Event>, StoreError> {
        debug_assert!(keys.is_sorted_by(|a, b| a < b), "neighbouring ids share pages");
        // Whoever changes events reads the same pages again.
        self.rows.prefetch(Table::Index, &mut keys.iter().map(|key| PageKey::of(*key).key()))?;
        let mut found = find_in_index(self.rows(), self.kept.events_from, keys)?;
        let mut events = events_at(self.rows(), &mut found)?;
        events.sort_unstable_by_key(Event::key);
        Ok(events)
    }

    /// Stores events in place of earlier ones, which may have other locations, and deletes events. The changes must be ordered by key,
    /// and no two keys may be equal. Afterwards the changes are ordered by partition.
    pub fn replace_events(&mut self, changes: &mut [EventChange<'_>]) -> Result<(), StoreError> {
        debug_assert!(changes.is_sorted_by(|a, b| a.key < b.key), "neighbouring ids share pages");
        self.are_events_changed |= !changes.is_empty();
        let edits = changes.iter().filter_map(|change| {
            let edit = match (change.before, change.after) {
                (_, Some(_)) => IndexEdit::Set(prefix_of(change).location),
                (Some(before), None) => IndexEdit::Remove(BlockPrefix::of(before).location),
                (None, None) => return None,
            };
            Some((change.key, edit))
        });
        let of_index: Vec<_> = edits.collect();
        radsort::sort_by_key(changes, |change| prefix_of(change).order());
        let edits = edits_of(changes);
        let groups: Vec<_> = edits.chunk_by(|a, b| a.prefix == b.prefix).collect();
        let last_blocks: Vec<_> = groups.iter().map(|edits| edits[0].prefix.floor(u64::MAX)).collect();
        self.rows.prefetch_floors(Table::Blocks, &last_blocks)?;
        self.prefetch_rollups(changes)?;
        self.edit_index(&of_index)?;
        let mut writer = BlockWriter { record: &mut self.record, changes: Changes::default() };
        let unfinished = edit_last_blocks(&*self.rows, &groups, &last_blocks, &mut writer)?;
        edit_earlier_blocks(&*self.rows, unfinished, &mut writer)?;
        let mut changes = writer.changes;
        changes.sort();
        Ok(self.rows.write(&[(Table::Blocks, &changes)])?)
    }

    /// Writes the locations of these events into the index: those where the events belong.
    pub fn index(&mut self, events: &mut [Event]) -> Result<(), StoreError> {
        events.sort_unstable_by_key(Event::key);
        let edits = events.iter().map(|event| (event.key(), IndexEdit::Set(BlockPrefix::of(event).location)));
        self.edit_index(&edits.collect::<Vec<_>>())
    }

    /// Removes all entries of the index.
    pub fn clear_index(&mut self) -> Result<(), StoreError> {
        let all = PageKey { page: 0, kind: 0 }.key()..PageKey { page: u64::MAX, kind: u8::MAX }.key();
        Ok(self.rows.remove_range(Table::Index, all)?)
    }

    /// Changes the index entries of some events. Their keys must be ascending.
    pub(super) fn edit_index(&mut self, edits: &[(EventKey, IndexEdit)]) -> Result<(), StoreError> {
        let mut of_pages: Vec<_> = edits.chunk_by(|(a, _), (b, _)| PageKey::of(*a) == PageKey::of(*b)).collect();
        let key = |edits: &&[(EventKey, IndexEdit)]| PageKey::of(edits[0].0);
        of_pages.sort_unstable_by_key(key);
        for of_pages in of_pages.chunks(PAGES_AT_ONCE) {
            let mut changes = Changes::default();
            let record = &mut self.record;
            look_up(&*self.rows, of_pages, key, |edits, stored| {
                let mut page = stored.map_or(Ok(IndexPage::default()), decode_index_page)?;
                for (key, edit) in *edits {
                    match *edit {
                        IndexEdit::Set(location) => page.set(key.id, location),
                        IndexEdit::Remove(location) if page.get(key.id) == Some(location) => page.remove(key.id),
                        IndexEdit::Remove(_) => {}
                    }
                }
                let key = key(edits).key();
                match (stored, page.len()) {
                    (None, 0) => {}
                    (Some(_), 0) => changes.remove(key),
                    (None, _) => changes.insert(key, encode_index_page(record, &page)),
                    (Some(_), _) => changes.replace(key, encode_index_page(record, &page)),
                }
                Ok::<_, StoreError>(())
            })?;
            self.rows.write(&[(Table::Index, &changes)])?;
        }
        Ok(())
    }
}

/// A change of the index entry of an event.
#[derive(Debug, Clone, Copy)]
pub(super) enum IndexEdit {
    /// Sets the location of the event.
    Set(Location),
    /// Removes the entry, unless the index already has another location.
    Remove(Location),
}

/// A stored block.
struct Block {
    /// The lower bound of the ids.
    lower: u64,
    record: Vec<u8>,
}

impl Block {
    fn parts(&self) -> (u64, &[u8]) {
        (self.lower, &self.record)
    }
}

/// The edits of a prefix that remain after its last block was handled.
struct Unfinished<'a> {
    prefix: BlockPrefix,
    /// The edits of blocks before the last one.
    edits: &'a [Edit<'a>],
    /// The last block and its edits, if it is a tail that has grown. It has to be merged into the block before it.
    tail: Option<(Block, &'a [Edit<'a>])>,
}

/// Edits the last block of each prefix, in which most events belong. Creates the first block of a prefix that has none.
fn edit_last_blocks<'a>(
    rows: &dyn Read,
    groups: &[&'a [Edit<'a>]],
    last_blocks: &[Floor],
    writer: &mut BlockWriter<'_>,
) -> Result<Vec<Unfinished<'a>>, StoreError> {
    let mut unfinished = Vec::new();
    let mut left = groups.iter();
    reads::floors(rows, last_blocks, |key: BlockKey, record| {
        let found = BlockPrefix::of_block(key)?;
        for &edits in left.by_ref() {
            let prefix = edits[0].prefix;
            if prefix != found {
                writer.edit(prefix, None, edits)?;
                continue;
            }
            let (earlier, here) = edits.split_at(edits.partition_point(|edit| edit.id < key.lower));
            let grown_tail = writer.edit_last(prefix, key.lower, record, here)?;
            if grown_tail || !earlier.is_empty() {
                let tail = grown_tail.then(|| (Block { lower: key.lower, record: record.to_vec() }, here));
                unfinished.push(Unfinished { prefix, edits: earlier, tail });
            }
            break;
        }
        Ok::<_, StoreError>(())
    })?;
    for &edits in left {
        writer.edit(edits[0].prefix, None, edits)?;
    }
    Ok(unfinished)
}

/// Edits the blocks before the last ones.
fn edit_earlier_blocks(
    rows: &dyn Read,
    unfinished: Vec<Unfinished<'_>>,
    writer: &mut BlockWriter<'_>,
) -> Result<(), StoreError> {
    let floors: Vec<_> = unfinished.iter().flat_map(Unfinished::floors).collect();
    let mut unfinished = unfinished.into_iter().peekable();
    let mut block: Option<(BlockPrefix, Block)> = None;
    reads::floors(rows, &floors, |key: BlockKey, record| {
        let prefix = BlockPrefix::of_block(key)?;
        let mut before = block.replace((prefix, Block { lower: key.lower, record: record.to_vec() }));
        while let Some(of_prefix) = unfinished.next_if(|of_prefix| of_prefix.prefix != prefix) {
            let own = before.take_if(|(before, _)| *before == of_prefix.prefix);
            writer.finish(of_prefix, own.map(|(_, block)| block).as_ref())?;
        }
        let of_prefix = unfinished.peek_mut().expect("a block is visited since it was asked for");
        let (here, later) = of_prefix.edits.split_at(of_prefix.edits.partition_point(|edit| edit.id < key.lower));
        of_prefix.edits = later;
        writer.edit(prefix, before.as_ref().map(|(_, block)| block.parts()), here)?;
        Ok::<_, StoreError>(())
    })?;
    for of_prefix in unfinished {
        let own = block.take_if(|(block, _)| *block == of_prefix.prefix);
        writer.finish(of_prefix, own.map(|(_, block)| block).as_ref())?;
    }
    Ok(())
}

impl Unfinished<'_> {
    /// Returns the floors of the blocks that are needed.
    fn floors(&self) -> impl Iterator<Item = Floor> {
        let before_tail = self.tail.as_ref().and_then(|(tail, _)| tail.lower.checked_sub(1));
        self.edits.iter().map(|edit| edit.id).chain(before_tail).map(|id| self.prefix.floor(id))
    }
}

/// Collects the blocks that change.
struct BlockWriter<'r> {
    record: &'r mut Record,
    changes: Changes,
}

impl BlockWriter<'_> {
    /// Edits the last block of a prefix, if any of its events change. If a large block gets only a few new events behind its own,
    /// the block is not unpacked: the new events make a tail. Returns whether the block is a tail that has grown; if so, it is
    /// left unchanged.
    fn edit_last(
        &mut self,
        prefix: BlockPrefix,
        lower: u64,
        record: &[u8],
        edits: &[Edit<'_>],
    ) -> Result<bool, StoreError> {
        if edits.is_empty() {
            return Ok(false);
        }
        let (count, last) = count_and_last_id(record)?;
        let grows = edits.iter().all(|edit| edit.id > last && edit.event.is_some());
        if grows && edits.len() <= TAIL_EVENTS && count + edits.len() > TAIL_EVENTS {
            if count <= TAIL_EVENTS && lower > 0 {
                return Ok(true);
            }
            if count > TAIL_EVENTS {
                self.put(prefix, edits[0].id, Vec::new(), &merge(&[], edits), true);
                return Ok(false);
            }
        }
        self.edit(prefix, Some((lower, record)), edits)?;
        Ok(false)
    }

    /// Finishes a prefix: edits the last of its earlier blocks, and merges the tail into it, if there is room.
    fn finish(&mut self, unfinished: Unfinished<'_>, block: Option<&Block>) -> Result<(), StoreError> {
        let Unfinished { prefix, edits, tail } = unfinished;
        let Some((tail, of_tail)) = tail else { return self.edit(prefix, block.map(Block::parts), edits) };
        if let Some(block) = block
            && count_and_last_id(&block.record)?.0 < MAX_EVENTS
        {
            let events = decode_events(prefix, &tail.record)?;
            let moved = events.iter().map(|event| Edit { prefix, id: event.key().id, event: Some(event) });
            let edits: Vec<_> = edits.iter().copied().chain(moved).chain(of_tail.iter().copied()).collect();
            let stored = decode_events(prefix, &block.record)?;
            let at_the_end = is_at_the_end(&stored, &edits);
            self.put(prefix, block.lower, vec![block.lower, tail.lower], &merge(&stored, &edits), at_the_end);
            return Ok(());
        }
        self.edit(prefix, block.map(Block::parts), edits)?;
        self.edit(prefix, Some(tail.parts()), of_tail)
    }

    /// Edits a block, if any of its events change. The block is its lower bound and its record, or `None` for the first block of
    /// a prefix that has none.
    fn edit(&mut self, prefix: BlockPrefix, block: Option<(u64, &[u8])>, edits: &[Edit<'_>]) -> Result<(), StoreError> {
        if edits.is_empty() {
            return Ok(());
        }
        let stored = block.map_or(Ok(Vec::new()), |(_, record)| decode_events(prefix, record))?;
        let at_the_end = is_at_the_end(&stored, edits);
        let replaced = block.iter().map(|(lower, _)| *lower).collect();
        self.put(prefix, block.map_or(0, |(lower, _)| lower), replaced, &merge(&stored, edits), at_the_end);
        Ok(())
    }

    /// Stores events in blocks, of which the first has the lower bound `lower`, in place of the stored blocks with the lower bounds
    /// `replaced`.
    fn put(&mut self, prefix: BlockPrefix, lower: u64, mut replaced: Vec<u64>, events: &[&Event], at_the_end: bool) {
        let blocks = cut_into_blocks(events, at_the_end).into_iter().filter(|events| !events.is_empty());
        for (place, events) in blocks.enumerate() {
            let lower = if place == 0 { lower } else { events[0].key().id };
            let record = encode_events(self.record, prefix.location, events);
            if let Some(place) = replaced.iter().position(|replaced| *replaced == lower) {
                replaced.swap_remove(place);
                self.changes.replace(prefix.key(lower), record);
            } else {
                self.changes.insert(prefix.key(lower), record);
            }
        }
        for lower in replaced {
            self.changes.remove(prefix.key(lower));
        }
    }
}

/// Whether all new events are behind the stored ones.
fn is_at_the_end(stored: &[Event], edits: &[Edit<'_>]) -> bool {
    let last = stored.last().map_or(0, |event| event.key().id);
    edits.iter().all(|edit| edit.id > last || edit.event.is_none())
}

/// Returns the edits that the changes cause, ordered by prefix and id. The changes must be ordered by prefix.
fn edits_of<'a>(changes: &[EventChange<'a>]) -> Vec<Edit<'a>> {
    let put = |change: &EventChange<'a>| {
        Some(Edit { prefix: prefix_of(change), id: change.key.id, event: Some(change.after?) })
    };
    let take = |change: &EventChange<'a>| {
        let prefix = BlockPrefix::of(change.before?);
        let stays = change.after.is_some() && prefix == prefix_of(change);
        (!stays).then_some(Edit { prefix, id: change.key.id, event: None })
    };
    let mut edits = Vec::with_capacity(changes.len());
    edits.extend(changes.iter().filter_map(put));
    edits.extend(changes.iter().filter_map(take));
    edits.sort_by_key(|edit| (edit.prefix.order(), edit.id));
    edits
}

/// Returns the events of a block after edits. Both must be ordered by id.
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
