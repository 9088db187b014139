//! HTTPS: the server with its certificate, and the commands that ask it. docs/reference.md, HTTPS and proxies.
//!
//! Not here: HTTPS in a proxy before the server (`behind_nginx.rs`).

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use rustls::ProtocolVersion;
use scale_metrics::config::WebOrigin;
use serde_json::{Value, json};
use socket2::SockRef;
use tempfile::TempDir;

use crate::support::process::{FREE_PORT, PATIENCE_S, SERVE, program, refusal};
use crate::support::skip::skip;
use crate::support::tls::{TlsConnection, fixture, https_flags, raw, speak_https, trusting};
use crate::support::{Serving, TestServer, execution, job, job_type, to_ndjson, wait_until, worked_example};

/// How long a connection may get nowhere where a test is about that, in seconds.
const STALL_S: u64 = 1;

/// The program with a certificate and its key.
fn serve(directory: &Path, certificate: &str, key: &str) -> Serving {
    Serving::start(program(directory, &SERVE).args(https_flags(certificate, key)))
}

fn https(server: &Serving) -> String {
    format!("https://{}", server.client.address())
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    program(directory, arguments).output().unwrap()
}

#[track_caller]
fn assert_succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Asserts that a command ended with `status` and a line that has all of `words`.
#[track_caller]
fn assert_fails(output: &Output, status: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

fn body_of(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

// The commands.

#[test]
fn all_commands_speak_https() {
    let directory = TempDir::new().unwrap();
    let server = serve(directory.path(), "server.pem", "server.key");
    let address = server.client.address();
    let (url, ca) = (https(&server), fixture("authority.pem"));
    let ca = ca.to_str().unwrap();
    fs::write(directory.path().join("events.ndjson"), to_ndjson(&worked_example())).unwrap();
    for url in [url.clone(), url.replace("127.0.0.1", "localhost")] {
        assert_succeeds(&run(directory.path(), &["import", "events.ndjson", "--url", &url, "--ca", ca]));
        let others: [&[&str]; 4] = [
            &["health"],
            &["events", "job-types"],
            &["breakdown", "job-types", "--by", "status"],
            &["delete", "job/1", "--dry-run"],
        ];
        for command in others {
            assert_succeeds(&run(directory.path(), &[command, &["--url", &url, "--ca", ca]].concat()));
        }
        let by_variable = &mut program(directory.path(), &["export", "--url", &url, "--output", "out.gz"]);
        assert_succeeds(&by_variable.env("SCALE_METRICS_CA", ca).output().unwrap());
    }
    let mut exported = String::new();
    let packed = File::open(directory.path().join("out.gz")).unwrap();
    GzDecoder::new(packed).read_to_string(&mut exported).unwrap();
    assert_eq!(exported.lines().count(), worked_example().len());
    let plot = raw(address, get("/v6/metrics/job-types/plot-data/?column=total_count")).unwrap();
    assert_eq!(body_of(&plot)["results"][0]["values"], json!([{"datetime": "2015-01-01T00:00:00", "value": 6}]));
    let list = raw(address, get("/v6/metrics/?page_size=1")).unwrap();
    assert_eq!(body_of(&list)["next"], "https://x/v6/metrics/?page_size=1&page=2");
}

#[test]
fn health_asks_its_own_server_by_https() {
    let directory = TempDir::new().unwrap();
    let server = serve(directory.path(), "elsewhere.pem", "server.key");
    let listen = format!("--listen={}", server.client.address());
    let ask = |certificate: &str, key: &str| {
        program(directory.path(), &["health", &listen]).args(https_flags(certificate, key)).output().unwrap()
    };
    let output = ask("elsewhere.pem", "server.key");
    assert_succeeds(&output);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    // A server that keeps its certificate, since the new one is bad, is as ready as before.
    for (certificate, words) in [("server.pem", "another certificate"), ("missing.pem", "missing.pem")] {
        let output = ask(certificate, "server.key");
        assert_succeeds(&output);
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{output:?}");
    }
    // By plain HTTP, it is told what is wrong.
    assert_fails(&run(directory.path(), &["health", &listen]), 1, &["400", "https://"]);
    let only_one =
        program(directory.path(), &["health", &listen]).arg(&https_flags("server.pem", "server.key")[0]).output();
    assert_fails(&only_one.unwrap(), 2, &["tls_certificate", "tls_key"]);
}

#[test]
fn a_command_says_why_it_refuses_a_server() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("jobs.ndjson"), to_ndjson(&worked_example())).unwrap();
    let authority = fixture("authority.pem").display().to_string();
    for (certificate, ca, words) in [
        ("server.pem", None, &["does not trust its issuer", "--ca"][..]),
        ("self-signed.pem", None, &["does not trust its issuer", "--ca"]),
        ("expired.pem", Some("authority.pem"), &["expired at 2020-01-02"]),
        ("early.pem", Some("authority.pem"), &["only from 2098-01-01", "clock"]),
        ("elsewhere.pem", Some("authority.pem"), &["is for metrics.example.org, not for 127.0.0.1"]),
        ("ca-true.pem", Some("ca-true.pem"), &["CA:TRUE", "docs/https.md"]),
        ("ca-true.pem", None, &["CA:TRUE", "docs/https.md"]),
    ] {
        let server = serve(directory.path(), certificate, "server.key");
        let url = https(&server);
        for command in [&["health"][..], &["export"], &["import", "jobs.ndjson"]] {
            let mut command = program(directory.path(), command);
            command.args(["--url", &url]);
            if let Some(ca) = ca {
                command.arg("--ca").arg(fixture(ca));
            }
            assert_fails(&command.output().unwrap(), 1, &[&[url.as_str()], words].concat());
        }
    }
    // Those that are its own issuer are trusted if they are named.
    let server = serve(directory.path(), "self-signed.pem", "server.key");
    let alone = fixture("self-signed.pem").display().to_string();
    assert_succeeds(&run(directory.path(), &["health", "--url", &https(&server), "--ca", &alone]));
    drop(server);
    // At a port that speaks no TLS.
    let plain = Serving::serve(directory.path());
    let url = https(&plain);
    for command in [&["health"][..], &["export"], &["import", "jobs.ndjson"]] {
        let arguments = [command, &["--url", &url, "--ca", &authority]].concat();
        assert_fails(&run(directory.path(), &arguments), 1, &["no TLS", "http://"]);
    }
}

#[test]
fn authorities_that_cannot_be_read_stop_a_command() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("jobs.ndjson"), to_ndjson(&worked_example())).unwrap();
    fs::write(directory.path().join("text.pem"), "certificate").unwrap();
    fs::write(directory.path().join("torn.pem"), &fs::read(fixture("server.pem")).unwrap()[..200]).unwrap();
    for ca in ["missing.pem", "text.pem", "torn.pem"] {
        for command in [&["health"][..], &["export"], &["import", "jobs.ndjson"]] {
            // Nothing listens there, and nobody is asked.
            let arguments = [command, &["--url", "https://127.0.0.1:1", "--ca", ca]].concat();
            assert_fails(&run(directory.path(), &arguments), 2, &[ca]);
        }
    }
}

// The certificate of the server.

#[test]
fn a_bad_certificate_stops_the_start() {
    let directory = TempDir::new().unwrap();
    let write = |name: &str, content: &[u8]| fs::write(directory.path().join(name), content).unwrap();
    let good = fs::read_to_string(fixture("server.pem")).unwrap();
    write("text.pem", b"certificate");
    write("torn.pem", &good.as_bytes()[..200]);
    write("empty.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let (certificate, key) = (fixture("server.pem").display().to_string(), fixture("server.key").display().to_string());
    let of = |name: &str| fixture(name).display().to_string();
    for (pair, words) in [
        ([Some("missing.pem"), Some(&*key)], &["missing.pem"][..]),
        ([Some(&*certificate), Some("missing.key")], &["missing.key"]),
        ([Some("text.pem"), Some(&*key)], &["text.pem", "no certificate"]),
        ([Some("torn.pem"), Some(&*key)], &["torn.pem"]),
        ([Some("empty.pem"), Some(&*key)], &["empty.pem"]),
        ([Some(&*key), Some(&*key)], &["server.key", "no certificate"]),
        ([Some(&*certificate), Some(&*certificate)], &["server.pem", "no private key"]),
        ([Some(&*certificate), Some(&of("encrypted.key"))], &["encrypted.key", "password"]),
        ([Some(&*certificate), Some(&of("rsa.key"))], &["rsa.key", "does not belong", "server.pem"]),
        ([Some(&*of("rsa.pem")), Some(&*key)], &["rsa.pem", "does not belong", "server.key"]),
        ([Some(&*certificate), None], &["server.tls_certificate", "server.tls_key"]),
        ([None, Some(&*key)], &["server.tls_certificate", "server.tls_key"]),
    ] {
        for start in ["serve", "demo"] {
            let mut command = program(directory.path(), &[start, "--listen", FREE_PORT]);
            for (flag, value) in ["--tls-certificate", "--tls-key"].into_iter().zip(pair) {
                if let Some(value) = value {
                    command.args([flag, value]);
                }
            }
            let line = refusal(&mut command);
            for word in words {
                assert!(line.contains(word), "{word:?} is not in {line}");
            }
        }
    }
    assert!(!directory.path().join("data").exists());
}

#[test]
fn the_certificate_of_the_guide_is_served_and_trusted() {
    let directory = TempDir::new().unwrap();
    let guide = include_str!("../../docs/https.md");
    let block = guide.split("```console\n").nth(1).unwrap().split("\nscale-metrics serve ").next().unwrap();
    let Ok(made) = Command::new("openssl")
        .arg("version")
        .output()
        .and_then(|_| Command::new("sh").args(["-c", block]).current_dir(directory.path()).output())
    else {
        return skip("openssl is not installed");
    };
    assert_succeeds(&made);
    let mut command = program(directory.path(), &SERVE);
    let server = Serving::start(command.args(["--tls-certificate=metrics.pem", "--tls-key=metrics.key"]));
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{}", server.client.address().port());
        assert_succeeds(&run(directory.path(), &["health", "--url", &url, "--ca", "metrics.pem"]));
    }
}

/// A server whose log can be read while it runs.
struct Logged {
    child: Child,
    log: std::path::PathBuf,
    address: SocketAddr,
}

impl Logged {
    fn start(command: &mut Command, log: &Path) -> Self {
        let stderr = File::create(log).unwrap();
        command.env("SCALE_METRICS_STALL_TIMEOUT_S", PATIENCE_S.to_string());
        let child = command.stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        let mut server = Self { child, log: log.to_owned(), address: ([127, 0, 0, 1], 0).into() };
        server.wait_for("listening on https://");
        let said = server.said();
        let (_, address) = said.split_once("listening on https://").unwrap();
        server.address = address.lines().next().unwrap().parse().unwrap();
        server
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn wait_for(&self, words: &str) {
        wait_until(words, || {
            self.said().split_inclusive('\n').any(|line| line.ends_with('\n') && line.contains(words))
        });
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The files of a server's certificate, which a test exchanges.
struct Exchanged<'a>(&'a Path);

impl Exchanged<'_> {
    /// Replaces both files, one after the other, as programs do.
    fn put(&self, certificate: &[u8], key: &[u8]) {
        for (name, content) in [("live.pem", certificate), ("live.key", key)] {
            let new = self.0.join(format!("{name}.new"));
            fs::write(&new, content).unwrap();
            fs::rename(&new, self.0.join(name)).unwrap();
        }
    }

    fn put_fixtures(&self, certificate: &str, key: &str) {
        self.put(&fs::read(fixture(certificate)).unwrap(), &fs::read(fixture(key)).unwrap());
    }

    fn serve(&self) -> Logged {
        let mut command = program(self.0, &SERVE);
        command.args(["--tls-certificate=live.pem", "--tls-key=live.key"]);
        Logged::start(&mut command, &self.0.join("log"))
    }
}

#[test]
fn a_changed_certificate_is_used_without_a_restart_and_no_request_fails() {
    let directory = TempDir::new().unwrap();
    let files = Exchanged(directory.path());
    files.put_fixtures("server.pem", "server.key");
    let server = files.serve();
    let address = server.address;
    let is_over = AtomicBool::new(false);
    thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                // One connection that stays, beside those that come anew.
                let config = trusting();
                let mut stays = TlsConnection::open(address, &config).unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = raw(address, get("/healthz")).unwrap();
                    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
                    stays.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                    let mut start = vec![0; 17];
                    stays.read_exact(&mut start).unwrap();
                    assert_eq!(start, b"HTTP/1.1 200 OK\r\n");
                    let mut rest = Vec::new();
                    while !rest.ends_with(b"{\"status\":\"ok\"}") {
                        rest.push(0);
                        let last = rest.len() - 1;
                        stays.read_exact(&mut rest[last..]).unwrap();
                    }
                }
            });
        }
        let shown = || TlsConnection::open(address, &trusting()).unwrap().certificate();
        for round in 0..2 {
            for (certificate, key) in [("rsa.pem", "rsa.key"), ("server.pem", "server.key")] {
                let before = shown();
                files.put_fixtures(certificate, key);
                wait_until(&format!("{certificate} is used, round {round}"), || shown() != before);
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    // Lines are written some milliseconds later.
    let told = || server.said().matches("the certificate in `live.pem` is in use").count();
    wait_until("each change is told", || told() >= 4);
    assert_eq!(told(), 4, "{}", server.said());
    assert!(!server.said().contains("ERROR"), "{}", server.said());
}

#[test]
fn a_bad_new_certificate_keeps_the_old_one_and_is_told_once() {
    let directory = TempDir::new().unwrap();
    let files = Exchanged(directory.path());
    files.put_fixtures("server.pem", "server.key");
    let server = files.serve();
    let shown = || TlsConnection::open(server.address, &trusting()).unwrap().certificate();
    let first = shown();
    let key = fs::read(fixture("server.key")).unwrap();
    files.put(b"text", &key);
    server.wait_for("there is no certificate in `live.pem`");
    assert_eq!(shown(), first);
    let whole = fs::read(fixture("server.pem")).unwrap();
    files.put(&whole[..whole.len() / 2], &key);
    server.wait_for("it ends before its line `-----END CERTIFICATE-----`");
    assert_eq!(shown(), first);
    files.put_fixtures("rsa.pem", "server.key");
    server.wait_for("does not belong to the certificate in `live.pem`");
    assert_eq!(shown(), first);
    files.put_fixtures("expired.pem", "server.key");
    server.wait_for("`live.pem` cannot be used: it expired at 2020-01-02");
    assert_eq!(shown(), first);
    fs::remove_file(directory.path().join("live.key")).unwrap();
    server.wait_for("cannot read `live.key`");
    assert_eq!(shown(), first);
    files.put_fixtures("rsa.pem", "rsa.key");
    server.wait_for("the certificate in `live.pem` is in use");
    assert_ne!(shown(), first);
    // Several looks have passed since the first of these.
    assert_eq!(server.said().matches("the old one stays in use").count(), 5, "{}", server.said());
}

// Connections.

#[test]
fn answers_are_those_of_plain_http() {
    let plain = TestServer::start();
    let encrypted = TestServer::start_with(speak_https);
    let events: Vec<_> = [worked_example(), (10..400).map(|id| job_type(id, &format!("type-{id}"))).collect()].concat();
    let body = to_ndjson(&events);
    let post = "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n";
    let chunks = body.as_bytes().chunks(777).fold(String::new(), |chunks, piece| {
        let piece = str::from_utf8(piece).unwrap();
        chunks + &format!("{:x}\r\n{piece}\r\n", piece.len())
    });
    let length = body.len();
    let day = "started=2015-01-01&ended=2015-01-02";
    let requests = [
        format!("{post}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"),
        format!("{post}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunks}0\r\n\r\n"),
        format!("{post}Expect: 100-continue\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"),
        // Several on one connection, sent at once.
        format!(
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n{post}Content-Length: {length}\r\n\r\n{body}HEAD /v6/metrics/ HTTP/1.1\r\n\
             Host: x\r\n\r\n{}",
            get("/v6/metrics/job-types/")
        ),
        get(&format!("/v6/metrics/job-types/plot-data/?{day}&resolution=hour")),
        get("/v6/metrics/job-types/plot.svg"),
        get("/v6/export/"),
        get("/nothing"),
        get("/").replace("GET", "BREW"),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "GET /v6/export/ HTTP/1.0\r\n\r\n".to_owned(),
        "nonsense\r\n\r\n".to_owned(),
    ];
    // Each answer as its lines without those that always differ; the order of headers is nobody's.
    let comparable = |answer: String| -> Vec<String> {
        let changing = |line: &&str| line.starts_with("date: ") || line.starts_with("x-request-id: ");
        let lines = answer.split("\r\n").filter(|line| !changing(line));
        let mut lines: Vec<_> = lines.map(|line| line.replace("https://", "http://")).collect();
        lines.sort_unstable();
        lines
    };
    for request in requests {
        let from_plain = comparable(plain.raw(&request));
        let mut connection = TlsConnection::open(encrypted.address(), &trusting()).unwrap();
        connection.send(&request).unwrap();
        let (answered, ended) = connection.rest_however_it_ends();
        let from_encrypted = comparable(answered);
        // The framework drops a connection as soon as it has refused what is no request. The answer says how long it is.
        assert!(ended.is_ok() || request.starts_with("nonsense"), "{ended:?}: {request}");
        assert!(from_plain.iter().any(|line| line.starts_with("HTTP/1.")), "{from_plain:?}");
        assert_eq!(from_encrypted, from_plain, "{}", &request[..request.len().min(300)]);
    }
}

#[test]
fn a_large_body_and_a_large_answer_arrive_whole() {
    let server = TestServer::start_with(speak_https);
    let jobs = (1..=30_000_u64).map(|id| job(id, 1, "COMPLETED", "2015-01-01T05:00:00Z"));
    let events: Vec<_> = [job_type(1, "a")].into_iter().chain(jobs).collect();
    post(&server, &events);
    let exported = raw(server.address(), get("/v6/export/")).unwrap();
    assert_eq!(exported.matches("\"kind\"").count(), 30_001);
}

#[test]
fn both_versions_of_tls_are_spoken_and_http_1_1_above_them() {
    let server = TestServer::start_with(speak_https);
    let config = trusting();
    let connection = TlsConnection::open(server.address(), &config).unwrap();
    assert_eq!(connection.session().protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let ask = |protocols: &[&str]| {
        let mut config = (*trusting()).clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsConnection::open(server.address(), &Arc::new(config))
    };
    let agreed = ask(&["h2", "http/1.1"]).unwrap();
    assert_eq!(agreed.session().alpn_protocol(), Some(&b"http/1.1"[..]));
    assert!(ask(&["h2"]).is_err());
    let Ok(old) = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", &server.address().to_string(), "-CAfile"])
        .arg(fixture("authority.pem"))
        .args(["-verify_return_error", "-brief"])
        .stdin(Stdio::null())
        .output()
    else {
        return skip("openssl is not installed");
    };
    let said = String::from_utf8_lossy(&old.stderr);
    assert!(old.status.success() && said.contains("TLSv1.2") && said.contains("Verification: OK"), "{said}");
}

#[test]
fn plain_http_at_the_port_of_https_is_told_so() {
    let directory = TempDir::new().unwrap();
    let server = serve(directory.path(), "server.pem", "server.key");
    for request in [get("/v6/metrics/"), "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc".to_owned()] {
        let answer = server.client.raw(request);
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(body_of(&answer)["detail"].as_str().unwrap().contains("https://"), "{answer}");
    }
    // What is neither gets no answer, and others go on.
    let mut other = server.client.connect();
    other.write_all(b"\0\0\0\0\0\0\0\0").unwrap();
    let mut answer = Vec::new();
    let _ = other.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(raw(server.client.address(), get("/readyz")).unwrap().starts_with("HTTP/1.1 200 "));
    let log = server.end_for_log();
    assert_eq!(log.matches("this port speaks HTTPS only").count(), 2, "{log}");
}

#[test]
fn a_handshake_that_stalls_is_cut_off() {
    let server = TestServer::start_with(|config| {
        speak_https(config);
        config.server.stall_timeout_s = STALL_S;
    });
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    for sent in [0, 1, hello.len()] {
        let mut connection = server.connect();
        connection.write_all(&hello[..sent]).unwrap();
        let mut answer = Vec::new();
        // By an end or by a reset.
        let _ = connection.read_to_end(&mut answer);
        assert_eq!(answer, b"", "after {sent} bytes");
    }
    // Behind the handshake, heads have the same time.
    for head in ["", "GET / HTTP/1.1\r\nX-Slow: "] {
        let mut connection = TlsConnection::open(server.address(), &trusting()).unwrap();
        connection.send(head).unwrap();
        let answer = connection.rest().unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
}

#[test]
fn a_stop_does_not_wait_for_handshakes() {
    let server = TestServer::start_with(speak_https);
    let mut stalled = server.connect();
    stalled.write_all(b"\x16\x03\x01").unwrap();
    assert!(raw(server.address(), get("/readyz")).unwrap().starts_with("HTTP/1.1 200 "));
    // The server would wait for an hour.
    drop(server);
    assert_eq!(stalled.read(&mut [0]).unwrap_or(0), 0);
}

/// Executions of nine thousand hours, so that an answer is megabytes.
fn fill(server: &TestServer) {
    let hours = (0..9_000_u64).map(|hour| {
        let at =
            |minute| format!("2014-{:02}-{:02}T{:02}:{minute}:00Z", hour / 750 + 1, hour % 750 / 27 + 1, hour % 24);
        execution(hour + 1, 1, &at("01"), &at("02"), &at("03"))
    });
    post(server, &[job_type(1, "a")].into_iter().chain(hours).collect::<Vec<_>>());
}

/// Posts events that are all new.
#[track_caller]
fn post(server: &TestServer, events: &[Value]) {
    let body = to_ndjson(events);
    let request = format!(
        "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let posted = raw(server.address(), request).unwrap();
    assert!(posted.starts_with("HTTP/1.1 200 "), "{posted}");
    assert_eq!(body_of(&posted)["created"], events.len());
}

const LARGE: &str = "/v6/metrics/job-types/plot-data/?resolution=hour&ended=2015-01-31";

#[test]
fn an_answer_that_nobody_reads_gives_its_memory_back_and_a_slow_reader_gets_it_all() {
    let server = TestServer::start_with(|config| {
        speak_https(config);
        config.server.stall_timeout_s = STALL_S;
        config.api.answer_cache_bytes = 0;
    });
    fill(&server);
    let config = trusting();
    let held = || {
        let figures = raw(server.address(), get("/metrics")).unwrap();
        let line = figures.lines().find(|line| line.starts_with("scale_metrics_answer_bytes ")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // If this test is held up for longer than the server waits, they are gone before anybody looks: then they come again.
    let mut greedy = Vec::new();
    wait_until("three answers are held", || {
        greedy = (0..3).filter_map(|_| TlsConnection::open(server.address(), &config).ok()).collect();
        let ask = get(LARGE).replace("Connection: close\r\n", "");
        let begun = greedy
            .iter_mut()
            .all(|connection| connection.send(&ask).and_then(|()| connection.read_exact(&mut [0; 100])).is_ok());
        begun && greedy.len() == 3 && held() > 3 << 20
    });
    wait_until("what they hold is given back", || held() == 0);
    drop(greedy);
    let whole = raw(server.address(), get(LARGE)).unwrap().len();
    let stall = Duration::from_secs(STALL_S);
    wait_until("a slow reader is never held up longer than the server waits", || {
        let mut patient = TlsConnection::open(server.address(), &config).unwrap();
        SockRef::from(patient.socket()).set_recv_buffer_size(64 << 10).unwrap();
        let mut piece = vec![0; whole / 50];
        let (mut length, mut longest, begun) = (0, Duration::ZERO, Instant::now());
        let sent = patient.send(get(LARGE));
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
        assert!(length + piece.len() > whole - 500, "{length} bytes of {whole}, the id of the request aside");
        true
    });
}

#[test]
fn a_client_that_says_that_nothing_more_comes_is_answered() {
    let server = TestServer::start_with(speak_https);
    for path in ["/readyz", "/v6/metrics/", "/v6/metrics/job-types/plot.svg"] {
        // In the words of TLS, and by the end of the connection alone.
        let mut connection = TlsConnection::open(server.address(), &trusting()).unwrap();
        connection.send(get(path).replace("Connection: close\r\n", "")).unwrap();
        connection.send_end().unwrap();
        assert!(connection.rest().unwrap().starts_with("HTTP/1.1 200 "), "{path}");
        let mut connection = TlsConnection::open(server.address(), &trusting()).unwrap();
        connection.send(get(path).replace("Connection: close\r\n", "")).unwrap();
        connection.socket().shutdown(std::net::Shutdown::Write).unwrap();
        assert!(connection.rest().unwrap().starts_with("HTTP/1.1 200 "), "{path}");
    }
}

#[test]
fn what_a_client_that_is_gone_has_asked_for_is_not_computed_on() {
    let server = TestServer::start_with(speak_https);
    let types = (1..=200).map(|id| job_type(id, "one"));
    let jobs = (1..=6).flat_map(|month| {
        (1..=200 * 28_u64).map(move |number| {
            let ended = format!("2014-{month:02}-{:02}T01:00:00Z", number % 28 + 1);
            job(month * 10_000 + number, number / 28 % 200 + 1, "COMPLETED", &ended)
        })
    });
    post(&server, &types.chain(jobs).collect::<Vec<_>>());
    let stopped = || {
        let figures = raw(server.address(), get("/metrics")).unwrap();
        let line = figures.lines().find(|line| line.starts_with("scale_metrics_answers_stopped_total ")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // Whether it is noticed before the answer is there is up to the machine, so they ask until it was.
    let mut question = 0;
    for says_so in [true, false] {
        let before = stopped();
        wait_until("somebody notices that clients are gone", || {
            question += 1;
            let query =
                format!("name=one&resolution=hour&ended=2014-07-01T{:02}:{:02}:00Z", question % 24, question / 24 % 60);
            let mut connection = TlsConnection::open(server.address(), &trusting()).unwrap();
            connection.send(get(&format!("/v6/metrics/job-types/plot-data/?{query}"))).unwrap();
            if says_so {
                connection.send_end().unwrap();
                // Only says so, and is told what became of it.
                let _ = connection.rest();
            }
            stopped() > before
        });
    }
}

#[test]
fn web_pages_write_by_https_no_more_than_by_http() {
    let server = TestServer::start_with(speak_https);
    let listed = TestServer::start_with(|config| {
        speak_https(config);
        config.server.cors_origins = vec![WebOrigin::new("https://example.org").unwrap()];
    });
    let status = |server: &TestServer, host: &str, origin: &str| {
        let request = format!(
            "POST /v6/events/ HTTP/1.1\r\nHost: {host}\r\n{origin}Content-Type: application/json\r\nContent-Length: 2\r\n\
             Connection: close\r\n\r\n[]"
        );
        raw(server.address(), request).unwrap()[9..12].parse::<u16>().unwrap()
    };
    assert_eq!(status(&server, "localhost", ""), 200);
    assert_eq!(status(&server, "evil.example", ""), 403);
    assert_eq!(status(&server, "localhost", "Origin: https://localhost\r\n"), 403);
    assert_eq!(status(&listed, "localhost", "Origin: https://example.org\r\n"), 200);
    assert_eq!(status(&listed, "localhost", "Origin: http://example.org\r\n"), 403);
}
