//! Reading: one state of the store, whatever is written meanwhile.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::codec::Corrupt;
use super::definition_rows::read_definitions;
use super::definitions::RecentDefinitions;
use super::error::StoreError;
use super::keys::{self, DayKey, TotalKey};
use super::rollup_rows::RollupRow;
use super::rows::{Database, Key, Order, Read, Table, View};
use super::visit::visiting;
use crate::events::Choices;
use crate::rollup::{Aggregate, Parts, RollupScope};
use crate::time::Date;
use crate::vocabulary::MetricsTypeId;

/// One state of the store. While it lives, the database keeps what later changes free: hold it shortly.
pub struct Snapshot {
    rows: Box<dyn View>,
    state: State,
    definitions: Arc<Choices>,
}

/// The first days that are kept. What is older is forgotten, even where it is not deleted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionMarks {
    /// The first day whose events are kept.
    pub events_from: Date,
    /// The first day whose rollups are kept; no later than that of events.
    pub rollups_from: Date,
}

/// The numbers that describe a state; [`State::read`] takes them in this order.
pub(super) const STATE_NUMBERS: [&str; 4] =
    [keys::NUMBER_VERSION, keys::NUMBER_DEFINITIONS, keys::NUMBER_EVENTS_FROM, keys::NUMBER_ROLLUPS_FROM];

/// What the numbers say of a state.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) version: u64,
    /// The version since which the definitions stand.
    pub(super) defined_by: u64,
    pub(super) kept: RetentionMarks,
}

impl State {
    /// Reads [`STATE_NUMBERS`].
    pub(super) fn read(numbers: &[Option<u64>]) -> Result<Self, Corrupt> {
        let &[version, defined_by, events_from, rollups_from] = numbers else { unreachable!("all four are read") };
        let date = |days: Option<u64>| match u32::try_from(days.unwrap_or(0)) {
            Ok(days) => keys::date(days),
            Err(_) => Err(Corrupt("a date is wrong")),
        };
        let kept = RetentionMarks { events_from: date(events_from)?, rollups_from: date(rollups_from)? };
        Ok(Self { version: version.unwrap_or(0), defined_by: defined_by.unwrap_or(0), kept })
    }
}

/// Which aggregates to read.
#[derive(Debug)]
pub struct RollupQuery<'a> {
    /// The metrics type.
    pub metrics: MetricsTypeId,
    /// All choices together, or some choices, ordered.
    pub scopes: &'a [RollupScope],
    /// The first day and the last.
    pub dates: (Date, Date),
    /// Which parts of each aggregate; the others are left empty.
    pub parts: Parts,
}

/// From which part of all choices on all rows of the days are scanned: passing over two rows takes about as long as looking
/// for one does.
const SCAN_PART: usize = 3;

/// How many rows are looked for in one step, at most.
const KEYS_AT_ONCE: usize = 4_096;

impl Snapshot {
    pub(super) fn new(database: &dyn Database, recent: &RecentDefinitions) -> Result<Self, StoreError> {
        let (rows, numbers) = database.view(&STATE_NUMBERS)?;
        let state = State::read(&numbers)?;
        let definitions = recent.get(state.defined_by, || read_definitions(&*rows))?;
        Ok(Self { rows, state, definitions })
    }

    /// The rows of this state.
    pub(super) fn rows(&self) -> &dyn Read {
        &*self.rows
    }

    /// How often something that is read here had changed by then: rollups or definitions. The same version is the same
    /// state; a later state has a larger one.
    pub fn version(&self) -> u64 {
        self.state.version
    }

    /// The first days that are kept.
    pub fn kept(&self) -> RetentionMarks {
        self.state.kept
    }

    /// The definitions.
    pub fn definitions(&self) -> &Arc<Choices> {
        &self.definitions
    }

    /// The first and the last day that have something of a metrics type in them.
    pub fn span(&self, metrics: MetricsTypeId) -> Result<Option<(Date, Date)>, StoreError> {
        let end = |order| -> Result<Option<Date>, StoreError> {
            let mut found = None;
            let days = self.days_of(metrics, Date::MIN, Date::MAX);
            visiting(
                |visit| self.rows.scan(Table::Totals, days, order, visit),
                |key, _| {
                    found = Some(date_of_total(key)?);
                    Ok::<_, StoreError>(ControlFlow::Break(()))
                },
            )?;
            Ok(found)
        };
        Ok(end(Order::Ascending)?.zip(end(Order::Descending)?))
    }

    /// The keys of the rollups of all choices together on these days, but for those that are forgotten.
    fn days_of(&self, metrics: MetricsTypeId, first: Date, last: Date) -> Range<Key> {
        let total = |days| TotalKey { metrics: metrics as u8, days }.key();
        let end = last.days() + 1;
        total(first.max(self.state.kept.rollups_from).days().min(end))..total(end)
    }

    /// Visits the days that have something in them: oldest first, on each date one after the other of the scopes. It is asked
    /// again and again whether to `go_on`.
    pub fn days<E: From<StoreError>>(
        &self,
        query: &RollupQuery<'_>,
        go_on: impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Date, RollupScope, &Aggregate) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut day = Aggregate::default();
        self.visit_rows(query, &go_on, |date, scope, row| {
            read_day(row, query.parts, &mut day)?;
            visit(date, scope, &day)
        })
    }

    /// Visits the hours that have something in them: oldest first, in each hour one after the other of the scopes. It is asked
    /// again and again whether to `go_on`.
    pub fn hours<E: From<StoreError>>(
        &self,
        query: &RollupQuery<'_>,
        go_on: impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Date, u8, RollupScope, &Aggregate) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut day = RowsOfDay::default();
        self.visit_rows(query, &go_on, |date, scope, row| {
            if day.date != Some(date) {
                day.visit_hours(query.parts, &mut visit)?;
                day.begin(date);
            }
            day.push(scope, row);
            Ok(())
        })?;
        day.visit_hours(query.parts, &mut visit)
    }

    /// Visits the rows of some scopes, by date and then by scope.
    fn visit_rows<E: From<StoreError>>(
        &self,
        query: &RollupQuery<'_>,
        go_on: &impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Date, RollupScope, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let &RollupQuery { metrics, scopes, dates: (first, last), .. } = query;
        // Only days on which something of some choice is counted can have something of these.
        let mut dates = Vec::new();
        let are_totals = matches!(scopes, [RollupScope::All]);
        visiting(
            |visit| self.rows.scan(Table::Totals, self.days_of(metrics, first, last), Order::Ascending, visit),
            |key, row| {
                let date = date_of_total(key)?;
                if are_totals {
                    go_on()?;
                    visit(date, RollupScope::All, row)?;
                } else {
                    dates.push(date);
                }
                Ok::<_, E>(ControlFlow::Continue(()))
            },
        )?;
        let (Some(&first), Some(&last)) = (dates.first(), dates.last()) else { return Ok(()) };
        let days = (last.days() - first.days() + 1) as usize;
        if scopes.len() * dates.len() * SCAN_PART >= self.definitions.len() * days {
            self.scan_rows(query, (first, last), go_on, visit)
        } else {
            self.look_up_rows(query, &dates, go_on, visit)
        }
    }

    /// Visits these rows one by one.
    fn look_up_rows<E: From<StoreError>>(
        &self,
        query: &RollupQuery<'_>,
        dates: &[Date],
        go_on: &impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Date, RollupScope, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let metrics = query.metrics as u8;
        let choices = query.scopes.iter().filter_map(|scope| match scope {
            RollupScope::Choice(choice) => Some(choice.get()),
            RollupScope::All => None,
        });
        let choices: Vec<_> = choices.collect();
        let mut keys = Vec::new();
        for dates in dates.chunks((KEYS_AT_ONCE / choices.len().max(1)).max(1)) {
            go_on()?;
            keys.clear();
            for days in dates.iter().map(|date| date.days()) {
                keys.extend(choices.iter().map(|&choice| DayKey { days, choice, metrics }.key()));
            }
            visiting(
                |visit| self.rows.get(Table::Rollups, &keys, visit),
                |key, row| {
                    let (date, scope, _) = day_of_choice(key)?;
                    visit(date, scope, row)?;
                    Ok::<_, E>(ControlFlow::Continue(()))
                },
            )?;
        }
        Ok(())
    }

    /// Visits these rows among all rows of their days.
    fn scan_rows<E: From<StoreError>>(
        &self,
        query: &RollupQuery<'_>,
        (first, last): (Date, Date),
        go_on: &impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Date, RollupScope, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let range = DayKey::first_of(first.days()).key()..DayKey::first_of(last.days() + 1).key();
        let mut date = None;
        let mut left = query.scopes.iter().peekable();
        visiting(
            |visit| self.rows.scan(Table::Rollups, range, Order::Ascending, visit),
            |key, row| {
                let (found, scope, metrics) = day_of_choice(key)?;
                if date.replace(found) != Some(found) {
                    go_on()?;
                    left = query.scopes.iter().peekable();
                }
                while left.next_if(|&&wanted| wanted < scope).is_some() {}
                if metrics == query.metrics as u8 && left.peek() == Some(&&scope) {
                    visit(found, scope, row)?;
                }
                Ok(ControlFlow::Continue(()))
            },
        )
    }
}

/// The rows of one day, to be read side by side.
#[derive(Default)]
struct RowsOfDay {
    date: Option<Date>,
    bytes: Vec<u8>,
    rows: Vec<(RollupScope, Range<usize>)>,
    aggregate: Aggregate,
}

impl RowsOfDay {
    /// Takes in the rows of another day from now on.
    fn begin(&mut self, date: Date) {
        self.date = Some(date);
        self.bytes.clear();
        self.rows.clear();
    }

    fn push(&mut self, scope: RollupScope, row: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.rows.push((scope, start..self.bytes.len()));
    }

    /// Visits the hours that exist, in each hour one after the other of the rows.
    fn visit_hours<E: From<StoreError>>(
        &mut self,
        parts: Parts,
        visit: &mut impl FnMut(Date, u8, RollupScope, &Aggregate) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { date: Some(date), bytes, rows, aggregate } = self else { return Ok(()) };
        let hours = rows.iter().map(|(scope, row)| Ok((*scope, RollupRow::open(&bytes[row.clone()])?.hours()?)));
        let mut rows = hours.collect::<Result<Vec<_>, Corrupt>>().map_err(StoreError::from)?;
        for hour in 0..24 {
            for (scope, hours) in &mut rows {
                if hours.read(hour, parts, aggregate).map_err(StoreError::from)? {
                    visit(*date, hour, *scope, aggregate)?;
                }
            }
        }
        Ok(())
    }
}

fn read_day(row: &[u8], parts: Parts, into: &mut Aggregate) -> Result<(), StoreError> {
    Ok(RollupRow::open(row)?.day(parts, into)?)
}

/// The date in the key of a rollup of all choices together.
fn date_of_total(key: &[u8]) -> Result<Date, StoreError> {
    Ok(keys::date(TotalKey::read(key)?.days)?)
}

/// The date, the choice and the metrics type in the key of a rollup of a choice.
fn day_of_choice(key: &[u8]) -> Result<(Date, RollupScope, u8), StoreError> {
    let DayKey { days, choice, metrics } = DayKey::read(key)?;
    Ok((keys::date(days)?, RollupScope::Choice(keys::choice(choice)?), metrics))
}
