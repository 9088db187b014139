//! The progress of a long command: a bar on a terminal, otherwise a line in the log every few seconds.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The time between two lines in the log.
const PAUSE: Duration = Duration::from_secs(5);

/// The unit of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes.
    Bytes,
    /// Items.
    Count,
}

/// The progress of a command.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// The time of the last line in the log; `None` on a terminal.
    said: Option<Instant>,
}

impl Progress {
    /// Progress at its start. `total` is the position of the end, if known.
    pub(super) fn new(total: Option<u64>, unit: Unit) -> Self {
        let is_terminal = stderr().is_terminal();
        let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let template = match (total, unit) {
            (Some(_), Unit::Bytes) => "{bar:40} {bytes}/{total_bytes} {msg} {eta}",
            (Some(_), Unit::Count) => "{bar:40} {human_pos}/{human_len} {msg} {eta}",
            (None, Unit::Bytes) => "{spinner} {bytes} {msg}",
            (None, Unit::Count) => "{spinner} {human_pos} {msg}",
        };
        let style = ProgressStyle::with_template(template).expect("the templates are constants");
        let bar = ProgressBar::with_draw_target(total, target).with_style(style);
        Self { bar, said: (!is_terminal).then(Instant::now) }
    }

    /// The current position.
    pub(super) fn position(&self) -> u64 {
        self.bar.position()
    }

    /// Sets the position. `message` describes it further.
    pub(super) fn set(&mut self, position: u64, message: impl FnOnce() -> String) {
        self.bar.set_position(position);
        match &mut self.said {
            None => self.bar.set_message(message()),
            Some(said) if said.elapsed() >= PAUSE => {
                *said = Instant::now();
                let percent = self.bar.length().map(|total| 100 * position / total.max(1));
                tracing::info!(percent, "{}", message());
            }
            Some(_) => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
