//! `GET /` and `GET /v6/docs/`: the pages for people, the numbers and the interface. They read the same endpoints as
//! everybody else.

use actix_web::http::header;
use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse};

use crate::api::{Content, answer, readable, slashless};

/// Only what this server itself sends, nothing inline, no other host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

const DOCS: &str = "/v6/docs/";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What is sent: the path, the media type, the text.
const ASSETS: [(&str, &str, &str); 6] = [
    ("/", HTML, include_str!("dashboard.html")),
    ("/assets/dashboard.css", CSS, include_str!("dashboard.css")),
    ("/assets/dashboard.js", SCRIPT, include_str!("dashboard.js")),
    (DOCS, HTML, include_str!("docs.html")),
    ("/assets/docs.css", CSS, include_str!("docs.css")),
    ("/assets/docs.js", SCRIPT, include_str!("docs.js")),
];

/// Adds the pages and their assets.
pub(crate) fn routes(config: &mut ServiceConfig) {
    for (path, media_type, text) in ASSETS {
        config.service(readable(path, async move |request| asset(&request, media_type, text)));
    }
    config.service(slashless(DOCS));
}

fn asset(request: &HttpRequest, media_type: &'static str, text: &'static str) -> HttpResponse {
    let mut response = answer(request, Content { media_type, body: text.as_bytes().to_vec() });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
