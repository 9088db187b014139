//! `GET /v6/metrics/{name}/`: one metrics type with its choices.

use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::MetricsTypeView;
use super::question::{Asked, respond};
use crate::api::answer::{Answer, Content};
use crate::api::answers::Room;
use crate::api::params::Params;
use crate::api::{ApiError, State};
use crate::catalog::{MetricsType, MetricsTypeId};
use crate::events::{ChoiceId, Choices};
use crate::store::Snapshot;

/// More choices are listed off the async threads.
const FEW_CHOICES: usize = 100;

pub(in crate::api) async fn details(
    metrics: &'static MetricsType,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    respond(metrics, &request, &state, |asked| Ok(Question::of(asked))).await
}

/// What a request means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    metrics: MetricsTypeId,
    /// The choices that pass the filters; `None` for all.
    choices: Option<Vec<ChoiceId>>,
    is_small: bool,
}

impl Question {
    fn of(asked: &Asked<'_>) -> Self {
        let (metrics, all) = (asked.metrics, asked.snapshot.definitions());
        let choices = filtered(metrics, asked.params, all);
        let count = choices.as_ref().map_or_else(|| all.count(metrics.id), Vec::len);
        Self { metrics: metrics.id, choices, is_small: count <= FEW_CHOICES }
    }

    /// How much memory it takes, in bytes, about.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.choices.as_ref().map_or(0, Vec::len) * size_of::<ChoiceId>()
    }

    /// Whether answering takes so little time that an async thread may do it.
    pub(super) fn is_small(&self) -> bool {
        self.is_small
    }

    /// Lists the choices, in the order of their ids.
    pub(super) fn answer(&self, snapshot: &Snapshot, mut room: Room) -> Result<Answer, ApiError> {
        let all = Arc::clone(snapshot.definitions());
        let view = MetricsTypeView::from(self.metrics.describe());
        let mut body = serde_json::to_vec(&view).expect("a view is plain texts");
        // Behind the other fields of the object.
        body.pop();
        body.extend_from_slice(br#","choices":["#);
        let ids = self.choices.as_ref().map_or_else(|| all.ids(self.metrics), Clone::clone);
        for choice in ids.into_iter().filter_map(|id| all.selectable(self.metrics, id)) {
            serde_json::to_writer(&mut body, &choice).expect("a choice is plain texts, numbers and bools");
            body.push(b',');
            room.hold(body.capacity())?;
        }
        if body.last() == Some(&b',') {
            body.pop();
        }
        body.extend_from_slice(b"]}");
        body.shrink_to_fit();
        room.keep(Content { media_type: "application/json", body })
    }
}

/// The choices that pass the filters of their type, if any is given, ordered by id: values of one filter are alternatives,
/// different filters must all hold.
pub(super) fn filtered(metrics: &MetricsType, params: &Params<'_>, choices: &Choices) -> Option<Vec<ChoiceId>> {
    let mut passed: Option<Vec<ChoiceId>> = None;
    for &filter in metrics.filters {
        let values = params.distinct(filter);
        if !values.is_empty() {
            // A choice has one value of each filter, so none is found twice.
            let found = values.iter().flat_map(|value| choices.found_by(metrics.id, filter, value));
            let mut found: Vec<_> = found.collect();
            found.sort_unstable();
            passed = Some(match passed {
                Some(passed) => intersection(&passed, &found),
                None => found,
            });
        }
    }
    passed
}

/// The ids that stand in both of two ordered lists.
pub(super) fn intersection(one: &[ChoiceId], other: &[ChoiceId]) -> Vec<ChoiceId> {
    let mut other = other.iter().peekable();
    let stands_there = |id: &&ChoiceId| {
        while other.next_if(|next| next < id).is_some() {}
        other.peek() == Some(id)
    };
    one.iter().filter(stands_there).copied().collect()
}
