//! `GET /v6/metrics/{name}/`: one metrics type with its choices.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::MetricsTypeView;
use crate::access::Scope;
use crate::api::answer::{Answer, Content};
use crate::api::params::Params;
use crate::api::{ApiError, State, read_off_thread};
use crate::catalog::MetricsType;
use crate::events::choice::Selectable;
use crate::events::{ChoiceId, Choices};

#[derive(Serialize)]
struct DetailsView {
    #[serde(flatten)]
    metrics: MetricsTypeView,
    choices: Vec<Selectable>,
}

pub(in crate::api) async fn details(
    metrics: &'static MetricsType,
    request: HttpRequest,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    state.allow(&request, Scope::Read)?;
    let query = request.query_string().to_owned();
    let answer = read_off_thread(&state, move |state| {
        let choices = Arc::clone(state.store.snapshot()?.choices());
        let choices = match filtered(metrics, &Params::parse(&query), &choices) {
            Some(ids) => ids.into_iter().filter_map(|id| choices.selectable(metrics.id, id)).collect(),
            None => choices.of(metrics.id),
        };
        Ok(Answer::new(Content::json(&DetailsView { metrics: metrics.into(), choices }), None))
    });
    state.answers.send(&request, Arc::new(answer.await?)).await
}

/// The choices that pass the filters of their type, if any is given: values of one filter are alternatives, different
/// filters must all hold.
pub(super) fn filtered(metrics: &MetricsType, params: &Params<'_>, choices: &Choices) -> Option<BTreeSet<ChoiceId>> {
    let mut passed: Option<BTreeSet<ChoiceId>> = None;
    for &filter in metrics.filters {
        let mut values = params.all(filter).peekable();
        if values.peek().is_some() {
            let found: BTreeSet<_> = values.flat_map(|value| choices.found_by(metrics.id, filter, value)).collect();
            passed = Some(match passed {
                Some(passed) => passed.intersection(&found).copied().collect(),
                None => found,
            });
        }
    }
    passed
}
