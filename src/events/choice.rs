//! The choices that metrics are grouped by: job types, strikes and errors, as they are defined now.
//!
//! Each struct has its fields in the order in which the details endpoint shows them.
//!
//! Not here: which of them a query selects (`api::v6::selection`), how they are stored (`store`).

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::shared_map::SharedMap;
use crate::vocabulary::{ChoiceId, ErrorCategory, Kind, MetricsTypeId};

/// A definition of a choice, which clones share. On the wire, it has the fields of its model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Choice {
    /// A choice of `job-types`.
    JobType(Arc<JobType>),
    /// A choice of `ingests`.
    Strike(Arc<Strike>),
    /// A choice of `errors`, if it is built in.
    Error(Arc<ErrorDefinition>),
}

/// A kind of job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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

    /// The name shown to people.
    pub fn title(&self) -> &str {
        match self {
            Self::JobType(job_type) => &job_type.title,
            Self::Strike(strike) => &strike.title,
            Self::Error(error) => &error.title,
        }
    }

    /// Whether queries can select it: an error only if it is built in.
    fn is_selectable(&self) -> bool {
        match self {
            Self::JobType(_) | Self::Strike(_) => true,
            Self::Error(error) => error.is_builtin,
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

/// All choices as they are defined at one moment. A clone shares the definitions, and a definition after that costs the same for
/// any number of choices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// The choices of each metrics type, by id, errors built in or not. The metrics types are in the order of their numbers.
    by_id: [SharedMap<ChoiceId, Choice>; 3],
    /// The index of the filters. A key has the metrics type, the filter, the value of the filtered field, and the id of the
    /// choice.
    by_value: SharedMap<(MetricsTypeId, &'static str, Arc<str>, ChoiceId), ()>,
}

impl Choices {
    fn by_id(&self, metrics: MetricsTypeId) -> &SharedMap<ChoiceId, Choice> {
        &self.by_id[metrics as usize - 1]
    }

    /// Adds a definition. It replaces an earlier definition of the same choice.
    pub fn define(&mut self, choice: Choice) {
        let (metrics, id) = choice.key();
        let before = self.filter_values(metrics, id);
        self.by_id[metrics as usize - 1].insert(id, choice);
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

    /// The choice with this key. For `errors`, this includes errors that are not built in.
    pub fn get(&self, metrics: MetricsTypeId, id: ChoiceId) -> Option<&Choice> {
        self.by_id(metrics).get(&id)
    }

    /// The error with this id, built in or not.
    pub fn error(&self, id: ChoiceId) -> Option<&ErrorDefinition> {
        if let Choice::Error(error) = self.get(MetricsTypeId::Errors, id)? { Some(error) } else { None }
    }

    /// The number of defined choices of a metrics type. For `errors`, this includes errors that are not built in.
    pub fn count(&self, metrics: MetricsTypeId) -> usize {
        self.by_id(metrics).len()
    }

    /// The number of all defined choices.
    pub fn total(&self) -> usize {
        self.by_id.iter().map(SharedMap::len).sum()
    }

    /// All choices, ordered by metrics type and id.
    pub fn iter(&self) -> impl Iterator<Item = &Choice> {
        self.by_id.iter().flat_map(SharedMap::iter).map(|(_, choice)| choice)
    }

    /// The choice of a metrics type that has this id, if queries can select it.
    pub fn selectable(&self, metrics: MetricsTypeId, id: ChoiceId) -> Option<&Choice> {
        self.get(metrics, id).filter(|choice| choice.is_selectable())
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

    /// The ids of the choices of a metrics type that queries can select, in order.
    pub fn ids(&self, metrics: MetricsTypeId) -> Vec<ChoiceId> {
        self.by_id(metrics).iter().filter(|(_, choice)| choice.is_selectable()).map(|(&id, _)| id).collect()
    }
}
