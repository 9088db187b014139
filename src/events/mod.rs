//! The objects that clients post: three kinds of definitions of choices, and three kinds of events.
//!
//! An object of these types is valid by itself: [`wire`] parses the text and rejects an object that breaks a rule of
//! docs/reference.md, Posting events. [`request`] rejects a request that names unknown choices. [`outline`] has what
//! is asked about an event that has ended, [`contribution`] the pure function that computes what that adds to the metrics.
//!
//! Not here: what was stored before (`store`), which of two states of an event holds (`ledger`).

pub mod choice;
pub mod contribution;
pub mod future;
pub mod outline;
pub mod request;
mod shared_map;
pub mod wire;

use serde::Serialize;
use utoipa::ToSchema;

use crate::time::{Date, Timestamp};
use crate::vocabulary::{ChoiceId, EventKind, ExecutionStatus, IngestStatus, JobStatus, Kind, MAX_ID, TaskType};
pub use choice::{Choice, Choices, ErrorDefinition, JobType, Strike};
pub use contribution::{Contribution, Partition};
pub use outline::Outline;

/// The maximum number of tasks of an execution.
pub const MAX_TASKS: usize = 1 << 24;

/// One object of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// Defines a choice, or replaces its definition.
    Choice(Choice),
    /// The state of a job, execution or ingest.
    Event(Event),
    /// Deletes an event.
    Deletion(EventKey),
}

impl Object {
    /// The kind of the object.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Choice(choice) => choice.kind(),
            Self::Event(event) => event.key().kind.into(),
            Self::Deletion(key) => key.kind.into(),
        }
    }

    /// Whether it is an event that ended before the start of this day.
    pub fn ended_before(&self, day: Date) -> bool {
        let Self::Event(event) = self else { return false };
        event.ended().is_some_and(|ended| ended < day.start())
    }

    /// The approximate memory that it takes until it is stored, in bytes: its own size, and as much again for the data by which a
    /// commit looks it up and sorts it.
    pub fn memory(&self) -> usize {
        let beyond = match self {
            Self::Choice(choice) => size_of::<JobType>() + choice.text_bytes(),
            Self::Event(Event::JobExecution(execution)) => size_of_val(&execution.tasks[..]),
            Self::Event(Event::Job(_) | Event::Ingest(_)) | Self::Deletion(_) => 0,
        };
        2 * (size_of::<Self>() + beyond)
    }
}

/// The key of an event. A new event with the same key replaces the stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// The kind of the event.
    pub kind: EventKind,
    /// The id of the event, from 1 to [`MAX_ID`].
    pub id: u64,
}

impl EventKey {
    /// A number with the same order as the keys. Sorting by it is faster.
    pub fn order(self) -> u64 {
        (self.kind as u64) << MAX_ID.count_ones() | self.id
    }
}

/// The state of one job, execution or ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A job.
    Job(Job),
    /// One attempt to run a job.
    JobExecution(JobExecution),
    /// The ingest of a file.
    Ingest(Ingest),
}

impl Event {
    /// The key of the event.
    pub fn key(&self) -> EventKey {
        let (kind, id) = match self {
            Self::Job(job) => (EventKind::Job, job.id),
            Self::JobExecution(execution) => (EventKind::JobExecution, execution.id),
            Self::Ingest(ingest) => (EventKind::Ingest, ingest.id),
        };
        EventKey { kind, id }
    }

    /// The time at which its source last changed it.
    pub fn last_modified(&self) -> Option<Timestamp> {
        match self {
            Self::Job(job) => job.last_modified,
            Self::JobExecution(execution) => execution.last_modified,
            Self::Ingest(ingest) => ingest.last_modified,
        }
    }
}

/// A change of one event: it is new, it replaces the stored event with the same key, or the stored event is deleted.
#[derive(Debug, Clone, Copy)]
pub struct EventChange<'a> {
    /// The key of the event.
    pub key: EventKey,
    /// The stored event, if there is one.
    pub before: Option<&'a Event>,
    /// The new event; `None` if the event is deleted.
    pub after: Option<&'a Event>,
    /// The partition that stores the new event, if there is one.
    pub partition: Option<Partition>,
}

impl<'a> EventChange<'a> {
    /// The change from `before` to `after` of the event with a key.
    pub fn new(key: EventKey, before: Option<&'a Event>, after: Option<&'a Event>) -> Self {
        Self { key, before, after, partition: after.and_then(Event::partition) }
    }

    /// The partitions that may count the event, before and after; some of them twice.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> {
        let before = self.before.and_then(Event::partition);
        let errors = [self.before, self.after].into_iter().flatten().filter_map(Event::error_partition);
        [before, self.partition].into_iter().flatten().chain(errors)
    }
}

/// The state of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Job {
    /// What identifies it within its kind.
    #[schema(value_type = ChoiceId)]
    pub id: u64,
    /// Its job type.
    pub job_type: ChoiceId,
    /// Where it is in its life.
    pub status: JobStatus,
    /// When it ended; there with every final status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ChoiceId>,
    /// When its source last changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Timestamp>,
}

/// The state of a job execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JobExecution {
    /// What identifies it within its kind.
    #[schema(value_type = ChoiceId)]
    pub id: u64,
    /// The job type of its job.
    pub job_type: ChoiceId,
    /// Where it is in its life.
    pub status: ExecutionStatus,
    /// When it was put into the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queued: Option<Timestamp>,
    /// When it left the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended; there with every final status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ChoiceId>,
    /// Its tasks, in the order that they were given.
    #[schema(default = json!([]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
    /// When its source last changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Timestamp>,
}

/// One task of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Task {
    /// What it does.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// When it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// The state of an ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ingest {
    /// What identifies it within its kind.
    #[schema(value_type = ChoiceId)]
    pub id: u64,
    /// The strike that watches for such files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strike: Option<ChoiceId>,
    /// Where it is in its life.
    pub status: IngestStatus,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
    /// When the file began to arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_started: Option<Timestamp>,
    /// When the file had arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_ended: Option<Timestamp>,
    /// When the ingest began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest_started: Option<Timestamp>,
    /// When the ingest ended; there with every final status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest_ended: Option<Timestamp>,
    /// When its source last changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Timestamp>,
}
