//! The upgrade of a database from an earlier format, before it is used: the rollups of all days with events are computed anew.
//!
//! A day that is damaged keeps its rollups as they are, and the upgrade goes on: `check` tells what is damaged.
//!
//! Not here: what an upgrade consists of, and what makes it safe (`store::upgrade`).

use std::time::Duration;

use super::rebuild;
use crate::store::{Store, StoreError};

/// How long a step goes on before it commits.
const STEP: Duration = Duration::from_secs(1);

/// Upgrades the database if it has an earlier format. Calls `report` after each step.
pub fn run(store: &Store, mut report: impl FnMut()) -> Result<(), StoreError> {
    if !store.needs_upgrade() {
        return Ok(());
    }
    // The first step is short, so that earlier versions refuse the database from early on.
    if step(store, Duration::ZERO)? {
        return Ok(());
    }
    tracing::info!(
        "the database is being upgraded to a new format, which earlier versions of this program refuse; it may be stopped at any \
         moment, and goes on at the next start"
    );
    report();
    while !step(store, STEP)? {
        report();
    }
    tracing::info!("the database is upgraded");
    Ok(())
}

/// Upgrades the next days in one commit: one at least, and more if that takes less than `most`. Returns whether all are upgraded.
pub fn step(store: &Store, most: Duration) -> Result<bool, StoreError> {
    store.upgrade_step(most, |transaction, snapshot, date| match rebuild::repair_in(transaction, snapshot, date) {
        Err(StoreError::Corrupt(damage)) => {
            tracing::error!(%damage, "the day {date} cannot be upgraded, and keeps its numbers without percentiles");
            Ok(())
        }
        repaired => repaired.map(drop),
    })
}
