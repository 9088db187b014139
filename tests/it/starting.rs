//! The server answers while its database is opened, however long that takes.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use scale_metrics::app::App;
use scale_metrics::config::Config;
use scale_metrics::store::{OpenOptions, Store};
use scale_metrics::time::Clock;
use serde_json::json;
use tempfile::TempDir;

use crate::support::medium::Memory;
use crate::support::process::{FREE_PORT, program, refusal};
use crate::support::{Client, NOW, job_type};

/// A server whose database is opened when the sender says so.
fn opening(directory: &Path) -> (App, Client, Sender<()>) {
    let (open, gate) = channel();
    let (memory, gate) = (Memory::with_hook(|_| ()), Mutex::new(gate));
    let backend = move || {
        // Nobody opens it any more when the test is over.
        let _ = gate.lock().unwrap().recv();
        Ok(memory.clone())
    };
    let store = Store::with_backend(directory, OpenOptions::verified(1 << 20), backend);
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".parse().unwrap();
    let app = App::begin_with(store, config, Clock::fixed(NOW.parse().unwrap())).unwrap();
    let client = Client::from(app.address());
    (app, client, open)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

#[test]
fn a_server_is_alive_and_not_ready_while_its_database_is_opened() {
    let directory = TempDir::new().unwrap();
    let (mut app, client, open) = opening(directory.path());
    assert_eq!(client.get("/healthz").status, 200);
    let readiness = client.get("/readyz");
    assert_eq!(readiness.status, 503);
    assert_eq!(readiness.json()["reasons"], json!(["opening the database"]));
    assert!(client.get("/metrics").text().contains("scale_metrics_ready 0\n"));
    // Both wait for the database for some seconds.
    let (posted, read) = thread::scope(|scope| {
        let posting = scope.spawn(|| client.post([job_type(1, "a")]));
        let reading = scope.spawn(|| client.get("/v6/metrics/job-types/"));
        open.send(()).unwrap();
        (posting.join().unwrap(), reading.join().unwrap())
    });
    for answer in [posted, read] {
        assert!(answer.status == 200 || answer.header("retry-after").is_some(), "{answer:?}");
    }
    run(app.opened()).unwrap();
    assert_eq!(client.get("/readyz").status, 200);
    client.accept(&[job_type(1, "a")]);
    run(app.stop(std::future::pending())).unwrap();
}

#[test]
fn what_is_asked_for_in_vain_gets_503_with_advice_to_try_again() {
    let directory = TempDir::new().unwrap();
    let (app, client, _open) = opening(directory.path());
    for answer in [client.post([job_type(1, "a")]), client.get("/v6/metrics/job-types/")] {
        answer.assert_refused(503, &["try again"]);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    run(app.abandon());
}

#[test]
fn a_server_that_is_told_to_stop_does_not_wait_for_its_database() {
    let directory = TempDir::new().unwrap();
    let (app, client, open) = opening(directory.path());
    run(app.abandon());
    assert!(client.try_send("GET", "/healthz", &[], b"").is_err());
    // It never was.
    drop(open);
}

/// What a server says until it listens whose limits of open files the shell sets first, and what its soft limit is then.
fn within_limits(limits: &str) -> (String, String) {
    let directory = TempDir::new().unwrap();
    let program = program(directory.path(), &["serve", "--listen", FREE_PORT, "--max-connections", "300"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits}; exec \"$@\""), "sh"]).arg(program.get_program()).args(program.get_args());
    let mut child = shell.current_dir(directory.path()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("listening on ") {
        assert_ne!(log.read_line(&mut said).unwrap(), 0, "it never listened: {said}");
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    (said, files.split_whitespace().next().unwrap().to_owned())
}

#[test]
fn the_limit_of_open_files_is_raised_or_told() {
    let (said, limit) = within_limits("ulimit -S -n 64");
    assert_eq!(limit, "400");
    assert!(!said.contains("WARN"), "{said}");
    let (said, limit) = within_limits("ulimit -S -n 64; ulimit -H -n 200");
    assert_eq!(limit, "200");
    let warning = said.lines().find(|line| line.contains("WARN")).unwrap_or_else(|| panic!("{said}"));
    assert!(warning.contains("at most 200 files") && warning.contains("300 connections need 400"), "{warning}");
    let (said, limit) = within_limits("ulimit -S -n 500");
    assert_eq!(limit, "500");
    assert!(!said.contains("WARN"), "{said}");
}

#[test]
fn an_address_that_is_taken_leaves_no_database_behind() {
    let directory = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refusal(&mut program(directory.path(), &["serve", "--listen", &address, "--data", "data"]));
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
