//! Starts a server over a year of events and prints what lists and breakdowns of events cost the first time, how fast events are deleted
//! and posted again, and how long single posts take beside eight clients that ask for breakdowns of everything.
//!
//! `cargo bench --bench lists`; `benches/README.md` says what the figures mean.
#![expect(clippy::print_stdout, reason = "what the command was asked for")]

#[path = "support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::{Parser, value_parser};
use serde_json::{Value, json};

use support::client::{self, Connection, Posted, Requests};
use support::events::{DEFAULT, Events, Shape};
use support::server::Server;

/// Measures lists, breakdowns and deletions of a server over a year of events
#[derive(Parser)]
struct Options {
    /// How many events there are
    #[arg(long, default_value_t = DEFAULT.events, value_parser = value_parser!(u64).range(1..))]
    events: u64,
    /// How many times each is measured; medians are printed
    #[arg(long, default_value_t = 15, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// Keep the database there, and go on with one that is there
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is asked, as its name and the path behind `/v6/metrics/job-types/`.
const QUERIES: [(&str, &str); 8] = [
    (
        "events of one job type on one day",
        "events/?page_size=50&choice_id=3&started=2024-03-01&ended=2024-03-01T23:00:00Z",
    ),
    (
        "newest 50 failures in 30 days",
        "events/?page_size=50&status=FAILED&started=2024-03-01&ended=2024-03-30T23:00:00Z",
    ),
    ("50 longest runs of the year", "events/?page_size=50&order=-run_time"),
    ("newest 50 failed executions of the year", "events/?page_size=50&kind=job_execution&status=FAILED"),
    ("page 10,000 of all events, newest first", "events/?page_size=50&page=10000"),
    ("year by error and job type", "breakdown/?by=error&by=choice"),
    ("year by error and job type, jobs alone", "breakdown/?by=error&by=choice&kind=job"),
    ("year by local hour and weekday", "breakdown/?by=hour&by=weekday&timezone=America/New_York"),
];

/// The breakdown of everything that eight clients ask for, each with a page of another size: equal questions are answered together.
const EVERYTHING: &str = "/v6/metrics/job-types/breakdown/?by=error&by=choice&page_size=";
const CLIENTS: usize = 8;
/// How many events are deleted at once.
const DELETED: u64 = 10_000;
/// How often they are deleted and posted again.
const TURNS: usize = 7;
/// How long single events are posted, alone and then beside the clients.
const PART: Duration = Duration::from_secs(10);
/// Single posts that are made before the clock runs; more than can be posted in a part.
const SINGLES: u64 = 100_000;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if !options.bench {
        println!("run it with `cargo bench --bench lists`, which builds the server as it is released");
        return Ok(());
    }
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let data = options.data.clone().unwrap_or_else(|| temporary.path().join("data"));
    std::fs::create_dir_all(&data)?;
    let data = data.canonicalize()?;
    let (server, _) = Server::start(&data, &["--answer-cache-bytes", "0"])?;
    let events = Events::new(Shape { events: options.events, ..DEFAULT });
    fill(&server, &events, options.events)?;
    first_time(&server, options.rounds)?;
    deletions(&server, &events)?;
    fairness(&server, options.events)?;
    server.stop()
}

/// Posts the events, unless they are there.
fn fill(server: &Server, events: &Events, count: u64) -> anyhow::Result<()> {
    const CHUNK: u64 = 500_000;
    client::post(&[server.address], &Requests::choices(events), 1)?;
    let (mut requests, mut created) = (Requests::default(), 0);
    for start in (0..count).step_by(usize::try_from(CHUNK)?) {
        requests.fill(events, start..count.min(start + CHUNK), 10_000);
        created += client::post(&[server.address], &requests, 4)?.receipt.created;
    }
    println!("stored     {created} events, {} were there", count - created);
    Ok(())
}

/// What each query takes over one connection when nothing is kept.
fn first_time(server: &Server, rounds: u32) -> anyhow::Result<()> {
    println!("\nfirst time, over one connection");
    let mut connection = Connection::open(server.address)?;
    for (name, path) in QUERIES {
        let path = format!("/v6/metrics/job-types/{path}");
        let mut times = Vec::new();
        for _ in 0..rounds {
            let start = Instant::now();
            connection.get(&path)?;
            times.push(start.elapsed());
        }
        println!("  {name:<42} {:>9.2} ms", milliseconds(percentile(&mut times, 50)));
    }
    Ok(())
}

/// How fast stored events are deleted in one request, and posted again in one; in turns.
fn deletions(server: &Server, events: &Events) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    (0..DELETED).for_each(|place| events.write(place, &mut lines));
    let key = |line: &[u8]| -> serde_json::Result<Value> {
        let event: Value = serde_json::from_slice(line)?;
        Ok(json!({"kind": event["kind"], "id": event["id"]}))
    };
    let keys = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(key);
    let keys = json!(keys.collect::<Result<Vec<_>, _>>()?).to_string();
    let mut connection = Connection::open(server.address)?;
    let (mut deleting, mut posting) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let start = Instant::now();
        let answer: Value =
            serde_json::from_slice(connection.post("/v6/events/delete/", "application/json", keys.as_bytes())?)?;
        deleting.push(start.elapsed());
        ensure!(answer == json!({"deleted": DELETED, "missing": 0}), "{answer}");
        let start = Instant::now();
        let answer: Value = serde_json::from_slice(connection.post("/v6/events/", "application/x-ndjson", &lines)?)?;
        posting.push(start.elapsed());
        ensure!(answer["created"] == DELETED, "{answer}");
    }
    let [deleting, posting] = [deleting, posting].map(|mut times| percentile(&mut times, 50));
    println!("\n{DELETED} stored events in one request, in turns");
    println!(
        "  deleted in {:.1} ms, posted again in {:.1} ms: {:.2} times as fast",
        milliseconds(deleting),
        milliseconds(posting),
        posting.as_secs_f64() / deleting.as_secs_f64()
    );
    Ok(())
}

/// How long single posts take alone, and beside clients that ask for breakdowns of everything; how many of those were answered.
fn fairness(server: &Server, count: u64) -> anyhow::Result<()> {
    println!("\nsingle posts over one connection, one after the other");
    let (alone, ()) = beside(server, count + 1, || {
        thread::sleep(PART);
        Ok(())
    })?;
    print("alone", alone);
    let is_over = AtomicBool::new(false);
    let (posted, answers) = beside(server, count + 1 + SINGLES, || {
        thread::scope(|scope| {
            let is_over = &is_over;
            let ask = |size: usize| -> anyhow::Result<u32> {
                let path = format!("{EVERYTHING}{size}");
                let mut connection = Connection::open(server.address)?;
                let mut answers = 0;
                while !is_over.load(Ordering::Relaxed) {
                    connection.get(&path)?;
                    answers += 1;
                }
                Ok(answers)
            };
            let clients: Vec<_> = (1..=CLIENTS).map(|size| scope.spawn(move || ask(size))).collect();
            thread::sleep(PART);
            is_over.store(true, Ordering::Relaxed);
            let answers = clients.into_iter().map(|client| client.join().expect("it does not panic"));
            answers.sum::<anyhow::Result<u32>>()
        })
    })?;
    print(&format!("beside {CLIENTS} clients with {answers} breakdowns"), posted);
    Ok(())
}

/// Posts single events, from an id on, while some work is done.
fn beside<T>(server: &Server, first: u64, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(Posted, T)> {
    let events = Events::new(Shape { events: SINGLES, start_id: first, ..DEFAULT });
    let mut singles = Requests::default();
    singles.fill(&events, 0..SINGLES, 1);
    client::post_beside(server.address, &singles, work)
}

fn print(what: &str, Posted { mut latencies, .. }: Posted) {
    let [half, most] = [50, 99].map(|percent| milliseconds(percentile(&mut latencies, percent)));
    println!("  {what:<42} {} posts: p50 {half:.2} ms, p99 {most:.2} ms", latencies.len());
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get(times.len() * percent / 100).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
