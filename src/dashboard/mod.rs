//! The web pages: `GET /` is the overview, `GET /explorer/` is the explorer for any columns, `GET /v6/docs/` describes the API.
//! The pages use the same endpoints as other clients, and have no build step: the files of this directory are sent as they are,
//! except for `{root}`.
//!
//! All addresses are relative, so that the pages work behind a proxy that puts a prefix before every path. In HTML, `{root}`
//! stands for the relative path from the page to the root. Scripts compute the root from their own address (`api.js`).

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse};

use crate::api::{Content, PAGES, answer, readable, root_from, slashless};

/// The content security policy. It allows only what this server sends, nothing inline, and no other host. A picture is part of
/// the page that asked for it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// The assets: path, media type and text. Overview and explorer are one page, which chooses the view by its address.
const ASSETS: [(&str, &str, &str); 20] = [
    ("/", HTML, include_str!("page.html")),
    ("/explorer/", HTML, include_str!("page.html")),
    ("/favicon.svg", PICTURE, include_str!("favicon.svg")),
    ("/assets/page.css", CSS, include_str!("page.css")),
    ("/assets/main.js", SCRIPT, include_str!("main.js")),
    ("/assets/overview.js", SCRIPT, include_str!("overview.js")),
    ("/assets/elsewhere.js", SCRIPT, include_str!("elsewhere.js")),
    ("/assets/explorer.js", SCRIPT, include_str!("explorer.js")),
    ("/assets/chart.js", SCRIPT, include_str!("chart.js")),
    ("/assets/picker.js", SCRIPT, include_str!("picker.js")),
    ("/assets/range.js", SCRIPT, include_str!("range.js")),
    ("/assets/trend.js", SCRIPT, include_str!("trend.js")),
    ("/assets/shell.js", SCRIPT, include_str!("shell.js")),
    ("/assets/state.js", SCRIPT, include_str!("state.js")),
    ("/assets/api.js", SCRIPT, include_str!("api.js")),
    ("/assets/format.js", SCRIPT, include_str!("format.js")),
    ("/assets/dom.js", SCRIPT, include_str!("dom.js")),
    ("/v6/docs/", HTML, include_str!("docs.html")),
    ("/assets/docs.css", CSS, include_str!("docs.css")),
    ("/assets/docs.js", SCRIPT, include_str!("docs.js")),
];

/// Adds the routes of the pages and their assets.
pub(crate) fn routes(config: &mut ServiceConfig) {
    for (path, media_type, text) in ASSETS {
        let text: Arc<str> =
            if media_type == HTML { text.replace("{root}", &root_from(path)).into() } else { text.into() };
        let serve = move |request: HttpRequest| {
            let text = Arc::clone(&text);
            async move { asset(&request, media_type, &text) }
        };
        config.service(readable(path, serve));
    }
    for page in PAGES.into_iter().filter(|page| *page != "/") {
        config.service(slashless(page));
    }
}

fn asset(request: &HttpRequest, media_type: &'static str, text: &str) -> HttpResponse {
    let mut response = answer(request, Content { media_type, body: text.as_bytes().to_vec() });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}
