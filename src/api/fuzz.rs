//! Promises about packed bodies and query strings: unpacking never takes more memory than allowed, and page links lead to the
//! page that they name.

use std::io::{Read, Write};
use std::sync::LazyLock;

use actix_web::http::Uri;
use actix_web::test::TestRequest;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::page::{Links, PageRequest};
use super::params::{Known, Params, ignored};
use super::post_events::{Form, UNPACK_STEP};
use super::{ApiError, known_at_endpoint, v6};
use crate::catalog::{CATALOG, MetricsType};
use crate::config::Dialect;
use crate::events::request::Draft;
use crate::events::{Choices, Object};
use crate::memory::Budget;
use crate::plot::Query;
use crate::time::{Timestamp, Zone};

/// The largest body that is accepted, in bytes.
const LIMIT: usize = 100_000;

/// Unpacks the bytes as the body of a request with `Content-Encoding: gzip`, and unpacks them again after packing them.
pub fn check_gzip(bytes: &[u8]) {
    // Zeros after the end are accepted, but it is not known which of them belong to the packed data.
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let unpadded = (end..=bytes.len().min(end + 16)).map(|end| read(MultiGzDecoder::new(&bytes[..end])));
    let all = unpadded.reduce(Result::or).expect("there is one at least");
    match (unpack(bytes), all) {
        (Ok(plain), Ok(all)) => assert_eq!(plain, all),
        (Ok(plain), Err(error)) => panic!("{} bytes were accepted: {error}", plain.len()),
        // The invalid part may come after the part that exceeds the limit.
        (Err(ApiError::BodyTooLarge(_) | ApiError::BadBody(_)), Ok(all)) => assert!(all.len() > LIMIT),
        (Err(ApiError::BodyTooLarge(_) | ApiError::BadBody(_)), Err(_)) => {}
        (Err(error), _) => panic!("{error}"),
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = packed.write_all(bytes).and_then(|()| packed.finish()).expect("a vector takes all that is written");
    match unpack(&packed) {
        Ok(plain) => assert_eq!(plain, bytes),
        Err(error) => assert!(bytes.len() > LIMIT, "{error}"),
    }
}

/// Unpacks a body as the server does.
fn unpack(packed: &[u8]) -> Result<Vec<u8>, ApiError> {
    let mut lease = Budget::new(usize::MAX).lease();
    let plain = Form { gzip: true, lines: false }.unpack(packed, LIMIT, &mut lease)?.into_owned();
    assert!(plain.len() <= LIMIT && plain.capacity() <= 2 * (LIMIT + UNPACK_STEP));
    assert!(lease.bytes() >= packed.len() + plain.capacity());
    Ok(plain)
}

/// Unpacks up to one byte more than is accepted. Returns an error if an invalid part comes before that.
fn read(packed: impl Read) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    packed.take(LIMIT as u64 + 1).read_to_end(&mut plain)?;
    Ok(plain)
}

/// Takes the first byte as the index of a metrics type, and the others as the query string of a request for its plot data.
pub fn check_query(bytes: &[u8]) {
    let Some((&place, query)) = bytes.split_first() else { return };
    let metrics = &CATALOG[usize::from(place) % CATALOG.len()];
    let address = [format!("/v6/metrics/{}/plot-data/?", metrics.name).as_bytes(), query].concat();
    // The server refuses an invalid URL earlier.
    let Ok(address) = Uri::try_from(address) else { return };
    let request = TestRequest::with_uri(&address.to_string()).to_http_request();
    let known = known_at_endpoint(&request);
    let ignored = ignored(request.query_string(), known);
    assert!(ignored.is_none_or(|names| names.len() < 1_400 && names.to_str().is_ok()));
    let Some(params) = params(request.query_string(), known) else { return };
    let (Some(meaning), Some(page)) = (meaning(metrics, &params), page(&params)) else { return };
    assert!(meaning.range.started <= meaning.range.ended);
    assert!(!meaning.columns.is_empty());

    let head = page.head(usize::MAX, || Links::new(format!("http://127.0.0.1:8080{}", request.path()), &params));
    let beside = [(head.next, page.number.checked_add(1)), (head.previous, Some(page.number - 1))];
    for (link, number) in beside {
        let Some(link) = link else { continue };
        let link: Uri = link.parse().expect("a link is an address");
        let params = self::params(link.query().unwrap_or_default(), known).expect("it has the names of the query");
        let expected = number.map(|number| PageRequest { number, size: page.size });
        assert_eq!(self::page(&params), expected, "{link}");
        assert_eq!(self::meaning(metrics, &params).as_ref(), Some(&meaning), "{link}");
    }
}

/// Parses the parameters of a query; `None` if a name is a near miss.
fn params<'a>(query: &'a str, known: &'a Known) -> Option<Params<'a>> {
    match Params::parse(query, known) {
        Ok(params) => Some(params),
        Err(ApiError::NearMiss { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Parses the page that the parameters request; `None` if they are invalid.
fn page(params: &Params<'_>) -> Option<PageRequest> {
    match PageRequest::parse(params) {
        Ok(page) => Some(page),
        Err(ApiError::BadParameter { .. } | ApiError::InvalidPage) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Parses the query that the parameters mean at noon of 2015-01-31; `None` if they are invalid.
fn meaning(metrics: &'static MetricsType, params: &Params<'_>) -> Option<Query> {
    let now = Timestamp::from_micros(1_422_705_600_000_000).expect("it is in range");
    match v6::parse(metrics, params, &CHOICES, Dialect::Documented, (now, Zone::UTC)) {
        Ok(query) => Some(query),
        Err(ApiError::BadParameter { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

static CHOICES: LazyLock<Choices> = LazyLock::new(|| {
    choices(
        br#"[
        {"kind": "job_type", "id": 1, "name": "a", "version": "1"},
        {"kind": "job_type", "id": 2, "name": "a", "version": "2"},
        {"kind": "strike", "id": 1, "name": "a"},
        {"kind": "error", "id": 1, "name": "a", "category": "DATA", "is_builtin": true},
        {"kind": "error", "id": 2, "name": "b", "category": "SYSTEM"}
    ]"#,
    )
});

/// Returns the choices that a JSON array defines.
pub(super) fn choices(definitions: &[u8]) -> Choices {
    let mut draft = Draft::default();
    draft.read_json(definitions).expect("it is JSON");
    let mut choices = Choices::default();
    for object in draft.finish().expect("it is valid") {
        if let Object::Choice(choice) = object {
            choices.define(choice);
        }
    }
    choices
}
