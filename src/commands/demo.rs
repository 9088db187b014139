//! `demo`: runs the server on a temporary database with sample events.

use std::time::Duration;

use anyhow::Context as _;

use super::output::print;
use super::sample_events;
use super::stop_signals::StopSignals;
use crate::app::App;
use crate::config::Config;
use crate::telemetry::log;
use crate::time::Clock;

/// Runs the server until the process is told to stop.
pub(super) fn run_demo(mut config: Config) -> anyhow::Result<()> {
    config.refuse_open_writes()?;
    config.refuse_short_rollups()?;
    Clock::System.read()?;
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    directory.path().clone_into(&mut config.storage.data);
    config.storage.database = None;
    let stop = StopSignals::listen()?;
    let app = App::start(config, Clock::System)?;
    let objects =
        sample_events::fill(app.queue(), Clock::System.now()).context("the sample events could not be stored")?;
    tracing::info!(objects, "filled a throw-away database with sample events of the last 90 days");
    tracing::info!(target: log::WHERE, "listening on {}", app.url());
    print(&format!("dashboard: {}/", app.url()))?;
    stop.wait_and_stop(app, Duration::ZERO)
}
