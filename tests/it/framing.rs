//! Where answers end, whatever clients say of connections, protocols and expectations: `Upgrade`, `Expect`, HTTP/1.0, `HEAD`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use scale_metrics::access::{Scope, Token};

use crate::support::{Client, TestServer, gunzip, job, job_type};

const POST: &str = "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
const NOTHING: &str = "{\"accepted\":0,\"created\":0,\"updated\":0,\"unchanged\":0,\"stale\":0}";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// Reads up to the end of a head.
fn read_head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&head)));
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Reads an answer that says how long it is: head and body.
fn read_answer(connection: &mut TcpStream) -> (String, String) {
    let head = read_head(connection);
    let length = header(&head, "content-length").unwrap_or_else(|| panic!("{head}")).parse().unwrap();
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Asserts that an answer says nothing of another protocol and that the connection goes on.
#[track_caller]
fn assert_goes_on(head: &str) {
    assert_eq!(header(head, "connection"), None, "{head}");
    assert_eq!(header(head, "upgrade"), None, "{head}");
}

// Upgrade.

/// What clients say who would like another protocol.
const UPGRADES: [&str; 8] = [
    "Connection: upgrade",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13",
    "Upgrade: websocket",
    "UPGRADE: WebSocket\r\nCONNECTION: keep-alive, UPGRADE",
    "Connection: keep-alive\r\nConnection: ,upgrade ,x",
    "Upgrade: TLS/1.0, HTTP/2.0\r\nConnection:Upgrade",
    "Connection: TE, upgrade\r\nTE: trailers",
];

#[test]
fn whoever_asks_for_another_protocol_is_answered_in_this_one_and_may_go_on() {
    let server = TestServer::start();
    let mut connection = server.connect();
    for upgrade in UPGRADES {
        for body in ["Content-Length: 2\r\n\r\n[]", "Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n"] {
            write!(connection, "{POST}{upgrade}\r\n{body}").unwrap();
            let (head, body) = read_answer(&mut connection);
            assert!(head.starts_with("HTTP/1.1 200 ") && body == NOTHING, "{upgrade}: {head}{body}");
            assert_goes_on(&head);
        }
        write!(connection, "GET /v6/export/ HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n\r\n").unwrap();
        let head = read_head(&mut connection);
        assert_eq!(header(&head, "transfer-encoding"), Some("chunked"), "{upgrade}: {head}");
        assert_goes_on(&head);
        let mut end = [0; 5];
        connection.read_exact(&mut end).unwrap();
        assert_eq!(&end, b"0\r\n\r\n", "{upgrade}");
    }
}

#[test]
fn close_and_keep_alive_mean_what_they_do_beside_an_upgrade() {
    let server = TestServer::start();
    for options in ["Upgrade, close", "close, upgrade", "upgrade\r\nConnection: close", "close\r\nConnection: upgrade"]
    {
        let answer =
            server.raw(format!("GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: {options}\r\n\r\n"));
        let head = answer.split_once("\r\n\r\n").unwrap().0;
        assert_eq!((&head[..12], header(head, "connection")), ("HTTP/1.1 200", Some("close")), "{options}");
    }
    let mut connection = server.connect();
    for options in ["upgrade, keep-alive", "keep-alive, upgrade"] {
        write!(connection, "GET /healthz HTTP/1.0\r\nConnection: {options}\r\n\r\n").unwrap();
        let (head, _) = read_answer(&mut connection);
        assert_eq!(header(&head, "connection"), Some("keep-alive"), "{options}: {head}");
    }
}

#[test]
fn bodies_that_speak_of_upgrades_and_expectations_arrive_as_they_are() {
    let server = TestServer::start();
    let text = "Connection: upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\r\nconnection: upgrade";
    let description = serde_json::json!({"kind": "strike", "id": 1, "name": "a", "description": text}).to_string();
    // In NDJSON a blank line and a line of its own come nearest to a head.
    let body = format!("\r\n\r\n{description}\r\n\r\n");
    let head = "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n";
    let mut connection = server.connect();
    write!(connection, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    assert!(read_answer(&mut connection).1.contains("\"created\":1"));
    write!(connection, "{head}Transfer-Encoding: chunked\r\n\r\n{:X}\r\n{body}\r\n0\r\n\r\n", body.len()).unwrap();
    assert!(read_answer(&mut connection).1.contains("\"unchanged\":1"));
    assert_eq!(server.get("/v6/metrics/ingests/").json()["choices"][0]["description"], text);
}

#[test]
fn upgrades_and_expectations_are_found_wherever_a_head_is_cut() {
    let server = TestServer::start();
    let options = vec!["Connection: keep-alive, Upgrade", "Upgrade: websocket", "Expect: 100-continue", "A: b"];
    let config = ProptestConfig { cases: 64, ..ProptestConfig::default() };
    proptest!(config, |(all in vec(vec(select(options), 0..4), 1..8), cuts in vec(any::<Index>(), 0..20))| {
        let requests = all.iter().map(|options| {
            let options: String = options.iter().flat_map(|option| [option, "\r\n"]).collect();
            format!("{POST}{options}Content-Length: 2\r\n\r\n[]")
        });
        let bytes = requests.collect::<String>();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let mut reading = server.connect();
        let mut writing = reading.try_clone().unwrap();
        writing.set_nodelay(true).unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                for piece in cuts.windows(2) {
                    writing.write_all(&bytes.as_bytes()[piece[0]..piece[1]]).unwrap();
                    thread::yield_now();
                }
                writing.shutdown(Shutdown::Write).unwrap();
            });
            for _ in &all {
                let mut head = read_head(&mut reading);
                while head == CONTINUE {
                    head = read_head(&mut reading);
                }
                assert_goes_on(&head);
                let mut body = vec![0; NOTHING.len()];
                reading.read_exact(&mut body).unwrap();
                assert_eq!(String::from_utf8(body).unwrap(), NOTHING);
            }
            assert_eq!(reading.read(&mut [0]).unwrap(), 0);
        });
    });
}

// Expect.

#[test]
fn a_client_that_waits_for_100_is_told_to_go_on_when_its_body_is_wanted() {
    let server = TestServer::start();
    let mut connection = server.connect();
    for framing in [["Content-Length: 2", "[]"], ["Transfer-Encoding: chunked", "2\r\n[]\r\n0\r\n\r\n"]] {
        for expect in ["Expect: 100-continue", "expect:100-Continue", "Expect: a=b, 100-continue\r\nA: b"] {
            write!(connection, "{POST}{expect}\r\n{}\r\n\r\n", framing[0]).unwrap();
            assert_eq!(read_head(&mut connection), CONTINUE, "{expect}");
            connection.write_all(framing[1].as_bytes()).unwrap();
            let (head, body) = read_answer(&mut connection);
            assert!(head.starts_with("HTTP/1.1 200 ") && body == NOTHING, "{head}{body}");
            assert_goes_on(&head);
        }
    }
}

#[test]
fn nobody_is_told_to_go_on_whose_body_is_not_wanted() {
    let (secret, token) = Token::make("reader", &[Scope::Read]).unwrap();
    let guarded = TestServer::start_with(|config| config.access.tokens = vec![token]);
    let open = TestServer::start();
    let json = "Content-Type: application/json\r\n";
    let cases: [(&Client, u16, &str, String); 10] = [
        (&guarded, 401, "/v6/events/", json.to_owned()),
        (&guarded, 401, "/v6/events/", format!("{json}Authorization: Bearer wrong\r\n")),
        (&guarded, 403, "/v6/events/", format!("{json}Authorization: Bearer {secret}\r\n")),
        (&open, 403, "/v6/events/", format!("{json}Origin: http://evil.example\r\n")),
        (&open, 415, "/v6/events/", "Content-Type: text/plain\r\n".to_owned()),
        (&open, 415, "/v6/events/", format!("{json}Content-Encoding: br\r\n")),
        (&open, 413, "/v6/events/", json.to_owned()),
        (&open, 405, "/v6/metrics/", json.to_owned()),
        (&open, 404, "/v6/nothing/", json.to_owned()),
        (&open, 308, "/v6/admin/rebuild", json.to_owned()),
    ];
    for (server, status, path, headers) in cases {
        let framings = ["Content-Length: 5", "Content-Length: 99999999999", "Transfer-Encoding: chunked"];
        for framing in framings.into_iter().filter(|framing| status != 413 || framing.ends_with("99")) {
            let mut connection = server.connect();
            write!(connection, "POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Expect: 100-continue\r\n{framing}\r\n\r\n")
                .unwrap();
            let (head, body) = read_answer(&mut connection);
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {headers}{framing}: {head}");
            assert!(body.starts_with("{\"detail\":"), "{body}");
            // What comes next may be the body or another request, and nobody could tell.
            assert_eq!(header(&head, "connection"), Some("close"), "{path} {headers}{framing}: {head}");
        }
    }
}

#[test]
fn nobody_is_told_to_go_on_who_does_not_wait() {
    let server = TestServer::start();
    for request in [
        format!("{POST}Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"),
        format!("{POST}Expect: 100-continue\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        "POST /v6/events/ HTTP/1.0\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n[]"
            .to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        let answer = server.raw(&request);
        assert!(!answer.contains("100 Continue") && answer.len() > 100, "{request}: {answer}");
    }
}

#[test]
fn a_refused_body_is_read_on_where_nobody_waits_to_be_told() {
    // Or else the client would see its connection break instead of the answer.
    let server = TestServer::start();
    let mut connection = server.connect();
    let body = vec![b' '; 1 << 20];
    let head = format!(
        "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(&body).unwrap();
    let (head, _) = read_answer(&mut connection);
    assert!(head.starts_with("HTTP/1.1 415 "), "{head}");
    write!(connection, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(read_answer(&mut connection).0.starts_with("HTTP/1.1 200 "));
}

// HTTP/1.0 and HEAD.

#[test]
fn an_export_over_http_1_0_has_no_chunks_and_ends_with_the_connection() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a")]);
    server.accept(&(1..=5_000).map(|id| job(id, 1, "COMPLETED", "2015-01-20T00:00:00Z")).collect::<Vec<_>>());
    let expected = server.get("/v6/export/").body;
    for more in ["", "Connection: keep-alive\r\n", "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n"] {
        for (encoding, is_packed) in [("", false), ("Accept-Encoding: gzip\r\n", true)] {
            let mut connection = server.connect();
            write!(connection, "GET /v6/export/ HTTP/1.0\r\n{more}{encoding}\r\n").unwrap();
            let mut answer = Vec::new();
            connection.read_to_end(&mut answer).unwrap();
            let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end..]);
            assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
            for absent in ["transfer-encoding", "content-length", "connection"] {
                assert_eq!(header(&head, absent), None, "{more}{encoding}: {head}");
            }
            assert_eq!(header(&head, "content-encoding").is_some(), is_packed);
            assert_eq!(header(&head, "x-total-count"), Some("5001"));
            assert!(if is_packed { gunzip(body) == expected } else { body == expected }, "{more}{encoding}");
        }
    }
}

#[test]
fn head_says_of_an_export_what_get_says_and_not_that_it_is_empty() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a")]);
    for encoding in ["identity", "gzip"] {
        let get = server.send("GET", "/v6/export/", &[("Accept-Encoding", encoding)], b"");
        let head = server.send("HEAD", "/v6/export/", &[("Accept-Encoding", encoding)], b"");
        assert_eq!((head.status, head.header("content-length")), (200, None));
        for name in ["content-type", "content-encoding", "cache-control", "vary"] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
    }
    // The connection goes on behind it.
    let mut connection = server.connect();
    write!(connection, "HEAD /v6/export/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_goes_on(&read_head(&mut connection));
    write!(connection, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(read_answer(&mut connection).0.starts_with("HTTP/1.1 200 "));
}

// Request targets.

#[test]
fn targets_that_are_no_path_are_answered() {
    let server = TestServer::start();
    for line in
        ["OPTIONS * HTTP/1.1", "CONNECT example.org:443 HTTP/1.1", "CONNECT x:80 HTTP/1.1", "GET http://x HTTP/1.1"]
    {
        let answer = server.raw(format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let status = if line.starts_with("GET") { 200 } else { 404 };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
    }
    // Nothing of what follows is taken for a tunnel.
    let mut connection = server.connect();
    write!(connection, "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let (head, _) = read_answer(&mut connection);
    assert!(head.starts_with("HTTP/1.1 404 ") && header(&head, "connection") == Some("close"), "{head}");
    match connection.read(&mut [0]) {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}
