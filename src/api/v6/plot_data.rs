//! `GET /v6/metrics/{name}/plot-data/`: the selected columns as series, oldest value first.

use std::collections::BTreeSet;
use std::io::Write;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::ColumnView;
use super::details::matching;
use crate::api::page::{Links, PageRequest};
use crate::api::params::Params;
use crate::api::{ApiError, Content, State, answer, blocking};
use crate::catalog::{self, Column, MetricsType};
use crate::config::Dialect;
use crate::events::choice::Selectable;
use crate::events::{ChoiceId, Choices};
use crate::plot::{Plot, Point, Query, Resolution, Selection, Series};
use crate::rollup::Scope;
use crate::store::{Snapshot, StoreError};
use crate::time::{Date, Timestamp};

#[derive(Clone, Copy)]
enum Format {
    Json,
    Csv,
}

pub(in crate::api) async fn plot_data(
    request: HttpRequest,
    name: Path<String>,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let metrics = catalog::metrics_type(&name).ok_or(ApiError::NotFound)?;
    let query_string = request.query_string().to_owned();
    let links = Links::of(&request, &Params::parse(&query_string));
    let content = blocking(state, move |state| {
        let params = Params::parse(&query_string);
        let now = state.clock.now();
        let page = PageRequest::parse(&params)?;
        let format = params.word("format", &[("json", Format::Json), ("csv", Format::Csv)])?.unwrap_or(Format::Json);
        let snapshot = state.store.snapshot()?;
        let choices = snapshot.choices()?;
        let mut query = parse(metrics, &params, &choices, state.dialect, now)?;
        let with_ids = match &query.selection {
            Selection::All => false,
            Selection::Choices(ids) => ids.len() > usize::from(state.dialect == Dialect::Documented),
        };
        match format {
            Format::Csv => {
                let series = read(&snapshot, &query, &choices)?;
                Ok(Content { media_type: "text/csv; charset=utf-8", body: csv(&series, with_ids) })
            }
            Format::Json => {
                let count = query.columns.len();
                query.columns = page.slice(&query.columns)?.to_vec();
                let series = read(&snapshot, &query, &choices)?;
                let results = series.iter().map(|series| SeriesView::new(series, with_ids)).collect();
                Ok(Content::json(&page.wrap(results, count, &links)))
            }
        }
    });
    Ok(answer(&request, content.await?))
}

/// What the parameters ask for.
fn parse(
    metrics: &'static MetricsType,
    params: &Params<'_>,
    choices: &Choices,
    dialect: Dialect,
    now: Timestamp,
) -> Result<Query, ApiError> {
    let resolution = params.word("resolution", &[("day", Resolution::Day), ("hour", Resolution::Hour)])?;
    Ok(Query {
        metrics,
        columns: columns(metrics, params)?,
        selection: selection(metrics, params, choices.of(metrics.id))?,
        resolution: resolution.unwrap_or(match dialect {
            Dialect::Documented => Resolution::Day,
            Dialect::Scale => Resolution::Hour,
        }),
        range: params.time_range(now)?,
    })
}

/// The columns asked for, then those of each group asked for, none twice; all if nothing was asked for.
fn columns(metrics: &'static MetricsType, params: &Params<'_>) -> Result<Vec<&'static Column>, ApiError> {
    let mut selected: Vec<&'static Column> = Vec::new();
    let mut select = |column: &'static Column| {
        if !selected.iter().any(|selected| std::ptr::eq(*selected, column)) {
            selected.push(column);
        }
    };
    let mut asked = false;
    for name in params.all("column") {
        asked = true;
        let column = metrics.columns.iter().find(|column| column.name == name);
        select(column.ok_or_else(|| {
            let names: Vec<_> = metrics.columns.iter().map(|column| column.name.as_str()).collect();
            ApiError::parameter("column", name, format!("{} has: {}", metrics.name, names.join(", ")))
        })?);
    }
    for name in params.all("group") {
        asked = true;
        if !metrics.groups.iter().any(|group| group.name == name) {
            let names: Vec<_> = metrics.groups.iter().map(|group| group.name).collect();
            return Err(ApiError::parameter("group", name, format!("{} has: {}", metrics.name, names.join(", "))));
        }
        metrics.columns.iter().filter(|column| column.group == name).for_each(&mut select);
    }
    Ok(if asked { selected } else { metrics.columns.iter().collect() })
}

/// The choices that `choice_id` and the type's own filters select together.
fn selection(
    metrics: &'static MetricsType,
    params: &Params<'_>,
    choices: Vec<Selectable>,
) -> Result<Selection, ApiError> {
    let asked: Vec<_> = params.all("choice_id").collect();
    let filtered = metrics.filters.iter().any(|filter| params.one(filter).is_some());
    if asked.is_empty() && !filtered {
        return Ok(Selection::All);
    }
    let known: BTreeSet<ChoiceId> = choices.iter().map(Selectable::id).collect();
    let mut wanted = BTreeSet::new();
    let mut unknown = Vec::new();
    for text in &asked {
        let is_integer = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_integer && text.parse::<i64>().is_err() {
            let allowed = format!("it must be an integer, the id of one of the choices of {}", metrics.name);
            return Err(ApiError::parameter("choice_id", text, allowed));
        }
        match text.parse().ok().and_then(ChoiceId::new).filter(|id| known.contains(id)) {
            Some(id) => _ = wanted.insert(id),
            None => unknown.push(*text),
        }
    }
    if !unknown.is_empty() {
        let allowed = format!("each must be the id of one of the choices of {}", metrics.name);
        return Err(ApiError::parameter("choice_id", &unknown.join(", "), allowed));
    }
    let matching = matching(metrics, choices, params);
    let ids = matching.iter().map(Selectable::id).filter(|id| asked.is_empty() || wanted.contains(id));
    Ok(Selection::Choices(ids.collect()))
}

/// Reads the rollups that a query names.
fn read(snapshot: &Snapshot<'_>, query: &Query, choices: &Choices) -> Result<Vec<Series>, StoreError> {
    let mut plot = Plot::new(&query.columns, choices);
    let (metrics, scopes, dates) = (query.metrics.id, query.selection.scopes(), query.range.dates());
    match query.resolution {
        Resolution::Day => {
            snapshot.days(metrics, &scopes, dates, |date, scope, day| plot.add(date.start(), scope, &day))?;
        }
        Resolution::Hour => snapshot.rollups(metrics, &scopes, dates, |date, scope, rollup| {
            for (hour, aggregate) in rollup.hours().filter(|&(hour, _)| query.range.has_hour(date, hour)) {
                plot.add(date.hour_start(hour), scope, aggregate);
            }
        })?,
    }
    Ok(plot.finish())
}

#[derive(Serialize)]
struct SeriesView<'a> {
    column: ColumnView,
    #[serde(serialize_with = "as_text")]
    min_x: Option<Date>,
    #[serde(serialize_with = "as_text")]
    max_x: Option<Date>,
    min_y: Option<u128>,
    max_y: Option<u128>,
    values: ValuesView<'a>,
}

impl<'a> SeriesView<'a> {
    fn new(series: &'a Series, with_ids: bool) -> Self {
        let (x, y) = (series.bounds_x(), series.bounds_y());
        Self {
            column: series.column.into(),
            min_x: x.map(|(min, _)| min),
            max_x: x.map(|(_, max)| max),
            min_y: y.map(|(min, _)| min),
            max_y: y.map(|(_, max)| max),
            values: ValuesView { points: &series.points, with_ids },
        }
    }
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn as_text<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    match date {
        Some(date) => serializer.collect_str(date),
        None => serializer.serialize_none(),
    }
}

struct ValuesView<'a> {
    points: &'a [Point],
    with_ids: bool,
}

#[derive(Serialize)]
struct ValueView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    datetime: &'a str,
    value: u128,
}

impl Serialize for ValuesView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut values = serializer.serialize_seq(Some(self.points.len()))?;
        for point in self.points {
            let id = choice_id(point).filter(|_| self.with_ids);
            values.serialize_element(&ValueView { id, datetime: &datetime(point), value: point.value })?;
        }
        values.end()
    }
}

fn choice_id(point: &Point) -> Option<u64> {
    match point.scope {
        Scope::All => None,
        Scope::Choice(choice) => Some(choice.get()),
    }
}

/// The bucket's start without the zone, which is UTC: `2015-10-05T00:00:00`.
fn datetime(point: &Point) -> String {
    let mut text = point.start.to_string();
    text.truncate("2015-10-05T00:00:00".len());
    text
}

/// The same values as lines: `column,id,datetime,value`. No value needs quotes.
fn csv(series: &[Series], with_ids: bool) -> Vec<u8> {
    let mut lines = b"column,id,datetime,value\n".to_vec();
    for Series { column, points } in series {
        for point in points {
            let id = choice_id(point).filter(|_| with_ids).map(|id| id.to_string()).unwrap_or_default();
            writeln!(lines, "{},{id},{},{}", column.name, datetime(point), point.value)
                .expect("a vector takes all that is written to it");
        }
    }
    lines
}
