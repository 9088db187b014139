//! Upgrading: a database of an earlier format becomes one of the present format, day by day.
//!
//! The present format is recorded with the first change, so that an earlier program refuses the database from then on. As long as
//! a day is left, the number [`keys::NUMBER_UPGRADE`] says which one is next, and everything but the upgrade is refused. Each step
//! is one commit: after a kill at any moment, the next start goes on with the next day. Of servers that share a database, the one
//! that has the turn upgrades, while the others wait for theirs.
//!
//! Not here: what the formats are (`format`), how the rollups of a day are computed (`worker::upgrade`).

use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Store;
use super::error::StoreError;
use super::format::Upgrade;
use super::keys::{self, BlockKey};
use super::reads::first_key;
use super::rows::Order;
use super::snapshot::Snapshot;
use super::transaction::Transaction;
use crate::time::Date;

impl Store {
    /// Whether the database has an earlier format, and nothing can be read or written before it is upgraded.
    pub fn needs_upgrade(&self) -> bool {
        self.needs_upgrade.load(Ordering::Relaxed)
    }

    /// Looks what the database needs, and remembers it.
    pub(super) fn look_for_upgrade(&self) -> Result<Upgrade, StoreError> {
        let (_, numbers) = self.rows.view(&Upgrade::NUMBERS)?;
        let upgrade = Upgrade::of(&numbers)?;
        self.needs_upgrade.store(upgrade != Upgrade::Done, Ordering::Relaxed);
        Ok(upgrade)
    }

    /// Upgrades the next days in one commit: one at least, and more if that takes less than `most`. `recompute` computes the rollups of a day anew from its events in the snapshot, and
    /// stores those that differ. Returns whether all days are upgraded; then the database can be used.
    pub fn upgrade_step(
        &self,
        most: Duration,
        mut recompute: impl FnMut(&mut Transaction<'_>, &Snapshot, Date) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let begun = Transaction::begin_upgrade(&*self.rows, &self.definitions, &self.writer);
        let (mut transaction, upgrade) = match begun {
            // A standby will never upgrade it, nor will a user who may only read; the turn of another server passes.
            Err(StoreError::Rows(error)) if self.rows.check().is_err() => return Err(StoreError::CannotUpgrade(error)),
            begun => begun?,
        };
        let Upgrade::From(from) = upgrade else {
            // Another server was first.
            drop(transaction);
            return self.look_for_upgrade().map(|upgrade| upgrade == Upgrade::Done);
        };
        // Nobody else writes, so this is the state that the transaction began with.
        let snapshot = Snapshot::of_upgrade(&*self.rows, &self.definitions)?;
        let begun = Instant::now();
        let mut next = next_day(&snapshot, from.max(snapshot.kept().events_from))?;
        self.show_progress(&snapshot, next)?;
        while let Some(date) = next {
            recompute(&mut transaction, &snapshot, date)?;
            next = date.next().map_or(Ok(None), |after| next_day(&snapshot, after))?;
            if begun.elapsed() >= most {
                break;
            }
        }
        self.show_progress(&snapshot, next)?;
        transaction.commit_upgrade(next)?;
        Ok(next.is_none() && self.look_for_upgrade()? == Upgrade::Done)
    }

    /// Shows how many days are upgraded, of how many.
    fn show_progress(&self, snapshot: &Snapshot, next: Option<Date>) -> Result<(), StoreError> {
        if let Some(date) = next {
            let first = next_day(snapshot, Date::MIN)?.unwrap_or(date);
            let last = first_key(snapshot.rows(), blocks_from(Date::MIN), Order::Descending)?;
            let days = |last: u32| u64::from(last.saturating_sub(first.days()));
            let last = last.map_or(date.days(), |key| key.days);
            self.open_progress().upgraded(days(date.days()), days(last) + 1);
        }
        Ok(())
    }
}

/// The first day from `from` on with events.
fn next_day(snapshot: &Snapshot, from: Date) -> Result<Option<Date>, StoreError> {
    let block = first_key(snapshot.rows(), blocks_from(from), Order::Ascending)?;
    Ok(block.map(|key| keys::date(key.days)).transpose()?)
}

fn blocks_from(date: Date) -> (Bound<BlockKey>, Bound<BlockKey>) {
    (Bound::Included(BlockKey::first_of(date.days())), Bound::Unbounded)
}
