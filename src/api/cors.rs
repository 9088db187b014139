//! Which other pages may use the server from a browser.

use actix_cors::Cors;
use actix_web::http::{Method, header};
use actix_web::middleware::Condition;

use super::export::TOTAL_COUNT;
use super::observe::REQUEST_ID;
use super::params::IGNORED_PARAMETERS;
use crate::config::WebOrigin;

/// How long a browser may remember what it was told, in seconds.
const REMEMBER_S: usize = 600;

/// Lets pages of these origins use the server; without any, browsers hear nothing of it.
pub(crate) fn cors(origins: &[WebOrigin]) -> Condition<Cors> {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::IF_NONE_MATCH,
            REQUEST_ID,
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER, REQUEST_ID, TOTAL_COUNT, IGNORED_PARAMETERS])
        // A refusal comes from the browser; what asks without one is none of its business.
        .block_on_origin_mismatch(false)
        .max_age(REMEMBER_S);
    let cors = origins.iter().fold(cors, |cors, origin| match origin.as_str() {
        "*" => cors.allow_any_origin(),
        origin => cors.allowed_origin(origin),
    });
    Condition::new(!origins.is_empty(), cors)
}
