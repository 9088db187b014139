//! The program as a process that tests start and end as they like.

use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use serde_json::Value;

/// Whoever waits this long for something waits for something that hangs. Far more than any machine needs, however busy.
pub(crate) const GIVE_UP: Duration = Duration::from_mins(10);

/// Limits for slow clients that no test meets by being slow itself.
const PATIENT: [(&str, &str); 4] = [
    ("SCALE_METRICS_STALL_TIMEOUT_S", "3600"),
    ("SCALE_METRICS_BODY_TIMEOUT_S", "3600"),
    ("SCALE_METRICS_ANSWER_TIMEOUT_S", "3600"),
    ("SCALE_METRICS_BODY_LEAST_BYTES_S", "0"),
];

/// Waits until `is_so`, and fails with `what` if it never is.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < GIVE_UP, "waited {GIVE_UP:?} in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The arguments of a server over `data` in its directory.
pub(crate) const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

/// The program with these arguments, run in `directory`, with time for slow clients and with no settings from outside.
pub(crate) fn program(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scale-metrics"));
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("SCALE_METRICS_") {
            command.env_remove(name);
        }
    }
    command.envs(PATIENT);
    command
}

/// Runs a command to its end.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Output {
    program(directory, arguments).output().unwrap()
}

/// A server over `data` in its directory. It is killed when the test is over.
pub(crate) struct Server {
    child: Child,
    pub(crate) client: Client,
}

impl Server {
    pub(crate) fn start(directory: &Path) -> Self {
        Self::of(&mut program(directory, &SERVE))
    }

    /// What a command starts; the program has to be in the place of the command then.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let origin = loop {
            let before = said.len();
            assert_ne!(log.read_line(&mut said).unwrap(), 0, "it never listened: {said}");
            if let Some((_, address)) = said[before..].trim_end().split_once("listening on ") {
                break address.to_owned();
            }
        };
        // The server would come to wait for room in the pipe.
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        Self { child, client: Client::new(origin) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it had so far, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Ends it as the system does when memory or power run out: at once.
    pub(crate) fn kill(mut self) {
        self.kill_now();
    }

    /// The same, while others still hold it.
    pub(crate) fn kill_now(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to stop and waits for the end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.tell_to_stop();
        self.child.wait().unwrap()
    }

    pub(crate) fn tell_to_stop(&self) {
        self.signal("TERM");
    }

    pub(crate) fn signal(&self, name: &str) {
        let told = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(told.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who asks a server, again and again over the same connections.
#[derive(Clone)]
pub(crate) struct Client {
    origin: String,
    agent: ureq::Agent,
}

impl Client {
    fn new(origin: String) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        Self { origin, agent: config.timeout_global(Some(GIVE_UP)).build().new_agent() }
    }

    /// Host and port, for whoever speaks by raw socket.
    pub(crate) fn address(&self) -> &str {
        self.origin.strip_prefix("http://").unwrap()
    }

    /// Posts objects; the status and the answer, or `None` if the connection broke.
    pub(crate) fn post(&self, objects: &[Value]) -> Option<(u16, Value)> {
        let body = serde_json::to_vec(objects).unwrap();
        let request = self.agent.post(format!("{}/v6/events/", self.origin)).content_type("application/json");
        let mut answer = request.send(body).ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap()))
    }

    /// Asks for a path, with the tag of what is there already; status, tag and text, or `None` if the connection broke.
    pub(crate) fn ask(&self, path: &str, tag: Option<&str>) -> Option<(u16, String, String)> {
        let mut request = self.agent.get(format!("{}{path}", self.origin));
        if let Some(tag) = tag {
            request = request.header("If-None-Match", tag);
        }
        let mut answer = request.call().ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        let tag = answer.headers().get("ETag").map_or("", |tag| tag.to_str().unwrap()).to_owned();
        Some((answer.status().as_u16(), tag, text))
    }

    /// What stands at a path that can be read; `None` if the connection broke.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, Value)> {
        let mut answer = self.agent.get(format!("{}{path}", self.origin)).call().ok()?;
        let text = answer.body_mut().with_config().limit(u64::MAX).read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap()))
    }
}
