//! Posts generated events to servers on a file, and to one and two servers on a PostgreSQL server, in turns; then asks one of these
//! for plot data.
//!
//! `cargo bench --bench database`; `benches/README.md` says what the figures mean. PostgreSQL runs with its default settings, in a
//! directory of its own. The reads need `wrk`.
#![expect(clippy::print_stdout, reason = "what the command was asked for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![allow(clippy::unwrap_used, reason = "the server for tests gives up so")]

#[path = "../../tests/common/postgres.rs"]
#[allow(dead_code, reason = "it does more in tests")]
mod postgres;
#[path = "../../tests/common/process.rs"]
#[allow(dead_code, reason = "it does more in tests")]
mod process;
#[path = "../read/queries.rs"]
#[allow(dead_code, reason = "not all is asked for here")]
mod queries;
#[path = "../../tests/common/skip.rs"]
mod skip;
#[path = "../support/mod.rs"]
mod support;
#[path = "../read/wrk.rs"]
#[allow(dead_code, reason = "not all is asked for here")]
mod wrk;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use clap::{Parser, value_parser};

use postgres::Postgres;
use queries::QUERIES;
use support::client::{self, Connection, Requests};
use support::events::{DEFAULT, Events, Shape};
use support::server::{Process, Server};
use wrk::Wrk;

/// Measures servers on a PostgreSQL database, and on a file
#[derive(Parser)]
struct Options {
    /// How many times each is measured; medians are printed
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many events are posted each time
    #[arg(long, default_value_t = DEFAULT.events, value_parser = value_parser!(u64).range(1..))]
    events: u64,
    /// Seconds of each measurement of reads
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u32).range(1..))]
    seconds: u32,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// How many events a post has, and over how many connections.
const LOADS: [(u64, usize); 2] = [(10_000, 4), (1_000, 16)];

/// Where the events are stored, and by how many servers.
#[derive(Clone, Copy)]
enum On {
    File,
    Database { servers: usize },
}

const PLACES: [On; 3] = [On::File, On::Database { servers: 1 }, On::Database { servers: 2 }];

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if !options.bench {
        println!("run it with `cargo bench --bench database`, which builds the server as it is released");
        return Ok(());
    }
    let postgres = Postgres::start().context("PostgreSQL is not installed")?;
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    writes(&postgres, directory.path(), &options)?;
    reads(&postgres, directory.path(), &options)
}

fn writes(postgres: &Postgres, directory: &Path, options: &Options) -> anyhow::Result<()> {
    for (batch, connections) in LOADS {
        let events = Events::new(Shape { events: options.events, ..DEFAULT });
        let mut requests = Requests::default();
        requests.fill(&events, 0..options.events, batch);
        println!("{} events in posts of {batch} over {connections} connections", options.events);
        let mut rates = PLACES.map(|_| Vec::new());
        let mut cpu = PLACES.map(|_| Vec::new());
        for _ in 0..options.rounds {
            for (place, (rates, cpu)) in PLACES.iter().zip(rates.iter_mut().zip(&mut cpu)) {
                let servers = start(*place, postgres, directory)?;
                let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
                client::post(&addresses, &Requests::choices(&events), 1)?;
                let posted = client::post(&addresses, &requests, connections)?;
                rates.push(options.events as f64 / posted.elapsed.as_secs_f64());
                let mut spent = 0.0;
                for server in servers {
                    spent += Process::cpu(&server.process())?.total().as_secs_f64();
                    server.stop()?;
                }
                cpu.push(spent * 1e6 / options.events as f64);
            }
        }
        for (place, (rates, cpu)) in PLACES.iter().zip(rates.into_iter().zip(cpu)) {
            let name = match place {
                On::File => "a file".to_owned(),
                On::Database { servers: 1 } => "PostgreSQL, one server".to_owned(),
                On::Database { servers } => format!("PostgreSQL, {servers} servers"),
            };
            println!("  {name:<26} {:>9.0} events/s, {:.2} µs of our CPU an event", median(rates), median(cpu));
        }
    }
    Ok(())
}

/// Servers on an empty file or database.
fn start(on: On, postgres: &Postgres, directory: &Path) -> anyhow::Result<Vec<Server>> {
    match on {
        On::File => {
            let data = directory.join("data");
            if data.exists() {
                fs::remove_dir_all(&data)?;
            }
            fs::create_dir(&data)?;
            Ok(vec![Server::start(&data, &[])?.0])
        }
        On::Database { servers } => {
            let address = postgres.new_database();
            (0..servers).map(|number| Server::start_on_database(directory, number, &address, &[])).collect()
        }
    }
}

fn reads(postgres: &Postgres, directory: &Path, options: &Options) -> anyhow::Result<()> {
    let wrk = Wrk { seconds: options.seconds, rounds: options.rounds };
    let address = postgres.new_database();
    let server = Server::start_on_database(directory, 0, &address, &[])?;
    let events = Events::new(DEFAULT);
    let mut requests = Requests::default();
    requests.fill(&events, 0..DEFAULT.events, 10_000);
    client::post(&[server.address], &Requests::choices(&events), 1)?;
    client::post(&[server.address], &requests, 4)?;
    println!("again, over eight connections and over one, from {} events in PostgreSQL", DEFAULT.events);
    for query in QUERIES {
        Connection::open(server.address)?.get(&query.path())?;
        let again = wrk.run(server.address, &query.path(), 8)?;
        let alone = wrk.run(server.address, &query.path(), 1)?;
        println!("  {:<46} {:>9.0}/s, {:>9.0}/s", query.name, again.rate, alone.rate);
    }
    server.stop()?;
    let server = Server::start_on_database(directory, 0, &address, &["--answer-cache-bytes", "0"])?;
    println!("first time, over one connection");
    for query in QUERIES {
        let median = wrk.run(server.address, &query.path(), 1)?.median;
        println!("  {:<46} {:>9.3} ms", query.name, median.as_secs_f64() * 1e3);
    }
    server.stop()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}
