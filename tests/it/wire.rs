//! The JSON format of objects, without a server: what is read, what is told of mistakes, and what is written for an export.

use scale_metrics::events::request::Draft;
use scale_metrics::events::wire::{MAX_PROBLEMS, NotJson, Read, read_json, read_ndjson, write_choices, write_event};
use scale_metrics::events::{Choices, Object};

#[test]
fn what_is_no_json_is_told_with_line_and_column() {
    let json = |body: &[u8]| read_json(body, |_| {}).map_err(|error| error.to_string());
    let ndjson = |body: &[u8]| read_ndjson(body, |_| {}).map_err(|error| error.to_string());
    let told = |text: &str| Err(text.to_owned());
    assert_eq!(json(b"[{},\n {x}]"), told("the body is not JSON: key must be a string at line 2 column 3"));
    assert_eq!(ndjson(b"{}\n {x}\n"), told("line 2 is not JSON: key must be a string at column 3"));
    assert_eq!(json(b"[\"\xff\"]"), told("the body is not JSON: invalid utf-8 at line 1 column 3"));
    assert_eq!(json(b"[{},\n\"ab\xff\"]"), told("the body is not JSON: invalid utf-8 at line 2 column 4"));
    assert_eq!(ndjson(b"{}\n\n\xff\n"), told("line 3 is not JSON: invalid utf-8 at column 1"));
    assert_eq!(ndjson(b"{}\n\n{}"), Ok(()));
}

#[test]
fn a_value_that_the_parser_cannot_hold_is_a_problem_of_its_object() {
    let job = |id: &str| format!(r#"{{"kind":"job","id":{id},"job_type":1,"status":"QUEUED"}}"#);
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    let objects = [
        job("7.0"),
        job("1e400"),
        r#"{"kind":"strike","id":1,"name":"\ud800"}"#.to_owned(),
        r#"{"kind":"strike","id":1,"name":"a","\udc00":1}"#.to_owned(),
        r#"{"kind":"job_execution","id":1,"job_type":1,"status":"QUEUED","tasks":[1e400]}"#.to_owned(),
        job(&deep),
        "1e400".to_owned(),
        "2.0".to_owned(),
        job("8"),
    ];
    let expected = [
        None,
        Some((Some("id"), "must be an integer from 1 to 9007199254740991, not 1e400")),
        Some((Some("name"), "must be a string, not a text with a lone surrogate (\\ud800 to \\udfff)")),
        Some((None, "has a name with a lone surrogate (\\ud800 to \\udfff)")),
        Some((Some("tasks"), "has a number that is too large, a text that is no Unicode, or too many levels")),
        Some((Some("id"), "must be an integer from 1 to 9007199254740991, not an array")),
        Some((None, "must be an object, not 1e400")),
        Some((None, "must be an object, not 2")),
        None,
    ];
    let first = |read: Read| read.err().map(|mut problems| problems.remove(0));
    let array = format!("[{}]", objects.join(" ,\n"));
    let (mut in_array, mut in_lines) = (Vec::new(), Vec::new());
    read_json(array.as_bytes(), |read| in_array.push(first(read))).unwrap();
    read_ndjson(objects.join("\n").as_bytes(), |read| in_lines.push(first(read))).unwrap();
    for told in [in_array, in_lines] {
        let told = told.iter().map(|it| it.as_ref().map(|it| (it.field.as_deref(), it.detail.as_str())));
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn no_object_has_more_problems_than_are_told() {
    for name in [r"\ud800", "unknown"] {
        let names = vec![format!(r#""{name}":1"#); 3 * MAX_PROBLEMS].join(",");
        let mut counts = Vec::new();
        read_json(format!("{{{names}}}").as_bytes(), |read| counts.push(read.unwrap_err().len())).unwrap();
        assert_eq!(counts, [MAX_PROBLEMS], "{name}");
    }
}

#[test]
fn arrays_are_json_as_any_parser_has_it() {
    for body in [
        "",
        " ",
        "[",
        "[]",
        "[ ]",
        "[,]",
        "[{}",
        "[{},",
        "[{},]",
        "[{} {}]",
        "[]]",
        "[] x",
        "{}",
        "{} {}",
        "[{}\n,\n{]",
        "[\n{},\n x]",
        "[{\"a\":\n1 2}]",
        "[nul]",
        "[1e5,true]",
        "[\"a\"]",
        "[[],[{}]]",
        "[{}}",
        "\"a",
        "[\"a",
    ] {
        let expected = serde_json::from_str::<serde_json::Value>(body);
        match (read_json(body.as_bytes(), |_| {}), expected) {
            (Ok(()), Ok(_)) => {}
            (Err(NotJson::Body(said)), Err(expected)) => {
                let without_hint = said.split(" (hint: ").next();
                assert_eq!(without_hint, Some(expected.to_string().as_str()), "{body:?}");
            }
            (read, expected) => panic!("{body:?}: {read:?}, not {expected:?}"),
        }
    }
}

#[test]
fn a_byte_order_mark_in_front_is_passed_over() {
    let mut count = 0;
    read_json("\u{feff}[{}]".as_bytes(), |_| count += 1).unwrap();
    read_ndjson("\u{feff}{}\n{}".as_bytes(), |_| count += 1).unwrap();
    assert_eq!(count, 3);
    assert!(read_ndjson("{}\n\u{feff}{}".as_bytes(), |_| {}).is_err());
}

#[test]
fn what_stands_where_it_must_not_is_told() {
    let long = "x".repeat(40);
    let told = |value: &str| {
        let line = format!(r#"{{"kind":"job","id":{value},"job_type":1,"status":"QUEUED"}}"#);
        let mut told = Vec::new();
        read_ndjson(line.as_bytes(), |read| told.extend(read.unwrap_err())).unwrap();
        told.into_iter().map(|problem| (problem.field.unwrap(), problem.detail)).collect::<Vec<_>>()
    };
    for (value, found) in [
        ("true", "true"),
        ("0", "0"),
        ("1.5", "1.5"),
        ("\"a\"", "\"a\""),
        (&format!("\"{long}\""), &format!("\"{long}\"")),
        (&format!("\"{long}x\""), "another text"),
        ("[1]", "an array"),
        ("{\"a\":1}", "an object"),
    ] {
        let [(field, detail)] = told(value).try_into().unwrap();
        assert_eq!(field, "id");
        assert!(detail.ends_with(&format!(", not {found}")), "{detail}");
    }
}

#[test]
fn a_wrong_task_is_told_by_its_place() {
    let line = br#"{"kind":"job_execution","id":1,"job_type":1,"status":"RUNNING","started":"2015-01-01T00:00:00Z",
        "tasks":[{"type":"pre"},{"type":"main"},{"type":"post"},{"started":null}]}"#;
    let mut told = Vec::new();
    read_json(line, |read| told.extend(read.unwrap_err())).unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].field.as_deref(), &*told[0].detail), (Some("tasks"), "[3] type is required"));
}

const FULL: &str = r#"
{"kind":"job_type","id":1,"name":"a \"quoted\" name\n","version":"1","title":"ü","description":null,"category":"c","author_name":"d","author_url":"e","is_system":true,"is_long_running":true,"is_active":false,"is_operational":false,"is_paused":true,"icon_code":"f"}
{"kind":"strike","id":9007199254740991,"name":"a","title":"b","description":"c"}
{"kind":"error","id":2,"name":"a","title":"b","description":"c","job_type_name":"d","category":"ALGORITHM","is_builtin":true,"should_be_retried":true}
{"kind":"job","id":1,"job_type":1,"status":"PENDING"}
{"kind":"job","id":2,"job_type":1,"status":"FAILED","ended":"1970-01-01T00:00:00Z","error":2,"last_modified":"9999-12-31T23:59:59.999999Z"}
{"kind":"job_execution","id":1,"job_type":1,"status":"QUEUED"}
{"kind":"job_execution","id":2,"job_type":1,"status":"COMPLETED","queued":"2015-01-01T00:00:00Z","started":"2015-01-01T00:00:00.000001Z","ended":"2016-02-29T12:34:56.789Z","error":2,"tasks":[{"type":"pull"},{"type":"main","started":"2015-01-01T00:00:00Z","ended":"2015-01-01T00:00:01Z"}],"last_modified":"2015-01-01T00:00:00Z"}
{"kind":"ingest","id":1,"status":"TRANSFERRING"}
{"kind":"ingest","id":2,"strike":9007199254740991,"status":"INGESTED","file_size":18446744073709551615,"transfer_started":"2015-01-01T00:00:00Z","transfer_ended":"2015-01-01T00:00:01Z","ingest_started":"2015-01-01T00:00:02Z","ingest_ended":"2015-01-01T00:00:03Z","last_modified":"2015-01-01T00:00:04Z"}
"#;

fn read(lines: &[u8]) -> Vec<Object> {
    let mut draft = Draft::default();
    draft.read_ndjson(lines).unwrap();
    draft.finish().unwrap()
}

#[test]
fn every_field_of_every_kind_is_written_as_it_is_read() {
    let objects = read(FULL.as_bytes());
    let (mut choices, mut events) = (Choices::default(), Vec::new());
    for object in &objects {
        match object {
            Object::Choice(choice) => choices.define(choice.clone()),
            Object::Event(event) => write_event(&mut events, event),
            Object::Deletion(key) => panic!("a body deletes {key:?}"),
        }
    }
    let mut written = Vec::new();
    assert_eq!(write_choices(&mut written, &choices), 3);
    written.extend(events);
    assert_eq!(read(&written), objects);
    let written = String::from_utf8(written).unwrap();
    let as_written = FULL.trim_start().replace("56.789Z", "56.789000Z");
    assert_eq!(written, as_written);
}
