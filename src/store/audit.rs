//! Reads that cover the whole store, for checking its consistency.
//!
//! Not here: which rollups the events add up to (`commands::check`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};

use super::blocks::decode_events;
use super::codec::Corrupt;
use super::error::StoreError;
use super::index_pages::{IndexPage, decode_index_page};
use super::keys::{BlockKey, DayKey, PageKey, TableKey as _, TotalKey, choice, date};
use super::location::{BlockPrefix, Location, location_of};
use super::reads::{first_key, floors, look_up, scan, scan_until};
use super::rollup_rows::decode_rollup;
use super::rows::{Floor, Order};
use super::snapshot::{RetentionMarks, Snapshot};
use crate::catalog::CATALOG;
use crate::events::Event;
use crate::rollup::{Rollup, RollupKey, RollupScope};
use crate::time::Date;
use crate::vocabulary::MetricsTypeId;

fn rollup_key(date: Date, DayKey { choice: id, metrics, .. }: DayKey) -> Result<RollupKey, Corrupt> {
    let metrics = CATALOG.iter().find(|known| known.id as u8 == metrics);
    let metrics = metrics.ok_or(Corrupt("a rollup has an unknown type"))?.id;
    Ok(RollupKey { date, metrics, scope: RollupScope::Choice(choice(id)?) })
}

/// Rollups by key. A damaged row is [`Corrupt`], and does not hide the others.
type Rollups = BTreeMap<RollupKey, Result<Rollup, Corrupt>>;

/// A position among the events that are stored under a date, or among those that are stored under none, in the order of their
/// blocks.
#[derive(Debug, Clone, Copy)]
pub struct EventCursor(pub(super) BlockKey);

impl EventCursor {
    /// Returns the position before all events that are stored under a date, or before those that are stored under none.
    pub fn start(of: Option<Date>) -> Self {
        Self(blocks_of(of).start)
    }

    /// Whether an event of that date is before this position.
    pub fn has_passed(&self, event: &Event) -> bool {
        BlockPrefix::of(event).block(event.key().id) < self.0
    }
}

/// Returns the keys of the blocks that are stored under a date, or under none.
fn blocks_of(date: Option<Date>) -> Range<BlockKey> {
    match date {
        Some(date) => BlockKey::first_of(date.days())..BlockKey::first_of(date.days() + 1),
        None => BlockKey::UNPARTITIONED..BlockKey::first_of(0),
    }
}

impl Snapshot {
    /// Returns all dates that have stored data, in order.
    pub fn dates(&self) -> Result<BTreeSet<Date>, StoreError> {
        let mut dates = BTreeSet::new();
        let mut next = Some(0);
        while let Some(days) = next {
            let block = first_key(self.rows(), BlockKey::first_of(days).., Order::Ascending)?.map(|key| key.days);
            let rollup = first_key(self.rows(), DayKey::first_of(days).., Order::Ascending)?.map(|key| key.days);
            let found = block.into_iter().chain(rollup).min();
            dates.extend(found.map(date).transpose()?);
            next = found.map(|days| days + 1);
        }
        scan(self.rows(), .., |key: TotalKey, _| {
            dates.insert(date(key.days)?);
            Ok::<_, StoreError>(())
        })?;
        Ok(dates)
    }

    /// Visits the events that are stored under a date, or those that are stored under none.
    pub fn events<E: From<StoreError>>(
        &self,
        of: Option<Date>,
        mut visit: impl FnMut(&Event) -> Result<(), E>,
    ) -> Result<(), E> {
        scan(self.rows(), blocks_of(of), |key, block| {
            let events = BlockPrefix::of_block(key).and_then(|prefix| decode_events(prefix, block));
            events.map_err(StoreError::from)?.iter().try_for_each(&mut visit)
        })
    }

    /// Returns the events of up to `most_blocks` blocks from a position on: the events that are stored under a date, or those that
    /// are stored under none. The position at which to continue is valid in later states, too: the events before it are those that
    /// were returned, except for events that were added or removed since.
    pub fn events_from(
        &self,
        of: Option<Date>,
        EventCursor(from): EventCursor,
        most_blocks: usize,
    ) -> Result<StoredEvents, StoreError> {
        // If blocks have moved, the next event is in a block that begins before the position.
        let mut begins = from;
        let floor = Floor { first: BlockKey { lower: 0, ..from }.key(), last: from.key() };
        floors(self.rows(), &[floor], |key, _| {
            begins = key;
            Ok::<_, StoreError>(())
        })?;
        let mut found = StoredEvents { events: Vec::new(), misplaced: 0, next: None };
        let take = |found: &mut StoredEvents, key: BlockKey, mut events: Vec<Event>, next: Option<BlockKey>| {
            let behind = next.filter(|next| BlockKey { lower: 0, ..*next } == BlockKey { lower: 0, ..key });
            let ids = key.lower..behind.map_or(u64::MAX, |next| next.lower);
            events.retain(|event| key == from || (BlockKey { lower: event.key().id, ..key }) >= from);
            found.misplaced += events.iter().filter(|event| !ids.contains(&event.key().id)).count() as u64;
            found.events.append(&mut events);
        };
        // A block is taken after the start of the next block is known.
        let mut block: Option<(BlockKey, Vec<Event>)> = None;
        let mut blocks = 0;
        scan_until(self.rows(), begins..blocks_of(of).end, |key, record| {
            if let Some((before, events)) = block.take() {
                take(&mut found, before, events, Some(key));
            }
            if blocks == most_blocks {
                found.next = Some(EventCursor(key));
                return Ok::<_, StoreError>(ControlFlow::Break(()));
            }
            blocks += 1;
            block = Some((key, decode_events(BlockPrefix::of_block(key)?, record)?));
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some((key, events)) = block {
            take(&mut found, key, events, None);
        }
        Ok(found)
    }

    /// Returns the rollups of choices on a date, beginning with a choice number: about `most` rows, but always all rows of each
    /// choice. Also returns the number at which to continue, if there are more.
    pub fn rollups_from(&self, date: Date, from: u64, most: usize) -> Result<(Rollups, Option<u64>), StoreError> {
        let mut rollups = Rollups::new();
        let (mut last, mut goes_on_from) = (from, None);
        let range = DayKey { choice: from, ..DayKey::first_of(date.days()) }..DayKey::first_of(date.days() + 1);
        scan_until(self.rows(), range, |key, row| {
            if rollups.len() >= most && key.choice != last {
                goes_on_from = Some(key.choice);
                return Ok::<_, StoreError>(ControlFlow::Break(()));
            }
            last = key.choice;
            rollups.insert(rollup_key(date, key)?, decode_rollup(row));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((rollups, goes_on_from))
    }

    /// Returns the rollups of all choices together on a date.
    pub fn totals_of(&self, date: Date) -> Result<Rollups, StoreError> {
        let mut rollups = Rollups::new();
        let mut metrics: Vec<_> = CATALOG.iter().map(|metrics| metrics.id).collect();
        metrics.sort_unstable();
        let key = |&metrics: &MetricsTypeId| TotalKey { metrics: metrics as u8, days: date.days() };
        look_up(self.rows(), &metrics, key, |&metrics, row| {
            rollups.extend(row.map(|row| (RollupKey { date, metrics, scope: RollupScope::All }, decode_rollup(row))));
            Ok::<_, StoreError>(())
        })?;
        Ok(rollups)
    }

    /// Returns the rollups of a date.
    pub fn rollups_of(&self, date: Date) -> Result<BTreeMap<RollupKey, Rollup>, StoreError> {
        let (mut rollups, _) = self.rollups_from(date, 0, usize::MAX)?;
        rollups.extend(self.totals_of(date)?);
        rollups.into_iter().map(|(key, rollup)| Ok((key, rollup?))).collect()
    }

    /// Returns how much data would be forgotten if these marks were set.
    pub fn forgettable(&self, kept: RetentionMarks) -> Result<Forgettable, StoreError> {
        let mut found = Forgettable::default();
        let (mut event_days, mut rollup_days) = (BTreeSet::new(), BTreeSet::new());
        scan(self.rows(), ..BlockKey::first_of(kept.events_from.days()), |key, block| {
            let prefix = BlockPrefix::of_block(key)?;
            let is_old = |event: &&Event| event.ended().is_some_and(|ended| ended.date() < kept.events_from);
            found.events += decode_events(prefix, block)?.iter().filter(is_old).count() as u64;
            event_days.extend(prefix.location.map(|(date, _)| date));
            Ok::<_, StoreError>(())
        })?;
        scan(self.rows(), ..DayKey::first_of(kept.rollups_from.days()), |key, _| {
            rollup_days.insert(key.days);
            found.rollups += 1;
            Ok::<_, StoreError>(())
        })?;
        scan(self.rows(), .., |key: TotalKey, _| {
            found.rollups += u64::from(key.days < kept.rollups_from.days());
            Ok::<_, StoreError>(())
        })?;
        found.event_days = event_days.len() as u64;
        found.rollup_days = rollup_days.len() as u64;
        Ok(found)
    }

    /// Returns the number of events in the index that are not forgotten. A damaged page counts as empty.
    pub fn indexed(&self) -> Result<u64, StoreError> {
        let mut count = 0;
        let is_kept = |location: &Location| location.is_none_or(|(date, _)| date >= self.kept().events_from);
        scan(self.rows(), .., |_: PageKey, page| {
            let page = decode_index_page(page).unwrap_or_default();
            count += page.locations().filter(is_kept).count() as u64;
            Ok::<_, StoreError>(())
        })?;
        Ok(count)
    }
}

/// The amount of data that is too old.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgettable {
    /// Events.
    pub events: u64,
    /// The days on which they ended.
    pub event_days: u64,
    /// Rollups of one choice or of all choices together.
    pub rollups: u64,
    /// The days of these rollups.
    pub rollup_days: u64,
}

/// How many blocks are read at once: some 10 MB of events.
pub const BLOCKS_AT_ONCE: usize = 256;

/// Some of the events that are stored under a date, or under none ([`Snapshot::events_from`]).
#[derive(Debug)]
pub struct StoredEvents {
    /// The events, in the order of their blocks.
    pub events: Vec<Event>,
    /// How many of them are in a block that their id does not belong into.
    pub misplaced: u64,
    /// The position at which to continue, if there are more.
    pub next: Option<EventCursor>,
}

/// What the index says of an event ([`Snapshot::look_up_index`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    /// The index has the location where the event belongs.
    Here,
    /// The index has another location: an event with the same key was stored there later.
    Elsewhere,
    /// The index does not contain the event.
    Nowhere,
}

/// How many pages of the index are read at once.
const PAGES_AT_ONCE: usize = 4_096;

impl Snapshot {
    /// Compares the location of each event in the index with the location where the event belongs. The results are in the order of
    /// the events. A damaged page is an error of each of its events.
    pub fn look_up_index(&self, events: &[Event]) -> Result<Vec<Result<Indexed, Corrupt>>, StoreError> {
        let page_of = |place: &usize| PageKey::of(events[*place].key());
        let mut by_page: Vec<_> = (0..events.len()).collect();
        by_page.sort_by_key(page_of);
        let of_pages: Vec<_> = by_page.chunk_by(|a, b| page_of(a) == page_of(b)).collect();
        let mut found = vec![Ok(Indexed::Nowhere); events.len()];
        for of_pages in of_pages.chunks(PAGES_AT_ONCE) {
            look_up(
                self.rows(),
                of_pages,
                |places| page_of(&places[0]),
                |places, page| {
                    let page = page.map_or(Ok(IndexPage::default()), decode_index_page);
                    for &place in *places {
                        let event = &events[place];
                        found[place] = page.as_ref().map_err(Clone::clone).map(|page| match page.get(event.key().id) {
                            Some(location) if location == location_of(event.partition()) => Indexed::Here,
                            Some(_) => Indexed::Elsewhere,
                            None => Indexed::Nowhere,
                        });
                    }
                    Ok::<_, StoreError>(())
                },
            )?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::Record;
    use super::super::index_pages::encode_index_page;
    use super::super::rows::{Changes, Table};
    use super::super::{OpenOptions, Store};
    use super::*;
    use crate::commands::check;
    use crate::events::{Job, Object};
    use crate::vocabulary::{ChoiceId, EventKind, JobStatus};
    use crate::worker::commit;

    /// Changes rows in a way that the program itself never does.
    fn change(store: &Store, table: Table, change: impl FnOnce(&mut Changes)) {
        let mut changes = Changes::default();
        change(&mut changes);
        changes.sort();
        let (transaction, _) = store.rows.begin(&[]).expect("it begins");
        transaction.commit(&[(table, &changes)], &[]).expect("it is stored");
    }

    fn job(id: u64, ended: Option<&str>) -> Event {
        let status = if ended.is_some() { JobStatus::Completed } else { JobStatus::Running };
        let ended = ended.map(|text| text.parse().expect("a time"));
        Event::Job(Job {
            id,
            job_type: ChoiceId::new(1).expect("an id"),
            status,
            ended,
            error: None,
            last_modified: None,
        })
    }

    #[test]
    fn events_that_the_index_does_not_name_where_they_are_are_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path(), OpenOptions::verified(1 << 20)).expect("it opens");
        let events = [job(1, None), job(2, Some("2015-01-01T00:00:00Z")), job(300, Some("2015-01-01T00:00:00Z"))];
        let objects = events.iter().cloned().map(Object::Event).collect();
        store.write(|transaction| commit::apply(transaction, &[objects])).expect("it is stored");
        let named = |store: &Store| {
            let snapshot = store.snapshot().expect("it is read");
            let found = snapshot.look_up_index(&events).expect("it is read");
            let named = found.into_iter().map(|indexed| indexed == Ok(Indexed::Here)).collect::<Vec<_>>();
            (named, snapshot.indexed().expect("it is read"))
        };
        assert_eq!(named(&store), (vec![true, true, true], 3));
        // One page is removed, and the other says that job 2 has not ended.
        change(&store, Table::Index, |changes| {
            let kind = EventKind::Job as u8;
            changes.remove(PageKey { page: 1, kind }.key());
            let mut page = IndexPage::default();
            page.set(1, None);
            page.set(2, None);
            changes.replace(PageKey { page: 0, kind }.key(), encode_index_page(&mut Record::default(), &page));
        });
        assert_eq!(named(&store), (vec![true, false, false], 2));
        let problems = check::run(&store, true).expect("it is read").problems;
        assert_eq!(problems, [check::Problem::NotIndexed(2)]);
        assert_eq!(named(&store), (vec![true, true, true], 3));
        assert_eq!(check::run(&store, false).expect("it is read").problems, []);
    }

    #[test]
    fn events_in_blocks_that_they_do_not_belong_into_are_found() {
        // Two full blocks and a part of a third: 1 to 128, 129 to 256, 257 to 300.
        for (wrong, right, misplaced) in [(100, 129, 29), (200, 129, 71), (280, 257, 23), (5, 0, 4)] {
            let directory = tempfile::tempdir().expect("a directory");
            let store = Store::open(directory.path(), OpenOptions::verified(1 << 20)).expect("it opens");
            let objects = (1..=300).map(|id| Object::Event(job(id, Some("2015-01-01T00:00:00Z")))).collect();
            store.write(|transaction| commit::apply(transaction, &[objects])).expect("it is stored");
            assert_eq!(check::run(&store, false).expect("it is read").problems, []);
            let key = |lower| BlockKey { days: 16_436, choice: 1, kind: EventKind::Job as u8, lower }.key();
            let mut row = Vec::new();
            let snapshot = store.snapshot().expect("it is read");
            let read = snapshot.rows().get(Table::Blocks, &[key(right)], &mut |_, found| {
                row = found.to_vec();
                ControlFlow::Continue(())
            });
            read.expect("it is read");
            drop(snapshot);
            change(&store, Table::Blocks, |changes| {
                changes.remove(key(right));
                changes.insert(key(wrong), &row);
            });
            let report = check::run(&store, false).expect("it is read");
            assert_eq!(report.problems, [check::Problem::Misplaced(misplaced)], "a block from {wrong}, not {right}");
            assert_eq!(report.events, 300);
        }
    }
}
