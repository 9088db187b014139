//! What every test stands on: a real server over a throw-away directory, an HTTP client that shows what was really
//! sent, and builders of events.
//!
//! Not here: what the right answers are; each test says that itself.

pub(crate) mod medium;
pub(crate) mod nginx;
#[path = "../../common/postgres.rs"]
pub(crate) mod postgres;
#[path = "../../common/process.rs"]
pub(crate) mod process;
#[path = "../../common/relay.rs"]
pub(crate) mod relay;
#[path = "../../common/skip.rs"]
pub(crate) mod skip;
pub(crate) mod tls;

use std::env;
use std::future;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use scale_metrics::app::App;
use scale_metrics::config::Config;
use scale_metrics::time::{Clock, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::http::{HeaderMap, Request};

use postgres::Postgres;
pub(crate) use process::{GIVE_UP, PATIENCE_S, wait_until};

/// The program as a process.
pub(crate) type Serving = process::Serving<Client>;

/// What the clock of a new [`TestServer`] shows; it stands still until [`TestServer::set_now`].
pub(crate) const NOW: &str = "2015-02-01T00:00:00Z";

/// The whole application on a free port, over its own directory and a clock that the test owns. With `IT_SERVERS=3` it is three
/// servers on a database of their own, of which each request asks the next.
pub(crate) struct TestServer {
    /// Empty only while it restarts.
    apps: Vec<App>,
    config: Config,
    clock: Clock,
    client: Client,
    _data: TempDir,
}

impl TestServer {
    /// A server with the built-in settings and an empty database.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// A server with an empty database and the settings that `change` makes of the built-in ones, [`patient`] ones.
    pub(crate) fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let data = TempDir::new().unwrap();
        let mut config = Config::default();
        config.server.listen = "127.0.0.1:0".parse().unwrap();
        config.storage.data = data.path().to_path_buf();
        patient(&mut config);
        if servers() > 1 {
            let database = Postgres::shared().expect("it is installed").new_database();
            config.storage.database = Some(database.parse().unwrap());
        }
        change(&mut config);
        let clock = Clock::fixed(timestamp(NOW));
        let (apps, client) = start(&config, &clock);
        Self { apps, config, clock, client, _data: data }
    }

    /// Stops the server in order and starts it again over the same directory, on another port.
    pub(crate) fn restart(&mut self) {
        self.restart_after(|_| ());
    }

    /// Restarts, and looks at the data directory while nothing runs on it.
    pub(crate) fn restart_after<T>(&mut self, look: impl FnOnce(&Path) -> T) -> T {
        self.apps.drain(..).for_each(|app| stop(app).unwrap());
        let seen = look(&self.config.storage.data);
        (self.apps, self.client) = start(&self.config, &self.clock);
        seen
    }

    /// Lets time pass until `now`, or sets the clock back to it.
    pub(crate) fn set_now(&self, now: &str) {
        let (before, now) = (self.clock.now(), timestamp(now));
        self.clock.pass(Duration::from_micros(now.since(before)));
        self.clock.set(now);
    }

    /// Sets the clock, as an operator or a broken time server does: no time passes.
    pub(crate) fn set_clock(&self, now: &str) {
        self.clock.set(timestamp(now));
    }

    /// Stops the server in order and starts it again with other settings.
    pub(crate) fn restart_with(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.restart();
    }
}

/// Sets the limits for slow clients and long answers so that no test meets them because its machine is busy.
fn patient(config: &mut Config) {
    config.server.stall_timeout_s = PATIENCE_S;
    config.server.body_timeout_s = PATIENCE_S;
    config.server.body_least_bytes_s = 0;
    config.api.answer_timeout_s = PATIENCE_S;
}

/// How many servers a test has.
fn servers() -> usize {
    env::var("IT_SERVERS").map_or(1, |text| text.parse().unwrap())
}

/// Starts the servers, and a client that asks each in its turn.
fn start(config: &Config, clock: &Clock) -> (Vec<App>, Client) {
    let apps: Vec<_> = (0..servers()).map(|_| App::start(config.clone(), clock.clone()).unwrap()).collect();
    let mut client = Client::from(apps[0].address());
    client.bases = apps.iter().map(|app| format!("http://{}", app.address())).collect();
    (apps, client)
}

/// Stops in order.
fn stop(app: App) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(app.stop(future::pending()))
}

impl Deref for TestServer {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        for app in self.apps.drain(..) {
            let stopped = stop(app);
            assert!(stopped.is_ok() || thread::panicking(), "the server did not stop in order: {stopped:?}");
        }
    }
}

fn timestamp(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A client of one server, or of several in turn. It follows no redirect, unpacks nothing and takes every status as an answer.
pub(crate) struct Client {
    address: SocketAddr,
    /// The addresses of all servers.
    bases: Vec<String>,
    /// The number of requests so far.
    requests: AtomicUsize,
    agent: ureq::Agent,
}

impl From<SocketAddr> for Client {
    fn from(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(0) // so that no idle connection outlives the server it went to
            .proxy(None)
            .timeout_global(Some(GIVE_UP))
            .build()
            .new_agent();
        Self { address, bases: vec![format!("http://{address}")], requests: AtomicUsize::new(0), agent }
    }
}

impl Client {
    /// Scheme, host and port, without a slash: `http://127.0.0.1:34567`.
    pub(crate) fn base(&self) -> &str {
        &self.bases[0]
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// Posts one event or an array of them as JSON.
    pub(crate) fn post(&self, body: impl Serialize) -> Answer {
        let body = serde_json::to_vec(&body).unwrap();
        self.send("POST", "/v6/events/", &[("Content-Type", "application/json")], &body)
    }

    /// Posts `text` as NDJSON, as it is.
    pub(crate) fn ndjson(&self, text: &str) -> Answer {
        self.send("POST", "/v6/events/", &[("Content-Type", "application/x-ndjson")], text.as_bytes())
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).unwrap()
    }

    /// As [`Client::send`]; no answer at all is an error.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let base = &self.bases[self.requests.fetch_add(1, Ordering::Relaxed) % self.bases.len()];
        let mut request = Request::builder().method(method).uri(format!("{base}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = if body.is_empty() && method != "POST" {
            self.agent.run(request.body(())?)
        } else {
            self.agent.run(request.body(body)?)
        };
        let (parts, mut body) = answer?.into_parts();
        let body = body.with_config().limit(u64::MAX).read_to_vec()?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// Sends these bytes on a connection of their own and returns everything that comes back until the server closes
    /// it; for requests that no proper client would make. They need a `Connection: close`.
    pub(crate) fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut connection = self.connect();
        connection.write_all(request.as_ref()).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A bare connection to the server.
    pub(crate) fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(self.address).unwrap();
        connection.set_read_timeout(Some(GIVE_UP)).unwrap();
        connection
    }

    /// Posts events that must all be accepted.
    #[track_caller]
    pub(crate) fn accept(&self, events: &[Value]) {
        let answer = self.post(events);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["accepted"], events.len());
    }

    /// How much memory requests hold that write.
    pub(crate) fn room_taken(&self) -> u64 {
        let figures = self.get("/metrics").text();
        let line = figures.lines().find(|line| line.starts_with("scale_metrics_queue_bytes ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until bodies hold that much memory. Until then, a request that asks for room could have them wait.
    pub(crate) fn wait_for_room_taken(&self, bytes: u64) {
        wait_until(&format!("bodies hold {bytes} bytes"), || self.room_taken() >= bytes);
    }

    /// The `results` of a type's plot data; `query` comes without its question mark.
    #[track_caller]
    pub(crate) fn plot(&self, metrics_type: &str, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v6/metrics/{metrics_type}/plot-data/?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.json()["results"].as_array().unwrap().clone()
    }

    /// The `values` of one column of a type's plot data.
    #[track_caller]
    pub(crate) fn values(&self, metrics_type: &str, column: &str, query: &str) -> Value {
        let results = self.plot(metrics_type, &format!("column={column}&{query}"));
        assert_eq!(results.len(), 1, "one column was asked for: {results:?}");
        results[0]["values"].clone()
    }
}

/// What came back, as it was sent: headers and body are neither followed nor unpacked.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts that this is an error with `status`, whose body is a `detail` with all of `words` and nothing else.
    #[track_caller]
    pub(crate) fn assert_refused(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.text());
        let body = self.json();
        let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["detail"]);
        let detail = body["detail"].as_str().unwrap();
        assert!(!detail.is_empty());
        for word in words {
            assert!(detail.contains(word), "{word:?} is not in {detail:?}");
        }
    }
}

/// Reads a request until `is_end` holds of it, for a stand-in of a server.
pub(crate) fn read_request(connection: &mut TcpStream, is_end: impl Fn(&[u8]) -> bool) {
    let mut request = Vec::new();
    while !is_end(&request) {
        let mut piece = [0; 1024];
        let read = connection.read(&mut piece).unwrap();
        assert_ne!(read, 0);
        request.extend_from_slice(&piece[..read]);
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

pub(crate) fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

pub(crate) fn to_ndjson(events: &[Value]) -> String {
    events.iter().flat_map(|event| [event.to_string(), "\n".to_owned()]).collect()
}

/// `event` with more or other fields.
pub(crate) fn with(mut event: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields are a JSON object") };
    event.as_object_mut().unwrap().extend(fields);
    event
}

pub(crate) fn job_type(id: u64, name: &str) -> Value {
    json!({"kind": "job_type", "id": id, "name": name, "version": "1.0"})
}

pub(crate) fn strike(id: u64, name: &str) -> Value {
    json!({"kind": "strike", "id": id, "name": name})
}

/// An error that is not built in, so no choice of the type `errors`.
pub(crate) fn error(id: u64, name: &str, category: &str) -> Value {
    json!({"kind": "error", "id": id, "name": name, "category": category})
}

pub(crate) fn builtin_error(id: u64, name: &str, category: &str) -> Value {
    with(error(id, name, category), json!({"is_builtin": true}))
}

pub(crate) fn job(id: u64, job_type: u64, status: &str, ended: &str) -> Value {
    json!({"kind": "job", "id": id, "job_type": job_type, "status": status, "ended": ended})
}

/// A completed execution without tasks.
pub(crate) fn execution(id: u64, job_type: u64, queued: &str, started: &str, ended: &str) -> Value {
    json!({
        "kind": "job_execution", "id": id, "job_type": job_type, "status": "COMPLETED",
        "queued": queued, "started": started, "ended": ended,
    })
}

/// An execution that `error` ended.
pub(crate) fn failed_execution(id: u64, job_type: u64, error: u64, ended: &str) -> Value {
    json!({
        "kind": "job_execution", "id": id, "job_type": job_type, "status": "FAILED", "error": error, "ended": ended,
    })
}

pub(crate) fn ingest(id: u64, strike: u64, status: &str, ended: &str) -> Value {
    json!({"kind": "ingest", "id": id, "strike": strike, "status": status, "ingest_ended": ended})
}

/// The times of the two executions of the worked example, by measure: of the one that ended at 06:00, and of that at 16:00.
pub(crate) const WORKED_TIMES: [(&str, u64, u64); 6] = [
    ("queue_time", 602, 7802),
    ("pre_time", 2156, 5404),
    ("job_time", 3002, 6608),
    ("post_time", 4202, 7812),
    ("run_time", 21014, 49856),
    ("stage_time", 11654, 30032),
];

/// The worked example: one job type, six jobs and two executions on 2015-01-01.
pub(crate) fn worked_example() -> Vec<Value> {
    let at = |time: &str| format!("2015-01-01T{time}Z");
    let task =
        |kind: &str, started: &str, ended: &str| json!({"type": kind, "started": at(started), "ended": at(ended)});
    let midnight = at("00:00:00");
    let failed = |id: u64, error: u64| with(job(id, 1, "FAILED", &midnight), json!({"error": error}));
    vec![
        job_type(1, "worked-example"),
        error(1, "system-error", "SYSTEM"),
        error(2, "data-error", "DATA"),
        error(3, "algorithm-error", "ALGORITHM"),
        job(1, 1, "COMPLETED", &midnight),
        job(2, 1, "COMPLETED", &midnight),
        failed(3, 1),
        failed(4, 2),
        failed(5, 3),
        job(6, 1, "CANCELED", &midnight),
        with(
            execution(1, 1, &midnight, &at("00:10:02"), &at("06:00:16")),
            json!({"tasks": [
                task("pre", "00:30:04", "01:06:00"),
                task("main", "01:40:08", "02:30:10"),
                task("post", "03:30:12", "04:40:14"),
            ]}),
        ),
        with(
            execution(2, 1, &midnight, &at("02:10:02"), &at("16:00:58")),
            json!({"tasks": [
                task("pre", "04:30:04", "06:00:08"),
                task("main", "08:40:14", "10:30:22"),
                task("post", "12:30:32", "14:40:44"),
            ]}),
        ),
    ]
}
