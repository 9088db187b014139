//! `GET /v6/metrics/{name}/now/`: what has not ended, by choice and status.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::Serializer;
use utoipa::ToSchema;

use super::event_filter::kinds;
use super::event_list::ChoiceName;
use super::request::ReadRequest;
use super::selection::selection;
use crate::api::ApiError;
use crate::api::answer::{Answer, Content};
use crate::api::compute_budget::ComputeBudget;
use crate::api::page::{Head, Links, PageRequest};
use crate::events::Event;
use crate::plot::Selection;
use crate::store::Snapshot;
use crate::time::Timestamp;
use crate::vocabulary::{ChoiceId, EventKind, ExecutionStatus, JobStatus, MetricsTypeId};

/// The meaning of a request. Requests with the same meaning are equal values, however they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct NowQuery {
    metrics: MetricsTypeId,
    selection: Selection,
    /// The kinds of the events; all of the type if there are none.
    kinds: Vec<EventKind>,
    page: PageRequest,
    links: Links,
    /// The most events that may be read.
    most: u64,
}

impl NowQuery {
    /// Parses the parameters of a request. Whatever counts for `errors` has ended, so it has no such endpoint.
    pub(super) fn parse(request: &ReadRequest<'_>) -> Result<Self, ApiError> {
        let ReadRequest { metrics, params, definitions, settings, .. } = *request;
        let kinds = match metrics.id {
            MetricsTypeId::Errors => return Err(ApiError::NotFound),
            MetricsTypeId::JobTypes => params.words("kind", &kinds())?,
            MetricsTypeId::Ingests => Vec::new(),
        };
        Ok(Self {
            metrics: metrics.id,
            selection: selection(metrics, params, definitions, settings.dialect)?,
            kinds,
            page: PageRequest::parse(params)?,
            links: request.links(),
            most: settings.events_scanned,
        })
    }

    /// The approximate memory of the query, in bytes.
    pub(super) fn memory(&self) -> usize {
        let choices = if let Selection::Choices(ids) = &self.selection { ids.len() } else { 0 };
        size_of::<Self>() + choices * size_of::<ChoiceId>() + self.links.memory()
    }

    /// Computes the answer.
    pub(super) fn answer(&self, snapshot: &Snapshot, mut budget: ComputeBudget) -> Result<Answer, ApiError> {
        let (mut all, mut choices) = (Statuses::default(), BTreeMap::<ChoiceId, Statuses>::new());
        let mut read = 0;
        snapshot.events(None, |event| {
            read += 1;
            if read > self.most {
                return Err(ApiError::ManyEvents(self.most));
            }
            if let Some((choice, place, status, since)) = self.open(event) {
                all.add(place, status, since);
                choices.entry(choice).or_default().add(place, status, since);
            }
            budget.hold(choices.len() * size_of::<(ChoiceId, Statuses)>() * 4)
        })?;
        let choices: Vec<_> = choices.into_iter().collect();
        let row = |(id, statuses): &(ChoiceId, Statuses)| ChoiceNow {
            choice: ChoiceName::of(snapshot.definitions(), (self.metrics, *id)),
            statuses: statuses.clone(),
        };
        let view = NowView {
            page: self.page.head(choices.len(), || self.links.clone()),
            all: AllNow { statuses: all },
            results: self.page.slice(&choices)?.iter().map(row).collect(),
        };
        budget.keep(Content::json(&view))
    }

    /// The choice of an event that counts here and has not ended; its status, with the place of it; and since when it is there.
    fn open(&self, event: &Event) -> Option<(ChoiceId, usize, &'static str, Option<Timestamp>)> {
        let kind = event.key().kind;
        let (metrics, choice, is_final, place, status, since) = match event {
            Event::Job(job) => {
                let status = job.status;
                let since = job.last_modified;
                (MetricsTypeId::JobTypes, Some(job.job_type), status.is_final(), status as usize, status.name(), since)
            }
            Event::JobExecution(execution) => {
                let status = execution.status;
                let since = [execution.started, execution.queued].into_iter().flatten().min();
                // The statuses of executions are among those of jobs, from the queue on.
                let place = status as usize + FIRST_OF_EXECUTIONS;
                (MetricsTypeId::JobTypes, Some(execution.job_type), status.is_final(), place, status.name(), since)
            }
            Event::Ingest(ingest) => {
                let status = ingest.status;
                let since = [ingest.ingest_started, ingest.transfer_started].into_iter().flatten().min();
                (MetricsTypeId::Ingests, ingest.strike, status.is_final(), status as usize, status.name(), since)
            }
        };
        let choice = choice.filter(|choice| match &self.selection {
            Selection::All => true,
            Selection::Choices(ids) => ids.binary_search(choice).is_ok(),
        })?;
        let is_meant = metrics == self.metrics && (self.kinds.is_empty() || self.kinds.contains(&kind)) && !is_final;
        is_meant.then_some((choice, place, status, since))
    }
}

/// The place of the first status of executions among those of jobs.
const FIRST_OF_EXECUTIONS: usize = JobStatus::Queued as usize;
const _: () = assert!(ExecutionStatus::Queued as usize == 0);

/// How many events have each status, by its place.
#[derive(Debug, Clone, Default)]
struct Statuses(BTreeMap<usize, (&'static str, StatusNow)>);

/// The events of one status.
#[derive(Debug, Clone, Copy, Default, Serialize, ToSchema)]
#[schema(as = StatusNow)]
pub(in crate::api) struct StatusNow {
    /// How many there are.
    count: u64,
    /// Since when the first of them is there; `null` if none of them says.
    oldest: Option<Timestamp>,
}

impl Statuses {
    fn add(&mut self, place: usize, status: &'static str, since: Option<Timestamp>) {
        let (_, now) = self.0.entry(place).or_insert((status, StatusNow::default()));
        now.count += 1;
        now.oldest = [now.oldest, since].into_iter().flatten().min();
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.values().map(|(status, now)| (status, now)))
    }
}

/// The answer but for its schema, which `api::openapi` puts together.
#[derive(Serialize)]
struct NowView<'a> {
    #[serde(flatten)]
    page: Head,
    all: AllNow,
    results: Vec<ChoiceNow<'a>>,
}

/// What has not ended, of all choices together.
#[derive(Serialize)]
struct AllNow {
    statuses: Statuses,
}

/// What has not ended, of one choice.
#[derive(Serialize)]
struct ChoiceNow<'a> {
    #[serde(flatten)]
    choice: ChoiceName<'a>,
    statuses: Statuses,
}
