//! What has to be stored, worked out the plain way: all events in a map, and a fold over all of them.

use std::collections::BTreeMap;

use scale_metrics::events::{Choice, Choices, Event, EventKey, Object};
use scale_metrics::rollup::{Rollup, RollupKey, RollupScope};
use scale_metrics::store::{RetentionMarks, Snapshot, StoreError};
use scale_metrics::time::Date;
use scale_metrics::vocabulary::{ChoiceId, MetricsTypeId};
use scale_metrics::worker::Receipt;

/// The definitions of choices.
type Definitions = BTreeMap<(MetricsTypeId, ChoiceId), Choice>;

fn definitions(choices: &Choices) -> Definitions {
    choices.iter().map(|choice| (choice.key(), choice.clone())).collect()
}

/// Everything that is acknowledged, or may be stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Model {
    pub(crate) events: BTreeMap<EventKey, Event>,
    choices: Definitions,
    pub(crate) kept: RetentionMarks,
    /// The rollups of days whose events are forgotten.
    frozen: BTreeMap<RollupKey, Rollup>,
}

/// All that is read from a store.
#[derive(Debug, PartialEq)]
pub(crate) struct Stored {
    events: BTreeMap<EventKey, Event>,
    choices: Definitions,
    kept: RetentionMarks,
    rollups: BTreeMap<RollupKey, Rollup>,
}

impl Model {
    pub(crate) fn empty() -> Self {
        let kept = RetentionMarks { events_from: Date::MIN, rollups_from: Date::MIN };
        Self { events: BTreeMap::new(), choices: Definitions::new(), kept, frozen: BTreeMap::new() }
    }

    /// Applies a request that is valid.
    pub(crate) fn apply(&mut self, objects: &[Object]) -> Receipt {
        let mut receipt = Receipt::default();
        for object in objects {
            match object {
                Object::Choice(choice) => match self.choices.insert(choice.key(), choice.clone()) {
                    Some(there) if there == *choice => receipt.unchanged += 1,
                    Some(_) => receipt.updated += 1,
                    None => receipt.created += 1,
                },
                Object::Deletion(key) => match self.events.remove(key) {
                    Some(_) => receipt.deleted += 1,
                    None => receipt.missing += 1,
                },
                Object::Event(event) => {
                    let there = self.events.get(&event.key());
                    let modified = (event.last_modified(), there.and_then(Event::last_modified));
                    if there == Some(event) {
                        receipt.unchanged += 1;
                    } else if matches!(modified, (Some(new), Some(old)) if new < old) {
                        receipt.stale += 1;
                    } else if self.events.insert(event.key(), event.clone()).is_some() {
                        receipt.updated += 1;
                    } else {
                        receipt.created += 1;
                    }
                }
            }
        }
        receipt
    }

    /// Forgets what is older than the cut-offs. The marks move past the last days that have something to forget.
    pub(crate) fn forget(&mut self, cut_offs: RetentionMarks) {
        let past = |date: Date| Date::from_days(date.days() + 1).unwrap();
        let rollups = self.rollups();
        let homes = self.events.values().filter_map(Event::partition).map(|home| home.date);
        let last_events = homes.filter(|date| *date < cut_offs.events_from).max();
        let last_rollups = rollups.keys().map(|key| key.date).filter(|date| *date < cut_offs.rollups_from).max();
        let events_from = last_events.map_or(self.kept.events_from, past).max(self.kept.events_from);
        let rollups_from = last_rollups.map_or(self.kept.rollups_from, past).max(self.kept.rollups_from);
        self.keep(RetentionMarks { events_from, rollups_from: rollups_from.min(events_from) });
    }

    /// Forgets what is no longer kept; the numbers of forgotten events stay as they are.
    fn keep(&mut self, kept: RetentionMarks) {
        let rollups = self.rollups();
        self.frozen = rollups.into_iter().filter(|(key, _)| key.date < kept.events_from).collect();
        self.events.retain(|_, event| event.ended().is_none_or(|ended| ended.date() >= kept.events_from));
        self.kept = kept;
    }

    /// Every rollup that has something in it.
    fn rollups(&self) -> BTreeMap<RollupKey, Rollup> {
        let mut rollups = self.frozen.clone();
        for contribution in self.events.values().flat_map(Event::contributions).flatten() {
            let choice = contribution.partition.rollup();
            for key in [choice, RollupKey { scope: RollupScope::All, ..choice }] {
                rollups.entry(key).or_default().hour_mut(contribution.hour).fold(&contribution);
            }
        }
        rollups.retain(|key, _| key.date >= self.kept.rollups_from);
        rollups
    }

    /// What has to be read.
    pub(crate) fn expected(&self) -> Stored {
        let (events, choices) = (self.events.clone(), self.choices.clone());
        Stored { events, choices, kept: self.kept, rollups: self.rollups() }
    }
}

impl Stored {
    /// How many events there are.
    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }

    /// Reads everything. The same event twice is an error of the program, and found here.
    pub(crate) fn read(snapshot: &Snapshot) -> Result<Self, StoreError> {
        let kept = snapshot.kept();
        let choices = definitions(snapshot.definitions());
        let mut stored = Self { events: BTreeMap::new(), choices, kept, rollups: BTreeMap::new() };
        for date in [None].into_iter().chain(snapshot.dates()?.into_iter().map(Some)) {
            if date.is_none_or(|date| date >= kept.events_from) {
                snapshot.events(date, |event| {
                    let twice = stored.events.insert(event.key(), event.clone());
                    assert_eq!(twice, None, "an event is stored twice");
                    Ok::<_, StoreError>(())
                })?;
            }
            if let Some(date) = date.filter(|date| *date >= kept.rollups_from) {
                stored.rollups.extend(snapshot.rollups_of(date)?);
            }
        }
        Ok(stored)
    }

    /// The first thing in which two differ, for people.
    pub(crate) fn difference(&self, other: &Self) -> String {
        fn first<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
            a: &BTreeMap<K, V>,
            b: &BTreeMap<K, V>,
        ) -> Option<String> {
            let key = a.keys().chain(b.keys()).find(|key| a.get(key) != b.get(key))?;
            Some(format!("{key:?}: stored {:?}, expected {:?}", a.get(key), b.get(key)))
        }
        let events = first(&self.events, &other.events);
        let rest =
            events.or_else(|| first(&self.rollups, &other.rollups)).or_else(|| first(&self.choices, &other.choices));
        rest.unwrap_or_else(|| format!("stored {:?}, expected {:?}", self.kept, other.kept))
    }
}
