//! The choices that metrics are grouped by: job types, strikes and errors, as they are defined now.
//!
//! Each struct has its fields in the order in which the details endpoint shows them and the store writes them.
//!
//! Not here: which of them a query selects (`api::v6::selection`), how they are stored (`store`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::shared_map::SharedMap;
use crate::vocabulary::{ChoiceId, ErrorCategory, Kind, MetricsTypeId};

/// A definition of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// A choice of `job-types`.
    JobType(JobType),
    /// A choice of `ingests`.
    Strike(Strike),
    /// A choice of `errors`, if it is built in.
    Error(ErrorDefinition),
}

/// A kind of job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    #[schema(default = false)]
    pub is_system: bool,
    /// Whether it is meant to run on and on.
    #[schema(default = false)]
    pub is_long_running: bool,
    /// Whether it may still be used.
    #[schema(default = true)]
    pub is_active: bool,
    /// Whether it is in production.
    #[schema(default = true)]
    pub is_operational: bool,
    /// Whether it is stopped for now.
    #[schema(default = false)]
    pub is_paused: bool,
    /// The icon that stands for it.
    pub icon_code: Option<String>,
}

/// A place that is watched for files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    #[schema(default = false)]
    pub is_builtin: bool,
    /// Whether trying again may help.
    #[schema(default = false)]
    pub should_be_retried: bool,
}

impl Choice {
    /// The kind of the choice.
    pub fn kind(&self) -> Kind {
        match self {
            Self::JobType(_) => Kind::JobType,
            Self::Strike(_) => Kind::Strike,
            Self::Error(_) => Kind::Error,
        }
    }

    /// The total length of its texts, in bytes.
    pub fn text_bytes(&self) -> usize {
        let optional = |texts: &[&Option<String>]| texts.iter().map(|text| text.as_ref().map_or(0, String::len)).sum();
        let (texts, more): (usize, usize) = match self {
            Self::JobType(it) => {
                let more = [&it.description, &it.category, &it.author_name, &it.author_url, &it.icon_code];
                (it.name.len() + it.version.len() + it.title.len(), optional(&more))
            }
            Self::Strike(it) => (it.name.len() + it.title.len(), optional(&[&it.description])),
            Self::Error(it) => (it.name.len() + it.title.len(), optional(&[&it.description, &it.job_type_name])),
        };
        texts + more
    }

    /// The key of the choice: its metrics type and its id.
    pub fn key(&self) -> (MetricsTypeId, ChoiceId) {
        match self {
            Self::JobType(job_type) => (MetricsTypeId::JobTypes, job_type.id),
            Self::Strike(strike) => (MetricsTypeId::Ingests, strike.id),
            Self::Error(error) => (MetricsTypeId::Errors, error.id),
        }
    }
}

/// All choices as they are defined at one moment. A clone shares the definitions, and a definition after that costs the same for
/// any number of choices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// The job types, by id.
    pub job_types: SharedMap<ChoiceId, Arc<JobType>>,
    /// The strikes, by id.
    pub strikes: SharedMap<ChoiceId, Arc<Strike>>,
    /// The errors, built in or not, by id.
    pub errors: SharedMap<ChoiceId, Arc<ErrorDefinition>>,
    /// The index of the filters. A key has the metrics type, the filter, the value of the filtered field, and the id of the
    /// choice.
    by_value: SharedMap<(MetricsTypeId, &'static str, Arc<str>, ChoiceId), ()>,
}

impl Choices {
    /// The current definition of the same choice, if there is one.
    pub fn defined(&self, choice: &Choice) -> Option<Choice> {
        match choice {
            Choice::JobType(new) => self.job_types.get(&new.id).map(|old| Choice::JobType(old.as_ref().clone())),
            Choice::Strike(new) => self.strikes.get(&new.id).map(|old| Choice::Strike(old.as_ref().clone())),
            Choice::Error(new) => self.errors.get(&new.id).map(|old| Choice::Error(old.as_ref().clone())),
        }
    }

    /// Adds a definition. It replaces an earlier definition of the same choice.
    pub fn define(&mut self, choice: Choice) {
        let (metrics, id) = choice.key();
        let before = self.filter_values(metrics, id);
        match choice {
            Choice::JobType(job_type) => _ = self.job_types.insert(job_type.id, Arc::new(job_type)),
            Choice::Strike(strike) => _ = self.strikes.insert(strike.id, Arc::new(strike)),
            Choice::Error(error) => _ = self.errors.insert(error.id, Arc::new(error)),
        }
        let after = self.filter_values(metrics, id);
        if before != after {
            for (filter, value) in before {
                self.by_value.remove(&(metrics, filter, value, id));
            }
            for (filter, value) in after {
                self.by_value.insert((metrics, filter, value, id), ());
            }
        }
    }

    /// The filters of the metrics type, each with the value by which it finds the choice.
    fn filter_values(&self, metrics: MetricsTypeId, id: ChoiceId) -> Vec<(&'static str, Arc<str>)> {
        let Some(choice) = self.selectable(metrics, id) else { return Vec::new() };
        let value = |&filter: &&'static str| Some((filter, choice.filter_value(filter)?.into()));
        metrics.describe().filters.iter().filter_map(value).collect()
    }

    /// Whether a choice with this id is defined. For `errors`, this includes errors that are not built in.
    pub fn contains(&self, metrics: MetricsTypeId, id: ChoiceId) -> bool {
        match metrics {
            MetricsTypeId::JobTypes => self.job_types.contains_key(&id),
            MetricsTypeId::Ingests => self.strikes.contains_key(&id),
            MetricsTypeId::Errors => self.errors.contains_key(&id),
        }
    }

    /// The number of defined choices of a metrics type. For `errors`, this includes errors that are not built in.
    pub fn count(&self, metrics: MetricsTypeId) -> usize {
        match metrics {
            MetricsTypeId::JobTypes => self.job_types.len(),
            MetricsTypeId::Ingests => self.strikes.len(),
            MetricsTypeId::Errors => self.errors.len(),
        }
    }

    /// The number of defined choices.
    pub fn len(&self) -> usize {
        self.job_types.len() + self.strikes.len() + self.errors.len()
    }

    /// Whether no choice is defined.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The choice of a metrics type that has this id.
    pub fn selectable(&self, metrics: MetricsTypeId, id: ChoiceId) -> Option<Selectable> {
        match metrics {
            MetricsTypeId::JobTypes => self.job_types.get(&id).cloned().map(Selectable::JobType),
            MetricsTypeId::Ingests => self.strikes.get(&id).cloned().map(Selectable::Strike),
            MetricsTypeId::Errors => {
                let builtin = self.errors.get(&id).filter(|error| error.is_builtin);
                builtin.cloned().map(Selectable::Error)
            }
        }
    }

    /// The choices of a metrics type for which the field of this filter has this value.
    pub fn found_by(
        &self,
        metrics: MetricsTypeId,
        filter: &'static str,
        value: &str,
    ) -> impl Iterator<Item = ChoiceId> {
        let found = move |key: &(MetricsTypeId, &'static str, Arc<str>, ChoiceId)| {
            (key.0, key.1, &*key.2).cmp(&(metrics, filter, value))
        };
        let entries = self.by_value.from(move |key| found(key).is_lt());
        entries.map(|(key, ())| key).take_while(move |key| found(key).is_eq()).map(|key| key.3)
    }

    /// The ids of the choices of a metrics type, in order.
    pub fn ids(&self, metrics: MetricsTypeId) -> Vec<ChoiceId> {
        match metrics {
            MetricsTypeId::JobTypes => self.job_types.keys().copied().collect(),
            MetricsTypeId::Ingests => self.strikes.keys().copied().collect(),
            MetricsTypeId::Errors => {
                self.errors.iter().filter(|(_, error)| error.is_builtin).map(|(&id, _)| id).collect()
            }
        }
    }

    /// The choices of a metrics type, ordered by id.
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
    /// The id of the choice.
    pub fn id(&self) -> ChoiceId {
        match self {
            Self::JobType(job_type) => job_type.id,
            Self::Strike(strike) => strike.id,
            Self::Error(error) => error.id,
        }
    }

    /// The name shown to people.
    pub fn title(&self) -> &str {
        match self {
            Self::JobType(job_type) => &job_type.title,
            Self::Strike(strike) => &strike.title,
            Self::Error(error) => &error.title,
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
