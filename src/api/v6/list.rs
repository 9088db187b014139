//! `GET /v6/metrics/`: all metrics types.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::MetricsTypeView;
use crate::access::Scope;
use crate::api::page::{Head, Links, PageRequest};
use crate::api::{ApiError, Content, State, answer, parameters};

/// A page of metrics types.
#[derive(Serialize)]
struct TypesView {
    #[serde(flatten)]
    head: Head,
    results: Vec<MetricsTypeView>,
}

pub(in crate::api) async fn list(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    state.allow(&request, Scope::Read)?;
    let params = parameters(&request)?;
    let page = PageRequest::parse(&params)?;
    let results = page.slice(state.reads.catalog)?.iter().map(MetricsTypeView::from).collect();
    let head = page.head(state.reads.catalog.len(), || Links::new(state.public_urls.of(&request), &params));
    Ok(answer(&request, Content::json(&TypesView { head, results })))
}
