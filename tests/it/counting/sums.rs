//! How observations combine: exact sums, one rounding, averages of all observations.

use serde_json::json;

use super::{END, four, run, server};
use crate::support::{execution, ingest, with};

#[test]
fn observations_are_summed_in_microseconds_and_rounded_down_once_at_the_end() {
    let server = server();
    server.accept(&[run(1, "58.500001"), run(2, "58.500001"), run(3, "58.500001"), run(4, "59.500003")]);
    // 3 × 1.499999 s and 0.499997 s are 4.999994 s.
    assert_eq!(four(&server, "job-types", "run_time"), [4, 0, 1, 1]);
    server.accept(&[run(5, "59.999994")]);
    assert_eq!(four(&server, "job-types", "run_time"), [5, 0, 1, 1], "exactly 5 s");
}

#[test]
fn sums_do_not_overflow_64_bits_of_microseconds() {
    let server = server();
    server.set_now("9999-12-31T23:59:59Z");
    let ended = "9999-12-31T23:59:59.999999Z";
    let whole_time = |id| execution(id, 1, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", ended);
    server.accept(&(1..=100).map(whole_time).collect::<Vec<_>>());
    // 100 × 253402300799.999999 s
    let expected = [25_340_230_079_999, 253_402_300_799, 253_402_300_799, 253_402_300_799];
    assert_eq!(four(&server, "job-types", "run_time"), expected);

    server.accept(&[with(whole_time(1), json!({ "started": ended }))]);
    let expected = [25_086_827_779_199, 0, 253_402_300_799, 250_868_277_791];
    assert_eq!(four(&server, "job-types", "run_time"), expected);
}

#[test]
fn an_average_is_the_total_over_the_number_of_observations_never_an_average_of_averages() {
    let server = server();
    // One choice's average is 40 s, the other's 2 s.
    let two_seconds =
        |id: u64, ended: &str, started: &str| with(execution(id, 2, "", started, ended), json!({ "queued": null }));
    server.accept(&[
        run(1, "20"),
        two_seconds(2, "2015-01-01T03:00:00Z", "2015-01-01T02:59:58Z"),
        two_seconds(3, "2015-01-01T04:00:00Z", "2015-01-01T03:59:58Z"),
        two_seconds(4, "2015-01-01T04:00:00Z", "2015-01-01T03:59:58Z"),
    ]);
    assert_eq!(four(&server, "job-types", "run_time"), [46, 2, 40, 11], "across choices and hours");
    let hours = server.values("job-types", "run_time_avg", "resolution=hour&choice_id=2");
    assert_eq!(
        hours,
        json!([{ "datetime": "2015-01-01T03:00:00", "value": 2 }, { "datetime": "2015-01-01T04:00:00", "value": 2 }])
    );
}

#[test]
fn zero_is_a_value_like_any_other() {
    let server = server();
    let sized = |id: u64, size: u64| with(ingest(id, 1, "DEFERRED", END), json!({ "file_size": size }));
    server.accept(&[sized(1, 0)]);
    assert_eq!(four(&server, "ingests", "file_size"), [0; 4]);
    server.accept(&[sized(2, 9)]);
    assert_eq!(four(&server, "ingests", "file_size"), [9, 0, 9, 4]);
}

#[test]
fn a_sum_beyond_64_bits_is_exact_among_small_ones() {
    let server = server();
    let sized = |id: u64, day: u64, size: u64| {
        with(ingest(id, 1, "INGESTED", &format!("2015-01-0{day}T12:00:00Z")), json!({ "file_size": size }))
    };
    let huge = u64::MAX - 1;
    server.accept(&[sized(1, 1, 7), sized(2, 2, huge), sized(3, 2, huge), sized(4, 2, huge), sized(5, 3, 8)]);
    let path = "/v6/metrics/ingests/plot-data/?column=file_size_sum&column=file_size_avg";
    // As text: few JSON readers have such numbers.
    let answer = server.get(path).text();
    let sum = "55340232221128654842";
    assert!(answer.contains(&format!(r#""min_y":7,"max_y":{sum}"#)), "{answer}");
    let values = |of_second: &str| {
        let values = [("01", "7"), ("02", of_second), ("03", "8")];
        let value = values.map(|(day, value)| format!(r#"{{"datetime":"2015-01-{day}T00:00:00","value":{value}}}"#));
        format!(r#""values":[{}]"#, value.join(","))
    };
    assert!(answer.contains(&values(sum)), "{answer}");
    assert!(answer.contains(&values("18446744073709551614")), "{answer}");
    let csv = server.get(&format!("{path}&format=csv")).text();
    assert!(csv.contains(&format!("file_size_sum,,2015-01-02T00:00:00,{sum}\n")), "{csv}");
}
