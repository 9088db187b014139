//! Forms, encodings and limits of a body.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde_json::{Value, json};

use super::{END, EVENTS, GZIP, JSON, NDJSON, assert_counts, refused, server, server_with, shown, total_of_jobs};
use crate::support::{TestServer, gzip, ingest, job, job_type, to_ndjson};

#[test]
fn a_body_is_one_json_object_an_array_of_them_or_one_object_a_line() {
    let server = server();
    assert_counts(&server.post(job(1, 1, "FAILED", END)), 1, 0, 0, 0);
    assert_counts(&server.post([job(2, 1, "FAILED", END), job(3, 1, "FAILED", END)]), 2, 0, 0, 0);
    let lines = to_ndjson(&[job(4, 1, "FAILED", END), job(5, 1, "FAILED", END)]);
    assert_counts(&server.ndjson(&lines), 2, 0, 0, 0);
    assert_counts(&server.ndjson(&job(6, 1, "FAILED", END).to_string()), 1, 0, 0, 0);
    assert_eq!(total_of_jobs(&server), 6);
}

#[test]
fn blank_lines_of_ndjson_are_skipped() {
    let server = server();
    let lines = format!("\n  \n{}\r\n\r\n\t\n{}", job(1, 1, "FAILED", END), job(2, 1, "FAILED", END));
    assert_counts(&server.ndjson(&lines), 2, 0, 0, 0);
}

#[test]
fn a_byte_order_mark_in_front_is_skipped() {
    let server = server();
    let object = |id| format!("\u{feff}{}", job(id, 1, "FAILED", END));
    assert_counts(&server.send("POST", EVENTS, &[JSON], object(1).as_bytes()), 1, 0, 0, 0);
    assert_counts(&server.ndjson(&object(2)), 1, 0, 0, 0);
    assert_counts(&server.ndjson("\u{feff}"), 0, 0, 0, 0);
    assert_eq!(total_of_jobs(&server), 2);
}

#[test]
fn whole_numbers_may_be_written_in_any_form() {
    let server = server();
    let body = |id: &str| format!(r#"{{"kind":"job","id":{id},"job_type":1.0,"status":"FAILED","ended":"{END}"}}"#);
    assert_counts(&server.ndjson(&body("7")), 1, 0, 0, 0);
    for same in ["7.0", "7e0", "70e-1", "0.7e1", "7.000E+0"] {
        assert_counts(&server.ndjson(&body(same)), 0, 0, 1, 0);
    }
    assert_counts(&server.ndjson(&body("9007199254740991.0")), 1, 0, 0, 0);
    for wrong in ["7.5", "0.0", "-7.0", "9007199254740992.0", "1e300", "1e-400"] {
        assert_eq!(refused(&server.ndjson(&body(wrong))), BTreeSet::from([(0, Some("id".to_owned()))]), "{wrong}");
    }
}

#[test]
fn numbers_and_texts_that_nothing_can_hold_are_errors_of_their_object() {
    let server = server();
    let good = job(1, 1, "FAILED", END).to_string();
    let huge = format!(r#"{{"kind":"job","id":1e400,"job_type":1,"status":"FAILED","ended":"{END}"}}"#);
    let lone = r#"{"kind":"job_type","id":5,"version":"1","name":"\ud800"}"#;
    let key = r#"{"kind":"strike","id":9,"name":"a","\udc00":1}"#;
    let task = r#"{"kind":"job_execution","id":1,"job_type":1,"status":"RUNNING","tasks":[{"type":1e400}]}"#;
    let objects = [&*good, &huge, lone, key, task, r#"{"kind":"job"}"#, &good];
    let errors: BTreeSet<(u64, Option<String>)> = [
        (1, Some("id")),
        (2, Some("name")),
        (3, None),
        (4, Some("tasks")),
        (5, Some("id")),
        (5, Some("job_type")),
        (5, Some("status")),
    ]
    .map(|(index, field): (u64, Option<&str>)| (index, field.map(str::to_owned)))
    .into();
    let array = format!(" [ {} ] ", objects.join(" , "));
    assert_eq!(refused(&server.send("POST", EVENTS, &[JSON], array.as_bytes())), errors);
    assert_eq!(refused(&server.ndjson(&objects.join("\n"))), errors);
    let alone = refused(&server.send("POST", EVENTS, &[JSON], huge.as_bytes()));
    assert_eq!(alone, BTreeSet::from([(0, Some("id".to_owned()))]));
    let broken = format!("[{huge},\n{{x}}]");
    server.send("POST", EVENTS, &[JSON], broken.as_bytes()).assert_refused(400, &["not JSON"]);
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn a_body_without_objects_is_fine_and_changes_nothing() {
    let server = server();
    let before = shown(&server);
    for body in ["[]", " [\n] "] {
        assert_counts(&server.send("POST", EVENTS, &[JSON], body.as_bytes()), 0, 0, 0, 0);
    }
    for body in ["", "\n", "\n \r\n\n"] {
        assert_counts(&server.ndjson(body), 0, 0, 0, 0);
        assert_counts(&server.send("POST", EVENTS, &[NDJSON, GZIP], &gzip(body.as_bytes())), 0, 0, 0, 0);
    }
    assert_eq!(shown(&server), before);
}

#[test]
fn an_empty_json_body_is_not_json() {
    let server = server();
    for body in ["", " ", "\n"] {
        server.send("POST", EVENTS, &[JSON], body.as_bytes()).assert_refused(400, &[]);
    }
}

#[test]
fn a_body_that_is_no_json_is_refused_with_the_position() {
    let server = server();
    let good = job(1, 1, "FAILED", END).to_string();
    let refuse = |body: &[u8], line: &str| {
        server.send("POST", EVENTS, &[JSON], body).assert_refused(400, &[line, "column"]);
    };
    refuse(b"[\n\n{\"kind\": job}]", "line 3");
    refuse(format!("{good}\n{good}").as_bytes(), "line 2");
    refuse(format!("[{good},]").as_bytes(), "line 1");
    refuse(format!("[{good}").as_bytes(), "line 1");
    refuse(b"kind=job&id=1", "line 1");
    refuse(b"{'kind': 'job'}", "line 1");
    refuse(b"[{\"kind\": \"job\", \"id\": 01}]", "line 1");
    refuse(b"[{\"kind\": \"job\", \"id\": NaN}]", "line 1");
    refuse(b"[{\"kind\": \"j\x01ob\"}]", "line 1");
    refuse(b"[{\"kind\": \"\xff\"}]", "line 1");
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn ndjson_that_is_no_json_is_refused_with_the_line_from_1() {
    let server = server();
    let good = job(1, 1, "FAILED", END).to_string();
    server.ndjson(&format!("{good}\n\n{{\"kind\": \n{good}")).assert_refused(400, &["line 3"]);
    server.ndjson(&format!("{good}\n{good} {good}\n")).assert_refused(400, &["line 2"]);
    server.ndjson(&good[..good.len() - 1]).assert_refused(400, &["line 1"]);
    let body = [good.as_bytes(), b"\n\n\n{\"kind\": \"\xff\"}"].concat();
    server.send("POST", EVENTS, &[NDJSON], &body).assert_refused(400, &["line 4"]);
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn deep_nesting_is_refused_and_the_server_stays_up() {
    let server = server();
    let deep = "[".repeat(500_000);
    for body in [deep.clone(), format!("{{\"kind\": \"job\", \"id\": {deep}"), "{\"tasks\":".repeat(200_000)] {
        assert_eq!(server.send("POST", EVENTS, &[JSON], body.as_bytes()).status, 400);
        assert_eq!(server.ndjson(&body).status, 400);
    }
    assert_counts(&server.post(job(1, 1, "FAILED", END)), 1, 0, 0, 0);
}

#[test]
fn json_that_is_no_object_is_an_error_of_the_object_as_a_whole() {
    let server = server();
    for wrong in [json!(1), json!("job"), json!(null), json!(true), json!([]), json!([job(1, 1, "FAILED", END)])] {
        let answer = server.post([job(1, 1, "FAILED", END), wrong.clone()]);
        assert_eq!(refused(&answer), BTreeSet::from([(1, None)]), "{wrong}");
        let answer = server.ndjson(&format!("{}\n{wrong}\n", job(1, 1, "FAILED", END)));
        assert_eq!(refused(&answer), BTreeSet::from([(1, None)]), "{wrong}");
    }
    for alone in ["1", "\"job\"", "null", "true"] {
        assert_eq!(server.send("POST", EVENTS, &[JSON], alone.as_bytes()).status, 400, "{alone}");
    }
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn content_types_are_taken_in_any_case_and_with_parameters() {
    let server = server();
    let body = job(1, 1, "FAILED", END).to_string();
    let content_types = [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/x-ndjson",
        "APPLICATION/X-NDJSON",
        "application/x-ndjson; charset=utf-8",
    ];
    for content_type in content_types {
        let answer = server.send("POST", EVENTS, &[("Content-Type", content_type)], body.as_bytes());
        assert_eq!(answer.status, 200, "{content_type}: {}", answer.text());
    }
}

#[test]
fn another_content_type_is_refused_with_415() {
    let server = server();
    let body = job(1, 1, "FAILED", END).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json", "*/*"] {
        let answer = server.send("POST", EVENTS, &[("Content-Type", content_type)], body.as_bytes());
        answer.assert_refused(415, &[]);
    }
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn another_content_encoding_is_refused_with_415() {
    let server = server();
    let body = job(1, 1, "FAILED", END).to_string();
    for encoding in ["br", "deflate", "zstd", "gzip, gzip", "gzipped"] {
        let headers = [JSON, ("Content-Encoding", encoding)];
        server.send("POST", EVENTS, &headers, body.as_bytes()).assert_refused(415, &[]);
    }
    // Two lines are a list.
    for [first, second] in [[GZIP, ("Content-Encoding", "br")], [JSON, ("Content-Type", "text/plain")]] {
        let answer = server.send("POST", EVENTS, &[JSON, first, second], &gzip(body.as_bytes()));
        answer.assert_refused(415, &[]);
    }
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn a_gzip_body_is_understood_in_every_form() {
    let server = server();
    let [one, two] = [1, 2].map(|id| job(id, 1, "FAILED", END));
    let send = |headers: &[(&str, &str)], body: &str| server.send("POST", EVENTS, headers, &gzip(body.as_bytes()));
    assert_counts(&send(&[JSON, GZIP], &one.to_string()), 1, 0, 0, 0);
    assert_counts(&send(&[JSON, GZIP], &json!([one, two]).to_string()), 1, 0, 1, 0);
    assert_counts(&send(&[NDJSON, GZIP], &to_ndjson(&[one.clone(), two])), 0, 0, 2, 0);
    assert_counts(&send(&[NDJSON, ("Content-Encoding", "GZIP")], &one.to_string()), 0, 0, 1, 0);
}

#[test]
fn a_gzip_body_of_several_members_is_one_body() {
    let server = server();
    let lines = to_ndjson(&[job(1, 1, "FAILED", END), job(2, 1, "FAILED", END)]);
    let (left, right) = lines.as_bytes().split_at(lines.len() / 3);
    let body = [gzip(left), gzip(b""), gzip(right)].concat();
    assert_counts(&server.send("POST", EVENTS, &[NDJSON, GZIP], &body), 2, 0, 0, 0);
}

#[test]
fn zeros_behind_a_gzip_body_are_padding() {
    let server = server();
    let body = gzip(to_ndjson(&[job(1, 1, "FAILED", END)]).as_bytes());
    for zeros in [1, 8, 10_000] {
        let padded = [&body[..], &vec![0; zeros]].concat();
        assert_eq!(server.send("POST", EVENTS, &[NDJSON, GZIP], &padded).status, 200, "{zeros} zeros");
        let more = [&padded[..], &body].concat();
        server.send("POST", EVENTS, &[NDJSON, GZIP], &more).assert_refused(400, &["gzip"]);
    }
}

#[test]
fn a_byte_order_mark_before_a_body_is_passed_over() {
    let server = server();
    let mark = "\u{feff}";
    let line = to_ndjson(&[job(1, 1, "FAILED", END)]);
    assert_counts(&server.send("POST", EVENTS, &[NDJSON], format!("{mark}{line}").as_bytes()), 1, 0, 0, 0);
    assert_counts(&server.send("POST", EVENTS, &[JSON], format!("{mark}[{line}]").as_bytes()), 0, 0, 1, 0);
    assert_counts(&server.send("POST", EVENTS, &[JSON, GZIP], &gzip(format!("{mark}{line}").as_bytes())), 0, 0, 1, 0);
}

#[test]
fn events_that_end_in_the_future_are_told() {
    let server = server();
    // It is 2015-02-01T00:00:00Z.
    let at = |time: &str| format!("2015-02-01T00:{time}Z");
    let failed = |id, time: &str| job(id, 1, "FAILED", &at(time));
    let post = |events: &[Value]| server.post(events).json();
    let objects = [failed(1, "05:00"), failed(2, "05:00.000001"), ingest(3, 1, "INGESTED", &at("06:00"))];
    assert_eq!(
        post(&objects),
        json!({"accepted": 3, "created": 3, "updated": 0, "unchanged": 0, "stale": 0, "future": 2})
    );
    assert_eq!(post(&objects)["future"], 2, "it is said of a body, whatever becomes of its objects");
    assert_eq!(post(&objects[..1]).get("future"), None);
    let running = job(4, 1, "RUNNING", &at("09:00"));
    assert_eq!(post(&[running]).get("future"), None, "it has not ended");
    let figures = server.get("/metrics").text();
    assert!(figures.contains("\nscale_metrics_events_future_total 4\n"), "{figures}");
}

#[test]
fn a_damaged_gzip_body_is_refused() {
    let server = server();
    let lines = to_ndjson(&[job(1, 1, "FAILED", END), job(2, 1, "FAILED", END)]);
    let whole = gzip(lines.as_bytes());
    let mut wrong_sum = whole.clone();
    let sum = whole.len() - 8;
    wrong_sum[sum] ^= 1;
    let damaged = [
        whole[..whole.len() - 1].to_vec(),
        whole[..whole.len() - 8].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        whole[..5].to_vec(),
        Vec::new(),
        [&whole[..], b"rubbish"].concat(),
        [&whole[..], &whole[..12]].concat(),
        wrong_sum,
        lines.into_bytes(),
    ];
    for body in damaged {
        server.send("POST", EVENTS, &[NDJSON, GZIP], &body).assert_refused(400, &[]);
    }
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn a_body_of_exactly_the_configured_size_is_taken_and_one_byte_more_is_413() {
    let server = server_with(TestServer::start_with(|config| config.server.max_body_bytes = 1000));
    let body = format!("{:<1000}", job(1, 1, "FAILED", END).to_string());
    let larger = format!("{body} ");
    assert_counts(&server.send("POST", EVENTS, &[JSON], body.as_bytes()), 1, 0, 0, 0);
    assert_counts(&server.send("POST", EVENTS, &[JSON, GZIP], &gzip(body.as_bytes())), 0, 0, 1, 0);
    server.send("POST", EVENTS, &[JSON], larger.as_bytes()).assert_refused(413, &[]);
    server.send("POST", EVENTS, &[JSON, GZIP], &gzip(larger.as_bytes())).assert_refused(413, &[]);
}

#[test]
fn a_body_that_unpacks_to_more_than_the_limit_is_413_and_nothing_is_stored() {
    let server = server_with(TestServer::start_with(|config| config.server.max_body_bytes = 100_000));
    let bomb = [to_ndjson(&[job(1, 1, "FAILED", END)]).into_bytes(), vec![b'\n'; 10_000_000]].concat();
    let packed = gzip(&bomb);
    assert!(packed.len() < 100_000);
    server.send("POST", EVENTS, &[NDJSON, GZIP], &packed).assert_refused(413, &[]);
    let in_members = gzip(&vec![b'\n'; 60_000]).repeat(2);
    server.send("POST", EVENTS, &[NDJSON, GZIP], &in_members).assert_refused(413, &[]);
    assert_eq!(total_of_jobs(&server), 0);
}

#[test]
fn a_client_that_sends_far_more_than_the_limit_still_reads_the_413() {
    let server = TestServer::start_with(|config| config.server.max_body_bytes = 1000);
    let mut random = fastrand::Rng::with_seed(413);
    let incompressible: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(4_000_000).collect();
    server.send("POST", EVENTS, &[JSON], &incompressible).assert_refused(413, &[]);
    server.send("POST", EVENTS, &[NDJSON, GZIP], &gzip(&incompressible)).assert_refused(413, &[]);
}

#[test]
fn a_body_that_is_announced_larger_than_the_limit_is_413_without_waiting_for_it() {
    let server = TestServer::start_with(|config| config.server.max_body_bytes = 1000);
    let head =
        b"POST /v6/events/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1001\r\n\r\n";
    assert!(server.raw(head).starts_with("HTTP/1.1 413 "));
}

#[test]
fn a_packed_body_counts_as_large_as_it_is_unpacked() {
    let server = server_with(TestServer::start_with(|config| config.server.max_body_bytes = 1000));
    for (bytes, status) in [(1000, 200), (1001, 413)] {
        let body = format!("{:bytes$}", job(1, 1, "FAILED", END).to_string());
        // Level 0 makes it larger than it was.
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(body.as_bytes()).unwrap();
        let packed = encoder.finish().unwrap();
        assert!(packed.len() > 1000);
        let answer = server.send("POST", EVENTS, &[JSON, GZIP], &packed);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(status == 200 || answer.text().contains("larger than 1000 bytes"), "{}", answer.text());
    }
}

#[test]
fn a_chunked_body_is_taken_up_to_the_limit_and_then_413() {
    let server = server_with(TestServer::start_with(|config| config.server.max_body_bytes = 1000));
    let chunked = |chunks: &[&str]| {
        let head = format!(
            "POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        );
        let chunks = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        server.raw(head + &chunks.collect::<String>() + "0\r\n\r\n")
    };
    let body = job(1, 1, "FAILED", END).to_string();
    let (left, right) = body.split_at(20);
    let answer = chunked(&[left, right]);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let spaces = " ".repeat(400);
    let answer = chunked(&["[", &spaces, &spaces, &spaces, "]"]);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[test]
fn a_body_that_does_not_arrive_in_time_is_408_and_nothing_is_stored() {
    let server = TestServer::start_with(|config| config.server.body_timeout_s = 1);
    // With the choice in the same body: nothing has to be posted in time before.
    let body = to_ndjson(&[job_type(1, "first"), job(1, 1, "FAILED", END)]);
    let answer = server.raw(format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len() + 1
    ));
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("{\"detail\":"), "{answer}");
    assert_eq!(total_of_jobs(&server), 0);
}
