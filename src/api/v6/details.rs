//! `GET /v6/metrics/{name}/`: one metrics type with its choices.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::MetricsTypeView;
use crate::api::params::Params;
use crate::api::{ApiError, Content, State, answer, blocking};
use crate::catalog::{self, MetricsType};
use crate::events::choice::Selectable;

#[derive(Serialize)]
struct DetailsView {
    #[serde(flatten)]
    metrics: MetricsTypeView,
    choices: Vec<Selectable>,
}

pub(in crate::api) async fn details(
    request: HttpRequest,
    name: Path<String>,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let metrics = catalog::metrics_type(&name).ok_or(ApiError::NotFound)?;
    let query = request.query_string().to_owned();
    let content = blocking(state, move |state| {
        let choices = state.store.snapshot()?.choices()?;
        let choices = matching(metrics, choices.of(metrics.id), &Params::parse(&query));
        Ok(Content::json(&DetailsView { metrics: metrics.into(), choices }))
    });
    Ok(answer(&request, content.await?))
}

/// The choices that pass the filters of their type: values of one filter are alternatives, different filters must all
/// hold.
pub(super) fn matching(metrics: &MetricsType, mut choices: Vec<Selectable>, params: &Params<'_>) -> Vec<Selectable> {
    for &filter in metrics.filters {
        let values: Vec<_> = params.all(filter).collect();
        if !values.is_empty() {
            choices.retain(|choice| choice.filter_value(filter).is_some_and(|value| values.contains(&value)));
        }
    }
    choices
}
