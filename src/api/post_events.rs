//! `POST /v6/events/`: reads, unpacks and parses a body, and hands the request to the rollup task.
//!
//! A body has four bounds: its size as it arrives, its unpacked size, the time that the server waits for the client, and the
//! minimum transfer rate. All
//! requests together are bounded by the memory that they hold, from the first byte on; if there is no room, a request waits for
//! it. If a body is refused while the client still sends, the server reads on for a while and discards the bytes, so that the
//! client gets to see the answer.

use std::borrow::Cow;
use std::io::Read;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::rt::time::timeout;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::connection::Phase;
use super::{ApiError, State};
use crate::access::Scope;
use crate::events::request::Draft;
use crate::events::wire::{self, NotJson};
use crate::events::{Object, future};
use crate::gunzip::Gunzip;
use crate::memory::{Full, Lease};
use crate::worker::{Receipt, Request, WriteFailed};

/// How long a client that sends a refused body may pause before it gets its answer.
const DRAIN_PAUSE: Duration = Duration::from_millis(500);
/// Grace period before the minimum transfer rate applies.
const SLOW_START: Duration = Duration::from_secs(30);
/// Bodies up to this size are parsed on the async thread; larger ones off the async threads.
const SMALL_BYTES: usize = 32 << 10;
/// Bodies larger than this take much memory, so parsing one needs a permit of [`State::readers`].
const LARGE_BYTES: usize = 1 << 20;
/// How many times larger a packed body usually is when it is unpacked.
const USUAL_PACKING: usize = 16;

/// The divisor of the spare capacity: the buffer of an arriving body has at most a quarter more than the bytes that it needs.
const SPARE_PART: usize = 4;

/// How many bytes are unpacked at a time.
pub(super) const UNPACK_STEP: usize = 64 << 10;

/// What became of the objects of a body.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names that clients see")]
pub(super) struct Accepted {
    /// How many objects the body had; the sum of the rest.
    accepted: u64,
    /// How many were new.
    created: u64,
    /// How many replaced another content.
    updated: u64,
    /// How many were there already.
    unchanged: u64,
    /// How many were older than what was there, and so ignored.
    stale: u64,
    /// How many are events that end more than five minutes after the server's now, as where a clock or a time zone is wrong; left
    /// out if there are none.
    #[serde(skip_serializing_if = "is_zero")]
    future: u64,
}

impl Accepted {
    fn new(receipt: Receipt, future: u64) -> Self {
        let Receipt { created, updated, unchanged, stale, .. } = receipt;
        Self { accepted: receipt.accepted(), created, updated, unchanged, stale, future }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Stores the objects of a body, all or none. The answer is sent when they are synced to disk and every read shows them, so
/// `?wait=true` does not have to wait any longer.
pub(super) async fn post(
    head: HttpRequest,
    mut payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, ApiError> {
    let mut lease = state.queue.lease();
    let (form, body) = receive_body(&head, &mut payload, &state, &mut lease, || check_wait(&head)).await?;
    state.wait_until_open().await?;
    let (objects, lease) = read_when_there_is_room(&state, form, Purpose::Store, body, lease).await?;
    if objects.is_empty() {
        return Ok(HttpResponse::Ok().json(Accepted::new(Receipt::default(), 0)));
    }
    let future = future::count(&objects, state.reads.clock.now());
    let receipt = store(&state, objects, lease).await?;
    state.figures.future.inc_by(future);
    Ok(HttpResponse::Ok().json(Accepted::new(receipt, future)))
}

/// Hands objects to the rollup task. Returns what became of them when that is synced to disk.
pub(super) async fn store(state: &State, objects: Vec<Object>, lease: Lease) -> Result<Receipt, ApiError> {
    let (reply, answer) = oneshot::channel();
    state.queue.push(Request { objects, lease, reply })?;
    Ok(answer.await.unwrap_or(Err(WriteFailed::Unavailable))?)
}

/// Receives the body of a request whose token may write, unless `check` refuses the request. After a refusal, the rest of the body is
/// read and thrown away for a while, so that the client gets to see the answer.
pub(super) async fn receive_body(
    head: &HttpRequest,
    payload: &mut Payload,
    state: &Data<State>,
    lease: &mut Lease,
    check: impl FnOnce() -> Result<(), ApiError>,
) -> Result<(Form, Vec<u8>), ApiError> {
    let phase = head.conn_data::<Phase>();
    let wanted = match wanted(head, state, check) {
        // The client sends no body unless the server asks for it, so there is nothing to read.
        Err(error) if phase.is_some_and(Phase::expects_continue) => return Err(error),
        wanted => wanted,
    };
    // The connection passes on the bytes of the body until all of it has arrived, or until nothing waits for it any more.
    let is_chunked = head.headers().contains_key(header::TRANSFER_ENCODING);
    phase.inspect(|phase| phase.receive((!is_chunked).then(|| announced(head).unwrap_or(0))));
    let received = match wanted {
        Ok(form) => receive(head, form, payload, state, lease).await.map(|body| (form, body)),
        Err(error) => Err(error),
    };
    match received {
        Ok(received) => {
            phase.inspect(|phase| phase.received());
            Ok(received)
        }
        Err(error) => {
            *lease = state.queue.lease();
            if !matches!(error, ApiError::BodyTimeout(_) | ApiError::BodyTooSlow(_)) {
                drain(payload, state).await;
            }
            Err(error)
        }
    }
}

/// The values of `wait`. Both mean the same: the answer is sent when every read shows the objects.
pub(super) const WAITS: &[(&str, bool)] = &[("true", true), ("false", false)];

/// Refuses a `wait` that is not one of [`WAITS`].
fn check_wait(head: &HttpRequest) -> Result<(), ApiError> {
    super::parameters(head)?.word("wait", WAITS).map(|_| ())
}

/// Decides by the head alone whether the body is wanted. Returns the form of the body, or the reason to refuse it.
fn wanted(head: &HttpRequest, state: &State, check: impl FnOnce() -> Result<(), ApiError>) -> Result<Form, ApiError> {
    state.allow_writing(head, Scope::Write)?;
    check()?;
    let form = Form::of(head)?;
    let most = form.most_bytes(state.max_body_bytes);
    if announced(head).is_some_and(|length| length > most as u64) {
        return Err(ApiError::BodyTooLarge(state.max_body_bytes));
    }
    Ok(form)
}

/// Parses the objects of a body. If there is no room for all of them, waits for it and parses them again. In the end, the lease
/// holds the memory of the objects.
pub(super) async fn read_when_there_is_room(
    state: &Data<State>,
    form: Form,
    purpose: Purpose,
    mut body: Vec<u8>,
    mut lease: Lease,
) -> Result<(Vec<Object>, Lease), ApiError> {
    let is_small = body.len() <= SMALL_BYTES && !form.gzip;
    let is_large = body.len() > if form.gzip { LARGE_BYTES / USUAL_PACKING } else { LARGE_BYTES };
    loop {
        let draft = state.looks.take().await?.state.draft();
        let attempt = {
            let state = state.clone();
            move || (read(&state, draft, (form, purpose), &body, &mut lease), body, lease)
        };
        let read;
        (read, body, lease) = if is_small {
            attempt()
        } else {
            // The semaphore is never closed.
            let _turn = if is_large { state.readers.acquire().await.ok() } else { None };
            super::off_thread(attempt).await?
        };
        match read {
            Err(ApiError::Full(Full { wanted })) => {
                lease.shrink(body.len());
                lease.hold_patiently(wanted).await?;
            }
            read => {
                let objects = read?;
                drop(body);
                lease.shrink(objects.iter().map(Object::memory).sum());
                return Ok((objects, lease));
            }
        }
    }
}

/// Parses the objects of a body. Meanwhile, the lease holds the memory of the body, of the unpacked body and of the objects.
fn read(
    state: &State,
    draft: Draft,
    (form, purpose): (Form, Purpose),
    body: &[u8],
    lease: &mut Lease,
) -> Result<Vec<Object>, ApiError> {
    let plain = form.unpack(body, state.max_body_bytes, lease)?;
    let mut draft = draft.keeping_from(state.retention.first_day());
    let held = body.len() + if let Cow::Owned(plain) = &plain { plain.capacity() } else { 0 };
    let (mut memory, mut room) = (0, Ok(()));
    form.read(purpose, &plain, |object| {
        memory += object.as_ref().map_or(0, Object::memory);
        if room.is_ok() && held + memory > lease.bytes() {
            room = lease.hold(held + memory + memory / 4);
        }
        if room.is_ok() {
            draft.take(object);
        }
    })?;
    room?;
    draft.finish().inspect_err(|invalid| state.figures.invalid.inc_by(invalid.invalid as u64)).map_err(ApiError::from)
}

/// What shall become of the objects of a body.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// They are stored.
    Store,
    /// They are the keys of events which are deleted.
    Delete,
}

/// The format and the compression of a body.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) gzip: bool,
    pub(super) lines: bool,
}

impl Form {
    fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        // A header that is given more than once is a list.
        let header = |name| {
            let values = request.headers().get_all(name).map(|value| value.to_str().unwrap_or("?").trim());
            values.collect::<Vec<_>>().join(", ").to_ascii_lowercase()
        };
        let content_type = header(header::CONTENT_TYPE);
        let lines = match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json" => false,
            "application/x-ndjson" => true,
            _ => {
                let detail = format!("content type {content_type:?} is not application/json or application/x-ndjson");
                return Err(ApiError::UnsupportedMedia(detail));
            }
        };
        let gzip = match header(header::CONTENT_ENCODING).as_str() {
            "" | "identity" => false,
            "gzip" | "x-gzip" => true,
            other => {
                return Err(ApiError::UnsupportedMedia(format!("content encoding {other:?} is not gzip or identity")));
            }
        };
        Ok(Self { gzip, lines })
    }

    /// The most bytes that a body may have as it arrives, if it may have `limit` unpacked.
    fn most_bytes(self, limit: usize) -> usize {
        // A body that does not compress gets a little larger when it is packed. The unpacked bytes are counted again later.
        if self.gzip { limit.saturating_add(limit / 100 + 1024) } else { limit }
    }

    /// Returns the plain bytes of a body. Never unpacks much more than `limit`, or than there is room for.
    pub(super) fn unpack<'a>(self, body: &'a [u8], limit: usize, lease: &mut Lease) -> Result<Cow<'a, [u8]>, ApiError> {
        if !self.gzip {
            return Ok(Cow::Borrowed(body));
        }
        let mut plain = Vec::new();
        let mut unpacked = Gunzip::new(body);
        loop {
            // The buffer doubles its capacity. The lease holds the new capacity before the buffer gets it.
            if plain.capacity() - plain.len() < UNPACK_STEP {
                let capacity = (2 * plain.capacity()).clamp(2 * UNPACK_STEP, limit.saturating_add(2 * UNPACK_STEP));
                lease.hold(body.len() + capacity)?;
                plain.reserve_exact(capacity - plain.len());
            }
            let step = unpacked.by_ref().take(UNPACK_STEP as u64).read_to_end(&mut plain);
            if step.map_err(|error| ApiError::BadBody(format!("gzip: {error}")))? == 0 {
                return Ok(Cow::Owned(plain));
            }
            if plain.len() > limit {
                return Err(ApiError::BodyTooLarge(limit));
            }
        }
    }

    fn read(self, purpose: Purpose, body: &[u8], take: impl FnMut(wire::Read)) -> Result<(), NotJson> {
        match (purpose, self.lines) {
            (Purpose::Store, true) => wire::read_ndjson(body, take),
            (Purpose::Store, false) => wire::read_json(body, take),
            (Purpose::Delete, true) => wire::read_ndjson_keys(body, take),
            (Purpose::Delete, false) => wire::read_json_keys(body, take),
        }
    }
}

/// The length of a body in bytes, if its head has it.
fn announced(head: &HttpRequest) -> Option<u64> {
    head.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body within the configured size and time, as it arrives and as there is room for it. Only the time that the server
/// waits for the client counts.
async fn receive(
    head: &HttpRequest,
    form: Form,
    payload: &mut Payload,
    state: &State,
    lease: &mut Lease,
) -> Result<Vec<u8>, ApiError> {
    let most = form.most_bytes(state.max_body_bytes);
    let announced = announced(head).map_or(most, |length| usize::try_from(length).unwrap_or(most));
    let mut body = Vec::new();
    let mut waited = Duration::ZERO;
    loop {
        let began = Instant::now();
        let Some(chunk) = timely(state, body.len(), waited, next_chunk(payload)).await? else { return Ok(body) };
        waited += began.elapsed();
        let length = body.len() + chunk.len();
        if length > most {
            return Err(ApiError::BodyTooLarge(state.max_body_bytes));
        }
        lease.hold_patiently(length).await?;
        if length > body.capacity() {
            // Memory is reserved for bytes that have arrived, not for those that the client announces. A little spare capacity
            // keeps copying rare.
            let capacity = (length + length / SPARE_PART).min(announced).max(length);
            body.reserve_exact(capacity - body.len());
        }
        body.extend_from_slice(&chunk);
    }
}

/// Awaits `next`, the next chunk of a body, up to the deadline. `received` bytes of the body came so far, in the time `waited`.
async fn timely<T>(
    state: &State,
    received: usize,
    waited: Duration,
    next: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let late = ApiError::BodyTimeout(state.body_timeout.as_secs());
    let (until, error) = match NonZeroU64::new(state.body_least_bytes_s) {
        Some(least) if slow_until(received, least) < state.body_timeout => {
            (slow_until(received, least), ApiError::BodyTooSlow(least))
        }
        _ => (state.body_timeout, late),
    };
    timeout(until.saturating_sub(waited), next).await.unwrap_or(Err(error))
}

/// The time until which a body with `received` bytes is fast enough, if no more bytes arrive.
fn slow_until(received: usize, least: NonZeroU64) -> Duration {
    Duration::from_secs(received as u64 / least).max(SLOW_START)
}

/// Reads and discards the rest of a refused body for a while: a client that is still sending would not get to see the answer.
async fn drain(payload: &mut Payload, state: &State) {
    let drain = async { while let Ok(Ok(Some(_))) = timeout(DRAIN_PAUSE, next_chunk(payload)).await {} };
    // Whether the body has ended or timed out, the answer is sent now.
    let _ = timeout(state.body_timeout, drain).await;
}

async fn next_chunk(payload: &mut Payload) -> Result<Option<Bytes>, ApiError> {
    let chunk = payload.next().await.transpose();
    chunk.map_err(|error| {
        let is_cut_off = matches!(error, PayloadError::Incomplete(_));
        let cut_off = || "it ends too early, or its chunks are broken".to_owned();
        ApiError::BadBody(if is_cut_off { cut_off() } else { error.to_string() })
    })
}
