//! Reads single events: by key through the index, or from where a list found them.

use super::blocks::decode_events;
use super::codec::Corrupt;
use super::error::StoreError;
use super::index_pages::decode_index_page;
use super::keys::PageKey;
use super::location::{BlockPrefix, Location};
use super::reads::{floors, look_up};
use super::rows::Read;
use super::snapshot::Snapshot;
use crate::events::{Event, EventKey};
use crate::time::Date;
use crate::vocabulary::ChoiceId;

impl Snapshot {
    /// Returns the event with a key, if it is stored and not forgotten.
    pub fn event(&self, key: EventKey) -> Result<Option<Event>, StoreError> {
        let mut found = find_in_index(self.rows(), self.kept().events_from, &[key])?;
        Ok(events_at(self.rows(), &mut found)?.pop())
    }

    /// Returns the events with these keys, which ended on these dates and belong to these job types or strikes; in any order.
    pub fn events_of(
        &self,
        places: impl Iterator<Item = (Date, ChoiceId, EventKey)>,
    ) -> Result<Vec<Event>, StoreError> {
        let prefix = |(date, choice, EventKey { kind, id })| (BlockPrefix { location: Some((date, choice)), kind }, id);
        events_at(self.rows(), &mut places.map(prefix).collect::<Vec<_>>())
    }
}

/// Returns the block prefixes and ids of those keys whose events are stored and ended on or after a day, if they have ended. The keys
/// must be ascending.
pub(super) fn find_in_index(
    rows: &dyn Read,
    events_from: Date,
    keys: &[EventKey],
) -> Result<Vec<(BlockPrefix, u64)>, StoreError> {
    let mut of_pages: Vec<_> = keys.chunk_by(|a, b| PageKey::of(*a) == PageKey::of(*b)).collect();
    let key = |keys: &&[EventKey]| PageKey::of(keys[0]);
    of_pages.sort_unstable_by_key(key);
    let is_forgotten = |location: &Location| location.is_some_and(|(date, _)| date < events_from);
    let mut found = Vec::new();
    look_up(rows, &of_pages, key, |keys, page| {
        let Some(page) = page else { return Ok::<_, StoreError>(()) };
        let page = decode_index_page(page)?;
        found.extend(keys.iter().filter_map(|key| {
            let location = page.get(key.id).filter(|location| !is_forgotten(location))?;
            Some((BlockPrefix { location, kind: key.kind }, key.id))
        }));
        Ok(())
    })?;
    Ok(found)
}

/// Returns the events with these block prefixes and ids, in the order of their blocks. All must be there. Sorts what is wanted.
pub(super) fn events_at(rows: &dyn Read, wanted: &mut [(BlockPrefix, u64)]) -> Result<Vec<Event>, StoreError> {
    wanted.sort_unstable();
    let of_blocks: Vec<_> = wanted.iter().map(|(prefix, id)| prefix.floor(*id)).collect();
    let mut events = Vec::with_capacity(wanted.len());
    let mut left = wanted.iter().peekable();
    floors(rows, &of_blocks, |key, block| {
        let prefix = BlockPrefix::of_block(key)?;
        for event in decode_events(prefix, block)? {
            if left.next_if(|first| **first == (prefix, event.key().id)).is_some() {
                events.push(event);
            }
        }
        Ok::<_, StoreError>(())
    })?;
    match left.peek() {
        None => Ok(events),
        Some(_) => Err(Corrupt("an event is not where it should be").into()),
    }
}
