//! Values at the limits of what can be said: numbers, texts, nesting, and the clock.
//!
//! Not here: which values a field takes at all (`events_in::fields`), greedy and broken clients (`hostile`).

use std::collections::BTreeSet;

use roxmltree::Document;
use serde_json::{Value, json};

use crate::support::{Answer, TestServer, execution, ingest, job, job_type, strike, with};

const END: &str = "2015-01-01T12:00:00Z";

fn server() -> TestServer {
    let server = TestServer::start();
    server.accept(&[job_type(1, "one"), strike(1, "one")]);
    server
}

fn post(server: &TestServer, body: impl AsRef<[u8]>) -> Answer {
    server.send("POST", "/v6/events/", &[("Content-Type", "application/json")], body.as_ref())
}

/// The fields that the only object of a refused body is refused for.
#[track_caller]
fn fields(answer: &Answer) -> BTreeSet<String> {
    assert_eq!(answer.status, 400, "{}", answer.text());
    let body = answer.json();
    let errors = body["errors"].as_array().unwrap_or_else(|| panic!("{body}"));
    errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

/// The start and the value of each bucket of `total_count`.
#[track_caller]
fn totals(server: &TestServer, query: &str) -> Vec<(String, u64)> {
    let values = server.values("job-types", "total_count", query);
    let value = |value: &Value| (value["datetime"].as_str().unwrap().to_owned(), value["value"].as_u64().unwrap());
    values.as_array().unwrap().iter().map(value).collect()
}

fn expected(buckets: &[(&str, u64)]) -> Vec<(String, u64)> {
    buckets.iter().map(|&(start, value)| (start.to_owned(), value)).collect()
}

// Numbers.

#[test]
fn a_number_that_is_no_integer_of_64_bits_is_no_id_and_no_size_however_it_is_written() {
    let server = server();
    let ingest = with(ingest(7, 1, "INGESTED", END), json!({ "file_size": 7 })).to_string();
    let wrong = [
        "7.5",
        "75e-1",
        "-7.0",
        "18446744073709551616",
        "18446744073709551616.0",
        "1e20",
        "1e308",
        "1e400",
        "-1e400",
        "1e-400",
    ];
    for wrong in wrong {
        for field in ["id", "file_size"] {
            let body = ingest.replace(&format!("\"{field}\":7"), &format!("\"{field}\":{wrong}"));
            assert_eq!(fields(&post(&server, &body)), [field.to_owned()].into(), "{body}");
        }
    }
    for wrong in ["+7", "07", "0x7", "7_000", ".7", "7.", "Infinity"] {
        let body = ingest.replace("\"file_size\":7", &format!("\"file_size\":{wrong}"));
        post(&server, &body).assert_refused(400, &["the body is not JSON", "column"]);
    }
    assert_eq!(server.values("ingests", "total_count", ""), json!([]));
}

#[test]
fn a_thousand_files_of_the_largest_size_add_up() {
    let server = server();
    server.accept(&[strike(2, "two")]);
    let files = (0..1000_u64).map(|file| {
        let ended = format!("2015-01-{:02}T{:02}:00:00Z", file % 20 + 1, file % 24);
        with(ingest(file + 1, file % 2 + 1, "INGESTED", &ended), json!({ "file_size": u64::MAX }))
    });
    server.accept(&files.collect::<Vec<_>>());
    let columns = "column=file_size_sum&column=file_size_avg&column=file_size_max";
    // As text: few JSON readers have such numbers. 1000, 500 and 50 times 2^64 - 1.
    let all = server.get(&format!("/v6/metrics/ingests/totals/?{columns}")).text();
    let values = |sum: &str| {
        format!(
            r#"{{"file_size_sum":{sum},"file_size_avg":18446744073709551615,"file_size_max":18446744073709551615}}"#
        )
    };
    assert!(all.contains(&format!(r#""all":{{"values":{}"#, values("18446744073709551615000"))), "{all}");
    assert_eq!(all.matches(&values("9223372036854775807500")).count(), 2, "{all}");
    let days = server.get(&format!("/v6/metrics/ingests/plot-data/?{columns}")).text();
    assert_eq!(days.matches(r#""value":922337203685477580750}"#).count(), 20, "{days}");
    let picture = server.get("/v6/metrics/ingests/plot.svg?column=file_size_sum");
    assert_eq!(picture.status, 200);
    Document::parse(&picture.text()).unwrap();

    // Without the last one, exactly 2^64 - 1 less.
    server.accept(&[with(ingest(1000, 2, "INGESTED", "2015-01-20T15:00:00Z"), json!({ "file_size": 0 }))]);
    let all = server.get(&format!("/v6/metrics/ingests/totals/?{columns}")).text();
    assert!(all.contains(r#""file_size_sum":18428297329635842063385"#), "{all}");
}

#[test]
fn parameters_beyond_every_number_are_refused_or_nothing_is_there() {
    let server = server();
    let plot = |query: &str| server.get(&format!("/v6/metrics/job-types/plot-data/?{query}"));
    for page in ["18446744073709551615", "18446744073709551616", "99999999999999999999999999"] {
        plot(&format!("page={page}")).assert_refused(404, &["Invalid page."]);
        plot(&format!("page={page}&page_size={page}")).assert_refused(404, &["Invalid page."]);
        assert_eq!(plot(&format!("page_size={page}")).status, 200);
    }
    for id in ["9007199254740991", "9007199254740992", "18446744073709551616", "-9223372036854775808"] {
        plot(&format!("choice_id={id}")).assert_refused(400, &["choice_id", id]);
    }
    for size in ["0", "-1", "1e3", "1.0", "%2B5"] {
        plot(&format!("page_size={size}")).assert_refused(400, &["page_size", "1000"]);
    }
}

// Texts.

#[test]
fn deep_values_that_nobody_asked_for_are_refused_with_the_object() {
    let server = server();
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let body = with(job(1, 1, "FAILED", END), json!({ "x": 0 })).to_string();
    let body = body.replace("\"x\":0", &format!("\"x\":{open}{close}"));
    assert_eq!(fields(&post(&server, &body)), ["x".to_owned()].into());
    assert_eq!(fields(&server.ndjson(&body)), ["x".to_owned()].into());
    let answer = post(&server, open + &close);
    let error = json!({ "index": 0, "field": null, "detail": "must be an object, not an array" });
    assert_eq!((answer.status, &answer.json()["errors"]), (400, &json!([error])));
    server.accept(&[job(1, 1, "FAILED", END)]);
}

#[test]
fn surrogates_mean_a_letter_in_pairs_only() {
    let server = server();
    let named = |name: &str| format!(r#"{{"kind": "strike", "id": 2, "name": "{name}"}}"#);
    for name in ["\\ud800", "\\udc00", "\\ud800\\ud800", "\\udc00\\ud800", "\\ud800x", "\\ud83d\\n"] {
        for answer in [post(&server, named(name)), server.ndjson(&named(name))] {
            assert_eq!(fields(&answer), ["name".to_owned()].into(), "{}", answer.text());
        }
    }
    post(&server, named("\\uD8")).assert_refused(400, &["the body is not JSON", "column"]);
    server.ndjson(&named("\\uD8")).assert_refused(400, &["line 1 is not JSON"]);
    assert_eq!(post(&server, named("\\ud83d\\ude00\\uDBFF\\uDFFF")).status, 200);
    let name = server.get("/v6/metrics/ingests/").json()["choices"][1]["name"].clone();
    assert_eq!(name, "\u{1f600}\u{10ffff}");
}

#[test]
fn a_byte_order_mark_is_skipped_in_front_and_a_letter_within() {
    let server = server();
    let body = strike(2, "\u{feff}").to_string();
    post(&server, format!("\u{feff}\u{feff}{body}")).assert_refused(400, &["line 1 column 1"]);
    server.ndjson(&format!("{body}\n\u{feff}{body}")).assert_refused(400, &["line 2"]);
    assert_eq!(post(&server, format!("\u{feff}{body}")).status, 200);
    assert_eq!(server.get("/v6/metrics/ingests/").json()["choices"][1]["name"], "\u{feff}");
}

#[test]
fn names_may_be_of_anything_and_as_long_as_a_body() {
    let mut server = server();
    let long = "\u{1f600}".repeat(1 << 18);
    let names = ["\0", "a\0b", "", "\u{7f}\u{85}\u{2028}", "\",\"id\":9,\"", "null", &long];
    for (name, id) in names.iter().zip(2..) {
        server.accept(&[job_type(id, name), job(id, id, "COMPLETED", END)]);
    }
    for _ in 0..2 {
        let choices = server.get("/v6/metrics/job-types/").json()["choices"].clone();
        for (name, place) in names.iter().zip(1..) {
            assert_eq!(choices[place]["name"], *name);
        }
        // Filters find them as they are, but for what counts as not given.
        for (name, found) in
            [("%00", 1), ("a%00b", 1), ("%7F%C2%85%E2%80%A8", 1), ("%22,%22id%22:9,%22", 1), ("null", 7)]
        {
            let total: u64 = totals(&server, &format!("name={name}")).iter().map(|(_, value)| value).sum();
            assert_eq!(total, found, "{name}");
        }
        let picture =
            server.get("/v6/metrics/job-types/plot.svg?column=total_count&choice_id=2&choice_id=5&choice_id=8");
        Document::parse(&picture.text()).unwrap();
        assert!(picture.body.len() < 20_000, "a name of a mebibyte is cut: {} bytes", picture.body.len());
        server.restart();
    }
}

// The clock.

/// Jobs that end at these times, one each.
fn accept_jobs(server: &TestServer, times: &[&str]) {
    let jobs: Vec<_> = times.iter().zip(1..).map(|(ended, id)| job(id, 1, "COMPLETED", ended)).collect();
    server.accept(&jobs);
}

#[test]
fn edges_of_days_hours_and_years_are_sharp_to_the_microsecond() {
    let server = server();
    server.set_now("2017-01-02T00:00:00Z");
    accept_jobs(
        &server,
        &[
            "2014-12-31T22:59:59.999999Z",
            "2014-12-31T23:00:00Z",
            "2014-12-31T23:59:59.999999Z",
            "2015-01-01T00:00:00Z",
            "2016-02-28T23:59:59.999999Z",
            "2016-02-29T00:00:00.000000Z",
            "2016-02-29T23:59:59.999999Z",
            "2016-03-01T00:00:00Z",
            "2016-12-31T23:59:59.999999Z",
            "2016-12-31T23:59:60Z",
            "2017-01-01T00:00:00Z",
        ],
    );
    let days = [
        ("2014-12-31T00:00:00", 3),
        ("2015-01-01T00:00:00", 1),
        ("2016-02-28T00:00:00", 1),
        ("2016-02-29T00:00:00", 2),
        ("2016-03-01T00:00:00", 1),
        ("2016-12-31T00:00:00", 2),
        ("2017-01-01T00:00:00", 1),
    ];
    assert_eq!(totals(&server, ""), expected(&days));
    let hours = [
        ("2014-12-31T22:00:00", 1),
        ("2014-12-31T23:00:00", 2),
        ("2015-01-01T00:00:00", 1),
        ("2016-02-28T23:00:00", 1),
        ("2016-02-29T00:00:00", 1),
        ("2016-02-29T23:00:00", 1),
        ("2016-03-01T00:00:00", 1),
        ("2016-12-31T23:00:00", 2),
        ("2017-01-01T00:00:00", 1),
    ];
    assert_eq!(totals(&server, "resolution=hour"), expected(&hours));
    // From one edge to just before the next one, by plot data and by totals.
    for (started, ended, jobs) in [
        ("2014-12-31T23:00:00Z", "2014-12-31T23:59:59.999999Z", 2),
        ("2014-12-31T23:59:59.999999Z", "2015-01-01T00:00:00Z", 3),
        ("2016-02-29", "2016-02-29T23:59:59.999999Z", 2),
        ("2016-12-31T23:59:60Z", "2017-01-01", 3),
        ("2015-01-01T01:00:00Z", "2016-02-28T22:59:59.999999Z", 0),
    ] {
        let query = format!("started={started}&ended={ended}");
        let found: u64 = totals(&server, &format!("resolution=hour&{query}")).iter().map(|(_, value)| value).sum();
        assert_eq!(found, jobs, "{query}");
        let answer = server.get(&format!("/v6/metrics/job-types/totals/?column=total_count&{query}")).json();
        assert_eq!(answer["all"]["values"]["total_count"].as_u64().unwrap_or(0), jobs, "{query}");
    }
}

#[test]
fn offsets_cross_hours_days_and_years() {
    let server = server();
    server.set_now("2016-12-31T00:00:00Z");
    accept_jobs(
        &server,
        &[
            "2015-01-01T00:59:59.999999+01:00",
            "2015-01-01T23:59:59-23:59",
            "2016-02-29T23:30:00-00:30",
            "2016-03-01T00:30:00+00:31",
            "2016-03-01T05:44:60+05:45",
            "1970-01-01T23:59:00+23:59",
        ],
    );
    let hours = [
        ("1970-01-01T00:00:00", 1),
        ("2014-12-31T23:00:00", 1),
        ("2015-01-02T23:00:00", 1),
        ("2016-02-29T23:00:00", 2),
        ("2016-03-01T00:00:00", 1),
    ];
    assert_eq!(totals(&server, "resolution=hour"), expected(&hours));
    // The same edges as parameters: the first hour of a day there is the last one of the day before here.
    let range = "started=2016-03-01T00:30:00%2B01:30&ended=2016-03-01T01:29:59.999999%2B01:30";
    assert_eq!(totals(&server, &format!("resolution=hour&{range}")), expected(&[("2016-02-29T23:00:00", 2)]));
    for beyond in ["1970-01-01T23:58:59+23:59", "9999-12-31T00:01:00-23:59"] {
        assert_eq!(fields(&server.post(job(9, 1, "COMPLETED", beyond))), ["ended".to_owned()].into(), "{beyond}");
    }
}

#[test]
fn months_and_years_back_from_their_ends_reach_the_last_day_that_there_is() {
    let server = server();
    let days = ["2011-02-28", "2012-02-29", "2015-02-28", "2015-03-01", "2016-01-31", "2016-02-28", "2016-02-29"];
    let times = days.map(|day| format!("{day}T12:00:00Z"));
    accept_jobs(&server, &times.each_ref().map(String::as_str));
    // What began `duration` before `now`, and how many jobs ended since.
    for (now, duration, jobs) in [
        ("2016-02-29T12:00:00Z", "P1Y", 5),
        ("2016-02-29T12:00:00Z", "P4Y", 6),
        ("2016-02-29T12:00:00Z", "P5Y", 7),
        ("2016-02-29T12:00:00Z", "P48M", 6),
        ("2016-02-29T12:00:00Z", "P1M", 3),
        ("2016-03-31T12:00:00Z", "P1M", 1),
        ("2016-03-30T12:00:00Z", "P1M1D", 2),
        ("2016-03-01T00:00:00Z", "P1D", 1),
        ("2016-03-01T00:00:00Z", "PT24H0.000001S", 2),
        ("2016-02-29T23:59:59.999999Z", "PT0.000001S", 1),
        ("2016-02-29T23:59:59.999999Z", "P9999Y", 7),
    ] {
        server.set_now(now);
        let found: u64 = totals(&server, &format!("started={duration}")).iter().map(|(_, value)| value).sum();
        assert_eq!(found, jobs, "{duration} before {now}");
    }
}

#[test]
fn the_first_moments_of_time_are_like_any_others() {
    let server = server();
    server.set_now("1970-01-01T00:00:00.000001Z");
    accept_jobs(&server, &["1970-01-01T00:00:00Z", "1970-01-01T00:59:59.999999Z", "1970-01-01T01:00:00Z"]);
    for query in ["", "started=PT1H", "started=P9999Y", "started=1970-01-01", "started=1970-01-01T00:00:00%2B00:00"] {
        assert_eq!(totals(&server, query), expected(&[("1970-01-01T00:00:00", 3)]), "{query}");
        let hours = totals(&server, &format!("resolution=hour&{query}"));
        assert_eq!(hours, expected(&[("1970-01-01T00:00:00", 2)]), "{query}");
        let answer = server.get(&format!("/v6/metrics/job-types/totals/?column=total_count&{query}")).json();
        let period = (&answer["started"], &answer["ended"], &answer["all"]["values"]["total_count"]);
        assert_eq!(period, (&json!("1970-01-01T00:00:00Z"), &json!("1970-01-01T01:00:00Z"), &json!(2)), "{query}");
        assert_eq!(answer["before"], Value::Null);
    }
    // The beginning of all time is its first bucket, also for a server whose clock was never set.
    server.set_now("1970-01-01T00:00:00Z");
    assert_eq!(totals(&server, ""), expected(&[("1970-01-01T00:00:00", 3)]));
    let first_day = "ended=1970-01-01T00:00:00.000001Z";
    assert_eq!(totals(&server, first_day), expected(&[("1970-01-01T00:00:00", 3)]));
    server.accept(&[job(9, 1, "COMPLETED", "9999-12-31T23:59:59.999999Z")]);
    assert_eq!(totals(&server, first_day), expected(&[("1970-01-01T00:00:00", 3)]));
}

#[test]
fn the_last_moments_of_time_are_like_any_others() {
    let mut server = server();
    server.set_now("9999-12-31T23:59:59.999999Z");
    accept_jobs(
        &server,
        &["9999-12-30T23:59:60Z", "9999-12-31T22:59:60Z", "9999-12-31T23:00:00Z", "9999-12-31T23:59:60Z"],
    );
    server.accept(&[execution(
        1,
        1,
        "1970-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59.999999Z",
    )]);
    for _ in 0..2 {
        let days = [("9999-12-30T00:00:00", 1), ("9999-12-31T00:00:00", 3)];
        for query in ["", "started=P2D", "started=9999-12-30", "started=P1D&ended=9999-12-31T23:59:59.999999Z"] {
            assert_eq!(totals(&server, query), expected(&days), "{query}");
        }
        let hours = [("9999-12-31T22:00:00", 1), ("9999-12-31T23:00:00", 2)];
        for query in ["started=PT1H", "started=9999-12-31T22:00:00Z"] {
            assert_eq!(totals(&server, &format!("resolution=hour&{query}")), expected(&hours), "{query}");
        }
        let beyond = "/v6/metrics/job-types/plot-data/?started=9999-12-31T23:59:59-23:59";
        server.get(beyond).assert_refused(400, &["started", "9999-12-31"]);
        // 253402300799.999999 s in the queue.
        assert_eq!(
            server.values("job-types", "queue_time_max", "started=PT1S"),
            json!([{ "datetime": "9999-12-31T00:00:00", "value": 253_402_300_799_u64 }])
        );
        let answer = server.get("/v6/metrics/job-types/totals/?column=total_count&started=PT1H&against=P1D").json();
        assert_eq!(answer["all"], json!({"values": {"total_count": 3}, "before": {"total_count": 1}}));
        let (started, ended) = (&answer["started"], &answer["ended"]);
        assert_eq!((started, ended), (&json!("9999-12-31T22:00:00Z"), &json!("9999-12-31T23:59:59.999999Z")));
        let picture = server.get("/v6/metrics/job-types/plot.svg?column=total_count&resolution=hour&started=PT3H");
        assert_eq!(picture.status, 200, "{}", picture.text());
        Document::parse(&picture.text()).unwrap();
        server.restart();
    }
}
