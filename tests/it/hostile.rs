//! Clients that are slow, greedy or broken: they get an answer or the door, the server keeps its memory, and others are
//! served meanwhile. docs/reference.md has the rules.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::iter;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use socket2::SockRef;
use tempfile::TempDir;

use crate::support::process::{FREE_PORT, program};
use crate::support::{Client, GIVE_UP, Serving, TestServer, execution, job, job_type, to_ndjson, wait_until};

const POST: &str = "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n";

/// The program with these arguments more.
fn serve(directory: &TempDir, arguments: &[&str]) -> Serving {
    let all = [&["serve", "--listen", FREE_PORT, "--log-level", "info"], arguments].concat();
    Serving::start(&mut program(directory.path(), &all))
}

/// The most memory that the process ever had, in MiB.
fn peak_mib(server: &Serving) -> u64 {
    server.peak_kib() >> 10
}

/// What comes until the server closes the connection, by an end or by a reset.
fn rest(mut connection: TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status_of(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()
}

/// Asserts that what is refused, if it is answered at all, is told why: docs/reference.md, Posting events.
#[track_caller]
fn assert_has_detail(answer: &str) {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return assert_eq!(answer, "") };
    assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
    assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
}

/// Asserts that a client that does nothing wrong is served.
#[track_caller]
fn assert_serves(client: &Client) {
    assert_eq!(client.get("/readyz").status, 200);
    assert_eq!(client.ndjson("{\"kind\":\"strike\",\"id\":1,\"name\":\"a\"}").status, 200);
    assert_eq!(client.get("/v6/metrics/ingests/plot-data/").status, 200);
}

#[test]
fn gzip_bombs_are_refused_within_bounded_memory() {
    let directory = TempDir::new().unwrap();
    let server = serve(&directory, &[]);
    // A gibibyte of nothing, in a megabyte.
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let nothing = vec![b'\n'; 1 << 20];
    for _ in 0..1024 {
        bomb.write_all(&nothing).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let head = format!("{POST}Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", bomb.len());
    thread::scope(|threads| {
        let clients = (0..24).map(|_| {
            threads.spawn(|| {
                let mut connection = server.client.connect();
                let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&bomb));
                status_of(&rest(connection))
            })
        });
        let clients: Vec<_> = clients.collect();
        assert_serves(&server.client);
        for client in clients {
            let status = client.join().unwrap();
            assert!(matches!(status, Some(413 | 503)), "{status:?}");
        }
    });
    assert_serves(&server.client);
    // At most 64 MiB for all bodies but one, as much each for that one and for pages, and what the process itself takes.
    assert!(peak_mib(&server) < 320, "{} MiB", peak_mib(&server));
}

#[test]
fn large_bodies_that_stop_hold_no_more_than_they_may() {
    let directory = TempDir::new().unwrap();
    let server = serve(&directory, &["--body-timeout-s", "20"]);
    let head = format!("{POST}Connection: close\r\nContent-Length: 60000000\r\n\r\n");
    let piece = vec![b'\n'; 50_000_000];
    thread::scope(|threads| {
        let clients = (0..12).map(|_| {
            threads.spawn(|| {
                let mut connection = server.client.connect();
                let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(&piece));
                status_of(&rest(connection))
            })
        });
        let clients: Vec<_> = clients.collect();
        assert_eq!(server.client.get("/v6/metrics/").status, 200);
        let statuses: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        // Who found room came too late; some waited for the room of those, and others in vain. One that the machine held up
        // for so long that it was still sending may have seen no more than the end.
        assert!(statuses.contains(&Some(408)), "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, None | Some(408 | 503))), "{statuses:?}");
    });
    assert_serves(&server.client);
    assert!(peak_mib(&server) < 320, "{} MiB", peak_mib(&server));
}

#[test]
fn a_body_below_the_least_rate_is_given_up_before_its_time() {
    let directory = TempDir::new().unwrap();
    let limits = ["--body-timeout-s", "3600", "--body-least-bytes-s", "1000", "--stall-timeout-s", "30"];
    let server = serve(&directory, &limits);
    let slow = |head: &str| {
        let mut connection = server.client.connect();
        connection.write_all(format!("{POST}Connection: close\r\n{head}\r\n").as_bytes()).unwrap();
        // A few bytes, again and again, until the server has enough of it.
        while connection.write_all(b"1\r\n \r\n").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    };
    let chunked = thread::scope(|threads| {
        threads.spawn(|| slow("Transfer-Encoding: chunked\r\n"));
        let stopped = threads.spawn(|| {
            let mut connection = server.client.connect();
            connection
                .write_all(format!("{POST}Connection: close\r\nContent-Length: 100\r\n\r\n[").as_bytes())
                .unwrap();
            rest(connection)
        });
        assert_serves(&server.client);
        stopped.join().unwrap()
    });
    assert_eq!(status_of(&chunked), Some(408), "{chunked}");
    assert!(chunked.contains("fewer than 1000 bytes a second"), "{chunked}");
}

/// How long a connection may get nowhere in the tests that wait for the end of that, in seconds.
const STALL_S: u64 = 4;

/// Sends that many requests, one after the other, over one connection. `None` if the machine held this test up for so long
/// that the server took it for a stalled client.
fn connection_after(requests: usize, server: &Client) -> Option<TcpStream> {
    let mut connection = server.connect();
    for _ in 0..requests {
        connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
        let mut answer = [0; 512];
        let read = connection.read(&mut answer).ok().filter(|&read| read > 0)?;
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    }
    Some(connection)
}

#[test]
fn a_head_that_never_becomes_complete_ends_the_connection() {
    let server = TestServer::start_with(|config| config.server.stall_timeout_s = STALL_S);
    // The first of a connection, and a later one.
    let stalled = |requests: usize| {
        let mut connection = iter::repeat_with(|| connection_after(requests, &server)).flatten().next().unwrap();
        let _ = connection.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ");
        let mut slow = connection.try_clone().unwrap();
        let writer = thread::spawn(move || {
            while slow.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        let answer = rest(connection);
        assert!(matches!(status_of(&answer), None | Some(408)), "{answer}");
        assert_has_detail(&answer);
        writer.join().unwrap();
    };
    thread::scope(|threads| (0..3).for_each(|requests| _ = threads.spawn(move || stalled(requests))));
    wait_until("others are served", || server.try_send("GET", "/readyz", &[], b"").is_ok_and(|it| it.status == 200));
}

#[test]
fn an_answer_that_nobody_reads_gives_its_memory_back() {
    let server = TestServer::start_with(|config| {
        config.server.stall_timeout_s = STALL_S;
        config.api.answer_cache_bytes = 0;
    });
    server.accept(&[job_type(1, "a")]);
    let hours = (0..9_000_u64).map(|hour| {
        let at =
            |minute| format!("2014-{:02}-{:02}T{:02}:{minute}:00Z", hour / 750 + 1, hour % 750 / 27 + 1, hour % 24);
        execution(hour + 1, 1, &at("01"), &at("02"), &at("03"))
    });
    server.accept(&hours.collect::<Vec<_>>());
    let held = || {
        let figures = server.get("/metrics").text();
        let line = figures.lines().find(|line| line.starts_with("scale_metrics_answer_bytes ")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let ask = "GET /v6/metrics/job-types/plot-data/?resolution=hour&ended=2015-01-31 HTTP/1.1\r\nHost: x\r\n\r\n";
    // If this test is held up for longer than the server waits, they are gone before anybody looks: then they come again.
    let mut greedy = Vec::new();
    wait_until("three answers are held", || {
        greedy = (0..3).map(|_| server.connect()).collect();
        let begun = greedy.iter_mut().all(|connection| {
            connection.write_all(ask.as_bytes()).and_then(|()| connection.read_exact(&mut [0; 100])).is_ok()
        });
        begun && held() > 3 << 20
    });
    wait_until("what they hold is given back", || held() == 0);
    drop(greedy);
    // Who reads slowly but reads gets it all, though that takes longer than a connection may get nowhere.
    let whole = server.get("/v6/metrics/job-types/plot-data/?resolution=hour&ended=2015-01-31").body.len();
    let stall = Duration::from_secs(STALL_S);
    wait_until("a slow reader is never held up longer than the server waits", || {
        let mut patient = server.connect();
        SockRef::from(&patient).set_recv_buffer_size(64 << 10).unwrap();
        let mut piece = vec![0; whole / 50];
        let (mut length, mut longest, begun) = (0, Duration::ZERO, Instant::now());
        let sent = patient.write_all(ask.replace("Host", "Connection: close\r\nHost").as_bytes());
        let mut last = Instant::now();
        let ended = loop {
            thread::sleep(stall / 40);
            let read = patient.read_exact(&mut piece);
            longest = longest.max(last.elapsed());
            last = Instant::now();
            match read {
                Ok(()) => length += piece.len(),
                Err(error) => break error.kind(),
            }
        };
        if longest > stall / 2 {
            return false;
        }
        assert!(sent.is_ok() && ended == ErrorKind::UnexpectedEof, "{sent:?} {ended}");
        assert!(begun.elapsed() > stall, "it was not slow");
        // The last piece is not whole; the head makes up for it, or nearly so.
        assert!(length + piece.len() > whole, "{length} bytes of {whole} and a head");
        true
    });
}

#[test]
fn who_stops_reading_or_asking_for_a_while_gets_every_answer() {
    const REQUESTS: usize = 100;
    let server = TestServer::start();
    server.accept(&[job_type(1, "a")]);
    // One that is opened now and used later, as browsers do.
    let mut early = server.connect();
    let ask = "GET /v6/metrics/job-types/plot-data/?resolution=hour HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut connection = server.connect();
    SockRef::from(&connection).set_recv_buffer_size(16 << 10).unwrap();
    // Each is answered, as far as there is room, before the next one comes.
    for request in iter::repeat_n(ask, REQUESTS).chain([last]) {
        connection.write_all(request.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(5));
    }
    // Longer than the framework would wait, for a further request or for the first one.
    thread::sleep(Duration::from_secs(7));
    early.write_all(last.as_bytes()).unwrap();
    assert_eq!(status_of(&rest(early)), Some(200));
    SockRef::from(&connection).set_recv_buffer_size(1 << 20).unwrap();
    assert_eq!(rest(connection).matches("HTTP/1.1 200 OK\r\n").count(), REQUESTS + 1);
}

#[test]
fn many_idle_connections_are_in_nobodys_way() {
    let directory = TempDir::new().unwrap();
    let server = serve(&directory, &[]);
    let idle: Vec<_> = (0..400).map(|_| server.client.connect()).collect();
    assert_serves(&server.client);
    assert!(peak_mib(&server) < 100, "{} MiB", peak_mib(&server));
    drop(idle);
    assert_serves(&server.client);
}

#[test]
fn connections_beyond_their_number_wait_for_one_that_is_closed() {
    let server = TestServer::start_with(|config| config.server.max_connections = 4);
    // As many for each thread of the server, rounded up.
    let threads = thread::available_parallelism().unwrap().get();
    let idle: Vec<_> = (0..4_usize.div_ceil(threads) * threads).map(|_| server.connect()).collect();
    let mut connection = server.connect();
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    connection.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let waits = connection.read(&mut [0; 100]).unwrap_err().kind();
    assert!(matches!(waits, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{waits:?}");
    drop(idle);
    connection.set_read_timeout(Some(GIVE_UP)).unwrap();
    assert_eq!(status_of(&rest(connection)), Some(200));
}

#[test]
fn heads_that_are_too_large_or_malformed_are_refused() {
    let directory = TempDir::new().unwrap();
    let server = serve(&directory, &[]);
    let get = |head: &str| format!("GET /v6/metrics/{head}\r\nConnection: close\r\n\r\n");
    let many = (0..200).fold(String::new(), |mut many, n| {
        write!(many, "\r\nX-{n}: 1").unwrap();
        many
    });
    let body = "\r\nContent-Type: application/json\r\n";
    for request in [
        get(&format!("?q={} HTTP/1.1\r\nHost: x", "x".repeat(70_000))),
        get(&format!(" HTTP/1.1\r\nHost: x\r\nX-Large: {}", "x".repeat(1 << 20))),
        get(&format!(" HTTP/1.1\r\nHost: x{many}")),
        get(" HTTP/1.1\r\nHost: x\r\n folded: 1"),
        get(" HTTP/1.1\r\nHost : x\r\nBad name: 1"),
        get("\x01 HTTP/1.1\r\nHost: x"),
        get(" HTTP/9.9\r\nHost: x"),
        "nonsense\r\n\r\n".to_owned(),
        format!("POST /v6/events/ HTTP/1.1\r\nHost: x{body}Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]x"),
        format!("POST /v6/events/ HTTP/1.1\r\nHost: x{body}Content-Length: -2\r\n\r\n[]"),
        format!("POST /v6/events/ HTTP/1.1\r\nHost: x{body}Content-Length: 2, 2\r\n\r\n[]"),
        format!("POST /v6/events/ HTTP/1.1\r\nHost: x{body}Transfer-Encoding: xchunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"),
        format!(
            "POST /v6/events/ HTTP/1.1\r\nHost: x{body}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x"
        ),
    ] {
        let mut connection = server.client.connect();
        let _ = connection.write_all(request.as_bytes());
        let answer = rest(connection);
        let shown = &request[..request.len().min(120)];
        // A connection that is reset before its end has been sent is a refusal, too.
        assert!(answer.is_empty() || matches!(status_of(&answer), Some(400..=499)), "{shown:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), usize::from(!answer.is_empty()), "{shown:?}: {answer}");
        assert_has_detail(&answer);
    }
    assert_serves(&server.client);
    assert!(peak_mib(&server) < 100, "{} MiB", peak_mib(&server));
}

#[test]
fn a_body_whose_chunks_are_broken_is_told_so() {
    let server = TestServer::start();
    let head = format!("{POST}Transfer-Encoding: chunked\r\n\r\n");
    for broken in ["z\r\n", "-1\r\n", "\r\n", "3\r\n{}\n4\r\n", "1\r\n\n\r\n1\n", "10000000000000000\r\n", "0\r\n\rx"] {
        for pieces in [vec![head.clone() + broken], vec![head.clone(), broken.to_owned()]] {
            let mut connection = server.connect();
            for piece in pieces {
                connection.write_all(piece.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(20));
            }
            let answer = rest(connection);
            assert_eq!(status_of(&answer), Some(400), "{broken:?}: {answer}");
            assert_has_detail(&answer);
            assert!(answer.contains("chunks"), "{answer}");
        }
    }
    assert_serves(&server);
}

/// The memory that a process has addresses for, used or not, in bytes.
#[cfg(target_os = "linux")]
fn mapped(server: &Serving) -> u64 {
    server.memory_kib("VmSize") << 10
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_client_announces_takes_no_memory_before_it_comes() {
    const LARGEST: u64 = 64 << 20;
    const CLIENTS: u64 = 100;
    let directory = TempDir::new().unwrap();
    let server = serve(&directory, &["--body-least-bytes-s", "0"]);
    server.client.accept(&[]);
    let before = mapped(&server);
    let head = format!(
        "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {LARGEST}\r\n\r\n["
    );
    let connections = (0..CLIENTS).map(|_| {
        let mut connection = server.client.connect();
        connection.write_all(head.as_bytes()).unwrap();
        connection
    });
    let connections: Vec<_> = connections.collect();
    server.client.wait_for_room_taken(CLIENTS);
    let grown = mapped(&server).saturating_sub(before);
    assert!(grown < CLIENTS * LARGEST / 4, "{grown}");
    drop(connections);
}

#[test]
fn pages_of_other_origins_may_use_it_only_where_the_settings_say_so() {
    let ask = |server: &Client, method: &str, origin: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization, content-type"),
        ];
        server.send(method, "/v6/metrics/", &headers, b"")
    };
    let closed = TestServer::start();
    for method in ["GET", "OPTIONS"] {
        let answer = ask(&closed, method, "https://example.org");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let origin = scale_metrics::config::WebOrigin::new("https://example.org").unwrap();
    let server = TestServer::start_with(|config| config.server.cors_origins = vec![origin]);
    let preflight = ask(&server, "OPTIONS", "https://example.org");
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://example.org"));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("authorization"));
    let answer = ask(&server, "GET", "https://example.org");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://example.org")));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("etag"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(ask(&server, "GET", "https://example.com").header("access-control-allow-origin"), None);
    assert_eq!(server.get("/v6/metrics/").status, 200);
}

#[test]
fn what_a_client_that_is_gone_has_asked_for_is_not_computed_on() {
    let server = TestServer::start();
    let types: Vec<_> = (1..=200).map(|id| job_type(id, "one")).collect();
    server.accept(&types);
    for month in 1..=6 {
        let jobs = (1..=200 * 28_u64).map(|number| {
            let ended = format!("2014-{month:02}-{:02}T01:00:00Z", number % 28 + 1);
            job(month * 10_000 + number, number / 28 % 200 + 1, "COMPLETED", &ended)
        });
        assert_eq!(server.ndjson(&to_ndjson(&jobs.collect::<Vec<_>>())).status, 200);
    }
    let stopped = || {
        let figures = server.get("/metrics").text();
        let line = figures.lines().find(|line| line.starts_with("scale_metrics_answers_stopped_total ")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // One who closes the connection, and one who only says that nothing more comes: that one is told what became of it. Whether
    // it is noticed before the answer is there is up to the machine, so they ask until it was.
    let began = Instant::now();
    for (closes, least) in [(true, 1), (false, 2)] {
        let mut told = false;
        for question in 1.. {
            let query =
                format!("name=one&resolution=hour&ended=2014-07-01T{:02}:{:02}:00Z", question % 24, question / 24);
            let mut connection = server.connect();
            write!(connection, "GET /v6/metrics/job-types/plot-data/?{query} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            if closes {
                drop(connection);
            } else {
                connection.shutdown(std::net::Shutdown::Write).unwrap();
                let answer = rest(connection);
                told = status_of(&answer) == Some(503);
                assert!(told || status_of(&answer) == Some(200), "{}", &answer[..answer.len().min(500)]);
                assert!(!told || answer.contains("connection was closed"), "{answer}");
            }
            if stopped() >= least && (closes || told) {
                break;
            }
            assert!(began.elapsed() < Duration::from_mins(5), "nobody notices that clients are gone");
        }
    }
    // Others get what they ask for, and small questions of clients that say no more are answered.
    assert_eq!(server.get("/v6/metrics/job-types/plot-data/?name=one").status, 200);
    for question in
        ["", "job-types/", "job-types/plot-data/", "job-types/totals/?started=2014-02-01", "job-types/plot.svg"]
    {
        let mut connection = server.connect();
        write!(connection, "GET /v6/metrics/{question} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n").unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(status_of(&rest(connection)), Some(200), "{question}");
    }
}

#[test]
fn a_stop_says_so_first_and_goes_on_for_its_delay() {
    let directory = TempDir::new().unwrap();
    let server = serve(&directory, &["--stop-delay-s", "3600"]);
    server.signal("TERM");
    let mut said = json!(null);
    wait_until("it says that it stops", || {
        let answer = server.client.get("/readyz");
        said = answer.json();
        answer.status == 503
    });
    assert_eq!(said["reasons"], json!(["the server is stopping"]));
    // Until then, everything goes on.
    assert_eq!(server.client.get("/healthz").status, 200);
    assert_eq!(server.client.ndjson("{\"kind\":\"strike\",\"id\":1,\"name\":\"a\"}").status, 200);
    assert_eq!(server.end("TERM").code(), Some(0));
}
