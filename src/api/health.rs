//! Whether the process answers, and whether it can take writes.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use super::State;

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /readyz`: the server can take writes, or `503` with the reasons.
pub(super) async fn ready(state: Data<State>) -> HttpResponse {
    let reasons = state.readiness.reasons();
    if reasons.is_empty() {
        HttpResponse::Ok().json(json!({ "status": "ready" }))
    } else {
        let detail = reasons.join("; ");
        HttpResponse::ServiceUnavailable().json(json!({ "status": "not ready", "detail": detail, "reasons": reasons }))
    }
}
