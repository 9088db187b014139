//! `GET /`: the page for people. It reads the same endpoints as everybody else.

use actix_web::http::header;
use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse};

use crate::api::{Content, answer, readable};

/// Only what this server itself sends, nothing inline, no other host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// Adds the page and its assets.
pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .service(readable("/", page))
        .service(readable("/assets/dashboard.css", style))
        .service(readable("/assets/dashboard.js", script));
}

async fn page(request: HttpRequest) -> HttpResponse {
    asset(&request, "text/html; charset=utf-8", include_str!("dashboard.html"))
}

async fn style(request: HttpRequest) -> HttpResponse {
    asset(&request, "text/css; charset=utf-8", include_str!("dashboard.css"))
}

async fn script(request: HttpRequest) -> HttpResponse {
    asset(&request, "text/javascript; charset=utf-8", include_str!("dashboard.js"))
}

fn asset(request: &HttpRequest, media_type: &'static str, text: &'static str) -> HttpResponse {
    let mut response = answer(request, Content { media_type, body: text.as_bytes().to_vec() });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
