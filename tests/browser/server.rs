//! The program as a process, for pages to be shown from.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use crate::process::{FREE_PORT, GIVE_UP, Serving, program};

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

/// A running server, under its keeper.
pub(crate) struct Server(Serving<Client>);

/// What asks a server for more than a page does.
struct Client {
    origin: String,
    agent: ureq::Agent,
}

impl From<SocketAddr> for Client {
    fn from(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder().proxy(None).timeout_global(Some(GIVE_UP)).build().new_agent();
        Self { origin: format!("http://{address}"), agent }
    }
}

impl Server {
    /// The server with sample events that all tests share; they only read.
    pub(crate) fn demo() -> &'static Self {
        static DEMO: LazyLock<Server> = LazyLock::new(|| Server::start("demo", &[]));
        &DEMO
    }

    /// A server of one's own that knows nothing yet.
    pub(crate) fn empty() -> Self {
        Self::start("serve", &[])
    }

    /// A server with sample events that lets nobody in without this token, which may read.
    pub(crate) fn guarded() -> (Self, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scale-metrics"));
        let output = command.args(["token", "reader", "--scope", "read"]).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let (token, setting) = printed.trim_end().split_once('\n').unwrap();
        let setting = setting.strip_prefix("tokens = [\"").unwrap().strip_suffix("\"]").unwrap();
        (Self::start("demo", &[("SCALE_METRICS_TOKENS", setting)]), token.strip_prefix("token: ").unwrap().to_owned())
    }

    /// A server with sample events and these settings, by their variables.
    pub(crate) fn demo_with(settings: &[(&str, &str)]) -> Self {
        Self::start("demo", settings)
    }

    fn start(command: &str, settings: &[(&str, &str)]) -> Self {
        let program = program(&std::env::temp_dir(), &[command, "--listen", FREE_PORT]);
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => keeper.env(name, value),
                None => keeper.env_remove(name),
            };
        }
        keeper.envs(settings.iter().copied());
        Self(Serving::start(keeper.stdin(Stdio::piped())))
    }

    /// Scheme, host and port, without a slash: `http://127.0.0.1:34567`.
    pub(crate) fn origin(&self) -> &str {
        &self.0.client.origin
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    #[track_caller]
    pub(crate) fn get_json(&self, path: &str) -> Value {
        let body = self.0.client.agent.get(self.url(path)).call().unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&body).unwrap()
    }

    /// Posts events, one a line, which are all accepted.
    #[track_caller]
    pub(crate) fn post_ndjson(&self, events: &str) {
        let request = self.0.client.agent.post(self.url("/v6/events/")).content_type("application/x-ndjson");
        request.send(events).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.child.stdin.take());
        let _ = self.0.child.wait();
    }
}
