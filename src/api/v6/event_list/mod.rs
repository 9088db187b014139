//! `GET /v6/metrics/{name}/events/`: the events that a selection counts, as a page.
//!
//! Where the rollups tell how many events of a day are selected, only the days on the page are read. Otherwise all days of the period
//! are, and the first events of the order are kept.

mod csv;
mod view;

pub(super) use csv::field;
pub(in crate::api) use view::{ChoiceName, ErrorName, EventView};

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde::Serialize;

use super::event_filter::{filter, measures, observed};
use super::event_scan::{EventScan, SHORT_EVENTS, counted_by_day, filter_memory};
use super::request::ReadRequest;
use super::selection::FORMATS;
use crate::api::ApiError;
use crate::api::answer::{Answer, Content};
use crate::api::compute_budget::ComputeBudget;
use crate::api::jobs::Size;
use crate::api::page::{Head, Links, PageRequest};
use crate::api::params::Params;
use crate::catalog::{MetricsType, Observed};
use crate::events::{Event, EventKey};
use crate::listing::{Counting, Filter, Order, Place, Ranking, Search, Selector};
use crate::store::{Detail, Snapshot};
use crate::time::Date;

/// The meaning of a request. Requests with the same meaning are equal values, however they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct EventListQuery {
    filter: Filter,
    order: Order,
    /// The measures that are shown.
    observed: Vec<Observed>,
    page: PageRequest,
    links: Links,
    is_csv: bool,
    /// The most events that may be read.
    most: u64,
}

impl EventListQuery {
    /// Parses the parameters of a request.
    pub(super) fn parse(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        let ReadRequest { metrics, params, settings, .. } = *request;
        let page = PageRequest::parse(params)?;
        let is_csv = params.word("format", FORMATS)?.unwrap_or(false);
        let observed = observed(metrics, params)?;
        let (filter, order) = (filter(request, &observed)?, order(metrics, params, &observed)?);
        Ok(Self { filter, order, observed, page, links: request.links(), is_csv, most: settings.events_scanned })
    }

    /// The approximate memory of the query, in bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + filter_memory(&self.filter) + self.links.memory()
    }

    /// How much there is to read.
    pub(super) fn size(&self, snapshot: &Snapshot) -> Result<Size, ApiError> {
        let selector = self.filter.selector(snapshot.definitions(), self.order.measured);
        let by_day = counted_by_day(snapshot, &self.filter)?;
        let are_days_skipped = self.counting(&selector).is_some();
        let events: u64 =
            if are_days_skipped { by_day.into_iter().max().unwrap_or(0) } else { by_day.into_iter().sum() };
        Ok(if events <= SHORT_EVENTS { Size::Short } else { Size::Long })
    }

    /// How rollups tell the number of selected events of a day, so that days before the page need not be read; `None` if they do not, or if
    /// the order is not that of days.
    fn counting(&self, selector: &Selector) -> Option<Counting> {
        if self.order.measured.is_some() { None } else { Counting::of(&self.filter, selector) }
    }

    /// Computes the answer.
    pub(super) fn answer(&self, snapshot: &Snapshot, mut budget: ComputeBudget) -> Result<Answer, ApiError> {
        let (count, places) = self.find(snapshot, &mut budget)?;
        let events = snapshot.events_of(places.iter().map(|place| (place.date(), place.choice, place.key())))?;
        let events: HashMap<EventKey, Event> = events.into_iter().map(|event| (event.key(), event)).collect();
        let shown =
            view::Shown { metrics: self.filter.metrics, choices: snapshot.definitions(), observed: &self.observed };
        let results: Vec<_> =
            places.iter().filter_map(|place| events.get(&place.key())).filter_map(|event| shown.view(event)).collect();
        budget.bounds().check()?;
        if self.is_csv {
            let body = csv::write(&results, &self.observed);
            return budget.keep(Content { media_type: "text/csv; charset=utf-8", body });
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let page = self.page.head(count, || self.links.clone());
        budget.keep(Content::json(&EventsView { page, results: &results }))
    }

    /// Returns the number of selected events, and where those on the page are stored, in their order.
    fn find(&self, snapshot: &Snapshot, budget: &mut ComputeBudget) -> Result<(u64, Vec<Place>), ApiError> {
        let measured = self.order.measured;
        let mut scan = EventScan::new(snapshot, &self.filter, measured, Detail::Ends, self.most)?;
        let skip = (self.page.number as u64 - 1).saturating_mul(self.page.size as u64);
        let is_behind = |count: u64| self.page.number > 1 && skip >= count;
        let Some(dates) = scan.dates()? else {
            return if is_behind(0) { Err(ApiError::InvalidPage) } else { Ok((0, Vec::new())) };
        };
        if let Some(counting) = self.counting(&scan.selector) {
            let counts = scan.counts(&counting, dates, budget)?;
            let count = counts.iter().map(|(_, count)| count).sum();
            if is_behind(count) {
                return Err(ApiError::InvalidPage);
            }
            return Ok((count, self.find_by_day(&mut scan, counts, skip, budget)?));
        }
        let (count, places) = self.first_of(&mut scan, dates, skip, self.page.size, budget)?;
        if is_behind(count) { Err(ApiError::InvalidPage) } else { Ok((count, places)) }
    }

    /// Returns the events behind the first `skip` ones, day by day.
    fn find_by_day(
        &self,
        scan: &mut EventScan<'_>,
        mut counts: Vec<(Date, u64)>,
        mut skip: u64,
        budget: &mut ComputeBudget,
    ) -> Result<Vec<Place>, ApiError> {
        if self.order.is_descending {
            counts.reverse();
        }
        let mut places = Vec::new();
        for (date, count) in counts {
            if skip >= count {
                skip -= count;
                continue;
            }
            let (_, of_day) = self.first_of(scan, date..=date, skip, self.page.size - places.len(), budget)?;
            places.extend(of_day);
            skip = 0;
            if places.len() >= self.page.size {
                break;
            }
        }
        Ok(places)
    }

    /// Returns the number of selected events of some days, and up to `shown` of them behind the first `skip` ones, in their order.
    /// Where many are skipped, the days are read several times, so that those need not be kept.
    fn first_of(
        &self,
        scan: &mut EventScan<'_>,
        dates: RangeInclusive<Date>,
        skip: u64,
        shown: usize,
        budget: &mut ComputeBudget,
    ) -> Result<(u64, Vec<Place>), ApiError> {
        let read = scan.read();
        let mut search = Search::begin();
        let is_far = |search: &Search| skip - search.found().1 > MOST_SKIPPED;
        let mut passes = 0;
        while is_far(&search) && (passes == 0 || !search.is_over()) {
            let mut count = 0;
            scan.read_again(read);
            scan.visit(dates.clone(), budget, |_, outline| {
                if let Some(rank) = self.order.rank(outline) {
                    count += 1;
                    search.tell(rank);
                }
                Ok(())
            })?;
            if skip >= count {
                return Ok((count, Vec::new()));
            }
            search.narrow(skip);
            passes += 1;
        }
        let (from, before) = search.found();
        let kept = usize::try_from(skip - before).unwrap_or(usize::MAX);
        let mut ranking = Ranking::new(self.order, from, kept.saturating_add(shown));
        let mut count = 0;
        scan.read_again(read);
        scan.visit(dates, budget, |budget, outline| {
            count += u64::from(ranking.add(outline));
            budget.hold(ranking.memory())
        })?;
        Ok((count, ranking.into_places().into_iter().skip(kept).collect()))
    }
}

/// More events than this are not kept only to be skipped: a megabyte's worth.
const MOST_SKIPPED: u64 = 20_000;

/// Parses `order`.
fn order(metrics: &MetricsType, params: &Params<'_>, observed: &[Observed]) -> Result<Order, ApiError> {
    let Some(text) = params.one("order") else { return Ok(Order { measured: None, is_descending: true }) };
    let (name, is_descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    let measured = match observed.iter().find(|it| it.name == name) {
        Some(measure) => Some(measure.place),
        None if name == "ended" => None,
        None => {
            let allowed = format!(
                "it must be ended or a measure, with - before it for the other way round; {}",
                measures(metrics, observed)
            );
            return Err(ApiError::parameter("order", text, allowed));
        }
    };
    Ok(Order { measured, is_descending })
}

/// The answer but for its schema, which `api::openapi` puts together.
#[derive(Serialize)]
struct EventsView<'a> {
    #[serde(flatten)]
    page: Head,
    results: &'a [EventView<'a>],
}
