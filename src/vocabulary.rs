//! Words that several layers share: ids, kinds, statuses, categories, and the places of measures in an aggregate.
//!
//! The lowest layer: it imports no other module. The places of variants and the numbers of metrics types are
//! part of the stored format.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
/// The largest id: 2^53 - 1, the last integer that every JSON client can tell apart.
pub const MAX_ID: u64 = (1 << 53) - 1;

/// Declares an enum whose variants have a name on the wire. The store writes the index of the variant.
macro_rules! string_enum {
    ($(#[$meta:meta])* $vis:vis $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        $vis enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of the specification.
            $vis const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            $vis fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one of that name.
            $vis fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(crate) use string_enum;

/// The metrics types; the number is how the store names the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MetricsTypeId {
    /// `job-types`.
    JobTypes = 1,
    /// `ingests`.
    Ingests = 2,
    /// `errors`.
    Errors = 3,
}

impl MetricsTypeId {
    /// The kinds of the events that it counts, from the first to the last.
    pub fn event_kinds(self) -> RangeInclusive<EventKind> {
        match self {
            Self::JobTypes => EventKind::Job..=EventKind::JobExecution,
            Self::Ingests => EventKind::Ingest..=EventKind::Ingest,
            Self::Errors => EventKind::JobExecution..=EventKind::JobExecution,
        }
    }

    /// How these events may have ended.
    pub fn statuses(self) -> &'static [FinalStatus] {
        match self {
            Self::JobTypes | Self::Errors => &[FinalStatus::Completed, FinalStatus::Failed, FinalStatus::Canceled],
            Self::Ingests => {
                &[FinalStatus::Deferred, FinalStatus::Ingested, FinalStatus::Errored, FinalStatus::Duplicate]
            }
        }
    }
}

/// The id of a choice: a job type, a strike or an error; from 1 to [`MAX_ID`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChoiceId(NonZeroU64);

impl ChoiceId {
    /// The choice id of that number, if it is one.
    pub fn new(id: u64) -> Option<Self> {
        NonZeroU64::new(id).filter(|_| id <= MAX_ID).map(Self)
    }

    /// Its number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

string_enum! {
    /// The kinds of objects, as the wire names them.
    pub Kind {
        /// Defines a choice of `job-types`.
        JobType = "job_type",
        /// Defines a choice of `ingests`.
        Strike = "strike",
        /// Defines an error.
        Error = "error",
        /// An event.
        Job = "job",
        /// An event.
        JobExecution = "job_execution",
        /// An event.
        Ingest = "ingest",
    }
}

string_enum! {
    /// The kinds of events; with the id, what identifies one. The place is how the store names the kind.
    #[derive(PartialOrd, Ord)]
    pub EventKind {
        /// A job.
        Job = "job",
        /// One try at running a job.
        JobExecution = "job_execution",
        /// A file that comes in.
        Ingest = "ingest",
    }
}

impl EventKind {
    /// The names of all of them, for people.
    pub fn names() -> String {
        Self::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
    }
}

impl From<EventKind> for Kind {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::Job => Self::Job,
            EventKind::JobExecution => Self::JobExecution,
            EventKind::Ingest => Self::Ingest,
        }
    }
}

string_enum! {
    /// How an event has ended: the final statuses of all kinds.
    pub FinalStatus {
        /// Ended well: a job or an execution.
        Completed = "COMPLETED",
        /// Ended in failure: a job or an execution.
        Failed = "FAILED",
        /// Ended by somebody's wish: a job or an execution.
        Canceled = "CANCELED",
        /// Put off: an ingest.
        Deferred = "DEFERRED",
        /// Ended well: an ingest.
        Ingested = "INGESTED",
        /// Ended in failure: an ingest.
        Errored = "ERRORED",
        /// There already: an ingest.
        Duplicate = "DUPLICATE",
    }
}

impl FinalStatus {
    /// The place of the counter of such jobs or ingests in an aggregate.
    pub fn counter(self) -> usize {
        match self {
            Self::Completed => JobCount::Completed as usize,
            Self::Failed => JobCount::Failed as usize,
            Self::Canceled => JobCount::Canceled as usize,
            Self::Deferred => IngestCount::Deferred as usize,
            Self::Ingested => IngestCount::Ingested as usize,
            Self::Errored => IngestCount::Errored as usize,
            Self::Duplicate => IngestCount::Duplicate as usize,
        }
    }
}

string_enum! {
    /// Where a job is in its life.
    #[derive(Serialize)]
    #[serde(rename_all = "UPPERCASE")]
    pub JobStatus {
        /// Not ready yet.
        Pending = "PENDING",
        /// Waits for something that will not come by itself.
        Blocked = "BLOCKED",
        /// Waits for resources.
        Queued = "QUEUED",
        /// Runs.
        Running = "RUNNING",
        /// Ended well.
        Completed = "COMPLETED",
        /// Ended in failure.
        Failed = "FAILED",
        /// Ended by somebody's wish.
        Canceled = "CANCELED",
    }
}

impl JobStatus {
    /// How it has ended, if it has.
    pub fn final_status(self) -> Option<FinalStatus> {
        match self {
            Self::Completed => Some(FinalStatus::Completed),
            Self::Failed => Some(FinalStatus::Failed),
            Self::Canceled => Some(FinalStatus::Canceled),
            Self::Pending | Self::Blocked | Self::Queued | Self::Running => None,
        }
    }

    /// Whether it has ended.
    pub fn is_final(self) -> bool {
        self.final_status().is_some()
    }
}

string_enum! {
    /// Where an execution is in its life.
    #[derive(Serialize)]
    #[serde(rename_all = "UPPERCASE")]
    pub ExecutionStatus {
        /// Waits for resources.
        Queued = "QUEUED",
        /// Runs.
        Running = "RUNNING",
        /// Ended well.
        Completed = "COMPLETED",
        /// Ended in failure.
        Failed = "FAILED",
        /// Ended by somebody's wish.
        Canceled = "CANCELED",
    }
}

impl ExecutionStatus {
    /// How it has ended, if it has.
    pub fn final_status(self) -> Option<FinalStatus> {
        match self {
            Self::Completed => Some(FinalStatus::Completed),
            Self::Failed => Some(FinalStatus::Failed),
            Self::Canceled => Some(FinalStatus::Canceled),
            Self::Queued | Self::Running => None,
        }
    }

    /// Whether it has ended.
    pub fn is_final(self) -> bool {
        self.final_status().is_some()
    }
}

string_enum! {
    /// Where an ingest is in its life.
    #[derive(Serialize)]
    #[serde(rename_all = "UPPERCASE")]
    pub IngestStatus {
        /// The file is arriving.
        Transferring = "TRANSFERRING",
        /// The file has arrived.
        Transferred = "TRANSFERRED",
        /// Put off.
        Deferred = "DEFERRED",
        /// Waits to be ingested.
        Queued = "QUEUED",
        /// Is being ingested.
        Ingesting = "INGESTING",
        /// Ended well.
        Ingested = "INGESTED",
        /// Ended in failure.
        Errored = "ERRORED",
        /// The file was there already.
        Duplicate = "DUPLICATE",
    }
}

impl IngestStatus {
    /// How it has ended, if it has.
    pub fn final_status(self) -> Option<FinalStatus> {
        match self {
            Self::Deferred => Some(FinalStatus::Deferred),
            Self::Ingested => Some(FinalStatus::Ingested),
            Self::Errored => Some(FinalStatus::Errored),
            Self::Duplicate => Some(FinalStatus::Duplicate),
            Self::Transferring | Self::Transferred | Self::Queued | Self::Ingesting => None,
        }
    }

    /// Whether it has ended.
    pub fn is_final(self) -> bool {
        self.final_status().is_some()
    }
}

string_enum! {
    /// What a task of an execution does.
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    pub TaskType {
        /// Fetches the image that the job runs in.
        Pull = "pull",
        /// Prepares the input.
        Pre = "pre",
        /// The job itself.
        Main = "main",
        /// Stores the output.
        Post = "post",
    }
}

string_enum! {
    /// What kind of thing an error blames. Stored by its place.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    pub ErrorCategory {
        /// The system.
        System = "SYSTEM",
        /// The input.
        Data = "DATA",
        /// The job's program.
        Algorithm = "ALGORITHM",
    }
}

/// The most distributions that a metrics type has.
pub const DISTRIBUTIONS: usize = 6;
/// The most counters that a metrics type has.
pub const COUNTERS: usize = 4;

/// The counters of `job-types`, by their place in an aggregate.
#[derive(Debug, Clone, Copy)]
pub enum JobCount {
    /// Jobs that ended well.
    Completed,
    /// Jobs that ended in failure.
    Failed,
    /// Jobs that were canceled.
    Canceled,
}

/// The distributions of `job-types`, by their place in an aggregate; microseconds.
#[derive(Debug, Clone, Copy)]
pub enum JobTime {
    /// From queued to started.
    Queue,
    /// The pre task.
    Pre,
    /// The main task.
    Job,
    /// The post task.
    Post,
    /// From started to ended.
    Run,
    /// What remains of the run time without the tasks.
    Stage,
}

/// The counters of `ingests`, by their place in an aggregate.
#[derive(Debug, Clone, Copy)]
pub enum IngestCount {
    /// Put off.
    Deferred,
    /// Ended well.
    Ingested,
    /// Ended in failure.
    Errored,
    /// There already.
    Duplicate,
}

/// The distributions of `ingests`, by their place in an aggregate.
#[derive(Debug, Clone, Copy)]
pub enum IngestObservation {
    /// Bytes.
    FileSize,
    /// Microseconds that the file took to arrive.
    TransferTime,
    /// Microseconds from arrival to the end.
    IngestTime,
}
