//! Starts a server over a year of events and prints what plot data costs: the first time, again, under fresh events, and
//! against a bare handler that returns the same bytes.
//!
//! `cargo bench --bench read`; `benches/README.md` says what the figures mean. The load comes from `wrk`. The numbers to
//! watch are the time of a first answer and the share of the bare handler's rate.
#![expect(clippy::print_stdout, reason = "what the command was asked for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod bare;
mod queries;
#[path = "../support/mod.rs"]
mod support;
mod wrk;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, value_parser};

use bare::Bare;
use queries::QUERIES;
use support::client::{self, Connection, Pace, Requests};
use support::events::{DEFAULT, Events, Shape};
use support::server::Server;
use wrk::Wrk;

/// Measures plot data of a server over a million events; needs `wrk`
#[derive(Parser)]
struct Options {
    /// How many times each is measured; medians are printed
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u32).range(1..))]
    seconds: u32,
    /// Events a second that are posted meanwhile, in the last part
    #[arg(long, default_value_t = 100_000, value_parser = value_parser!(u64).range(1_000..))]
    fresh: u64,
    /// Keep the database there, and go on with one that is there
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Be the bare handler: serve this file, whatever is asked
    #[arg(long, value_name = "FILE", hide = true)]
    bare: Option<PathBuf>,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// A server that keeps no answers, so that each is computed.
const KEEP_NOTHING: &[&str] = &["--answer-cache-bytes", "0"];

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(file) = &options.bare {
        return bare::serve(file);
    }
    if !options.bench {
        println!("run it with `cargo bench --bench read`, which builds the server as it is released");
        return Ok(());
    }
    let temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let data = match &options.data {
        Some(data) => {
            fs::create_dir_all(data).with_context(|| format!("cannot make `{}`", data.display()))?;
            data.canonicalize()?
        }
        None => temporary.path().join("data"),
    };
    fill(&data)?;
    let wrk = Wrk { seconds: options.seconds, rounds: options.rounds };
    first_time(&data, &wrk)?;
    again(&data, &wrk, temporary.path())?;
    distinct(&data, &wrk, temporary.path())?;
    meanwhile(&data, &wrk, options.fresh)
}

/// Posts the year of events, unless they are there.
fn fill(data: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(data)?;
    let (server, _) = Server::start(data, &[])?;
    let events = Events::new(DEFAULT);
    let mut requests = Requests::default();
    requests.fill(&events, 0..DEFAULT.events, 10_000);
    client::post(&[server.address], &Requests::choices(&events), 1)?;
    let receipt = client::post(&[server.address], &requests, 4)?.receipt;
    println!("stored     {} events, {} were there", receipt.created, receipt.unchanged);
    server.stop()
}

/// What each query takes over one connection when nothing is kept.
fn first_time(data: &Path, wrk: &Wrk) -> anyhow::Result<()> {
    let (server, _) = Server::start(data, KEEP_NOTHING)?;
    let idle = wrk.run(server.address, "/healthz", 1)?;
    println!(
        "\nfirst time, over one connection; a request that needs nothing takes {:.3} ms",
        milliseconds(idle.median)
    );
    for query in QUERIES {
        let bytes = Connection::open(server.address)?.get(&query.path())?.len();
        let run = wrk.run(server.address, &query.path(), 1)?;
        println!("  {:<46} {:>9.3} ms  {bytes:>9} bytes", query.name, milliseconds(run.median));
    }
    server.stop()
}

/// How fast the same answer is sent again and again over eight connections, and the same bytes by a bare handler; in turns.
fn again(data: &Path, wrk: &Wrk, directory: &Path) -> anyhow::Result<()> {
    let (server, _) = Server::start(data, &[])?;
    println!("\nagain, over eight connections, and a bare handler that returns the same bytes");
    for query in QUERIES {
        let file = directory.join("answer");
        fs::write(&file, Connection::open(server.address)?.get(&query.path())?)?;
        let bare = Bare::start(&file)?;
        let mut shares = Vec::new();
        let (mut ours, mut bares) = (Vec::new(), Vec::new());
        for _ in 0..wrk.rounds {
            let our = wrk.once(server.address, &query.path(), 8)?.rate;
            let theirs = wrk.once(bare.address, "/", 8)?.rate;
            shares.push(our / theirs);
            ours.push(our);
            bares.push(theirs);
        }
        let [share, our, theirs] = [shares, ours, bares].map(median);
        println!("  {:<46} {our:>9.0}/s of {theirs:>9.0}/s: {:.0} %", query.name, share * 100.0);
    }
    server.stop()
}

/// How many different questions are answered over eight connections; none is asked twice.
fn distinct(data: &Path, wrk: &Wrk, directory: &Path) -> anyhow::Result<()> {
    let script = directory.join("distinct.lua");
    fs::write(&script, queries::DISTINCT)?;
    let mut rates = Vec::new();
    for _ in 0..wrk.rounds {
        let (server, _) = Server::start(data, &[])?;
        rates.push(wrk.script(server.address, &script, 8)?.rate);
        server.stop()?;
    }
    println!("\ndifferent queries of 26 to 34 days and one column, over eight connections");
    println!("  {:.0} answers/s", median(rates));
    Ok(())
}

/// What the queries take while events come in, and what they take while none do; in turns.
fn meanwhile(data: &Path, wrk: &Wrk, fresh: u64) -> anyhow::Result<()> {
    println!("\nmedians while {fresh} events/s come in, in thousands over sixteen connections, onto the same year");
    for (what, arguments, connections) in [("first time, one connection", KEEP_NOTHING, 1), ("again, eight", &[], 8)] {
        println!("  {what}");
        for query in QUERIES {
            // A copy each time, or else the last query would have more to read than the first.
            let copy = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
            for file in fs::read_dir(data)? {
                let file = file?;
                fs::copy(file.path(), copy.path().join(file.file_name()))?;
            }
            let (server, _) = Server::start(copy.path(), arguments)?;
            let measure = || wrk.once(server.address, &query.path(), connections);
            let mut posting = Posting { rate: fresh, events: DEFAULT.events };
            let (mut quiet, mut busy, mut rates) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..wrk.rounds {
                quiet.push(milliseconds(measure()?.median));
                let (run, rate) = posting.during(server.address, wrk.seconds, measure)?;
                busy.push(milliseconds(run.median));
                rates.push(rate);
            }
            let [quiet, busy, rate] = [quiet, busy, rates].map(median);
            let times = busy / quiet;
            println!("    {:<44} {quiet:>9.3} ms, {busy:>9.3} ms: {times:.1} times ({rate:.0} events/s)", query.name);
            server.stop()?;
        }
    }
    Ok(())
}

/// Posts new events at a steady rate.
struct Posting {
    /// Events a second.
    rate: u64,
    /// How many there have been.
    events: u64,
}

impl Posting {
    /// Runs `measure` meanwhile, which takes so many seconds; returns what it found and how many events a second came in.
    fn during<T>(
        &mut self,
        server: SocketAddr,
        seconds: u32,
        measure: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<(T, f64)> {
        const BATCH: u64 = 1_000;
        // More than are needed, and made before the clock runs.
        let count = self.rate * u64::from(seconds + 2);
        let events = Events::new(Shape { events: count, start_id: self.events + 1, ..DEFAULT });
        let mut requests = Requests::default();
        requests.fill(&events, 0..count, BATCH);
        self.events += count;
        let pace =
            Pace { every: Duration::from_secs_f64(BATCH as f64 / self.rate as f64), stop: AtomicBool::new(false) };
        thread::scope(|scope| {
            let posting = scope.spawn(|| client::post_steadily(&[server], &requests, 16, &pace));
            let found = measure();
            pace.stop.store(true, Ordering::Relaxed);
            let posted = posting.join().expect("a connection does not panic")?;
            Ok((found?, posted.receipt.accepted as f64 / posted.elapsed.as_secs_f64()))
        })
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
