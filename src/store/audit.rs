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

    /// The rollups of a date.
    pub fn rollups_of(&self, date: Date) -> Result<BTreeMap<RollupKey, Rollup>, StoreError> {
        self.guard().run(|| {
            let mut rollups = BTreeMap::new();
            let days = date.days();
            for row in self.table(tables::ROLLUPS)?.range(DayKey::first_of(days)..DayKey::first_of(days + 1))? {
                let (key, row) = row?;
                let DayKey { choice: id, metrics, .. } = key.value();
                let metrics = CATALOG.iter().find(|known| known.id as u8 == metrics);
                let metrics = metrics.ok_or(Corrupt("a rollup has an unknown type"))?.id;
                let scope = Scope::Choice(choice(id)?);
                rollups.insert(RollupKey { date, metrics, scope }, decode_rollup(row.value())?);
            }
            let totals = self.table(tables::TOTALS)?;
            for metrics in CATALOG.iter().map(|metrics| metrics.id) {
                if let Some(row) = totals.get(tables::TotalKey { metrics: metrics as u8, days })? {
                    rollups.insert(RollupKey { date, metrics, scope: Scope::All }, decode_rollup(row.value())?);
                }
            }
            Ok(rollups)
        })
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

    /// How many events the index names that are not forgotten.
    pub fn indexed(&self) -> Result<u64, StoreError> {
        self.guard().run(|| {
            let mut count = 0;
            for row in self.table(tables::INDEX)?.iter()? {
                let page = decode_index_page(row?.1.value())?;
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

    /// Whether the index says that an event is kept where it belongs.
    pub fn names(&mut self, event: &Event) -> Result<bool, StoreError> {
        Ok(self.find(event)? == Indexed::Here)
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
}
