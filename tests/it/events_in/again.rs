//! Choices that are known, events that come again, requests that are refused as a whole.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use super::{
    END, EVENTS, GZIP, JSON, NDJSON, assert_counts, assert_refused_for, choices, counts, fields, full_objects,
    least_objects, refused, required, server, server_with, shown, total_of_jobs, without,
};
use crate::support::{
    Answer, Client, TestServer, error, execution, gzip, ingest, job, job_type, strike, to_ndjson, with,
};

#[test]
fn an_unknown_choice_is_an_error_of_the_field_that_names_it() {
    let server = server();
    for object in [job(1, 1, "FAILED", END), execution(1, 1, END, END, END)] {
        assert_refused_for(&server, &with(object.clone(), json!({ "job_type": 3 })), "job_type");
        assert_refused_for(&server, &with(object, json!({ "error": 3 })), "error");
    }
    assert_refused_for(&server, &ingest(1, 3, "INGESTED", END), "strike");
    assert_refused_for(&server, &json!({ "kind": "job", "id": 1, "job_type": 3, "status": "PENDING" }), "job_type");
}

#[test]
fn a_choice_is_known_to_its_own_kind_only() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "one"), strike(2, "two"), error(3, "three", "DATA")]);
    assert_refused_for(&server, &job(1, 2, "FAILED", END), "job_type");
    assert_refused_for(&server, &with(job(1, 1, "FAILED", END), json!({ "error": 1 })), "error");
    assert_refused_for(&server, &ingest(1, 1, "INGESTED", END), "strike");
}

#[test]
fn a_choice_may_be_defined_earlier_in_the_same_request_but_not_later() {
    let server = TestServer::start();
    let event = job(1, 1, "FAILED", END);
    let late = server.post([event.clone(), job_type(1, "late")]);
    assert_eq!(refused(&late), BTreeSet::from([(0, Some("job_type".to_owned()))]));
    assert_refused_for(&server, &event, "job_type");
    assert_counts(&server.post([job_type(1, "early"), event]), 2, 0, 0, 0);
}

#[test]
fn an_invalid_definition_makes_no_choice_known() {
    let server = server();
    let answer = server.post([without(job_type(3, "third"), "version"), job(1, 3, "FAILED", END)]);
    let expected = [(0, Some("version".to_owned())), (1, Some("job_type".to_owned()))];
    assert_eq!(refused(&answer), BTreeSet::from(expected));
}

#[test]
fn a_choice_stays_known_after_a_restart() {
    let mut server = server();
    server.restart();
    server.accept(&[with(job(1, 2, "FAILED", END), json!({ "error": 2 })), ingest(1, 2, "INGESTED", END)]);
}

#[test]
fn a_later_definition_replaces_the_earlier_one_as_a_whole() {
    let server = TestServer::start();
    server.accept(&full_objects()[..3]);
    assert_counts(&server.post(&least_objects()[..3]), 0, 3, 0, 0);
    assert_eq!(choices(&server, "job-types")[0]["title"], "scale-clock");
    assert_eq!(choices(&server, "job-types")[0]["is_paused"], false);
    assert_eq!(choices(&server, "ingests")[0]["description"], Value::Null);
    assert_eq!(choices(&server, "errors"), json!([]));
    assert_counts(&server.post(&least_objects()[..3]), 0, 0, 3, 0);
}

#[test]
fn the_same_content_again_is_unchanged() {
    let mut server = server();
    server.accept(&full_objects());
    let before = shown(&server);
    assert_counts(&server.post(full_objects()), 0, 0, 6, 0);
    assert_counts(&server.ndjson(&to_ndjson(&full_objects())), 0, 0, 6, 0);
    server.restart();
    assert_counts(&server.post(full_objects()), 0, 0, 6, 0);
    assert_eq!(shown(&server), before);
}

#[test]
fn content_is_compared_with_its_defaults_filled_in() {
    let server = TestServer::start();
    server.accept(&least_objects());
    let job_type = json!({
        "title": "scale-clock", "is_system": false, "is_long_running": false, "is_active": true, "is_operational": true,
        "is_paused": false,
    });
    let error = json!({ "title": "no-disk", "is_builtin": false, "should_be_retried": false });
    let [first, second, third, ..] = least_objects();
    let filled = [with(first, job_type), with(second, json!({ "title": "north" })), with(third, error)];
    assert_counts(&server.post(filled), 0, 0, 3, 0);
}

#[test]
fn a_difference_in_any_field_is_other_content() {
    let server = server();
    let mut ids = 100..;
    for object in full_objects() {
        for field in fields(&object).iter().filter(|field| *field != "id") {
            let other = match (field.as_str(), &object[field]) {
                ("status", _) if object["kind"] == "ingest" => json!("ERRORED"),
                ("status", _) => json!("CANCELED"),
                ("category", Value::String(text)) if text == "SYSTEM" => json!("DATA"),
                ("tasks", Value::Array(tasks)) => tasks.iter().rev().cloned().collect(),
                (_, Value::Bool(value)) => json!(!value),
                (_, Value::Number(_)) => json!(2),
                (_, Value::String(text)) if text.starts_with("2015-") => json!(text.replace(":0", ":3")),
                (_, value) => json!(format!("{value}!")),
            };
            let mut others = vec![with(object.clone(), json!({ field: other }))];
            if !required(object["kind"].as_str().unwrap()).contains(&field.as_str()) {
                others.push(without(object.clone(), field));
            }
            for other in others {
                let id = json!({ "id": ids.next() });
                server.accept(&[with(object.clone(), id.clone())]);
                assert_eq!(server.post(with(other.clone(), id)).json(), counts(0, 1, 0, 0), "{field}: {other}");
            }
        }
    }
}

#[test]
fn a_difference_inside_a_task_is_other_content() {
    let server = server();
    let with_task = |task: Value| with(execution(1, 1, END, END, END), json!({ "tasks": [{ "type": "pre" }, task] }));
    server.accept(&[with_task(json!({ "type": "main", "started": END }))]);
    let others = [
        json!({ "type": "post", "started": END }),
        json!({ "type": "post", "ended": END }),
        json!({ "type": "post" }),
        json!({ "type": "post", "started": "2015-01-01T12:00:00.000001Z" }),
    ];
    for other in others {
        assert_counts(&server.post(with_task(other)), 0, 1, 0, 0);
    }
}

#[test]
fn kinds_have_ids_of_their_own() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "one"), strike(1, "one"), error(1, "one", "DATA")]);
    let answer = server.post([job(1, 1, "FAILED", END), execution(1, 1, END, END, END), ingest(1, 1, "ERRORED", END)]);
    assert_counts(&answer, 3, 0, 0, 0);
}

#[test]
fn an_older_event_with_other_content_is_stale_and_ignored() {
    let server = server();
    let modified = |object: Value, time: &str| with(object, json!({ "last_modified": time }));
    let (older, newer) = ("2015-01-01T12:00:00.000001Z", "2015-01-01T12:00:00.000002Z");
    for (new, old) in [
        (job(1, 1, "COMPLETED", END), job(1, 2, "FAILED", END)),
        (execution(1, 1, END, END, END), execution(1, 2, END, END, END)),
        (ingest(1, 1, "INGESTED", END), ingest(1, 2, "ERRORED", END)),
    ] {
        server.accept(&[modified(new.clone(), newer)]);
        let before = shown(&server);
        assert_counts(&server.post(modified(old.clone(), older)), 0, 0, 0, 1);
        assert_counts(&server.post(modified(new.clone(), older)), 0, 0, 0, 1);
        assert_eq!(shown(&server), before);
        assert_counts(&server.post(modified(new, newer)), 0, 0, 1, 0);
    }
}

#[test]
fn an_event_is_stale_only_if_both_carry_last_modified_and_the_new_one_is_older() {
    let server = server();
    let at = |status: &str, time: Option<&str>| with(job(1, 1, status, END), json!({ "last_modified": time }));
    let (first, second) = (Some("2015-01-01T12:00:00Z"), Some("2015-01-01T12:00:01Z"));
    assert_counts(&server.post(at("FAILED", second)), 1, 0, 0, 0);
    assert_counts(&server.post(at("COMPLETED", second)), 0, 1, 0, 0);
    assert_counts(&server.post(at("FAILED", first)), 0, 0, 0, 1);
    assert_counts(&server.post(at("FAILED", None)), 0, 1, 0, 0);
    assert_counts(&server.post(at("COMPLETED", first)), 0, 1, 0, 0);
    assert_counts(&server.post(at("FAILED", second)), 0, 1, 0, 0);
    assert_eq!(server.values("job-types", "failed_count", "")[0]["value"], 1);
}

#[test]
fn within_a_request_objects_apply_in_order() {
    let server = server();
    let at = |status: &str, time: &str| with(job(1, 1, status, END), json!({ "last_modified": time }));
    let (first, second) = ("2015-01-01T12:00:00Z", "2015-01-01T12:00:01Z");
    let request = [
        at("FAILED", first),
        at("COMPLETED", second),
        at("COMPLETED", second),
        at("FAILED", first),
        job(2, 1, "CANCELED", END),
    ];
    let answer = server.post(&request);
    assert_eq!(answer.json(), json!({ "accepted": 5, "created": 2, "updated": 1, "unchanged": 1, "stale": 1 }));
    assert_eq!(server.values("job-types", "completed_count", "")[0]["value"], 1);
    assert_eq!(total_of_jobs(&server), 2);

    assert_counts(&server.post(&request), 0, 0, 3, 2);
}

#[test]
fn the_last_of_several_definitions_in_a_request_holds() {
    let server = TestServer::start();
    let answer = server.post([job_type(1, "a"), job(1, 1, "FAILED", END), job_type(1, "b"), job_type(1, "b")]);
    assert_counts(&answer, 2, 1, 1, 0);
    assert_eq!(choices(&server, "job-types")[0]["name"], "b");
}

#[test]
fn requests_at_the_same_time_count_each_event_once() {
    let server = server();
    let ids = 1..=40;
    let requests: Vec<Vec<Value>> =
        ids.clone().map(|id| vec![job(id, 1, "FAILED", END), job(id + 1, 1, "FAILED", END)]).collect();
    let client: &Client = &server;
    let created = |request| client.post(request).json()["created"].as_u64().unwrap();
    let created: u64 = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| requests.iter().map(created).sum::<u64>())).collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(created, 41);
    assert_eq!(total_of_jobs(&server), 41);
}

#[test]
fn large_requests_at_the_same_time_wait_for_each_other() {
    let server = server_with(TestServer::start_with(|config| config.server.queue_bytes = 200_000));
    let client: &Client = &server;
    // The body of one has room, what it has in it as well; those of two do not. Some are read from their first byte again.
    let body = |first: u64| to_ndjson(&(first..first + 800).map(|id| job(id, 1, "FAILED", END)).collect::<Vec<_>>());
    assert!((50_000..100_000).contains(&body(1).len()));
    let post = |n: u64| {
        for round in 0..4 {
            let first = 10_000 * n + 1_000 * round + 1;
            assert_counts(&client.ndjson(&body(first)), 800, 0, 0, 0);
            assert_counts(&client.post(job(first + 900, 1, "FAILED", END)), 1, 0, 0, 0);
        }
    };
    std::thread::scope(|scope| (0..6).for_each(|n| _ = scope.spawn(move || post(n))));
    assert_eq!(total_of_jobs(&server), 6 * 4 * 801);
    assert_eq!(server.room_taken(), 0);
}

#[test]
fn a_body_takes_room_from_its_first_byte_on_and_others_hear_503_if_it_takes_too_long() {
    let server = server_with(TestServer::start_with(|config| {
        config.server.queue_bytes = 100_000;
        config.server.body_timeout_s = 3_600;
        config.server.body_least_bytes_s = 0;
    }));
    let filled = |id: u64, blanks: usize| to_ndjson(&[job(id, 1, "FAILED", END)]) + &" ".repeat(blanks) + "\n";
    let head = |body: &str| {
        let length = body.len();
        format!(
            "POST /v6/events/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    // One takes as much of the room as a large one may, another one the turn.
    let mut slow = Vec::new();
    for id in 1..=2 {
        let body = filled(id, 90_000);
        let mut connection = server.connect();
        connection.write_all((head(&body) + &body[..75_000]).as_bytes()).unwrap();
        server.wait_for_room_taken(75_000 * id);
        slow.push((connection, body));
    }
    let other = filled(3, 30_000);
    let bomb = gzip(&vec![b'\n'; 1_000_000]);
    let is_refused = |refused: &Answer| {
        refused.assert_refused(503, &["memory"]);
        assert_eq!(refused.header("Retry-After"), Some("1"));
    };
    std::thread::scope(|scope| {
        scope.spawn(|| is_refused(&server.ndjson(&other)));
        scope.spawn(|| is_refused(&server.send("POST", EVENTS, &[NDJSON, GZIP], &bomb)));
        // A small one finds room.
        assert_eq!(server.post(job(4, 1, "FAILED", END)).status, 200);
    });
    assert_eq!(total_of_jobs(&server), 1);
    // The one that has the turn makes room for the other.
    for (connection, body) in slow.iter_mut().rev() {
        connection.write_all(&body.as_bytes()[75_000..]).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    assert_eq!(server.ndjson(&other).status, 200);
    assert_eq!(server.send("POST", EVENTS, &[NDJSON, GZIP], &bomb).status, 200);
    assert_eq!(total_of_jobs(&server), 4);
}

#[test]
fn a_refused_request_stores_nothing_of_what_was_valid_in_it() {
    let mut server = server();
    server.accept(&[job(1, 1, "FAILED", END)]);
    let before = shown(&server);
    let valid = [
        job_type(9, "ninth"),
        with(job_type(1, "renamed"), json!({ "is_paused": true })),
        error(1, "error", "SYSTEM"),
        job(1, 2, "COMPLETED", "2015-01-03T00:00:00Z"),
        job(2, 9, "COMPLETED", END),
        execution(2, 1, END, END, END),
        ingest(2, 1, "INGESTED", END),
    ];
    let invalid = job(3, 1, "COMPLETED", "yesterday");
    for place in 0..=valid.len() {
        let mut request = valid.to_vec();
        request.insert(place, invalid.clone());
        let at = u64::try_from(place).unwrap();
        assert_eq!(refused(&server.post(&request)), BTreeSet::from([(at, Some("ended".to_owned()))]));
        assert_eq!(refused(&server.ndjson(&to_ndjson(&request))), BTreeSet::from([(at, Some("ended".to_owned()))]));
    }
    let lines = to_ndjson(&valid);
    assert_eq!(server.ndjson(&format!("{lines}{{")).status, 400);
    assert_eq!(server.send("POST", EVENTS, &[NDJSON, GZIP], &gzip(lines.as_bytes())[..100]).status, 400);
    assert_eq!(shown(&server), before);
    server.restart();
    assert_eq!(shown(&server), before);
    assert_counts(&server.post(valid), 4, 3, 0, 0);
}

#[test]
fn the_detail_says_how_many_events_of_all_are_invalid() {
    let server = server();
    let wrong = |id: u64| without(without(job(id, 1, "FAILED", END), "ended"), "job_type");
    let request = [job(1, 1, "FAILED", END), wrong(2), job(3, 1, "FAILED", END), wrong(4), job(5, 1, "FAILED", END)];
    let answer = server.post(request);
    let places: BTreeSet<u64> = refused(&answer).into_iter().map(|(index, _)| index).collect();
    assert_eq!(places, BTreeSet::from([1, 3]));
    assert_eq!(answer.json()["detail"], "2 of 5 events are invalid; nothing was stored.");
}

#[test]
fn at_most_100_errors_are_listed_but_all_are_counted() {
    let server = server();
    let wrong = |count: u64| (1..=count).map(|id| job(id, 1, "FAILED", "late")).collect::<Vec<_>>();
    for (posted, listed) in [(99, 99), (100, 100), (101, 100), (2500, 100)] {
        let answer = server.post(wrong(posted));
        let expected = (0..listed).map(|index| (index, Some("ended".to_owned()))).collect();
        assert_eq!(refused(&answer), expected);
        let detail = format!("{posted} of {posted} events are invalid; nothing was stored.");
        assert_eq!(answer.json()["detail"], detail);
    }
}

#[test]
fn the_index_counts_objects_not_lines() {
    let server = server();
    let lines = format!("\n{}\n\n\n{}\n", job(1, 1, "FAILED", END), job(2, 1, "FAILED", "late"));
    assert_eq!(refused(&server.ndjson(&lines)), BTreeSet::from([(1, Some("ended".to_owned()))]));
}

#[test]
fn an_object_with_several_problems_is_one_invalid_event_and_no_other_field_is_blamed() {
    let server = server();
    let object = json!({ "kind": "job", "id": 0, "job_type": 7, "status": "DONE", "ended": "late", "colour": 1 });
    let answer = server.post([job(1, 1, "FAILED", END), object, job(2, 1, "FAILED", "late")]);
    let problems = refused(&answer);
    assert!(problems.contains(&(2, Some("ended".to_owned()))), "{problems:?}");
    let wrong = ["id", "job_type", "status", "ended", "colour"];
    let fields: Vec<&str> =
        problems.iter().filter(|(index, _)| *index == 1).map(|(_, field)| field.as_deref().unwrap()).collect();
    assert!(!fields.is_empty() && fields.iter().all(|field| wrong.contains(field)), "{problems:?}");
    assert_eq!(answer.json()["detail"], "2 of 3 events are invalid; nothing was stored.");
}

#[test]
fn what_is_acknowledged_shows_at_once_and_after_a_restart() {
    let mut server = server();
    for id in 1..=20 {
        server.accept(&[job(id, 1, "FAILED", END)]);
        assert_eq!(total_of_jobs(&server), id);
    }
    server.restart();
    assert_eq!(total_of_jobs(&server), 20);
}

#[test]
fn a_server_that_stopped_leaves_its_database_to_the_next_one() {
    let mut server = server();
    for id in 1..=20 {
        server.accept(&[job(id, 1, "FAILED", END)]);
        server.restart();
        assert_eq!(total_of_jobs(&server), id);
    }
}

#[test]
fn wait_answers_when_it_shows() {
    let server = server();
    for (id, path) in (1..).zip(["/v6/events/?wait=true", "/v6/events/?wait=false", "/v6/events/?colour=1"]) {
        let body = job(id, 1, "FAILED", END).to_string();
        assert_counts(&server.send("POST", path, &[JSON], body.as_bytes()), 1, 0, 0, 0);
        assert_eq!(total_of_jobs(&server), id);
    }
}
