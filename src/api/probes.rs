//! Health checks: whether the process answers, and whether it can take writes.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::State;

/// How the server is, in a word.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// The process answers.
    Ok,
    /// It can take writes.
    Ready,
    /// It cannot.
    #[serde(rename = "not ready")]
    NotReady,
}

/// How the server is.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(inline)]
    status: Status,
}

/// Why the server cannot take writes.
#[derive(Serialize, ToSchema)]
pub(super) struct NotReady {
    #[schema(inline)]
    status: Status,
    /// The reasons, for people.
    detail: String,
    /// All reasons.
    #[schema(min_items = 1)]
    reasons: Vec<String>,
}

/// `GET /healthz`: `200` while the process answers.
pub(super) async fn alive() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: Status::Ok })
}

/// `GET /readyz`: `200` while the server can take writes, else `503` with the reasons.
pub(super) async fn ready(state: Data<State>) -> HttpResponse {
    let reasons = state.readiness.reasons();
    if reasons.is_empty() {
        HttpResponse::Ok().json(Health { status: Status::Ready })
    } else {
        let detail = reasons.join("; ");
        HttpResponse::ServiceUnavailable().json(NotReady { status: Status::NotReady, detail, reasons })
    }
}
