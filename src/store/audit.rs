//! Reading everything, to see whether it fits together.
//!
//! Not here: what events add up to (`check`).

use std::collections::{BTreeMap, BTreeSet};

use redb::ReadableTable;

use super::blocks::decode_events;
use super::copy::home_of;
use super::index_pages::{IndexPage, Place, decode_index_page};
use super::rollup_rows::decode_rollup;
use super::snapshot::{Kept, Snapshot};
use super::tables::{BlockKey, DayKey, PageKey};
use super::{Corrupt, StoreError, tables};
use crate::catalog::CATALOG;
use crate::events::{ChoiceId, Event, EventKey};
use crate::rollup::{Rollup, RollupKey, Scope};
use crate::time::Date;

fn date(days: u32) -> Result<Date, Corrupt> {
    Date::from_days(days).ok_or(Corrupt("a date is wrong"))
}

fn choice(id: u64) -> Result<ChoiceId, Corrupt> {
    ChoiceId::new(id).ok_or(Corrupt("the id of a choice is wrong"))
}

fn rollup_key(date: Date, DayKey { choice: id, metrics, .. }: DayKey) -> Result<RollupKey, Corrupt> {
    let metrics = CATALOG.iter().find(|known| known.id as u8 == metrics);
    let metrics = metrics.ok_or(Corrupt("a rollup has an unknown type"))?.id;
    Ok(RollupKey { date, metrics, scope: Scope::Choice(choice(id)?) })
}

/// Rollups by their names; a damaged row is [`Corrupt`], and does not hide the others.
type Rollups = BTreeMap<RollupKey, Result<Rollup, Corrupt>>;

/// A place among the events of a date, in the order of their blocks.
#[derive(Debug, Clone, Copy)]
pub struct EventCursor(BlockKey);

impl EventCursor {
    /// Before all events that are kept under a date, or of those that are kept under none.
    pub fn start(of: Option<Date>) -> Self {
        Self(of.map_or(BlockKey::HOMELESS, |date| BlockKey::first_of(date.days())))
    }

    fn end(of: Option<Date>) -> BlockKey {
        BlockKey::first_of(of.map_or(0, |date| date.days() + 1))
    }

    /// Whether an event of that date stands before this place.
    pub fn has_passed(&self, event: &Event) -> bool {
        let EventKey { kind, id } = event.key();
        let (days, choice) = event.home().map_or((0, 0), |home| (home.date.days(), home.choice.get()));
        BlockKey { days, choice, kind: kind as u8, lower: id } < self.0
    }
}

impl Snapshot {
    /// All dates for which anything is stored, in order.
    pub fn dates(&self) -> Result<BTreeSet<Date>, StoreError> {
        self.guard().run(|| {
            let mut dates = BTreeSet::new();
            let (blocks, rollups) = (self.table(tables::BLOCKS)?, self.table(tables::ROLLUPS)?);
            let mut next = Some(0);
            while let Some(days) = next {
                let block =
                    blocks.range(BlockKey::first_of(days)..)?.next().transpose()?.map(|(key, _)| key.value().days);
                let rollup =
                    rollups.range(DayKey::first_of(days)..)?.next().transpose()?.map(|(key, _)| key.value().days);
                let found = block.into_iter().chain(rollup).min();
                dates.extend(found.map(date).transpose()?);
                next = found.map(|days| days + 1);
            }
            for row in self.table(tables::TOTALS)?.iter()? {
                dates.insert(date(row?.0.value().days)?);
            }
            Ok(dates)
        })
    }

    /// Visits the events that are kept under a date, or those that are kept under none.
    pub fn events(
        &self,
        of: Option<Date>,
        mut visit: impl FnMut(&Event) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.guard().run(|| {
            let (start, end) = match of {
                Some(date) => (BlockKey::first_of(date.days()), BlockKey::first_of(date.days() + 1)),
                None => (BlockKey::HOMELESS, BlockKey::first_of(0)),
            };
            for row in self.table(tables::BLOCKS)?.range(start..end)? {
                let (key, block) = row?;
                let (place, kind) = home_of(key.value())?;
                for event in decode_events(place, kind, block.value())? {
                    visit(&event)?;
                }
            }
            Ok(())
        })
    }

    /// Visits the events that are kept under a date, or those that are kept under none, of so many blocks from a place on; each
    /// with whether its block is the one that its id belongs into. Returns the place to go on from, if there are more. That
    /// is good in later states, too: the events before it are those that were visited, unless they came or went since.
    pub fn events_from(
        &self,
        of: Option<Date>,
        from: EventCursor,
        most_blocks: usize,
        mut visit: impl FnMut(&Event, bool) -> Result<(), StoreError>,
    ) -> Result<Option<EventCursor>, StoreError> {
        self.guard().run(|| {
            let blocks = self.table(tables::BLOCKS)?;
            let end = EventCursor::end(of);
            let EventCursor(from) = from;
            // Where blocks have moved, the event that comes next is in one that begins before.
            let begins = match blocks.get(from)? {
                Some(_) => None,
                None => blocks.range(BlockKey { lower: 0, ..from }..from)?.next_back().transpose()?,
            };
            let begins = begins.map_or(from, |(key, _)| key.value());
            let mut rows = blocks.range(begins..end)?.peekable();
            for _ in 0..most_blocks {
                let Some(row) = rows.next() else { return Ok(None) };
                let (key, block) = row?;
                let key = key.value();
                let (place, kind) = home_of(key)?;
                let next = match rows.peek() {
                    Some(Ok((next, _))) => Some(next.value()),
                    Some(Err(_)) | None => None,
                };
                let behind = next.filter(|next| BlockKey { lower: 0, ..*next } == BlockKey { lower: 0, ..key });
                let ids = key.lower..behind.map_or(u64::MAX, |next| next.lower);
                for event in decode_events(place, kind, block.value())? {
                    let id = event.key().id;
                    if key == from || (BlockKey { lower: id, ..key }) >= from {
                        visit(&event, ids.contains(&id))?;
                    }
                }
            }
            rows.next().transpose().map(|row| row.map(|(key, _)| EventCursor(key.value()))).map_err(StoreError::from)
        })
    }

    /// The rollups of choices on a date, from a number on: so many rows, but all of each choice. Returns the number to go on from,
    /// if there are more.
    pub fn rollups_from(&self, date: Date, from: u64, most: usize) -> Result<(Rollups, Option<u64>), StoreError> {
        self.guard().run(|| {
            let mut rollups = Rollups::new();
            let mut last = from;
            let start = DayKey { choice: from, ..DayKey::first_of(date.days()) };
            for row in self.table(tables::ROLLUPS)?.range(start..DayKey::first_of(date.days() + 1))? {
                let (key, row) = row?;
                let DayKey { choice: id, .. } = key.value();
                if rollups.len() >= most && id != last {
                    return Ok((rollups, Some(id)));
                }
                last = id;
                rollups.insert(rollup_key(date, key.value())?, decode_rollup(row.value()));
            }
            Ok((rollups, None))
        })
    }

    /// The rollups of all choices together on a date.
    pub fn totals_of(&self, date: Date) -> Result<Rollups, StoreError> {
        self.guard().run(|| {
            let mut rollups = Rollups::new();
            let totals = self.table(tables::TOTALS)?;
            for metrics in CATALOG.iter().map(|metrics| metrics.id) {
                if let Some(row) = totals.get(tables::TotalKey { metrics: metrics as u8, days: date.days() })? {
                    rollups.insert(RollupKey { date, metrics, scope: Scope::All }, decode_rollup(row.value()));
                }
            }
            Ok(rollups)
        })
    }

    /// The rollups of a date.
    pub fn rollups_of(&self, date: Date) -> Result<BTreeMap<RollupKey, Rollup>, StoreError> {
        let (mut rollups, _) = self.rollups_from(date, 0, usize::MAX)?;
        rollups.extend(self.totals_of(date)?);
        rollups.into_iter().map(|(key, rollup)| Ok((key, rollup?))).collect()
    }

    /// What would go if that was kept.
    pub fn forgettable(&self, kept: Kept) -> Result<Forgettable, StoreError> {
        self.guard().run(|| {
            let mut found = Forgettable::default();
            let (mut event_days, mut rollup_days) = (BTreeSet::new(), BTreeSet::new());
            let events_end = BlockKey::first_of(kept.events_from.days());
            for row in self.table(tables::BLOCKS)?.range(..events_end.max(BlockKey::first_of(0)))? {
                let (key, block) = row?;
                let (place, kind) = home_of(key.value())?;
                let events = decode_events(place, kind, block.value())?;
                let is_old = |event: &&Event| event.ended().is_some_and(|ended| ended.date() < kept.events_from);
                found.events += events.iter().filter(is_old).count() as u64;
                event_days.extend(place.map(|(date, _)| date));
            }
            for row in self.table(tables::ROLLUPS)?.range(..DayKey::first_of(kept.rollups_from.days()))? {
                rollup_days.insert(row?.0.value().days);
                found.rollups += 1;
            }
            for row in self.table(tables::TOTALS)?.iter()? {
                found.rollups += u64::from(row?.0.value().days < kept.rollups_from.days());
            }
            found.event_days = event_days.len() as u64;
            found.rollup_days = rollup_days.len() as u64;
            Ok(found)
        })
    }

    /// How many events the index names that are not forgotten. A damaged page names none.
    pub fn indexed(&self) -> Result<u64, StoreError> {
        self.guard().run(|| {
            let mut count = 0;
            for row in self.table(tables::INDEX)?.iter()? {
                let page = decode_index_page(row?.1.value()).unwrap_or_default();
                let is_kept = |place: &Place| place.is_none_or(|(date, _)| date >= self.kept().events_from);
                count += page.places().filter(is_kept).count() as u64;
            }
            Ok(count)
        })
    }
}

/// What is too old.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgettable {
    /// Events.
    pub events: u64,
    /// The days that they ended on.
    pub event_days: u64,
    /// Rollups of a choice or of all.
    pub rollups: u64,
    /// Their days.
    pub rollup_days: u64,
}

/// Looks up in the index where events are kept; fast for neighbouring ids.
pub struct Index<'a> {
    snapshot: &'a Snapshot,
    /// The page that was read last.
    page: Option<(PageKey, IndexPage)>,
}

impl<'a> Index<'a> {
    /// The index of that state.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, page: None }
    }

    /// Whether the index says that an event is kept where it belongs. A damaged page says nothing.
    pub fn names(&mut self, event: &Event) -> Result<bool, StoreError> {
        match self.find(event) {
            Ok(indexed) => Ok(indexed == Indexed::Here),
            Err(StoreError::Corrupt(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where the index says that an event is kept.
    pub fn find(&mut self, event: &Event) -> Result<Indexed, StoreError> {
        self.snapshot.guard().run(|| {
            let EventKey { kind, id } = event.key();
            let key = PageKey { page: id >> 8, kind: kind as u8 };
            if self.page.as_ref().is_none_or(|(read, _)| *read != key) {
                let row = self.snapshot.table(tables::INDEX)?.get(key)?;
                let page = row.map_or_else(|| Ok(IndexPage::default()), |row| decode_index_page(row.value()))?;
                self.page = Some((key, page));
            }
            let home = event.home().map(|partition| (partition.date, partition.choice));
            let place = self.page.as_ref().and_then(|(_, page)| page.get(id.to_le_bytes()[0]));
            Ok(match place {
                Some(place) if place == home => Indexed::Here,
                Some(_) => Indexed::Elsewhere,
                None => Indexed::Nowhere,
            })
        })
    }
}

/// Where the index says that an event is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    /// Where it belongs.
    Here,
    /// In another place: an event with the same key was stored there later.
    Elsewhere,
    /// The index does not name it.
    Nowhere,
}

#[cfg(test)]
mod tests {
    use redb::Database;

    use super::super::codec::Record;
    use super::super::index_pages::encode_index_page;
    use super::super::{FILE, Opening, Store};
    use super::*;
    use crate::check;
    use crate::events::{EventKind, Job, JobStatus, Object};
    use crate::worker::group;

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
        let store = Store::open(directory.path(), Opening::verified(1 << 20)).expect("it opens");
        let events = [job(1, None), job(2, Some("2015-01-01T00:00:00Z")), job(300, Some("2015-01-01T00:00:00Z"))];
        let objects = events.iter().cloned().map(Object::Event).collect();
        store.write(|batch| group::apply(batch, &[objects])).expect("it is stored");
        let named = |store: &Store| {
            let snapshot = store.snapshot().expect("it is read");
            let mut index = Index::of(&snapshot);
            let named = events.each_ref().map(|event| index.names(event).expect("it is read"));
            (named, snapshot.indexed().expect("it is read"))
        };
        assert_eq!(named(&store), ([true, true, true], 3));
        store.close();
        // One page goes, and the other says that job 2 has not ended.
        let database = Database::create(directory.path().join(FILE)).expect("it opens");
        let transaction = database.begin_write().expect("it begins");
        {
            let mut index = transaction.open_table(tables::INDEX).expect("it is there");
            let kind = EventKind::Job as u8;
            index.remove(PageKey { page: 1, kind }).expect("it is removed");
            let mut page = IndexPage::default();
            page.set(1, None);
            page.set(2, None);
            let mut record = Record::default();
            index.insert(PageKey { page: 0, kind }, encode_index_page(&mut record, &page)).expect("it is stored");
        }
        transaction.commit().expect("it is stored");
        database.close().expect("it closes");
        let store = Store::open(directory.path(), Opening::verified(1 << 20)).expect("it opens");
        assert_eq!(named(&store), ([true, false, false], 2));
        let problems = check::run(&store, true).expect("it is read").problems;
        assert_eq!(problems, [check::Problem::NotIndexed(2)]);
        assert_eq!(named(&store), ([true, true, true], 3));
        assert_eq!(check::run(&store, false).expect("it is read").problems, []);
    }

    #[test]
    fn events_in_blocks_that_they_do_not_belong_into_are_found() {
        // Two full blocks and a bit: 1 to 128, 129 to 256, 257 to 300.
        for (wrong, right, misplaced) in [(100, 129, 29), (200, 129, 71), (280, 257, 23), (5, 0, 4)] {
            let directory = tempfile::tempdir().expect("a directory");
            let store = Store::open(directory.path(), Opening::verified(1 << 20)).expect("it opens");
            let objects = (1..=300).map(|id| Object::Event(job(id, Some("2015-01-01T00:00:00Z")))).collect();
            store.write(|batch| group::apply(batch, &[objects])).expect("it is stored");
            assert_eq!(check::run(&store, false).expect("it is read").problems, []);
            store.close();
            let database = Database::create(directory.path().join(FILE)).expect("it opens");
            let transaction = database.begin_write().expect("it begins");
            {
                let mut blocks = transaction.open_table(tables::BLOCKS).expect("it is there");
                let key = |lower| BlockKey { days: 16_436, choice: 1, kind: EventKind::Job as u8, lower };
                let row = blocks.remove(key(right)).expect("it is read").expect("it is there").value().to_vec();
                blocks.insert(key(wrong), &*row).expect("it is stored");
            }
            transaction.commit().expect("it is stored");
            database.close().expect("it closes");
            let store = Store::open(directory.path(), Opening::verified(1 << 20)).expect("it opens");
            let report = check::run(&store, false).expect("it is read");
            assert_eq!(report.problems, [check::Problem::Misplaced(misplaced)], "a block from {wrong}, not {right}");
            assert_eq!(report.events, 300);
        }
    }
}
