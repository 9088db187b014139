//! Events as lists show them: as they were posted, with the names of what they belong to and what was measured of them.

use serde::Serialize;
use serde::ser::Serializer;
use utoipa::ToSchema;

use crate::api::v6::event_scan::owner;
use crate::catalog::Observed;
use crate::events::outline::Observations;
use crate::events::{Choice, Choices, Event, Task};
use crate::time::Timestamp;
use crate::vocabulary::{ChoiceId, ErrorCategory, MetricsTypeId};

/// An event that has ended.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedEvent)]
pub(in crate::api) struct EventView<'a> {
    /// Its kind.
    pub(super) kind: &'static str,
    /// What identifies it within its kind.
    #[schema(value_type = ChoiceId)]
    pub(super) id: u64,
    /// How it ended.
    pub(super) status: &'static str,
    /// When it ended.
    pub(super) ended: Timestamp,
    /// The choice of the metrics type that counts it.
    pub(super) choice: ChoiceName<'a>,
    /// What went wrong.
    pub(super) error: Option<ErrorName<'a>>,
    /// What was measured of it, by the name of the measure; `null` where there was nothing to measure.
    #[schema(ignore)]
    pub(super) measures: Measures<'a>,
    /// Its job type.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_type: Option<ChoiceId>,
    /// When it was put into the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<Timestamp>,
    /// When it left the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<Timestamp>,
    /// Its tasks, in the order that they were given.
    #[serde(skip_serializing_if = "<[Task]>::is_empty")]
    tasks: &'a [Task],
    /// The strike that watches for such files.
    #[serde(skip_serializing_if = "Option::is_none")]
    strike: Option<ChoiceId>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
    /// When the file began to arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_started: Option<Timestamp>,
    /// When the file had arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer_ended: Option<Timestamp>,
    /// When the ingest began.
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest_started: Option<Timestamp>,
    /// When the ingest ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest_ended: Option<Timestamp>,
    /// When its source last changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<Timestamp>,
}

/// A choice, as far as people need it to know which one it is.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ChoiceName<'a> {
    /// Its id.
    pub(in crate::api::v6) id: ChoiceId,
    /// The name shown to people.
    pub(in crate::api::v6) title: &'a str,
    /// The system name of a job type.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// The version of a job type.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

impl<'a> ChoiceName<'a> {
    /// The name of a choice. One that is not defined has its id only.
    pub(in crate::api::v6) fn of(choices: &'a Choices, (metrics, id): (MetricsTypeId, ChoiceId)) -> Self {
        let choice = choices.get(metrics, id);
        let (name, version) = match choice {
            Some(Choice::JobType(job_type)) => (Some(&*job_type.name), Some(&*job_type.version)),
            Some(Choice::Strike(_) | Choice::Error(_)) | None => (None, None),
        };
        Self { id, title: choice.map_or("", Choice::title), name, version }
    }
}

/// An error, as far as people need it to know which one it is.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct ErrorName<'a> {
    /// Its id.
    pub(in crate::api::v6) id: ChoiceId,
    /// The system name.
    name: &'a str,
    /// The name shown to people.
    pub(in crate::api::v6) title: &'a str,
    /// What it blames.
    category: Option<&'static str>,
}

impl<'a> ErrorName<'a> {
    /// The name of an error. One that is not defined has its id only.
    pub(in crate::api::v6) fn of(choices: &'a Choices, id: ChoiceId) -> Self {
        let error = choices.error(id);
        Self {
            id,
            name: error.map_or("", |error| &error.name),
            title: error.map_or("", |error| &error.title),
            category: error.map(|error| ErrorCategory::name(error.category)),
        }
    }
}

/// Observations by the names of their measures, in the units of these, rounded down.
pub(in crate::api) struct Measures<'a> {
    observed: &'a [Observed],
    observations: Observations,
}

impl Measures<'_> {
    /// The observations with their names.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
        let Self { observed, observations } = self;
        observed.iter().map(|it| (it.name, observations[it.place].map(|value| value / it.units.scale())))
    }
}

impl Serialize for Measures<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.values())
    }
}

/// What the events of a list are shown with.
pub(super) struct Shown<'a> {
    pub(super) metrics: MetricsTypeId,
    pub(super) choices: &'a Choices,
    pub(super) observed: &'a [Observed],
}

impl<'a> Shown<'a> {
    /// Shows an event, if it has ended and belongs to a choice.
    pub(super) fn view(&self, event: &'a Event) -> Option<EventView<'a>> {
        let outline = event.outline()?;
        let choice = match (self.metrics, outline.error) {
            (MetricsTypeId::Errors, Some(error)) => (MetricsTypeId::Errors, error),
            _ => owner(outline.key.kind, outline.choice),
        };
        let nothing = EventView {
            kind: outline.key.kind.name(),
            id: outline.key.id,
            status: outline.status.name(),
            ended: outline.ended,
            choice: ChoiceName::of(self.choices, choice),
            error: outline.error.map(|error| ErrorName::of(self.choices, error)),
            measures: Measures { observed: self.observed, observations: outline.observations },
            job_type: None,
            queued: None,
            started: None,
            tasks: &[],
            strike: None,
            file_size: None,
            transfer_started: None,
            transfer_ended: None,
            ingest_started: None,
            ingest_ended: None,
            last_modified: event.last_modified(),
        };
        Some(match event {
            Event::Job(job) => EventView { job_type: Some(job.job_type), ..nothing },
            Event::JobExecution(execution) => EventView {
                job_type: Some(execution.job_type),
                queued: execution.queued,
                started: execution.started,
                tasks: &execution.tasks,
                ..nothing
            },
            Event::Ingest(ingest) => EventView {
                strike: ingest.strike,
                file_size: ingest.file_size,
                transfer_started: ingest.transfer_started,
                transfer_ended: ingest.transfer_ended,
                ingest_started: ingest.ingest_started,
                ingest_ended: ingest.ingest_ended,
                ..nothing
            },
        })
    }
}
