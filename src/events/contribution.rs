//! The contribution of an event: what it adds to the metrics. One pure function implements the rules of docs/reference.md,
//! Counting.
//!
//! The function does not look at the category of an error, or at whether the error is built in. A contribution names the error,
//! and aggregates count by error. A column of a category looks up the current definitions of the errors when it is read. So a
//! changed definition counts all its events anew without touching one of them.
//!
//! Not here: how contributions add up (`rollup`), where events are kept (`store`).

use super::Event;
use super::outline::{Observations, Outline};
use crate::time::{Date, Timestamp};
use crate::vocabulary::{ChoiceId, DISTRIBUTIONS, EventKind, FinalStatus, MetricsTypeId};

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
    pub observations: Observations,
}

impl Outline {
    /// The contributions of the event: at most one for each metrics type that counts it.
    pub fn contributions(&self) -> [Option<Contribution>; 2] {
        [self.own_contribution(), self.error_contribution()]
    }

    /// The contribution to the partition that stores the event.
    pub fn own_contribution(&self) -> Option<Contribution> {
        let nothing = [None; DISTRIBUTIONS];
        let (metrics, counter, error, observations) = match self.key.kind {
            EventKind::Job => (MetricsTypeId::JobTypes, Some(self.status.counter()), self.error, nothing),
            // Of executions, only the times of completed ones count.
            EventKind::JobExecution if self.status != FinalStatus::Completed => return None,
            EventKind::JobExecution => (MetricsTypeId::JobTypes, None, None, self.observations),
            EventKind::Ingest => (MetricsTypeId::Ingests, Some(self.status.counter()), None, self.observations),
        };
        Some(self.contribution(metrics, self.choice, counter, error, observations))
    }

    /// The contribution to a partition of `errors`: that of an execution that names an error.
    pub fn error_contribution(&self) -> Option<Contribution> {
        let error = self.error.filter(|_| self.is(EventKind::JobExecution))?;
        Some(self.contribution(MetricsTypeId::Errors, error, None, Some(error), [None; DISTRIBUTIONS]))
    }

    fn contribution(
        &self,
        metrics: MetricsTypeId,
        choice: ChoiceId,
        counter: Option<usize>,
        error: Option<ChoiceId>,
        observations: Observations,
    ) -> Contribution {
        let partition = Partition { metrics, choice, date: self.ended.date() };
        Contribution { partition, hour: self.ended.hour(), counter, error, observations }
    }
}

impl Event {
    /// The contributions of the event: at most one for each metrics type that counts it.
    pub fn contributions(&self) -> [Option<Contribution>; 2] {
        self.outline().map_or([None; 2], |outline| outline.contributions())
    }

    /// The contribution to the partition that stores the event.
    pub fn own_contribution(&self) -> Option<Contribution> {
        self.outline()?.own_contribution()
    }

    /// The contribution to a partition of `errors`.
    pub fn error_contribution(&self) -> Option<Contribution> {
        // Nearly no event has one.
        self.error_partition().and_then(|_| self.outline()?.error_contribution())
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
