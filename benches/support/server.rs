//! The release server as a child process, and what the system knows of it: CPU, memory, the size of its files.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::client::Connection;

/// What is asked for after a start, to see that there are answers from the database.
const QUERY: &str = "/v6/metrics/job-types/plot-data/?column=total_count&column=run_time_avg";

/// A server that this program started. It is killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

/// How long after the start of the process the first answers came.
pub(crate) struct StartTimes {
    pub(crate) health: Duration,
    pub(crate) plot: Duration,
}

impl Server {
    /// Starts a server over that directory, with more arguments, and waits for its first answers.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> anyhow::Result<(Self, StartTimes)> {
        Self::start_on(data, data, &[&["--data", "."], arguments].concat())
    }

    /// Starts a server over the database at that address.
    pub(crate) fn start_on_database(
        directory: &Path,
        number: usize,
        address: &str,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let log = directory.join(number.to_string());
        Ok(Self::start_on(directory, &log, &[&["--database", address], arguments].concat())?.0)
    }

    fn start_on(directory: &Path, log: &Path, arguments: &[&str]) -> anyhow::Result<(Self, StartTimes)> {
        let log = log.with_extension("log");
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_scale-metrics"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .current_dir(directory) // where no config.toml is
            .stdin(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("cannot start the server")?;
        // The log goes into a file, as it does where a server is at work: with a line for each request it costs something.
        let address = loop {
            if let Some((_, rest)) = fs::read_to_string(&log)?.split_once("listening on http://")
                && let Some((address, _)) = rest.split_once('\n')
            {
                break address.trim().parse()?;
            }
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("the server did not start: {status}: {}", fs::read_to_string(&log)?);
            }
            thread::sleep(Duration::from_micros(200));
        };
        let server = Self { child, address, log };
        let mut connection = Connection::open(server.address)?;
        connection.get("/healthz")?;
        let health = start.elapsed();
        connection.get(QUERY)?;
        Ok((server, StartTimes { health, plot: start.elapsed() }))
    }

    pub(crate) fn process(&self) -> Process {
        Process::of(self.child.id())
    }

    /// Stops it in order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let sent = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        ensure!(sent.success(), "cannot send SIGTERM");
        let status = self.child.wait()?;
        ensure!(status.success(), "the server did not stop in order: {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| !line.contains(" INFO ")).for_each(complain);
        let _ = fs::remove_file(&self.log);
    }
}

#[expect(clippy::print_stderr, reason = "warnings and errors of the server are worth seeing")]
fn complain(line: &str) {
    eprintln!("server: {line}");
}

/// A running process, as `/proc` shows it.
pub(crate) struct Process(PathBuf);

/// CPU time of all threads of a process, also of those that have ended.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

/// Resident memory in bytes.
pub(crate) struct Memory {
    pub(crate) peak: u64,
    pub(crate) now: u64,
}

impl Process {
    pub(crate) fn of(pid: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{pid}")))
    }

    pub(crate) fn this() -> Self {
        Self::of(std::process::id())
    }

    pub(crate) fn cpu(&self) -> anyhow::Result<Cpu> {
        let text = fs::read_to_string(self.0.join("stat"))?;
        // The name, in brackets, may have spaces; user and system time are the 12th and 13th field after it.
        let fields = text.rsplit_once(')').context("/proc has another form")?.1;
        // In hundredths of a second, on every Linux.
        let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
        let mut next = || anyhow::Ok(Duration::from_millis(10 * ticks.next().context("/proc has another form")??));
        Ok(Cpu { user: next()?, system: next()? })
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let text = fs::read_to_string(self.0.join("status"))?;
        let bytes = |name| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).context("/proc has another form")?;
            anyhow::Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
        };
        Ok(Memory { peak: bytes("VmHWM:")?, now: bytes("VmRSS:")? })
    }
}

impl Cpu {
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.user += other.user;
        self.system += other.system;
    }
}

/// What the files of a directory take, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) length: u64,
    /// Without the parts that were never written.
    pub(crate) allocated: u64,
}

impl Size {
    pub(crate) fn of_files_in(directory: &Path) -> io::Result<Self> {
        let mut size = Self { length: 0, allocated: 0 };
        for entry in fs::read_dir(directory)? {
            let file = entry?.metadata()?;
            size.length += file.len();
            size.allocated += file.blocks() * 512;
        }
        Ok(size)
    }
}
