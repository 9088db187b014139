//! Posts all events, a chunk that fits into memory after the other, and prints what that took.
//!
//! Chunks are generated while no clock runs. What the server does in these pauses counts as its CPU all the same.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use crate::Options;
use crate::support::client::{self, Posted, Requests};
use crate::support::events::Events;
use crate::support::server::{Cpu, Memory, Process};

/// Events whose requests are in memory at a time.
const CHUNK: u64 = 1_000_000;

/// What posting all the events took.
pub(crate) struct Run {
    pub(crate) posted: Posted,
    /// The bodies of all posts.
    body_bytes: u64,
    server: Option<(Cpu, Memory)>,
    /// CPU of this program while the clock ran.
    own_cpu: Cpu,
}

impl Run {
    /// Posts to the server at that address, whose process may be known.
    pub(crate) fn over(
        address: SocketAddr,
        process: Option<&Process>,
        events: &Events,
        options: &Options,
    ) -> anyhow::Result<Self> {
        client::post(&[address], &Requests::choices(events), 1)?;
        let (this, total) = (Process::this(), options.shape.events);
        let cpu = || process.map(Process::cpu).transpose();
        let (mut posted, mut requests) = (Posted::default(), Requests::default());
        let (mut body_bytes, mut own_cpu, before) = (0, Cpu::default(), cpu()?);
        let chunk = CHUNK.next_multiple_of(options.batch);
        for start in (0..total).step_by(usize::try_from(chunk)?) {
            let places = start..total.min(start + chunk);
            requests.fill(events, places.clone(), options.batch);
            body_bytes += requests.body_bytes;
            let (chunk_before, own_before) = (cpu()?, this.cpu()?);
            let part = client::post(&[address], &requests, options.connections.into())?;
            own_cpu.add(this.cpu()?.since(own_before));
            if total > chunk {
                let spent = cpu()?.zip(chunk_before).map(|(after, before)| after.since(before));
                print_part(&places, part.elapsed, spent);
            }
            posted.add(part);
        }
        let server = match (process, before) {
            (Some(process), Some(before)) => Some((process.cpu()?.since(before), process.memory()?)),
            _ => None,
        };
        Ok(Self { posted, body_bytes, server, own_cpu })
    }

    pub(crate) fn print(&self, options: &Options) {
        let Posted { receipt, elapsed, latencies } = &self.posted;
        let (posts, events) = (latencies.len(), options.shape.events);
        println!(
            "posted     {events} events of {:.0} bytes in {posts} posts of {} over {} connections",
            self.body_bytes as f64 / events as f64,
            options.batch,
            options.connections
        );
        println!(
            "stored     {} created, {} updated, {} unchanged, {} stale",
            receipt.created, receipt.updated, receipt.unchanged, receipt.stale
        );
        let seconds = elapsed.as_secs_f64();
        println!("rate       {:.0} events/s, {:.1} posts/s", events as f64 / seconds, posts as f64 / seconds);
        let mut sorted = latencies.clone();
        sorted.sort_unstable();
        let [p50, p95, p99, max] = [50, 95, 99, 100].map(|percent| milliseconds(percentile(&sorted, percent)));
        println!("latency    p50 {p50:.2} ms, p95 {p95:.2} ms, p99 {p99:.2} ms, max {max:.2} ms");
        if let Some((cpu, memory)) = &self.server {
            print_cpu("server", *cpu, events);
            println!("memory     {} MiB at its peak, {} MiB at the end", memory.peak >> 20, memory.now >> 20);
        }
        print_cpu("generator", self.own_cpu, events);
    }
}

fn print_part(places: &Range<u64>, elapsed: Duration, cpu: Option<Cpu>) {
    let events = places.end - places.start;
    print!("up to {:>10}: {:.0} events/s", places.end, events as f64 / elapsed.as_secs_f64());
    match cpu {
        Some(cpu) => println!(", {:.2} µs of server CPU an event", microseconds_each(cpu.total(), events)),
        None => println!(),
    }
}

fn print_cpu(whose: &str, cpu: Cpu, events: u64) {
    let [total, user, system] = [cpu.total(), cpu.user, cpu.system].map(|time| microseconds_each(time, events));
    println!("CPU        {whose}: {total:.2} µs an event, {user:.2} of them user and {system:.2} system");
}

/// The smallest that at least so many percent do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted[rank - 1]
}

fn microseconds_each(time: Duration, events: u64) -> f64 {
    time.as_secs_f64() * 1e6 / events as f64
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
