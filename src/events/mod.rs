//! The objects that clients post: three kinds that define choices, three kinds of events.
//!
//! An object that stands here is valid by itself: [`wire`] reads the text and refuses what breaks a rule of
//! docs/reference.md, Posting events; [`request`] refuses a request that names unknown choices. What an event adds to the metrics is one pure
//! function, in [`contribution`].
//!
//! Not here: what was stored before (`store`), which of two states of an event holds (`worker`).

pub mod choice;
pub mod contribution;
pub mod future;
pub mod request;
pub mod shared_map;
pub mod wire;

use utoipa::ToSchema;

use crate::time::{Date, Timestamp};
use crate::vocabulary::{ChoiceId, EventKind, ExecutionStatus, IngestStatus, JobStatus, Kind, MAX_ID, TaskType};
pub use choice::{Choice, Choices, ErrorDefinition, JobType, Strike};
pub use contribution::{Contribution, Partition};

/// The most tasks that an execution may have.
pub const MAX_TASKS: usize = 1 << 24;

/// One object of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// Defines a choice, or replaces its definition. Boxed: events are many, and smaller.
    Choice(Box<Choice>),
    /// The state of a job, execution or ingest.
    Event(Event),
}

impl Object {
    /// The definition of a choice.
    pub fn choice(choice: Choice) -> Self {
        Self::Choice(Box::new(choice))
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Choice(choice) => choice.kind(),
            Self::Event(event) => event.key().kind.into(),
        }
    }

    /// Whether it is an event that ended before a day.
    pub fn ended_before(&self, day: Date) -> bool {
        let Self::Event(event) = self else { return false };
        event.ended().is_some_and(|ended| ended < day.start())
    }

    /// How much memory it takes until it is stored, in bytes, about: itself, and as much again for what is looked up and sorted
    /// then.
    pub fn memory(&self) -> usize {
        let beyond = match self {
            Self::Choice(choice) => size_of::<Choice>() + choice.text_bytes(),
            Self::Event(Event::JobExecution(execution)) => size_of_val(&execution.tasks[..]),
            Self::Event(Event::Job(_) | Event::Ingest(_)) => 0,
        };
        2 * (size_of::<Self>() + beyond)
    }
}

/// What identifies an event: posting it again replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// Its kind.
    pub kind: EventKind,
    /// Its id, from 1 to [`MAX_ID`].
    pub id: u64,
}

impl EventKey {
    /// A number that orders as keys do, which is faster to sort by.
    pub fn order(self) -> u64 {
        (self.kind as u64) << MAX_ID.count_ones() | self.id
    }
}

/// The state of one job, execution or ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A job.
    Job(Job),
    /// One try at running a job.
    JobExecution(JobExecution),
    /// A file that comes in.
    Ingest(Ingest),
}

impl Event {
    /// What identifies it.
    pub fn key(&self) -> EventKey {
        let (kind, id) = match self {
            Self::Job(job) => (EventKind::Job, job.id),
            Self::JobExecution(execution) => (EventKind::JobExecution, execution.id),
            Self::Ingest(ingest) => (EventKind::Ingest, ingest.id),
        };
        EventKey { kind, id }
    }

    /// When its source last changed it.
    pub fn last_modified(&self) -> Option<Timestamp> {
        match self {
            Self::Job(job) => job.last_modified,
            Self::JobExecution(execution) => execution.last_modified,
            Self::Ingest(ingest) => ingest.last_modified,
        }
    }
}

/// What happens to one event: it is new, or takes the place of the stored one with the same key.
#[derive(Debug, Clone, Copy)]
pub struct EventChange<'a> {
    /// The event that is stored.
    pub before: Option<&'a Event>,
    /// The event that is to be stored.
    pub after: &'a Event,
    /// The partition that it is kept in, if it is in one.
    pub partition: Option<Partition>,
}

impl<'a> EventChange<'a> {
    /// The change from one content to another one.
    pub fn new(before: Option<&'a Event>, after: &'a Event) -> Self {
        Self { before, after, partition: after.partition() }
    }
}

/// The state of a job.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
pub struct Job {
    /// What identifies it within its kind.
    #[schema(value_type = ChoiceId)]
    pub id: u64,
    /// Its job type.
    pub job_type: ChoiceId,
    /// Where it is in its life.
    pub status: JobStatus,
    /// When it ended; there with every final status.
    pub ended: Option<Timestamp>,
    /// What went wrong.
    pub error: Option<ChoiceId>,
    /// When its source last changed it.
    pub last_modified: Option<Timestamp>,
}

/// The state of a job execution.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
pub struct JobExecution {
    /// What identifies it within its kind.
    #[schema(value_type = ChoiceId)]
    pub id: u64,
    /// The job type of its job.
    pub job_type: ChoiceId,
    /// Where it is in its life.
    pub status: ExecutionStatus,
    /// When it was put into the queue.
    pub queued: Option<Timestamp>,
    /// When it left the queue.
    pub started: Option<Timestamp>,
    /// When it ended; there with every final status.
    pub ended: Option<Timestamp>,
    /// What went wrong.
    pub error: Option<ChoiceId>,
    /// Its tasks, in the order that they were given.
    #[schema(default = json!([]))]
    pub tasks: Vec<Task>,
    /// When its source last changed it.
    pub last_modified: Option<Timestamp>,
}

/// One task of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
pub struct Task {
    /// What it does.
    #[schema(rename = "type")]
    pub task_type: TaskType,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// The state of an ingest.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
pub struct Ingest {
    /// What identifies it within its kind.
    #[schema(value_type = ChoiceId)]
    pub id: u64,
    /// The strike that watches for such files.
    pub strike: Option<ChoiceId>,
    /// Where it is in its life.
    pub status: IngestStatus,
    /// Bytes.
    pub file_size: Option<u64>,
    /// When the file began to arrive.
    pub transfer_started: Option<Timestamp>,
    /// When the file had arrived.
    pub transfer_ended: Option<Timestamp>,
    /// When the ingest began.
    pub ingest_started: Option<Timestamp>,
    /// When the ingest ended; there with every final status.
    pub ingest_ended: Option<Timestamp>,
    /// When its source last changed it.
    pub last_modified: Option<Timestamp>,
}
