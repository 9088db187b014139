//! `GET /v6/metrics/{name}/totals/`: the values of the columns over a whole period, for each choice and for all choices together,
//! beside those of an earlier period.
//!
//! A client would have to read all plot data to compute these values. Some of them it could not compute even then: the average of
//! a week is not the average of the daily averages.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;
use std::iter;

use serde::Serialize;
use serde::ser::Serializer;
use utoipa::ToSchema;

use super::buckets::{Buckets, Wanted, read};
use super::request::{ReadRequest, days_with_something};
use super::selection::{FORMATS, columns, selection};
use crate::api::ApiError;
use crate::api::answer::{Answer, Content};
use crate::api::compute_budget::ComputeBudget;
use crate::api::page::{Head, Links, PageRequest};
use crate::api::params::Params;
use crate::catalog::Column;
use crate::events::Choice;
use crate::plot::totals::{Period, Quotient, Totals};
use crate::plot::{self, Selection};
use crate::rollup;
use crate::store::Snapshot;
use crate::time::{Duration, Timestamp};
use crate::vocabulary::{ChoiceId, MetricsTypeId};

/// Queries that read more rollups than this are computed off the async threads.
const FEW_ROLLUPS: usize = 500;

/// The meaning of a request. Requests with the same meaning are equal values, however they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TotalsQuery {
    metrics: MetricsTypeId,
    columns: Vec<&'static Column>,
    selection: Selection,
    period: Period,
    before: Option<Period>,
    order: Order,
    is_descending: bool,
    /// A page of the choices, as JSON; `None` for all of them, as CSV.
    page: Option<(PageRequest, Links)>,
}

/// The key by which the choices are ordered. A column is given as its index among the selected columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Order {
    Id,
    Title,
    Column(usize),
    Quotient(usize, usize),
}

impl TotalsQuery {
    /// Parses the parameters of a request.
    pub(super) fn parse(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        let (metrics, params) = (request.metrics, request.params);
        let page = PageRequest::parse(params)?;
        let is_csv = params.word("format", FORMATS)?.unwrap_or(false);
        let columns = columns(metrics, params)?;
        let selection = selection(metrics, params, request.definitions, request.settings.dialect)?;
        let zone = request.zone()?;
        let period = Period::of(params.time_range(request.now(), zone)?, zone);
        let before = against(params, period)?;
        let (order, is_descending) = order(params, &columns)?;
        let page = (!is_csv).then(|| (page, request.links()));
        Ok(Self { metrics: metrics.id, columns, selection, period, before, order, is_descending, page })
    }

    /// The approximate memory of the query, in bytes.
    pub(super) fn memory(&self) -> usize {
        let choices = if let Selection::Choices(ids) = &self.selection { ids.len() } else { 0 };
        let links = self.page.as_ref().map_or(0, |(_, links)| links.memory());
        size_of::<Self>() + (self.columns.len() + choices) * size_of::<u64>() + links
    }

    /// Whether the answer takes so little time that an async thread may compute it.
    pub(super) fn is_small(&self) -> bool {
        let days = iter::once(self.period).chain(self.before).map(|period| {
            let (first, last) = buckets(period).dates();
            (last.days() - first.days() + 1) as usize
        });
        let days: usize = days.sum();
        let need_events = buckets(self.period).need_events();
        // The number of all choices is not known yet.
        matches!(&self.selection, Selection::Choices(ids) if days.saturating_mul(ids.len()) <= FEW_ROLLUPS && !need_events)
    }

    /// The approximate number of rollups that the query reads.
    pub(super) fn rollups(&self, snapshot: &Snapshot) -> Result<usize, ApiError> {
        let choices = match &self.selection {
            Selection::Choices(ids) => ids.len(),
            Selection::All => snapshot.definitions().count(self.metrics),
        };
        let mut days = 0;
        for period in iter::once(self.period).chain(self.before) {
            days += days_with_something(snapshot, self.metrics, buckets(period).dates())?;
        }
        Ok(days.saturating_mul(choices))
    }

    /// Computes the answer from the rollups.
    pub(super) fn answer(&self, snapshot: &Snapshot, mut budget: ComputeBudget) -> Result<Answer, ApiError> {
        let choices = snapshot.definitions();
        let ids = match &self.selection {
            Selection::Choices(ids) => ids.clone(),
            Selection::All => choices.ids(self.metrics),
        };
        let scopes: Vec<_> = ids.into_iter().map(rollup::RollupScope::Choice).collect();
        let now = self.read(self.period, &scopes, snapshot, 0, &mut budget)?;
        let before = self.before.map(|before| self.read(before, &scopes, snapshot, now.memory(), &mut budget));
        let before = before.transpose()?;
        let found: BTreeSet<_> = now.choices().chain(before.iter().flat_map(Totals::choices)).collect();
        let total = |values: &dyn Fn(&Totals) -> Vec<Option<u128>>| {
            let named = |totals| Values { columns: &self.columns, values: values(totals).into() };
            TotalView { values: named(&now), before: before.as_ref().map(named) }
        };
        let rows = found.into_iter().filter_map(|id| {
            let choice = choices.selectable(self.metrics, id)?.clone();
            Some(Row { id, choice, total: total(&|totals| totals.of(id, &self.columns, choices)) })
        });
        let mut rows: Vec<_> = rows.collect();
        self.sort(&mut rows);
        budget.bounds().check()?;
        let all = total(&|totals| totals.of_all(&self.columns, choices));
        let Some((page, links)) = &self.page else {
            let held = now.memory() + before.as_ref().map_or(0, Totals::memory);
            let body = self.csv(&all, &rows, held, &mut budget)?;
            return budget.keep(Content { media_type: "text/csv; charset=utf-8", body });
        };
        let answer = TotalsView {
            page: page.head(rows.len(), || links.clone()),
            period: self.period.into(),
            before: self.before.map(PeriodView::from),
            all,
            results: page.slice(&rows)?,
        };
        budget.keep(Content::json(&answer))
    }

    /// Returns all values as CSV lines, `column,id,value,before`. For each column, the value of all choices together comes first,
    /// without an id, then the values of the choices. No value needs quotes. `held` is the memory of other data in this budget.
    fn csv(
        &self,
        all: &TotalView<'_>,
        rows: &[Row<'_>],
        held: usize,
        budget: &mut ComputeBudget,
    ) -> Result<Vec<u8>, ApiError> {
        let text = |value: Option<u128>| value.map(|value| value.to_string()).unwrap_or_default();
        let mut lines = b"column,id,value,before\n".to_vec();
        for (place, column) in self.columns.iter().enumerate() {
            let of_all = (String::new(), all);
            for (id, total) in iter::once(of_all).chain(rows.iter().map(|row| (row.id.get().to_string(), &row.total))) {
                let value = text(total.values.values[place]);
                let before = text(total.before.as_ref().and_then(|before| before.values[place]));
                lines.extend_from_slice(format!("{},{id},{value},{before}\n", column.name).as_bytes());
                budget.hold(held + lines.capacity())?;
            }
        }
        lines.shrink_to_fit();
        Ok(lines)
    }

    /// Reads the totals of a period. `held` is the memory of other data in this budget.
    fn read(
        &self,
        period: Period,
        scopes: &[rollup::RollupScope],
        snapshot: &Snapshot,
        held: usize,
        budget: &mut ComputeBudget,
    ) -> Result<Totals, ApiError> {
        let wanted = Wanted { metrics: self.metrics, scopes, parts: plot::parts(&self.columns) };
        let mut totals = Totals::default();
        let later_us = self.period.started().since(period.started());
        let buckets = Buckets::one(period.started(), period.last(), period.zone, later_us);
        read(snapshot, buckets, &wanted, held, budget, |budget, held, (_, scope), aggregate| {
            if let rollup::RollupScope::Choice(choice) = scope {
                totals.add(choice, aggregate);
            }
            budget.hold(held + totals.memory())
        })?;
        Ok(totals)
    }

    /// Sorts the choices. Choices without a value to sort by come last; ties are sorted by id.
    fn sort(&self, rows: &mut [Row<'_>]) {
        let direction = |order: Ordering| if self.is_descending { order.reverse() } else { order };
        match self.order {
            Order::Id => rows.sort_by(|a, b| direction(a.id.cmp(&b.id))),
            Order::Title => {
                let title = |row: &Row<'_>| row.choice.title().to_lowercase();
                rows.sort_by(|a, b| direction(title(a).cmp(&title(b))));
            }
            Order::Column(place) => rows.sort_by(|a, b| last_without(a.value(place), b.value(place), direction)),
            Order::Quotient(dividend, divisor) => {
                let quotient = |row: &Row<'_>| Quotient::new(row.value(dividend)?, row.value(divisor)?);
                rows.sort_by(|a, b| last_without(quotient(a), quotient(b), direction));
            }
        }
    }
}

/// A period as one bucket.
fn buckets(period: Period) -> Buckets {
    Buckets::one(period.started(), period.last(), period.zone, 0)
}

/// Compares two values in the given direction; missing values come last.
fn last_without<T: Ord>(a: Option<T>, b: Option<T>, direction: impl Fn(Ordering) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => direction(a.cmp(&b)),
        (a, b) => Reverse(a.is_some()).cmp(&Reverse(b.is_some())),
    }
}

/// Returns the period that `against` names: as many hours, that much earlier; by default the hours right before. `None` if there
/// is no such time.
fn against(params: &Params<'_>, period: Period) -> Result<Option<Period>, ApiError> {
    let by_us = match params.one("against") {
        None => period.length_us(),
        Some(text) => {
            let duration = text.parse::<Duration>().ok().and_then(Duration::whole_hours_us);
            duration.filter(|&by_us| by_us > 0).ok_or_else(|| {
                let allowed = "it must be an ISO-8601 duration of whole hours, days or weeks (P7D), one hour at least";
                ApiError::parameter("against", text, allowed)
            })?
        }
    };
    Ok(params.one("started").and_then(|_| period.earlier(by_us)))
}

/// Parses `order`. Returns the key, and whether the order is descending.
fn order(params: &Params<'_>, columns: &[&'static Column]) -> Result<(Order, bool), ApiError> {
    let Some(text) = params.one("order") else { return Ok((Order::Id, false)) };
    let (name, is_descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    let place = |name: &str| columns.iter().position(|column| column.name == name);
    let order = match (name, name.split_once('/')) {
        ("id", _) => Some(Order::Id),
        ("title", _) => Some(Order::Title),
        (_, Some((dividend, divisor))) => {
            place(dividend).zip(place(divisor)).map(|(dividend, divisor)| Order::Quotient(dividend, divisor))
        }
        (name, None) => place(name).map(Order::Column),
    };
    let order = order.ok_or_else(|| {
        let allowed = "it must be id, title, a selected column or two of them as a quotient (failed_count/total_count), \
                       with - before it for the other way round";
        ApiError::parameter("order", text, allowed)
    })?;
    Ok((order, is_descending))
}

/// The answer but for its schema, which `api::openapi` puts together.
#[derive(Serialize)]
struct TotalsView<'a> {
    #[serde(flatten)]
    page: Head,
    #[serde(flatten)]
    period: PeriodView,
    before: Option<PeriodView>,
    all: TotalView<'a>,
    results: &'a [Row<'a>],
}

/// A period of whole hours.
#[derive(Serialize, ToSchema)]
#[schema(as = Period)]
pub(in crate::api) struct PeriodView {
    /// When it begins.
    #[schema(value_type = Timestamp)]
    started: String,
    /// When it is over.
    #[schema(value_type = Timestamp)]
    ended: String,
}

impl From<Period> for PeriodView {
    fn from(period: Period) -> Self {
        let show = |time| period.zone.instant_text(time);
        Self { started: show(period.started()), ended: show(period.ended()) }
    }
}

/// The columns over the period and over the one before.
#[derive(Serialize)]
struct TotalView<'a> {
    values: Values<'a>,
    before: Option<Values<'a>>,
}

/// A choice and its totals.
#[derive(Serialize)]
struct Row<'a> {
    id: ChoiceId,
    choice: Choice,
    #[serde(flatten)]
    total: TotalView<'a>,
}

impl Row<'_> {
    /// The value of a column over the period.
    fn value(&self, place: usize) -> Option<u128> {
        self.total.values.values[place]
    }
}

/// Values by the names of their columns. Every choice has one or two of these, so they are small.
struct Values<'a> {
    columns: &'a Vec<&'static Column>,
    values: Box<[Option<u128>]>,
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns.iter().map(|column| &column.name).zip(&self.values))
    }
}
