//! The log: one line per message, on standard error.
//!
//! Lines are gathered in memory, and a thread of their own writes them a few milliseconds later, so that no request waits for a
//! reader of the log. If nothing reads standard error, lines are dropped instead of filling the memory, and the log says how
//! many. Lines about requests are formatted here: the general way took as long as a small answer.

use std::io::{self, IsTerminal, Write, stderr};
use std::mem;
use std::net::IpAddr;
use std::ops::Not;
use std::sync::{LazyLock, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::Serialize;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat, LogLevel};
use crate::time::Clock;

/// How long lines are gathered.
const GATHER: Duration = Duration::from_millis(5);

/// How long the end of the process waits for lines to be written.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// The most bytes of lines that may wait to be written.
const MOST_BYTES: usize = 4 << 20;

/// The target of the line that says on which address the server listens. This line is logged at any level: with port 0, the port
/// is not known otherwise.
pub const WHERE: &str = "scale_metrics::listening";

/// Starts logging for the whole process, except for the messages of the module `unheard`. A second call changes nothing.
pub fn start(config: &LogConfig, unheard: &str) {
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Messages of the libraries about their own start and stop are of no interest.
    let levels = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(unheard, LevelFilter::OFF)
        .with_target("scale_metrics", level)
        .with_target(WHERE, LevelFilter::INFO);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Line).with_target(false);
    let lines = match config.format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // This fails only if logging was started before.
    if tracing_subscriber::registry().with(lines.with_filter(levels)).try_init().is_ok() {
        let _ = SETTINGS.set(config.clone());
    }
}

/// The settings in force since logging was started.
static SETTINGS: OnceLock<LogConfig> = OnceLock::new();

/// What is told of one request.
#[derive(Debug, Serialize)]
pub struct RequestLine<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path and query.
    pub path: &'a str,
    /// The status of the answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How much of the body was sent.
    pub bytes: u64,
    /// What it took from its head to the end of the answer, in milliseconds.
    pub elapsed_ms: f64,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// What it is called.
    pub request_id: &'a str,
    /// Whether the client went away before the end.
    #[serde(skip_serializing_if = "<&bool>::not")]
    pub gone: bool,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
}

/// Whether lines of that level are logged.
pub fn is_said(level: LogLevel) -> bool {
    SETTINGS.get().is_some_and(|settings| level as u8 <= settings.level as u8)
}

/// Logs a line about a request, if that level is logged.
pub fn say_request(level: LogLevel, request: &RequestLine<'_>) {
    #[derive(Serialize)]
    struct Json<'a> {
        timestamp: &'a str,
        level: &'a str,
        message: &'a str,
        #[serde(flatten)]
        request: &'a RequestLine<'a>,
    }

    let Some(settings) = SETTINGS.get().filter(|_| is_said(level)) else { return };
    let name = ["ERROR", "WARN", "INFO", "DEBUG"][level as usize];
    let timestamp = Clock::System.now().to_string();
    let mut line = Vec::with_capacity(512);
    match settings.format {
        LogFormat::Json => {
            let json = Json { timestamp: &timestamp, level: name, message: "request", request };
            serde_json::to_writer(&mut line, &json).expect("texts and numbers can be written");
        }
        LogFormat::Text => request.write_text(&mut line, &timestamp, name),
    }
    line.push(b'\n');
    LOG.add(&line);
}

impl RequestLine<'_> {
    /// Writes the line in the format of the other lines: the message, then its fields.
    fn write_text(&self, line: &mut Vec<u8>, timestamp: &str, level: &str) {
        let Self { method, path, status, bytes, elapsed_ms, client, request_id, gone, error } = self;
        let written = (|| {
            write!(line, "{timestamp} {level:>5} request method={method} path=")?;
            serde_json::to_writer(&mut *line, path)?;
            if let Some(status) = status {
                write!(line, " status={status}")?;
            }
            write!(line, " bytes={bytes} elapsed_ms={elapsed_ms}")?;
            if let Some(client) = client {
                write!(line, " client={client}")?;
            }
            write!(line, " request_id={request_id}")?;
            if *gone {
                write!(line, " gone=true")?;
            }
            if let Some(error) = error {
                write!(line, " error=")?;
                serde_json::to_writer(&mut *line, error)?;
            }
            Ok::<_, io::Error>(())
        })();
        written.expect("a vector takes all that is written to it");
    }
}

/// Waits until all lines are written, or until a timeout if nothing reads them. The caller calls it before the process ends.
pub fn flush() {
    let Some(log) = LazyLock::get(&LOG) else { return };
    let mut waiting = log.waiting.lock();
    let until = Instant::now() + LAST_WAIT;
    while !waiting.lines.is_empty() || waiting.is_writing {
        log.added.notify_one();
        if log.written.wait_until(&mut waiting, until).timed_out() {
            return;
        }
    }
}

/// The log of this process.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let writer = thread::Builder::new().name("log".to_owned()).spawn(|| LOG.write_for_ever());
    writer.expect("a thread can be started");
    Log::default()
});

#[derive(Default)]
struct Log {
    waiting: Mutex<Waiting>,
    added: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// The number of lines that found no room.
    lost: u64,
    is_writing: bool,
}

impl Log {
    fn add(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        if waiting.lines.len() + line.len() > MOST_BYTES {
            waiting.lost += 1;
            return;
        }
        waiting.lines.extend_from_slice(line);
        // The thread sleeps only while there are no lines.
        if waiting.lines.len() == line.len() {
            self.added.notify_one();
        }
    }

    fn write_for_ever(&self) -> ! {
        let mut lines = Vec::new();
        let mut waiting = self.waiting.lock();
        loop {
            while waiting.lines.is_empty() {
                self.written.notify_all();
                self.added.wait(&mut waiting);
            }
            self.added.wait_for(&mut waiting, GATHER);
            mem::swap(&mut lines, &mut waiting.lines);
            let lost = mem::take(&mut waiting.lost);
            waiting.is_writing = true;
            drop(waiting);
            // If standard error fails, there is no other place to report that.
            let _ = stderr().write_all(&lines);
            lines.clear();
            if lost > 0 {
                tracing::warn!(lost, "lines of the log were lost: nobody reads them");
            }
            waiting = self.waiting.lock();
            waiting.is_writing = false;
        }
    }
}

/// A writer that takes one line.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An id for a request that came without one.
pub(crate) fn new_request_id() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// A duration in milliseconds, rounded to the microsecond.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
