//! `GET /v6/metrics/{name}/`: a type's definition and its choices.

use serde_json::{Value, json};

use crate::metrics_list::TYPES;
use crate::support::{TestServer, builtin_error, error, job_type, strike, with};

/// The `choices` of a type; `query` comes without its question mark.
#[track_caller]
fn choices(server: &TestServer, metrics_type: &str, query: &str) -> Value {
    let answer = server.get(&format!("/v6/metrics/{metrics_type}/?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["choices"].clone()
}

/// The ids of the choices, in the order they came.
#[track_caller]
fn choice_ids(server: &TestServer, metrics_type: &str, query: &str) -> Vec<u64> {
    let choices = choices(server, metrics_type, query);
    choices.as_array().unwrap().iter().map(|choice| choice["id"].as_u64().unwrap()).collect()
}

/// Four job types in two names and two versions.
fn server_with_job_types() -> TestServer {
    let server = TestServer::start();
    let version = |id, name, version| with(job_type(id, name), json!({"version": version}));
    server.accept(&[
        version(1, "parse", "1.0"),
        version(2, "parse", "2.0"),
        version(3, "ingest", "1.0"),
        version(4, "ingest", "2.0"),
    ]);
    server
}

#[test]
fn details_are_the_list_entry_with_choices() {
    let server = TestServer::start();
    let list = server.get("/v6/metrics/").json();
    for (index, metrics_type) in TYPES.into_iter().enumerate() {
        let answer = server.get(&format!("/v6/metrics/{metrics_type}/"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.header("content-type").unwrap().starts_with("application/json"));
        assert_eq!(answer.json(), with(list["results"][index].clone(), json!({"choices": []})));
    }
}

#[test]
fn a_job_type_has_the_fourteen_fields_of_the_specifications_example() {
    let clock = json!({
        "id": 4,
        "name": "scale-clock",
        "version": "1.0",
        "title": "Scale Clock",
        "description": "Performs Scale system functions that need to be executed on regular time intervals",
        "category": "system",
        "author_name": null,
        "author_url": null,
        "is_system": true,
        "is_long_running": true,
        "is_active": true,
        "is_operational": true,
        "is_paused": false,
        "icon_code": "f013",
    });
    let server = TestServer::start();
    server.accept(&[with(clock.clone(), json!({"kind": "job_type"}))]);
    assert_eq!(choices(&server, "job-types", ""), json!([clock]));
}

#[test]
fn every_field_of_a_job_type_is_shown_as_it_was_posted() {
    let server = TestServer::start();
    let posted = json!({
        "id": 7, "name": "n", "version": "v", "title": "t", "description": "d", "category": "c", "author_name": "a",
        "author_url": "http://example.org/", "is_system": true, "is_long_running": true, "is_active": false,
        "is_operational": false, "is_paused": true, "icon_code": "i",
    });
    server.accept(&[with(posted.clone(), json!({"kind": "job_type"}))]);
    assert_eq!(choices(&server, "job-types", ""), json!([posted]));
}

#[test]
fn fields_of_a_job_type_that_were_not_given_have_their_defaults() {
    let server = TestServer::start();
    server.accept(&[json!({"kind": "job_type", "id": 1, "name": "parse", "version": "1.0"})]);
    let expected = json!([{
        "id": 1, "name": "parse", "version": "1.0", "title": "parse", "description": null, "category": null,
        "author_name": null, "author_url": null, "is_system": false, "is_long_running": false, "is_active": true,
        "is_operational": true, "is_paused": false, "icon_code": null,
    }]);
    assert_eq!(choices(&server, "job-types", ""), expected);
}

#[test]
fn a_strike_has_id_name_title_and_description() {
    let server = TestServer::start();
    server.accept(&[
        with(strike(1, "north"), json!({"title": "Northern Station", "description": "Files from the north."})),
        strike(2, "south"),
    ]);
    let expected = json!([
        {"id": 1, "name": "north", "title": "Northern Station", "description": "Files from the north."},
        {"id": 2, "name": "south", "title": "south", "description": null},
    ]);
    assert_eq!(choices(&server, "ingests", ""), expected);
}

#[test]
fn an_error_has_the_eight_fields_of_the_contract() {
    let server = TestServer::start();
    server.accept(&[
        with(
            builtin_error(1, "out-of-memory", "SYSTEM"),
            json!({
                "title": "Out of Memory", "description": "The task ran out of memory.", "job_type_name": "parse",
                "should_be_retried": true,
            }),
        ),
        builtin_error(2, "bad-data", "DATA"),
    ]);
    let expected = json!([
        {
            "id": 1, "name": "out-of-memory", "title": "Out of Memory", "description": "The task ran out of memory.",
            "job_type_name": "parse", "category": "SYSTEM", "is_builtin": true, "should_be_retried": true,
        },
        {
            "id": 2, "name": "bad-data", "title": "bad-data", "description": null, "job_type_name": null,
            "category": "DATA", "is_builtin": true, "should_be_retried": false,
        },
    ]);
    assert_eq!(choices(&server, "errors", ""), expected);
}

#[test]
fn choices_are_ordered_by_id() {
    let server = TestServer::start();
    for id in [300, 2, 70_000, 10, 1] {
        server.accept(&[job_type(id, "j"), strike(id, "s"), builtin_error(id, "e", "DATA")]);
    }
    for metrics_type in TYPES {
        assert_eq!(choice_ids(&server, metrics_type, ""), [1, 2, 10, 300, 70_000]);
    }
}

#[test]
fn the_largest_id_is_shown_exactly() {
    let server = TestServer::start();
    let largest = (1 << 53) - 1;
    server.accept(&[strike(largest, "last")]);
    assert_eq!(choice_ids(&server, "ingests", ""), [largest]);
}

#[test]
fn only_builtin_errors_are_choices() {
    let server = TestServer::start();
    server.accept(&[error(1, "own", "DATA"), builtin_error(2, "builtin", "DATA")]);
    assert_eq!(choice_ids(&server, "errors", ""), [2]);
    server.accept(&[builtin_error(1, "own", "DATA"), error(2, "builtin", "DATA")]);
    assert_eq!(choice_ids(&server, "errors", ""), [1]);
}

#[test]
fn a_later_definition_replaces_the_earlier_whole() {
    let server = TestServer::start();
    server.accept(&[with(strike(1, "north"), json!({"title": "Northern Station", "description": "Old."}))]);
    server.accept(&[strike(1, "south")]);
    let expected = json!([{"id": 1, "name": "south", "title": "south", "description": null}]);
    assert_eq!(choices(&server, "ingests", ""), expected);
}

#[test]
fn choices_survive_a_restart() {
    let mut server = server_with_job_types();
    let before = choices(&server, "job-types", "");
    server.restart();
    assert_eq!(choices(&server, "job-types", ""), before);
}

#[test]
fn a_filter_narrows_the_choices() {
    let server = server_with_job_types();
    assert_eq!(choice_ids(&server, "job-types", "name=parse"), [1, 2]);
    assert_eq!(choice_ids(&server, "job-types", "version=2.0"), [2, 4]);
}

#[test]
fn values_of_one_filter_are_alternatives() {
    let server = server_with_job_types();
    assert_eq!(choice_ids(&server, "job-types", "name=parse&name=ingest"), [1, 2, 3, 4]);
    assert_eq!(choice_ids(&server, "job-types", "version=2.0&version=none"), [2, 4]);
}

#[test]
fn different_filters_must_all_hold() {
    let server = server_with_job_types();
    assert_eq!(choice_ids(&server, "job-types", "name=ingest&version=1.0"), [3]);
    assert_eq!(choice_ids(&server, "job-types", "name=ingest&version=1.0&version=2.0"), [3, 4]);
}

#[test]
fn a_filter_that_matches_nothing_leaves_no_choices() {
    let server = server_with_job_types();
    assert_eq!(choices(&server, "job-types", "name=nothing"), json!([]));
    assert_eq!(choices(&server, "job-types", "name=par"), json!([]), "a filter compares whole values");
}

#[test]
fn the_filters_of_ingests_and_errors_narrow_their_choices() {
    let server = TestServer::start();
    server.accept(&[
        strike(1, "north"),
        strike(2, "south"),
        builtin_error(1, "timeout", "SYSTEM"),
        builtin_error(2, "bad-data", "DATA"),
        builtin_error(3, "bad-model", "ALGORITHM"),
    ]);
    assert_eq!(choice_ids(&server, "ingests", "name=south"), [2]);
    assert_eq!(choice_ids(&server, "errors", "name=bad-data"), [2]);
    assert_eq!(choice_ids(&server, "errors", "category=SYSTEM&category=ALGORITHM"), [1, 3]);
    assert_eq!(choice_ids(&server, "errors", "category=SYSTEM&name=bad-data"), [0_u64; 0]);
}

#[test]
fn a_filter_of_another_type_is_ignored() {
    let server = server_with_job_types();
    assert_eq!(choice_ids(&server, "job-types", "category=SYSTEM"), [1, 2, 3, 4]);
}

#[test]
fn an_empty_or_null_filter_counts_as_not_given() {
    let server = server_with_job_types();
    assert_eq!(choice_ids(&server, "job-types", "name=&version=null"), [1, 2, 3, 4]);
    assert_eq!(choice_ids(&server, "job-types", "name=&version=2.0"), [2, 4]);
}

#[test]
fn a_filter_value_is_percent_decoded() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "größer & schöner"), job_type(2, "a+b")]);
    assert_eq!(choice_ids(&server, "job-types", "name=gr%C3%B6%C3%9Fer+%26%20sch%C3%B6ner"), [1]);
    assert_eq!(choice_ids(&server, "job-types", "name=a%2Bb"), [2]);
}

/// A figure of the server's own.
fn figure(server: &TestServer, name: &str) -> u64 {
    let text = server.get("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(&format!("scale_metrics_{name} "))).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn details_are_kept_as_long_as_nothing_changes() {
    let server = TestServer::start();
    // Few are listed where they are asked for, more beside.
    for last in [3, 400] {
        server.accept(&(1..=last).map(|id| job_type(id, &format!("j{}", id % 7))).collect::<Vec<_>>());
        let before = figure(&server, "answers_computed_total");
        for query in ["", "unknown=1", "name=j1&name=j2", "name[]=j2&name[]=j1&name[]=j1"] {
            let [first, again] = [(); 2].map(|()| server.get(&format!("/v6/metrics/job-types/?{query}")));
            assert_eq!((first.status, first.header("etag")), (200, again.header("etag")));
            assert_eq!(first.json(), again.json());
        }
        assert_eq!(figure(&server, "answers_computed_total"), before + 2, "each question once");
    }
    // A change of what is shown shows at once, and so does one of what the filter finds.
    server.accept(&[with(job_type(1, "j2"), json!({"title": "new"})), job_type(401, "j1")]);
    assert_eq!(choices(&server, "job-types", "name=j2")[0]["title"], "new");
    assert_eq!(choice_ids(&server, "job-types", "name=j1").last(), Some(&401));
    assert_eq!(choice_ids(&server, "job-types", "").len(), 401);
}

#[test]
fn details_share_the_memory_of_all_answers() {
    let server = TestServer::start_with(|config| config.api.answer_bytes = 100_000);
    server.accept(&(1..=400).map(|id| job_type(id, "j")).collect::<Vec<_>>());
    let held = figure(&server, "answer_bytes");
    server.get("/v6/metrics/job-types/").assert_refused(400, &["50000 bytes"]);
    assert_eq!(figure(&server, "answer_bytes"), held);
    server.accept(&[job_type(401, "other")]);
    assert_eq!(choice_ids(&server, "job-types", "name=other"), [401]);
    assert!(figure(&server, "answer_bytes") > held, "it is kept");
}

#[test]
fn an_unknown_type_is_not_found() {
    let server = TestServer::start();
    for name in ["jobs", "JOB-TYPES", "job_types", "job-types%20", "%00"] {
        let answer = server.get(&format!("/v6/metrics/{name}/"));
        assert_eq!(answer.status, 404, "{name}");
        assert_eq!(answer.json(), json!({"detail": "Not found."}), "{name}");
    }
}
