//! Buckets of other lengths and other clocks: weeks and months, time zones, buckets without anything, units of times.

use scale_metrics::config::Config;
use serde_json::{Value, json};

use crate::support::{TestServer, execution, job, job_type, wait_until};

const TOTALS: &str = "/v6/metrics/job-types/totals/";

/// A server with a completed job at each of these times, of job type 1.
fn server_with_jobs(ends: &[&str]) -> TestServer {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a"), job_type(2, "b")]);
    let jobs: Vec<_> = (1..).zip(ends).map(|(id, end)| job(id, 1, "COMPLETED", end)).collect();
    server.accept(&jobs);
    server
}

/// The number of completed jobs by the start of their bucket.
fn counts(server: &TestServer, query: &str) -> Vec<(String, u64)> {
    let values = server.values("job-types", "completed_count", query);
    let shown = |value: &Value| (value["datetime"].as_str().unwrap().to_owned(), value["value"].as_u64().unwrap());
    values.as_array().unwrap().iter().map(shown).collect()
}

#[track_caller]
fn assert_counts(server: &TestServer, query: &str, expected: &[(&str, u64)]) {
    let expected: Vec<_> = expected.iter().map(|(start, count)| ((*start).to_owned(), *count)).collect();
    assert_eq!(counts(server, query), expected, "{query}");
}

#[test]
fn weeks_begin_on_monday_and_months_on_their_first() {
    // January 5, 2015, is a Monday.
    let server = server_with_jobs(&[
        "2014-12-31T12:00:00Z",
        "2015-01-04T23:59:59.999999Z",
        "2015-01-05T00:00:00Z",
        "2015-01-11T12:00:00Z",
        "2015-01-31T12:00:00Z",
    ]);
    let weeks = [("2014-12-29T00:00:00", 2), ("2015-01-05T00:00:00", 2), ("2015-01-26T00:00:00", 1)];
    assert_counts(&server, "resolution=week", &weeks);
    assert_counts(&server, "resolution=month", &[("2014-12-01T00:00:00", 1), ("2015-01-01T00:00:00", 4)]);
    // The start of a bucket decides, and `started` is rounded down to one.
    assert_counts(&server, "resolution=week&started=2015-01-11&ended=2015-01-25T23:59:59", &weeks[1..2]);
    assert_counts(&server, "resolution=week&started=2015-01-04&ended=2015-01-05", &weeks[..2]);
    assert_counts(&server, "resolution=month&started=2015-01-31T23:00:00", &[("2015-01-01T00:00:00", 4)]);
    let series = server.plot("job-types", "resolution=week&column=completed_count").remove(0);
    assert_eq!(json!([series["min_x"], series["max_x"]]), json!(["2014-12-29", "2015-01-26"]));
}

#[test]
fn days_begin_at_local_midnight_and_hours_that_come_twice_stay_apart() {
    let server = server_with_jobs(&[
        // In New York, November 2, 2014, has 25 hours: from 04:00 to 05:00 UTC of the next day.
        "2014-11-02T03:59:59.999999Z",
        "2014-11-02T04:00:00Z",
        "2014-11-02T05:30:00Z",
        "2014-11-02T06:30:00Z",
        "2014-11-03T04:59:59Z",
        "2014-11-03T05:00:00Z",
    ]);
    let zone = "timezone=America/New_York";
    assert_counts(
        &server,
        zone,
        &[("2014-11-01T00:00:00-04:00", 1), ("2014-11-02T00:00:00-04:00", 4), ("2014-11-03T00:00:00-05:00", 1)],
    );
    assert_counts(
        &server,
        &format!("{zone}&resolution=hour&started=2014-11-02&ended=2014-11-02T03:00:00"),
        &[("2014-11-02T00:00:00-04:00", 1), ("2014-11-02T01:00:00-04:00", 1), ("2014-11-02T01:00:00-05:00", 1)],
    );
    // Dates and times without an offset are local, others are not.
    assert_counts(&server, &format!("{zone}&started=2014-11-03"), &[("2014-11-03T00:00:00-05:00", 1)]);
    assert_counts(&server, &format!("{zone}&ended=2014-11-01T23:59:59"), &[("2014-11-01T00:00:00-04:00", 1)]);
    assert_eq!(counts(&server, &format!("{zone}&ended=2014-11-02T04:00:00Z")).len(), 2);
    let csv = server.get(&format!("/v6/metrics/job-types/plot-data/?{zone}&column=total_count&format=csv")).text();
    assert!(csv.contains("total_count,,2014-11-02T00:00:00-04:00,4\n"), "{csv}");
    let picture = server.get(&format!("/v6/metrics/job-types/plot.svg?{zone}&started=2014-11-01&ended=2014-11-03"));
    assert!(picture.text().contains("2014-11-01 to 2014-11-03"), "{}", picture.text());
    assert!(picture.text().contains(r#"data-from="2014-11-01T04:00:00Z" data-to="2014-11-04T05:00:00Z""#));
}

#[test]
fn where_midnight_is_within_an_hour_of_utc_events_decide() {
    let server = server_with_jobs(&["2015-01-10T18:29:59.999999Z", "2015-01-10T18:30:00Z", "2015-01-10T19:10:00Z"]);
    let days = [("2015-01-10T00:00:00+05:30", 1), ("2015-01-11T00:00:00+05:30", 2)];
    assert_counts(&server, "timezone=Asia/Kolkata", &days);
    assert_counts(&server, "timezone=Asia/Kolkata&resolution=week", &[("2015-01-05T00:00:00+05:30", 3)]);
    let hours = [("2015-01-10T23:00:00+05:30", 1), ("2015-01-11T00:00:00+05:30", 2)];
    assert_counts(&server, "timezone=Asia/Kolkata&resolution=hour", &hours);
    assert_counts(&server, "timezone=Asia/Kathmandu", &[("2015-01-11T00:00:00+05:45", 3)]);
    // The period of totals has local hours, too.
    let total =
        |query: &str| server.get(&format!("{TOTALS}?column=completed_count&timezone=Asia/Kolkata&{query}")).json();
    let day = total("started=2015-01-11&ended=2015-01-11T23:00:00");
    assert_eq!(day["all"], json!({"values": {"completed_count": 2}, "before": {"completed_count": 1}}));
    assert_eq!(
        json!([day["started"], day["ended"]]),
        json!(["2015-01-11T00:00:00+05:30", "2015-01-12T00:00:00+05:30"])
    );
    // A correction moves an event over midnight.
    server.accept(&[job(2, 1, "COMPLETED", "2015-01-10T18:29:00Z")]);
    assert_counts(
        &server,
        "timezone=Asia/Kolkata",
        &[("2015-01-10T00:00:00+05:30", 2), ("2015-01-11T00:00:00+05:30", 1)],
    );
}

#[test]
fn a_day_that_was_skipped_and_one_without_midnight() {
    let server = server_with_jobs(&[
        "2011-12-30T09:59:59Z",
        "2011-12-30T10:00:00Z",
        "2014-10-19T02:59:59Z",
        "2014-10-19T03:00:00Z",
    ]);
    assert_counts(
        &server,
        "timezone=Pacific/Apia&ended=2012-01-01&fill=zero&started=2011-12-29",
        &[("2011-12-29T00:00:00-10:00", 1), ("2011-12-31T00:00:00+14:00", 1), ("2012-01-01T00:00:00+14:00", 0)],
    );
    assert_counts(
        &server,
        "timezone=America/Sao_Paulo&started=2014-10-18&ended=2014-10-19T12:00:00",
        &[("2014-10-18T00:00:00-03:00", 1), ("2014-10-19T01:00:00-02:00", 1)],
    );
}

#[test]
fn the_settings_name_the_zone_of_requests_that_name_none() {
    let mut server = server_with_jobs(&["2015-01-10T23:30:00Z"]);
    server.restart_with(|config| config.api.timezone = "Europe/Berlin".parse().unwrap());
    assert_counts(&server, "", &[("2015-01-11T00:00:00+01:00", 1)]);
    assert_counts(&server, "timezone=", &[("2015-01-11T00:00:00+01:00", 1)]);
    assert_counts(&server, "timezone=UTC", &[("2015-01-10T00:00:00", 1)]);
    assert_counts(&server, "timezone=Etc/UTC", &[("2015-01-10T00:00:00+00:00", 1)]);
}

#[test]
fn days_whose_events_are_forgotten_have_zones_with_full_hours_only() {
    let ten_days = |config: &mut Config| {
        config.retention.events_days = 10;
        config.retention.grace_hours = 0;
    };
    let mut server = server_with_jobs(&["2015-01-10T12:00:00Z", "2015-01-10T18:40:00Z", "2015-01-28T18:40:00Z"]);
    server.restart_with(ten_days);
    wait_until("the events are forgotten", || !server.get("/v6/export/").text().contains("2015-01-10"));
    assert_eq!(counts(&server, "timezone=America/New_York").len(), 2);
    let kolkata = "/v6/metrics/job-types/plot-data/?timezone=Asia/Kolkata";
    server.get(kolkata).assert_refused(400, &["timezone", "Asia/Kolkata", "started=2015-01-12"]);
    let totals = |started: &str| server.get(&format!("{TOTALS}?timezone=Asia/Kolkata&started={started}"));
    totals("2015-01-11").assert_refused(400, &["timezone", "2015-01-12"]);
    assert_eq!(totals("2015-01-12").status, 200);
    assert_counts(&server, "timezone=Asia/Kolkata&started=2015-01-12", &[("2015-01-29T00:00:00+05:30", 1)]);
    // An hour that has nothing needs no events.
    assert_eq!(server.get(&format!("{kolkata}&started=2015-01-11T01:00:00&resolution=hour")).status, 200);
}

#[test]
fn empty_buckets_are_filled_with_zero_in_sums_and_nothing_in_others() {
    let server = server_with_jobs(&["2015-01-10T12:00:00Z"]);
    server.accept(&[execution(1, 2, "2015-01-12T00:00:00Z", "2015-01-12T00:00:10Z", "2015-01-12T00:01:00Z")]);
    let shown = |query: &str| -> Vec<Value> {
        let query = format!(
            "fill=zero&ended=2015-01-13&column=completed_count&column=run_time_sum&column=run_time_max&{query}"
        );
        let of = |series: &Value| {
            let values = series["values"].as_array().unwrap().iter();
            values.map(|it| json!([it["id"], it["datetime"].as_str().unwrap()[8..10], it["value"]])).collect()
        };
        server.plot("job-types", &query).iter().map(of).collect()
    };
    let all = [
        json!([[null, "10", 1], [null, "11", 0], [null, "12", 0], [null, "13", 0]]),
        json!([[null, "10", 0], [null, "11", 0], [null, "12", 50], [null, "13", 0]]),
        json!([[null, "12", 50]]),
    ];
    assert_eq!(shown(""), all);
    let early = shown("started=2015-01-09");
    assert_eq!(early[0], json!([[null, "09", 0], [null, "10", 1], [null, "11", 0], [null, "12", 0], [null, "13", 0]]));
    let each = shown("choice_id=1&choice_id=2&started=2015-01-12");
    assert_eq!(each[0], json!([[1, "12", 0], [2, "12", 0], [1, "13", 0], [2, "13", 0]]));
    assert_eq!(each[1], json!([[1, "12", 0], [2, "12", 50], [1, "13", 0], [2, "13", 0]]));
    // Nothing at all, with and without a beginning; and a filter that no choice passes.
    assert_eq!(shown("choice_id=2&ended=2015-01-02")[0], json!([]));
    assert_eq!(shown("choice_id=2&started=2015-01-01&ended=2015-01-02")[0].as_array().map(Vec::len), Some(2));
    assert_eq!(shown("name=nobody&started=2015-01-01")[0], json!([]));
    assert_eq!(counts(&server, "fill=none").len(), 2);
    // A filled answer that is too large is refused like any other.
    let hours = "/v6/metrics/job-types/plot-data/?fill=zero&resolution=hour&started=1970-01-01&ended=9999-12-31";
    server.get(hours).assert_refused(400, &["bytes"]);
    let picture = server.get("/v6/metrics/job-types/plot.svg?fill=zero&kind=line&started=2015-01-01&ended=2015-01-13");
    assert_eq!(picture.status, 200);
}

#[test]
fn times_are_shown_in_milliseconds_where_they_are_asked_for() {
    let server = server_with_jobs(&[]);
    let ends = ["2015-01-12T00:00:01.0019Z", "2015-01-12T00:00:02.5Z", "2015-01-12T00:00:04.9999Z"];
    for (id, end) in (1..).zip(ends) {
        server.accept(&[execution(id, 1, "2015-01-12T00:00:00Z", "2015-01-12T00:00:00Z", end)]);
    }
    let shown = |query: &str| -> Vec<Value> {
        let of = |series: &Value| json!([series["column"]["units"], series["values"][0]["value"]]);
        server.plot("job-types", &format!("group=run_time&column=total_count&{query}")).iter().map(of).collect()
    };
    let values = |units: &str, values: [u64; 7]| -> Vec<Value> {
        let times = values.map(|value| json!([units, value]));
        [json!(["count", 0])].into_iter().chain(times).collect()
    };
    assert_eq!(shown("units=milliseconds"), values("milliseconds", [8501, 1001, 4999, 2833, 2500, 4999, 4999]));
    for seconds in ["", "units=", "units=seconds"] {
        assert_eq!(shown(seconds), values("seconds", [8, 1, 4, 2, 2, 4, 4]));
    }
    let totals = server.get(&format!("{TOTALS}?units=milliseconds&column=run_time_max")).json();
    assert_eq!(totals["all"]["values"], json!({"run_time_max": 4999}));
    let picture = server.get("/v6/metrics/job-types/plot.svg?units=milliseconds&column=run_time_max").text();
    assert!(picture.contains("milliseconds") && picture.contains("4.999 s"), "{picture}");
}

#[test]
fn wrong_words_are_refused_with_what_would_be_right() {
    let server = TestServer::start();
    for (query, words) in [
        ("timezone=Mars/Base", &["timezone", "Mars/Base", "Europe/Berlin"][..]),
        ("timezone=europe/berlin", &["timezone", "europe/berlin"]),
        ("timezone=%2B01:00", &["timezone", "+01:00"]),
        ("fill=maybe", &["fill", "maybe", "none, zero"]),
        ("units=hours", &["units", "hours", "seconds, milliseconds"]),
        ("resolution=year", &["resolution", "year", "day, hour, week, month"]),
    ] {
        server.get(&format!("/v6/metrics/job-types/plot-data/?{query}")).assert_refused(400, words);
        server.get(&format!("/v6/metrics/ingests/plot.svg?{query}")).assert_refused(400, words);
        if query.starts_with("timezone") || query.starts_with("units") {
            server.get(&format!("{TOTALS}?{query}")).assert_refused(400, words);
        }
    }
}
