//! Which events a question selects.

use std::ops::RangeInclusive;

use crate::events::{Choices, Outline};
use crate::plot::Selection;
use crate::plot::totals::Period;
use crate::vocabulary::{ChoiceId, ErrorCategory, EventKind, FinalStatus, MetricsTypeId};

/// What was asked for. The values of a list are alternatives; an empty list of words, and no list of ids, allow everything. Different
/// fields must all match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter {
    /// The metrics type that counts the events.
    pub metrics: MetricsTypeId,
    /// Choices of that type.
    pub selection: Selection,
    /// When the events ended.
    pub period: Period,
    /// Their kinds.
    pub kinds: Vec<EventKind>,
    /// How they ended.
    pub statuses: Vec<FinalStatus>,
    /// Their errors, ascending.
    pub errors: Option<Vec<ChoiceId>>,
    /// The categories of their errors.
    pub categories: Vec<ErrorCategory>,
    /// Their job types, ascending. Only for `errors`: elsewhere, the choices are the job types.
    pub job_types: Option<Vec<ChoiceId>>,
    /// What they must have been measured to be.
    pub bounds: Vec<Bounds>,
}

/// An interval of observations, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// The index of the distribution.
    pub distribution: usize,
    /// The smallest observation.
    pub min: u64,
    /// The largest observation.
    pub max: u64,
}

impl Filter {
    /// Whether executions are listed that no column counts: those that did not end well. Whoever asks for executions of a status gets
    /// them, so that the time they took can be seen.
    pub fn has_uncounted(&self) -> bool {
        self.metrics == MetricsTypeId::JobTypes
            && !self.statuses.is_empty()
            && self.kinds.contains(&EventKind::JobExecution)
    }

    /// Whether errors are asked for.
    pub fn asks_for_errors(&self) -> bool {
        self.errors.is_some() || !self.categories.is_empty()
    }

    /// The kinds that can be selected, from the first to the last.
    pub fn possible_kinds(&self) -> RangeInclusive<EventKind> {
        let (first, last) = self.metrics.event_kinds().into_inner();
        let asked = self.kinds.iter().filter(|kind| (first..=last).contains(kind));
        match (asked.clone().min(), asked.max()) {
            (Some(first), Some(last)) => *first..=*last,
            _ => first..=last,
        }
    }

    /// The selector of this filter, with errors as they are defined. Events must have an observation of the `measured` distribution.
    pub fn selector(&self, choices: &Choices, measured: Option<usize>) -> Selector {
        let is_errors = self.metrics == MetricsTypeId::Errors;
        let selected = match &self.selection {
            Selection::All => is_errors.then(|| choices.ids(MetricsTypeId::Errors)),
            Selection::Choices(ids) => Some(ids.clone()),
        };
        let (owners, errors) = if is_errors { (self.job_types.clone(), selected) } else { (selected, None) };
        let passes = |error: &ChoiceId| {
            let is_of_category =
                || choices.error(*error).is_some_and(|error| self.categories.contains(&error.category));
            self.errors.as_ref().is_none_or(|errors| errors.binary_search(error).is_ok())
                && (self.categories.is_empty() || is_of_category())
        };
        let errors = if self.asks_for_errors() {
            let all = || choices.iter().filter(|choice| choice.key().0 == MetricsTypeId::Errors).map(|it| it.key().1);
            let mut errors = errors.unwrap_or_else(|| all().collect());
            errors.retain(passes);
            Some(errors)
        } else {
            errors
        };
        Selector {
            period: self.period,
            kinds: places(&self.kinds, |kind| *kind as u8),
            statuses: places(&self.statuses, |status| *status as u8),
            owners,
            errors,
            has_uncounted: is_errors || self.has_uncounted(),
            bounds: self.bounds.clone(),
            measured,
        }
    }
}

/// One bit for each of these; all bits if there are none.
fn places<T>(all: &[T], place: impl Fn(&T) -> u8) -> u8 {
    if all.is_empty() { u8::MAX } else { all.iter().fold(0, |bits, one| bits | 1 << place(one)) }
}

/// A filter with the definitions that it depends on.
#[derive(Debug, Clone)]
pub struct Selector {
    period: Period,
    /// One bit for each kind.
    kinds: u8,
    /// One bit for each status.
    statuses: u8,
    /// The job types or strikes, ascending; `None` for all.
    owners: Option<Vec<ChoiceId>>,
    /// The errors, ascending; `None` for all, and for events without one.
    errors: Option<Vec<ChoiceId>>,
    has_uncounted: bool,
    bounds: Vec<Bounds>,
    measured: Option<usize>,
}

impl Selector {
    /// The job types or strikes of the events, ascending; `None` for all.
    pub fn owners(&self) -> Option<&[ChoiceId]> {
        self.owners.as_deref()
    }

    /// The errors of the events, ascending; `None` for all, and for events without one.
    pub fn errors(&self) -> Option<&[ChoiceId]> {
        self.errors.as_deref()
    }

    /// Whether an event is selected.
    pub fn has(&self, outline: &Outline) -> bool {
        let is_counted = || outline.status == FinalStatus::Completed || !outline.is(EventKind::JobExecution);
        self.kinds >> outline.key.kind as u8 & 1 == 1
            && self.statuses >> outline.status as u8 & 1 == 1
            && (self.has_uncounted || is_counted())
            && (self.period.started()..=self.period.last()).contains(&outline.ended)
            && self.owners.as_ref().is_none_or(|owners| owners.binary_search(&outline.choice).is_ok())
            && self.has_error(outline)
            && self.measured.is_none_or(|place| outline.observations[place].is_some())
            && self
                .bounds
                .iter()
                .all(|it| outline.observations[it.distribution].is_some_and(|o| (it.min..=it.max).contains(&o)))
    }

    fn has_error(&self, outline: &Outline) -> bool {
        self.errors
            .as_ref()
            .is_none_or(|errors| outline.error.is_some_and(|error| errors.binary_search(&error).is_ok()))
    }
}
