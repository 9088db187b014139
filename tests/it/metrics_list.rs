//! `GET /v6/metrics/`: the three types with every group and column, written down here a second time
//! and not taken from the program.

use std::collections::BTreeSet;

use scale_metrics::catalog::Percentiles;
use scale_metrics::config::Dialect;
use serde_json::{Value, json};

use crate::support::{TestServer, worked_example};

/// A column as it is specified: name, title, units, group, aggregate.
pub(crate) type Column = [&'static str; 5];

pub(crate) const TYPES: [&str; 3] = ["job-types", "ingests", "errors"];

const JOB_TYPES_COLUMNS: [Column; 31] = [
    ["completed_count", "Completed Count", "count", "overview", "sum"],
    ["failed_count", "Failed Count", "count", "overview", "sum"],
    ["canceled_count", "Canceled Count", "count", "overview", "sum"],
    ["total_count", "Total Count", "count", "overview", "sum"],
    ["error_system_count", "System Error Count", "count", "errors", "sum"],
    ["error_data_count", "Data Error Count", "count", "errors", "sum"],
    ["error_algorithm_count", "Algorithm Error Count", "count", "errors", "sum"],
    ["queue_time_sum", "Queue Time (Sum)", "seconds", "queue_time", "sum"],
    ["queue_time_min", "Queue Time (Min)", "seconds", "queue_time", "min"],
    ["queue_time_max", "Queue Time (Max)", "seconds", "queue_time", "max"],
    ["queue_time_avg", "Queue Time (Avg)", "seconds", "queue_time", "avg"],
    ["pre_time_sum", "Pre-task Time (Sum)", "seconds", "pre_time", "sum"],
    ["pre_time_min", "Pre-task Time (Min)", "seconds", "pre_time", "min"],
    ["pre_time_max", "Pre-task Time (Max)", "seconds", "pre_time", "max"],
    ["pre_time_avg", "Pre-task Time (Avg)", "seconds", "pre_time", "avg"],
    ["job_time_sum", "Job Task Time (Sum)", "seconds", "job_time", "sum"],
    ["job_time_min", "Job Task Time (Min)", "seconds", "job_time", "min"],
    ["job_time_max", "Job Task Time (Max)", "seconds", "job_time", "max"],
    ["job_time_avg", "Job Task Time (Avg)", "seconds", "job_time", "avg"],
    ["post_time_sum", "Post-task Time (Sum)", "seconds", "post_time", "sum"],
    ["post_time_min", "Post-task Time (Min)", "seconds", "post_time", "min"],
    ["post_time_max", "Post-task Time (Max)", "seconds", "post_time", "max"],
    ["post_time_avg", "Post-task Time (Avg)", "seconds", "post_time", "avg"],
    ["run_time_sum", "Run Time (Sum)", "seconds", "run_time", "sum"],
    ["run_time_min", "Run Time (Min)", "seconds", "run_time", "min"],
    ["run_time_max", "Run Time (Max)", "seconds", "run_time", "max"],
    ["run_time_avg", "Run Time (Avg)", "seconds", "run_time", "avg"],
    ["stage_time_sum", "Stage Time (Sum)", "seconds", "stage_time", "sum"],
    ["stage_time_min", "Stage Time (Min)", "seconds", "stage_time", "min"],
    ["stage_time_max", "Stage Time (Max)", "seconds", "stage_time", "max"],
    ["stage_time_avg", "Stage Time (Avg)", "seconds", "stage_time", "avg"],
];

const INGESTS_COLUMNS: [Column; 17] = [
    ["deferred_count", "Deferred Count", "count", "overview", "sum"],
    ["ingested_count", "Ingested Count", "count", "overview", "sum"],
    ["errored_count", "Errored Count", "count", "overview", "sum"],
    ["duplicate_count", "Duplicate Count", "count", "overview", "sum"],
    ["total_count", "Total Count", "count", "overview", "sum"],
    ["file_size_sum", "File Size (Sum)", "bytes", "file_size", "sum"],
    ["file_size_min", "File Size (Min)", "bytes", "file_size", "min"],
    ["file_size_max", "File Size (Max)", "bytes", "file_size", "max"],
    ["file_size_avg", "File Size (Avg)", "bytes", "file_size", "avg"],
    ["transfer_time_sum", "Transfer Time (Sum)", "seconds", "transfer_time", "sum"],
    ["transfer_time_min", "Transfer Time (Min)", "seconds", "transfer_time", "min"],
    ["transfer_time_max", "Transfer Time (Max)", "seconds", "transfer_time", "max"],
    ["transfer_time_avg", "Transfer Time (Avg)", "seconds", "transfer_time", "avg"],
    ["ingest_time_sum", "Ingest Time (Sum)", "seconds", "ingest_time", "sum"],
    ["ingest_time_min", "Ingest Time (Min)", "seconds", "ingest_time", "min"],
    ["ingest_time_max", "Ingest Time (Max)", "seconds", "ingest_time", "max"],
    ["ingest_time_avg", "Ingest Time (Avg)", "seconds", "ingest_time", "avg"],
];

const ERRORS_COLUMNS: [Column; 1] = [["total_count", "Total Count", "count", "overview", "sum"]];

/// The columns of a type without percentiles, in catalogue order.
fn basic_columns(metrics_type: &str) -> &'static [Column] {
    match metrics_type {
        "job-types" => &JOB_TYPES_COLUMNS,
        "ingests" => &INGESTS_COLUMNS,
        "errors" => &ERRORS_COLUMNS,
        _ => panic!("no such metrics type: {metrics_type}"),
    }
}

/// The columns of a type with these percentiles, which come behind each average.
fn columns(metrics_type: &str, percentiles: &[u8]) -> Vec<[String; 5]> {
    let mut columns = Vec::new();
    for column in basic_columns(metrics_type) {
        columns.push(column.map(str::to_owned));
        let [name, title, units, group, _] = *column;
        if name.ends_with("_avg") {
            columns.extend(percentiles.iter().map(|percent| {
                let title = title.replace("(Avg)", &format!("(P{percent})"));
                [format!("{group}_p{percent}"), title, units.to_owned(), group.to_owned(), format!("p{percent}")]
            }));
        }
    }
    columns
}

/// The names of a type's columns, in catalogue order.
pub(crate) fn column_names(metrics_type: &str) -> Vec<String> {
    columns(metrics_type, &[50, 95, 99]).into_iter().map(|[name, ..]| name).collect()
}

/// The groups of a type as `[name, title]`, in catalogue order.
fn groups(metrics_type: &str) -> Vec<[&'static str; 2]> {
    match metrics_type {
        "job-types" => vec![
            ["overview", "Overview"],
            ["errors", "Errors"],
            ["queue_time", "Queue Time"],
            ["pre_time", "Pre-task Time"],
            ["job_time", "Job Task Time"],
            ["post_time", "Post-task Time"],
            ["run_time", "Run Time"],
            ["stage_time", "Stage Time"],
        ],
        "ingests" => vec![
            ["overview", "Overview"],
            ["file_size", "File Size"],
            ["transfer_time", "Transfer Time"],
            ["ingest_time", "Ingest Time"],
        ],
        "errors" => vec![["overview", "Overview"]],
        _ => panic!("no such metrics type: {metrics_type}"),
    }
}

/// The list's entries, in the order they came.
fn listed(server: &TestServer) -> Vec<Value> {
    let answer = server.get("/v6/metrics/");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["results"].as_array().unwrap().clone()
}

/// The field names of a JSON object, sorted.
fn fields(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// The object without its description.
fn undescribed(object: &Value) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove("description");
    object
}

/// The entry of `list` with this name.
fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap()
}

#[test]
fn the_list_is_one_page_of_three_types_in_order() {
    let server = TestServer::start();
    let answer = server.get("/v6/metrics/");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    let body = answer.json();
    assert_eq!(fields(&body), ["count", "next", "previous", "results"]);
    assert_eq!(body["count"], 3);
    assert_eq!(body["next"], Value::Null);
    assert_eq!(body["previous"], Value::Null);
    let titles: Vec<Value> = listed(&server).iter().map(|entry| json!([entry["name"], entry["title"]])).collect();
    assert_eq!(titles, [json!(["job-types", "Job Types"]), json!(["ingests", "Ingests"]), json!(["errors", "Errors"])]);
}

#[test]
fn an_entry_has_the_fields_of_the_specification() {
    for entry in listed(&TestServer::start()) {
        assert_eq!(fields(&entry), ["columns", "description", "filters", "groups", "name", "title"]);
    }
}

#[test]
fn the_columns_of_every_type_come_in_catalogue_order() {
    assert_columns(&TestServer::start(), &[50, 95, 99]);
    let scale = TestServer::start_with(|config| config.api.dialect = Dialect::Scale);
    assert_columns(&scale, &[]);
    for percentiles in [&[][..], &[99], &[1, 2, 3, 4, 5, 6, 7, 8]] {
        for dialect in [Dialect::Documented, Dialect::Scale] {
            let server = TestServer::start_with(|config| {
                config.api.dialect = dialect;
                config.metrics.percentiles = Percentiles::new(percentiles.to_vec());
            });
            assert_columns(&server, percentiles);
        }
    }
}

/// Asserts that list, details, plot data and the description of the API have the columns of these percentiles.
#[track_caller]
fn assert_columns(server: &TestServer, percentiles: &[u8]) {
    let described = server.get("/v6/openapi.json").json()["components"]["schemas"]["ColumnName"]["enum"].clone();
    for (entry, metrics_type) in listed(server).iter().zip(TYPES) {
        let found: Vec<Value> = entry["columns"].as_array().unwrap().iter().map(undescribed).collect();
        let columns = columns(metrics_type, percentiles);
        let expected: Vec<Value> = columns
            .iter()
            .map(|[name, title, units, group, aggregate]| {
                json!({"name": name, "title": title, "units": units, "group": group, "aggregate": aggregate})
            })
            .collect();
        assert_eq!(found, expected, "{metrics_type}");
        assert_eq!(server.get(&format!("/v6/metrics/{metrics_type}/")).json()["columns"], entry["columns"]);
        let plotted = server.plot(metrics_type, "page_size=1000");
        assert!(plotted.iter().map(|series| &series["column"]).eq(entry["columns"].as_array().unwrap()));
        for [name, ..] in &columns {
            assert!(described.as_array().unwrap().contains(&json!(name)), "{name}");
        }
    }
    let all: BTreeSet<_> = TYPES.iter().flat_map(|of| columns(of, percentiles)).map(|[name, ..]| name).collect();
    assert_eq!(described.as_array().unwrap().len(), all.len());
}

#[test]
fn the_groups_of_every_type_come_in_catalogue_order() {
    for (entry, metrics_type) in listed(&TestServer::start()).iter().zip(TYPES) {
        let found: Vec<Value> = entry["groups"].as_array().unwrap().iter().map(undescribed).collect();
        let expected: Vec<Value> =
            groups(metrics_type).iter().map(|[name, title]| json!({"name": name, "title": title})).collect();
        assert_eq!(found, expected, "{metrics_type}");
    }
}

#[test]
fn the_filters_of_every_type_come_in_catalogue_order() {
    let filters: Vec<Value> = listed(&TestServer::start()).iter().map(|entry| entry["filters"].clone()).collect();
    assert_eq!(
        filters,
        [
            json!([{"param": "name", "type": "string"}, {"param": "version", "type": "string"}]),
            json!([{"param": "name", "type": "string"}]),
            json!([{"param": "name", "type": "string"}, {"param": "category", "type": "string"}]),
        ]
    );
}

#[test]
fn descriptions_are_the_specifications_where_it_gives_one() {
    let job_types = &listed(&TestServer::start())[0];
    assert_eq!(job_types["description"], "Metrics for jobs and executions grouped by job type.");
    assert_eq!(named(&job_types["groups"], "overview")["description"], "Overall counts based on job status.");
    assert_eq!(
        named(&job_types["columns"], "completed_count")["description"],
        "Number of successfully completed jobs."
    );
    assert_eq!(
        named(&job_types["columns"], "run_time_min")["description"],
        "Minimum time spent running the pre, job, and post tasks."
    );
}

#[test]
fn every_type_group_and_column_has_a_description() {
    for entry in listed(&TestServer::start()) {
        let mut described = vec![&entry];
        described.extend(entry["groups"].as_array().unwrap());
        described.extend(entry["columns"].as_array().unwrap());
        for thing in described {
            assert!(thing["description"].as_str().is_some_and(|text| !text.is_empty()), "{thing}");
        }
    }
}

#[test]
fn the_list_is_the_same_whatever_has_been_posted() {
    let server = TestServer::start();
    let before = listed(&server);
    server.accept(&worked_example());
    assert_eq!(listed(&server), before);
}
