//! Computing the rollups of a day anew from its events, to see whether they are right, or to put them right.

use std::collections::BTreeMap;

use crate::rollup::{Rollup, RollupKey, Scope};
use crate::store::{Index, Store, StoreError};
use crate::time::Date;

/// What was found on one day.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// How many events there are.
    pub events: u64,
    /// How many of them the index does not name where they are.
    pub unindexed: u64,
    /// How many rollups there should be.
    pub rollups: u64,
    /// The rollups that were not what the events add up to, ordered, each with the hours that differed.
    pub wrong: Vec<(RollupKey, Vec<u8>)>,
}

/// Computes the rollups of a day, or of the events without one, which have none; if `repair`, stores those that were wrong.
/// Nobody else may write meanwhile. A day whose events are forgotten is left alone.
pub fn rebuild(store: &Store, day: Option<Date>, repair: bool) -> Result<Examined, StoreError> {
    let snapshot = store.snapshot()?;
    let mut examined = Examined::default();
    if day.is_some_and(|date| date < snapshot.kept().events_from) {
        return Ok(examined);
    }
    let mut index = Index::of(&snapshot);
    let mut expected: BTreeMap<RollupKey, Rollup> = BTreeMap::new();
    snapshot.events(day, |event| {
        examined.events += 1;
        examined.unindexed += u64::from(!index.names(event)?);
        for contribution in event.contributions().iter().flatten() {
            let rollup = expected.entry(contribution.partition.rollup()).or_default();
            rollup.hour_mut(contribution.hour).fold(contribution);
        }
        Ok(())
    })?;
    let mut totals: BTreeMap<RollupKey, Rollup> = BTreeMap::new();
    for (&key, rollup) in &expected {
        totals.entry(RollupKey { scope: Scope::All, ..key }).or_default().merge(rollup);
    }
    expected.extend(totals);
    examined.rollups = expected.len() as u64;
    let stored = day.map_or_else(|| Ok(BTreeMap::new()), |date| snapshot.rollups_of(date))?;
    drop(snapshot);
    examined.wrong = differences(&expected, &stored);
    if repair && !examined.wrong.is_empty() {
        let nothing = Rollup::default();
        store.write(|batch| {
            let mut wrong = examined.wrong.iter();
            wrong.try_for_each(|(key, _)| batch.rollups.put(*key, expected.get(key).unwrap_or(&nothing)))
        })?;
    }
    Ok(examined)
}

/// Which rollups differ, and in which hours; ordered by date, type and choice.
fn differences(
    expected: &BTreeMap<RollupKey, Rollup>,
    stored: &BTreeMap<RollupKey, Rollup>,
) -> Vec<(RollupKey, Vec<u8>)> {
    let nothing = Rollup::default();
    let mut wrong = BTreeMap::new();
    for key in expected.keys().chain(stored.keys()) {
        let [expected, stored] = [expected, stored].map(|rollups| rollups.get(key).unwrap_or(&nothing));
        if expected != stored {
            let hours = (0..24).filter(|&hour| expected.hour(hour) != stored.hour(hour)).collect();
            wrong.insert(*key, hours);
        }
    }
    wrong.into_iter().collect()
}
