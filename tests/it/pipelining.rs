//! Many requests over one connection, sent together and cut anywhere: each is answered, in their order, and no byte of one is
//! taken for another's.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use crate::support::TestServer;

/// A request, and the status and the end of the answer that it gets.
#[derive(Debug, Clone)]
struct Asked {
    request: String,
    status: u16,
    has_body: bool,
    ends: &'static str,
}

/// What looks like the end of a head, and like another request.
const DECOY: &str = "\r\n\r\n\n\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// NDJSON of so many definitions with blank lines between, which end heads elsewhere.
fn ndjson(definitions: usize) -> String {
    let definition = |id| json!({"kind": "strike", "id": id + 1, "name": "north", "description": DECOY}).to_string();
    (0..definitions).map(|id| definition(id) + "\r\n\r\n\n").collect()
}

fn post(headers: &str, body: &str) -> Asked {
    let head = "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson";
    Asked { request: format!("{head}\r\n{headers}\r\n\r\n{body}"), status: 200, has_body: true, ends: "\"stale\":0}" }
}

fn whole(definitions: usize) -> Asked {
    let body = ndjson(definitions);
    post(&format!("Content-Length: {}", body.len()), &body)
}

/// The same in chunks of so many bytes, with something behind their sizes and behind the last one.
fn chunked(definitions: usize, size: usize, extension: &str, trailer: &str) -> Asked {
    let body = ndjson(definitions);
    let chunks = body
        .as_bytes()
        .chunks(size)
        .map(|chunk| format!("{:03X}{extension}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
    post("Transfer-Encoding: chunked", &format!("{}0{extension}\r\n{trailer}\r\n", chunks.collect::<String>()))
}

/// Text that is no JSON, and may look like requests.
fn refused() -> Asked {
    let asked = post(&format!("Content-Length: {}", DECOY.len() + 1), &format!("{{{DECOY}"));
    Asked { status: 400, ends: "\"}", ..asked }
}

fn any_asked() -> impl Strategy<Value = Asked> {
    let get = |path: &str, ends| Asked {
        request: format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"),
        status: 200,
        has_body: true,
        ends,
    };
    let head = Asked {
        request: "HEAD /v6/metrics/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        status: 200,
        has_body: false,
        ends: "",
    };
    let bare = Asked { request: "GET /healthz HTTP/1.1\nHost: x\n\n".to_owned(), ..get("", "{\"status\":\"ok\"}") };
    prop_oneof![
        Just(get("/healthz", "{\"status\":\"ok\"}")),
        Just(get("/v6/metrics/ingests/plot-data/?column=total_count", "]}")),
        Just(head),
        Just(bare),
        (0..40_usize).prop_map(whole),
        (
            0..40_usize,
            1..300_usize,
            select(vec!["", " \t", ";a=\"b\""]),
            select(vec!["", "A: 1\r\n", "A: 1\n\r\nB: 2\r\n"])
        )
            .prop_map(|(definitions, size, extension, trailer)| chunked(definitions, size, extension, trailer)),
        Just(refused()),
    ]
}

/// Takes the first answer off; its status, and its body.
fn split_answer(answers: &str, has_body: bool) -> (u16, &str, &str) {
    let (head, rest) = answers.split_once("\r\n\r\n").expect("there is an answer");
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|line| line[..3].parse().ok()).expect("it has a status");
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
    let length = if has_body { length.expect("it says how long it is").parse().unwrap() } else { 0 };
    (status, &rest[..length], &rest[length..])
}

#[test]
fn each_is_answered_in_its_place_however_they_are_cut() {
    let server = TestServer::start();
    let config = ProptestConfig::default();
    proptest!(config, |(asked in vec(any_asked(), 1..20), cuts in vec(any::<Index>(), 0..20))| {
        let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let bytes = asked.iter().map(|asked| asked.request.as_str()).chain([last]).collect::<String>();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let mut reading = server.connect();
        let mut writing = reading.try_clone().unwrap();
        writing.set_nodelay(true).unwrap();
        let answers = thread::scope(|scope| {
            scope.spawn(move || {
                for piece in cuts.windows(2) {
                    writing.write_all(&bytes.as_bytes()[piece[0]..piece[1]]).unwrap();
                    thread::yield_now();
                }
                writing.shutdown(Shutdown::Write).unwrap();
            });
            let mut answers = String::new();
            reading.read_to_string(&mut answers).unwrap();
            answers
        });
        let mut answers = answers.as_str();
        for asked in &asked {
            let (status, body, rest) = split_answer(answers, asked.has_body);
            prop_assert!(status == asked.status && body.ends_with(asked.ends), "{}: {status} {body}", asked.request);
            answers = rest;
        }
        let (status, body, rest) = split_answer(answers, true);
        prop_assert_eq!((status, body, rest), (200, "{\"status\":\"ok\"}", ""));
    });
}
