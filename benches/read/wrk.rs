//! The load: `wrk`, and what it prints.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// How measurements are made.
pub(crate) struct Wrk {
    /// How long each takes.
    pub(crate) seconds: u32,
    /// How many there are of each.
    pub(crate) rounds: u32,
}

/// What a measurement found.
pub(crate) struct Found {
    /// The median of the times from a request to the last byte of its answer.
    pub(crate) median: Duration,
    /// Answers a second.
    pub(crate) rate: f64,
}

impl Wrk {
    /// Asks for a path again and again, in each round; the medians of the rounds.
    pub(crate) fn run(&self, server: SocketAddr, path: &str, connections: u32) -> anyhow::Result<Found> {
        let rounds = (0..self.rounds).map(|_| self.once(server, path, connections));
        let rounds: Vec<_> = rounds.collect::<anyhow::Result<_>>()?;
        let median = rounds.iter().map(|found| found.median.as_secs_f64()).collect();
        let rate = rounds.iter().map(|found| found.rate).collect();
        Ok(Found { median: Duration::from_secs_f64(crate::median(median)), rate: crate::median(rate) })
    }

    /// Asks for a path again and again, in one round.
    pub(crate) fn once(&self, server: SocketAddr, path: &str, connections: u32) -> anyhow::Result<Found> {
        self.command(connections, |wrk| wrk.arg(format!("http://{server}{path}")))
    }

    /// Asks what a script says, in one round.
    pub(crate) fn script(&self, server: SocketAddr, script: &Path, connections: u32) -> anyhow::Result<Found> {
        self.command(connections, |wrk| wrk.arg("--script").arg(script).arg(format!("http://{server}/")))
    }

    fn command(&self, connections: u32, what: impl FnOnce(&mut Command) -> &mut Command) -> anyhow::Result<Found> {
        let mut wrk = Command::new("wrk");
        let (threads, seconds) = (connections.min(2).to_string(), self.seconds.to_string());
        wrk.args(["--latency", "--timeout", "30", "--threads", &threads, "--duration", &seconds]);
        wrk.args(["--connections", &connections.to_string()]);
        let output = what(&mut wrk).output().context("cannot run wrk (hint: apt-get install wrk)")?;
        ensure!(output.status.success(), "wrk failed: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let errors = text.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors"));
        ensure!(errors.is_none(), "wrk: {}", errors.unwrap_or_default().trim());
        let figure = |name: &str| {
            let figure = text.lines().find_map(|line| line.trim().strip_prefix(name));
            figure.map(str::trim).with_context(|| format!("wrk does not print {name}"))
        };
        Ok(Found { median: duration(figure("50%")?)?, rate: figure("Requests/sec:")?.parse()? })
    }
}

/// `1.23us`, `1.23ms` or `1.23s`.
fn duration(text: &str) -> anyhow::Result<Duration> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic()).context("wrk prints a time without a unit")?;
    let seconds = match &text[unit..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        other => anyhow::bail!("wrk prints an unknown unit: {other}"),
    };
    Ok(Duration::from_secs_f64(text[..unit].parse::<f64>()? * seconds))
}
