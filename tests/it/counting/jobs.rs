//! What a job counts: its status, and the category of its error.

use serde_json::json;

use super::{ALGORITHM, DATA, END, FINAL, HOMEMADE, SYSTEM, assert_no_value, nonzero, server, value};
use crate::support::{failed_execution, job, with};

#[test]
fn a_final_job_adds_one_to_its_status_count_and_to_the_total() {
    for (status, column) in FINAL.iter().zip(["completed_count", "failed_count", "canceled_count"]) {
        let server = server();
        server.accept(&[job(1, 1, status, END)]);
        assert_eq!(nonzero(&server, "job-types"), json!({ column: 1, "total_count": 1 }));
        assert_eq!(nonzero(&server, "errors"), json!({}));
    }
}

#[test]
fn a_job_that_is_not_final_counts_nowhere_even_with_an_end_and_an_error() {
    let server = server();
    for (id, status) in (1..).zip(["PENDING", "BLOCKED", "QUEUED", "RUNNING"]) {
        server.accept(&[with(job(id, 1, status, END), json!({ "error": DATA }))]);
    }
    assert_no_value(&server, "job-types", "total_count");
    assert_no_value(&server, "errors", "total_count");
}

#[test]
fn a_final_job_with_an_error_adds_one_to_the_errors_category_whatever_its_status() {
    let columns = ["error_system_count", "error_data_count", "error_algorithm_count"];
    for (error, column) in [SYSTEM, DATA, ALGORITHM].into_iter().zip(columns) {
        for status in FINAL {
            let server = server();
            server.accept(&[with(job(1, 1, status, END), json!({ "error": error }))]);
            let status_count = format!("{}_count", status.to_lowercase());
            assert_eq!(nonzero(&server, "job-types"), json!({ status_count: 1, "total_count": 1, column: 1 }));
        }
    }
}

#[test]
fn an_error_that_is_not_built_in_counts_in_its_category_but_is_no_choice_of_errors() {
    let server = server();
    server
        .accept(&[with(job(1, 1, "FAILED", END), json!({ "error": HOMEMADE })), failed_execution(1, 1, HOMEMADE, END)]);
    assert_eq!(value(&server, "job-types", "error_algorithm_count"), 1);
    assert_no_value(&server, "errors", "total_count");
}

#[test]
fn a_job_with_an_error_does_not_count_in_errors() {
    let server = server();
    server.accept(&[with(job(1, 1, "FAILED", END), json!({ "error": DATA }))]);
    assert_no_value(&server, "errors", "total_count");
}
