//! Logs: one line each, on standard error.

use std::io::{IsTerminal, stderr};

use tracing::Level;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(config: &LogConfig) {
    let level = match config.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(stderr).with_target(false);
    // Fails only if logging was started before.
    let _ = match config.format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
