//! `DELETE /v6/events/{kind}/{id}/` and `POST /v6/events/delete/`: take events out, with every number corrected, in one synced commit.
//!
//! A deletion goes the way of a posted event: through the queue, in the order of the requests, all of a request or nothing.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::get_event::key_of_path;
use super::post_events::{Form, receive_body, store};
use super::{ApiError, State, off_thread};
use crate::access::Scope;
use crate::events::request::Invalid;
use crate::events::wire::{MAX_PROBLEMS, Problem};
use crate::events::{EventKey, Object};
use crate::memory::Lease;
use crate::vocabulary::{EventKind, MAX_ID};
use crate::worker::Receipt;

/// How many times larger than its text a body may be while it is read: the shortest keys are the worst.
const READ_FACTOR: usize = 12;

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
    lease.hold_patiently(body.len().saturating_mul(READ_FACTOR)).await?;
    let most = state.max_body_bytes;
    let (objects, mut lease) = off_thread(move || (read(form, &body, most, &mut lease), lease)).await?;
    let objects = objects?;
    lease.shrink(objects.iter().map(Object::memory).sum());
    let Receipt { deleted, missing, .. } =
        if objects.is_empty() { Receipt::default() } else { store(&state, objects, lease).await? };
    Ok(HttpResponse::Ok().json(Deleted { deleted, missing: Some(missing) }))
}

/// Reads the keys of a body, which is a list of objects, a single one, or one a line.
fn read(form: Form, body: &[u8], most: usize, lease: &mut Lease) -> Result<Vec<Object>, ApiError> {
    let plain = form.unpack(body, most, lease)?;
    lease.hold(body.len() + plain.len().saturating_mul(READ_FACTOR))?;
    let values = if form.lines {
        let lines = plain.split(|&byte| byte == b'\n').zip(1..);
        let lines = lines.filter(|(line, _)| !line.trim_ascii().is_empty());
        let value = |(line, number): (&[u8], usize)| {
            serde_json::from_slice(line)
                .map_err(|error| ApiError::BadBody(format!("line {number} is not JSON: {error}")))
        };
        lines.map(value).collect::<Result<Vec<Value>, _>>()?
    } else {
        match serde_json::from_slice(&plain) {
            Ok(Value::Array(values)) => values,
            Ok(value) => vec![value],
            Err(error) => return Err(ApiError::BadBody(format!("the body is not JSON: {error}"))),
        }
    };
    let mut objects = Vec::with_capacity(values.len());
    let mut refusal = Invalid { invalid: 0, total: values.len(), problems: Vec::new() };
    for (index, value) in values.iter().enumerate() {
        match key(value) {
            Ok(key) => objects.push(Object::Deletion(key)),
            Err(problem) => {
                refusal.invalid += 1;
                if refusal.problems.len() < MAX_PROBLEMS {
                    refusal.problems.push((index, problem));
                }
            }
        }
    }
    if refusal.invalid == 0 { Ok(objects) } else { Err(refusal.into()) }
}

/// Reads the key of an event: `{"kind", "id"}`.
fn key(value: &Value) -> Result<EventKey, Problem> {
    let problem = |field: Option<&str>, detail: String| Problem { field: field.map(str::to_owned), detail };
    let object = value.as_object().ok_or_else(|| problem(None, "must be an object with kind and id".to_owned()))?;
    if let Some(other) = object.keys().find(|field| !["kind", "id"].contains(&field.as_str())) {
        return Err(problem(Some(other), "is not a field of a key; kind and id are".to_owned()));
    }
    let kind = object.get("kind").and_then(Value::as_str).and_then(EventKind::from_name);
    let kind = kind.ok_or_else(|| problem(Some("kind"), format!("must be one of: {}", EventKind::names())))?;
    let id = object.get("id").and_then(Value::as_u64).filter(|id| (1..=MAX_ID).contains(id));
    let id = id.ok_or_else(|| problem(Some("id"), format!("must be an integer from 1 to {MAX_ID}")))?;
    Ok(EventKey { kind, id })
}
