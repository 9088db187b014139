//! `DELETE /v6/events/{kind}/{id}/` and `POST /v6/events/delete/`: take events out, with every number corrected, in one synced commit.
//!
//! A deletion goes the way of a posted event: through the queue, in the order of the requests, all of a request or nothing.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::get_event::key_of_path;
use super::post_events::{Purpose, read_when_there_is_room, receive_body, store};
use super::{ApiError, State};
use crate::access::Scope;
use crate::events::Object;
use crate::worker::Receipt;

/// What became of the events of a body.
#[derive(Serialize, ToSchema)]
pub(super) struct Deleted {
    /// How many were deleted.
    deleted: u64,
    /// How many were not there; left out where one event was named by its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64)]
    missing: Option<u64>,
}

/// Deletes the event that the path names.
pub(super) async fn one(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    state.allow_writing(&request, Scope::Write)?;
    let key = key_of_path(&request)?;
    state.wait_until_open().await?;
    let mut lease = state.queue.lease();
    lease.hold_patiently(Object::Deletion(key).memory()).await?;
    let Receipt { deleted, .. } = store(&state, vec![Object::Deletion(key)], lease).await?;
    if deleted == 0 {
        return Err(ApiError::NotFound);
    }
    Ok(HttpResponse::Ok().json(Deleted { deleted, missing: None }))
}

/// Deletes the events that a body names, all of them that are there.
pub(super) async fn many(
    head: HttpRequest,
    mut payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut lease = state.queue.lease();
    let (form, body) = receive_body(&head, &mut payload, &state, &mut lease, || Ok(())).await?;
    state.wait_until_open().await?;
    let (objects, lease) = read_when_there_is_room(&state, form, Purpose::Delete, body, lease).await?;
    let Receipt { deleted, missing, .. } =
        if objects.is_empty() { Receipt::default() } else { store(&state, objects, lease).await? };
    Ok(HttpResponse::Ok().json(Deleted { deleted, missing: Some(missing) }))
}
