//! Questions about events, as commands ask them: of a server by its address, or of a store that no server has open.
//!
//! Both ways have the same parameters and the same answer, since both are those of the endpoint.

use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::{PathItem, RefOr, Required, Schema};

use super::compute_budget::ComputeBudget;
use super::params::{Known, Params};
use super::v6::{Parse, ReadQuery, ReadRequest, ReadSettings};
use super::{ApiError, BREAKDOWNS, LISTS, ROUTES, openapi};
use crate::store::Snapshot;
use crate::vocabulary::MetricsTypeId;

/// What is asked about the events that a selection counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Which ones they are.
    Events,
    /// How many there are of each group, and what was measured of them.
    Breakdown,
}

/// A query parameter of a question.
pub(crate) struct QuestionParameter {
    pub(crate) name: String,
    /// What it means, for people.
    pub(crate) description: String,
    /// The only values that it may have for any metrics type; empty if they are not just a few words.
    pub(crate) words: Vec<String>,
    /// Whether it may be given several times.
    pub(crate) is_repeated: bool,
    /// Whether any text may be its value.
    pub(crate) is_text: bool,
    pub(crate) is_required: bool,
}

impl Question {
    /// The path of the endpoint for a metrics type.
    pub(crate) fn path(self, metrics: MetricsTypeId) -> String {
        let path = match self {
            Self::Events => LISTS,
            Self::Breakdown => BREAKDOWNS,
        };
        path.replace("{name}", metrics.describe().name)
    }

    /// Whether a query parameter has a meaning for a metrics type.
    pub(crate) fn knows(self, metrics: MetricsTypeId, parameter: &str) -> bool {
        self.known(metrics).has(parameter)
    }

    fn known(self, metrics: MetricsTypeId) -> &'static Known {
        ROUTES.get(&self.path(metrics)).and_then(Option::as_ref).expect("every endpoint has a description")
    }

    /// The query parameters that the description of the endpoint has, in its order.
    pub(crate) fn parameters(self) -> Vec<QuestionParameter> {
        let describe: fn() -> PathItem = match self {
            Self::Events => openapi::events,
            Self::Breakdown => openapi::breakdown,
        };
        let parameters = describe().get.and_then(|operation| operation.parameters).unwrap_or_default();
        let of_query = parameters.into_iter().filter(|parameter| parameter.parameter_in == ParameterIn::Query);
        of_query.map(QuestionParameter::from).collect()
    }

    /// The body of the answer, from one state of a store. Links begin at the root of the host.
    pub(crate) fn answer(
        self,
        metrics: MetricsTypeId,
        query: &str,
        snapshot: &Snapshot,
        settings: &ReadSettings,
    ) -> Result<Vec<u8>, ApiError> {
        let parse: Parse = match self {
            Self::Events => ReadQuery::events,
            Self::Breakdown => ReadQuery::breakdown,
        };
        let request = ReadRequest {
            metrics: metrics.describe_in(settings.catalog),
            params: &Params::parse(query, self.known(metrics))?,
            definitions: snapshot.definitions(),
            settings,
            address: &|| self.path(metrics),
        };
        let answer = parse(&request)?.answer(snapshot, ComputeBudget::unlimited())?;
        Ok(answer.into_body())
    }
}

impl From<Parameter> for QuestionParameter {
    fn from(parameter: Parameter) -> Self {
        let mut schema = parameter.schema;
        let mut is_repeated = false;
        if let Some(RefOr::T(Schema::Array(array))) = schema {
            is_repeated = true;
            schema = if let ArrayItems::RefOrSchema(each) = array.items { Some(*each) } else { None };
        }
        let (is_text, words) = match schema {
            Some(RefOr::T(Schema::Object(object))) => {
                (object.enum_values.is_none(), object.enum_values.unwrap_or_default())
            }
            _ => (false, Vec::new()),
        };
        Self {
            name: parameter.name,
            description: parameter.description.unwrap_or_default(),
            words: words.iter().filter_map(|word| Some(word.as_str()?.to_owned())).collect(),
            is_repeated,
            is_text,
            is_required: parameter.required == Required::True,
        }
    }
}
