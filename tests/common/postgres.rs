//! A real PostgreSQL server in a directory of its own. Where none is installed, tests say so and pass; with `CI` set they fail.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::wait_until;
use super::skip::skip;

/// Makes a cluster in a directory of its own and runs its server until our end of the pipe is closed, however this process ends:
/// the server that tests share is a static, which is never dropped. The server refuses to run as root.
const KEEPER: &str = r#"
trap : HUP INT TERM
bin=$1 port=$2 ready=$3 as=
if [ "$(id -u)" = 0 ]; then as='setpriv --reuid postgres --regid postgres --clear-groups'; fi
directory=$($as mktemp -d) && cd "$directory" || exit
$as "$bin/initdb" -D data -U tester -A trust -E UTF8 --no-locale --no-sync > log 2>&1 || { cat log >&2; exit 1; }
$as "$bin/postgres" -D data -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= -c max_connections=200 >> log 2>&1 &
until $as "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do
    kill -0 $! 2> /dev/null || { cat log >&2; exit 1; }
    sleep 0.05
done
echo ready > "$ready"
cat > /dev/null
{ kill -QUIT "$!"; wait "$!"; } 2> /dev/null
cd / && rm -rf "$directory"
"#;

/// A running server.
pub(crate) struct Postgres {
    _keeper: Child,
    port: u16,
    databases: AtomicU32,
    bin: PathBuf,
}

impl Postgres {
    /// The server that all tests share; `None` if it is not installed.
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: LazyLock<Option<Postgres>> = LazyLock::new(Postgres::start);
        SHARED.as_ref()
    }

    fn start() -> Option<Self> {
        let Some(bin) = installed() else {
            skip("PostgreSQL is not installed");
            return None;
        };
        // Another program may take a port between the look and the server.
        (0..10).find_map(|_| Self::try_start(&bin))
    }

    fn try_start(bin: &Path) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let ready = directory.path().join("ready");
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(bin)
            .arg(port.to_string())
            .arg(&ready)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut has_ended = false;
        wait_until("the database server is ready", || {
            has_ended = keeper.try_wait().unwrap().is_some();
            has_ended || ready.exists()
        });
        (!has_ended).then(|| Self { _keeper: keeper, port, databases: AtomicU32::new(0), bin: bin.to_owned() })
    }

    /// The address of a new, empty database.
    pub(crate) fn new_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = Command::new(self.bin.join("createdb"))
            .args(["-h", "127.0.0.1", "-U", "tester", "-p", &self.port.to_string(), &name])
            .status()
            .unwrap();
        assert!(made.success());
        format!("postgres://tester@127.0.0.1:{}/{name}", self.port)
    }
}

impl Postgres {
    /// Ends the connections to a database in whose transactions something is locked, as if their processes had died.
    pub(crate) fn end_connections_that_hold_a_lock(&self, address: &str) {
        let statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND state = 'idle in transaction'";
        let ended = Command::new(self.bin.join("psql")).args(["-At", "-c", statement, address]).output().unwrap();
        assert_eq!(ended.stdout, b"1\n", "{ended:?}");
    }
}

/// Where the programs of the newest version are.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions.flatten().map(|version| version.path().join("bin")).collect();
    found.retain(|bin| bin.join("postgres").exists());
    found.sort_by_key(|bin| bin.parent()?.file_name()?.to_str()?.parse::<u32>().ok());
    found.pop()
}
