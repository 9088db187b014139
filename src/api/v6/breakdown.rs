//! `GET /v6/metrics/{name}/breakdown/`: groups of the events that a selection counts, and what was measured of them.

use serde::Serialize;
use serde::ser::Serializer;
use utoipa::ToSchema;

use super::event_filter::{filter, observed};
use super::event_list::{ChoiceName, ErrorName, field};
use super::event_scan::{EventScan, SHORT_EVENTS, counted_by_day, detail_of, filter_memory};
use super::request::ReadRequest;
use super::selection::FORMATS;
use crate::api::ApiError;
use crate::api::answer::{Answer, Content};
use crate::api::compute_budget::ComputeBudget;
use crate::api::jobs::Size;
use crate::api::page::{Head, Links, PageRequest};
use crate::api::params::Params;
use crate::catalog::Observed;
use crate::events::Choices;
use crate::listing::{By, Common, Filter, Group, Grouping, Groups};
use crate::rollup::Distribution;
use crate::store::{Detail, Snapshot};
use crate::vocabulary::{EventKind, MetricsTypeId};

/// The values of `by`.
pub(in crate::api) const BY: [(&str, By); 7] = [
    ("choice", By::Choice),
    ("status", By::Status),
    ("error", By::Error),
    ("error_category", By::ErrorCategory),
    ("job_type", By::JobType),
    ("hour", By::Hour),
    ("weekday", By::Weekday),
];

/// The most respects in which events are grouped.
const MOST_BY: usize = 2;

/// The percentiles of each measure.
const PERCENTILES: [(&str, u8); 3] = [("p50", 50), ("p95", 95), ("p99", 99)];

/// After how many events the memory of the groups is looked at: it cannot grow by more than a megabyte meanwhile.
const LOOK_EVERY: u64 = 8_192;

/// The meaning of a request. Requests with the same meaning are equal values, however they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BreakdownQuery {
    filter: Filter,
    grouping: Grouping,
    observed: Vec<Observed>,
    /// A page of the groups, as JSON; `None` for all of them, as CSV.
    page: Option<(PageRequest, Links)>,
    /// The most events that may be read.
    most: u64,
}

impl BreakdownQuery {
    /// Parses the parameters of a request.
    pub(super) fn parse(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        let ReadRequest { metrics, params, settings, .. } = *request;
        let page = PageRequest::parse(params)?;
        let is_csv = params.word("format", FORMATS)?.unwrap_or(false);
        let observed = observed(metrics, params)?;
        let filter = filter(request, &observed)?;
        let grouping = Grouping { metrics: metrics.id, by: by(metrics.id, params)?, zone: filter.period.zone };
        let page = (!is_csv).then(|| (page, request.links()));
        Ok(Self { filter, grouping, observed, page, most: settings.events_scanned })
    }

    /// The approximate memory of the query, in bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + filter_memory(&self.filter) + self.page.as_ref().map_or(0, |(_, links)| links.memory())
    }

    /// How much there is to read.
    pub(super) fn size(&self, snapshot: &Snapshot) -> Result<Size, ApiError> {
        let by_day = counted_by_day(snapshot, &self.filter)?;
        Ok(if by_day.into_iter().sum::<u64>() <= SHORT_EVENTS { Size::Short } else { Size::Long })
    }

    /// Computes the answer.
    pub(super) fn answer(&self, snapshot: &Snapshot, mut budget: ComputeBudget) -> Result<Answer, ApiError> {
        let choices = snapshot.definitions();
        let kinds = self.filter.possible_kinds();
        let are_measured = kinds.end() != &EventKind::Job;
        let detail = self.observed.iter().filter(|_| are_measured).map(|it| detail_of(self.filter.metrics, it.place));
        let detail = detail.max().unwrap_or(Detail::Ends);
        let mut scan = EventScan::new(snapshot, &self.filter, None, detail, self.most)?;
        let mut groups = Groups::new(self.grouping.clone());
        let mut total = 0_u64;
        if let Some(dates) = scan.dates()? {
            scan.visit(dates, &mut budget, |budget, outline| {
                total += 1;
                groups.add(outline, choices).map_err(|_| ApiError::ManyGroups(Groups::MOST))?;
                if total.is_multiple_of(LOOK_EVERY) { budget.hold(groups.memory()) } else { Ok(()) }
            })?;
        }
        let held = groups.memory();
        budget.hold(held)?;
        let groups = groups.into_ordered();
        let view = |group| GroupView::new(self, group, choices);
        let Some((page, links)) = &self.page else {
            let mut lines = self.header();
            for group in &groups {
                view(group).write_line(&mut lines);
                budget.hold(held + lines.capacity())?;
            }
            return budget.keep(Content { media_type: "text/csv; charset=utf-8", body: lines });
        };
        let results: Vec<_> = page.slice(&groups)?.iter().map(view).collect();
        let page = page.head(groups.len(), || links.clone());
        budget.keep(Content::json(&BreakdownView { page, total, results }))
    }

    /// The first line of CSV.
    fn header(&self) -> Vec<u8> {
        let mut header = String::new();
        for by in &self.grouping.by {
            let name = name_of(*by);
            match by {
                By::Choice | By::Error | By::JobType => header.extend([name, "_id,", name, "_title,"]),
                By::Status | By::ErrorCategory | By::Hour | By::Weekday => header.extend([name, ","]),
            }
        }
        header.push_str("count");
        for Observed { name, .. } in &self.observed {
            for part in ["n", "sum", "min", "max", "avg"].into_iter().chain(PERCENTILES.map(|(part, _)| part)) {
                header.extend([",", name, "_", part]);
            }
        }
        header.push('\n');
        header.into_bytes()
    }
}

fn name_of(by: By) -> &'static str {
    BY.iter().find(|(_, other)| *other == by).expect("all have names").0
}

/// Parses `by`: one or two words.
fn by(metrics: MetricsTypeId, params: &Params<'_>) -> Result<Vec<By>, ApiError> {
    let names: Vec<_> = BY.iter().filter(|(_, by)| *by != By::JobType || metrics == MetricsTypeId::Errors).collect();
    let given = params.distinct("by");
    let refused = || {
        let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        ApiError::parameter("by", &given.join(","), format!("it must be one or two of: {}", names.join(", ")))
    };
    let mut found = Vec::new();
    for word in given.iter().flat_map(|value| value.split(',')) {
        let (_, by) = names.iter().find(|(name, _)| *name == word.trim()).ok_or_else(refused)?;
        if !found.contains(by) {
            found.push(*by);
        }
    }
    if (1..=MOST_BY).contains(&found.len()) { Ok(found) } else { Err(refused()) }
}

/// The answer but for its schema, which `api::openapi` puts together.
#[derive(Serialize)]
struct BreakdownView<'a> {
    #[serde(flatten)]
    page: Head,
    total: u64,
    results: Vec<GroupView<'a>>,
}

/// A group of events.
#[derive(Serialize)]
struct GroupView<'a> {
    group: CommonView<'a>,
    count: u64,
    measures: MeasuresView<'a>,
}

impl<'a> GroupView<'a> {
    fn new(query: &'a BreakdownQuery, group: &'a Group, choices: &'a Choices) -> Self {
        Self {
            group: CommonView { grouping: &query.grouping, group, choices },
            count: group.count,
            measures: MeasuresView { observed: &query.observed, group },
        }
    }

    /// Appends the group as a line of CSV.
    fn write_line(&self, lines: &mut Vec<u8>) {
        let mut line = String::new();
        for (by, common) in self.group.parts() {
            let (id, text) = match &common {
                CommonPart::Choice(choice) => (Some(choice.id), field(choice.title)),
                CommonPart::Error(error) => (Some(error.id), field(error.title)),
                CommonPart::Word(word) => (None, (*word).to_owned()),
                CommonPart::Number(number) => (None, number.to_string()),
                CommonPart::Nothing(()) => (None, String::new()),
            };
            if matches!(by, By::Choice | By::Error | By::JobType) {
                line.push_str(&id.map(|id| id.get().to_string()).unwrap_or_default());
                line.push(',');
            }
            line.extend([text.as_str(), ","]);
        }
        line.push_str(&self.count.to_string());
        for measure in self.measures.values().map(|(_, measure)| measure) {
            let MeasureView { n, sum, min, max, avg, p50, p95, p99 } = measure;
            line.extend([format!(",{n}")]);
            let shown = |value: Option<u128>| value.map_or_else(|| ",".to_owned(), |value| format!(",{value}"));
            line.extend([sum, min, max, avg, p50, p95, p99].map(shown));
        }
        line.push('\n');
        lines.extend_from_slice(line.as_bytes());
    }
}

/// What the events of a group have in common.
struct CommonView<'a> {
    grouping: &'a Grouping,
    group: &'a Group,
    choices: &'a Choices,
}

#[derive(Serialize)]
#[serde(untagged)]
enum CommonPart<'a> {
    Choice(ChoiceName<'a>),
    Error(ErrorName<'a>),
    Word(&'static str),
    Number(u64),
    Nothing(()),
}

impl<'a> CommonView<'a> {
    fn parts(&self) -> impl Iterator<Item = (By, CommonPart<'a>)> {
        let choices = self.choices;
        self.grouping.common(self.group).map(move |(by, common)| {
            let part = match common {
                Common::Choice(metrics, id) => CommonPart::Choice(ChoiceName::of(choices, (metrics, id))),
                Common::Error(id) => CommonPart::Error(ErrorName::of(choices, id)),
                Common::Word(word) => CommonPart::Word(word),
                Common::Number(number) => CommonPart::Number(number),
                Common::Nothing => CommonPart::Nothing(()),
            };
            (by, part)
        })
    }
}

impl Serialize for CommonView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.parts().map(|(by, part)| (name_of(by), part)))
    }
}

/// The measures of a group, by name.
struct MeasuresView<'a> {
    observed: &'a [Observed],
    group: &'a Group,
}

impl MeasuresView<'_> {
    fn values(&self) -> impl Iterator<Item = (&'static str, MeasureView)> {
        self.observed.iter().map(|it| (it.name, MeasureView::of(self.group.distribution(it.place), it.units.scale())))
    }
}

impl Serialize for MeasuresView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values())
    }
}

/// What was measured of the events of a group, in whole units, rounded down.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = GroupMeasure)]
pub(in crate::api) struct MeasureView {
    /// How many events have this measure.
    n: u64,
    /// All of them together; like the others `null` if there are none.
    sum: Option<u128>,
    /// The smallest.
    min: Option<u128>,
    /// The largest.
    max: Option<u128>,
    /// The sum divided by their number.
    avg: Option<u128>,
    /// The median, within one percent.
    p50: Option<u128>,
    /// The 95th percentile, within one percent.
    p95: Option<u128>,
    /// The 99th percentile, within one percent.
    p99: Option<u128>,
}

impl MeasureView {
    fn of(distribution: Option<&Distribution>, scale: u64) -> Self {
        let Some(distribution) = distribution.filter(|it| it.n > 0) else { return Self::default() };
        let shown = |value: u128| Some(value / u128::from(scale));
        let [p50, p95, p99] =
            PERCENTILES.map(|(_, percent)| distribution.percentile(percent).map(u128::from).and_then(shown));
        Self {
            n: distribution.n,
            sum: shown(distribution.sum),
            min: shown(distribution.min.into()),
            max: shown(distribution.max.into()),
            avg: shown(distribution.sum / u128::from(distribution.n)),
            p50,
            p95,
            p99,
        }
    }
}
