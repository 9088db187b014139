//! Errors that are defined anew: the events that name them follow.

use serde_json::{Value, json};

use super::{DATA, DAY, END, HOMEMADE, SYSTEM, assert_no_value, server, value};
use crate::support::{builtin_error, error, failed_execution, job, with};

#[test]
fn an_error_in_another_category_moves_the_jobs_that_name_it() {
    let server = server();
    let failed = |id: u64, error: u64, ended: &str| with(job(id, 1, "FAILED", ended), json!({ "error": error }));
    server.accept(&[failed(1, DATA, END), failed(2, DATA, "2015-01-02T00:00:00Z"), failed(3, SYSTEM, END)]);
    server.accept(&[builtin_error(DATA, "bad-file", "SYSTEM")]);
    let counts = |column: &str| -> Vec<Value> {
        let values = server.values("job-types", column, "");
        values.as_array().unwrap().iter().map(|value| value["value"].clone()).collect()
    };
    assert_eq!(counts("error_data_count"), [0, 0]);
    assert_eq!(counts("error_system_count"), [2, 1]);
    assert_eq!(counts("failed_count"), [2, 1]);
}

#[test]
fn an_error_that_becomes_built_in_counts_from_its_first_execution_and_no_longer_when_it_ceases_to_be() {
    let server = server();
    server.accept(&[failed_execution(1, 1, HOMEMADE, END), failed_execution(2, 1, DATA, END)]);
    assert_eq!(value(&server, "errors", "total_count"), 1);

    server.accept(&[builtin_error(HOMEMADE, "homemade", "ALGORITHM")]);
    assert_eq!(value(&server, "errors", "total_count"), 2);
    let own = server.values("errors", "total_count", &format!("choice_id={HOMEMADE}"));
    assert_eq!(own, json!([{ "datetime": DAY, "value": 1 }]));

    server.accept(&[error(HOMEMADE, "homemade", "ALGORITHM"), error(DATA, "bad-file", "DATA")]);
    assert_no_value(&server, "errors", "total_count");
}

#[test]
fn an_error_counts_anew_in_the_order_of_the_request_that_redefines_it() {
    let server = server();
    server.accept(&[
        failed_execution(1, 1, HOMEMADE, END),
        with(job(1, 1, "FAILED", END), json!({ "error": HOMEMADE })),
        builtin_error(HOMEMADE, "homemade", "DATA"),
        failed_execution(2, 1, HOMEMADE, END),
        with(job(2, 1, "FAILED", END), json!({ "error": HOMEMADE })),
    ]);
    assert_eq!(value(&server, "errors", "total_count"), 2);
    assert_eq!(value(&server, "job-types", "error_data_count"), 2);
    assert_eq!(value(&server, "job-types", "error_algorithm_count"), 0);
}
