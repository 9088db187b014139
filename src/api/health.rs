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
    match state.trouble.lock().clone() {
        None => HttpResponse::Ok().json(json!({ "status": "ready" })),
        Some(reason) => HttpResponse::ServiceUnavailable()
            .json(json!({ "status": "not ready", "detail": reason, "reasons": [reason] })),
    }
}
