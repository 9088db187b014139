//! `GET /v6/metrics/`: all metrics types.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::MetricsTypeView;
use crate::access::Scope;
use crate::api::page::{Links, PageRequest, address};
use crate::api::{ApiError, Content, State, answer, parameters};
use crate::catalog::CATALOG;

pub(in crate::api) async fn list(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    state.allow(&request, Scope::Read)?;
    let params = parameters(&request)?;
    let page = PageRequest::parse(&params)?;
    let types = page.slice(&CATALOG)?.iter().map(MetricsTypeView::from).collect();
    let links = || Links::new(address(&request, state.address), &params);
    let body = page.wrap(types, CATALOG.len(), links);
    Ok(answer(&request, Content::json(&body)))
}
