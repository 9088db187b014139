//! The signals that stop a server, and the shutdown that follows.

use std::time::Duration;
use std::{io, process, thread};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::EXIT_FAILED;
use super::output::complain;
use crate::app::{App, StartError};
use crate::telemetry::log;

/// A second signal within this time counts as the same signal.
const SAME_TIME: Duration = Duration::from_secs(1);

/// The signals that stop the server. They are handled as soon as the process listens for them.
pub(super) struct StopSignals {
    runtime: Runtime,
    signals: Signals,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// SIGHUP, when the terminal is closed. `None` if the process was started with the signal ignored, as `nohup` does.
    hangup: Option<Signal>,
}

impl StopSignals {
    /// Starts to listen for the signals.
    pub(super) fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        drop(context);
        Ok(Self { runtime, signals: Signals { terminate, interrupt, hangup } })
    }

    /// Opens the database, then serves; see [`wait_and_stop`](Self::wait_and_stop). A signal before the database is open ends the
    /// server at once.
    pub(super) fn serve(mut self, mut app: App, delay: Duration) -> anyhow::Result<()> {
        let is_open = self.runtime.block_on(async {
            tokio::select! {
                opened = open_and_tell(&mut app) => opened.map(|()| true),
                name = self.signals.told() => {
                    tracing::info!("{name}: stopping; the database is not open yet");
                    Ok(false)
                }
            }
        });
        match is_open {
            Ok(true) => return self.wait_and_stop(app, delay),
            Ok(false) => tracing::info!("stopped"),
            Err(_) => {}
        }
        self.runtime.block_on(app.abandon());
        Ok(is_open.map(drop)?)
    }

    /// Serves until a signal stops the server. It announces the stop, serves for the delay, and then shuts down in order. A
    /// second signal ends the delay, or the wait for running requests. A thread that ends by itself is an error.
    pub(super) fn wait_and_stop(self, mut app: App, delay: Duration) -> anyhow::Result<()> {
        let Self { runtime, mut signals } = self;
        let failure = runtime.block_on(async {
            tokio::select! {
                name = signals.told() => {
                    tracing::info!("{name}: stopping");
                    app.announce_stop();
                    // The shutdown begins after the delay or with a second signal.
                    let _ = timeout(delay, signals.told()).await;
                    app.stop(signals.told_again()).await.map(|()| None)
                }
                failure = app.failed() => {
                    exit_after(LAST_ANSWERS * 2, &failure)?;
                    tracing::error!(error = %failure, "the server cannot go on");
                    // A further error during the shutdown is less informative than the first one.
                    let _ = app.stop(sleep(LAST_ANSWERS)).await;
                    Ok(Some(failure))
                }
            }
        })?;
        if let Some(failure) = failure {
            return Err(failure).context("the server cannot go on, and has to be started again");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Ends the process after this time, in case the shutdown never ends: it is unknown which locks a dead thread holds.
fn exit_after(time: Duration, failure: &io::Error) -> io::Result<()> {
    let line = format!("error: the server cannot go on: {failure}");
    let wait = move || {
        thread::sleep(time);
        complain(&line);
        process::exit(EXIT_FAILED.into())
    };
    thread::Builder::new().name("exit".to_owned()).spawn(wait).map(drop)
}

/// If opening the database takes longer than this, the server logs its address before the database is open.
const QUICK_OPENING: Duration = Duration::from_secs(1);
/// How often the log shows the progress of opening.
const TELL_OPENING: Duration = Duration::from_secs(10);
/// The grace period for running requests when the server cannot go on.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Waits until the database is open. Then it logs where the server listens, so that a client that waits for this line can post.
/// If opening takes longer, it logs the address earlier, and the progress now and then.
async fn open_and_tell(app: &mut App) -> Result<(), StartError> {
    let url = app.url();
    let listening = || tracing::info!(target: log::WHERE, "listening on {url}");
    let mut patience = QUICK_OPENING;
    loop {
        if let Ok(opened) = timeout(patience, app.opened()).await {
            opened?;
            if patience == QUICK_OPENING {
                listening();
            } else {
                tracing::info!("the database is open");
            }
            return Ok(());
        }
        if patience == QUICK_OPENING {
            listening();
        }
        patience = TELL_OPENING;
        tracing::info!("{}", app.open_progress());
    }
}

/// Whether the process was started with SIGHUP ignored. False if the system does not say.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    ignored & (1 << (libc::SIGHUP - 1)) != 0
}

impl Signals {
    /// Waits for a signal that stops the process, and returns its name.
    async fn told(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            Some(()) = async { self.hangup.as_mut()?.recv().await } => "SIGHUP",
        }
    }

    /// Waits for a second signal. Some senders send two at the same time, and mean one.
    async fn told_again(&mut self) {
        sleep(SAME_TIME).await;
        let _ = self.told().now_or_never();
        self.told().await;
    }
}
