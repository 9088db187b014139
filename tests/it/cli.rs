//! The program as it is run: how it starts, stops and refuses to start, what `import` does, and what is still
//! there after it was stopped or killed.

use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{FREE_PORT, program, refusal, until_address};
use crate::support::{
    Client, Serving, TestServer, builtin_error, failed_execution, gzip, ingest, job, job_type, read_request, strike,
    to_ndjson, wait_until, with, worked_example,
};

const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

/// Every answer that shows stored things.
const EVERYTHING: [&str; 6] = [
    "/v6/metrics/job-types/",
    "/v6/metrics/ingests/",
    "/v6/metrics/errors/",
    "/v6/metrics/job-types/plot-data/?resolution=hour",
    "/v6/metrics/ingests/plot-data/?resolution=hour",
    "/v6/metrics/errors/plot-data/?resolution=hour",
];

fn get_everything(client: &Client) -> Vec<Value> {
    EVERYTHING
        .iter()
        .map(|path| {
            let answer = client.get(path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            answer.json()["choices"]
                .as_array()
                .map_or_else(|| answer.json()["results"].clone(), |choices| json!(choices))
        })
        .collect()
}

/// The worked example, and a little of the other two types.
fn events_of_all_types() -> Vec<Value> {
    let mut events = worked_example();
    events.extend([
        strike(1, "north"),
        with(ingest(1, 1, "INGESTED", "2015-01-02T03:04:05Z"), json!({"file_size": 123})),
        builtin_error(9, "timeout", "SYSTEM"),
        failed_execution(9, 1, 9, "2015-01-02T03:04:05Z"),
    ]);
    events
}

/// Job type 1 and `count` completed jobs of it on 2015-01-01.
fn many_jobs(count: u64) -> Vec<Value> {
    let jobs = (1..=count).map(|id| job(id, 1, "COMPLETED", "2015-01-01T00:00:00Z"));
    std::iter::once(job_type(1, "many")).chain(jobs).collect()
}

/// The number of jobs counted on the only day there is; 0 if there is none.
#[track_caller]
fn jobs_counted(client: &Client) -> u64 {
    let values = client.values("job-types", "total_count", "");
    assert!(values.as_array().unwrap().len() <= 1, "{values}");
    values[0]["value"].as_u64().unwrap_or(0)
}

// serve.

#[test]
fn serve_logs_where_it_listens_and_answers_there() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    assert_ne!(server.client.address().port(), 0);
    assert!(server.client.address().ip().is_loopback());
    assert_eq!(server.client.get("/healthz").status, 200);
    assert_eq!(server.client.get("/v6/metrics/").json()["count"], 3);
}

#[test]
fn without_a_command_the_server_runs() {
    let directory = TempDir::new().unwrap();
    let server = Serving::start(program(directory.path(), &[]).env("SCALE_METRICS_LISTEN", FREE_PORT));
    assert_eq!(server.client.get("/healthz").status, 200);
    assert!(directory.path().join("data").is_dir(), "`data` is the default directory");
}

#[test]
fn a_file_that_is_not_there_is_told_once_before_anything_is_done() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("events.ndjson"), to_ndjson(&worked_example())).unwrap();
    let mut import = program(directory.path(), &["import", "--data", "data", "events.ndjson", "missing.ndjson"]);
    let output = import.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said, "error: missing.ndjson: No such file or directory (os error 2)\n");
    assert!(!directory.path().join("data").exists());
}

#[test]
fn the_data_directory_is_made_if_missing_and_the_database_is_a_file_in_it() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("deep/down/data");
    let arguments = ["serve", "--listen", FREE_PORT, "--data", "deep/down/data"];
    let _server = Serving::start(&mut program(directory.path(), &arguments));
    let files: Vec<_> = fs::read_dir(data).unwrap().map(|entry| entry.unwrap()).collect();
    assert!(files.iter().any(|file| file.metadata().unwrap().is_file()), "{files:?}");
}

#[test]
fn sigterm_sigint_and_sighup_exit_0() {
    for signal in ["TERM", "INT", "HUP"] {
        if signal == "HUP" && is_hangup_ignored() {
            continue;
        }
        let directory = TempDir::new().unwrap();
        let server = Serving::serve(directory.path());
        let mut idle = server.client.connect();
        idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        idle.read_exact(&mut [0; 12]).unwrap();
        assert_eq!(server.end(signal).code(), Some(0), "an idle connection does not hold it up: {signal}");
    }
}

/// Whether these tests were started with SIGHUP ignored, as by `nohup`; their servers inherit that.
fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 1 != 0)
}

#[test]
fn a_server_that_nohup_has_started_does_not_heed_sighup() {
    let directory = TempDir::new().unwrap();
    let plain = program(directory.path(), &["serve", "--listen", FREE_PORT, "--data", "data"]);
    let mut command = Command::new("nohup");
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(directory.path()).stdin(Stdio::null());
    for (name, _) in plain.get_envs() {
        command.env_remove(name);
    }
    let server = Serving::start(&mut command);
    server.signal("HUP");
    let log = server.end_for_log();
    assert!(log.contains("SIGTERM: stopping") && !log.contains("SIGHUP"), "{log}");
}

#[test]
fn a_signal_right_after_the_start_is_heeded_too() {
    let directory = TempDir::new().unwrap();
    for _ in 0..20 {
        assert_eq!(Serving::serve(directory.path()).end("TERM").code(), Some(0));
    }
}

#[test]
fn sigterm_stops_accepting_and_finishes_running_requests() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    let address = server.client.address();
    let body = serde_json::to_vec(&many_jobs(10)).unwrap();
    let mut running = server.client.connect();
    write!(
        running,
        "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Expect: 100-continue\r\n\r\n",
        body.len()
    )
    .unwrap();
    let mut go_on = [0; 25];
    running.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n", "the request is running");
    server.signal("TERM");
    wait_until("it takes no more connections", || TcpStream::connect(address).is_err());
    running.write_all(&body).unwrap();
    let mut answer = [0; 12];
    running.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(server.end("TERM").code(), Some(0));
    assert_eq!(jobs_counted(&Serving::serve(directory.path()).client), 10);
}

#[test]
fn told_to_stop_again_it_waits_for_no_request() {
    let directory = TempDir::new().unwrap();
    let arguments = ["serve", "--listen", FREE_PORT, "--body-timeout-s", "36000", "--body-least-bytes-s", "0"];
    let mut server = Serving::start(&mut program(directory.path(), &arguments));
    server.client.accept(&many_jobs(10));
    let mut running = server.client.connect();
    let head = "POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[";
    running.write_all(head.as_bytes()).unwrap();
    server.client.wait_for_room_taken(1);
    // What is said twice within a second is said once.
    let status = loop {
        server.signal("TERM");
        thread::sleep(Duration::from_millis(700));
        if let Some(status) = server.child.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(0));
    assert_eq!(jobs_counted(&Serving::serve(directory.path()).client), 10);
}

#[test]
fn a_restart_keeps_everything() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    server.client.accept(&events_of_all_types());
    let before = get_everything(&server.client);
    assert_eq!(server.end("TERM").code(), Some(0));
    let server = Serving::serve(directory.path());
    assert_eq!(get_everything(&server.client), before);
    let again = server.client.post(events_of_all_types()).json();
    assert_eq!(again["unchanged"], events_of_all_types().len(), "events are known again, too: {again}");
}

#[test]
fn kill_9_after_200_loses_nothing() {
    let directory = TempDir::new().unwrap();
    let mut server = Serving::serve(directory.path());
    server.client.accept(&events_of_all_types());
    let before = get_everything(&server.client);
    server.kill();
    let server = Serving::serve(directory.path());
    assert_eq!(get_everything(&server.client), before);
    let again = server.client.post(events_of_all_types()).json();
    assert_eq!(again["unchanged"], events_of_all_types().len(), "{again}");
}

#[test]
fn kill_9_amid_posts_keeps_every_acknowledged_one_once() {
    const JOBS: u64 = 20;
    let post = |number: u64| {
        let ids = number * JOBS + 1..=(number + 1) * JOBS;
        let events: Vec<Value> = ids.map(|id| job(id, 1, "COMPLETED", "2015-01-01T00:00:00Z")).collect();
        serde_json::to_vec(&events).unwrap()
    };
    let directory = TempDir::new().unwrap();
    let mut acknowledged = 0;
    for round in 1..=4 {
        let mut server = Serving::serve(directory.path());
        server.client.accept(&[job_type(1, "many")]);
        let client = Client::from(server.client.address());
        let (tell, told) = mpsc::channel();
        let poster = thread::spawn(move || {
            let mut next = acknowledged;
            while let Ok(answer) = client.try_send("POST", "/v6/events/", &JSON, &post(next)) {
                assert_eq!(answer.status, 200, "{}", answer.text());
                next += 1;
                // Nobody listens any more once the server was killed; the next post finds that out.
                let _ = tell.send(());
            }
            next
        });
        for _ in 0..7 * round {
            told.recv().unwrap();
        }
        server.kill();
        acknowledged = poster.join().unwrap();

        let mut server = Serving::serve(directory.path());
        let counted = jobs_counted(&server.client);
        let possible = [acknowledged * JOBS, (acknowledged + 1) * JOBS];
        assert!(possible.contains(&counted), "{counted} jobs, but all of a post or none: {possible:?}");
        let again = server.client.send("POST", "/v6/events/", &JSON, &post(acknowledged));
        assert_eq!(again.status, 200);
        acknowledged += 1;
        assert_eq!(jobs_counted(&server.client), acknowledged * JOBS, "posting it again settles it");
        server.kill();
    }
}

// What stops the start.

#[test]
fn an_unusable_data_directory_stops_the_start() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("occupied"), "not a directory").unwrap();
    for data in ["occupied", "occupied/below"] {
        let line = refusal(&mut program(directory.path(), &["serve", "--listen", FREE_PORT, "--data", data]));
        assert!(line.contains("occupied"), "{line}");
    }
    assert_eq!(fs::read_to_string(directory.path().join("occupied")).unwrap(), "not a directory");
}

#[test]
fn a_file_that_is_no_database_stops_the_start_and_stays_as_it_is() {
    let directory = TempDir::new().unwrap();
    assert!(Serving::serve(directory.path()).end("TERM").success());
    let data = directory.path().join("data");
    let database = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_file()).unwrap();
    let garbage = vec![b'x'; 100_000];
    fs::write(&database, &garbage).unwrap();
    let line = refusal(&mut program(directory.path(), &["serve", "--listen", FREE_PORT, "--data", "data"]));
    assert!(line.contains("data"), "{line}");
    assert!(fs::read(&database).unwrap() == garbage, "it was written to");
}

#[test]
fn a_database_that_another_process_has_open_stops_the_start() {
    let directory = TempDir::new().unwrap();
    let first = Serving::serve(directory.path());
    first.client.accept(&many_jobs(3));
    let line = refusal(&mut program(directory.path(), &["serve", "--listen", FREE_PORT, "--data", "data"]));
    assert!(line.contains("data"), "{line}");
    assert_eq!(jobs_counted(&first.client), 3, "the first one goes on");
    first.client.accept(&many_jobs(4));
    assert_eq!(jobs_counted(&first.client), 4);
}

#[test]
fn beyond_loopback_the_server_starts_only_if_the_settings_allow_open_writes() {
    let directory = TempDir::new().unwrap();
    let serve = ["serve", "--listen", "0.0.0.0:0"];
    let line = refusal(&mut program(directory.path(), &serve));
    assert!(line.contains("0.0.0.0:0") && line.contains("allow_open_writes"), "{line}");
    fs::write(directory.path().join("config.toml"), "[server]\nallow_open_writes = true\n").unwrap();
    let server = Serving::start(&mut program(directory.path(), &serve));
    assert!(server.client.address().ip().is_unspecified());
}

#[test]
fn an_address_in_use_stops_the_start() {
    let directory = TempDir::new().unwrap();
    let first = Serving::serve(directory.path());
    let address = first.client.address().to_string();
    let line = refusal(&mut program(directory.path(), &["serve", "--listen", &address, "--data", "other"]));
    assert!(line.contains(&address) && line.contains("--listen 127.0.0.1:0"), "{line}");
}

#[test]
fn the_exit_status_is_the_same_where_standard_error_cannot_be_written() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("occupied"), "not a directory").unwrap();
    for (redirection, arguments, status) in [
        ("2>/dev/full", "serve --listen 127.0.0.1:0 --data occupied", 2),
        ("2>&-", "serve --listen 127.0.0.1:0 --data occupied", 2),
        ("2>/dev/full", "no-such-command", 2),
        ("2>/dev/full", "import --data data missing.ndjson", 1),
        ("2>&-", "import --data data missing.ndjson", 1),
    ] {
        let mut shell = Command::new("sh");
        let script = format!("exec \"$0\" {arguments} {redirection}");
        shell.current_dir(directory.path()).args(["-c", &script, env!("CARGO_BIN_EXE_scale-metrics")]);
        assert_eq!(shell.status().unwrap().code(), Some(status), "{arguments} {redirection}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let directory = TempDir::new().unwrap();
    for arguments in [&["openapi"][..], &["completions", "bash"], &["token", "x", "--scope", "read"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program(directory.path(), arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_server_on_this_machine_is_asked_directly_whatever_proxy_there_is() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    fs::write(directory.path().join("events.ndjson"), to_ndjson(&many_jobs(3))).unwrap();
    let url = format!("http://{}", server.client.address());
    for arguments in [&["health"][..], &["import", "events.ndjson"], &["export"]] {
        let mut command = program(directory.path(), arguments);
        command.args(["--url", &url]);
        for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            // Nothing listens there.
            command.env(variable, "http://127.0.0.1:1");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(jobs_counted(&server.client), 3);
}

// import.

/// Runs `import` with these arguments to its end.
fn import(directory: &Path, arguments: &[&str]) -> Output {
    program(directory, &["import"]).args(arguments).output().unwrap()
}

#[track_caller]
fn assert_imported(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Asserts that the import failed and said all of `words`.
#[track_caller]
fn assert_import_failed(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said:?}");
    }
}

/// Asserts that the import failed at this line of this file.
#[track_caller]
fn assert_failed_at(output: &Output, file: &str, line: usize) {
    assert_import_failed(output, &[file]);
    let said = String::from_utf8_lossy(&output.stderr);
    let named = [format!("{file}:{line}:"), format!("line {line}:"), format!("line {line},"), format!("line {line} ")];
    assert!(named.iter().any(|name| said.contains(name)), "line {line} is not named in {said:?}");
}

#[test]
fn import_posts_files_to_a_running_server_in_order() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    let events = events_of_all_types();
    let (choices, rest): (Vec<Value>, Vec<Value>) = events
        .iter()
        .cloned()
        .partition(|event| ["job_type", "strike", "error"].contains(&event["kind"].as_str().unwrap()));
    fs::write(directory.path().join("z-first.ndjson"), to_ndjson(&choices)).unwrap();
    fs::write(directory.path().join("a-second.ndjson"), to_ndjson(&rest)).unwrap();
    let files = ["z-first.ndjson", "a-second.ndjson", "--url", server.client.base()];
    assert_imported(&import(directory.path(), &files));
    let imported = get_everything(&server.client);

    let other = TempDir::new().unwrap();
    let posted = Serving::serve(other.path());
    posted.client.accept(&events);
    assert_eq!(imported, get_everything(&posted.client));
}

#[test]
fn import_understands_gz_and_standard_input() {
    let text = to_ndjson(&many_jobs(1000));
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("jobs.ndjson.gz"), gzip(text.as_bytes())).unwrap();
    let server = Serving::serve(directory.path());
    assert_imported(&import(directory.path(), &["jobs.ndjson.gz", "--url", server.client.base()]));
    assert_eq!(jobs_counted(&server.client), 1000);

    let other = TempDir::new().unwrap();
    let server = Serving::serve(other.path());
    let arguments = ["import", "-", "--url", server.client.base()];
    let mut importing = program(other.path(), &arguments).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    importing.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert_imported(&importing.wait_with_output().unwrap());
    assert_eq!(jobs_counted(&server.client), 1000);
}

#[test]
fn import_halves_a_batch_that_the_server_finds_too_large() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::start_with(|config| config.server.max_body_bytes = 2000);
    let jobs = many_jobs(200);
    fs::write(directory.path().join("jobs.ndjson"), to_ndjson(&jobs)).unwrap();
    assert_imported(&import(directory.path(), &["jobs.ndjson", "--url", server.base()]));

    let all = TestServer::start();
    all.accept(&jobs);
    assert_eq!(get_everything(&server), get_everything(&all));
}

#[test]
fn import_goes_straight_into_a_data_directory() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("events.ndjson"), to_ndjson(&events_of_all_types())).unwrap();
    assert_imported(&import(directory.path(), &["events.ndjson", "--data", "data"]));
    let imported = get_everything(&Serving::serve(directory.path()).client);

    let other = TempDir::new().unwrap();
    let posted = Serving::serve(other.path());
    posted.client.accept(&events_of_all_types());
    assert_eq!(imported, get_everything(&posted.client));
}

#[test]
fn importing_again_gives_the_same_numbers() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("events.ndjson"), to_ndjson(&events_of_all_types())).unwrap();
    assert_imported(&import(directory.path(), &["events.ndjson", "--data", "data"]));
    assert_imported(&import(directory.path(), &["events.ndjson", "--data", "data"]));
    let server = Serving::serve(directory.path());
    let before = get_everything(&server.client);
    assert_eq!(before[3][0]["values"][0]["value"], 2, "the completed jobs of the worked example, counted once");
    assert_imported(&import(directory.path(), &["events.ndjson", "events.ndjson", "--url", server.client.base()]));
    assert_eq!(get_everything(&server.client), before);
}

#[test]
fn import_can_be_run_again_after_a_failure() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("jobs.ndjson");
    let mut lines: Vec<String> = many_jobs(30_000).iter().map(Value::to_string).collect();
    let good = std::mem::replace(&mut lines[25_000], r#"{"kind": "job"}"#.to_owned());
    fs::write(&file, lines.join("\n")).unwrap();
    let server = Serving::serve(directory.path());
    let arguments = ["jobs.ndjson", "--url", server.client.base()];
    assert_failed_at(&import(directory.path(), &arguments), "jobs.ndjson", 25_001);
    assert!(jobs_counted(&server.client) <= 25_000, "nothing after the bad line was posted");
    lines[25_000] = good;
    fs::write(&file, lines.join("\n")).unwrap();
    assert_imported(&import(directory.path(), &arguments));
    assert_eq!(jobs_counted(&server.client), 30_000);
}

#[test]
fn a_bad_line_names_file_and_line() {
    let directory = TempDir::new().unwrap();
    let good = to_ndjson(&many_jobs(2));
    fs::write(directory.path().join("good.ndjson"), &good).unwrap();
    let bad_lines = [
        r#"{"kind": "job", "id": 1"#,
        "no JSON at all",
        r#"{"kind": "job", "id": 9, "job_type": 1, "status": "COMPLETED"}"#,
        r#"{"kind": "job", "id": 9, "job_type": 77, "status": "RUNNING"}"#,
        r#"{"kind": "spaceship", "id": 9}"#,
        "[]",
    ];
    let server = Serving::serve(directory.path());
    for bad in bad_lines {
        // Three good lines and a blank one before it: line 5, though it is the fourth event.
        fs::write(directory.path().join("bad.ndjson"), format!("{good}\n{bad}\n{good}")).unwrap();
        let url = ["good.ndjson", "bad.ndjson", "--url", server.client.base()];
        assert_failed_at(&import(directory.path(), &url), "bad.ndjson", 5);
        assert_failed_at(&import(directory.path(), &["good.ndjson", "bad.ndjson", "--data", "other"]), "bad.ndjson", 5);
    }
    assert_eq!(server.client.get("/healthz").status, 200);
}

#[test]
fn a_bad_line_of_a_packed_file_is_named_too() {
    let directory = TempDir::new().unwrap();
    let text = format!("{}\nno JSON\n", to_ndjson(&many_jobs(1)));
    fs::write(directory.path().join("bad.ndjson.gz"), gzip(text.as_bytes())).unwrap();
    assert_failed_at(&import(directory.path(), &["bad.ndjson.gz", "--data", "data"]), "bad.ndjson.gz", 4);
}

#[test]
fn import_takes_a_last_line_without_its_end_and_windows_line_ends() {
    let directory = TempDir::new().unwrap();
    let lines: Vec<String> = many_jobs(5).iter().map(Value::to_string).collect();
    fs::write(directory.path().join("jobs.ndjson"), lines.join("\r\n")).unwrap();
    assert_imported(&import(directory.path(), &["jobs.ndjson", "--data", "data"]));
    assert_eq!(jobs_counted(&Serving::serve(directory.path()).client), 5);
}

#[test]
fn import_makes_no_directory_that_nobody_named() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("jobs.ndjson"), to_ndjson(&many_jobs(2))).unwrap();
    let output = import(directory.path(), &["jobs.ndjson"]);
    assert_eq!(output.status.code(), Some(2));
    assert_import_failed(&output, &["--url", "--data"]);
    assert!(!directory.path().join("data").exists());
    // Where the default directory has a database, or the settings name one, it is meant.
    assert_imported(&import(directory.path(), &["jobs.ndjson", "--data", "data"]));
    assert_imported(&import(directory.path(), &["jobs.ndjson"]));
    fs::write(directory.path().join("config.toml"), "[storage]\ndata = \"named\"\n").unwrap();
    assert_imported(&import(directory.path(), &["jobs.ndjson"]));
    assert!(directory.path().join("named").exists());
}

#[test]
fn commands_that_only_ask_a_server_do_without_a_config_toml_of_others() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    let url = server.client.base().to_owned();
    fs::write(directory.path().join("jobs.ndjson"), to_ndjson(&many_jobs(2))).unwrap();
    fs::write(directory.path().join("config.toml"), "[tool.other]\nx = 1\n").unwrap();
    let output = import(directory.path(), &["jobs.ndjson", "--url", &url]);
    assert_imported(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("config.toml is not used"));
    for command in [vec!["health", "--url", &url], vec!["export", "--url", &url], vec!["openapi"]] {
        let output = program(directory.path(), &command).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {output:?}");
    }
    // Whoever names a file means it, and a server stands on what it says.
    let named = [&["jobs.ndjson", "--url", &url, "--config", "config.toml"][..]].concat();
    assert_eq!(import(directory.path(), &named).status.code(), Some(2));
    assert!(refusal(&mut program(directory.path(), &["serve", "--listen", FREE_PORT])).contains("config.toml"));
}

#[test]
fn import_asks_again_when_the_server_says_that_it_may() {
    // Two refusals with `Retry-After`, then a success.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let busy =
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        let receipt = r#"{"accepted":1,"created":1,"updated":0,"unchanged":0,"stale":0}"#;
        let good =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{receipt}", receipt.len());
        let mut times = Vec::new();
        for answer in [busy, busy, &good] {
            let (mut connection, _) = listener.accept().unwrap();
            times.push(std::time::Instant::now());
            read_request(&mut connection, |request| request.ends_with(b"}\n"));
            connection.write_all(answer.as_bytes()).unwrap();
        }
        times
    });
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("jobs.ndjson"), to_ndjson(&many_jobs(1)[..1])).unwrap();
    assert_imported(&import(directory.path(), &["jobs.ndjson", "--url", &url]));
    let times = server.join().unwrap();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(1)), "{times:?}");
}

#[test]
fn importing_nothing_changes_nothing() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("empty.ndjson"), "\n\n").unwrap();
    assert_imported(&import(directory.path(), &["empty.ndjson", "--data", "data"]));
    assert_eq!(jobs_counted(&Serving::serve(directory.path()).client), 0);
}

#[test]
fn import_names_a_file_that_it_cannot_read() {
    let directory = TempDir::new().unwrap();
    assert_import_failed(&import(directory.path(), &["missing.ndjson", "--data", "data"]), &["missing.ndjson"]);
    fs::write(directory.path().join("torn.ndjson.gz"), &gzip(to_ndjson(&many_jobs(500)).as_bytes())[..1000]).unwrap();
    assert_import_failed(&import(directory.path(), &["torn.ndjson.gz", "--data", "data"]), &["torn.ndjson.gz"]);
}

#[test]
fn import_names_a_server_that_it_cannot_reach() {
    let directory = TempDir::new().unwrap();
    let mut server = Serving::serve(directory.path());
    let url = server.client.base().to_owned();
    server.kill();
    fs::write(directory.path().join("jobs.ndjson"), to_ndjson(&many_jobs(1))).unwrap();
    assert_import_failed(&import(directory.path(), &["jobs.ndjson", "--url", &url]), &[&url]);
}

#[test]
fn an_address_that_no_server_can_have_is_refused_and_says_why() {
    let directory = TempDir::new().unwrap();
    let wrong =
        [("localhost:8080", "https://"), ("http:///", "http://"), ("https:///", "http://"), ("ftp://x", "http://")];
    for (url, why) in wrong {
        for command in [["health"].as_slice(), &["export"], &["import", "jobs.ndjson"], &["delete", "job/1"]] {
            let output = program(directory.path(), &[command, &["--url", url]].concat()).output().unwrap();
            let complaint = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{complaint}");
            assert!(complaint.contains(url) && complaint.contains(why), "{complaint}");
        }
    }
}

#[test]
fn importing_into_a_directory_that_a_server_has_open_exits_2() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    server.client.accept(&many_jobs(2));
    fs::write(directory.path().join("jobs.ndjson"), to_ndjson(&many_jobs(5))).unwrap();
    let output = import(directory.path(), &["jobs.ndjson", "--data", "data"]);
    assert_import_failed(&output, &["data"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(jobs_counted(&server.client), 2);
}

// demo.

#[test]
fn demo_prints_the_dashboards_address_and_shows_90_days_of_every_type() {
    let directory = TempDir::new().unwrap();
    let mut demo = program(directory.path(), &["demo", "--listen", FREE_PORT]);
    demo.env("TMPDIR", directory.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = demo.spawn().unwrap();
    let address = until_address("http://", &mut BufReader::new(child.stdout.take().unwrap())).unwrap();
    let server = Serving { child, client: Client::from(address.parse::<SocketAddr>().unwrap()), log: None };
    assert_eq!(server.client.get("/").status, 200);
    for metrics_type in ["job-types", "ingests", "errors"] {
        let values = server.client.values(metrics_type, "total_count", "started=P89D");
        assert!(values.as_array().unwrap().len() > 80, "{metrics_type} has few days with events: {values}");
    }
    assert!(server.end("TERM").success());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "the database was to be thrown away");
}
