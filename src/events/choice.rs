//! The choices that metrics are grouped by: job types, strikes and errors, as they are defined now.
//!
//! The fields stand in the order in which the details endpoint shows them and the store writes them.
//!
//! Not here: which of them a query selects (`plot`), how they are stored (`store`).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::wire::Problem;
use super::{ChoiceId, Event, Object, named};
use crate::catalog::MetricsTypeId;

named! {
    /// What kind of thing an error blames. Stored by its place.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    ErrorCategory {
        /// The system.
        System = "SYSTEM",
        /// The input.
        Data = "DATA",
        /// The job's program.
        Algorithm = "ALGORITHM",
    }
}

/// A definition of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// What `job-types` is grouped by.
    JobType(JobType),
    /// What `ingests` is grouped by.
    Strike(Strike),
    /// What `errors` is grouped by, if it is built in.
    Error(ErrorDefinition),
}

/// A kind of job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the specification's example")]
pub struct JobType {
    /// Its id.
    pub id: ChoiceId,
    /// The system name.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// The name shown to people.
    pub title: String,
    /// What it does.
    pub description: Option<String>,
    /// A label to group job types by.
    pub category: Option<String>,
    /// Who wrote it.
    pub author_name: Option<String>,
    /// Where its author is found.
    pub author_url: Option<String>,
    /// Whether the system itself needs it.
    pub is_system: bool,
    /// Whether it is meant to run on and on.
    pub is_long_running: bool,
    /// Whether it may still be used.
    pub is_active: bool,
    /// Whether it is in production.
    pub is_operational: bool,
    /// Whether it is stopped for now.
    pub is_paused: bool,
    /// The icon that stands for it.
    pub icon_code: Option<String>,
}

/// A place that is watched for files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strike {
    /// Its id.
    pub id: ChoiceId,
    /// The system name.
    pub name: String,
    /// The name shown to people.
    pub title: String,
    /// What it watches.
    pub description: Option<String>,
}

/// A reason why something fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDefinition {
    /// Its id.
    pub id: ChoiceId,
    /// The system name.
    pub name: String,
    /// The name shown to people.
    pub title: String,
    /// What it means.
    pub description: Option<String>,
    /// The job type that it belongs to.
    pub job_type_name: Option<String>,
    /// What it blames.
    pub category: ErrorCategory,
    /// Whether it is one of the system's own errors, and so a choice of `errors`.
    pub is_builtin: bool,
    /// Whether trying again may help.
    pub should_be_retried: bool,
}

/// All choices as they are defined at one moment. A clone shares the definitions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// The job types, by id.
    pub job_types: BTreeMap<ChoiceId, Arc<JobType>>,
    /// The strikes, by id.
    pub strikes: BTreeMap<ChoiceId, Arc<Strike>>,
    /// The errors, built in or not, by id.
    pub errors: BTreeMap<ChoiceId, Arc<ErrorDefinition>>,
}

impl Choices {
    /// The present definition of the same choice, if there is one.
    pub fn defined(&self, choice: &Choice) -> Option<Choice> {
        match choice {
            Choice::JobType(new) => self.job_types.get(&new.id).map(|old| Choice::JobType(old.as_ref().clone())),
            Choice::Strike(new) => self.strikes.get(&new.id).map(|old| Choice::Strike(old.as_ref().clone())),
            Choice::Error(new) => self.errors.get(&new.id).map(|old| Choice::Error(old.as_ref().clone())),
        }
    }

    /// Takes in a definition; it replaces an earlier one of the same choice.
    pub fn define(&mut self, choice: Choice) {
        match choice {
            Choice::JobType(job_type) => _ = self.job_types.insert(job_type.id, Arc::new(job_type)),
            Choice::Strike(strike) => _ = self.strikes.insert(strike.id, Arc::new(strike)),
            Choice::Error(error) => _ = self.errors.insert(error.id, Arc::new(error)),
        }
    }

    /// The choices of a metrics type, ordered by id, each with the values of the type's filters.
    pub fn of(&self, metrics: MetricsTypeId) -> Vec<Selectable> {
        match metrics {
            MetricsTypeId::JobTypes => self.job_types.values().cloned().map(Selectable::JobType).collect(),
            MetricsTypeId::Ingests => self.strikes.values().cloned().map(Selectable::Strike).collect(),
            MetricsTypeId::Errors => {
                let builtin = self.errors.values().filter(|error| error.is_builtin);
                builtin.cloned().map(Selectable::Error).collect()
            }
        }
    }
}

/// A choice of a metrics type; on the wire, the fields of its model.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Selectable {
    /// Of `job-types`.
    JobType(Arc<JobType>),
    /// Of `ingests`.
    Strike(Arc<Strike>),
    /// Of `errors`.
    Error(Arc<ErrorDefinition>),
}

impl Selectable {
    /// Its id.
    pub fn id(&self) -> ChoiceId {
        match self {
            Self::JobType(job_type) => job_type.id,
            Self::Strike(strike) => strike.id,
            Self::Error(error) => error.id,
        }
    }

    /// The value of the field that a filter of its metrics type names.
    pub fn filter_value(&self, filter: &str) -> Option<&str> {
        match (self, filter) {
            (Self::JobType(job_type), "name") => Some(&job_type.name),
            (Self::JobType(job_type), "version") => Some(&job_type.version),
            (Self::Strike(strike), "name") => Some(&strike.name),
            (Self::Error(error), "name") => Some(&error.name),
            (Self::Error(error), "category") => Some(error.category.name()),
            _ => None,
        }
    }
}

/// Ids that are known at some point of a request: those that are stored, and those defined so far.
#[derive(Debug)]
pub(super) struct Known<'a> {
    stored: &'a Choices,
    defined: Choices,
}

impl<'a> Known<'a> {
    /// What is known at the start of a request.
    pub(super) fn new(stored: &'a Choices) -> Self {
        Self { stored, defined: Choices::default() }
    }

    /// Looks at the next object of the request: a definition becomes known, an event's choices must be.
    pub(super) fn check(&mut self, object: &Object) -> Vec<Problem> {
        let event = match object {
            Object::Choice(choice) => {
                self.defined.define(choice.clone());
                return Vec::new();
            }
            Object::Event(event) => event,
        };
        let (job_type, strike, error) = match event {
            Event::Job(job) => (Some(job.job_type), None, job.error),
            Event::JobExecution(execution) => (Some(execution.job_type), None, execution.error),
            Event::Ingest(ingest) => (None, ingest.strike, None),
        };
        let (stored, defined) = (self.stored, &self.defined);
        let job_type = job_type.filter(|id| !stored.job_types.contains_key(id) && !defined.job_types.contains_key(id));
        let strike = strike.filter(|id| !stored.strikes.contains_key(id) && !defined.strikes.contains_key(id));
        let error = error.filter(|id| !stored.errors.contains_key(id) && !defined.errors.contains_key(id));
        let unknown = [("job_type", job_type), ("strike", strike), ("error", error)];
        let problem = |(field, id): (&str, Option<ChoiceId>)| {
            let detail = format!("{field} {} is not known", id?.get());
            Some(Problem { field: Some(field.to_owned()), detail })
        };
        unknown.into_iter().filter_map(problem).collect()
    }
}
