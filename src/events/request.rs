//! A whole request: all its objects are valid, or it is refused with what is wrong.

use std::collections::HashSet;

use super::choice::Choices;
use super::wire::{MAX_PROBLEMS, Problem, Read};
use super::{Event, Object};
use crate::time::Date;
use crate::vocabulary::{ChoiceId, MetricsTypeId};

/// Why a request is refused. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invalid} of {total} events are invalid; nothing was stored.")]
pub struct Invalid {
    /// How many of its objects are wrong.
    pub invalid: usize,
    /// How many objects it has.
    pub total: usize,
    /// What is wrong with which object, counted from 0; in their order, at most [`MAX_PROBLEMS`].
    pub problems: Vec<(usize, Problem)>,
}

/// A request while its objects come in.
#[derive(Debug)]
pub struct Draft<'a> {
    stored: &'a Choices,
    /// The first day whose events are kept.
    kept_from: Date,
    /// The choices that its own objects define.
    defined: HashSet<(MetricsTypeId, ChoiceId)>,
    /// The objects so far, unless one of them was wrong.
    objects: Vec<Object>,
    refusal: Invalid,
}

impl<'a> Draft<'a> {
    /// A request without objects. An event may name choices that are in `stored`, or defined earlier in the request.
    pub fn new(stored: &'a Choices) -> Self {
        let refusal = Invalid { invalid: 0, total: 0, problems: Vec::new() };
        Self { stored, kept_from: Date::MIN, defined: HashSet::new(), objects: Vec::new(), refusal }
    }

    /// The same; events that ended before that day are refused.
    #[must_use]
    pub fn keeping_from(self, kept_from: Date) -> Self {
        Self { kept_from, ..self }
    }

    /// Takes in the next object.
    pub fn take(&mut self, read: Read) {
        let index = self.refusal.total;
        self.refusal.total += 1;
        let problems = match read {
            Ok(object) => {
                let mut problems = self.check_choices(&object);
                problems.extend(self.check_age(&object));
                if problems.is_empty() && self.refusal.invalid == 0 {
                    self.objects.push(object);
                }
                problems
            }
            Err(problems) => problems,
        };
        if !problems.is_empty() {
            self.refusal.invalid += 1;
            self.objects = Vec::new();
            let room = MAX_PROBLEMS - self.refusal.problems.len();
            self.refusal.problems.extend(problems.into_iter().take(room).map(|problem| (index, problem)));
        }
    }

    /// Looks at the age of an object: of a day that is forgotten, nobody knows any more what was counted.
    fn check_age(&self, object: &Object) -> Option<Problem> {
        let Object::Event(event) = object else { return None };
        event.ended().filter(|ended| ended.date() < self.kept_from)?;
        let field = if let Event::Ingest(_) = event { "ingest_ended" } else { "ended" };
        let detail = format!("lies before {}; older events are no longer kept", self.kept_from);
        Some(Problem { field: Some(field.to_owned()), detail })
    }

    /// Looks at the choices of an object: a definition makes one known, those that an event names must be known.
    fn check_choices(&mut self, object: &Object) -> Vec<Problem> {
        let (named, error) = match object {
            Object::Choice(choice) => {
                self.defined.insert(choice.key());
                return Vec::new();
            }
            Object::Event(Event::Job(job)) => (Some(("job_type", MetricsTypeId::JobTypes, job.job_type)), job.error),
            Object::Event(Event::JobExecution(execution)) => {
                (Some(("job_type", MetricsTypeId::JobTypes, execution.job_type)), execution.error)
            }
            Object::Event(Event::Ingest(ingest)) => {
                (ingest.strike.map(|strike| ("strike", MetricsTypeId::Ingests, strike)), None)
            }
        };
        let error = error.map(|error| ("error", MetricsTypeId::Errors, error));
        let is_unknown = |&(_, metrics, id): &(&str, MetricsTypeId, ChoiceId)| {
            !self.stored.contains(metrics, id) && !self.defined.contains(&(metrics, id))
        };
        let problem = |(field, _, id): (&str, MetricsTypeId, ChoiceId)| Problem {
            field: Some(field.to_owned()),
            detail: format!("{} is not known", id.get()),
        };
        named.into_iter().chain(error).filter(is_unknown).map(problem).collect()
    }

    /// The objects, if all were valid. A choice never becomes unknown again, so what held here still holds when the
    /// objects are stored.
    pub fn finish(self) -> Result<Vec<Object>, Invalid> {
        if self.refusal.invalid == 0 { Ok(self.objects) } else { Err(self.refusal) }
    }
}
