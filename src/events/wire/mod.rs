//! The JSON format of objects. It parses the text of clients into valid [`Object`]s or the problems of each (docs/reference.md,
//! Posting events). `write` does the reverse, for exports.
//!
//! Reading an object never stops at its first mistake. The parser reads the text once into slots, one for each field name of any
//! kind (`object`). Then the kind takes its fields, each with its type. A field that is missing, of a wrong type, unknown or
//! given twice becomes a [`Problem`] of that object, and the next objects are still read. Only text that is not JSON ends the
//! reading. Objects are handed on one at a time, so memory grows only with objects that were read.
//!
//! Not here: bodies and their encodings (`api::post_events`), whether the choices that an event names are known (`request`).

mod exact;
mod field;
mod hint;
mod object;
mod tasks;
mod types;
mod value;
mod write;

use serde::de::{IgnoredAny, MapAccess};

use super::Object;
use hint::{Expected, hint};
use object::{IsRounded, Parsed, read_object};
use value::{Shape, Value, read_as_shape};
pub use write::{write_choices, write_event};

/// A mistake in one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field that is wrong; `None` if the whole object is wrong.
    pub field: Option<String>,
    /// What is wrong with it.
    pub detail: String,
}

/// The maximum number of problems that are reported for one request, and so for one object.
pub const MAX_PROBLEMS: usize = 100;

/// The longest text that a problem quotes, in characters.
const SHOWN_CHARS: usize = 40;

/// The result of reading one object of a body: the valid object, or its problems, from 1 to [`MAX_PROBLEMS`].
pub type Read = Result<Object, Vec<Problem>>;

/// The body is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// An `application/json` body. The text contains the position.
    #[error("the body is not JSON: {0}")]
    Body(String),
    /// A line of an `application/x-ndjson` body, counted from 1.
    #[error("line {line} is not JSON: {detail}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// The message of the parser, with the column.
        detail: String,
    },
}

impl NotJson {
    /// Adds a hint to the message, if there is one.
    fn with_hint(self, hint: Option<&str>) -> Self {
        let Some(hint) = hint else { return self };
        match self {
            Self::Body(detail) => Self::Body(format!("{detail} (hint: {hint})")),
            Self::Line { line, detail } => Self::Line { line, detail: format!("{detail} (hint: {hint})") },
        }
    }
}

/// Reads an `application/json` body, one object or an array of them, and passes each object to `take`.
pub fn read_json(body: &[u8], take: impl FnMut(Read)) -> Result<(), NotJson> {
    parse_json(body, take).map_err(|error| error.with_hint(hint(body, Expected::Json)))
}

fn parse_json(body: &[u8], mut take: impl FnMut(Read)) -> Result<(), NotJson> {
    let text = text_of(body)
        .map_err(|(line, column)| NotJson::Body(format!("invalid utf-8 at line {line} column {column}")))?;
    let mut rest = Rest { text, place: 0 };
    if rest.next_byte() == Some(b'[') {
        rest.place += 1;
        let mut is_first = true;
        loop {
            match rest.next_byte() {
                Some(b']') if is_first => break,
                Some(b']') => return Err(rest.error("trailing comma")),
                None if is_first => return Err(rest.error("EOF while parsing a list")),
                _ => take(rest.element()?),
            }
            is_first = false;
            match rest.next_byte() {
                Some(b',') => rest.place += 1,
                Some(b']') => break,
                Some(_) => return Err(rest.error("expected `,` or `]`")),
                None => return Err(rest.error("EOF while parsing a list")),
            }
        }
        rest.place += 1;
    } else {
        take(rest.element()?);
    }
    if rest.next_byte().is_some() { Err(rest.error("trailing characters")) } else { Ok(()) }
}

/// Reads an `application/x-ndjson` body, one object per line, and passes each object to `take`. Blank lines are skipped.
pub fn read_ndjson(body: &[u8], take: impl FnMut(Read)) -> Result<(), NotJson> {
    parse_ndjson(body, take).map_err(|error| error.with_hint(hint(body, Expected::Lines)))
}

fn parse_ndjson(body: &[u8], mut take: impl FnMut(Read)) -> Result<(), NotJson> {
    let text = text_of(body)
        .map_err(|(line, column)| NotJson::Line { line, detail: format!("invalid utf-8 at column {column}") })?;
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]);
    let mut start = 0;
    for (place, end) in ends.enumerate() {
        let line = &text[start..end];
        start = end + 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let object = match serde_json::from_str(line) {
            Ok(Line(Ok(object))) => object,
            Ok(Line(Err(IsRounded))) => exact::read(line),
            // A line that fails only because of the values of fields is still well-formed JSON.
            Err(_) => serde_json::from_str::<IgnoredAny>(line).map(|_| exact::read(line)).map_err(|error| {
                // The parser counts lines within its input, which is a single line.
                let detail = error.to_string().replace(" at line 1 column ", " at column ");
                NotJson::Line { line: place + 1, detail }
            })?,
        };
        take(object);
    }
    Ok(())
}

/// The rest of a body: the text from `place` on.
struct Rest<'a> {
    text: &'a str,
    place: usize,
}

impl Rest<'_> {
    /// Skips white space, and returns the next byte without consuming it.
    fn next_byte(&mut self) -> Option<u8> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\t' | b'\r');
        let rest = &self.text.as_bytes()[self.place..];
        self.place += rest.iter().take_while(|byte| is_blank(byte)).count();
        self.text.as_bytes().get(self.place).copied()
    }

    /// Reads the value at the current place.
    fn element(&mut self) -> Result<Read, NotJson> {
        let text = &self.text[self.place..];
        let mut fast = serde_json::Deserializer::from_str(text).into_iter::<Line>();
        let (read, length) = match fast.next() {
            Some(Ok(Line(Ok(read)))) => (read, fast.byte_offset()),
            Some(Ok(Line(Err(IsRounded)))) => (exact::read(&text[..fast.byte_offset()]), fast.byte_offset()),
            None | Some(Err(_)) => {
                let mut passed = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
                match passed.next() {
                    Some(Ok(_)) => (exact::read(&text[..passed.byte_offset()]), passed.byte_offset()),
                    Some(Err(error)) => return Err(self.error_in_element(&error)),
                    None => return Err(self.error("EOF while parsing a value")),
                }
            }
        };
        self.place += length;
        Ok(read)
    }

    /// An error at the current place.
    fn error(&self, what: &str) -> NotJson {
        let (line, column) = position(&self.text.as_bytes()[..self.place]);
        let column = if self.place < self.text.len() { column } else { column - 1 };
        NotJson::Body(format!("{what} at line {line} column {column}"))
    }

    /// The parser's error in the value at the current place, with the position in the whole body.
    fn error_in_element(&self, error: &serde_json::Error) -> NotJson {
        let (line, column) = position(&self.text.as_bytes()[..self.place]);
        let column = if error.line() == 1 { column - 1 + error.column() } else { error.column() };
        let said = error.to_string();
        let what = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
        NotJson::Body(format!("{what} at line {} column {column}", line - 1 + error.line()))
    }
}

/// The line and the column after these bytes, from 1.
fn position(before: &[u8]) -> (usize, usize) {
    let lines = before.split(|&byte| byte == b'\n');
    lines.fold((0, 1), |(lines, _), line| (lines + 1, line.len() + 1))
}

/// The text of a body, or the line and the column, from 1, of its first invalid byte. The body is checked once as a whole, which
/// is faster than string by string.
fn text_of(body: &[u8]) -> Result<&str, (usize, usize)> {
    let text = str::from_utf8(body).map_err(|error| position(&body[..error.valid_up_to()]))?;
    // The byte order mark that some tools put at the start of a file.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

read_as_shape!(Line);

/// A value in a place where one object is expected.
struct Line(Result<Read, IsRounded>);

impl<'de> Shape<'de> for Line {
    fn value(value: Value<'de>) -> Self {
        if matches!(value, Value::Rounded) {
            return Self(Err(IsRounded));
        }
        let detail = format!("must be an object, {}", value.found());
        Self(Ok(Err(vec![Problem { field: None, detail }])))
    }

    fn object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        read_object::<A, Parsed>(object).map(Self)
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
            match (parse_json(body.as_bytes(), |_| {}), expected) {
                (Ok(()), Ok(_)) => {}
                (Err(NotJson::Body(said)), Err(expected)) => assert_eq!(said, expected.to_string(), "{body:?}"),
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
}
