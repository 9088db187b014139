//! Logs: one line each, on standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(config: &LogConfig) {
    let level = match config.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // What the libraries tell of their own starting and stopping is no news.
    let levels = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("scale_metrics", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_target(false);
    let lines = match config.format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Fails only if logging was started before.
    let _ = tracing_subscriber::registry().with(lines.with_filter(levels)).try_init();
}
