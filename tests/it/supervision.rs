//! A thread that ends by itself is noticed: nobody waits for it, and the server says why it cannot go on.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use scale_metrics::app::App;
use scale_metrics::config::Config;
use scale_metrics::store::{OpenOptions, Store};
use scale_metrics::telemetry::server_metrics::ServerMetrics;
use scale_metrics::time::Clock;
use scale_metrics::worker::retention::{Expiry, RetentionGuard};
use scale_metrics::worker::{Queue, QueueItem, Readiness, Retention, RollupTask};
use tempfile::TempDir;

use crate::support::medium::{Memory, Op};
use crate::support::{Client, NOW, job_type};

const VERIFIED: OpenOptions = OpenOptions { cache_bytes: 1 << 20, verify: true };

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_dead_rollup_task_is_told_to_everybody() {
    const CALM: u8 = 0;
    const ARMED: u8 = 1;
    const PANICS: u8 = 2;
    let directory = TempDir::new().unwrap();
    let state = Arc::new(AtomicU8::new(CALM));
    let seen = Arc::clone(&state);
    // From the second sync on that follows, whatever is written is a bug: be it the post's commit, be it that of the pause
    // after it.
    let memory = Memory::with_hook(move |op| match (op, seen.load(Ordering::SeqCst)) {
        (Op::Sync, ARMED) => seen.store(PANICS, Ordering::SeqCst),
        (Op::Write | Op::Sync, PANICS) => panic!("an injected bug"),
        _ => {}
    });
    let store = Store::with_backend(directory.path(), VERIFIED, move || Ok(memory.clone()));
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    let mut app = App::begin_with(store, config, Clock::fixed(NOW.parse().unwrap())).unwrap();
    let client = Client::from(app.address());
    run(app.opened()).unwrap();
    assert_eq!(client.get("/readyz").status, 200);
    state.store(ARMED, Ordering::SeqCst);
    // Stored, unless the task has ended before.
    let first = client.post([job_type(1, "a")]);
    assert!([200, 500, 503].contains(&first.status), "{first:?}");
    let reason = run(app.failed()).to_string();
    assert!(reason.contains("rollup-task") && reason.contains("an injected bug"), "{reason}");
    let readiness = client.get("/readyz");
    assert_eq!(readiness.status, 503);
    assert!(readiness.json()["detail"].as_str().unwrap().contains("an injected bug"), "{readiness:?}");
    client.post([job_type(2, "b")]).assert_refused(503, &[]);
    let stopped = run(app.stop(future::pending()));
    assert!(stopped.is_err_and(|error| error.to_string().contains("an injected bug")));
}

#[test]
fn a_panic_while_something_is_forgotten_is_counted_and_tried_again() {
    let directory = TempDir::new().unwrap();
    let panics = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&panics);
    let memory = Memory::with_hook(move |op| {
        assert!(op != Op::Sync || !seen.load(Ordering::SeqCst), "an injected bug");
    });
    let store = Arc::new(Store::with_backend(directory.path(), VERIFIED, move || Ok(memory.clone())));
    store.open_first().unwrap();
    let figures = Arc::<ServerMetrics>::default();
    let retention = Retention { events_days: 3, rollups_days: 0 };
    let guard = RetentionGuard::new(retention, Duration::ZERO, Clock::fixed(NOW.parse().unwrap()));
    let expiry = Expiry::new(Arc::new(guard));
    let queue = Arc::new(Queue::new(1 << 20));
    let readiness = Arc::<Readiness>::default();
    let mut task = RollupTask::new(Arc::clone(&store), queue, Arc::clone(&readiness), Arc::clone(&figures), expiry);
    let failures = || {
        let text = String::from_utf8(figures.text(&[])).unwrap();
        let line = text.lines().find(|line| line.contains("{operation=\"expiry\"}")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(failures(), 0);
    panics.store(true, Ordering::SeqCst);
    task.expire();
    assert_eq!(failures(), 1);
    assert!(readiness.reasons().is_empty(), "requests do not need it");
    panics.store(false, Ordering::SeqCst);
    // The database may have to be opened again first, which fails a step, too.
    task.expire();
    task.work(QueueItem::Nothing);
    let before = failures();
    task.expire();
    assert_eq!(failures(), before, "it goes on");
    assert!(store.snapshot().is_ok());
    assert!(readiness.reasons().is_empty(), "{:?}", readiness.reasons());
}
