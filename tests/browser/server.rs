//! The program as a process, for pages to be shown from.

use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;
use std::{env, thread};

use serde_json::Value;

/// A test that waits this long for an answer has found a server that hangs.
const GIVE_UP: Duration = Duration::from_mins(10);

/// Runs the server in a directory of its own until our end of the pipe is closed, however this process ends: the server
/// that tests share is a static, which is never dropped.
const KEEPER: &str = r#"
trap : HUP INT TERM
directory=$(mktemp -d) && cd "$directory" || exit
TMPDIR=$directory "$@" &
cat > /dev/null
{ kill -KILL "$!"; wait "$!"; } 2> /dev/null
cd / && rm -rf "$directory"
"#;

/// A running server.
pub(crate) struct Server {
    keeper: Child,
    origin: String,
    agent: ureq::Agent,
}

impl Server {
    /// The server with sample events that all tests share; they only read.
    pub(crate) fn demo() -> &'static Self {
        static DEMO: LazyLock<Server> = LazyLock::new(|| Server::start("demo", ""));
        &DEMO
    }

    /// A server of one's own that knows nothing yet.
    pub(crate) fn empty() -> Self {
        Self::start("serve", "")
    }

    /// A server with sample events that lets nobody in without this token, which may read.
    pub(crate) fn guarded() -> (Self, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scale-metrics"));
        let output = command.args(["token", "reader", "--scope", "read"]).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let (token, setting) = printed.trim_end().split_once('\n').unwrap();
        let setting = setting.strip_prefix("tokens = [\"").unwrap().strip_suffix("\"]").unwrap();
        (Self::start("demo", setting), token.strip_prefix("token: ").unwrap().to_owned())
    }

    fn start(command: &str, tokens: &str) -> Self {
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh", env!("CARGO_BIN_EXE_scale-metrics"), command, "--listen", "127.0.0.1:0"]);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("SCALE_METRICS_") {
                keeper.env_remove(name);
            }
        }
        if !tokens.is_empty() {
            keeper.env("SCALE_METRICS_TOKENS", tokens);
        }
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(keeper.stderr.take().unwrap());
        let mut said = String::new();
        let origin = loop {
            let before = said.len();
            assert_ne!(log.read_line(&mut said).unwrap(), 0, "`{command}` never listened: {said}");
            if let Some((_, address)) = said[before..].trim_end().split_once("listening on ") {
                break address.to_owned();
            }
        };
        // The server would come to wait for room in the pipe.
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        let agent = ureq::Agent::config_builder().proxy(None).timeout_global(Some(GIVE_UP)).build().new_agent();
        Self { keeper, origin, agent }
    }

    /// Scheme, host and port, without a slash: `http://127.0.0.1:34567`.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    #[track_caller]
    pub(crate) fn get_json(&self, path: &str) -> Value {
        let body = self.agent.get(self.url(path)).call().unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&body).unwrap()
    }

    /// Posts events, one a line, which are all accepted.
    #[track_caller]
    pub(crate) fn post_ndjson(&self, events: &str) {
        let request = self.agent.post(self.url("/v6/events/")).content_type("application/x-ndjson");
        request.send(events).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
