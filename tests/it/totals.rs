//! `GET /v6/metrics/{name}/totals/`: periods, orders and pages. That its numbers are right, `random_streams` shows.

use serde_json::{Value, json};

use crate::metrics_list::column_names;
use crate::support::{TestServer, execution, ingest, job, job_type, strike, with, worked_example};

const TOTALS: &str = "/v6/metrics/job-types/totals/";

/// Three job types: of the first one 1 of 4 jobs failed, of the second one 1 of 2, of the third one nothing ended yet. All on the
/// 2nd of January; a day before, one of the second type completed.
fn server_with_failures() -> TestServer {
    let server = TestServer::start();
    let day = "2015-01-02T12:00:00Z";
    server.accept(&[
        with(job_type(1, "one"), json!({"title": "b"})),
        with(job_type(2, "two"), json!({"title": "C"})),
        with(job_type(3, "three"), json!({"title": "a"})),
        job(1, 1, "COMPLETED", day),
        job(2, 1, "COMPLETED", day),
        job(3, 1, "COMPLETED", day),
        job(4, 1, "FAILED", day),
        job(5, 2, "FAILED", day),
        job(6, 2, "COMPLETED", day),
        job(7, 2, "COMPLETED", "2015-01-01T12:00:00Z"),
    ]);
    server
}

/// The ids of the results, in their order.
fn ids(server: &TestServer, query: &str) -> Vec<u64> {
    let answer = server.get(&format!("{TOTALS}?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["results"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

#[test]
fn the_whole_answer_for_two_columns_of_a_day() {
    let server = server_with_failures();
    let query = "column=failed_count&column=total_count&started=2015-01-02&ended=2015-01-02T23:59:59Z";
    let details = server.get("/v6/metrics/job-types/").json();
    let values = |failed: u64, total: u64| json!({"failed_count": failed, "total_count": total});
    let nothing = json!({"failed_count": null, "total_count": null});
    assert_eq!(
        server.get(&format!("{TOTALS}?{query}")).json(),
        json!({
            "count": 2,
            "next": null,
            "previous": null,
            "started": "2015-01-02T00:00:00Z",
            "ended": "2015-01-03T00:00:00Z",
            "before": {"started": "2015-01-01T00:00:00Z", "ended": "2015-01-02T00:00:00Z"},
            "all": {"values": values(2, 6), "before": values(0, 1)},
            "results": [
                {"id": 1, "choice": details["choices"][0], "values": values(1, 4), "before": nothing},
                {"id": 2, "choice": details["choices"][1], "values": values(1, 2), "before": values(0, 1)},
            ],
        })
    );
}

#[test]
fn an_average_over_days_is_that_of_all_events() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "one")]);
    // Two of a second on one day, one of ten seconds on the next one: 4, not (1 + 10) / 2.
    for (id, day, ended) in [(1, 1, 1), (2, 1, 1), (3, 2, 10)] {
        let queued = format!("2015-01-0{day}T00:00:00Z");
        let started = format!("2015-01-0{day}T00:00:{ended:02}Z");
        server.accept(&[execution(id, 1, &queued, &started, &started)]);
    }
    let answer = server.get(&format!("{TOTALS}?column=queue_time_avg&started=2015-01-01&ended=2015-01-03")).json();
    assert_eq!(answer["all"]["values"]["queue_time_avg"], 4);
    assert_eq!(answer["results"][0]["values"]["queue_time_avg"], 4);
}

#[test]
fn only_hours_of_the_period_count() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "one")]);
    let times = [
        "2015-01-01T09:59:59.999999Z",
        "2015-01-01T10:00:00Z",
        "2015-01-02T00:00:00Z",
        "2015-01-03T12:59:59.999999Z",
        "2015-01-03T13:00:00Z",
    ];
    for (time, id) in times.iter().zip(1..) {
        server.accept(&[job(id, 1, "COMPLETED", time)]);
    }
    for (started, ended, expected) in [
        ("2015-01-01T10:30:00Z", "2015-01-03T12:00:00Z", json!(3)),
        ("2015-01-01T10:00:00Z", "2015-01-01T10:59:00Z", json!(1)),
        ("2015-01-01", "2015-01-03T23:00:00Z", json!(5)),
        ("2015-01-01T11:00:00Z", "2015-01-01T23:00:00Z", Value::Null),
        ("2015-01-01T09:00:00Z", "2015-01-02T00:00:00Z", json!(3)),
    ] {
        let query = format!("column=total_count&started={started}&ended={ended}");
        let answer = server.get(&format!("{TOTALS}?{query}")).json();
        assert_eq!(answer["all"]["values"]["total_count"], expected, "{query}");
    }
}

#[test]
fn the_earlier_period_is_the_one_before_or_as_much_earlier_as_is_asked() {
    let server = server_with_failures();
    let before = |query: &str| server.get(&format!("{TOTALS}?column=total_count&{query}")).json()["before"].take();
    let period = |started: &str, ended: &str| json!({"started": started, "ended": ended});
    let day = "started=2015-01-02T06:00:00Z&ended=2015-01-02T11:00:00Z";
    assert_eq!(before(day), period("2015-01-02T00:00:00Z", "2015-01-02T06:00:00Z"));
    for (against, started, ended) in [
        ("P1D", "2015-01-01T06:00:00Z", "2015-01-01T12:00:00Z"),
        ("P1W", "2014-12-26T06:00:00Z", "2014-12-26T12:00:00Z"),
        ("PT1H", "2015-01-02T05:00:00Z", "2015-01-02T11:00:00Z"),
        ("P1DT1H", "2015-01-01T05:00:00Z", "2015-01-01T11:00:00Z"),
    ] {
        assert_eq!(before(&format!("{day}&against={against}")), period(started, ended), "{against}");
    }
    // Nothing was before everything, nor before 1970.
    assert_eq!(before(""), Value::Null);
    assert_eq!(before("against=P1D"), Value::Null);
    assert_eq!(before("started=1970-01-02&ended=1970-01-03&against=P3D"), Value::Null);
    let answer = server.get(&format!("{TOTALS}?column=total_count")).json();
    assert_eq!(answer["all"], json!({"values": {"total_count": 7}, "before": null}));
    assert_eq!(answer["results"][0]["before"], Value::Null);
}

#[test]
fn results_are_in_the_order_that_is_asked_for() {
    let server = server_with_failures();
    server.accept(&[execution(1, 3, "2015-01-02T00:00:00Z", "2015-01-02T00:00:09Z", "2015-01-02T00:00:09Z")]);
    let columns = "column=failed_count&column=total_count&column=queue_time_max";
    for (order, expected) in [
        ("", [1, 2, 3]),
        ("order=", [1, 2, 3]),
        ("order=id", [1, 2, 3]),
        ("order=-id", [3, 2, 1]),
        ("order=title", [3, 1, 2]),
        ("order=-title", [2, 1, 3]),
        ("order=total_count", [3, 2, 1]),
        ("order=-total_count", [1, 2, 3]),
        ("order=failed_count", [3, 1, 2]),
        // Those without a value are last either way.
        ("order=queue_time_max", [3, 1, 2]),
        ("order=-queue_time_max", [3, 1, 2]),
        ("order=failed_count/total_count", [1, 2, 3]),
        ("order=-failed_count/total_count", [2, 1, 3]),
    ] {
        assert_eq!(
            ids(&server, &format!("{columns}&started=2015-01-01&ended=2015-01-03&{order}")),
            expected,
            "{order}"
        );
    }
}

#[test]
fn pages_go_through_all_results_and_have_the_same_totals() {
    let server = server_with_failures();
    let query = "column=total_count&started=2015-01-01&order=-total_count&page_size=1";
    let first = server.get(&format!("{TOTALS}?{query}"));
    let second = server.get(&format!("{TOTALS}?{query}&page=2"));
    let (first, second) = (first.json(), second.json());
    assert_eq!((&first["count"], &second["count"]), (&json!(2), &json!(2)));
    assert_eq!(first["all"], second["all"]);
    assert_eq!((&first["results"][0]["id"], &second["results"][0]["id"]), (&json!(1), &json!(2)));
    assert_eq!(first["next"], format!("{}{TOTALS}?{query}&page=2", server.base()));
    assert_eq!((&first["previous"], &second["next"]), (&Value::Null, &Value::Null));
    let beyond = server.get(&format!("{TOTALS}?{query}&page=3"));
    assert_eq!((beyond.status, beyond.json()), (404, json!({"detail": "Invalid page."})));
}

#[test]
fn choices_and_filters_select_as_in_plot_data() {
    let server = server_with_failures();
    let all = |query: &str| {
        let answer = server.get(&format!("{TOTALS}?column=total_count&{query}")).json();
        (answer["all"]["values"]["total_count"].clone(), answer["count"].clone())
    };
    assert_eq!(all("choice_id=2"), (json!(3), json!(1)));
    assert_eq!(all("choice_id=2&choice_id=1"), (json!(7), json!(2)));
    assert_eq!(all("name=one"), (json!(4), json!(1)));
    assert_eq!(all("name=one&choice_id=2"), (Value::Null, json!(0)));
    assert_eq!(all("name=nothing"), (Value::Null, json!(0)));
    let answer = server.get(&format!("{TOTALS}?group=overview")).json();
    let columns: Vec<_> = answer["all"]["values"].as_object().unwrap().keys().collect();
    assert_eq!(columns, ["canceled_count", "completed_count", "failed_count", "total_count"]);
}

#[test]
fn sizes_are_in_bytes_however_large() {
    let server = TestServer::start();
    server.accept(&[strike(1, "north")]);
    for id in 1..=3 {
        server.accept(&[with(
            ingest(id, 1, "INGESTED", "2015-01-01T00:00:00Z"),
            json!({"file_size": (1_u64 << 53) - 1}),
        )]);
    }
    let answer = server.get("/v6/metrics/ingests/totals/?column=file_size_sum").text();
    assert!(answer.contains(r#""file_size_sum":27021597764222973"#), "{answer}");
}

#[test]
fn wrong_questions_are_refused_with_what_would_be_right() {
    let server = server_with_failures();
    for (query, words) in [
        ("against=P1M", ["against", "P1M", "weeks"]),
        ("against=PT30M", ["against", "PT30M", "whole hours"]),
        ("against=yesterday", ["against", "yesterday", "P7D"]),
        ("against=-P1D", ["against", "-P1D", "P7D"]),
        ("against=PT0S", ["against", "PT0S", "one hour at least"]),
        ("format=xml", ["format", "xml", "csv"]),
        ("order=speed", ["order", "speed", "failed_count/total_count"]),
        ("order=--id", ["order", "--id", "quotient"]),
        ("order=failed_count", ["order", "failed_count", "a selected column"]),
        ("order=total_count/failed_count", ["order", "total_count/failed_count", "a selected column"]),
        ("choice_id=9", ["choice_id", "9", "one of the choices"]),
        ("column=speed", ["column", "speed", "total_count"]),
        ("started=2015-01-03&ended=2015-01-02", ["started", "2015-01-03", "ended"]),
        ("page_size=0", ["page_size", "\"0\"", "1000"]),
    ] {
        let query = format!("column=total_count&started=2015-01-01&{query}");
        let query =
            if query.contains("started=2015-01-03") { query.replacen("started=2015-01-01&", "", 1) } else { query };
        server.get(&format!("{TOTALS}?{query}")).assert_refused(400, &words);
    }
    assert_eq!(server.get("/v6/metrics/jobs/totals/").status, 404);
}

#[test]
fn the_earlier_period_has_to_be_one_even_where_there_is_none() {
    let server = server_with_failures();
    for against in ["-P1D", "tomorrow", "PT0S"] {
        server.get(&format!("{TOTALS}?against={against}")).assert_refused(400, &["against", against]);
    }
}

#[test]
fn csv_has_a_line_for_all_and_for_each_choice_of_each_column() {
    let server = server_with_failures();
    let query = "column=failed_count&column=total_count&started=2015-01-02&ended=2015-01-02T23:59:59Z";
    let answer = server.get(&format!("{TOTALS}?{query}&format=csv&order=-id&page_size=1"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    let expected = [
        "column,id,value,before",
        "failed_count,,2,0",
        "failed_count,2,1,0",
        "failed_count,1,1,",
        "total_count,,6,1",
        "total_count,2,2,1",
        "total_count,1,4,",
    ];
    assert_eq!(answer.text().lines().collect::<Vec<_>>(), expected);
    // Without a beginning there is nothing before.
    let answer = server.get(&format!("{TOTALS}?column=failed_count&choice_id=1&format=csv"));
    assert_eq!(answer.text(), "column,id,value,before\nfailed_count,,1,\nfailed_count,1,1,\n");
    let nothing = server.get(&format!("{TOTALS}?column=failed_count&name=nobody&format=csv"));
    assert_eq!(nothing.text(), "column,id,value,before\nfailed_count,,,\n");
    server.get(&format!("{TOTALS}?format=csv&page_size=0")).assert_refused(400, &["page_size"]);
}

#[test]
fn csv_has_the_values_of_json() {
    let server = server_with_failures();
    let query = "started=2015-01-02&order=-total_count";
    let json = server.get(&format!("{TOTALS}?{query}")).json();
    let text = |value: &Value| value.as_u64().map(|value| value.to_string()).unwrap_or_default();
    let mut expected = vec!["column,id,value,before".to_owned()];
    for column in column_names("job-types") {
        let all = [&json["all"]].into_iter().chain(json["results"].as_array().unwrap());
        for row in all {
            let (value, before) = (text(&row["values"][&column]), text(&row["before"][&column]));
            expected.push(format!("{column},{},{value},{before}", text(&row["id"])));
        }
    }
    let csv = server.get(&format!("{TOTALS}?{query}&format=csv")).text();
    assert_eq!(csv.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn an_empty_server_has_totals_of_nothing() {
    let server = TestServer::start();
    for metrics_type in ["job-types", "ingests", "errors"] {
        let answer = server.get(&format!("/v6/metrics/{metrics_type}/totals/?column=total_count&started=P7D")).json();
        assert_eq!(answer["count"], 0);
        assert_eq!(answer["all"], json!({"values": {"total_count": null}, "before": {"total_count": null}}));
    }
}

#[test]
fn what_is_posted_later_shows_at_once_and_nothing_else_changes_the_tag() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let path = format!("{TOTALS}?column=total_count&started=2015-01-01&ended=2015-01-02");
    let first = server.get(&path);
    let tag = first.header("etag").unwrap();
    assert_eq!(server.send("GET", &path, &[("If-None-Match", tag)], b"").status, 304);
    server.accept(&[job(100, 1, "COMPLETED", "2015-01-20T00:00:00Z")]);
    assert_eq!(server.get(&path).header("etag").unwrap(), tag);
    server.accept(&[job(101, 1, "COMPLETED", "2015-01-01T00:00:00Z")]);
    let then = server.get(&path).json();
    let total = |answer: &Value| answer["all"]["values"]["total_count"].as_u64().unwrap();
    assert_eq!(total(&then), total(&first.json()) + 1);
}
