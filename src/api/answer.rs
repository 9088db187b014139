//! Responses with a whole body: `ETag`, `304` and compression.
//!
//! The entity tag is strong, so each encoding of a body has its own: the hash of the plain body, followed by a suffix for the
//! encoding.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;

use actix_web::body::SizedStream;
use actix_web::http::header::{self, AcceptEncoding, ContentEncoding, Encoding, Header, HeaderValue, IfNoneMatch};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use xxhash_rust::xxh3::xxh3_128;

use crate::memory::Lease;

/// A body and its media type.
pub(crate) struct Content {
    pub(crate) media_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Content {
    /// Serializes `value` as JSON.
    pub(crate) fn json(value: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("what goes out has texts for keys and cannot fail");
        Self { media_type: "application/json", body }
    }
}

/// A body that can be sent any number of times.
#[derive(Debug)]
pub(crate) struct Answer {
    media_type: &'static str,
    body: Bytes,
    /// The hash of the plain body.
    hash: u128,
    tag: HeaderValue,
    is_packed: bool,
    /// The lease on the memory of the body, if a budget counts it.
    #[expect(dead_code, reason = "it is given back when the answer is dropped")]
    lease: Option<Lease>,
}

impl Answer {
    pub(crate) fn new(content: Content, lease: Option<Lease>) -> Self {
        let Content { media_type, body } = content;
        let hash = xxh3_128(&body);
        Self { media_type, body: Bytes::from(body), hash, tag: tag(hash, ""), is_packed: false, lease }
    }

    /// Returns the same answer, compressed. The lease has room for the plain body, which is more than enough. Calls `go_on` every
    /// few milliseconds, and stops if that fails.
    pub(crate) fn packed<E>(&self, go_on: impl Fn() -> Result<(), E>, mut lease: Option<Lease>) -> Result<Self, E> {
        const WRITTEN: &str = "a vector takes all that is written to it";
        let mut encoder = GzEncoder::new(Vec::with_capacity(self.body.len() / 8), Compression::fast());
        for piece in self.body.chunks(PACKED_AT_ONCE) {
            go_on()?;
            encoder.write_all(piece).expect(WRITTEN);
        }
        let body = encoder.finish().expect(WRITTEN);
        if let Some(lease) = &mut lease {
            lease.shrink(body.len());
        }
        Ok(Self {
            media_type: self.media_type,
            body: Bytes::from(body),
            hash: self.hash,
            tag: tag(self.hash, PACKED),
            is_packed: true,
            lease,
        })
    }

    /// The hash of the plain body, which identifies it.
    pub(crate) fn hash(&self) -> u128 {
        self.hash
    }

    /// The body alone.
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body.into()
    }

    /// The length of the body, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.body.len()
    }

    /// Returns the `304` response if the client has this answer already, in any encoding.
    pub(crate) fn not_modified(&self, request: &HttpRequest) -> Option<HttpResponse> {
        if !request.headers().contains_key(header::IF_NONE_MATCH) {
            return None;
        }
        let is_known = match IfNoneMatch::parse(request).ok()? {
            IfNoneMatch::Any => true,
            IfNoneMatch::Items(tags) => {
                let hash = format!("{:032x}", self.hash);
                tags.iter().any(|tag| tag.tag().strip_suffix(PACKED).unwrap_or(tag.tag()) == hash)
            }
        };
        // The tag belongs to the encoding that the client would get.
        let tag = || if wants_gzip(request) { tag(self.hash, PACKED) } else { self.tag.clone() };
        is_known.then(|| head(&mut HttpResponse::NotModified(), tag()).finish())
    }

    /// Returns the response with the body.
    pub(crate) fn respond(self: Arc<Self>) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        head(&mut response, self.tag.clone());
        response.insert_header((header::CONTENT_TYPE, HeaderValue::from_static(self.media_type)));
        if self.is_packed {
            response.insert_header(ContentEncoding::Gzip);
        }
        let length = self.len();
        // The pieces keep the answer, and so its lease, until the body is sent.
        let pieces = (0..length).step_by(PIECE_BYTES).map(move |start| {
            let end = length.min(start + PIECE_BYTES);
            Ok::<_, Infallible>(self.body.slice(start..end))
        });
        response.body(SizedStream::new(length as u64, stream::iter(pieces)))
    }
}

/// Sets the headers that a `200` and a `304` share.
fn head(response: &mut HttpResponseBuilder, tag: HeaderValue) -> &mut HttpResponseBuilder {
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, HeaderValue::from_static("accept-encoding")))
        // The numbers change with every event. So clients ask each time, and mostly get a `304`.
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")))
}

/// How many bytes are compressed between two calls of `go_on`: some milliseconds' worth.
const PACKED_AT_ONCE: usize = 1 << 20;

/// The suffix of the tag of a compressed body.
const PACKED: &str = "-gzip";

/// The strong entity tag of a body with this hash, with the suffix of its encoding.
fn tag(hash: u128, suffix: &str) -> HeaderValue {
    HeaderValue::try_from(format!("\"{hash:032x}{suffix}\"")).expect("digits and letters make a header")
}

/// Whether the client prefers compressed answers.
pub(crate) fn wants_gzip(request: &HttpRequest) -> bool {
    // `negotiate` returns the best encoding; without the header, nothing is compressed.
    if !request.headers().contains_key(header::ACCEPT_ENCODING) {
        return false;
    }
    let Ok(accepted) = AcceptEncoding::parse(request) else { return false };
    accepted.negotiate([Encoding::identity(), Encoding::gzip()].iter()) == Some(Encoding::gzip())
}

/// The response with content that is computed for each request.
pub(crate) fn answer(request: &HttpRequest, content: Content) -> HttpResponse {
    let plain = Answer::new(content, None);
    if let Some(response) = plain.not_modified(request) {
        return response;
    }
    if !wants_gzip(request) {
        return Arc::new(plain).respond();
    }
    let Ok(packed) = plain.packed(|| Ok::<_, Infallible>(()), None);
    Arc::new(packed).respond()
}

/// How many bytes of a body are handed to the connection at a time. The connection copies them: with a large body as a whole,
/// memory would hold it once more for every client that is slow to read.
const PIECE_BYTES: usize = 64 << 10;
