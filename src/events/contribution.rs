//! The contribution of an event: what it adds to the metrics. One pure function implements the rules of docs/reference.md,
//! Counting.
//!
//! The function does not look at the category of an error, or at whether the error is built in. A contribution names the error,
//! and aggregates count by error. A column of a category looks up the current definitions of the errors when it is read. So a
//! changed definition counts all its events anew without touching one of them.
//!
//! Not here: how contributions add up (`rollup`), where events are kept (`store`).

use super::{Event, Ingest, Job, JobExecution};
use crate::time::{Date, Timestamp};
use crate::vocabulary::{
    ChoiceId, DISTRIBUTIONS, ExecutionStatus, IngestCount, IngestObservation, IngestStatus, JobCount, JobStatus,
    JobTime, MetricsTypeId, TaskType,
};

/// The unit of storage, rollups, rebuilds and expiry: one day of one choice of one metrics type. Partitions are ordered by date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The UTC day in which the event ended.
    pub date: Date,
    /// The metrics type.
    pub metrics: MetricsTypeId,
    /// The choice.
    pub choice: ChoiceId,
}

/// What one event adds to one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contribution {
    /// The partition that counts the event.
    pub partition: Partition,
    /// The hour of the partition's day, from 0 to 23.
    pub hour: u8,
    /// The index of the counter that it adds 1 to.
    pub counter: Option<usize>,
    /// The error whose count it adds 1 to.
    pub error: Option<ChoiceId>,
    /// One observation for each distribution, by the index of the distribution.
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
    /// The contributions of the event: at most one for each metrics type that counts it.
    pub fn contributions(&self) -> [Option<Contribution>; 2] {
        [self.own_contribution(), self.error_contribution()]
    }

    /// The contribution to the partition that stores the event.
    pub fn own_contribution(&self) -> Option<Contribution> {
        match self {
            Self::Job(job) => job.contribution(),
            Self::JobExecution(execution) => execution.times(),
            Self::Ingest(ingest) => ingest.contribution(),
        }
    }

    /// The contribution to a partition of `errors`.
    pub fn error_contribution(&self) -> Option<Contribution> {
        match self {
            Self::JobExecution(execution) => execution.failure(),
            Self::Job(_) | Self::Ingest(_) => None,
        }
    }

    /// The time at which the event ended, if its status is final.
    pub fn ended(&self) -> Option<Timestamp> {
        match self {
            Self::Job(job) => job.ended.filter(|_| job.status.is_final()),
            Self::JobExecution(execution) => execution.ended.filter(|_| execution.status.is_final()),
            Self::Ingest(ingest) => ingest.ingest_ended.filter(|_| ingest.status.is_final()),
        }
    }

    /// The partition that stores the event: its own metrics type, its choice, and the date on which it ended. An event is stored
    /// there even if the metrics do not count it. `None` while it has not ended, and for an ingest without a strike.
    pub fn partition(&self) -> Option<Partition> {
        let (metrics, choice) = match self {
            Self::Job(job) => (MetricsTypeId::JobTypes, job.job_type),
            Self::JobExecution(execution) => (MetricsTypeId::JobTypes, execution.job_type),
            Self::Ingest(ingest) => (MetricsTypeId::Ingests, ingest.strike?),
        };
        Some(Partition { metrics, choice, date: self.ended()?.date() })
    }

    /// The partition of `errors` that counts the event, if one does.
    pub fn error_partition(&self) -> Option<Partition> {
        match self {
            Self::JobExecution(execution) => {
                Some(Partition { metrics: MetricsTypeId::Errors, choice: execution.error?, date: self.ended()?.date() })
            }
            Self::Job(_) | Self::Ingest(_) => None,
        }
    }
}

impl Job {
    /// The counter of its status, if the status is final.
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
    /// The contribution of a completed execution: how long its phases took.
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

    /// The contribution of an ended execution that names an error.
    fn failure(&self) -> Option<Contribution> {
        let ended = self.ended.filter(|_| self.status.is_final())?;
        let error = self.error?;
        let contribution = Contribution::new(MetricsTypeId::Errors, error, ended);
        Some(Contribution { error: Some(error), ..contribution })
    }

    /// The length of the first task of this type that has both a start and an end.
    fn task(&self, task_type: TaskType) -> Option<u64> {
        let mut tasks = self.tasks.iter().filter(|task| task.task_type == task_type);
        tasks.find_map(|task| length(task.started, task.ended))
    }
}

impl Ingest {
    /// The counter of its status, if the status is final.
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

/// The microseconds between two times. `None` unless both are known, 0 if they are in the wrong order.
fn length(started: Option<Timestamp>, ended: Option<Timestamp>) -> Option<u64> {
    Some(ended?.since(started?))
}
