//! Reading: one state of the store, whatever is written meanwhile.

use std::sync::Arc;

use redb::{AccessGuard, Key, ReadOnlyTable, ReadTransaction, ReadableTable, TableDefinition, Value};

use super::damage::Guard;
use super::definitions::RecentDefinitions;
use super::rollup_rows::RollupRow;
use super::tables::{DayKey, TotalKey};
use super::{StoreError, read_choices, tables};
use crate::catalog::MetricsTypeId;
use crate::events::{ChoiceId, Choices};
use crate::rollup::{Aggregate, Parts, Scope};
use crate::store::Corrupt;
use crate::time::Date;

/// One state of the store. While it lives, pages that later writes free stay in use: hold it shortly.
pub struct Snapshot {
    transaction: ReadTransaction,
    guard: Arc<Guard>,
    version: u64,
    kept: Kept,
    choices: Arc<Choices>,
}

/// The first days that are kept. What is older is forgotten, even where it is still on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Whose events.
    pub events_from: Date,
    /// Whose rollups; no later than the events'.
    pub rollups_from: Date,
}

impl Kept {
    /// Reads it from the table of such things.
    pub(super) fn read(meta: &impl ReadableTable<&'static str, u64>) -> Result<Self, StoreError> {
        let date = |key| {
            let days = meta.get(key)?.map_or(0, |days| days.value());
            let date = u32::try_from(days).ok().and_then(Date::from_days);
            date.ok_or_else(|| StoreError::from(Corrupt("a date is wrong")))
        };
        Ok(Self { events_from: date(tables::META_EVENTS_FROM)?, rollups_from: date(tables::META_ROLLUPS_FROM)? })
    }
}

/// Which aggregates to read.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Of which metrics type.
    pub metrics: MetricsTypeId,
    /// Whose: all together, or some choices, ordered.
    pub scopes: &'a [Scope],
    /// The first day and the last.
    pub dates: (Date, Date),
    /// Which parts of each; the others are left empty.
    pub parts: Parts,
}

impl Snapshot {
    pub(super) fn new(
        transaction: ReadTransaction,
        guard: Arc<Guard>,
        definitions: &RecentDefinitions,
    ) -> Result<Self, StoreError> {
        let meta = transaction.open_table(tables::META)?;
        let number = |key| meta.get(key).map(|number| number.map_or(0, |number| number.value()));
        let (version, changed) = (number(tables::META_VERSION)?, number(tables::META_CHOICES)?);
        let kept = Kept::read(&meta)?;
        let choices = definitions.get(changed, || read_choices(&transaction.open_table(tables::CHOICES)?))?;
        Ok(Self { transaction, guard, version, kept, choices })
    }

    /// What watches over the database that is read.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// A table of this state.
    pub(super) fn table<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, StoreError> {
        Ok(self.transaction.open_table(table)?)
    }

    /// How often something that is read here had changed by then: rollups or definitions. The same version is the same
    /// state; a later state has a larger one.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The first days that are kept.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// The definitions.
    pub fn choices(&self) -> &Arc<Choices> {
        &self.choices
    }

    /// The first and the last day that have something of a metrics type in them.
    pub fn span(&self, metrics: MetricsTypeId) -> Result<Option<(Date, Date)>, StoreError> {
        self.guard.run(|| {
            let totals = self.transaction.open_table(tables::TOTALS)?;
            let total = |days| TotalKey { metrics: metrics as u8, days };
            let mut days = totals.range(total(self.kept.rollups_from.days())..=total(u32::MAX))?;
            let Some(first) = days.next() else { return Ok(None) };
            let first = first?.0.value();
            let last = days.next_back().transpose()?.map_or(first, |(key, _)| key.value());
            let date = |key: TotalKey| Date::from_days(key.days).ok_or(Corrupt("a rollup has no date"));
            Ok(Some((date(first)?, date(last)?)))
        })
    }

    /// Visits the days that have something in them: oldest first, on each date one after the other of the scopes. On each date
    /// it is asked whether to `go_on`.
    pub fn days<E: From<StoreError>>(
        &self,
        wanted: &Wanted<'_>,
        go_on: impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Date, Scope, &Aggregate) -> Result<(), E>,
    ) -> Result<(), E> {
        let visited = self.guard.run(|| {
            let mut day = Aggregate::default();
            for rows in self.rows(wanted)? {
                if let Err(error) = go_on() {
                    return Ok(Err(error));
                }
                let (date, rows) = rows?;
                for (scope, row) in rows {
                    RollupRow::open(row.value())?.day(wanted.parts, &mut day)?;
                    if let Err(error) = visit(date, scope, &day) {
                        return Ok(Err(error));
                    }
                }
            }
            Ok(Ok(()))
        });
        visited?
    }

    /// Visits the hours that have something in them: oldest first, in each hour one after the other of the scopes. On each
    /// date it is asked whether to `go_on`.
    pub fn hours<E: From<StoreError>>(
        &self,
        wanted: &Wanted<'_>,
        go_on: impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Date, u8, Scope, &Aggregate) -> Result<(), E>,
    ) -> Result<(), E> {
        let visited = self.guard.run(|| {
            let mut aggregate = Aggregate::default();
            for rows in self.rows(wanted)? {
                if let Err(error) = go_on() {
                    return Ok(Err(error));
                }
                let (date, rows) = rows?;
                let hours = rows.iter().map(|(scope, row)| Ok((*scope, RollupRow::open(row.value())?.hours()?)));
                let mut rows = hours.collect::<Result<Vec<_>, Corrupt>>()?;
                for hour in 0..24 {
                    for (scope, hours) in &mut rows {
                        if hours.read(hour, wanted.parts, &mut aggregate)?
                            && let Err(error) = visit(date, hour, *scope, &aggregate)
                        {
                            return Ok(Err(error));
                        }
                    }
                }
            }
            Ok(Ok(()))
        });
        visited?
    }

    /// The dates that have something in them, with the rows of those scopes that have.
    fn rows(
        &self,
        &Wanted { metrics, scopes, dates: (first, last), .. }: &Wanted<'_>,
    ) -> Result<impl Iterator<Item = Result<RowsOfDate, StoreError>>, StoreError> {
        let totals = self.transaction.open_table(tables::TOTALS)?;
        let choices = self.transaction.open_table(tables::ROLLUPS)?;
        let are_many = scopes.len() * SCAN_PART >= self.choices.count(metrics);
        // Only days on which something of some choice is counted can have something of these.
        let total = |days| TotalKey { metrics: metrics as u8, days };
        let end = last.days() + 1;
        let start = first.max(self.kept.rollups_from).days().min(end);
        let days = totals.range(total(start)..total(end))?;
        Ok(days.map(move |day| {
            let (key, total) = day?;
            let date = Date::from_days(key.value().days).ok_or(Corrupt("a rollup has no date"))?;
            let rows = match scopes {
                [Scope::All] => vec![(Scope::All, total)],
                _ if are_many => scan(&choices, metrics, scopes, date)?,
                _ => look_up(&choices, metrics, scopes, date)?,
            };
            Ok((date, rows))
        }))
    }
}

/// From which part of all choices on the rows of a date are scanned: passing over two rows takes about as long as looking
/// for one does.
const SCAN_PART: usize = 3;

/// The rows of these choices, one by one.
fn look_up(
    table: &RollupTable,
    metrics: MetricsTypeId,
    scopes: &[Scope],
    date: Date,
) -> Result<Vec<(Scope, Row)>, StoreError> {
    let mut rows = Vec::with_capacity(scopes.len());
    for &scope in scopes {
        if let Scope::Choice(choice) = scope {
            let row = table.get(DayKey { days: date.days(), choice: choice.get(), metrics: metrics as u8 })?;
            rows.extend(row.map(|row| (scope, row)));
        }
    }
    Ok(rows)
}

/// The same from all rows of the date.
fn scan(
    table: &RollupTable,
    metrics: MetricsTypeId,
    scopes: &[Scope],
    date: Date,
) -> Result<Vec<(Scope, Row)>, StoreError> {
    let mut rows = Vec::with_capacity(scopes.len());
    let mut scopes = scopes.iter().copied().peekable();
    let start = |days| DayKey { days, choice: 0, metrics: 0 };
    for row in table.range(start(date.days())..start(date.days() + 1))? {
        let (key, row) = row?;
        let DayKey { choice, metrics: found, .. } = key.value();
        let scope = ChoiceId::new(choice).map(Scope::Choice).ok_or(Corrupt("a rollup has no choice"))?;
        while scopes.next_if(|&wanted| wanted < scope).is_some() {}
        if found == metrics as u8 && scopes.peek() == Some(&scope) {
            rows.push((scope, row));
        }
    }
    Ok(rows)
}

type RollupTable = ReadOnlyTable<DayKey, &'static [u8]>;

/// The bytes of a row.
type Row = AccessGuard<'static, &'static [u8]>;

/// A date, and whose rows there are.
type RowsOfDate = (Date, Vec<(Scope, Row)>);
