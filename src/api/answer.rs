//! How a whole body goes out: entity tag, `304`, compression.
//!
//! The tag is strong, so each encoding of a body has its own: the hash of the body, with the encoding's name behind it.

use std::io::Write;

use actix_web::http::header::{self, AcceptEncoding, ContentEncoding, Encoding, EntityTag, Header, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::GzEncoder;
use xxhash_rust::xxh3::xxh3_128;

/// A body and its type.
pub(crate) struct Content {
    pub(crate) media_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Content {
    /// The JSON of `value`.
    pub(crate) fn json(value: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("what goes out has texts for keys and cannot fail");
        Self { media_type: "application/json", body }
    }
}

/// The response for a content: `304` if the client has it, compressed if it asked for that.
pub(crate) fn answer(request: &HttpRequest, content: Content) -> HttpResponse {
    let gzip = wants_gzip(request);
    let hash = format!("{:032x}", xxh3_128(&content.body));
    let tag = EntityTag::new_strong(if gzip { format!("{hash}-gzip") } else { hash.clone() });
    let mut response = if has_already(request, &hash) { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header(header::ETag(tag))
        .insert_header((header::VARY, "accept-encoding"))
        // Numbers change with every event: ask each time, and mostly be told that nothing has changed.
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    if has_already(request, &hash) {
        return response.finish();
    }
    response.content_type(content.media_type);
    if gzip {
        response.insert_header(ContentEncoding::Gzip);
        return response.body(compress(&content.body));
    }
    response.body(content.body)
}

fn wants_gzip(request: &HttpRequest) -> bool {
    let supported = [Encoding::identity(), Encoding::gzip()];
    let Ok(accepted) = AcceptEncoding::parse(request) else { return false };
    // `negotiate` answers what suits best; without the header nothing is compressed.
    request.headers().contains_key(header::ACCEPT_ENCODING)
        && accepted.negotiate(supported.iter()) == Some(Encoding::gzip())
}

fn has_already(request: &HttpRequest, hash: &str) -> bool {
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => request.headers().contains_key(header::IF_NONE_MATCH),
        Ok(IfNoneMatch::Items(tags)) => {
            tags.iter().any(|tag| tag.tag().strip_suffix("-gzip").unwrap_or(tag.tag()) == hash)
        }
        Err(_) => false,
    }
}

fn compress(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("a vector takes all that is written to it")
}
