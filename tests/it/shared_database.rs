//! Several servers on one database, and the commands beside them: docs/reference.md, Several servers.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::postgres::Postgres;
use crate::support::process::{FREE_PORT, program, refusal};
use crate::support::relay::{Break, Relay};
use crate::support::{Client, Serving, job, job_type, strike, to_ndjson, wait_until, worked_example};

const DAY: &str = "2015-01-01T05:00:00Z";

/// An empty database, and a directory for who runs on it.
struct Place {
    server: &'static Postgres,
    address: String,
    directory: TempDir,
}

impl Place {
    /// `None` where there is no database server.
    fn new() -> Option<Self> {
        let server = Postgres::shared()?;
        Some(Self { server, address: server.new_database(), directory: TempDir::new().unwrap() })
    }

    fn serve(&self) -> Serving {
        Serving::serve_database(self.directory.path(), &self.address)
    }

    /// Runs a command on the database; its exit status, what it prints and what it complains of.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = program(self.directory.path(), arguments).args(["--database", &self.address]).output().unwrap();
        let [said, complaint] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), said, complaint)
    }

    fn psql(&self, statements: &str) -> String {
        self.server.psql(&self.address, statements)
    }
}

/// All jobs that are counted.
fn jobs(client: &Client) -> u64 {
    let values = client.values("job-types", "total_count", "started=2015-01-01&ended=2015-12-31");
    values.as_array().unwrap().iter().map(|value| value["value"].as_u64().unwrap()).sum()
}

#[track_caller]
fn assert_sound(place: &Place) {
    let (code, said, complaint) = place.run(&["check"]);
    assert_eq!(code, Some(0), "{said}{complaint}");
    assert!(said.contains(" 0 problems"), "{said}");
}

#[test]
fn what_one_acknowledged_shows_at_once_through_all_with_the_same_tag() {
    let Some(place) = Place::new() else { return };
    let servers = [place.serve(), place.serve(), place.serve()];
    servers[0].client.accept(&[job_type(1, "a")]);
    for id in 1..=60 {
        // Definitions show at once, too: an event may name them through any server.
        let through = |place: u64| &servers[usize::try_from((id + place) % 3).unwrap()].client;
        through(0).accept(&[job_type(1, &format!("name-{id}")), job_type(id + 1, "other")]);
        through(1).accept(&[job(id, id + 1, "COMPLETED", DAY)]);
        assert_eq!(jobs(through(2)), id);
        let path = "/v6/metrics/job-types/plot-data/?column=total_count&choice_id=1&choice_id=2&started=2015-01-01";
        let answers = [0, 1, 2].map(|place| through(place).get(path));
        let tags = answers.each_ref().map(|answer| answer.header("etag").unwrap().to_owned());
        assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
        assert!(answers.iter().all(|answer| answer.text() == answers[0].text()));
        let details = through(2).get("/v6/metrics/job-types/?choice_id=1").json();
        assert!(details["choices"].to_string().contains(&format!("name-{id}")), "{details}");
    }
    // The same again through another is unchanged, and what is older is stale.
    let again = servers[1].client.post([job(5, 6, "COMPLETED", DAY)]).json();
    assert_eq!(again["unchanged"], 1);
    assert_sound(&place);
}

#[test]
fn of_several_definitions_and_events_of_one_id_in_a_request_the_last_holds() {
    let Some(place) = Place::new() else { return };
    let server = place.serve();
    server.client.accept(&[
        job_type(1, "a"),
        job_type(1, "b"),
        job(1, 1, "COMPLETED", DAY),
        job_type(1, "c"),
        job(1, 1, "FAILED", DAY),
    ]);
    let details = server.client.get("/v6/metrics/job-types/").json();
    assert_eq!(details["choices"][0]["name"], "c");
    let failed = server.client.values("job-types", "failed_count", "started=2015-01-01&ended=2015-01-02");
    assert_eq!(failed[0]["value"], 1);
    assert_sound(&place);
}

#[test]
fn all_that_post_at_once_are_counted_once() {
    let Some(place) = Place::new() else { return };
    let servers = [place.serve(), place.serve(), place.serve()];
    servers[0].client.accept(&[job_type(1, "a")]);
    thread::scope(|scope| {
        for (number, server) in servers.iter().enumerate() {
            scope.spawn(move || {
                // All post the same corrections of the same jobs, and some of their own.
                for round in 0..25 {
                    let status = ["COMPLETED", "FAILED"][(round + number) % 2];
                    let own = 1_000 * (number as u64 + 1) + round as u64;
                    server.client.accept(&[job(round as u64 % 5 + 1, 1, status, DAY), job(own, 1, "COMPLETED", DAY)]);
                }
            });
        }
    });
    for server in &servers {
        assert_eq!(jobs(&server.client), 5 + 75);
    }
    assert_sound(&place);
}

#[test]
fn a_rebuild_is_right_while_other_servers_write() {
    let Some(place) = Place::new() else { return };
    let servers = [place.serve(), place.serve()];
    servers[0].client.accept(&[job_type(1, "a")]);
    let many: Vec<_> = (1..=3_000).map(|id| job(id, 1, "COMPLETED", DAY)).collect();
    servers[0].client.accept(&many);
    place.psql("UPDATE scale_metrics_totals SET value = (SELECT value FROM scale_metrics_rollups LIMIT 1)");
    let rebuilt = thread::scope(|scope| {
        let writing =
            scope.spawn(|| (0..200).for_each(|id| servers[1].client.accept(&[job(id % 50 + 1, 1, "FAILED", DAY)])));
        let rebuilt = servers[0].client.send(
            "POST",
            "/v6/admin/rebuild/?started=2015-01-01&ended=2015-01-01T23:59:59Z",
            &[],
            b"",
        );
        writing.join().unwrap();
        rebuilt
    });
    assert_eq!(rebuilt.status, 200, "{}", rebuilt.text());
    assert_eq!(rebuilt.json()["events"], 3_000);
    assert_sound(&place);
}

#[test]
fn everything_moves_from_a_file_to_a_database_and_back() {
    let Some(place) = Place::new() else { return };
    fs::write(place.directory.path().join("events.ndjson"), to_ndjson(&worked_example())).unwrap();
    let run = |arguments: &[&str]| {
        let output = program(place.directory.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["import", "--data", "first", "events.ndjson"]);
    run(&["export", "--data", "first", "--output", "file.ndjson"]);
    let (code, _, complaint) = place.run(&["import", "file.ndjson"]);
    assert_eq!(code, Some(0), "{complaint}");
    assert_sound(&place);
    // A server goes on meanwhile.
    let server = place.serve();
    let (code, _, complaint) = place.run(&["export", "--output", "database.ndjson"]);
    assert_eq!(code, Some(0), "{complaint}");
    run(&["import", "--data", "second", "database.ndjson"]);
    run(&["export", "--data", "second", "--output", "back.ndjson"]);
    let read = |name: &str| fs::read_to_string(place.directory.path().join(name)).unwrap();
    assert_eq!(read("database.ndjson"), read("file.ndjson"));
    assert_eq!(read("back.ndjson"), read("file.ndjson"));
    let through_server = server.client.get("/v6/export/");
    assert_eq!(through_server.text(), read("file.ndjson"));
    // The directory of the command line goes over a database in the file.
    fs::write(place.directory.path().join("config.toml"), format!("[storage]\ndatabase = {:?}\n", place.address))
        .unwrap();
    run(&["export", "--data", "first", "--output", "again.ndjson"]);
    server.client.accept(&[strike(99, "late")]);
    run(&["export", "--output", "from-config.ndjson"]);
    assert_eq!(read("again.ndjson"), read("file.ndjson"));
    assert!(read("from-config.ndjson").contains("late"));
    let both = refusal(&mut program(
        place.directory.path(),
        &["serve", "--listen", FREE_PORT, "--data", "first", "--database", &place.address],
    ));
    assert!(both.contains("one of them is enough"), "{both}");
}

#[test]
fn commands_need_a_database_that_is_there() {
    let Some(place) = Place::new() else { return };
    for command in ["check", "export", "expire"] {
        let (code, _, complaint) = place.run(&[command]);
        assert_eq!(code, Some(2), "{command}: {complaint}");
        assert!(complaint.starts_with("error: there is no database in `127.0.0.1:"), "{complaint}");
    }
    assert_eq!(place.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
}

#[test]
fn check_and_repair_work_beside_servers() {
    let Some(place) = Place::new() else { return };
    let server = place.serve();
    server.client.accept(&worked_example());
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            (0..300).for_each(|id| server.client.accept(&[job(10_000 + id, 1, "COMPLETED", "2015-01-01T01:00:00Z")]));
        });
        while !writing.is_finished() {
            assert_sound(&place);
            let (code, said, complaint) = place.run(&["check", "--repair"]);
            assert!(code == Some(0) && said.contains(" 0 problems"), "{said}{complaint}");
        }
    });
    place.psql("DELETE FROM scale_metrics_index; DELETE FROM scale_metrics_rollups");
    let (code, said, _) = place.run(&["check"]);
    assert_eq!(code, Some(1), "{said}");
    let (code, said, complaint) = place.run(&["check", "--repair"]);
    assert_eq!(code, Some(0), "{said}{complaint}");
    assert_sound(&place);
}

#[test]
fn what_only_an_operator_can_mend_is_told_at_the_start() {
    let Some(place) = Place::new() else { return };
    let serve = |address: &str| {
        refusal(&mut program(place.directory.path(), &["serve", "--listen", FREE_PORT, "--database", address]))
    };
    let nowhere = serve(&format!("{}_nowhere", place.address));
    assert!(nowhere.contains("there is no such database"), "{nowhere}");
    let stranger = serve(&place.address.replace("tester@", "stranger@"));
    assert!(stranger.contains("the database refuses the user or the password"), "{stranger}");
    place.psql("CREATE ROLE guest LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let guest = serve(&place.address.replace("tester@", "guest@"));
    assert!(guest.contains("the user of the database lacks a permission"), "{guest}");
    place.serve();
    place.psql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest");
    place.psql("REVOKE UPDATE ON scale_metrics_blocks, scale_metrics_totals FROM guest");
    let guest = serve(&place.address.replace("tester@", "guest@"));
    assert!(guest.contains("lacks a permission on scale_metrics_blocks, scale_metrics_totals"), "{guest}");
    place.psql("UPDATE scale_metrics_numbers SET value = 99 WHERE name = 'format'");
    let newer = serve(&place.address);
    assert!(newer.contains("the database has format 99, this program reads up to format 2"), "{newer}");
    // A server that wants a password, as far as it comes without one.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanting = format!("postgres://tester@{}/x?sslmode=disable", listener.local_addr().unwrap());
    let asks = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.read(&mut [0; 256]).unwrap();
        client.write_all(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0").unwrap();
        let _ = client.read(&mut [0; 256]);
    });
    let missing = serve(&wanting);
    assert!(missing.contains("the database wants a password, and its address has none"), "{missing}");
    asks.join().unwrap();
    for address in ["mysql://a@b/c", "postgres://", "postgres://a:***@localhost/c", "postgres://a@b/c?sslmode=banana"] {
        let wrong = serve(address);
        assert!(wrong.contains("storage.database") && !wrong.contains("banana"), "{wrong}");
    }
}

/// Posts, reads and readiness say that the database is away; `why` is in the reason.
#[track_caller]
fn assert_away(server: &Serving, why: &str) {
    wait_until("the server is not ready", || {
        let ready = server.client.get("/readyz");
        ready.status == 503 && ready.text().contains(why)
    });
    let posted = server.client.post([job(1, 1, "COMPLETED", DAY)]);
    assert_eq!((posted.status, posted.header("retry-after")), (503, Some("1")), "{}", posted.text());
}

#[track_caller]
fn assert_back(server: &Serving) {
    wait_until("the server is ready", || server.client.get("/readyz").status == 200);
    server.client.accept(&[job(1, 1, "COMPLETED", DAY)]);
    assert_eq!(jobs(&server.client), 1);
}

#[test]
fn a_server_waits_for_its_database_and_goes_on_when_it_is_back() {
    let Some(mut database) = Postgres::start() else { return };
    let (address, directory) = (database.new_database(), TempDir::new().unwrap());
    database.crash();
    let server = Serving::serve_database(directory.path(), &address);
    assert_eq!(server.client.get("/healthz").status, 200);
    assert_away(&server, "the database");
    let read = server.client.get("/v6/metrics/job-types/");
    assert_eq!((read.status, read.header("retry-after")), (503, Some("1")), "{}", read.text());
    database.start_again();
    wait_until("the server is ready", || server.client.get("/readyz").status == 200);
    server.client.accept(&[job_type(1, "a")]);
    assert_back(&server);
    let etag = |server: &Serving| {
        let answer = server.client.get("/v6/metrics/job-types/plot-data/");
        answer.header("etag").map(str::to_owned)
    };
    let before = etag(&server);
    database.crash();
    assert_away(&server, "the database");
    let read = server.client.get("/v6/metrics/job-types/plot-data/");
    assert_eq!((read.status, read.header("retry-after")), (503, Some("1")), "{}", read.text());
    database.start_again();
    assert_back(&server);
    assert_eq!(etag(&server), before);
}

#[test]
fn a_database_that_cannot_be_written_is_told_and_read_on() {
    let Some(place) = Place::new() else { return };
    let server = place.serve();
    server.client.accept(&[job_type(1, "a"), job(1, 1, "COMPLETED", DAY)]);
    // As after a failover to a replica that was not promoted.
    let name = place.address.rsplit('/').next().unwrap();
    place.psql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    place.server.end_connections(&place.address);
    assert_away(&server, "the database can only be read");
    assert_eq!(jobs(&server.client), 1);
    place.psql(&format!(
        "SET default_transaction_read_only = off; ALTER DATABASE {name} RESET default_transaction_read_only"
    ));
    place.server.end_connections(&place.address);
    assert_back(&server);
    // A full disk, as the database reports it.
    place.psql(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; \
         CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON scale_metrics_numbers EXECUTE FUNCTION full_disk()",
    );
    let refused = server.client.post([job(2, 1, "COMPLETED", DAY)]);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{}", refused.text());
    assert_away(&server, "the disk of the database is full");
    assert_eq!(jobs(&server.client), 1);
    place.psql("DROP TRIGGER full_disk ON scale_metrics_numbers");
    assert_back(&server);
    // A newer release has changed the format: this one stops writing.
    place.psql("UPDATE scale_metrics_numbers SET value = 99 WHERE name = 'format'");
    assert_away(&server, "the database has format 99");
    place.psql("UPDATE scale_metrics_numbers SET value = 2 WHERE name = 'format'");
    assert_back(&server);
    assert_sound(&place);
}

/// The outcome of a commit is unknown if its connection breaks. The client is told to try again, and nothing counts twice.
#[test]
fn posting_again_settles_a_commit_whose_connection_broke() {
    let Some(place) = Place::new() else { return };
    let relay = Relay::to(&place.address);
    let server = Serving::serve_database(place.directory.path(), &relay.address);
    let other = place.serve();
    server.client.accept(&[job_type(1, "a")]);
    let (mut id, mut stored) = (0, 0);
    for round in 0..6 {
        let at = if round % 2 == 0 { Break::After } else { Break::Before };
        let events = [job(id + 1, 1, "COMPLETED", DAY), job(id + 2, 1, "FAILED", DAY)];
        id += 2;
        relay.break_next(at);
        let posted = server.client.post(events.clone());
        assert_eq!((posted.status, posted.header("retry-after")), (503, Some("1")), "{}", posted.text());
        assert!(relay.has_broken(|| false));
        let is_stored = u64::from(at == Break::After) * 2;
        assert_eq!(jobs(&other.client), stored + is_stored);
        // A read does not wait until the server writes again.
        assert_eq!(jobs(&server.client), stored + is_stored);
        wait_until("the server writes again", || server.client.get("/readyz").status == 200);
        let again = server.client.post(events).json();
        assert_eq!((&again["unchanged"], &again["created"]), (&json!(is_stored), &json!(2 - is_stored)));
        stored += 2;
        assert_eq!([&server, &other].map(|server| jobs(&server.client)), [stored; 2]);
    }
    assert_sound(&place);
}

#[test]
fn a_database_that_does_not_answer_is_away() {
    let Some(place) = Place::new() else { return };
    place.serve();
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let address = format!("postgres://tester@127.0.0.1:{port}/nowhere?connect_timeout=1");
    let server = Serving::serve_database(place.directory.path(), &address);
    assert_away(&server, "the database");
}

#[test]
fn two_servers_may_start_on_an_empty_database_at_once() {
    let Some(place) = Place::new() else { return };
    let servers = thread::scope(|scope| {
        let starting: Vec<_> = (0..3).map(|_| scope.spawn(|| place.serve())).collect();
        starting.into_iter().map(|server| server.join().unwrap()).collect::<Vec<_>>()
    });
    servers[0].client.accept(&[job_type(1, "a")]);
    servers[1].client.accept(&[job(1, 1, "COMPLETED", DAY)]);
    assert_eq!(jobs(&servers[2].client), 1);
}

#[test]
fn the_connection_to_the_database_is_secured_as_its_address_says() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fixtures/tls");
    let Some(database) = Postgres::start_with_tls(fixtures) else { return };
    let (address, directory) = (database.new_database(), TempDir::new().unwrap());
    let at = |parameters: &str| format!("{address}?{parameters}");
    let authority = format!("sslrootcert={fixtures}/authority.pem");
    for good in [
        "",
        "sslmode=prefer",
        "sslmode=require",
        &format!("sslmode=require&{authority}"),
        &format!("sslmode=verify-full&{authority}"),
    ] {
        let server = Serving::serve_database(directory.path(), &at(good));
        server.client.accept(&[job_type(1, "a"), job(1, 1, "COMPLETED", DAY)]);
        assert_eq!(jobs(&server.client), 1, "{good}");
        let used = "SELECT count(*) > 0 AND bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'scale-metrics'";
        assert_eq!(database.psql(&address, used), "t", "{good}");
    }
    let serve = |parameters: &str| {
        refusal(&mut program(directory.path(), &["serve", "--listen", FREE_PORT, "--database", &at(parameters)]))
    };
    let untrusted = serve("sslmode=verify-full");
    assert!(untrusted.contains("does not trust its issuer") && untrusted.contains("sslrootcert=FILE"), "{untrusted}");
    let elsewhere = serve(&format!("sslmode=verify-full&sslrootcert={fixtures}/elsewhere.pem"));
    assert!(elsewhere.contains("does not trust its issuer"), "{elsewhere}");
    let missing = serve("sslmode=verify-full&sslrootcert=/nowhere.pem");
    assert!(missing.contains("cannot read `/nowhere.pem`"), "{missing}");
    let plain = serve("sslmode=disable");
    assert!(plain.contains("the database refuses the user or the password"), "{plain}");
    // A server without TLS is away for one that needs it.
    let Some(place) = Place::new() else { return };
    let server = Serving::serve_database(directory.path(), &format!("{}?sslmode=require", place.address));
    assert_away(&server, "TLS");
}

#[test]
fn a_frozen_server_that_has_the_turn_holds_nobody_up_for_long() {
    let Some(place) = Place::new() else { return };
    let servers = [place.serve(), place.serve()];
    servers[0].client.accept(&[job_type(1, "a")]);
    // It is stopped while it posts, again and again, so sometimes while it has the turn.
    for round in 0..6 {
        let body: Vec<_> = (1..=2_000).map(|id| job(round * 10_000 + id, 1, "COMPLETED", DAY)).collect();
        thread::scope(|scope| {
            let posting = scope.spawn(|| servers[0].client.post(&body));
            thread::sleep(Duration::from_millis(10 + round * 7));
            servers[0].signal("STOP");
            // The other gets the turn without help. What it may be refused for a while is refused with advice to try again.
            wait_until("the other server writes", || {
                servers[1].client.post([job(900_000 + round, 1, "COMPLETED", DAY)]).status == 200
            });
            servers[0].signal("CONT");
            let answer = posting.join().unwrap();
            assert!([200, 503].contains(&answer.status), "{}", answer.text());
            wait_until("the frozen one writes again", || servers[0].client.post(&body).status == 200);
        });
    }
    assert_eq!(jobs(&servers[1].client), 6 * 2_000 + 6);
    assert_sound(&place);
}

/// Packages name the directory in the environment.
#[test]
fn only_a_directory_on_the_command_line_goes_over_a_database() {
    let directory = TempDir::new().unwrap();
    let address = "postgres://user@localhost/metrics";
    fs::write(directory.path().join("config.toml"), format!("[storage]\ndatabase = \"{address}\"\n")).unwrap();
    let used = |arguments: &[&str]| {
        let output = program(directory.path(), arguments).env("SCALE_METRICS_DATA", "elsewhere").output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        shown.lines().find_map(|line| line.strip_prefix("database = ")).unwrap().to_owned()
    };
    assert!(used(&["--print-config"]).starts_with(&format!("\"{address}\"")));
    assert!(used(&["--print-config", "--data", "here"]).starts_with("\"\""));
}

#[test]
fn the_password_of_the_database_is_never_shown() {
    let directory = TempDir::new().unwrap();
    let address = "postgres://user:s3cret@localhost:5433/metrics?password=s3cret";
    let shown = program(directory.path(), &["--print-config"]).env("SCALE_METRICS_DATABASE", address).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(!shown.contains("s3cret"), "{shown}");
    let line = shown.lines().find(|line| line.starts_with("database = ")).unwrap();
    assert!(line.starts_with("database = \"postgres://user:***@localhost:5433/metrics?password=***\""), "{line}");
    let mut command: Command =
        program(directory.path(), &["check", "--database", "postgres://user:s3cret@127.0.0.1:1/metrics"]);
    let output = command.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(!complaint.contains("s3cret"), "{complaint}");
}

#[test]
fn what_is_too_old_is_forgotten_by_whichever_server_and_opened_again_beside_them() {
    let Some(place) = Place::new() else { return };
    let serve = || {
        let arguments = ["serve", "--listen", FREE_PORT, "--retention-events-days", "30", "--database", &place.address];
        Serving::start(&mut program(place.directory.path(), &arguments))
    };
    let plain = place.serve();
    plain.client.accept(&[job_type(1, "a"), job(1, 1, "COMPLETED", DAY), job(2, 1, "COMPLETED", DAY)]);
    drop(plain);
    let (code, said, complaint) = place.run(&["expire", "--dry-run", "--retention-events-days", "30"]);
    assert_eq!(code, Some(0), "{complaint}");
    assert!(said.contains("would go: 2 events of 1 days"), "{said}");
    let today = said.split("before ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let (code, said, complaint) = place.run(&["expire", "--confirm", &today, "--retention-events-days", "30"]);
    assert_eq!(code, Some(0), "{said}{complaint}");
    assert!(said.contains("gone: 2 events"), "{said}");
    let servers = [serve(), serve()];
    for server in &servers {
        let refused: Value = server.client.post([job(3, 1, "COMPLETED", DAY)]).json();
        assert!(refused["errors"][0]["detail"].as_str().unwrap().contains("no longer kept"), "{refused}");
        assert_eq!(jobs(&server.client), 2, "their numbers stay");
    }
    let (code, said, complaint) = place.run(&["expire", "--reopen", "2016-01-01"]);
    assert_eq!(code, Some(0), "{said}{complaint}");
    assert_sound(&place);
    assert_eq!(json!(jobs(&servers[0].client)), 2);
}
