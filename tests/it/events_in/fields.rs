//! The fields of each kind: required, optional, unknown, of a wrong type or out of range.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    END, EVENTS, JSON, LARGEST_ID, assert_counts, assert_refused_for, choices, fields, full_objects, least_objects,
    refused, required, server, without,
};
use crate::support::{TestServer, builtin_error, error, execution, ingest, job, job_type, strike, with};

#[test]
fn every_field_of_every_kind_is_taken() {
    let server = TestServer::start();
    assert_counts(&server.post(full_objects()), 6, 0, 0, 0);
    assert_eq!(choices(&server, "job-types"), json!([without(full_objects()[0].clone(), "kind")]));
    assert_eq!(choices(&server, "ingests"), json!([without(full_objects()[1].clone(), "kind")]));
    assert_eq!(choices(&server, "errors"), json!([without(full_objects()[2].clone(), "kind")]));
}

#[test]
fn text_comes_back_as_it_was_posted() {
    let server = TestServer::start();
    for text in [" two  spaces ", "Grüße, 世界 🛰", "\"quotes\" and \\", "line\nbreak\ttab\u{1}", "null", "<b>&amp;</b>"]
    {
        server.accept(&[with(strike(1, text), json!({ "description": text }))]);
        assert_eq!(
            choices(&server, "ingests")[0],
            json!({ "id": 1, "name": text, "title": text, "description": text })
        );
    }
}

#[test]
fn the_required_fields_are_enough_and_the_others_take_their_defaults() {
    let server = TestServer::start();
    assert_counts(&server.post(least_objects()), 6, 0, 0, 0);
    assert_eq!(
        choices(&server, "job-types"),
        json!([{
            "id": 1, "name": "scale-clock", "version": "1.0", "title": "scale-clock", "description": null,
            "category": null, "author_name": null, "author_url": null, "is_system": false, "is_long_running": false,
            "is_active": true, "is_operational": true, "is_paused": false, "icon_code": null,
        }])
    );
    assert_eq!(
        choices(&server, "ingests"),
        json!([{ "id": 1, "name": "north", "title": "north", "description": null }])
    );
    assert_eq!(choices(&server, "errors"), json!([]), "not built in unless it says so");
    server.accept(&[with(least_objects()[2].clone(), json!({ "is_builtin": true }))]);
    assert_eq!(
        choices(&server, "errors"),
        json!([{
            "id": 1, "name": "no-disk", "title": "no-disk", "description": null, "job_type_name": null,
            "category": "SYSTEM", "is_builtin": true, "should_be_retried": false,
        }])
    );
}

#[test]
fn a_missing_or_null_required_field_is_an_error_of_that_field() {
    let server = server();
    for object in full_objects().into_iter().chain(least_objects()) {
        let kind = object["kind"].as_str().unwrap();
        for field in required(kind) {
            assert_refused_for(&server, &without(object.clone(), field), field);
            assert_refused_for(&server, &with(object.clone(), json!({ *field: null })), field);
        }
        assert_refused_for(&server, &without(object.clone(), "kind"), "kind");
        assert_refused_for(&server, &with(object.clone(), json!({ "kind": null })), "kind");
    }
    let tasks = json!([{ "started": END, "ended": END }]);
    assert_refused_for(&server, &with(full_objects()[4].clone(), json!({ "tasks": tasks })), "tasks");
}

#[test]
fn an_end_is_required_in_a_final_status_only() {
    let server = server();
    let kinds: [(Value, &str, &[&str], &[&str]); 3] = [
        (
            job(1, 1, "", END),
            "ended",
            &["COMPLETED", "FAILED", "CANCELED"],
            &["PENDING", "BLOCKED", "QUEUED", "RUNNING"],
        ),
        (
            with(job(1, 1, "", END), json!({ "kind": "job_execution" })),
            "ended",
            &["COMPLETED", "FAILED", "CANCELED"],
            &["QUEUED", "RUNNING"],
        ),
        (
            ingest(1, 1, "", END),
            "ingest_ended",
            &["DEFERRED", "INGESTED", "ERRORED", "DUPLICATE"],
            &["TRANSFERRING", "TRANSFERRED", "QUEUED", "INGESTING"],
        ),
    ];
    for (object, end, finals, others) in kinds {
        for status in finals {
            let object = with(object.clone(), json!({ "status": status }));
            assert_refused_for(&server, &without(object.clone(), end), end);
            server.accept(&[object]);
        }
        for status in others {
            let object = with(object.clone(), json!({ "status": status }));
            server.accept(&[without(object.clone(), end)]);
            server.accept(&[object]);
        }
    }
}

#[test]
fn a_status_category_or_task_type_that_is_not_listed_is_an_error() {
    let server = server();
    for status in ["", "completed", "DONE", "PENDING ", "TRANSFERRING"] {
        assert_refused_for(&server, &job(1, 1, status, END), "status");
    }
    for status in ["PENDING", "BLOCKED", "INGESTED"] {
        let execution = execution(1, 1, END, END, END);
        assert_refused_for(&server, &with(execution, json!({ "status": status })), "status");
    }
    for status in ["COMPLETED", "RUNNING", "ingested"] {
        assert_refused_for(&server, &ingest(1, 1, status, END), "status");
    }
    for category in ["", "system", "NETWORK"] {
        assert_refused_for(&server, &error(1, "error", category), "category");
    }
    for category in ["SYSTEM", "DATA", "ALGORITHM"] {
        server.accept(&[error(1, "error", category)]);
    }
    for task_type in ["", "job", "MAIN", "setup"] {
        let tasks = json!({ "tasks": [{ "type": "pre" }, { "type": task_type }] });
        assert_refused_for(&server, &with(execution(1, 1, END, END, END), tasks), "tasks");
    }
    for kind in ["", "Job", "job-type", "jobs", "metrics"] {
        assert_refused_for(&server, &with(job(1, 1, "FAILED", END), json!({ "kind": kind })), "kind");
    }
}

#[test]
fn a_wrong_json_type_is_an_error_of_that_field() {
    let server = server();
    let samples =
        [json!(true), json!(1), json!(1.5), json!("1"), json!([]), json!(["x"]), json!({}), json!({ "id": 1 })];
    for object in full_objects() {
        for field in fields(&object) {
            for wrong in &samples {
                let fits = match &object[&field] {
                    Value::Bool(_) => wrong.is_boolean(),
                    Value::Number(_) => wrong.is_u64(),
                    Value::String(_) => wrong.is_string(),
                    Value::Array(_) => *wrong == json!([]),
                    Value::Null | Value::Object(_) => unreachable!("no field is one"),
                };
                if !fits {
                    assert_refused_for(&server, &with(object.clone(), json!({ field.clone(): wrong })), &field);
                }
            }
        }
        for wrong in samples.iter().filter(|wrong| !wrong.is_string()) {
            assert_refused_for(&server, &with(object.clone(), json!({ "kind": wrong })), "kind");
        }
    }
}

#[test]
fn a_problem_inside_a_task_is_an_error_of_tasks() {
    let server = server();
    let wrong = [
        json!(1),
        json!(null),
        json!([]),
        json!({}),
        json!({ "type": 1 }),
        json!({ "type": null, "started": END }),
        json!({ "type": "main", "started": 1 }),
        json!({ "type": "main", "started": "noon" }),
        json!({ "type": "main", "ended": "1969-12-31T23:59:59Z" }),
        json!({ "type": "main", "queued": END }),
    ];
    for task in wrong {
        let tasks = json!({ "tasks": [{ "type": "pre", "started": END, "ended": END }, task] });
        assert_refused_for(&server, &with(execution(1, 1, END, END, END), tasks), "tasks");
    }
}

#[test]
fn the_times_of_a_task_are_optional() {
    let server = server();
    let tasks = json!({ "tasks": [
        { "type": "pull" },
        { "type": "pre", "started": END },
        { "type": "main", "ended": END },
        { "type": "post", "started": null, "ended": null },
    ] });
    server.accept(&[with(execution(1, 1, END, END, END), tasks)]);
}

#[test]
fn an_unknown_field_is_an_error_even_if_another_kind_has_it() {
    let server = server();
    let objects = full_objects();
    let all: BTreeSet<String> =
        objects.iter().flat_map(fields).chain(["colour", "Id", ""].map(str::to_owned)).collect();
    for object in &objects {
        let own = fields(object);
        for field in all.iter().filter(|field| !own.contains(field)) {
            let value = objects.iter().find_map(|object| object.get(field)).cloned().unwrap_or(json!("blue"));
            assert_refused_for(&server, &with(object.clone(), json!({ field: value })), field);
        }
    }
}

#[test]
fn a_field_given_twice_is_an_error() {
    let server = server();
    for object in full_objects() {
        for field in fields(&object).into_iter().chain(["kind".to_owned()]) {
            let body = object.to_string();
            let twice = format!("{}, \"{field}\": {}}}", &body[..body.len() - 1], object[&field]);
            let answer = server.send("POST", EVENTS, &[JSON], twice.as_bytes());
            assert!(refused(&answer).iter().all(|(index, _)| *index == 0), "{twice}");
        }
    }
    let body = r#"{"kind": "job_execution", "id": 1, "job_type": 1, "status": "QUEUED",
        "tasks": [{"type": "pre", "type": "pre"}]}"#;
    let answer = server.send("POST", EVENTS, &[JSON], body.as_bytes());
    assert!(refused(&answer).contains(&(0, Some("tasks".to_owned()))));
}

#[test]
fn a_field_given_twice_is_an_error_even_if_one_is_null() {
    let server = server();
    for twice in ["\"error\": null, \"error\": 1", "\"error\": 1, \"error\": null", "\"error\": null, \"error\": null"]
    {
        let body = format!("{{\"kind\": \"job\", \"id\": 1, \"job_type\": 1, \"status\": \"QUEUED\", {twice}}}");
        refused(&server.send("POST", EVENTS, &[JSON], body.as_bytes()));
    }
}

#[test]
fn the_order_of_the_fields_does_not_matter() {
    let server = server();
    let body = r#"{"ended": "2015-01-01T12:00:00Z", "status": "FAILED", "job_type": 1, "id": 1, "kind": "job"}"#;
    assert_counts(&server.send("POST", EVENTS, &[JSON], body.as_bytes()), 1, 0, 0, 0);
    assert_counts(&server.post(job(1, 1, "FAILED", END)), 0, 0, 1, 0);
}

#[test]
fn json_escapes_mean_what_they_stand_for() {
    let server = server();
    let plain = with(execution(1, 1, END, END, END), json!({ "tasks": [{ "type": "main", "ended": END }] }));
    assert_counts(&server.post(&plain), 1, 0, 0, 0);
    let escaped: String = plain.to_string().chars().map(escape).collect();
    assert_counts(&server.send("POST", EVENTS, &[JSON], escaped.as_bytes()), 0, 0, 1, 0);
    assert_counts(&server.ndjson(&escaped), 0, 0, 1, 0);

    let twice = r#"{"kind": "strike", "id": 3, "name": "a", "n\u0061me": "a"}"#;
    refused(&server.send("POST", EVENTS, &[JSON], twice.as_bytes()));
}

/// Letters, which here stand in strings only, as `\u` and four digits.
fn escape(letter: char) -> String {
    if letter.is_alphabetic() { format!("\\u{:04x}", u32::from(letter)) } else { letter.to_string() }
}

#[test]
fn null_is_the_same_as_absent() {
    let server = server();
    for object in least_objects() {
        server.accept(std::slice::from_ref(&object));
        let kind = object["kind"].as_str().unwrap();
        let full = full_objects().into_iter().find(|full| full["kind"] == kind).unwrap();
        for field in fields(&full).iter().filter(|field| !required(kind).contains(&field.as_str())) {
            assert_counts(&server.post(with(object.clone(), json!({ field: null }))), 0, 0, 1, 0);
        }
    }
}

#[test]
fn a_null_under_a_name_that_the_kind_does_not_have_is_absent_too() {
    let server = server();
    for name in ["nonsense", "ingest_started", "type", "title"] {
        server.accept(&[with(job(1, 1, "FAILED", END), json!({ name: null }))]);
    }
    let task = json!({ "type": "pre", "name": null, "nonsense": null });
    server.accept(&[with(execution(1, 1, END, END, END), json!({ "tasks": [task] }))]);
}

#[test]
fn what_is_told_of_wrong_fields_is_bounded() {
    let server = server();
    let long = "\u{e4}".repeat(1 << 20);
    let shown = format!("{}…", "\u{e4}".repeat(40));
    let answer = server.post(with(job(1, 1, "FAILED", END), json!({ &long: 1 })));
    assert_eq!(refused(&answer), BTreeSet::from([(0, Some(shown.clone()))]));
    let task = json!({ "type": "main", &long: 1 });
    let answer = server.post(with(execution(1, 1, END, END, END), json!({ "tasks": [task] })));
    assert_eq!(refused(&answer), BTreeSet::from([(0, Some("tasks".to_owned()))]));
    assert!(answer.text().contains(&format!("{shown} is no field of a task")), "{}", answer.text());
    // As many names as fit, and the same one again and again.
    for many in [|n| format!("\"x{n}\":1,"), |_| "\"id\":1,".to_owned()] {
        let body = format!("{{{}\"kind\":\"job\"}}", (0..100_000).map(many).collect::<String>());
        let answer = server.send("POST", EVENTS, &[JSON], body.as_bytes());
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 100);
    }
}

#[test]
fn ids_are_integers_from_1_to_2_to_the_53_less_1() {
    let server = server();
    server.accept(&[
        job_type(LARGEST_ID, "last"),
        strike(LARGEST_ID, "last"),
        builtin_error(LARGEST_ID, "last", "DATA"),
    ]);
    for id in [1, LARGEST_ID] {
        server.accept(&[
            with(job(id, id, "FAILED", END), json!({ "error": id })),
            with(execution(id, id, END, END, END), json!({ "error": id })),
            ingest(id, id, "INGESTED", END),
        ]);
    }
    assert_eq!(choices(&server, "errors")[2]["id"], LARGEST_ID);

    let wrong = ["0", "-1", "9007199254740992", "18446744073709551616", "0.0", "1.5", "1e-1", "\"1\"", "true", "[1]"];
    let ids: [(Value, &[&str]); 6] = [
        (job_type(1, "first"), &["id"]),
        (strike(1, "first"), &["id"]),
        (error(1, "first", "DATA"), &["id"]),
        (with(job(1, 1, "FAILED", END), json!({ "error": 1 })), &["id", "job_type", "error"]),
        (with(execution(1, 1, END, END, END), json!({ "error": 1 })), &["id", "job_type", "error"]),
        (ingest(1, 1, "INGESTED", END), &["id", "strike"]),
    ];
    for (object, fields) in ids {
        for field in fields {
            for wrong in wrong {
                let body = object.to_string().replace(&format!("\"{field}\":1"), &format!("\"{field}\":{wrong}"));
                let answer = server.send("POST", EVENTS, &[JSON], body.as_bytes());
                assert_eq!(answer.status, 400, "{body}");
                assert!(refused(&answer).contains(&(0, Some((*field).to_owned()))), "{body}: {}", answer.text());
                if ["0", "-1", "9007199254740992", "1.0", "1.5", "true"].contains(&wrong) {
                    assert!(answer.text().contains(&format!("not {wrong}")), "{body}: {}", answer.text());
                }
            }
        }
    }
}

#[test]
fn a_file_size_is_a_whole_number_of_at_least_0() {
    let server = server();
    for size in [0, 1, LARGEST_ID] {
        server.accept(&[with(ingest(1, 1, "INGESTED", END), json!({ "file_size": size }))]);
    }
    // Beyond what a rounded number can hold.
    for (size, again) in
        [("9007199254740993.0", "9007199254740993"), ("1.8446744073709551615e19", "18446744073709551615")]
    {
        let body = |size: &str| {
            ingest(1, 1, "INGESTED", END).to_string().replace("\"id\":1", &format!("\"id\":1,\"file_size\":{size}"))
        };
        assert_eq!(server.send("POST", EVENTS, &[JSON], body(size).as_bytes()).json()["updated"], 1);
        assert_eq!(server.send("POST", EVENTS, &[JSON], body(again).as_bytes()).json()["unchanged"], 1);
    }
    for size in [json!(-1), json!(0.5), json!("1")] {
        assert_refused_for(&server, &with(ingest(1, 1, "INGESTED", END), json!({ "file_size": size })), "file_size");
    }
}

#[test]
fn times_are_iso_8601_with_an_offset_or_z_and_utc_without_one() {
    let same = [
        "2015-01-01T23:30:00Z",
        "2015-01-01T23:30:00",
        "2015-01-01T23:30:00.0",
        "2015-01-01T23:30:00.000000Z",
        "2015-01-01T23:30:00+00:00",
        "2015-01-02T00:30:00+01:00",
        "2015-01-02T05:00:00+05:30",
        "2015-01-02T05:00:00.000+0530",
        "2015-01-01T15:30:00-08:00",
        "2015-01-01T15:30:00-0800",
    ];
    let server = server();
    assert_counts(&server.post(job(1, 1, "FAILED", same[0])), 1, 0, 0, 0);
    for time in same {
        assert_counts(&server.post(job(1, 1, "FAILED", time)), 0, 0, 1, 0);
    }
    assert_eq!(
        server.values("job-types", "total_count", "resolution=hour"),
        json!([{ "datetime": "2015-01-01T23:00:00", "value": 1 }])
    );
}

#[test]
fn times_are_kept_to_the_microsecond_and_what_is_finer_is_cut_off() {
    let server = server();
    assert_counts(&server.post(job(1, 1, "FAILED", "2015-01-01T00:00:00.123456Z")), 1, 0, 0, 0);
    for time in ["2015-01-01T00:00:00.1234569Z", "2015-01-01T00:00:00.123456999Z"] {
        assert_counts(&server.post(job(1, 1, "FAILED", time)), 0, 0, 1, 0);
    }
    assert_counts(&server.post(job(1, 1, "FAILED", "2015-01-01T00:00:00.123457Z")), 0, 1, 0, 0);

    server.accept(&[job(1, 1, "FAILED", "2015-01-01T00:59:59.9999999Z")]);
    assert_eq!(
        server.values("job-types", "total_count", "resolution=hour"),
        json!([{ "datetime": "2015-01-01T00:00:00", "value": 1 }])
    );
}

#[test]
fn times_lie_between_1970_and_9999() {
    let server = server();
    let accepted = [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00"),
        ("1969-12-31T19:00:00-05:00", "1970-01-01T00:00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:00:00"),
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:00:00"),
    ];
    for (time, bucket) in accepted {
        server.accept(&[job(1, 1, "FAILED", time)]);
        let values = server.values("job-types", "total_count", "resolution=hour&ended=9999-12-31T23:59:59Z");
        assert_eq!(values, json!([{ "datetime": bucket, "value": 1 }]));
    }
    let refused = [
        "1969-12-31T23:59:59Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:59:59+01:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "10000-01-01T00:00:00Z",
        "+10000-01-01T00:00:00Z",
        "-2015-01-01T00:00:00Z",
    ];
    for time in refused {
        assert_refused_for(&server, &job(1, 1, "FAILED", time), "ended");
    }
}

#[test]
fn a_time_that_is_no_iso_8601_date_time_is_an_error_of_every_field_that_holds_one() {
    let server = server();
    let wrong = [
        "",
        "now",
        "2015-01-01",
        "2015-01-01T",
        "T12:00:00Z",
        "12:00:00",
        "PT3H",
        "1420070400",
        "2015-02-29T00:00:00Z",
        "2015-04-31T00:00:00Z",
        "2015-13-01T00:00:00Z",
        "2015-00-10T00:00:00Z",
        "2015-01-00T00:00:00Z",
        "2015-01-32T00:00:00Z",
        "2015-01-01T25:00:00Z",
        "2015-01-01T00:60:00Z",
        "2015-01-01T00:00:61Z",
        "2015-01-01T00:00:00.Z",
        "2015-01-01T00:00:00+25:00",
        "2015-01-01T00:00:00+01:60",
        "2015-01-01T00:00:00+1",
        "2015-01-01T00:00:00Zx",
        " 2015-01-01T00:00:00Z",
        "2015-01-01T00:00:00Z ",
        "2015-01-01T00:00:00ZZ",
        "2015-1-1T00:00:00Z",
        "15-01-01T00:00:00Z",
        "2015-01-01T-1:00:00Z",
        "２０15-01-01T00:00:00Z",
    ];
    for time in wrong {
        assert_refused_for(&server, &job(1, 1, "FAILED", time), "ended");
    }
    for object in full_objects() {
        let times = fields(&object)
            .into_iter()
            .filter(|field| object[field].as_str().is_some_and(|text| text.starts_with("2015-")));
        for field in times {
            assert_refused_for(&server, &with(object.clone(), json!({ field.clone(): "2015-01-01" })), &field);
            assert_refused_for(
                &server,
                &with(object.clone(), json!({ field.clone(): "1969-12-31T23:59:59Z" })),
                &field,
            );
        }
    }
}
