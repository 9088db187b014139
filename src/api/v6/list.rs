//! `GET /v6/metrics/`: all metrics types.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::MetricsTypeView;
use crate::access::Scope;
use crate::api::page::{Links, PageRequest};
use crate::api::params::Params;
use crate::api::{ApiError, Content, State, answer};
use crate::catalog::CATALOG;

pub(in crate::api) async fn list(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    state.allow(&request, Scope::Read)?;
    let params = Params::parse(request.query_string());
    let page = PageRequest::parse(&params)?;
    let types = page.slice(&CATALOG)?.iter().map(MetricsTypeView::from).collect();
    let body = page.wrap(types, CATALOG.len(), || Links::of(&request, state.address, &params));
    Ok(answer(&request, Content::json(&body)))
}
