//! `scale-metrics events`, `breakdown` and `delete`: what they ask for and print, of a server and of a directory that no server has open.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::completions::flags;
use crate::support::process::program;
use crate::support::{
    Serving, TestServer, builtin_error, execution, failed_execution, gzip, ingest, job, job_type, read_request, strike,
    to_ndjson, with,
};

fn run(directory: &Path, arguments: &[&str]) -> Output {
    program(directory, arguments).output().unwrap()
}

/// What a command prints; it must succeed.
#[track_caller]
fn printed(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail with this status, and say all of these words.
#[track_caller]
fn assert_fails(directory: &Path, arguments: &[&str], status: i32, words: &[&str]) {
    let output = run(directory, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?}: {word:?} is not in {said:?}");
    }
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
}

/// Two job types with jobs and executions, an error, and two ingests.
fn some_events() -> Vec<Value> {
    let at = |second: u64| format!("2015-01-01T00:00:{second:02}Z");
    vec![
        job_type(1, "landsat-parse"),
        job_type(2, "cloud-mask"),
        builtin_error(7, "node-lost", "SYSTEM"),
        strike(1, "north"),
        execution(1, 1, &at(0), &at(3), &at(13)),
        execution(2, 2, &at(0), &at(1), &at(41)),
        failed_execution(3, 2, 7, &at(20)),
        job(1, 1, "COMPLETED", &at(14)),
        with(job(2, 2, "FAILED", "2015-01-02T23:30:00Z"), json!({"error": 7})),
        with(ingest(1, 1, "INGESTED", "2015-01-01T05:00:00Z"), json!({"file_size": 1234})),
        ingest(2, 1, "DEFERRED", "2015-01-01T06:00:00Z"),
    ]
}

#[test]
fn events_are_a_table_for_people() {
    let server = TestServer::start();
    server.accept(&some_events());
    let here = TempDir::new().unwrap();
    let list = |arguments: &[&str]| {
        let asked = ["events", arguments[0], "--url", server.base()];
        printed(here.path(), &[&asked[..], &arguments[1..]].concat())
    };
    assert_eq!(
        list(&["job-types", "--kind", "job"]),
        "kind  id  status     ended                 job type           error\n\
         job    2  FAILED     2015-01-02T23:30:00Z  cloud-mask 1.0     node-lost\n\
         job    1  COMPLETED  2015-01-01T00:00:14Z  landsat-parse 1.0\n"
    );
    assert_eq!(
        list(&["job-types", "--order", "-run_time", "--min-queue-time", "1", "--max-run-time=40"]),
        "kind           id  status     ended                 job type           error  queue_time  run_time  stage_time\n\
         job_execution   2  COMPLETED  2015-01-01T00:00:41Z  cloud-mask 1.0                     1        40          40\n\
         job_execution   1  COMPLETED  2015-01-01T00:00:13Z  landsat-parse 1.0                  3        10          10\n"
    );
    assert_eq!(
        list(&["errors"]),
        "kind           id  status  ended                 error      job type\n\
         job_execution   3  FAILED  2015-01-01T00:00:20Z  node-lost         2\n"
    );
    let ingests = list(&["ingests", "--status", "INGESTED,DEFERRED"]);
    assert!(ingests.contains("ingest   1  INGESTED  2015-01-01T05:00:00Z  north        1234"), "{ingests}");
    assert_eq!(list(&["ingests", "--name", "north", "--status", "ERRORED"]), "");
    let output = run(here.path(), &["events", "job-types", "--url", server.base(), "--page-size", "1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "1 of 4 events, times in seconds (--page and --page-size ask for others)\n");
}

#[test]
fn a_breakdown_is_a_table_for_people() {
    let server = TestServer::start();
    server.accept(&some_events());
    let here = TempDir::new().unwrap();
    let groups =
        |arguments: &[&str]| printed(here.path(), &[&["breakdown", "--url", server.base()], arguments].concat());
    // In the order that was asked for.
    assert_eq!(
        groups(&["job-types", "--by", "status,choice", "--measure", "queue_time"]),
        "status     id  choice             count   share  queue_time_avg  queue_time_p50  queue_time_p95  queue_time_max\n\
         COMPLETED   1  landsat-parse 1.0      2  50.0 %               3               3               3               3\n\
         COMPLETED   2  cloud-mask 1.0         1  25.0 %               1               1               1               1\n\
         FAILED      2  cloud-mask 1.0         1  25.0 %\n"
    );
    assert_eq!(
        groups(&["job-types", "--by", "error", "--kind", "job"]),
        "id  error      count   share\n\
         \x207  node-lost      1  50.0 %\n\
         \x20\x20\x20\x20-              1  50.0 %\n"
    );
    assert_eq!(
        groups(&["errors", "--by", "job_type"]),
        "id  job_type        count    share\n 2  cloud-mask 1.0      1  100.0 %\n"
    );
    // On 2015-01-03, Saturday, where clocks are an hour ahead.
    let late = ["job-types", "--by", "weekday", "--by", "hour", "--status", "FAILED"];
    let late = groups(&[&late[..], &["--timezone", "Europe/Berlin"]].concat());
    assert!(late.lines().nth(1).unwrap().starts_with("6        0         1  100.0 %"), "{late}");
}

#[test]
fn a_server_and_a_directory_give_the_same_answers() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    server.client.accept(&some_events());
    let questions = [
        vec!["events", "job-types"],
        vec!["events", "job-types", "--kind=job_execution", "--status=FAILED", "--units=milliseconds"],
        vec!["events", "ingests", "--order=ended", "--started=2015-01-01", "--ended=2015-01-01T05:30:00Z"],
        vec!["events", "errors", "--job-type=2", "--error-category=SYSTEM"],
        vec!["breakdown", "job-types", "--by=error"],
        vec!["breakdown", "ingests", "--by=weekday,status", "--name=north"],
    ];
    let formats = ["--format=table", "--format=json", "--format=csv", "--format=json --all", "--format=csv --all"];
    let ask = |source: [&str; 2]| {
        let asks = questions.iter().flat_map(|question| formats.map(|format| (question, format)));
        let asks = asks.map(|(question, format)| {
            let arguments: Vec<_> = question.iter().copied().chain(source).chain(format.split(' ')).collect();
            printed(directory.path(), &arguments)
        });
        asks.collect::<Vec<_>>()
    };
    let of_server = ask(["--url", server.client.base()]);
    let path = "/v6/metrics/job-types/events/";
    assert_eq!(of_server[1], server.client.get(path).text() + "\n");
    assert_eq!(of_server[2], server.client.get(&format!("{path}?format=csv")).text());
    let listed: Vec<Value> = of_server[3].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(listed), server.client.get(path).json()["results"]);
    assert_fails(directory.path(), &["events", "job-types", "--data", "data"], 2, &["data"]);
    server.end("TERM");
    assert_eq!(of_server, ask(["--data", "data"]));
}

#[test]
fn all_pages_have_every_event_once() {
    let server = TestServer::start();
    let here = TempDir::new().unwrap();
    let jobs = (1..=2_500).map(|id| job(id, 1, "COMPLETED", "2015-01-01T00:00:00Z"));
    server.accept(&[vec![job_type(1, "a, \"b\"")], jobs.collect()].concat());
    let all = |arguments: &[&str]| {
        printed(here.path(), &[&["events", "job-types", "--all", "--url", server.base()], arguments].concat())
    };
    let ids: Vec<u64> = (1..=2_500).collect();
    for size in [&[][..], &["--page-size", "500"], &["--page-size", "999"]] {
        let lines = all(&[&["--format", "json"], size].concat());
        let listed = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap());
        assert_eq!(listed.collect::<Vec<_>>(), ids, "{size:?}");
        let lines = all(&[&["--format", "csv"], size].concat());
        let mut lines = lines.lines();
        assert!(lines.next().unwrap().starts_with("kind,id,status,"));
        let listed = lines.map(|line| line.split(',').nth(1).unwrap().parse::<u64>().unwrap());
        assert_eq!(listed.collect::<Vec<_>>(), ids, "{size:?}");
    }
    assert_eq!(all(&["--format", "json", "--status", "FAILED"]), "");
    assert_fails(here.path(), &["events", "job-types", "--all", "--url", server.base()], 2, &["--format json"]);
    assert_fails(here.path(), &["events", "job-types", "--all", "--page=2", "--format=csv"], 2, &["--page"]);
}

#[test]
fn every_parameter_of_the_interface_is_a_flag() {
    let server = TestServer::start();
    let document = server.get("/v6/openapi.json").json();
    for (command, path) in [("events", "events"), ("breakdown", "breakdown")] {
        let flags = flags(command);
        let parameters = &document["paths"][format!("/v6/metrics/{{name}}/{path}/")]["get"]["parameters"];
        let mut names = Vec::new();
        for parameter in parameters.as_array().unwrap().iter().filter(|parameter| parameter["in"] == "query") {
            let flag = format!("--{}", parameter["name"].as_str().unwrap().replace('_', "-"));
            assert!(flags.contains(&flag), "{command} has no {flag}");
            names.push(flag);
        }
        assert!(names.iter().any(|name| name == "--max-run-time"), "{names:?}");
    }
}

#[test]
fn questions_that_make_no_sense_exit_2_and_say_what_may_be_asked() {
    let directory = TempDir::new().unwrap();
    let server = Serving::serve(directory.path());
    server.client.accept(&some_events());
    let wrong: [(&[&str], &str); 15] = [
        (&["events", "jobs"], "job-types, ingests, errors"),
        (&["events", "job-types", "--status", "BANANA"], "COMPLETED"),
        (&["events", "job-types", "--status", "INGESTED"], "COMPLETED"),
        (&["events", "job-types", "--order", "banana"], "-run_time"),
        (&["events", "job-types", "--min-run-time", "-1"], "whole number"),
        (&["events", "job-types", "--choice-id", ""], "--choice-id"),
        (&["events", "job-types", "--name", "null"], "--name"),
        (&["events", "job-types", "--started", "soon"], "ISO-8601"),
        (&["events", "job-types", "--job-type", "1"], "--job-type has no meaning for job-types"),
        (&["events", "errors", "--kind", "job"], "--kind has no meaning for errors"),
        (&["breakdown", "ingests", "--by", "status", "--version", "1"], "--version has no meaning for ingests"),
        (&["breakdown", "ingests", "--by", "status", "--min-run-time", "1"], "transfer_time"),
        (&["breakdown", "job-types"], "--by"),
        (&["breakdown", "job-types", "--by", "hour,status,error"], "one or two"),
        (&["breakdown", "ingests", "--by", "hour", "--measure", "run_time"], "transfer_time"),
    ];
    let all = |source: [&str; 2]| {
        for (arguments, word) in wrong {
            assert_fails(directory.path(), &[arguments, &source].concat(), 2, &[word]);
        }
    };
    all(["--url", server.client.base()]);
    // A page that is not there is no mistake of the command line.
    assert_fails(directory.path(), &["events", "errors", "--page=9", "--url", server.client.base()], 1, &["404"]);
    let url = server.client.base().to_owned();
    server.end("TERM");
    all(["--data", "data"]);
    assert_fails(directory.path(), &["events", "errors", "--page", "9", "--data", "data"], 1, &["Invalid page"]);
    assert_fails(directory.path(), &["events", "errors", "--data", "none"], 2, &["no database"]);
    assert_fails(directory.path(), &["events", "errors", "--data", "data", "--url", &url], 2, &["--url"]);
}

// delete.

#[test]
fn a_directory_without_the_deleted_events_is_as_if_they_had_never_been() {
    let directory = TempDir::new().unwrap();
    let import = |name: &str, events: &[Value]| {
        fs::write(directory.path().join("events.ndjson"), to_ndjson(events)).unwrap();
        printed(directory.path(), &["import", "events.ndjson", "--data", name]);
    };
    let events = some_events();
    let is_deleted = |event: &Value| event["kind"] == "job_execution" || event["kind"] == "ingest" && event["id"] == 2;
    let stays: Vec<_> = events.iter().filter(|event| !is_deleted(event)).cloned().collect();
    import("all", &events);
    import("some", &stays);
    let delete = |arguments: &[&str]| printed(directory.path(), &[&["delete", "--data", "all"], arguments].concat());
    let keys = ["job_execution/1", "ingest/2", "job_execution/1", "job/99"];
    let exported = || printed(directory.path(), &["export", "--data", "all"]);
    let before = exported();
    let dry = delete(&[&keys[..], &["--dry-run"]].concat());
    assert_eq!(
        dry,
        "kind           id  status     ended\n\
         job_execution   1  COMPLETED  2015-01-01T00:00:13Z\n\
         ingest          2  DEFERRED   2015-01-01T06:00:00Z\n\
         job            99  not there\n"
    );
    assert_eq!(before, exported(), "a dry run changes nothing");
    assert_eq!(delete(&keys), "deleted 2 events; 1 not there\n");
    // What `events` lists can be deleted.
    let listed = printed(
        directory.path(),
        &["events", "job-types", "--kind=job_execution", "--status=FAILED,COMPLETED", "--format=json", "--data=all"],
    );
    fs::write(directory.path().join("listed.json"), listed).unwrap();
    assert_eq!(delete(&["--from", "listed.json", "--format", "json"]), "{\"deleted\":2,\"missing\":0}\n");
    assert_eq!(exported(), printed(directory.path(), &["export", "--data", "some"]));
    printed(directory.path(), &["check", "--data", "all"]);
    let values = |name: &str| printed(directory.path(), &["breakdown", "job-types", "--by=choice", "--data", name]);
    assert_eq!(values("all"), values("some"));
}

#[test]
fn an_import_can_be_taken_back_on_a_running_server() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::start_with(|config| config.server.max_body_bytes = 20_000);
    let jobs = (1..=1_000).map(|id| job(id, 1, "COMPLETED", "2015-01-01T00:00:00Z"));
    let events = to_ndjson(&[vec![job_type(1, "a")], jobs.collect()].concat());
    fs::write(directory.path().join("wrong.ndjson"), &events).unwrap();
    printed(directory.path(), &["import", "wrong.ndjson", "--url", server.base()]);
    let mut arguments = vec!["delete", "--url", server.base(), "--format", "csv", "--from", "-"];
    let delete = |arguments: &[&str]| {
        let mut command = program(directory.path(), arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        running.stdin.take().unwrap().write_all(events.as_bytes()).unwrap();
        let output = running.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert!(output.status.success());
        (text(output.stdout), text(output.stderr))
    };
    // A server that takes no body of this size gets it in parts.
    let (result, said) = delete(&arguments);
    assert_eq!((&*result, &*said), ("deleted,missing\n1000,0\n", "note: 1 definition left: only events are deleted\n"));
    assert_eq!(server.values("job-types", "total_count", ""), json!([]));
    assert_eq!(delete(&arguments).0, "deleted,missing\n0,1000\n");
    arguments.push("--dry-run");
    let (result, said) = delete(&arguments);
    assert!(result.starts_with("kind,id,status,ended\njob,1,,\njob,2,,\n"), "{result}");
    assert!(said.ends_with("would delete 0 events; 1000 not there\n"), "{said}");
}

#[test]
fn keys_that_no_event_can_have_are_refused_before_anything_is_deleted() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::start();
    server.accept(&some_events());
    let delete = ["delete", "--url", server.base()];
    for (key, word) in [("job", "KIND/ID"), ("jobs/1", "job_execution"), ("job/0", "integer"), ("job/x", "integer")] {
        assert_fails(directory.path(), &[&delete[..], &["job/1", key]].concat(), 2, &[word]);
    }
    assert_fails(directory.path(), &delete, 2, &["--from"]);
    let files = [
        ("{\"kind\":\"job\",\"id\":1}\n{\"kind\":\"job\",\"id\":\"2\"}", "object 2: the id must be"),
        ("[{\"kind\":\"job\",\"id\":1},{\"kind\":\"jobs\",\"id\":2}]", "object 2"),
        ("{\"kind\":\"job\",\"id\":1} {\"kind\":\"job\"}", "after 1 objects has no kind and id"),
        ("{\"kind\":\"job\",\"id\":1} 3", "after 1 objects"),
        ("kind,id\njob,1\n", "--format json"),
        ("[{\"kind\":\"job\",\"id\":1}", "line 1"),
    ];
    for (text, word) in files {
        fs::write(directory.path().join("keys.json"), text).unwrap();
        assert_fails(directory.path(), &[&delete[..], &["--from", "keys.json"]].concat(), 1, &["keys.json", word]);
    }
    assert_fails(directory.path(), &[&delete[..], &["--from", "none.json"]].concat(), 1, &["none.json"]);
    assert_eq!(server.get("/v6/events/job/1/").status, 200);
}

#[test]
fn deleting_needs_a_token_that_may_write() {
    let directory = TempDir::new().unwrap();
    let token = |name: &str, scope: &str| {
        let said = printed(directory.path(), &["token", name, "--scope", scope]);
        let (secret, line) = said.trim_end().split_once('\n').unwrap();
        (secret.strip_prefix("token: ").unwrap().to_owned(), line.split('"').nth(1).unwrap().to_owned())
    };
    let ((reader, of_reader), (writer, of_writer)) = (token("reader", "read"), token("writer", "write"));
    let both = format!("{of_reader},{of_writer}");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", "data", "--tokens", &both];
    let server = Serving::start(&mut program(directory.path(), &serve));
    let url = ["--url", server.client.base()];
    let posted = ["import", "events.ndjson", "--token", &writer, url[0], url[1]];
    fs::write(directory.path().join("events.ndjson"), to_ndjson(&some_events())).unwrap();
    printed(directory.path(), &posted);
    let delete = ["delete", "job/1", url[0], url[1]];
    let with_token = |token| [&delete[..], &["--token", token]].concat();
    assert_fails(directory.path(), &delete, 1, &["401", "--token"]);
    assert_fails(directory.path(), &with_token(&*reader), 1, &["403", "--scope"]);
    let dry = [with_token(&reader), vec!["--dry-run"]].concat();
    assert!(printed(directory.path(), &dry).contains("COMPLETED"));
    assert_eq!(printed(directory.path(), &with_token(&writer)), "deleted 1 event; 0 not there\n");
}

#[test]
fn an_answer_that_does_not_arrive_is_asked_for_again_and_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let body = r#"{"deleted":0,"missing":1}"#;
        let good = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        for answer in ["", &good] {
            let (mut connection, _) = listener.accept().unwrap();
            read_request(&mut connection, |request| request.ends_with(b"}]"));
            connection.write_all(answer.as_bytes()).unwrap();
        }
    });
    let directory = TempDir::new().unwrap();
    let output = run(directory.path(), &["delete", "job/1", "--url", &url]);
    server.join().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "deleted 0 events; 1 not there\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("may have been deleted"), "{said}");
}

#[test]
fn whatever_an_import_takes_can_be_taken_back() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::start();
    server.accept(&some_events());
    let write = |name: &str, bytes: &[u8]| fs::write(directory.path().join(name), bytes).unwrap();
    write("packed.gz", &gzip(br#"{"kind":"job_execution","id":1.0}"#));
    write("marked", "\u{feff}{\"kind\":\"job\",\"id\":1e0} {\"kind\":\"ingest\",\"id\":20e-1}".as_bytes());
    let delete =
        ["delete", "--from", "packed.gz", "--from", "marked", "job/2", "--format=json", "--url", server.base()];
    let dry = printed(directory.path(), &[&delete[..], &["--dry-run"]].concat());
    let found: Value = serde_json::from_str(&dry).unwrap();
    assert_eq!(json!([found["would_delete"], found["missing"]]), json!([4, 0]));
    assert_eq!(found["events"][0], server.get("/v6/events/job/2/").json());
    // What a dry run finds can be deleted, too.
    write("found", dry.as_bytes());
    let found = ["delete", "--from", "found", "--url", server.base()];
    assert_eq!(printed(directory.path(), &found), "deleted 4 events; 0 not there\n");
    assert_eq!(printed(directory.path(), &delete), "{\"deleted\":0,\"missing\":4}\n");
}

#[test]
fn a_page_that_is_not_all_is_said_to_be_a_part() {
    let directory = TempDir::new().unwrap();
    let server = TestServer::start();
    server.accept(&some_events());
    let said = |arguments: &[&str]| {
        let output = run(directory.path(), &[arguments, &["--url", server.base()]].concat());
        assert!(output.status.success());
        fs::write(directory.path().join("page.json"), output.stdout).unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let list = ["events", "job-types", "--page-size", "3"];
    assert!(said(&[&list[..], &["--format", "csv"]].concat()).contains("--all"));
    assert_eq!(said(&["events", "job-types", "--page-size", "5", "--format", "csv"]), "");
    assert_eq!(said(&["events", "job-types", "--format", "json"]), "");
    assert!(said(&[&list[..], &["--format", "json"]].concat()).contains("3 of 4"));
    assert!(said(&["delete", "--from", "page.json", "--dry-run"]).contains("page.json has 3 of 4 events"));
    // Neither is the last one.
    let second = [&list[..], &["--page", "2"]].concat();
    assert!(said(&[&second[..], &["--format", "json"]].concat()).contains("1 of 4"));
    assert!(said(&[&second[..], &["--format", "csv"]].concat()).contains("--all"));
}

#[test]
fn answers_of_other_programs_are_no_events() {
    // It answers everything with a page.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (html, json, csv) = ("text/html", "application/json", "text/csv");
    let asked: [(&str, &str, &str, &[&str]); 11] = [
        ("200 OK", html, "<html>\n<body>", &["events", "job-types", "--format", "json"]),
        ("200 OK", html, "<html>\n<body>", &["events", "job-types", "--format", "csv", "--all"]),
        ("200 OK", html, "<html>\n<body>", &["export"]),
        ("200 OK", json, r#"{"hello":1}"#, &["events", "job-types"]),
        ("200 OK", json, "[]", &["events", "job-types", "--format", "json", "--all"]),
        ("200 OK", json, r#"{"count":1,"results":[{"a":1}]}"#, &["delete", "job/1", "--dry-run"]),
        ("200 OK", json, "{}", &["delete", "job/1"]),
        ("200 OK", csv, "a,b\n1,2\n", &["breakdown", "errors", "--by=hour", "--format=csv"]),
        ("404 Not Found", html, "<html>\n<body>", &["delete", "job/1", "--dry-run"]),
        ("404 Not Found", html, "<html>\n<body>", &["breakdown", "errors", "--by", "hour"]),
        ("500 Internal Server Error", html, "<html>\n<body>", &["events", "errors"]),
    ];
    let answers = asked.map(|(status, media_type, body, _)| (status, media_type, body));
    let server = thread::spawn(move || {
        for (status, media_type, body) in answers {
            let (mut connection, _) = listener.accept().unwrap();
            // A body ends with a bracket.
            read_request(&mut connection, |request| {
                request.ends_with(if request.starts_with(b"POST") { b"]".as_slice() } else { b"\r\n\r\n" })
            });
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nConnection: close");
            connection.write_all(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        }
    });
    let directory = TempDir::new().unwrap();
    for (status, _, _, command) in asked {
        let said = if status == "200 OK" { "another program" } else { ": <html>" };
        assert_fails(directory.path(), &[command, &["--url", &url]].concat(), 1, &[said]);
    }
    server.join().unwrap();
}

#[test]
fn a_token_that_no_server_is_asked_with_does_not_matter() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("events.ndjson"), to_ndjson(&some_events())).unwrap();
    for arguments in [&["import", "events.ndjson", "--data=data"][..], &["events", "errors", "--data=data"]] {
        let output = program(directory.path(), arguments).env("SCALE_METRICS_TOKEN", "secret").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
