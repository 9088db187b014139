//! What an event adds to the metrics: the rules of docs/reference.md, Counting, as one pure function.
//!
//! An error's category and whether it is built in are not looked at here. A contribution names the error, aggregates
//! count by error, and a column that asks for a category looks the errors up as they are defined when it is read. So a
//! changed definition counts all its events anew without touching one of them.
//!
//! Not here: how contributions add up (`rollup`), where events are kept (`store`).

use super::{Event, Ingest, Job, JobExecution};
use crate::time::{Date, Timestamp};
use crate::vocabulary::{
    ChoiceId, DISTRIBUTIONS, ExecutionStatus, IngestCount, IngestObservation, IngestStatus, JobCount, JobStatus,
    JobTime, MetricsTypeId, TaskType,
};

/// The unit that is stored, rolled up, rebuilt and expired: one day of one choice of one metrics type. Ordered by date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The UTC day that the event's end falls in.
    pub date: Date,
    /// The metrics type.
    pub metrics: MetricsTypeId,
    /// The choice.
    pub choice: ChoiceId,
}

/// What one event adds to one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contribution {
    /// The partition that it is counted in.
    pub partition: Partition,
    /// The hour of the partition's day, from 0 to 23.
    pub hour: u8,
    /// The counter that it adds 1 to, by its place.
    pub counter: Option<usize>,
    /// The error that it adds 1 to.
    pub error: Option<ChoiceId>,
    /// One observation for each distribution, by its place.
    pub observations: [Option<u64>; DISTRIBUTIONS],
}

impl Contribution {
    fn new(metrics: MetricsTypeId, choice: ChoiceId, ended: Timestamp) -> Self {
        Self {
            partition: Partition { metrics, choice, date: ended.date() },
            hour: ended.hour(),
            counter: None,
            error: None,
            observations: [None; DISTRIBUTIONS],
        }
    }
}

impl Event {
    /// What it adds, at most once for each metrics type that counts it.
    pub fn contributions(&self) -> [Option<Contribution>; 2] {
        [self.own_contribution(), self.error_contribution()]
    }

    /// What it adds to the partition that it is kept in.
    pub fn own_contribution(&self) -> Option<Contribution> {
        match self {
            Self::Job(job) => job.contribution(),
            Self::JobExecution(execution) => execution.times(),
            Self::Ingest(ingest) => ingest.contribution(),
        }
    }

    /// What it adds to a partition of `errors`.
    pub fn error_contribution(&self) -> Option<Contribution> {
        match self {
            Self::JobExecution(execution) => execution.failure(),
            Self::Job(_) | Self::Ingest(_) => None,
        }
    }

    /// When it ended, if its status is final.
    pub fn ended(&self) -> Option<Timestamp> {
        match self {
            Self::Job(job) => job.ended.filter(|_| job.status.is_final()),
            Self::JobExecution(execution) => execution.ended.filter(|_| execution.status.is_final()),
            Self::Ingest(ingest) => ingest.ingest_ended.filter(|_| ingest.status.is_final()),
        }
    }

    /// The partition that it is kept in: the one of its own type whose date it ended on, whether that counts it or not.
    /// `None` while it has not ended, and for an ingest without a strike.
    pub fn partition(&self) -> Option<Partition> {
        let (metrics, choice) = match self {
            Self::Job(job) => (MetricsTypeId::JobTypes, job.job_type),
            Self::JobExecution(execution) => (MetricsTypeId::JobTypes, execution.job_type),
            Self::Ingest(ingest) => (MetricsTypeId::Ingests, ingest.strike?),
        };
        Some(Partition { metrics, choice, date: self.ended()?.date() })
    }
}

impl Job {
    /// The counter of its status, if that is final.
    fn counter(&self) -> Option<JobCount> {
        match self.status {
            JobStatus::Completed => Some(JobCount::Completed),
            JobStatus::Failed => Some(JobCount::Failed),
            JobStatus::Canceled => Some(JobCount::Canceled),
            JobStatus::Pending | JobStatus::Blocked | JobStatus::Queued | JobStatus::Running => None,
        }
    }

    fn contribution(&self) -> Option<Contribution> {
        let counter = self.counter()? as usize;
        let contribution = Contribution::new(MetricsTypeId::JobTypes, self.job_type, self.ended?);
        Some(Contribution { counter: Some(counter), error: self.error, ..contribution })
    }
}

impl JobExecution {
    /// Where the time of a completed execution went.
    fn times(&self) -> Option<Contribution> {
        let ended = self.ended.filter(|_| self.status == ExecutionStatus::Completed)?;
        let pull = self.task(TaskType::Pull);
        let pre = self.task(TaskType::Pre);
        let main = self.task(TaskType::Main);
        let post = self.task(TaskType::Post);
        let run = length(self.started, self.ended);
        let tasks = [pull, pre, main, post].into_iter().flatten().sum();
        let mut contribution = Contribution::new(MetricsTypeId::JobTypes, self.job_type, ended);
        let observations = &mut contribution.observations;
        observations[JobTime::Queue as usize] = length(self.queued, self.started);
        observations[JobTime::Pre as usize] = pre;
        observations[JobTime::Job as usize] = main;
        observations[JobTime::Post as usize] = post;
        observations[JobTime::Run as usize] = run;
        observations[JobTime::Stage as usize] = run.map(|run| run.saturating_sub(tasks));
        Some(contribution)
    }

    /// The error that an ended execution names.
    fn failure(&self) -> Option<Contribution> {
        let ended = self.ended.filter(|_| self.status.is_final())?;
        let error = self.error?;
        let contribution = Contribution::new(MetricsTypeId::Errors, error, ended);
        Some(Contribution { error: Some(error), ..contribution })
    }

    /// Length of the first task of that type that has both times.
    fn task(&self, task_type: TaskType) -> Option<u64> {
        let mut tasks = self.tasks.iter().filter(|task| task.task_type == task_type);
        tasks.find_map(|task| length(task.started, task.ended))
    }
}

impl Ingest {
    /// The counter of its status, if that is final.
    fn counter(&self) -> Option<IngestCount> {
        match self.status {
            IngestStatus::Deferred => Some(IngestCount::Deferred),
            IngestStatus::Ingested => Some(IngestCount::Ingested),
            IngestStatus::Errored => Some(IngestCount::Errored),
            IngestStatus::Duplicate => Some(IngestCount::Duplicate),
            IngestStatus::Transferring | IngestStatus::Transferred | IngestStatus::Queued | IngestStatus::Ingesting => {
                None
            }
        }
    }

    fn contribution(&self) -> Option<Contribution> {
        let counter = self.counter()? as usize;
        let mut contribution = Contribution::new(MetricsTypeId::Ingests, self.strike?, self.ingest_ended?);
        let observations = &mut contribution.observations;
        observations[IngestObservation::FileSize as usize] = self.file_size;
        observations[IngestObservation::TransferTime as usize] = length(self.transfer_started, self.transfer_ended);
        if self.status == IngestStatus::Ingested {
            observations[IngestObservation::IngestTime as usize] = length(self.ingest_started, self.ingest_ended);
        }
        Some(Contribution { counter: Some(counter), ..contribution })
    }
}

/// Microseconds between two times; `None` unless both are known, 0 if they are in the wrong order.
fn length(started: Option<Timestamp>, ended: Option<Timestamp>) -> Option<u64> {
    Some(ended?.since(started?))
}
