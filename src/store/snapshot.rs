//! Reading: a snapshot is one state of the store, which concurrent writes do not affect.

use std::ops::Range;
use std::sync::Arc;

use super::codec::Corrupt;
use super::definition_rows::read_definitions;
use super::definitions::RecentDefinitions;
use super::error::StoreError;
use super::format::Upgrade;
use super::keys::{self, DayKey, TotalKey};
use super::reads::{look_up, scan, span};
use super::rollup_rows::RollupRow;
use super::rows::{Database, Read, Stamp, View};
use super::version::Version;
use crate::events::Choices;
use crate::events::request::Draft;
use crate::rollup::{Aggregate, Parts, RollupScope};
use crate::time::Date;
use crate::vocabulary::{ChoiceId, MetricsTypeId};

/// One state of the store. While a snapshot exists, the database cannot reuse the pages that later changes free, so callers
/// should drop it soon.
pub struct Snapshot {
    rows: Box<dyn View>,
    state: StoreState,
}

/// What is known of a state without reading its rows.
#[derive(Debug, Clone)]
pub struct StoreState {
    version: Version,
    kept: RetentionMarks,
    definitions: Arc<Choices>,
}

/// The first days that are kept. Older data is forgotten, even if its rows are not deleted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionMarks {
    /// The first day whose events are kept.
    pub events_from: Date,
    /// The first day whose rollups are kept; no later than that of events.
    pub rollups_from: Date,
}

/// The names of the numbers that describe a state, then those of [`Upgrade::NUMBERS`]. [`StoreState::of`] takes the numbers in this
/// order.
pub(super) const STATE_NUMBERS: [&str; 6] = [
    keys::NUMBER_VERSION,
    keys::NUMBER_DEFINITIONS,
    keys::NUMBER_EVENTS_FROM,
    keys::NUMBER_ROLLUPS_FROM,
    Upgrade::NUMBERS[0],
    Upgrade::NUMBERS[1],
];

/// How many of these numbers describe a state.
pub(super) const OF_STATE: usize = 4;

/// The names of the numbers that describe a state of this database. The format is left out where no other process can change it.
pub(super) fn state_numbers(database: &dyn Database) -> &'static [&'static str] {
    if database.is_remote() { &STATE_NUMBERS } else { &STATE_NUMBERS[..OF_STATE] }
}

impl StoreState {
    /// The state that the numbers of [`state_numbers`] describe. `definitions` returns those that took effect at a version.
    pub(super) fn of(
        stamp: Stamp,
        numbers: &[Option<u64>],
        definitions: impl FnOnce(Version) -> Result<Arc<Choices>, StoreError>,
    ) -> Result<Self, StoreError> {
        let &[version, defined_by, events_from, rollups_from, ref format @ ..] = numbers else {
            unreachable!("all are read")
        };
        if !format.is_empty() && Upgrade::of(format)? != Upgrade::Done {
            return Err(StoreError::Upgrading);
        }
        let date = |days: Option<u64>| match u32::try_from(days.unwrap_or(0)) {
            Ok(days) => keys::date(days),
            Err(_) => Err(Corrupt("a date is wrong")),
        };
        let kept = RetentionMarks { events_from: date(events_from)?, rollups_from: date(rollups_from)? };
        let at = |number: Option<u64>| Version { era: stamp.era, number: number.unwrap_or(0) };
        Ok(Self { version: at(version), kept, definitions: definitions(at(defined_by))? })
    }

    /// The state of these rows.
    pub(super) fn read(
        rows: &dyn Read,
        numbers: &[Option<u64>],
        recent: &RecentDefinitions,
    ) -> Result<Self, StoreError> {
        Self::of(rows.stamp(), numbers, |version| recent.get(version, || read_definitions(rows)))
    }

    /// The current state. Reads rows only if its definitions are not known.
    pub(super) fn look(database: &dyn Database, recent: &RecentDefinitions) -> Result<Self, StoreError> {
        let (stamp, numbers) = database.numbers(state_numbers(database))?;
        let mut are_known = true;
        let state = Self::of(stamp, &numbers, |version| {
            let known = recent.known(version);
            are_known = known.is_some();
            Ok(known.unwrap_or_default())
        })?;
        // All of it is of one state then, which may be a later one.
        if are_known { Ok(state) } else { Ok(Snapshot::new(database, recent)?.state) }
    }

    /// Returns the version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Returns the first days that are kept.
    pub fn kept(&self) -> RetentionMarks {
        self.kept
    }

    /// Returns the definitions.
    pub fn definitions(&self) -> &Arc<Choices> {
        &self.definitions
    }

    /// Begins a request, to be validated against this state. The check still holds when the request is stored later, unless
    /// retention has moved on meanwhile.
    pub fn draft(&self) -> Draft {
        Draft::new(Arc::clone(&self.definitions), self.kept.events_from)
    }
}

/// Selects the aggregates to read.
#[derive(Debug)]
pub struct RollupQuery<'a> {
    /// The metrics type.
    pub metrics: MetricsTypeId,
    /// All choices together, or some choices in ascending order.
    pub scopes: &'a [RollupScope],
    /// The first and the last day.
    pub dates: (Date, Date),
    /// The parts of each aggregate to read; the others are left empty.
    pub parts: Parts,
}

/// The scan threshold: if at least one in `SCAN_PART` of all choices on all days is selected, the read scans all rows of the
/// days. Skipping two rows takes about as long as looking up one.
const SCAN_PART: usize = 3;

/// The largest number of rows that one step looks up.
const KEYS_AT_ONCE: usize = 4_096;

impl Snapshot {
    pub(super) fn new(database: &dyn Database, recent: &RecentDefinitions) -> Result<Self, StoreError> {
        Self::with(database, recent, state_numbers(database))
    }

    /// The current state of a database that is being upgraded.
    pub(super) fn of_upgrade(database: &dyn Database, recent: &RecentDefinitions) -> Result<Self, StoreError> {
        Self::with(database, recent, &STATE_NUMBERS[..OF_STATE])
    }

    fn with(database: &dyn Database, recent: &RecentDefinitions, names: &[&str]) -> Result<Self, StoreError> {
        let (rows, numbers) = database.view(names)?;
        let state = StoreState::read(&*rows, &numbers, recent)?;
        Ok(Self { rows, state })
    }

    /// Returns the rows of this state.
    pub(super) fn rows(&self) -> &dyn Read {
        &*self.rows
    }

    /// Returns what is known of this state without reading.
    pub fn state(&self) -> &StoreState {
        &self.state
    }

    /// Returns the version of this state.
    pub fn version(&self) -> Version {
        self.state.version
    }

    /// Returns the first days that are kept.
    pub fn kept(&self) -> RetentionMarks {
        self.state.kept
    }

    /// Returns the definitions.
    pub fn definitions(&self) -> &Arc<Choices> {
        &self.state.definitions
    }

    /// Begins a request, to be validated against this state ([`StoreState::draft`]).
    pub fn draft(&self) -> Draft {
        self.state.draft()
    }

    /// Returns the first and the last day with data of a metrics type.
    pub fn span(&self, metrics: MetricsTypeId) -> Result<Option<(Date, Date)>, StoreError> {
        let span = span(self.rows(), self.days_of(metrics, Date::MIN, Date::MAX))?;
        let dates = span.map(|(first, last)| Ok((keys::date(first.days)?, keys::date(last.days)?)));
        dates.transpose()
    }

    /// Returns the days from one to another on which something is counted.
    pub fn days(&self, metrics: MetricsTypeId, (first, last): (Date, Date)) -> Result<Vec<Date>, StoreError> {
        let mut days = Vec::new();
        scan(self.rows(), self.days_of(metrics, first, last), |key, _| {
            days.push(keys::date(key.days)?);
            Ok::<_, StoreError>(())
        })?;
        Ok(days)
    }

    /// Returns the key range of the rollups of all choices together on these days, without the forgotten days.
    fn days_of(&self, metrics: MetricsTypeId, first: Date, last: Date) -> Range<TotalKey> {
        let total = |days| TotalKey { metrics: metrics as u8, days };
        let end = last.days() + 1;
        total(first.max(self.state.kept.rollups_from).days().min(end))..total(end)
    }

    /// Visits what has data, oldest first: a day as a whole if `is_whole` says so, otherwise its hours; within a day or an hour, in
    /// the order of the scopes. Calls `go_on` repeatedly and stops if it fails.
    pub fn rollups<E: From<StoreError>>(
        &self,
        query: &RollupQuery<'_>,
        is_whole: impl Fn(Date) -> bool,
        go_on: impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Date, Part, RollupScope, &Aggregate) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut aggregate = Aggregate::default();
        let mut day = RowsOfDay::default();
        self.visit_rows(query, &go_on, |date, scope, row| {
            if day.date != Some(date) {
                day.visit_hours(query.parts, &mut visit)?;
                day.begin(date, is_whole(date));
            }
            if day.is_whole {
                read_day(row, query.parts, &mut aggregate)?;
                visit(date, Part::Day, scope, &aggregate)
            } else {
                day.push(scope, row);
                Ok(())
            }
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
        // Choices can have data only on days on which all choices together have data.
        let mut dates = Vec::new();
        let are_totals = matches!(scopes, [RollupScope::All]);
        scan(self.rows(), self.days_of(metrics, first, last), |key, row| {
            let date = keys::date(key.days).map_err(StoreError::from)?;
            if are_totals {
                go_on()?;
                visit(date, RollupScope::All, row)?;
            } else {
                dates.push(date);
            }
            Ok::<_, E>(())
        })?;
        let (Some(&first), Some(&last)) = (dates.first(), dates.last()) else { return Ok(()) };
        let days = (last.days() - first.days() + 1) as usize;
        if scopes.len() * dates.len() * SCAN_PART >= self.state.definitions.total() * days {
            self.scan_rows(query, (first, last), go_on, visit)
        } else {
            self.look_up_rows(query, &dates, go_on, visit)
        }
    }

    /// Visits the rows by looking up each key.
    fn look_up_rows<E: From<StoreError>>(
        &self,
        query: &RollupQuery<'_>,
        dates: &[Date],
        go_on: &impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Date, RollupScope, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let metrics = query.metrics as u8;
        let choices = query.scopes.iter().filter_map(|scope| match scope {
            RollupScope::Choice(choice) => Some(*choice),
            RollupScope::All => None,
        });
        let choices: Vec<_> = choices.collect();
        let mut days = Vec::new();
        for dates in dates.chunks((KEYS_AT_ONCE / choices.len().max(1)).max(1)) {
            go_on()?;
            days.clear();
            for &date in dates {
                days.extend(choices.iter().map(|&choice| (date, choice)));
            }
            let key = |&(date, choice): &(Date, ChoiceId)| DayKey { days: date.days(), choice: choice.get(), metrics };
            look_up(self.rows(), &days, key, |&(date, choice), row| {
                row.map_or(Ok(()), |row| visit(date, RollupScope::Choice(choice), row))
            })?;
        }
        Ok(())
    }

    /// Visits the rows by scanning all rows of their days.
    fn scan_rows<E: From<StoreError>>(
        &self,
        query: &RollupQuery<'_>,
        (first, last): (Date, Date),
        go_on: &impl Fn() -> Result<(), E>,
        mut visit: impl FnMut(Date, RollupScope, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let range = DayKey::first_of(first.days())..DayKey::first_of(last.days() + 1);
        let mut date = None;
        let mut left = query.scopes.iter().peekable();
        scan(self.rows(), range, |key, row| {
            let (found, scope) = day_of_choice(key)?;
            if date.replace(found) != Some(found) {
                go_on()?;
                left = query.scopes.iter().peekable();
            }
            while left.next_if(|&&wanted| wanted < scope).is_some() {}
            if key.metrics == query.metrics as u8 && left.peek() == Some(&&scope) {
                visit(found, scope, row)?;
            }
            Ok(())
        })
    }
}

/// A part of a day that is read as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Day,
    /// An hour, from 0 to 23.
    Hour(u8),
}

/// The rows of one day, for reading the same hour of each.
#[derive(Default)]
struct RowsOfDay {
    date: Option<Date>,
    /// Whether the day is read as a whole. Then no rows are kept.
    is_whole: bool,
    bytes: Vec<u8>,
    rows: Vec<(RollupScope, Range<usize>)>,
    aggregate: Aggregate,
}

impl RowsOfDay {
    /// Clears the rows and begins another day.
    fn begin(&mut self, date: Date, is_whole: bool) {
        self.date = Some(date);
        self.is_whole = is_whole;
        self.bytes.clear();
        self.rows.clear();
    }

    fn push(&mut self, scope: RollupScope, row: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.rows.push((scope, start..self.bytes.len()));
    }

    /// Visits the hours that exist; within an hour, in the order of the rows.
    fn visit_hours<E: From<StoreError>>(
        &mut self,
        parts: Parts,
        visit: &mut impl FnMut(Date, Part, RollupScope, &Aggregate) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { date: Some(date), bytes, rows, aggregate, .. } = self else { return Ok(()) };
        let hours = rows.iter().map(|(scope, row)| Ok((*scope, RollupRow::open(&bytes[row.clone()])?.hours()?)));
        let mut rows = hours.collect::<Result<Vec<_>, Corrupt>>().map_err(StoreError::from)?;
        for hour in 0..24 {
            for (scope, hours) in &mut rows {
                if hours.read(hour, parts, aggregate).map_err(StoreError::from)? {
                    visit(*date, Part::Hour(hour), *scope, aggregate)?;
                }
            }
        }
        Ok(())
    }
}

fn read_day(row: &[u8], parts: Parts, into: &mut Aggregate) -> Result<(), StoreError> {
    Ok(RollupRow::open(row)?.day(parts, into)?)
}

/// Returns the date and the choice in the key of a rollup.
fn day_of_choice(DayKey { days, choice, .. }: DayKey) -> Result<(Date, RollupScope), StoreError> {
    Ok((keys::date(days)?, RollupScope::Choice(keys::choice(choice)?)))
}
