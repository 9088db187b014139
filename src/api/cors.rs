//! CORS: which other web pages may use the server from a browser.

use actix_cors::Cors;
use actix_web::http::{Method, header};
use actix_web::middleware::Condition;

use super::get_export::TOTAL_COUNT;
use super::params::IGNORED_PARAMETERS;
use super::request_log::REQUEST_ID;
use crate::config::WebOrigin;

/// How many seconds a browser may cache the answer to a preflight request.
const REMEMBER_S: usize = 600;

/// Returns middleware that lets pages of these origins use the server. Without origins, no CORS headers are sent.
pub(crate) fn cors(origins: &[WebOrigin]) -> Condition<Cors> {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::IF_NONE_MATCH,
            REQUEST_ID,
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER, REQUEST_ID, TOTAL_COUNT, IGNORED_PARAMETERS])
        // The browser refuses answers to other origins. Clients that are not browsers are not affected.
        .block_on_origin_mismatch(false)
        .max_age(REMEMBER_S);
    let cors = origins.iter().fold(cors, |cors, origin| match origin.as_str() {
        "*" => cors.allow_any_origin(),
        origin => cors.allowed_origin(origin),
    });
    Condition::new(!origins.is_empty(), cors)
}
