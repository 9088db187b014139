//! The program as a process: with arguments and a working directory, and with nothing from outside.

use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

use super::{Client, PATIENCE_S};

/// Where a server listens that shall pick a port itself.
pub(crate) const FREE_PORT: &str = "127.0.0.1:0";

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

/// A running server process. It is killed when the test is over.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) client: Client,
    /// Reads what the server logs, or it would come to wait for room in the pipe.
    pub(crate) log: Option<JoinHandle<String>>,
}

impl Serving {
    /// Starts `command` and waits until it says where it listens. What its flags leave open waits long for slow clients, as
    /// [`super::patient`] does.
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
                Self { child, client: Client::new(address.parse().unwrap()), log: Some(log) }
            }
            Err(said) => panic!("it ended with {} and never listened: {said}", child.wait().unwrap()),
        }
    }

    /// `serve` on a free port over `data` in `directory`.
    pub(crate) fn serve(directory: &Path) -> Self {
        Self::start(&mut program(directory, &["serve", "--listen", FREE_PORT, "--data", "data"]))
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
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

    /// As the operating system ends it: at once, with no chance to say goodbye.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads up to the line that says where the server listens and returns the address; at the end of the log, all it said.
fn until_listening(log: &mut impl BufRead) -> Result<String, String> {
    until_address("listening on http://", log)
}

/// Reads up to a line with an address behind `marker` and returns the address; at the end, all that was read.
pub(crate) fn until_address(marker: &str, output: &mut impl BufRead) -> Result<String, String> {
    let mut said = String::new();
    loop {
        let before = said.len();
        if output.read_line(&mut said).unwrap() == 0 {
            return Err(said);
        }
        if let Some((_, address)) = said[before..].split_once(marker) {
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
