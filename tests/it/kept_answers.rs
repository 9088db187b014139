//! Answers are kept for the next who asks, and never hide an event that was acknowledged: docs/reference.md, Counting, "shows
//! in the read endpoints at once".

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use scale_metrics::catalog::Percentiles;
use serde_json::{Value, json};

use crate::support::{
    Client, TestServer, builtin_error, error, execution, failed_execution, gunzip, job, job_type, to_ndjson,
    wait_until, with,
};

const PLOT: &str = "/v6/metrics/job-types/plot-data/?started=2015-01-01&ended=2015-01-01T23:00:00Z";
const DAY: &str = "2015-01-01T12:00:00Z";

/// Asks twice, so that the second answer may be a kept one, and shows that they are the same.
#[track_caller]
fn ask_twice(server: &TestServer, path: &str) -> Value {
    let [first, second] = [server.get(path), server.get(path)];
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!((first.header("etag"), first.text()), (second.header("etag"), second.text()));
    first.json()["results"].take()
}

#[test]
fn every_kind_of_write_shows_in_a_query_that_was_asked_before() {
    let server = TestServer::start();
    server.accept(&[
        job_type(1, "one"),
        job_type(2, "two"),
        error(1, "oops", "DATA"),
        builtin_error(2, "lost", "SYSTEM"),
    ]);
    let path =
        format!("{PLOT}&name=one&column=total_count&column=error_data_count&column=queue_time_max&resolution=hour");
    let errors = "/v6/metrics/errors/plot-data/?started=2015-01-01";
    let late = "2015-01-01T23:00:00Z";
    let failed = |id, error: u64| with(job(id, 1, "FAILED", DAY), json!({"error": error}));
    let writes = [
        ("an event", vec![failed(1, 1)]),
        ("another event of the same hour", vec![failed(2, 1)]),
        ("an event of another hour", vec![job(3, 1, "COMPLETED", late)]),
        ("an observation", vec![execution(1, 1, "2015-01-01T00:00:00Z", "2015-01-01T01:00:00Z", DAY)]),
        ("a replaced observation", vec![execution(1, 1, "2015-01-01T00:00:00Z", "2015-01-01T00:30:00Z", DAY)]),
        ("an event that moves to another hour", vec![failed(1, 1), with(failed(2, 1), json!({"ended": late}))]),
        ("an event that counts no more", vec![json!({"kind": "job", "id": 3, "job_type": 1, "status": "RUNNING"})]),
        ("an error of another category", vec![error(1, "oops", "SYSTEM")]),
        ("an error of that category again", vec![error(1, "oops", "DATA")]),
        ("another choice of the name", vec![job_type(2, "one"), job(4, 2, "COMPLETED", DAY)]),
        ("a choice that is renamed", vec![job_type(1, "other")]),
        ("an event that goes to another choice", vec![with(failed(1, 1), json!({"job_type": 2}))]),
        ("a built-in error", vec![failed_execution(2, 1, 2, DAY)]),
        ("an error that is built in no more", vec![error(2, "lost", "SYSTEM")]),
    ];
    let ask = || (ask_twice(&server, &path), ask_twice(&server, errors));
    let mut before = ask();
    for (what, events) in writes {
        server.accept(&events);
        let after = ask();
        assert_ne!(before, after, "{what} does not show");
        before = after;
    }
    // Nothing is left of errors; of job types, jobs 1 and 4 of choice 2.
    assert_eq!(before.1[0]["values"], json!([]));
    assert_eq!(before.0[0]["values"], json!([{"datetime": "2015-01-01T12:00:00", "value": 2}]));
}

#[test]
fn a_write_that_changes_nothing_keeps_the_etag() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "one"), job(1, 1, "COMPLETED", DAY)]);
    let tag = server.get(PLOT).header("etag").map(str::to_owned);
    server.accept(&[job_type(1, "one"), job(1, 1, "COMPLETED", DAY)]);
    server.accept(&[job(2, 1, "COMPLETED", "2015-01-03T00:00:00Z")]);
    assert_eq!(server.get(PLOT).header("etag").map(str::to_owned), tag);
}

#[test]
fn a_range_that_ends_now_goes_on_with_the_clock() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "one"), job(1, 1, "COMPLETED", "2015-02-01T05:00:00Z")]);
    let path = "/v6/metrics/job-types/plot-data/?started=P1D&column=total_count&resolution=hour";
    assert_eq!(ask_twice(&server, path)[0]["values"], json!([]));
    server.set_now("2015-02-01T04:59:59Z");
    assert_eq!(ask_twice(&server, path)[0]["values"], json!([]));
    server.set_now("2015-02-01T05:00:00Z");
    assert_eq!(ask_twice(&server, path)[0]["values"], json!([{"datetime": "2015-02-01T05:00:00", "value": 1}]));
    server.set_now("2015-02-02T06:00:00Z");
    assert_eq!(ask_twice(&server, path)[0]["values"], json!([]));
}

#[test]
fn links_are_those_of_the_one_who_asks() {
    let server = TestServer::start();
    for host in ["one.example", "other.example"] {
        for query in ["page_size=1", "page_size=1&unknown=5"] {
            let path = format!("/v6/metrics/job-types/plot-data/?{query}");
            let next = server.send("GET", &path, &[("Host", host)], b"").json()["next"].take();
            assert_eq!(next, format!("http://{host}{path}&page=2"));
        }
    }
}

/// The job types of the concurrent tests.
const TYPES: usize = 3;
/// How many jobs each of them gets.
const JOBS: u64 = 80;

/// How many jobs of each type were sent, were acknowledged, and have been seen by anybody.
#[derive(Default)]
struct Counts([AtomicU64; TYPES]);

impl Counts {
    fn get(&self) -> [u64; TYPES] {
        self.0.each_ref().map(|count| count.load(Ordering::SeqCst))
    }

    fn raise(&self, counts: [u64; TYPES]) {
        for (count, seen) in self.0.iter().zip(counts) {
            count.fetch_max(seen, Ordering::SeqCst);
        }
    }
}

/// One of the ways to ask for the same numbers. What was answered before is remembered for conditional requests.
struct Reader<'a> {
    client: &'a Client,
    known: BTreeMap<String, (String, [u64; TYPES])>,
}

impl Reader<'_> {
    const WAYS: usize = 6;

    /// How many jobs of each type there are.
    fn counts(&mut self, way: usize) -> [u64; TYPES] {
        let ids = "&choice_id=1&choice_id=2&choice_id=3&column=total_count";
        match way % Self::WAYS {
            0 => of_json(&self.client.get(&format!("{PLOT}{ids}")).json()),
            1 => of_json(&self.client.get(&format!("{PLOT}{ids}&resolution=hour")).json()),
            2 => of_json(&self.client.get(&format!("{PLOT}&group=overview&name=same&page=2&page_size=3")).json()),
            3 => of_csv(&self.client.get(&format!("{PLOT}{ids}&format=csv")).text()),
            4 => {
                let headers = [("Accept-Encoding", "gzip")];
                let packed = self.client.send("GET", &format!("{PLOT}{ids}"), &headers, b"");
                of_json(&serde_json::from_slice(&gunzip(&packed.body)).unwrap())
            }
            _ => self.unless_known(format!("{PLOT}&choice_id=3&choice_id=1&choice_id=2&column=total_count")),
        }
    }

    fn unless_known(&mut self, path: String) -> [u64; TYPES] {
        let tag = self.known.get(&path).map(|(tag, _)| tag.clone()).unwrap_or_default();
        let answer = self.client.send("GET", &path, &[("If-None-Match", &tag)], b"");
        if answer.status == 304 {
            return self.known[&path].1;
        }
        let counts = of_json(&answer.json());
        self.known.insert(path, (answer.header("etag").unwrap().to_owned(), counts));
        counts
    }
}

fn of_json(answer: &Value) -> [u64; TYPES] {
    let mut counts = [0; TYPES];
    for value in answer["results"][0]["values"].as_array().unwrap() {
        let id = usize::try_from(value["id"].as_u64().unwrap()).unwrap();
        counts[id - 1] += value["value"].as_u64().unwrap();
    }
    counts
}

fn of_csv(text: &str) -> [u64; TYPES] {
    let mut counts = [0; TYPES];
    for line in text.lines().skip(1) {
        let fields: Vec<_> = line.split(',').collect();
        counts[fields[1].parse::<usize>().unwrap() - 1] += fields[3].parse::<u64>().unwrap();
    }
    counts
}

#[test]
fn no_answer_hides_an_acknowledged_event_under_concurrent_load() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "same"), job_type(2, "same"), job_type(3, "same")]);
    let client: &Client = &server;
    let (sent, acknowledged, seen) = (Counts::default(), Counts::default(), Counts::default());
    let done = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        let writers: Vec<_> = (0..TYPES)
            .map(|place| {
                let (sent, acknowledged) = (&sent, &acknowledged);
                scope.spawn(move || {
                    for number in 0..JOBS {
                        let id = number * TYPES as u64 + place as u64 + 1;
                        sent.0[place].fetch_add(1, Ordering::SeqCst);
                        client.accept(&[job(id, place as u64 + 1, "COMPLETED", DAY)]);
                        acknowledged.0[place].fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..4)
            .map(|reader| {
                let (sent, acknowledged, seen, done) = (&sent, &acknowledged, &seen, &done);
                scope.spawn(move || {
                    let mut ask = Reader { client, known: BTreeMap::new() };
                    let mut answers = 0;
                    while !done.load(Ordering::SeqCst) || answers < Reader::WAYS {
                        // Whatever anybody knew before asking, the answer knows too.
                        let least = [acknowledged.get(), seen.get()];
                        let way = reader + answers;
                        let counts = ask.counts(way);
                        seen.raise(counts);
                        let most = sent.get();
                        for place in 0..TYPES {
                            let least = least[0][place].max(least[1][place]);
                            let count = counts[place];
                            assert!((least..=most[place]).contains(&count), "way {way}: {count}, at least {least}");
                        }
                        answers += 1;
                    }
                    answers
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<usize>()
    });
    assert!(answers >= 4 * Reader::WAYS);
    assert_eq!(Reader { client, known: BTreeMap::new() }.counts(0), [JOBS; TYPES]);
}

#[test]
fn every_answer_shows_one_state_under_concurrent_load() {
    const FLIPPING: u64 = 30;
    let server = TestServer::start();
    let jobs =
        |status: &str| -> Vec<_> { (1..=FLIPPING).map(|id| job(id, id % TYPES as u64 + 1, status, DAY)).collect() };
    server.accept(&[job_type(1, "one"), job_type(2, "two"), job_type(3, "three")]);
    server.accept(&jobs("FAILED"));
    let (client, done): (&Client, _) = (&server, AtomicBool::new(false));
    thread::scope(|scope| {
        let readers: Vec<_> = ["", "&resolution=hour", "&choice_id=1&choice_id=2&choice_id=3"]
            .map(|query| {
                let done = &done;
                scope.spawn(move || {
                    let path = format!("{PLOT}{query}&column=completed_count&column=failed_count&column=total_count");
                    let mut states = BTreeMap::new();
                    while !done.load(Ordering::SeqCst) || states.is_empty() {
                        let results = client.get(&path).json()["results"].take();
                        let values = results.as_array().unwrap().iter().map(|result| {
                            let values = result["values"].as_array().unwrap().iter();
                            values.map(|value| value["value"].as_u64().unwrap()).sum::<u64>()
                        });
                        *states.entry(values.collect::<Vec<_>>()).or_insert(0) += 1;
                    }
                    states
                })
            })
            .into();
        for round in 0..40 {
            client.accept(&jobs(if round % 2 == 0 { "COMPLETED" } else { "FAILED" }));
        }
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            for (state, _) in reader.join().unwrap() {
                // A request is atomic: all of its jobs have the new status, or none.
                assert!(state == [0, FLIPPING, FLIPPING] || state == [FLIPPING, 0, FLIPPING], "{state:?}");
            }
        }
    });
}

/// A server with a job in each of so many hours, with an answer of some megabytes.
fn server_with_hours(hours: u64, change: impl FnOnce(&mut scale_metrics::config::Config)) -> TestServer {
    let server = TestServer::start_with(change);
    server.accept(&[job_type(1, "one")]);
    let at = |hour: u64| format!("2014-{:02}-{:02}T{:02}:00:00Z", hour / 672 + 1, hour / 24 % 28 + 1, hour % 24);
    let executions: Vec<_> = (0..hours).map(|hour| execution(hour + 1, 1, &at(0), &at(hour), &at(hour))).collect();
    let answer = server.ndjson(&to_ndjson(&executions));
    assert_eq!(answer.status, 200, "{}", answer.text());
    server
}

const BY_HOUR: &str = "/v6/metrics/job-types/plot-data/?resolution=hour";

#[test]
fn an_answer_that_would_take_too_much_memory_is_refused_and_parts_of_it_are_not() {
    let server = server_with_hours(1_000, |config| config.api.answer_bytes = 1_000_000);
    server.get(BY_HOUR).assert_refused(400, &["500000 bytes", "page_size", "shorter time"]);
    let csv = format!("{BY_HOUR}&format=csv");
    server.get(&csv).assert_refused(400, &["500000 bytes"]);
    let part = server.get(&format!("{BY_HOUR}&page_size=2")).json();
    assert_eq!(part["results"][0]["values"].as_array().unwrap().len(), 1_000);
    assert_eq!(server.values("job-types", "run_time_max", "").as_array().unwrap().len(), 42);
}

#[test]
fn clients_that_do_not_read_their_answers_take_room_from_others_only_while_they_stay() {
    let server = server_with_hours(7_000, |config| {
        config.api.answer_bytes = 32_000_000;
        config.api.answer_cache_bytes = 0;
        config.metrics.percentiles = Some(Percentiles::default());
    });
    let whole = server.get(BY_HOUR);
    // More than the system takes off the server's hands, and so little that four fit into the memory, but not five.
    assert!((6_000_000..6_500_000).contains(&whole.body.len()), "{}", whole.body.len());
    let stalled: Vec<_> = (0..4)
        .map(|_| {
            let mut connection = server.connect();
            write!(connection, "GET {BY_HOUR} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            // Its answer has begun, so it is computed.
            let mut first = [0; 1];
            std::io::Read::read_exact(&mut connection, &mut first).unwrap();
            connection
        })
        .collect();
    let refused = server.get(BY_HOUR);
    refused.assert_refused(503, &["memory"]);
    assert_eq!(refused.header("retry-after"), Some("1"));
    // What takes little room still finds it.
    assert_eq!(server.plot("job-types", "column=total_count").len(), 1);
    drop(stalled);
    let mut again = None;
    wait_until("there is room again", || {
        again = Some(server.get(BY_HOUR)).filter(|answer| answer.status == 200);
        again.is_some()
    });
    assert_eq!(again.map(|answer| answer.body.len()), Some(whole.body.len()));
}

#[test]
fn a_client_that_goes_away_does_not_keep_others_from_the_answer() {
    let server = server_with_hours(2_000, |_| ());
    for round in 0..20 {
        server.accept(&[job(1, 1, if round % 2 == 0 { "COMPLETED" } else { "FAILED" }, "2014-01-01T00:00:00Z")]);
        for _ in 0..3 {
            let mut connection = server.connect();
            write!(connection, "GET {BY_HOUR} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        }
        let answer = server.get(BY_HOUR).json();
        let value = &answer["results"][round % 2]["values"][0]["value"];
        assert_eq!(*value, 1, "{}", answer["results"][round % 2]["column"]["name"]);
    }
}

#[test]
fn few_choices_of_many_have_the_values_that_they_have_among_all() {
    let server = TestServer::start();
    let mut events: Vec<_> = (1..=40).map(|id| job_type(id, "one")).collect();
    let jobs =
        (1..=400_u64).map(|id| job(id, id * id % 40 + 1, "COMPLETED", &format!("2015-01-{:02}T00:00:00Z", id % 9 + 1)));
    events.extend(jobs);
    server.accept(&events);
    let ids = |ids: &[u64]| ids.iter().map(|id| format!("choice_id={id}&")).collect::<Vec<_>>().concat();
    let all: Vec<u64> = (1..=40).collect();
    for resolution in ["day", "hour"] {
        let query = |ids: String| format!("{ids}resolution={resolution}");
        let of_all = server.values("job-types", "total_count", &query(ids(&all)));
        for few in [vec![2, 17], vec![1, 5, 10, 26, 40], (1..=20).collect(), (5..=40).step_by(2).collect()] {
            let values = server.values("job-types", "total_count", &query(ids(&few)));
            let expected =
                of_all.as_array().unwrap().iter().filter(|value| few.contains(&value["id"].as_u64().unwrap()));
            assert!(!values.as_array().unwrap().is_empty());
            assert_eq!(values, expected.cloned().collect::<Value>(), "{few:?}");
        }
    }
}
