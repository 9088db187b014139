//! A real PostgreSQL server in a directory of its own. Where none is installed, tests say so and pass; with `CI` set they fail.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::process::wait_until;
use super::skip::skip;

/// Makes a cluster in a directory of its own and runs its server, until our end of the pipe is closed, however this process ends:
/// the server that tests share is a static, which is never dropped. Obeys the lines `crash` and `start`. The server refuses to
/// run as root.
const KEEPER: &str = r#"
trap : HUP INT TERM
bin=$1 port=$2 ready=$3 tls=$4 as=
if [ "$(id -u)" = 0 ]; then as='setpriv --reuid postgres --regid postgres --clear-groups'; fi
directory=$($as mktemp -d) && cd "$directory" || exit
$as "$bin/initdb" -D data -U tester -A trust -E UTF8 --no-locale --no-sync > log 2>&1 || { cat log >&2; exit 1; }
if [ "$tls" ]; then
    cp "$tls/server.pem" "$tls/server.key" data/ && chown --reference=data data/server.* && chmod 600 data/server.key || exit
    printf "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n" >> data/postgresql.conf
    printf 'hostnossl all all all reject\nhostssl all all all trust\n' > data/pg_hba.conf
fi
start() {
    $as "$bin/postgres" -D data -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= -c max_connections=200 >> log 2>&1 &
    server=$!
    until $as "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; do
        kill -0 $server 2> /dev/null || return 1
        sleep 0.05
    done
    echo ready > "$ready"
}
start || { cat log >&2; exit 1; }
while read -r order; do
    case $order in
        crash) { kill -KILL $server; wait $server; } 2> /dev/null ;;
        # Its processes end one after the other, and keep its memory until then.
        start) until start; do sleep 0.05; done ;;
    esac
done
{ kill -QUIT $server; wait $server; } 2> /dev/null
cd / && rm -rf "$directory"
"#;

/// The name of the file that says that the server takes connections.
const READY: &str = "ready";

/// A running server.
pub(crate) struct Postgres {
    keeper: Child,
    /// Exists once the server takes connections.
    ready: TempDir,
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

    /// A server of its own; `None` if it is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// A server that takes TLS connections only, with the certificate and the key in a directory.
    pub(crate) fn start_with_tls(directory: &str) -> Option<Self> {
        Self::start_with(directory)
    }

    fn start_with(tls: &str) -> Option<Self> {
        let Some(bin) = installed() else {
            skip("PostgreSQL is not installed");
            return None;
        };
        // Another program may take a port between the look and the server.
        let started = (0..10).find_map(|_| Self::try_start(&bin, tls));
        Some(started.expect("a server that is installed starts; it has said why it does not"))
    }

    fn try_start(bin: &Path, tls: &str) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let ready = directory.path().join(READY);
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(bin)
            .arg(port.to_string())
            .arg(&ready)
            .arg(tls)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut has_ended = false;
        wait_until("the database server is ready", || {
            has_ended = keeper.try_wait().unwrap().is_some();
            has_ended || ready.exists()
        });
        (!has_ended).then(|| Self { keeper, ready: directory, port, databases: AtomicU32::new(0), bin: bin.to_owned() })
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
    /// Ends the server as a crash does.
    pub(crate) fn crash(&mut self) {
        fs::remove_file(self.ready.path().join(READY)).unwrap();
        self.order("crash");
    }

    /// Starts the server again after a crash, and waits until it takes connections.
    pub(crate) fn start_again(&mut self) {
        self.order("start");
        let ready = self.ready.path().join(READY);
        wait_until("the database server is ready again", || ready.exists());
    }

    fn order(&mut self, order: &str) {
        writeln!(self.keeper.stdin.as_mut().unwrap(), "{order}").unwrap();
    }

    /// What `psql` prints for some statements.
    pub(crate) fn psql(&self, address: &str, statements: &str) -> String {
        let done = Command::new(self.bin.join("psql"))
            .args(["-X", "-At", "-v", "ON_ERROR_STOP=1", "-c", statements, address])
            .env("PGOPTIONS", "-c default_transaction_read_only=off")
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// Ends the connections to a database in whose transactions something is locked, as if their processes had died.
    pub(crate) fn end_connections_that_hold_a_lock(&self, address: &str) {
        let statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND state = 'idle in transaction'";
        assert_eq!(self.psql(address, statement), "1");
    }

    /// Ends all connections to a database.
    pub(crate) fn end_connections(&self, address: &str) {
        self.psql(
            address,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
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
