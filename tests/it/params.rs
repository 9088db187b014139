//! The parameters of plot data: time range, columns, groups, choices, filters, resolution and format, with what is
//! ignored, what counts as not given, and what is refused. Names are in `parameter_names`, paging is in `paging`.

use std::fmt::Write as _;

use scale_metrics::config::Dialect;
use serde_json::{Value, json};

use crate::metrics_list::column_names;
use crate::support::{
    TestServer, builtin_error, error, failed_execution, ingest, job, job_type, strike, with, worked_example,
};

pub(crate) const PLOT: &str = "/v6/metrics/job-types/plot-data/";

/// One job type with a job at every half hour past of January 2015; the clock shows its end, 2015-02-01T00:00:00Z.
fn server_with_january() -> TestServer {
    let server = TestServer::start();
    let jobs = (0..31 * 24_u64).map(|hour| {
        let ended = format!("2015-01-{:02}T{:02}:30:00Z", hour / 24 + 1, hour % 24);
        job(hour + 1, 1, "COMPLETED", &ended)
    });
    let events: Vec<Value> = std::iter::once(job_type(1, "hourly")).chain(jobs).collect();
    server.accept(&events);
    server
}

/// The `datetime`s of the values that `query` selects.
#[track_caller]
fn times(server: &TestServer, query: &str) -> Vec<String> {
    let values = server.values("job-types", "total_count", query);
    values.as_array().unwrap().iter().map(|value| value["datetime"].as_str().unwrap().to_owned()).collect()
}

/// Asserts that `query` selects exactly the days from one date of January 2015 to another, both included.
#[track_caller]
fn assert_days(server: &TestServer, query: &str, first: u32, last: u32) {
    let expected: Vec<String> = (first..=last).map(|day| format!("2015-01-{day:02}T00:00:00")).collect();
    assert_eq!(times(server, query), expected, "{query}");
}

/// Asserts that `query` selects, by hour, exactly these hours of 2015-01-31, both included.
#[track_caller]
fn assert_hours(server: &TestServer, query: &str, first: u32, last: u32) {
    let expected: Vec<String> = (first..=last).map(|hour| format!("2015-01-31T{hour:02}:00:00")).collect();
    assert_eq!(times(server, &format!("resolution=hour&{query}")), expected, "{query}");
}

/// Asserts that plot data refuses `query` with a `detail` that has all of `words`.
#[track_caller]
pub(crate) fn assert_bad(server: &TestServer, query: &str, words: &[&str]) {
    server.get(&format!("{PLOT}?{query}")).assert_refused(400, words);
}

/// The names of the columns that `query` selects, in the order they came.
#[track_caller]
pub(crate) fn columns(server: &TestServer, query: &str) -> Vec<String> {
    server.plot("job-types", query).iter().map(|result| result["column"]["name"].as_str().unwrap().to_owned()).collect()
}

// Time range.

#[test]
fn ended_defaults_to_now() {
    let server = server_with_january();
    assert_days(&server, "", 1, 31);
    server.set_now("2015-01-10T12:00:00Z");
    assert_days(&server, "", 1, 10);
    assert_days(&server, "ended=2015-01-20", 1, 20);
}

#[test]
fn started_defaults_to_the_beginning() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "old"), job(1, 1, "COMPLETED", "1970-01-01T00:00:00Z")]);
    assert_eq!(times(&server, ""), ["1970-01-01T00:00:00"]);
    assert_eq!(times(&server, "ended=1970-01-02"), ["1970-01-01T00:00:00"]);
}

#[test]
fn started_and_ended_are_date_times() {
    let server = server_with_january();
    assert_hours(&server, "started=2015-01-31T20:00:00Z&ended=2015-01-31T22:00:00Z", 20, 22);
    assert_hours(&server, "started=2015-01-31T20%3A00%3A00Z", 20, 23);
    assert_hours(&server, "started=2015-01-31T20:00:00.123456Z", 20, 23);
}

#[test]
fn a_date_time_without_offset_is_utc() {
    let server = server_with_january();
    assert_hours(&server, "started=2015-01-31T20:00:00&ended=2015-01-31T22:00:00", 20, 22);
}

#[test]
fn a_date_time_with_an_offset_is_that_instant() {
    let server = server_with_january();
    assert_hours(&server, "started=2015-01-31T23:00:00%2B02:00", 21, 23);
    assert_hours(&server, "started=2015-01-31T15:30:00-05:30", 21, 23);
    assert_days(&server, "started=2015-01-11T00:30:00%2B01:00", 10, 31);
}

#[test]
fn a_space_where_an_unescaped_plus_stood_is_understood() {
    let server = server_with_january();
    assert_hours(&server, "started=2015-01-31T23:00:00+02:00", 21, 23);
    assert_hours(&server, "started=2015-01-31T23:00:00%2002:00", 21, 23);
    assert_hours(&server, "started=2015-01-31&ended=2015-01-31T04:00:00+02:00", 0, 2);
}

#[test]
fn a_bare_date_is_midnight_utc() {
    let server = server_with_january();
    assert_days(&server, "started=2015-01-05&ended=2015-01-07", 5, 7);
    assert_hours(&server, "started=2015-01-31", 0, 23);
    assert_eq!(times(&server, "resolution=hour&started=2015-01-30T23:00:00Z&ended=2015-01-31").len(), 2);
}

#[test]
fn a_duration_goes_back_from_now() {
    let server = server_with_january();
    assert_hours(&server, "started=PT3H0M0S", 21, 23);
    assert_hours(&server, "started=PT90M", 22, 23);
    assert_hours(&server, "started=PT3600S", 23, 23);
    assert_days(&server, "started=P7D", 25, 31);
    assert_days(&server, "started=P1W", 25, 31);
    assert_days(&server, "started=P1DT12H", 30, 31);
    assert_hours(&server, "started=P1D&ended=PT20H", 0, 4);
    server.set_now("2015-01-10T00:00:00Z");
    assert_days(&server, "started=P7D&ended=P3D", 3, 7);
}

#[test]
fn a_duration_may_have_fractions() {
    let server = server_with_january();
    assert_hours(&server, "started=PT2.5H", 21, 23);
    assert_hours(&server, "started=PT0.5H", 23, 23);
    assert_hours(&server, "started=P0.5D", 12, 23);
    assert_hours(&server, "started=PT3600.000001S", 22, 23);
    assert_days(&server, "started=P0.5W", 28, 31);
    assert_hours(&server, "started=PT2,5H", 21, 23);
}

#[test]
fn a_duration_longer_than_time_itself_does_no_harm() {
    let server = server_with_january();
    for duration in ["P100000D", "P99999999999999999999D", "PT99999999999999999999999999S", "P1e9D"] {
        let status = server.get(&format!("{PLOT}?started={duration}")).status;
        assert!(status == 200 || status == 400, "{duration}: {status}");
    }
}

#[test]
fn started_is_rounded_down_to_the_bucket() {
    let server = server_with_january();
    assert_days(&server, "started=2015-01-10T23:59:59.999999Z", 10, 31);
    assert_hours(&server, "started=2015-01-31T20:59:59.999999Z", 20, 23);
    assert_days(&server, "started=2015-01-10T13:00:00Z&ended=2015-01-10T14:00:00Z", 10, 10);
}

#[test]
fn started_and_ended_are_both_included() {
    let server = server_with_january();
    assert_days(&server, "started=2015-01-10&ended=2015-01-12", 10, 12);
    assert_days(&server, "started=2015-01-10&ended=2015-01-11T23:59:59.999999Z", 10, 11);
    assert_hours(&server, "started=2015-01-31T20:00:00Z&ended=2015-01-31T21:00:00Z", 20, 21);
    assert_hours(&server, "started=2015-01-31T20:00:00Z&ended=2015-01-31T20:59:59.999999Z", 20, 20);
}

#[test]
fn a_bucket_that_starts_before_ended_counts_whole() {
    let server = server_with_january();
    let one_day = json!([{"datetime": "2015-01-10T00:00:00", "value": 24}]);
    let query = "started=2015-01-10T13:00:00Z&ended=2015-01-10T14:00:00Z";
    assert_eq!(server.values("job-types", "total_count", query), one_day);
}

#[test]
fn an_empty_or_null_time_counts_as_not_given() {
    let server = server_with_january();
    assert_days(&server, "started=&ended=", 1, 31);
    assert_days(&server, "started=null&ended=null", 1, 31);
    assert_days(&server, "started=2015-01-30&ended=", 30, 31);
}

#[test]
fn started_and_ended_that_are_equal_or_in_the_wrong_order_are_refused() {
    let server = server_with_january();
    assert_bad(&server, "started=2015-01-10&ended=2015-01-10", &["started", "ended", "2015-01-10"]);
    assert_bad(&server, "started=2015-01-10&ended=2015-01-09", &["started", "ended"]);
    assert_bad(&server, "started=2015-01-10T02:00:00%2B02:00&ended=2015-01-10", &["started", "ended"]);
    assert_bad(&server, "started=P3D&ended=P7D", &["started", "ended"]);
    assert_bad(&server, "started=PT0S", &["started", "ended"]);
    assert_bad(&server, "started=2015-02-01T00:00:01Z", &["started", "ended"]);
}

#[test]
fn a_time_that_is_none_is_refused() {
    let server = TestServer::start();
    let bad = [
        "yesterday",
        "2015",
        "2015-02-30",
        "2015-13-01",
        "2015-01-01T25:00:00Z",
        "2015-01-01T00:61:00Z",
        "20150101x",
        "1420070400",
        "1969-12-31T23:59:59Z",
        "10000-01-01",
        "P",
        "PT",
        "P7",
        "7D",
        "P1H",
        "PT1D",
        "PT1S1H",
        "PxD",
        "-PT3H-",
    ];
    for value in bad {
        for parameter in ["started", "ended"] {
            assert_bad(&server, &format!("{parameter}={value}"), &[parameter, value, "ISO"]);
        }
    }
}

// Columns and groups.

#[test]
fn without_column_or_group_all_columns_come_in_catalogue_order() {
    let server = TestServer::start();
    assert_eq!(columns(&server, ""), column_names("job-types"));
}

#[test]
fn columns_come_in_the_order_asked_for() {
    let server = TestServer::start();
    let asked = "column=run_time_max&column=completed_count&column=pre_time_sum";
    assert_eq!(columns(&server, asked), ["run_time_max", "completed_count", "pre_time_sum"]);
}

#[test]
fn a_group_selects_its_columns_in_catalogue_order() {
    let server = TestServer::start();
    assert_eq!(
        columns(&server, "group=overview"),
        ["completed_count", "failed_count", "canceled_count", "total_count"]
    );
    assert_eq!(
        columns(&server, "group=run_time&group=errors"),
        [
            "run_time_sum",
            "run_time_min",
            "run_time_max",
            "run_time_avg",
            "run_time_p50",
            "run_time_p95",
            "run_time_p99",
            "error_system_count",
            "error_data_count",
            "error_algorithm_count",
        ],
        "the groups themselves come in the order asked for"
    );
}

#[test]
fn column_and_group_together_select_the_union_columns_first_none_twice() {
    let server = TestServer::start();
    assert_eq!(
        columns(&server, "group=overview&column=run_time_avg&column=total_count&column=run_time_avg&group=overview"),
        ["run_time_avg", "total_count", "completed_count", "failed_count", "canceled_count"]
    );
}

#[test]
fn an_empty_or_null_column_or_group_counts_as_not_given() {
    let server = TestServer::start();
    let all = column_names("job-types");
    for query in ["column=&group=", "column=null&group=null", "column&group", "column=&column=null"] {
        assert_eq!(columns(&server, query), all, "{query}");
    }
    assert_eq!(columns(&server, "column=&column=total_count&group=null"), ["total_count"]);
}

#[test]
fn unknown_columns_and_groups_are_refused() {
    let server = TestServer::start();
    for name in ["speed", "TOTAL_COUNT", "total_count,failed_count", "file_size_sum", "overview"] {
        assert_bad(&server, &format!("column=total_count&column={name}"), &["column", name, "completed_count"]);
    }
    for name in ["speed", "Overview", "file_size", "total_count"] {
        assert_bad(&server, &format!("group=errors&group={name}"), &["group", name, "queue_time"]);
    }
    server
        .get("/v6/metrics/errors/plot-data/?column=completed_count")
        .assert_refused(400, &["column", "completed_count", "total_count"]);
}

// Choices and filters.

/// Four job types in two names and two versions; `id` jobs of each ended on one day.
pub(crate) fn server_with_choices() -> TestServer {
    let server = TestServer::start();
    let version = |id, name, version| with(job_type(id, name), json!({"version": version}));
    server.accept(&[
        version(1, "parse", "1.0"),
        version(2, "parse", "2.0"),
        version(3, "ingest", "1.0"),
        version(4, "ingest", "2.0"),
    ]);
    for choice in 1..=4_u64 {
        for number in 0..choice {
            server.accept(&[job(choice * 10 + number, choice, "COMPLETED", "2015-01-01T00:00:00Z")]);
        }
    }
    server
}

/// The id, where it is given, and the value of each value of `total_count`.
#[track_caller]
pub(crate) fn counts(server: &TestServer, query: &str) -> Vec<(Option<u64>, u64)> {
    let values = server.values("job-types", "total_count", query);
    let values = values.as_array().unwrap().iter();
    values.map(|value| (value["id"].as_u64(), value["value"].as_u64().unwrap())).collect()
}

const NO_VALUES: [(Option<u64>, u64); 0] = [];

#[test]
fn choice_id_selects_choices() {
    let server = server_with_choices();
    assert_eq!(counts(&server, ""), [(None, 10)]);
    assert_eq!(counts(&server, "choice_id=3"), [(None, 3)]);
    assert_eq!(counts(&server, "choice_id=4&choice_id=2"), [(Some(2), 2), (Some(4), 4)]);
}

#[test]
fn an_empty_or_null_choice_id_counts_as_not_given() {
    let server = server_with_choices();
    assert_eq!(counts(&server, "choice_id="), [(None, 10)]);
    assert_eq!(counts(&server, "choice_id=null&choice_id="), [(None, 10)]);
    assert_eq!(counts(&server, "choice_id=3&choice_id="), [(None, 3)]);
}

#[test]
fn a_choice_id_that_is_not_among_the_choices_is_refused_by_its_id() {
    let server = server_with_choices();
    assert_bad(&server, "choice_id=98", &["choice_id", "98"]);
    assert_bad(&server, "choice_id=1&choice_id=98&choice_id=99", &["choice_id", "98", "99"]);
    for none in ["0", "-1", "1.0", "one", "1,2", "9007199254740992", "18446744073709551617"] {
        assert_bad(&server, &format!("choice_id={none}"), &["choice_id", none]);
    }
}

#[test]
fn a_choice_of_another_type_is_refused() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "a"), strike(2, "s"), builtin_error(3, "e", "DATA")]);
    for (metrics_type, own) in [("job-types", 1), ("ingests", 2), ("errors", 3)] {
        for id in 1..=3 {
            let answer = server.get(&format!("/v6/metrics/{metrics_type}/plot-data/?choice_id={id}"));
            let expected = if id == own { 200 } else { 400 };
            assert_eq!(answer.status, expected, "{metrics_type} {id}: {}", answer.text());
        }
    }
}

#[test]
fn an_error_that_is_not_builtin_is_no_choice() {
    let server = TestServer::start();
    server.accept(&[error(1, "own", "DATA"), builtin_error(2, "builtin", "DATA")]);
    server.get("/v6/metrics/errors/plot-data/?choice_id=2&choice_id=1").assert_refused(400, &["choice_id", "1"]);
    assert_eq!(server.get("/v6/metrics/errors/plot-data/?choice_id=2").status, 200);
}

#[test]
fn a_choice_without_events_has_no_values() {
    let server = server_with_choices();
    server.accept(&[job_type(5, "idle")]);
    assert_eq!(counts(&server, "choice_id=5"), NO_VALUES);
}

#[test]
fn a_thousand_choice_ids_can_be_asked_for() {
    let server = TestServer::start();
    let ids = 1_000_000..1_001_000_u64;
    let types: Vec<Value> = ids.clone().map(|id| job_type(id, "many")).collect();
    let jobs: Vec<Value> = ids.clone().map(|id| job(id, id, "COMPLETED", "2015-01-01T00:00:00Z")).collect();
    server.accept(&types);
    server.accept(&jobs);
    let query = ids.clone().fold(String::new(), |mut query, id| {
        write!(query, "choice_id={id}&").unwrap();
        query
    });
    let expected: Vec<(Option<u64>, u64)> = ids.map(|id| (Some(id), 1)).collect();
    assert_eq!(counts(&server, &query), expected);
}

#[test]
fn a_types_own_filters_select_choices() {
    let server = server_with_choices();
    assert_eq!(counts(&server, "name=parse"), [(Some(1), 1), (Some(2), 2)]);
    assert_eq!(counts(&server, "version=2.0"), [(Some(2), 2), (Some(4), 4)]);
    assert_eq!(counts(&server, "name=ingest&version=1.0"), [(None, 3)]);
}

#[test]
fn values_of_one_filter_are_alternatives_and_different_filters_must_all_hold() {
    let server = server_with_choices();
    let all = [(Some(1), 1), (Some(2), 2), (Some(3), 3), (Some(4), 4)];
    assert_eq!(counts(&server, "name=parse&name=ingest"), all);
    assert_eq!(counts(&server, "name=parse&name=ingest&version=1.0"), [(Some(1), 1), (Some(3), 3)]);
}

#[test]
fn filters_combine_with_choice_id_by_intersection() {
    let server = server_with_choices();
    assert_eq!(counts(&server, "choice_id=2&choice_id=3&choice_id=4&name=ingest"), [(Some(3), 3), (Some(4), 4)]);
    assert_eq!(counts(&server, "choice_id=2&choice_id=3&name=ingest"), [(None, 3)]);
}

#[test]
fn a_selection_that_no_choice_meets_has_no_values() {
    let server = server_with_choices();
    for query in ["name=nothing", "name=parse&version=9", "choice_id=1&name=ingest", "name=nothing&resolution=hour"] {
        assert_eq!(counts(&server, query), NO_VALUES, "{query}");
    }
    let result = server.plot("job-types", "column=total_count&name=nothing").remove(0);
    assert_eq!(
        with(result, json!({"column": null})),
        json!({"column": null, "min_x": null, "max_x": null, "min_y": null, "max_y": null, "values": []})
    );
}

#[test]
fn a_filter_that_is_empty_null_or_of_another_type_is_not_given() {
    let server = server_with_choices();
    for query in ["name=&version=", "name=null", "category=SYSTEM", "title=parse"] {
        assert_eq!(counts(&server, query), [(None, 10)], "{query}");
    }
}

#[test]
fn the_filters_of_ingests_and_errors_select_choices() {
    let server = TestServer::start();
    let failed = |id: u64, error: u64| failed_execution(id, 1, error, "2015-01-01T00:00:00Z");
    server.accept(&[
        strike(1, "north"),
        strike(2, "south"),
        ingest(1, 1, "ERRORED", "2015-01-01T00:00:00Z"),
        job_type(1, "a"),
        builtin_error(1, "timeout", "SYSTEM"),
        builtin_error(2, "bad-data", "DATA"),
        failed(1, 1),
        failed(2, 2),
        failed(3, 2),
    ]);
    let one = json!([{"datetime": "2015-01-01T00:00:00", "value": 1}]);
    let two = json!([{"datetime": "2015-01-01T00:00:00", "value": 2}]);
    assert_eq!(server.values("ingests", "errored_count", "name=north"), one);
    assert_eq!(server.values("ingests", "errored_count", "name=south"), json!([]));
    assert_eq!(server.values("errors", "total_count", "category=DATA"), two);
    assert_eq!(server.values("errors", "total_count", "name=timeout"), one);
    assert_eq!(server.values("errors", "total_count", "name=timeout&category=DATA"), json!([]));
}

// Resolution and format.

#[test]
fn the_resolution_is_day_unless_asked_for_by_hour() {
    let server = server_with_january();
    assert_eq!(times(&server, "started=2015-01-31"), ["2015-01-31T00:00:00"]);
    assert_days(&server, "resolution=day", 1, 31);
    assert_days(&server, "resolution=", 1, 31);
    assert_days(&server, "resolution=null", 1, 31);
    assert_hours(&server, "started=2015-01-31", 0, 23);
}

#[test]
fn an_unknown_resolution_or_format_is_refused() {
    let server = TestServer::start();
    for value in ["minute", "Day", "hourly", "1"] {
        assert_bad(&server, &format!("resolution={value}"), &["resolution", value, "day", "hour"]);
    }
    for value in ["xml", "CSV2"] {
        assert_bad(&server, &format!("format={value}"), &["format", value, "csv"]);
    }
}

#[test]
fn csv_has_a_header_and_a_row_for_each_value() {
    let server = TestServer::start();
    server.accept(&[
        job_type(1, "a"),
        job_type(2, "b"),
        job(1, 1, "COMPLETED", "2015-01-01T05:00:00Z"),
        job(2, 2, "FAILED", "2015-01-02T06:00:00Z"),
    ]);
    let answer = server.get(&format!("{PLOT}?format=csv&column=total_count&column=failed_count"));
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/csv"));
    let expected = [
        "column,id,datetime,value",
        "total_count,,2015-01-01T00:00:00,1",
        "total_count,,2015-01-02T00:00:00,1",
        "failed_count,,2015-01-01T00:00:00,0",
        "failed_count,,2015-01-02T00:00:00,1",
    ];
    assert_eq!(answer.text().lines().collect::<Vec<_>>(), expected);
    let query = "format=csv&column=total_count&choice_id=2&choice_id=1&resolution=hour";
    let expected =
        ["column,id,datetime,value", "total_count,1,2015-01-01T05:00:00,1", "total_count,2,2015-01-02T06:00:00,1"];
    assert_eq!(server.get(&format!("{PLOT}?{query}")).text().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn csv_has_the_values_of_json() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let mut expected = vec!["column,id,datetime,value".to_owned()];
    for result in server.plot("job-types", "resolution=hour") {
        let column = result["column"]["name"].as_str().unwrap();
        for value in result["values"].as_array().unwrap() {
            expected.push(format!("{column},,{},{}", value["datetime"].as_str().unwrap(), value["value"]));
        }
    }
    let csv = server.get(&format!("{PLOT}?resolution=hour&format=csv"));
    assert_eq!(csv.text().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn csv_has_all_pages_worth() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let whole = server.get(&format!("{PLOT}?format=csv"));
    assert_eq!(whole.text().lines().count(), 50);
    assert_eq!(server.get(&format!("{PLOT}?format=csv&page_size=1")).text(), whole.text());
}

#[test]
fn csv_without_values_is_its_header() {
    let server = TestServer::start();
    assert_eq!(server.get(&format!("{PLOT}?format=csv")).text().trim_end(), "column,id,datetime,value");
}

#[test]
fn an_empty_or_null_format_is_json() {
    let server = TestServer::start();
    let plain = server.get(PLOT).json();
    for query in ["format=", "format=null", "format=json"] {
        assert_eq!(server.get(&format!("{PLOT}?{query}")).json(), plain, "{query}");
    }
}

#[test]
fn a_bad_parameter_is_refused_in_json_even_for_csv() {
    let server = TestServer::start();
    assert_bad(&server, "format=csv&column=speed", &["column", "speed"]);
}

// All parameters alike.

#[test]
fn the_beginning_of_all_time_may_be_its_end() {
    let server = TestServer::start();
    server.accept(&[
        job_type(1, "old"),
        job(1, 1, "COMPLETED", "1970-01-01T00:30:00Z"),
        job(2, 1, "COMPLETED", "1970-01-02T00:30:00Z"),
    ]);
    for ended in ["1970-01-01T00:00:00Z", "1970-01-01", "P100Y"] {
        assert_eq!(times(&server, &format!("ended={ended}")), ["1970-01-01T00:00:00"], "{ended}");
        let totals = server.get(&format!("/v6/metrics/job-types/totals/?column=total_count&ended={ended}")).json();
        assert_eq!(totals["all"]["values"]["total_count"], 1, "{ended}");
        assert_eq!(
            (&totals["started"], &totals["ended"]),
            (&json!("1970-01-01T00:00:00Z"), &json!("1970-01-01T01:00:00Z"))
        );
    }
    assert_bad(&server, "started=1970-01-01&ended=1970-01-01", &["started", "ended"]);
}

#[test]
fn in_scales_dialect_what_is_no_choice_has_no_values() {
    let server = TestServer::start_with(|config| config.api.dialect = Dialect::Scale);
    let day = "2015-01-01T00:00:00Z";
    server.accept(&[job_type(1, "a"), job_type(2, "b"), job(1, 1, "COMPLETED", day), job(2, 2, "COMPLETED", day)]);
    assert_eq!(counts(&server, "choice_id=99"), NO_VALUES);
    assert_eq!(counts(&server, "choice_id=99&choice_id=0&choice_id=-5&choice_id=18446744073709551617"), NO_VALUES);
    assert_eq!(counts(&server, "choice_id=1&choice_id[]=99"), [(Some(1), 1)]);
    assert_eq!(counts(&server, "choice_id=99&choice_id=2&choice_id=98&choice_id=1"), [(Some(1), 1), (Some(2), 1)]);
    assert_eq!(counts(&server, "choice_id=99&name=a"), NO_VALUES);
    let totals = server.get("/v6/metrics/job-types/totals/?column=total_count&choice_id=99&choice_id=2").json();
    assert_eq!((&totals["count"], &totals["results"][0]["id"]), (&json!(1), &json!(2)));
    let csv = server.get(&format!("{PLOT}?column=total_count&choice_id=99&format=csv"));
    assert_eq!(csv.text(), "column,id,datetime,value\n");
    assert_eq!(server.get("/v6/metrics/job-types/plot.svg?choice_id=99").status, 200);
    for none in ["1.0", "one", "1,2"] {
        assert_bad(&server, &format!("choice_id=1&choice_id={none}"), &["choice_id", none, "integer"]);
    }
    // It is a choice as soon as it is defined.
    server.accept(&[job_type(99, "c"), job(3, 99, "COMPLETED", day)]);
    assert_eq!(counts(&server, "choice_id=99"), [(Some(99), 1)]);
}

#[test]
fn waiting_is_true_or_false() {
    let server = TestServer::start();
    let post = |query: &str| {
        let body = serde_json::to_vec(&strike(1, "north")).unwrap();
        server.send("POST", &format!("/v6/events/?{query}"), &[("Content-Type", "application/json")], &body)
    };
    for query in ["wait=maybe", "wait=1", "wait=TRUE", "wait[]=yes", "wait=true&wait=on"] {
        post(query).assert_refused(400, &["wait", "true, false"]);
    }
    assert_eq!(server.get("/v6/metrics/ingests/").json()["choices"], json!([]), "nothing was stored");
    for query in ["wait=true", "wait=false", "wait=", "wait=null", "wait[]=true", ""] {
        assert_eq!(post(query).status, 200, "{query}");
    }
}

#[test]
fn empty_pairs_are_ignored() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let expected = server.get(&format!("{PLOT}?column=total_count&group=errors")).json();
    let found = server.get(&format!("{PLOT}?&column=total_count&&group=errors&")).json();
    assert_eq!(found, expected);
    let expected = server.get(PLOT).json();
    for query in ["", "&", "&&&", "=", "=&=x"] {
        assert_eq!(server.get(&format!("{PLOT}?{query}")).json(), expected, "{query:?}");
    }
}

#[test]
fn what_scales_own_client_sends_is_understood() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let sent = "choice_id=1&column=completed_count&dataType=job-types&ended=2015-01-02T00:00:00.000Z&group=null&page=1&\
                page_size=null&started=2014-12-31T00:00:00.000Z";
    let expected = json!([{"datetime": "2015-01-01T00:00:00", "value": 2}]);
    assert_eq!(server.plot("job-types", sent)[0]["values"], expected);
    assert_eq!(columns(&server, sent), ["completed_count"]);
}

#[test]
fn a_query_of_60000_bytes_works() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let mut query = "column=total_count&filler=".to_owned();
    query.extend(std::iter::repeat_n('x', 60_000 - query.len() - "&choice_id=1".len()));
    query.push_str("&choice_id=1");
    assert_eq!(query.len(), 60_000);
    let expected = json!([{"datetime": "2015-01-01T00:00:00", "value": 6}]);
    assert_eq!(server.plot("job-types", &query)[0]["values"], expected);
}

#[test]
fn a_query_that_is_no_utf_8_or_badly_escaped_is_answered() {
    let server = TestServer::start();
    for query in ["choice_id=%FF", "column=%FF%FE", "started=%zz", "page_size=%", "resolution=%C3%28"] {
        let answer = server.raw(format!("GET {PLOT}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{query}: {answer}");
        assert!(answer.contains(r#""detail""#), "{query}: {answer}");
    }
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn a_bad_value_anywhere_among_good_ones_is_refused() {
    let server = server_with_choices();
    assert_bad(&server, "choice_id=1&choice_id=x&choice_id=2", &["choice_id", "x"]);
    assert_bad(&server, "started=2015-01-01&ended=soon&column=total_count", &["ended", "soon"]);
    assert_bad(&server, "name=nothing&column=speed", &["column", "speed"]);
}

#[test]
fn a_refused_value_is_shown_as_it_was_sent() {
    let server = TestServer::start();
    assert_bad(&server, "column=%22quoted%22%20%26%20gr%C3%B6%C3%9Fer", &["column", "quoted", "& größer"]);
}
