//! Writes objects for exports: each as one line of NDJSON, which reads back as the same object.
//!
//! Fields of an event that have no value are omitted.

use serde::Serialize;

use crate::events::{Choice, Choices, Event};

#[derive(Serialize)]
struct Definition<'a> {
    kind: &'static str,
    #[serde(flatten)]
    choice: &'a Choice,
}

/// Appends a line for each definition, and returns the number of lines.
pub fn write_choices(out: &mut Vec<u8>, choices: &Choices) -> u64 {
    let definitions = choices.iter().map(|choice| Definition { kind: choice.kind().name(), choice });
    definitions.map(|definition| write(out, &definition)).count() as u64
}

/// Appends the line of an event.
pub fn write_event(out: &mut Vec<u8>, event: &Event) {
    write(out, event);
}

fn write(out: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *out, line).expect("lines have texts for keys, and a vector takes all that is written");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::request::Draft;
    use crate::events::{Choices, Object};

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
}
