//! The program as a process that tests start and end as they like, with nothing from outside.
//!
//! All test binaries share it; each has a client of its own.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A test that waits this long for something has found a server that hangs. Far more than any machine needs, however busy.
pub(crate) const GIVE_UP: Duration = Duration::from_mins(10);

/// How long a server waits for its clients unless a test is about that, in seconds: a test that the machine keeps from going on
/// is not cut off as a client that is too slow.
pub(crate) const PATIENCE_S: u64 = 3_600;

/// Where a server listens that shall pick a port itself.
pub(crate) const FREE_PORT: &str = "127.0.0.1:0";

/// The arguments of a server over `data` in its directory.
pub(crate) const SERVE: [&str; 3] = ["serve", "--listen", FREE_PORT];

/// Waits until `is_so`, and fails with `what` if it never is.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < GIVE_UP, "waited {GIVE_UP:?} in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The program with these arguments, run in `directory` and with no settings from outside.
pub(crate) fn program(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scale-metrics"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SCALE_METRICS_") {
            command.env_remove(name);
        }
    }
    command
}

/// A running server process, and a client of it. It is killed when the test is over.
pub(crate) struct Serving<C> {
    pub(crate) child: Child,
    pub(crate) client: C,
    /// Reads what the server logs, or it would come to wait for room in the pipe.
    pub(crate) log: Option<JoinHandle<String>>,
}

impl<C: From<SocketAddr>> Serving<C> {
    /// Starts `command`, which becomes the server, and waits until it says where it listens. What its flags leave open waits long
    /// for slow clients.
    pub(crate) fn start(command: &mut Command) -> Self {
        for variable in ["STALL_TIMEOUT_S", "BODY_TIMEOUT_S", "ANSWER_TIMEOUT_S"] {
            command.env(format!("SCALE_METRICS_{variable}"), PATIENCE_S.to_string());
        }
        command.env("SCALE_METRICS_BODY_LEAST_BYTES_S", "0");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        match until_listening(&mut log) {
            Ok(address) => {
                let log = thread::spawn(move || io::read_to_string(log).unwrap());
                Self { child, client: C::from(address.parse().unwrap()), log: Some(log) }
            }
            Err(said) => panic!("it ended with {} and never listened: {said}", child.wait().unwrap()),
        }
    }

    /// `serve` on a free port over `data` in `directory`.
    pub(crate) fn serve(directory: &Path) -> Self {
        Self::start(&mut program(directory, &SERVE))
    }

    /// `serve` on a free port over the database at an address.
    pub(crate) fn serve_database(directory: &Path, address: &str) -> Self {
        Self::start(program(directory, &SERVE).args(["--database", address]))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Sends the signal and waits for the end.
    pub(crate) fn end(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }

    /// Tells it to stop, and returns what it logged since it listened.
    pub(crate) fn end_for_log(mut self) -> String {
        let log = self.log.take().unwrap();
        assert_eq!(self.end("TERM").code(), Some(0));
        log.join().unwrap()
    }

    /// Ends it as the operating system does: at once, with no chance to say goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The most memory that it had so far, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.memory_kib("VmHWM")
    }

    /// What the system says of its memory, in KiB.
    pub(crate) fn memory_kib(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let number = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':')).unwrap();
        number.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl<C> Drop for Serving<C> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads up to the line that says where the server listens and returns the address; at the end of the log, all it said.
fn until_listening(log: &mut impl BufRead) -> Result<String, String> {
    until_address("listening on ", log)
}

/// Reads up to a line with an address behind `marker` and returns the address, without its scheme; at the end, all that was read.
pub(crate) fn until_address(marker: &str, output: &mut impl BufRead) -> Result<String, String> {
    let mut said = String::new();
    loop {
        let before = said.len();
        if output.read_line(&mut said).unwrap() == 0 {
            return Err(said);
        }
        if let Some((_, address)) = said[before..].split_once(marker) {
            let address = address.split_once("://").map_or(address, |(_, address)| address);
            return Ok(address.chars().take_while(|c| c.is_ascii_hexdigit() || "[].:".contains(*c)).collect());
        }
    }
}

/// Runs a command that must refuse to start: exit status 2 and one line (hints aside), which is returned.
#[track_caller]
pub(crate) fn refusal(command: &mut Command) -> String {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let Err(said) = until_listening(&mut BufReader::new(child.stderr.take().unwrap())) else {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("it started");
    };
    assert_eq!(child.wait().unwrap().code(), Some(2), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty() && !line.starts_with("hint:")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    lines[0].to_owned()
}
