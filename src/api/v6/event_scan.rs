//! Reads the events that a filter selects, within the limits of a request.

use std::ops::RangeInclusive;

use crate::api::ApiError;
use crate::api::compute_budget::ComputeBudget;
use crate::events::Outline;
use crate::listing::{Counting, Filter, Selector};
use crate::plot::Selection;
use crate::rollup::{Parts, RollupScope};
use crate::store::{Detail, OutlineQuery, Part, RollupQuery, Snapshot};
use crate::time::Date;
use crate::vocabulary::{ChoiceId, EventKind, JobTime, MetricsTypeId};

/// Every so many choices of all, reading those of one is as fast as reading all.
const SCAN_PART: usize = 3;

/// Every so many events there is a look at the clock: a few hundred microseconds later. Blocks are so small that looking at each would take a
/// fiftieth of the time.
const CHECKED_EVERY: u64 = 1_024;

/// Reading more events takes long: some hundred milliseconds.
pub(super) const SHORT_EVENTS: u64 = 500_000;

/// The reading of selected events from one state of the store.
pub(super) struct EventScan<'a> {
    snapshot: &'a Snapshot,
    filter: &'a Filter,
    pub(super) selector: Selector,
    detail: Detail,
    /// The most events that may be read, and how many were.
    most: u64,
    read: u64,
}

impl<'a> EventScan<'a> {
    /// Reads at most so many events. Each selected one has an observation of the `measured` distribution. Fails if events of the period
    /// are forgotten.
    pub(super) fn new(
        snapshot: &'a Snapshot,
        filter: &'a Filter,
        measured: Option<usize>,
        detail: Detail,
        most: u64,
    ) -> Result<Self, ApiError> {
        let events_from = snapshot.kept().events_from;
        let (first, last) = (filter.period.started().date(), filter.period.last().date());
        if first < events_from {
            let forgotten = (first, last.min(events_from.start().before().date()));
            if !snapshot.days(filter.metrics, forgotten)?.is_empty() {
                return Err(ApiError::EventsForgotten(events_from));
            }
        }
        let selector = filter.selector(snapshot.definitions(), measured);
        let needed = filter.bounds.iter().map(|it| it.distribution).chain(measured);
        let needed = needed.map(|place| detail_of(filter.metrics, place)).max();
        let detail = detail.max(needed.unwrap_or(Detail::Ends));
        Ok(Self { snapshot, filter, selector, detail, most, read: 0 })
    }

    /// The days on which selected events may have ended, from the first to the last; `None` if there are none.
    pub(super) fn dates(&self) -> Result<Option<RangeInclusive<Date>>, ApiError> {
        let period = self.filter.period;
        Ok(self.snapshot.days_with_events(period.started().date()..=period.last().date())?)
    }

    /// How many events were read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Goes back to an earlier number of events that were read: days that are read several times count once.
    pub(super) fn read_again(&mut self, read: u64) {
        self.read = read;
    }

    /// Visits the outlines of the selected events that ended on these days. Calls nothing for long without a look at the limits.
    pub(super) fn visit(
        &mut self,
        dates: RangeInclusive<Date>,
        budget: &mut ComputeBudget,
        mut visit: impl FnMut(&mut ComputeBudget, &Outline) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let Self { snapshot, filter, selector, detail, most, read } = self;
        let total = snapshot.definitions().total();
        let choices = selector.owners().filter(|owners| owners.len() * SCAN_PART < total);
        let query = OutlineQuery { dates, kinds: filter.possible_kinds(), choices, detail: *detail };
        let bounds = budget.bounds();
        let begin = |events: usize| {
            let looked = *read / CHECKED_EVERY;
            *read += events as u64;
            if *read > *most {
                return Err(ApiError::ManyEvents(*most));
            }
            if *read / CHECKED_EVERY > looked { bounds.check() } else { Ok(()) }
        };
        snapshot.outlines(&query, begin, |outline| if selector.has(outline) { visit(budget, outline) } else { Ok(()) })
    }

    /// The numbers of selected events by day, ascending, read off the rollups; the days on which the period begins or ends within an
    /// hour are counted.
    pub(super) fn counts(
        &mut self,
        counting: &Counting,
        dates: RangeInclusive<Date>,
        budget: &mut ComputeBudget,
    ) -> Result<Vec<(Date, u64)>, ApiError> {
        let period = self.filter.period;
        let scopes = self.filter.selection.scopes();
        let query = RollupQuery {
            metrics: self.filter.metrics,
            scopes: &scopes,
            dates: dates.into_inner(),
            parts: counting.parts(),
        };
        let holds = |first, last| period.started() <= first && last <= period.last();
        let is_whole = |date: Date| holds(date.start(), date.end());
        let bounds = budget.bounds();
        let mut counts: Vec<(Date, u64)> = Vec::new();
        let mut divided = Vec::new();
        self.snapshot.rollups(
            &query,
            is_whole,
            || bounds.check(),
            |date, part, _, aggregate| {
                if let Part::Hour(hour) = part {
                    let (first, last) = (date.hour_start(hour), date.hour_end(hour));
                    if !holds(first, last) {
                        let touches = first <= period.last() && last >= period.started();
                        if touches && divided.last() != Some(&date) {
                            divided.push(date);
                        }
                        return Ok(());
                    }
                }
                match counts.last_mut().filter(|(of, _)| *of == date) {
                    Some((_, count)) => *count += counting.count(aggregate),
                    None => counts.push((date, counting.count(aggregate))),
                }
                Ok::<_, ApiError>(())
            },
        )?;
        for date in divided {
            let mut count = 0;
            self.visit(date..=date, budget, |_, _| {
                count += 1;
                Ok(())
            })?;
            match counts.binary_search_by_key(&date, |(date, _)| *date) {
                Ok(place) => counts[place].1 = count,
                Err(place) => counts.insert(place, (date, count)),
            }
        }
        Ok(counts)
    }
}

/// Approximately how many events each day of a filter's period has, selected or not.
pub(super) fn counted_by_day(snapshot: &Snapshot, filter: &Filter) -> Result<Vec<u64>, ApiError> {
    let dates = (filter.period.started().date(), filter.period.last().date());
    let query = RollupQuery { metrics: filter.metrics, scopes: &[RollupScope::All], dates, parts: Parts::NONE };
    let mut counts = Vec::new();
    snapshot.rollups(
        &query,
        |_| true,
        || Ok(()),
        |_, _, _, aggregate| {
            counts.push(aggregate.events);
            Ok::<_, ApiError>(())
        },
    )?;
    Ok(counts)
}

/// The memory of what a filter names, in bytes.
pub(super) fn filter_memory(filter: &Filter) -> usize {
    let choices = if let Selection::Choices(ids) = &filter.selection { ids.len() } else { 0 };
    let others = [&filter.errors, &filter.job_types].into_iter().flatten().map(Vec::len).sum::<usize>();
    (choices + others) * size_of::<u64>()
}

/// How much of an outline has the observations of a distribution.
pub(super) fn detail_of(metrics: MetricsTypeId, place: usize) -> Detail {
    let few = [JobTime::Queue as usize, JobTime::Run as usize];
    if metrics == MetricsTypeId::Ingests || few.contains(&place) { Detail::Times } else { Detail::Tasks }
}

/// The job type or strike of an event, as a choice of its metrics type.
pub(super) fn owner(kind: EventKind, choice: ChoiceId) -> (MetricsTypeId, ChoiceId) {
    let metrics = if kind == EventKind::Ingest { MetricsTypeId::Ingests } else { MetricsTypeId::JobTypes };
    (metrics, choice)
}
