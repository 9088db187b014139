//! Reading: one state of the store, whatever is written meanwhile.

use std::sync::Arc;

use parking_lot::Mutex;
use redb::{AccessGuard, ReadTransaction};

use super::rollup_rows::RollupRow;
use super::{StoreError, read_choices, tables};
use crate::catalog::MetricsTypeId;
use crate::events::Choices;
use crate::rollup::{Aggregate, Parts, Scope};
use crate::store::Corrupt;
use crate::time::Date;

/// One state of the store. While it lives, pages that later writes free stay in use: hold it shortly.
pub struct Snapshot {
    transaction: ReadTransaction,
    version: u64,
    choices: Arc<Choices>,
}

/// Which aggregates to read.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Of which metrics type.
    pub metrics: MetricsTypeId,
    /// Whose.
    pub scopes: &'a [Scope],
    /// The first day and the last.
    pub dates: (Date, Date),
    /// Which parts of each; the others are left empty.
    pub parts: Parts,
}

/// The definitions as they were read last, and the version of the state since which they stand.
pub(super) type LatestChoices = Mutex<(u64, Arc<Choices>)>;

impl Snapshot {
    pub(super) fn new(transaction: ReadTransaction, latest: &LatestChoices) -> Result<Self, StoreError> {
        let meta = transaction.open_table(tables::META)?;
        let number = |key| meta.get(key).map(|number| number.map_or(0, |number| number.value()));
        let (version, changed) = (number(tables::META_VERSION)?, number(tables::META_CHOICES)?);
        let choices = choices(&transaction, changed, latest)?;
        Ok(Self { transaction, version, choices })
    }

    /// How often something that is read here had changed by then: rollups or definitions. The same version is the same
    /// state; a later state has a larger one.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The definitions.
    pub fn choices(&self) -> &Arc<Choices> {
        &self.choices
    }

    /// Visits the days that have something in them: oldest first, on each date one after the other of the scopes.
    pub fn days<E: From<StoreError>>(
        &self,
        wanted: &Wanted<'_>,
        mut visit: impl FnMut(Date, Scope, &Aggregate) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut day = Aggregate::default();
        for rows in self.rows(wanted)? {
            let (date, rows) = rows?;
            for (scope, row) in rows {
                let read = RollupRow::open(row.value()).and_then(|mut row| row.day(wanted.parts, &mut day));
                read.map_err(StoreError::from)?;
                visit(date, scope, &day)?;
            }
        }
        Ok(())
    }

    /// Visits the hours that have something in them: oldest first, in each hour one after the other of the scopes.
    pub fn hours<E: From<StoreError>>(
        &self,
        wanted: &Wanted<'_>,
        mut visit: impl FnMut(Date, u8, Scope, &Aggregate) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut aggregate = Aggregate::default();
        for rows in self.rows(wanted)? {
            let (date, rows) = rows?;
            let at_hours = rows.iter().map(|(scope, row)| {
                let mut row = RollupRow::open(row.value())?;
                row.skip_day()?;
                Ok((*scope, row))
            });
            let mut rows = at_hours.collect::<Result<Vec<_>, Corrupt>>().map_err(StoreError::from)?;
            for hour in 0..24 {
                for (scope, row) in &mut rows {
                    if row.hour(hour, wanted.parts, &mut aggregate).map_err(StoreError::from)? {
                        visit(date, hour, *scope, &aggregate)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The dates that have something in them, with the rows of those scopes that have.
    fn rows(
        &self,
        &Wanted { metrics, scopes, dates: (first, last), .. }: &Wanted<'_>,
    ) -> Result<impl Iterator<Item = Result<RowsOfDate, StoreError>>, StoreError> {
        let metrics = metrics as u8;
        let totals = self.transaction.open_table(tables::TOTALS)?;
        let choices = self.transaction.open_table(tables::ROLLUPS)?;
        // Only days on which something of some choice is counted can have something of these.
        let days = totals.range((metrics, first.days())..=(metrics, last.days()))?;
        Ok(days.map(move |day| {
            let (key, total) = day?;
            let days = key.value().1;
            let mut total = Some(total);
            let mut rows = Vec::with_capacity(scopes.len());
            for &scope in scopes {
                let row = match scope {
                    Scope::All => total.take(),
                    Scope::Choice(choice) => choices.get((days, choice.get(), metrics))?,
                };
                rows.extend(row.map(|row| (scope, row)));
            }
            Ok((Date::from_days(days).ok_or(Corrupt("a rollup has no date"))?, rows))
        }))
    }
}

/// The bytes of a row.
type Row = AccessGuard<'static, &'static [u8]>;

/// A date, and whose rows there are.
type RowsOfDate = (Date, Vec<(Scope, Row)>);

/// The definitions of a state, which stand since version `changed`. They are read from disk only when they have changed
/// since somebody last asked.
fn choices(transaction: &ReadTransaction, changed: u64, latest: &LatestChoices) -> Result<Arc<Choices>, StoreError> {
    {
        let latest = latest.lock();
        if latest.0 == changed {
            return Ok(Arc::clone(&latest.1));
        }
    }
    let choices = Arc::new(read_choices(&transaction.open_table(tables::CHOICES)?)?);
    let mut latest = latest.lock();
    if latest.0 < changed {
        *latest = (changed, Arc::clone(&choices));
    }
    Ok(choices)
}
