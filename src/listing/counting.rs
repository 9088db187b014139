//! How many events a filter selects, according to aggregates.

use super::filter::{Filter, Selector};
use crate::rollup::{Aggregate, Parts};
use crate::vocabulary::{COUNTERS, ChoiceId, EventKind, FinalStatus, MetricsTypeId};

/// How to read off an aggregate the number of events that a filter selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counting {
    /// The sum of some counters; with the completed executions, which no counter counts, if they are selected, too.
    Counters {
        /// Whether each counter is one of them.
        counters: [bool; COUNTERS],
        /// Whether completed executions are selected.
        executions: bool,
    },
    /// The number of events that name one of these errors, ascending.
    Errors(Vec<ChoiceId>),
}

impl Counting {
    /// How to count what a filter selects, given its selector. `None` if aggregates do not tell it.
    pub fn of(filter: &Filter, selector: &Selector) -> Option<Self> {
        if !filter.bounds.is_empty() {
            return None;
        }
        let has_status = |status| filter.statuses.is_empty() || filter.statuses.contains(&status);
        let has_kind = |kind| filter.kinds.is_empty() || filter.kinds.contains(&kind);
        match filter.metrics {
            MetricsTypeId::Errors if !filter.statuses.is_empty() || filter.job_types.is_some() => None,
            MetricsTypeId::Errors => Some(Self::Errors(selector.errors()?.to_vec())),
            MetricsTypeId::Ingests if filter.asks_for_errors() => Some(Self::Errors(Vec::new())),
            MetricsTypeId::Ingests => {
                Some(Self::Counters { counters: counters(filter.metrics, has_status), executions: false })
            }
            MetricsTypeId::JobTypes => {
                let jobs = has_kind(EventKind::Job);
                let executions = has_kind(EventKind::JobExecution) && has_status(FinalStatus::Completed);
                let has_others =
                    filter.has_uncounted() && filter.statuses.iter().any(|it| *it != FinalStatus::Completed);
                if has_others {
                    None
                } else if !filter.asks_for_errors() {
                    let counters = counters(filter.metrics, |status| jobs && has_status(status));
                    Some(Self::Counters { counters, executions })
                } else if !executions && filter.statuses.is_empty() {
                    Some(Self::Errors(selector.errors()?.to_vec()))
                } else {
                    None
                }
            }
        }
    }

    /// The parts of an aggregate that it reads.
    pub fn parts(&self) -> Parts {
        match self {
            Self::Counters { .. } => Parts::COUNTERS,
            Self::Errors(_) => Parts::ERRORS,
        }
    }

    /// The number of selected events in an aggregate.
    pub fn count(&self, aggregate: &Aggregate) -> u64 {
        match self {
            Self::Counters { counters, executions } => {
                let counted: u64 = aggregate.counters.iter().sum();
                let some = aggregate.counters.iter().zip(counters).filter(|(_, is_one)| **is_one);
                let executions = if *executions { aggregate.events - counted } else { 0 };
                some.map(|(count, _)| count).sum::<u64>() + executions
            }
            Self::Errors(errors) => errors.iter().filter_map(|error| aggregate.errors.get(error)).sum(),
        }
    }
}

/// Whether each counter counts one of the statuses of a metrics type.
fn counters(metrics: MetricsTypeId, has_status: impl Fn(FinalStatus) -> bool) -> [bool; COUNTERS] {
    let mut counters = [false; COUNTERS];
    for &status in metrics.statuses() {
        counters[status.counter()] = has_status(status);
    }
    counters
}
