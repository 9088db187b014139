//! A real nginx before a server. Where none is installed, tests say so and pass; with `CI` set they fail.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A test that waits this long for nginx to listen or to end has found one that does not.
const GIVE_UP: Duration = Duration::from_mins(2);

/// A running nginx. It is killed when the test is over.
pub(crate) struct Nginx {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Nginx {
    /// nginx with `locations` in its only server and `http` beside that; `None` if it is not installed.
    pub(crate) fn start(http: &str, locations: &str) -> Option<Self> {
        Self::listen("", http, locations)
    }

    /// nginx whose server listens with these `options`, such as `ssl`.
    pub(crate) fn listen(options: &str, http: &str, locations: &str) -> Option<Self> {
        // Another program may take a port between the look and nginx.
        let started = (0..10).find_map(|_| Self::try_start(options, http, locations));
        started.unwrap_or_else(|| panic!("nginx found no free port"))
    }

    /// The outer `None` says that the port was taken.
    #[expect(clippy::option_option, reason = "the caller tries again for one of them only")]
    fn try_start(options: &str, http: &str, locations: &str) -> Option<Option<Self>> {
        let directory = TempDir::new().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let configuration = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr;
             events {{ worker_connections 256; }}
             http {{
                 access_log off; client_max_body_size 64m;
                 client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
                 scgi_temp_path scgi;
                 {http}
                 server {{ listen {address} {options}; {locations} }}
             }}"
        );
        fs::write(directory.path().join("nginx.conf"), configuration).unwrap();
        let start = |program: &str| {
            let mut command = Command::new(program);
            command.arg("-p").arg(directory.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        // It is seldom in the path of those who run tests.
        let Ok(mut child) = start("nginx").or_else(|_| start("/usr/sbin/nginx")) else {
            super::skip::skip("nginx is not installed");
            return Some(None);
        };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(began.elapsed() < GIVE_UP, "nginx never listens");
            thread::yield_now();
        }
        Some(Some(Self { child, address, _directory: directory }))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
