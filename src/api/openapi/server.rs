//! Descriptions of the health, metrics, export and admin endpoints.

use actix_web::http::StatusCode;
use utoipa::openapi::{HttpMethod, Object, PathItem, Schema, Type};

use super::metrics::time_range;
use super::names::count;
use super::parts::{answer, header, kept, needs, operation, reference, refused, text};
use crate::access::Scope;
use crate::api::admin::Rebuilt;
use crate::api::probes::{Health, NotReady};

const TAG: &str = "server";

/// `GET /healthz`
pub(in crate::api) fn alive() -> PathItem {
    let operation = operation(TAG, "getHealth", "Whether the process answers", "For whoever restarts it if not.");
    let ok = answer("It does.", [("application/json", reference::<Health>())]);
    PathItem::new(HttpMethod::Get, operation.response("200", ok))
}

/// `GET /readyz`
pub(in crate::api) fn ready() -> PathItem {
    let operation = operation(TAG, "getReadiness", "Whether the server can take writes", "Reading works either way.");
    let ok = answer("It can.", [("application/json", reference::<Health>())]);
    let not_ready = answer("It cannot, and this is why.", [("application/json", reference::<NotReady>())]);
    PathItem::new(HttpMethod::Get, operation.response("200", ok).response("503", not_ready))
}

/// `GET /metrics`
pub(in crate::api) fn figures() -> PathItem {
    let operation = operation(TAG, "getFigures", "The server's own figures", "In the text format of Prometheus.");
    let ok = answer("The figures.", [("text/plain", Schema::from(text()).into())]);
    PathItem::new(
        HttpMethod::Get,
        refused(needs(operation.response("200", ok), Scope::Read), &[StatusCode::INTERNAL_SERVER_ERROR]),
    )
}

/// `GET /v6/export/`
pub(in crate::api) fn export() -> PathItem {
    let description = "All definitions, then all events, an object a line, as `POST /v6/events/` takes them: one state, \
                       whatever is written meanwhile.";
    let operation = operation(TAG, "exportEvents", "Everything that was posted", description);
    let ok = answer("The objects.", [("application/x-ndjson", Schema::from(text()).into())])
        .header("X-Total-Count", header("How many objects, and so lines, there are.", count()));
    let statuses = [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];
    PathItem::new(HttpMethod::Get, refused(needs(operation.response("200", ok), Scope::Admin), &statuses))
}

/// `POST /v6/admin/rebuild/`
pub(in crate::api) fn rebuild() -> PathItem {
    let description = "Computes the rollups of the days from `started` to `ended` anew from their events and stores those \
                       that are not right, in slices between requests. One runs at a time, `503` meanwhile. Nothing differs unless \
                       something is broken.";
    let operation = operation(TAG, "rebuildRollups", "Put the rollups of some days right", description);
    let ok = answer("What was found.", [("application/json", reference::<Rebuilt>())]);
    let operation = operation.parameters(Some(time_range())).response("200", ok);
    let statuses = [StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE];
    PathItem::new(HttpMethod::Post, refused(needs(operation, Scope::Admin), &statuses))
}

/// `GET /v6/openapi.json`
pub(in crate::api) fn document() -> PathItem {
    let operation = operation(TAG, "getDocument", "This document", "`/v6/docs/` shows it to people.");
    let ok = answer("It.", [("application/json", Schema::from(Object::with_type(Type::Object)).into())]);
    PathItem::new(HttpMethod::Get, kept(operation, ok))
}
