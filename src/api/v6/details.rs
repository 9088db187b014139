//! `GET /v6/metrics/{name}/`: one metrics type with its choices.

use std::sync::Arc;

use super::MetricsTypeView;
use super::request::ReadRequest;
use super::selection::filtered;
use crate::api::ApiError;
use crate::api::answer::{Answer, Content};
use crate::api::compute_budget::ComputeBudget;
use crate::catalog::MetricsType;
use crate::store::Snapshot;
use crate::vocabulary::ChoiceId;

/// Up to this many choices are listed on the async thread; more are listed off the async threads.
const FEW_CHOICES: usize = 100;

/// The meaning of a request. Requests with the same meaning are equal values, however they are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DetailsQuery {
    metrics: &'static MetricsType,
    /// The choices that pass the filters; `None` for all.
    choices: Option<Vec<ChoiceId>>,
    is_small: bool,
}

impl DetailsQuery {
    /// Parses the parameters of a request.
    pub(super) fn parse(request: &ReadRequest<'_>) -> Self {
        let (metrics, all) = (request.metrics, request.definitions);
        let choices = filtered(metrics, request.params, all);
        let count = choices.as_ref().map_or_else(|| all.count(metrics.id), Vec::len);
        Self { metrics, choices, is_small: count <= FEW_CHOICES }
    }

    /// The approximate memory of the query, in bytes.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.choices.as_ref().map_or(0, Vec::len) * size_of::<ChoiceId>()
    }

    /// Whether the answer takes so little time that an async thread may compute it.
    pub(super) fn is_small(&self) -> bool {
        self.is_small
    }

    /// Returns the metrics type with its choices, in the order of their ids.
    pub(super) fn answer(&self, snapshot: &Snapshot, mut budget: ComputeBudget) -> Result<Answer, ApiError> {
        let all = Arc::clone(snapshot.definitions());
        let view = MetricsTypeView::from(self.metrics);
        let mut body = serde_json::to_vec(&view).expect("a view is plain texts");
        // The choices come after the other fields of the object.
        body.pop();
        body.extend_from_slice(br#","choices":["#);
        let ids = self.choices.as_ref().map_or_else(|| all.ids(self.metrics.id), Clone::clone);
        for choice in ids.into_iter().filter_map(|id| all.selectable(self.metrics.id, id)) {
            serde_json::to_writer(&mut body, &choice).expect("a choice is plain texts, numbers and bools");
            body.push(b',');
            budget.hold(body.capacity())?;
        }
        if body.last() == Some(&b',') {
            body.pop();
        }
        body.extend_from_slice(b"]}");
        body.shrink_to_fit();
        budget.keep(Content { media_type: "application/json", body })
    }
}
