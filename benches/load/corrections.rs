//! One client corrects the largest execution of a heavy day without pause; another one posts single events, alone and then
//! beside it.
//!
//! The number to watch is how much longer the other one's posts take beside the corrections.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::run::milliseconds;
use crate::support::client::{self, Pace, Posted, Requests};
use crate::support::server::Server;

/// How long each part takes.
const PART: Duration = Duration::from_secs(10);
/// Single posts that are made before the clock runs; more than can be posted in a part.
const SINGLES: u64 = 200_000;
/// Corrections that are made before the clock runs.
const CORRECTIONS: u64 = 50_000;
/// Executions to a request while the day is filled.
const BATCH: u64 = 10_000;
/// Requests that are in memory while the day is filled.
const CHUNK: u64 = 100;

/// Fills a day, and prints what corrections of it cost.
pub(crate) fn measure(server: &Server, executions: u64) -> anyhow::Result<()> {
    let definitions = (1..=2).fold(String::new(), |mut body, id| {
        _ = writeln!(body, r#"{{"kind":"job_type","id":{id},"name":"job-type-{id}","version":"1"}}"#);
        body
    });
    client::post(&[server.address], &requests([(definitions, 2)]), 1)?;
    for chunk in (1..=executions).step_by(usize::try_from(BATCH * CHUNK)?) {
        let end = executions.min(chunk + BATCH * CHUNK - 1);
        let bodies = (chunk..=end).step_by(usize::try_from(BATCH)?).map(|start| {
            let ids = start..end.min(start + BATCH - 1) + 1;
            (ids.clone().map(|id| execution(id, 60 + id % 1_500)).collect(), ids.end - ids.start)
        });
        client::post(&[server.address], &requests(bodies), 2)?;
    }
    let largest = executions + 1;
    client::post(&[server.address], &requests([(execution(largest, 3_000), 1)]), 1)?;
    println!("filled     a day with {executions} executions of one job type");

    let (alone, ()) = beside(server, 1, || {
        thread::sleep(PART);
        Ok(())
    })?;
    print("alone", &alone);
    let first =
        beside(server, SINGLES, || client::post(&[server.address], &requests([(execution(largest, 1), 1)]), 1))?;
    print("beside the first correction", &first.0);
    println!("           which takes {:.1} ms", milliseconds(first.1.elapsed));
    let corrections = requests((0..CORRECTIONS).map(|n| (execution(largest, if n % 2 == 0 { 3_000 } else { 1 }), 1)));
    let (other, corrected) = beside(server, 2 * SINGLES, || {
        let pace = Pace { every: Duration::ZERO, stop: AtomicBool::new(false) };
        thread::scope(|scope| {
            let corrector = scope.spawn(|| client::post_steadily(&[server.address], &corrections, 1, &pace));
            let start = Instant::now();
            while start.elapsed() < PART && !corrector.is_finished() {
                thread::sleep(Duration::from_millis(10));
            }
            pace.stop.store(true, Ordering::Relaxed);
            corrector.join().expect("it does not panic")
        })
    })?;
    print("beside corrections", &other);
    print("corrections", &corrected);
    Ok(())
}

/// Posts single events, from an id on, while some work is done.
fn beside<T>(server: &Server, first: u64, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(Posted, T)> {
    let singles = requests((first..first + SINGLES).map(|id| {
        let end = "2015-03-01T00:00:00Z";
        (format!(r#"{{"kind":"job","id":{id},"job_type":2,"status":"FAILED","ended":"{end}"}}"#), 1)
    }));
    client::post_beside(server.address, &singles, work)
}

/// A line with an execution that ran for so many seconds, at most 59 minutes; ids go round the hours of the day.
fn execution(id: u64, seconds: u64) -> String {
    let hour = id % 24_000 / 1_000;
    let started = 59 * 60 + 59 - seconds;
    let started = format!("2015-01-01T{hour:02}:{:02}:{:02}Z", started / 60, started % 60);
    format!(
        r#"{{"kind":"job_execution","id":{id},"job_type":1,"status":"COMPLETED","queued":"{started}","started":"{started}","ended":"2015-01-01T{hour:02}:59:59Z"}}"#
    ) + "\n"
}

fn requests(bodies: impl IntoIterator<Item = (String, u64)>) -> Requests {
    let mut requests = Requests::default();
    bodies.into_iter().for_each(|(body, events)| requests.push(body.as_bytes(), events));
    requests
}

fn print(what: &str, posted: &Posted) {
    let mut latencies = posted.latencies.clone();
    latencies.sort_unstable();
    let [half, most] = [50, 99].map(|percent| latencies.get(latencies.len() * percent / 100));
    let longest = latencies.last();
    let [half, most, longest] = [half, most, longest].map(|it| it.copied().map_or(f64::NAN, milliseconds));
    println!("{what:<28} {} posts: p50 {half:.2} ms, p99 {most:.2} ms, longest {longest:.1} ms", latencies.len());
}
