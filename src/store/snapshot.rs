//! Reading: one state of the store, whatever is written meanwhile.

use std::sync::Arc;

use parking_lot::Mutex;
use redb::ReadTransaction;

use super::{StoreError, read_choices, rollup_rows, tables};
use crate::catalog::MetricsTypeId;
use crate::events::Choices;
use crate::rollup::{Aggregate, Rollup, Scope};
use crate::store::Corrupt;
use crate::time::Date;

/// One state of the store. While it lives, pages that later writes free stay in use: hold it shortly.
pub struct Snapshot<'a> {
    transaction: ReadTransaction,
    latest_choices: &'a Mutex<(u64, Arc<Choices>)>,
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(transaction: ReadTransaction, latest_choices: &'a Mutex<(u64, Arc<Choices>)>) -> Self {
        Self { transaction, latest_choices }
    }

    /// The definitions of this state. They are read from disk only when they have changed since somebody last asked.
    pub fn choices(&self) -> Result<Arc<Choices>, StoreError> {
        let meta = self.transaction.open_table(tables::META)?;
        let changes = meta.get(tables::META_CHOICES)?.map_or(0, |changes| changes.value());
        {
            let latest = self.latest_choices.lock();
            if latest.0 == changes {
                return Ok(Arc::clone(&latest.1));
            }
        }
        let choices = Arc::new(read_choices(&self.transaction.open_table(tables::CHOICES)?)?);
        let mut latest = self.latest_choices.lock();
        if latest.0 < changes {
            *latest = (changes, Arc::clone(&choices));
        }
        Ok(choices)
    }

    /// Visits the days between two dates, both included, that have something in them: oldest first, on each date one after
    /// the other of `scopes`.
    pub fn days(
        &self,
        metrics: MetricsTypeId,
        scopes: &[Scope],
        dates: (Date, Date),
        mut visit: impl FnMut(Date, Scope, Aggregate),
    ) -> Result<(), StoreError> {
        self.rows(metrics, scopes, dates, |date, scope, row| {
            visit(date, scope, rollup_rows::decode_day(row)?);
            Ok(())
        })
    }

    /// The same with every hour of the days.
    pub fn rollups(
        &self,
        metrics: MetricsTypeId,
        scopes: &[Scope],
        dates: (Date, Date),
        mut visit: impl FnMut(Date, Scope, Rollup),
    ) -> Result<(), StoreError> {
        self.rows(metrics, scopes, dates, |date, scope, row| {
            visit(date, scope, rollup_rows::decode_rollup(row)?);
            Ok(())
        })
    }

    fn rows(
        &self,
        metrics: MetricsTypeId,
        scopes: &[Scope],
        (first, last): (Date, Date),
        mut visit: impl FnMut(Date, Scope, &[u8]) -> Result<(), Corrupt>,
    ) -> Result<(), StoreError> {
        let totals = self.transaction.open_table(tables::TOTALS)?;
        let choices = self.transaction.open_table(tables::ROLLUPS)?;
        let metrics = metrics as u8;
        for row in totals.range((metrics, first.days())..=(metrics, last.days()))? {
            let (key, total) = row?;
            let days = key.value().1;
            let date = Date::from_days(days).ok_or(Corrupt("a rollup has no date"))?;
            for &scope in scopes {
                match scope {
                    Scope::All => visit(date, scope, total.value())?,
                    // Only days on which something of some choice is counted can have a row of this one.
                    Scope::Choice(choice) => {
                        if let Some(row) = choices.get((days, choice.get(), metrics))? {
                            visit(date, scope, row.value())?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
