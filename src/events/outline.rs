//! The outline of an event that has ended: what metrics, lists and breakdowns ask about it. The store reads outlines without the rest
//! of the events.
//!
//! Not here: what an outline adds to the metrics (`contribution`).

use super::{Event, EventKey, JobExecution};
use crate::time::Timestamp;
use crate::vocabulary::{
    ChoiceId, DISTRIBUTIONS, EventKind, FinalStatus, IngestObservation, IngestStatus, JobTime, TaskType,
};

/// One observation for each distribution of a metrics type, in microseconds or bytes, by the index of the distribution.
pub type Observations = [Option<u64>; DISTRIBUTIONS];

/// What metrics, lists and breakdowns ask about an event that has ended and belongs to a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// The key of the event.
    pub key: EventKey,
    /// Its job type or its strike.
    pub choice: ChoiceId,
    /// How it has ended.
    pub status: FinalStatus,
    /// When it ended.
    pub ended: Timestamp,
    /// What went wrong; never of an ingest.
    pub error: Option<ChoiceId>,
    /// What was measured of it, whether or not the metrics count that.
    pub observations: Observations,
}

impl Event {
    /// The outline of the event. `None` while it has not ended, and for an ingest without a strike.
    pub fn outline(&self) -> Option<Outline> {
        let (choice, status, error, observations) = match self {
            Self::Job(job) => (job.job_type, job.status.final_status()?, job.error, [None; DISTRIBUTIONS]),
            Self::JobExecution(execution) => (
                execution.job_type,
                execution.status.final_status()?,
                execution.error,
                execution.phases().observations(),
            ),
            Self::Ingest(ingest) => {
                let times = IngestTimes {
                    transfer_started: ingest.transfer_started,
                    transfer_ended: ingest.transfer_ended,
                    started: ingest.ingest_started,
                    ended: ingest.ingest_ended,
                };
                (
                    ingest.strike?,
                    ingest.status.final_status()?,
                    None,
                    times.observations(ingest.status, ingest.file_size),
                )
            }
        };
        Some(Outline { key: self.key(), choice, status, ended: self.ended()?, error, observations })
    }
}

impl Outline {
    /// Whether the event is of a kind.
    pub fn is(&self, kind: EventKind) -> bool {
        self.key.kind == kind
    }
}

/// The times of an execution, and the lengths of its tasks in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Phases {
    /// When it was put into the queue.
    pub queued: Option<Timestamp>,
    /// When it left the queue.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The length of the first task of each type that has both a start and an end, by the place of the type.
    pub tasks: [Option<u64>; TaskType::ALL.len()],
}

impl Phases {
    /// Adds a task. The tasks must come in the order of the event.
    pub fn add(&mut self, task_type: TaskType, started: Option<Timestamp>, ended: Option<Timestamp>) {
        let task = &mut self.tasks[task_type as usize];
        *task = task.or_else(|| length(started, ended));
    }

    /// How long the phases took.
    pub fn observations(&self) -> Observations {
        let task = |task_type: TaskType| self.tasks[task_type as usize];
        let run = length(self.started, self.ended);
        let tasks = self.tasks.iter().flatten().sum();
        let mut observations = [None; DISTRIBUTIONS];
        observations[JobTime::Queue as usize] = length(self.queued, self.started);
        observations[JobTime::Pre as usize] = task(TaskType::Pre);
        observations[JobTime::Job as usize] = task(TaskType::Main);
        observations[JobTime::Post as usize] = task(TaskType::Post);
        observations[JobTime::Run as usize] = run;
        observations[JobTime::Stage as usize] = run.map(|run| run.saturating_sub(tasks));
        observations
    }
}

impl JobExecution {
    fn phases(&self) -> Phases {
        let Self { queued, started, ended, .. } = *self;
        let mut phases = Phases { queued, started, ended, ..Phases::default() };
        for task in &self.tasks {
            phases.add(task.task_type, task.started, task.ended);
        }
        phases
    }
}

/// The times of an ingest.
#[derive(Debug, Clone, Copy)]
pub struct IngestTimes {
    /// When the file began to arrive.
    pub transfer_started: Option<Timestamp>,
    /// When the file had arrived.
    pub transfer_ended: Option<Timestamp>,
    /// When the ingest began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

impl IngestTimes {
    /// The size of the file in bytes, and how long the phases took. The time of an ingest is measured only if it ended well.
    pub fn observations(&self, status: IngestStatus, file_size: Option<u64>) -> Observations {
        let mut observations = [None; DISTRIBUTIONS];
        observations[IngestObservation::FileSize as usize] = file_size;
        observations[IngestObservation::TransferTime as usize] = length(self.transfer_started, self.transfer_ended);
        if status == IngestStatus::Ingested {
            observations[IngestObservation::IngestTime as usize] = length(self.started, self.ended);
        }
        observations
    }
}

/// The microseconds between two times. `None` unless both are known, 0 if they are in the wrong order.
fn length(started: Option<Timestamp>, ended: Option<Timestamp>) -> Option<u64> {
    Some(ended?.since(started?))
}
