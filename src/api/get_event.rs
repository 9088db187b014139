//! `GET /v6/events/{kind}/{id}/`: one event, as it is stored.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::{ApiError, Content, State, answer, read_off_thread};
use crate::access::Scope;
use crate::events::EventKey;
use crate::vocabulary::{EventKind, MAX_ID};

pub(super) async fn event(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    state.allow(&request, Scope::Read)?;
    let key = key_of_path(&request)?;
    let event = read_off_thread(&state, move |state| Ok(state.store.snapshot()?.event(key)?)).await?;
    Ok(answer(&request, Content::json(&event.ok_or(ApiError::NotFound)?)))
}

/// The key of the event that a path names.
pub(super) fn key_of_path(request: &HttpRequest) -> Result<EventKey, ApiError> {
    let [kind, id] = ["kind", "id"].map(|part| request.match_info().query(part));
    let known = EventKind::from_name(kind);
    let kind =
        known.ok_or_else(|| ApiError::parameter("kind", kind, format!("it must be one of: {}", EventKind::names())))?;
    let is_integer = id.bytes().all(|byte| byte.is_ascii_digit());
    let number = id.parse().ok().filter(|number| is_integer && (1..=MAX_ID).contains(number));
    let number =
        number.ok_or_else(|| ApiError::parameter("id", id, format!("it must be an integer from 1 to {MAX_ID}")))?;
    Ok(EventKey { kind, id: number })
}
