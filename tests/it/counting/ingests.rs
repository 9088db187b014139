//! What an ingest counts: its status, its size and its times.

use serde_json::json;

use super::{END, assert_no_value, four, nonzero, server, value};
use crate::support::{ingest, with};

#[test]
fn a_final_ingest_adds_one_to_its_status_count_and_to_the_total() {
    for status in ["DEFERRED", "INGESTED", "ERRORED", "DUPLICATE"] {
        let server = server();
        server.accept(&[ingest(1, 1, status, END)]);
        let column = format!("{}_count", status.to_lowercase());
        assert_eq!(nonzero(&server, "ingests"), json!({ column: 1, "total_count": 1 }));
    }
}

#[test]
fn an_ingest_that_is_not_final_or_has_no_strike_counts_nowhere() {
    let server = server();
    let times = json!({ "file_size": 5, "transfer_started": END, "transfer_ended": END, "ingest_started": END });
    for (id, status) in (1..).zip(["TRANSFERRING", "TRANSFERRED", "QUEUED", "INGESTING"]) {
        server.accept(&[with(ingest(id, 1, status, END), times.clone())]);
    }
    server.accept(&[with(with(ingest(9, 1, "INGESTED", END), times), json!({ "strike": null }))]);
    for column in ["total_count", "file_size_sum", "transfer_time_sum", "ingest_time_sum"] {
        assert_no_value(&server, "ingests", column);
    }
}

#[test]
fn a_final_ingest_observes_its_size_and_transfer_and_its_ingest_only_if_ingested() {
    for status in ["DEFERRED", "INGESTED", "ERRORED", "DUPLICATE"] {
        let server = server();
        server.accept(&[with(
            ingest(1, 1, status, END),
            json!({
                "file_size": 1_234_567,
                "transfer_started": "2015-01-01T11:00:00Z",
                "transfer_ended": "2015-01-01T11:00:08Z",
                "ingest_started": "2015-01-01T11:59:01Z",
            }),
        )]);
        assert_eq!(four(&server, "ingests", "file_size"), [1_234_567; 4], "{status}");
        assert_eq!(four(&server, "ingests", "transfer_time"), [8; 4], "{status}");
        if status == "INGESTED" {
            assert_eq!(four(&server, "ingests", "ingest_time"), [59; 4]);
        } else {
            assert_no_value(&server, "ingests", "ingest_time_sum");
        }
    }
}

#[test]
fn an_ingest_without_size_or_times_counts_but_observes_nothing() {
    let server = server();
    server.accept(&[with(ingest(1, 1, "INGESTED", END), json!({ "transfer_ended": END }))]);
    assert_eq!(value(&server, "ingests", "ingested_count"), 1);
    for column in ["file_size_sum", "transfer_time_min", "ingest_time_avg"] {
        assert_no_value(&server, "ingests", column);
    }
}
