//! What the server says of itself.

use utoipa::openapi::{HttpMethod, Object, PathItem, Schema, Type};

use super::parts::{answer, kept, operation, reference};
use crate::api::health::{Health, NotReady};

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

/// `GET /v6/openapi.json`
pub(in crate::api) fn document() -> PathItem {
    let operation = operation(TAG, "getDocument", "This document", "`/v6/docs/` shows it to people.");
    let ok = answer("It.", [("application/json", Schema::from(Object::with_type(Type::Object)).into())]);
    PathItem::new(HttpMethod::Get, kept(operation, ok))
}
