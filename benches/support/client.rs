//! Posts a chunk of the events over several connections, with as little work as possible while the clock runs: requests
//! are made before, and a connection is a socket and a thread.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use super::events::Events;

/// A server that does not answer for so long hangs.
const GIVE_UP: Duration = Duration::from_mins(2);

/// Requests as they go over the wire, one after the other.
#[derive(Default)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    each: Vec<Request>,
    /// Of these bytes, those without the heads of the requests.
    pub(crate) body_bytes: u64,
}

struct Request {
    /// Where in the bytes.
    range: Range<usize>,
    events: u64,
}

impl Requests {
    /// Replaces what was there by the events at `places`, so many to a request.
    pub(crate) fn fill(&mut self, events: &Events, places: Range<u64>, batch: u64) {
        self.bytes.clear();
        self.each.clear();
        self.body_bytes = 0;
        let mut body = Vec::new();
        for start in places.clone().step_by(usize::try_from(batch).expect("a batch fits into memory")) {
            let end = places.end.min(start + batch);
            body.clear();
            (start..end).for_each(|place| events.write(place, &mut body));
            self.push(&body, end - start);
        }
    }

    /// The definitions of choices, as one request.
    pub(crate) fn choices(events: &Events) -> Self {
        let (mut requests, mut body) = (Self::default(), Vec::new());
        let count = events.write_choices(&mut body);
        requests.push(&body, count);
        requests
    }

    /// Adds a request with that body of so many lines.
    pub(crate) fn push(&mut self, body: &[u8], events: u64) {
        let start = self.bytes.len();
        write!(
            self.bytes,
            "POST /v6/events/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .expect("a Vec takes all");
        self.bytes.extend_from_slice(body);
        self.body_bytes += body.len() as u64;
        self.each.push(Request { range: start..self.bytes.len(), events });
    }
}

/// What came of posting.
#[derive(Default)]
pub(crate) struct Posted {
    pub(crate) receipt: Receipt,
    /// From the first byte of the first request to the last byte of the last answer.
    pub(crate) elapsed: Duration,
    /// Of each post, in no order.
    pub(crate) latencies: Vec<Duration>,
}

/// What the server says of a request, or of several together.
#[derive(Default, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) accepted: u64,
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    pub(crate) stale: u64,
}

impl Posted {
    pub(crate) fn add(&mut self, other: Self) {
        self.receipt.add(&other.receipt);
        self.elapsed += other.elapsed;
        self.latencies.extend(other.latencies);
    }
}

impl Receipt {
    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.stale += other.stale;
    }
}

/// How fast to post, and for how long.
pub(crate) struct Pace {
    /// From the start of a request to that of the next.
    pub(crate) every: Duration,
    /// Set when no more shall be posted.
    pub(crate) stop: AtomicBool,
}

/// Posts all requests, each once and over whichever connection is free, to one server or several. The first failure ends it.
pub(crate) fn post(servers: &[SocketAddr], requests: &Requests, connections: usize) -> anyhow::Result<Posted> {
    post_steadily(servers, requests, connections, &Pace { every: Duration::ZERO, stop: AtomicBool::new(false) })
}

/// The same, but one after the other at a steady pace, and only until it is stopped.
pub(crate) fn post_steadily(
    servers: &[SocketAddr],
    requests: &Requests,
    connections: usize,
    pace: &Pace,
) -> anyhow::Result<Posted> {
    // All of them stand before the clock starts.
    let connections = (0..connections).map(|place| Connection::open(servers[place % servers.len()]));
    let connections: Vec<_> = connections.collect::<Result<_, _>>()?;
    let next = AtomicUsize::new(0);
    let barrier = Barrier::new(connections.len() + 1);
    thread::scope(|scope| {
        let (next, barrier) = (&next, &barrier);
        let workers: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                scope.spawn(move || {
                    barrier.wait();
                    let posted = connection.post_some(requests, next, pace);
                    if posted.is_err() {
                        next.store(requests.each.len(), Ordering::Relaxed);
                    }
                    posted
                })
            })
            .collect();
        let start = Instant::now();
        barrier.wait();
        let mut all = Posted::default();
        for worker in workers {
            all.add(worker.join().expect("a connection does not panic")?);
        }
        all.elapsed = start.elapsed();
        Ok(all)
    })
}

/// Posts requests over one connection, one after the other, while some work is done.
pub(crate) fn post_beside<T>(
    server: SocketAddr,
    requests: &Requests,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(Posted, T)> {
    let pace = Pace { every: Duration::ZERO, stop: AtomicBool::new(false) };
    thread::scope(|scope| {
        let posting = scope.spawn(|| post_steadily(&[server], requests, 1, &pace));
        let done = work();
        pace.stop.store(true, Ordering::Relaxed);
        Ok((posting.join().expect("it does not panic")?, done?))
    })
}

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(server: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server).with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(GIVE_UP))?;
        stream.set_write_timeout(Some(GIVE_UP))?;
        Ok(Self { stream, answer: Vec::new() })
    }

    /// `GET`s a path. Returns the body of the answer, which must be a `200`.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<&[u8]> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    /// Posts a body. Returns the body of the answer, which must be a `200`.
    pub(crate) fn post(&mut self, path: &str, media_type: &str, body: &[u8]) -> anyhow::Result<&[u8]> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.send(&[head.as_bytes(), body].concat())
    }

    /// Posts one request after the other, as long as `next` counts up to one.
    fn post_some(&mut self, requests: &Requests, next: &AtomicUsize, pace: &Pace) -> anyhow::Result<Posted> {
        let mut posted = Posted::default();
        let begin = Instant::now();
        while !pace.stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(Request { range, events }) = requests.each.get(number) else { break };
            let due = pace.every * u32::try_from(number).expect("requests fit into memory");
            thread::sleep(due.saturating_sub(begin.elapsed()));
            let start = Instant::now();
            let answer = self.send(&requests.bytes[range.clone()])?;
            posted.latencies.push(start.elapsed());
            let receipt: Receipt = serde_json::from_slice(answer)?;
            ensure!(receipt.accepted == *events, "{} events were accepted of {events}", receipt.accepted);
            posted.receipt.add(&receipt);
        }
        Ok(posted)
    }

    /// Sends a request as it is. Returns the body of the answer, which must be a `200`.
    fn send(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.stream.write_all(request).context("cannot send a request")?;
        self.answer.clear();
        let body = loop {
            self.read_more()?;
            if let Some(end) = self.answer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.answer[..body]).into_owned();
        let length: usize = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .context("an answer has no length")?;
        while self.answer.len() < body + length {
            self.read_more()?;
        }
        if !head.starts_with("HTTP/1.1 200 ") {
            let status = head.lines().next().unwrap_or_default();
            bail!("the server answers {status}: {}", String::from_utf8_lossy(&self.answer[body..]));
        }
        Ok(&self.answer[body..body + length])
    }

    fn read_more(&mut self) -> anyhow::Result<()> {
        let mut bytes = [0; 4096];
        let read = self.stream.read(&mut bytes).context("cannot read an answer")?;
        ensure!(read > 0, "the server closed a connection");
        self.answer.extend_from_slice(&bytes[..read]);
        Ok(())
    }
}
