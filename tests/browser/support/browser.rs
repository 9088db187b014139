//! One browser for all tests, and what is said to it.
//!
//! Messages go through a pair of pipes, each a JSON text and a zero byte: there is no port to find and no socket to upgrade,
//! and the browser ends when our end is closed, however this process ends. A static is never dropped.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;
use std::{env, thread};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::page::{Page, Seen};

/// Whoever waits this long in a test waits for something that does not come.
pub(super) const GIVE_UP: Duration = Duration::from_mins(10);

/// Names another program than the first of [`PROGRAMS`] on the path.
const VARIABLE: &str = "SCALE_METRICS_BROWSER";
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Gives the browser the pipes where it expects them, and a home that goes when it has ended. A Ctrl-C is for the browser;
/// the shell stays to clear up.
const KEEPER: &str = r#"
trap : HUP INT TERM
home=$(mktemp -d) || exit
HOME=$home LANGUAGE=en_US "$@" --user-data-dir="$home/profile" 3<&0 4>&1 < /dev/null > /dev/null
rm -rf "$home"
"#;

/// Headless; alone; nothing that is not ours: no host but this one has an address. Pages in the background are as quick as
/// those in front. Certificates of tests are nobody's whom it trusts.
const FLAGS: [&str; 17] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--no-default-browser-check",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--ignore-certificate-errors",
];

/// The browser that all tests share. `None` where none is installed: the caller returns, and the line on stderr says why.
pub(crate) fn browser() -> Option<&'static Browser> {
    static BROWSER: LazyLock<Option<Browser>> = LazyLock::new(|| find().map(|program| Browser::start(&program)));
    if BROWSER.is_none() {
        let test = thread::current().name().unwrap_or("a test").to_owned();
        let line =
            format!("SKIPPED: {test}: none of {} is on the path, and {VARIABLE} names none\n", PROGRAMS.join(", "));
        assert!(env::var_os("CI").is_none(), "{line}");
        // Past what the test runner keeps to itself.
        io::stderr().write_all(line.as_bytes()).unwrap();
    }
    BROWSER.as_ref()
}

fn find() -> Option<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE) {
        return Some(named.into());
    }
    let path = env::var_os("PATH")?;
    let directories: Vec<PathBuf> = env::split_paths(&path).collect();
    let places = PROGRAMS.iter().flat_map(|program| directories.iter().map(move |directory| directory.join(program)));
    places.into_iter().find(|place| place.is_file())
}

/// A running browser. Its pages share nothing: each has cookies, storage and a cache of its own.
pub(crate) struct Browser {
    commands: Mutex<ChildStdin>,
    next_id: AtomicU64,
    heard: Arc<Heard>,
    /// What the browser said of itself.
    log: Mutex<File>,
}

/// Where messages of the browser go.
#[derive(Default)]
struct Heard {
    /// Who waits for the answer to the command with this id.
    answers: Mutex<HashMap<u64, mpsc::Sender<Value>>>,
    /// What the page of this session told.
    pages: Mutex<HashMap<String, Arc<Mutex<Seen>>>>,
}

impl Browser {
    fn start(program: &Path) -> Self {
        let log = tempfile::tempfile().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", KEEPER, "sh"]).arg(program).args(FLAGS);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let commands = Mutex::new(child.stdin.take().unwrap());
        let messages = BufReader::new(child.stdout.take().unwrap());
        let heard = Arc::new(Heard::default());
        let hearing = Arc::clone(&heard);
        thread::spawn(move || {
            hearing.all(messages);
            child.wait()
        });
        let browser = Self { commands, next_id: AtomicU64::new(1), heard, log: Mutex::new(log) };
        if let Err(error) = browser.command(None, "Browser.getVersion", &json!({})) {
            panic!("{} does not start: {error}", program.display());
        }
        browser
    }

    /// A new page that shows `url`, in a window of 1280 by 800 pixels.
    #[track_caller]
    pub(crate) fn open(&'static self, url: &str) -> Page {
        Page::open(self, url)
    }

    /// Sends a command to the page with this session, or to the browser itself, and waits for the answer: what the command
    /// returns, or why there is nothing.
    pub(super) fn command(&self, session: Option<&str>, method: &str, params: &Value) -> Result<Value, String> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = mpsc::channel();
        self.heard.answers.lock().insert(id, sender);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let sent = self.commands.lock().write_all(format!("{message}\0").as_bytes());
        let answer = sent.map_err(|_| mpsc::RecvTimeoutError::Disconnected).and_then(|()| answer.recv_timeout(GIVE_UP));
        let mut answer = answer.map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => format!("{method} had no answer within {GIVE_UP:?}"),
            mpsc::RecvTimeoutError::Disconnected => format!("the browser ended before {method}: {}", self.log()),
        })?;
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {}", error["message"])),
            None => Ok(answer["result"].take()),
        }
    }

    /// From now on, `seen` notes what the page of this session tells.
    pub(super) fn listen(&self, session: &str, seen: &Arc<Mutex<Seen>>) {
        self.heard.pages.lock().insert(session.to_owned(), Arc::clone(seen));
    }

    pub(super) fn forget(&self, session: &str) {
        self.heard.pages.lock().remove(session);
    }

    fn log(&self) -> String {
        let mut log = self.log.lock();
        log.rewind().unwrap();
        let mut said = Vec::new();
        log.read_to_end(&mut said).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Heard {
    /// Hands out messages until the browser ends.
    fn all(&self, messages: impl BufRead) {
        for message in messages.split(0).map_while(Result::ok) {
            let message: Value = serde_json::from_slice(&message).unwrap();
            if let Some(id) = message["id"].as_u64() {
                if let Some(waiting) = self.answers.lock().remove(&id) {
                    let _ = waiting.send(message); // whoever asked may have given up
                }
            } else if let Some(session) = message["sessionId"].as_str()
                && let Some(seen) = self.pages.lock().get(session)
            {
                seen.lock().note(message["method"].as_str().unwrap(), &message["params"]);
            }
        }
        self.answers.lock().clear();
    }
}
