//! Objects as clients write them: JSON in, valid [`Object`]s or the problems of each out (contract, section 3). `write` is
//! the way back, for exports.
//!
//! Reading an object never stops at its first mistake. The text is read once into slots, one for each name that any
//! kind knows (`object`); then the kind takes the fields it has, each with its type. What is missing, of a wrong type,
//! unknown or given twice becomes a [`Problem`] of that object, and the objects behind it are read all the same. Only text
//! that is no JSON ends the reading. Objects are handed on one by one, so that what a body says of itself never decides
//! how much memory it takes.
//!
//! Not here: bodies and their encodings (`api::events`), whether the choices that an event names are known
//! (`request`).

mod hint;
mod object;
mod tasks;
mod types;
mod value;
mod write;

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Object;
use hint::{Expected, hint};
use object::{Culprit, read_object};
use value::{Shape, Value, read_as_shape};
pub use write::{write_choices, write_event};

/// Something that is wrong with one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field that is wrong; `None` where the object as a whole is.
    pub field: Option<String>,
    /// What is wrong with it.
    pub detail: String,
}

/// The most problems that are told of one request, and so of one object.
pub const MAX_PROBLEMS: usize = 100;

/// The longest text that is shown where something is wrong with it, in characters.
const SHOWN_CHARS: usize = 40;

/// What one object of a body turned out to be: valid, or its problems: at least one, at most [`MAX_PROBLEMS`].
pub type Read = Result<Object, Vec<Problem>>;

/// The body is no JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// An `application/json` body; the position is in the text.
    #[error("the body is not JSON: {0}")]
    Body(String),
    /// A line of an `application/x-ndjson` body, counted from 1.
    #[error("line {line} is not JSON: {detail}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What the parser says, with the column.
        detail: String,
    },
}

impl NotJson {
    /// The same with what may help, if anything.
    fn with_hint(self, hint: Option<&str>) -> Self {
        let Some(hint) = hint else { return self };
        match self {
            Self::Body(detail) => Self::Body(format!("{detail} (hint: {hint})")),
            Self::Line { line, detail } => Self::Line { line, detail: format!("{detail} (hint: {hint})") },
        }
    }
}

/// Reads an `application/json` body, one object or an array of them, and gives each object to `take`.
pub fn read_json(body: &[u8], take: impl FnMut(Read)) -> Result<(), NotJson> {
    parse_json(body, take).map_err(|error| error.with_hint(hint(body, Expected::Json)))
}

fn parse_json(body: &[u8], mut take: impl FnMut(Read)) -> Result<(), NotJson> {
    let text = text_of(without_bom(body))
        .map_err(|(line, column)| NotJson::Body(format!("invalid utf-8 at line {line} column {column}")))?;
    let is_array = text.trim_ascii_start().starts_with('[');
    if !is_array {
        return read_alone(text).map(take).map_err(|error| NotJson::Body(error.to_string()));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut taken = 0;
    let counted = &mut |object| {
        taken += 1;
        take(object);
    };
    let read = json.deserialize_seq(Elements(counted)).and_then(|()| json.end());
    read.or_else(|error| read_apart(text, taken, &mut take).ok_or_else(|| NotJson::Body(error.to_string())))
}

/// Reads an `application/x-ndjson` body, an object a line, and gives each object to `take`. Blank lines are skipped.
pub fn read_ndjson(body: &[u8], take: impl FnMut(Read)) -> Result<(), NotJson> {
    parse_ndjson(body, take).map_err(|error| error.with_hint(hint(body, Expected::Lines)))
}

fn parse_ndjson(body: &[u8], mut take: impl FnMut(Read)) -> Result<(), NotJson> {
    let body = without_bom(body);
    let text = text_of(body)
        .map_err(|(line, column)| NotJson::Line { line, detail: format!("invalid utf-8 at column {column}") })?;
    let ends = memchr::memchr_iter(b'\n', body).chain([body.len()]);
    let mut start = 0;
    for (place, end) in ends.enumerate() {
        let line = &text[start..end];
        start = end + 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        take(read_alone(line).map_err(|error| {
            // The parser counts lines within what it is given, which is a single one.
            let detail = error.to_string().replace(" at line 1 column ", " at column ");
            NotJson::Line { line: place + 1, detail }
        })?);
    }
    Ok(())
}

/// Reads a text that is one object. JSON that the parser cannot represent, such as `1e400` or half of a surrogate pair, is a
/// problem of the object.
fn read_alone(text: &str) -> serde_json::Result<Read> {
    serde_json::from_str(text).map(|Line(object)| object).or_else(|error| {
        if serde_json::from_str::<IgnoredAny>(text).is_err() {
            return Err(error);
        }
        let mut field = Culprit::default();
        let found = serde_json::Deserializer::from_str(text).deserialize_map(&mut field).err().unwrap_or(error);
        let detail = found.to_string();
        let detail = detail.split(" at line ").next().unwrap_or_default();
        Ok(Err(vec![Problem { field: field.name(), detail: format!("cannot be read: {detail}") }]))
    })
}

/// Reads the elements of an array from number `from` on, each by itself, after reading them together has failed. Slower, but one
/// that cannot be represented does not end it. `None` if the text is not JSON.
fn read_apart(text: &str, from: usize, take: &mut impl FnMut(Read)) -> Option<()> {
    let mut rest = text.trim_ascii_start().strip_prefix('[')?;
    for place in 0.. {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let (element, behind) = rest.split_at(values.byte_offset());
        if place >= from {
            take(read_alone(element).ok()?);
        }
        let behind = behind.trim_ascii_start();
        if let Some(behind) = behind.strip_prefix(']') {
            return behind.trim_ascii().is_empty().then_some(());
        }
        rest = behind.strip_prefix(',')?;
    }
    None
}

/// The body without the byte order mark that some programs write in front.
fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The text of a body, or where it is none: line and column, from 1. Looked at once, as a whole: that is faster than
/// string by string.
fn text_of(body: &[u8]) -> Result<&str, (usize, usize)> {
    str::from_utf8(body).map_err(|error| {
        let lines = body[..error.valid_up_to()].split(|&byte| byte == b'\n');
        lines.fold((0, 1), |(lines, _), line| (lines + 1, line.len() + 1))
    })
}

/// The elements of an array, given away one by one.
struct Elements<'t, T>(&'t mut T);

impl<'de, T: FnMut(Read)> Visitor<'de> for Elements<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(Line(object)) = array.next_element()? {
            self.0(object);
        }
        Ok(())
    }
}

read_as_shape!(Line);

/// The value where one object should stand.
struct Line(Read);

impl<'de> Shape<'de> for Line {
    fn value(value: Value<'de>) -> Self {
        Self(Err(vec![Problem { field: None, detail: format!("must be an object, {}", value.found()) }]))
    }

    fn object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        read_object(object).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
