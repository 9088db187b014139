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
