//! `GET /v6/export/`: all definitions and events of one state of the store, as NDJSON that `POST /v6/events/` accepts.
//!
//! The state is first copied to a file ([`crate::store::EventCopy`]), so that a slow client delays nothing. The answer is sent in
//! pieces; each piece is made when the client has taken the one before.

use std::io::{self, Write as _};
use std::sync::Arc;

use actix_web::body;
use actix_web::http::Method;
use actix_web::http::header::{self, ContentEncoding, HeaderName};
use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::wants_gzip;
use super::{ApiError, State};
use crate::access::Scope;
use crate::events::wire::{write_choices, write_event};
use crate::store::{EventCopy, StoreError};
use crate::telemetry::chain;

/// The most exports that may run at the same time: each takes space on the disk.
const MOST_EXPORTS: usize = 2;

/// Permits for exports.
pub(crate) struct Exports(Arc<Semaphore>);

impl Default for Exports {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_EXPORTS)))
    }
}

/// How many bytes of lines are made at a time.
const PIECE_BYTES: usize = 256 << 10;

const NDJSON: &str = "application/x-ndjson";

/// The header with the number of objects, and so of lines.
pub(super) const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

pub(super) async fn export(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    state.allow(&request, Scope::Admin)?;
    let is_packed = wants_gzip(&request);
    let mut response = HttpResponse::Ok();
    response
        .content_type(NDJSON)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, "accept-encoding"));
    if is_packed {
        response.insert_header(ContentEncoding::Gzip);
    }
    if request.method() == Method::HEAD {
        // A copy only to count the objects is too expensive. The length of the body is not given, as with `GET`.
        return Ok(response.body(body::None::new()));
    }
    // The copy is completed even if the client goes meanwhile, so the copying thread holds the permit, too.
    let permit = Arc::clone(&state.exports.0).try_acquire_owned().map_err(|_| ApiError::ManyExports)?;
    let permit = Arc::new(permit);
    let kept = Arc::clone(&permit);
    let copy = super::read_off_thread(&state, move |state| {
        let _kept = &kept;
        Ok(state.store.snapshot()?.copy(state.store.directory())?)
    });
    let copy = copy.await?;
    let mut lines = Vec::new();
    let choices = write_choices(&mut lines, copy.choices());
    let total = choices + copy.events();
    let packer = is_packed.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    let export = Export { copy, lines, packer, is_over: false, _permit: permit };
    let pieces = stream::unfold(Some(export), |export| async {
        let export = export?;
        match web::block(|| export.next()).await {
            Ok(Ok(next)) => next.map(|(piece, export)| (Ok(piece), Some(export))),
            Ok(Err(error)) => {
                tracing::error!(error = chain(&error), "an export broke off");
                Some((Err(io::Error::other(error)), None))
            }
            Err(error) => Some((Err(io::Error::other(error)), None)),
        }
    });
    Ok(response.insert_header((TOTAL_COUNT, total)).streaming(pieces))
}

/// An export that is being sent.
struct Export {
    copy: EventCopy,
    /// Lines that are made, but not sent yet.
    lines: Vec<u8>,
    packer: Option<GzEncoder<Vec<u8>>>,
    is_over: bool,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Export {
    /// Returns the next piece and the rest of the export; `None` at the end.
    fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        loop {
            while self.lines.len() < PIECE_BYTES && !self.is_over {
                match self.copy.next_events()? {
                    Some(events) => events.iter().for_each(|event| write_event(&mut self.lines, event)),
                    None => self.is_over = true,
                }
            }
            let lines = std::mem::take(&mut self.lines);
            let piece = match &mut self.packer {
                None => lines,
                Some(packer) => {
                    let written =
                        packer.write_all(&lines).and_then(|()| if self.is_over { packer.try_finish() } else { Ok(()) });
                    written.expect("a vector takes all that is written to it");
                    std::mem::take(packer.get_mut())
                }
            };
            if !piece.is_empty() {
                return Ok(Some((Bytes::from(piece), self)));
            }
            if self.is_over {
                return Ok(None);
            }
        }
    }
}
