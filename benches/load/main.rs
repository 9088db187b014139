//! Starts a server, posts generated events to it from several connections, and prints what that took.
//!
//! `cargo bench --bench load -- --events 1000000`; `benches/README.md` says what the figures mean. The number to watch is
//! the server's CPU time an event: it does not change when the machine is busy with something else.
#![expect(clippy::print_stdout, reason = "what the command was asked for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod corrections;
mod run;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::net::ToSocketAddrs as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, value_parser};

use run::Run;
use support::events::{Events, Shape};
use support::server::{Process, Server, Size, StartTimes};

/// Posts generated events to a server and prints events/s, latencies, CPU, memory and bytes an event
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    shape: Shape,
    /// How many events a post has
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u64).range(1..=1_000_000))]
    batch: u64,
    /// From how many connections
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u16).range(1..))]
    connections: u16,
    /// Keep the database there, and go on with one that is there [default: a new directory, thrown away]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// Post to this running server instead, such as `127.0.0.1:8080`
    #[arg(long, value_name = "ADDR:PORT")]
    url: Option<String>,
    /// The process of that server, whose CPU and memory are looked at
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// Seconds of rest after the last post, before a second look at memory and files
    #[arg(long, default_value_t = 0)]
    rest: u64,
    /// Also measure a start after `kill -9` and one after a stop in order
    #[arg(long, conflicts_with = "url")]
    restart: bool,
    /// Measure corrections of a day with so many executions instead, and another client's posts beside them
    #[arg(long, value_name = "EXECUTIONS", conflicts_with = "url")]
    corrections: Option<u64>,
    /// Write the choices and the batches to files in this new directory instead
    #[arg(long, value_name = "DIR")]
    dump: Option<PathBuf>,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let events = Events::new(options.shape.clone());
    if let Some(directory) = &options.dump {
        dump(directory, &events, &options)
    } else if let Some(url) = &options.url {
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        let address = address.to_socket_addrs()?.next().context("the address names no host")?;
        let process = options.pid.map(Process::of);
        Run::over(address, process.as_ref(), &events, &options)?.print(&options);
        rest(options.rest, process.as_ref())
    } else if options.bench {
        measure_own(&events, &options)
    } else {
        println!("run it with `cargo bench --bench load`, which builds the server as it is released");
        Ok(())
    }
}

/// Measures a server of its own, with its files and starts.
fn measure_own(events: &Events, options: &Options) -> anyhow::Result<()> {
    let temporary; // lives as long as the server
    let data = if let Some(data) = &options.data {
        fs::create_dir_all(data).with_context(|| format!("cannot make `{}`", data.display()))?;
        data.canonicalize()?
    } else {
        // Not the system's directory, which may be in memory.
        temporary = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        temporary.path().to_owned()
    };
    let before = Size::of_files_in(&data)?;
    let (server, _) = Server::start(&data, &[])?;
    let process = server.process();
    if let Some(executions) = options.corrections {
        corrections::measure(&server, executions)?;
        let memory = process.memory()?;
        println!("memory     {} MiB now, {} MiB at most", memory.now >> 20, memory.peak >> 20);
        return server.stop();
    }
    let run = Run::over(server.address, Some(&process), events, options)?;
    run.print(options);
    let created = run.posted.receipt.created.max(1) as f64;
    let print_size = |when: &str| -> anyhow::Result<()> {
        let after = Size::of_files_in(&data)?;
        let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / created;
        let [length, allocated] = [each(after.length, before.length), each(after.allocated, before.allocated)];
        let megabytes = after.length as f64 / 1e6;
        println!("files      {length:.1} bytes an event {when}, {allocated:.1} allocated; {megabytes:.1} MB in all");
        Ok(())
    };
    print_size("after the last answer")?;
    if options.rest > 0 {
        rest(options.rest, Some(&process))?;
        print_size("after the rest")?;
    }
    if !options.restart {
        server.stop()?;
        return print_size("after a stop in order");
    }
    drop(server);
    let (server, times) = Server::start(&data, &[])?;
    print_start("after kill -9", &times);
    server.stop()?;
    print_size("after that and a stop in order")?;
    let (server, times) = Server::start(&data, &[])?;
    print_start("after a stop", &times);
    server.stop()
}

/// Waits, and prints what the server did meanwhile.
fn rest(seconds: u64, process: Option<&Process>) -> anyhow::Result<()> {
    let before = process.map(Process::cpu).transpose()?;
    thread::sleep(Duration::from_secs(seconds));
    if let Some((process, before)) = process.zip(before) {
        let cpu = process.cpu()?.since(before).total();
        let memory = process.memory()?.now >> 20;
        println!("rest       {seconds} s, {:.2} s of CPU, then {memory} MiB of memory", cpu.as_secs_f64());
    }
    Ok(())
}

fn print_start(when: &str, times: &StartTimes) {
    let [health, plot] = [times.health, times.plot].map(run::milliseconds);
    println!("start      {when}: /healthz answers after {health:.0} ms, plot data after {plot:.0} ms");
}

/// Writes the choices and the batches to files, for programs that cannot make them.
fn dump(directory: &Path, events: &Events, options: &Options) -> anyhow::Result<()> {
    // A new one: batches of an earlier dump must not stand among these.
    fs::create_dir(directory).with_context(|| format!("cannot make `{}`", directory.display()))?;
    let (mut body, total) = (Vec::new(), options.shape.events);
    events.write_choices(&mut body);
    fs::write(directory.join("choices.ndjson"), &body)?;
    for (number, start) in (0..total).step_by(usize::try_from(options.batch)?).enumerate() {
        body.clear();
        (start..total.min(start + options.batch)).for_each(|place| events.write(place, &mut body));
        fs::write(directory.join(format!("batch-{number:06}.ndjson")), &body)?;
    }
    println!("wrote {total} events to {}", directory.display());
    Ok(())
}
