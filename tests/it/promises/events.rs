//! Request bodies: an accepted body is JSON and has the expected number of objects. A written object must
//! read as the same object.

use scale_metrics::events::wire::{self, NotJson, Read, write_choices, write_event};
use scale_metrics::events::{Choices, Object};
use scale_metrics::vocabulary::MAX_ID;
use serde_json::Value;

/// Returns a body without the byte order mark that it may begin with.
fn unmarked(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

pub(crate) fn check_json(body: &[u8]) {
    let mut objects = Vec::new();
    let read = wire::read_json(body, |object| objects.push(object));
    let plain = serde_json::from_slice(unmarked(body))
        .map(|value| if let Value::Array(array) = value { array.len() } else { 1 });
    check(&read, &objects, plain.ok());
}

pub(crate) fn check_ndjson(body: &[u8]) {
    let mut objects = Vec::new();
    let read = wire::read_ndjson(body, |object| objects.push(object));
    let lines = unmarked(body).split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let plain = lines.map(serde_json::from_slice::<Value>).collect::<Result<Vec<_>, _>>();
    let is_text = str::from_utf8(body).is_ok();
    check(&read, &objects, plain.ok().filter(|_| is_text).map(|lines| lines.len()));
}

/// Checks the result of reading a body. `plain` is the number of objects that a generic JSON parser finds; `None` if the body is
/// not JSON.
fn check(read: &Result<(), NotJson>, objects: &[Read], plain: Option<usize>) {
    match (read, plain) {
        (Ok(()), Some(count)) => assert_eq!(objects.len(), count, "{objects:?}"),
        // The parser does not check the content of an array or object in a place where no field may have one.
        (Ok(()), None) => assert!(objects.iter().any(Result::is_err), "what is no JSON was accepted: {objects:?}"),
        (Err(error), Some(count)) => panic!("{count} objects are refused: {error}"),
        (Err(_), None) => {}
    }
    for object in objects {
        match object {
            Ok(object) => check_written(object),
            Err(problems) => assert!(!problems.is_empty(), "an object is refused without a problem"),
        }
    }
}

/// Checks that a written object can be read again. Times and ids of choices have types that hold only values in range, so a value
/// out of range appears when they are read again.
fn check_written(object: &Object) {
    let mut line = Vec::new();
    match object {
        Object::Choice(choice) => {
            let mut choices = Choices::default();
            choices.define(choice.clone());
            assert_eq!(write_choices(&mut line, &choices), 1);
        }
        Object::Event(event) => {
            assert!((1..=MAX_ID).contains(&event.key().id), "{event:?}");
            write_event(&mut line, event);
        }
        Object::Deletion(key) => panic!("no text is a deletion of {key:?}"),
    }
    let mut again = Vec::new();
    let read = wire::read_ndjson(&line, |object| again.push(object));
    assert_eq!((read, again), (Ok(()), vec![Ok(object.clone())]), "{}", String::from_utf8_lossy(&line));
}
