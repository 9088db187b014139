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

use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess};

use super::Object;
use hint::{Expected, hint};
use object::{IsRounded, Meaning, Named, Parsed, Stated, read_object};
use value::{Any, Shape, Value};
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
    parse_json::<Stated>(body, take).map_err(|error| error.with_hint(hint(body, Expected::Json)))
}

/// Like [`read_json`], of objects that are keys of events which are to be deleted.
pub fn read_json_keys(body: &[u8], take: impl FnMut(Read)) -> Result<(), NotJson> {
    parse_json::<Named>(body, take).map_err(|error| error.with_hint(hint(body, Expected::Json)))
}

fn parse_json<M: Meaning>(body: &[u8], mut take: impl FnMut(Read)) -> Result<(), NotJson> {
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
                _ => take(rest.element::<M>()?),
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
        take(rest.element::<M>()?);
    }
    if rest.next_byte().is_some() { Err(rest.error("trailing characters")) } else { Ok(()) }
}

/// Reads an `application/x-ndjson` body, one object per line, and passes each object to `take`. Blank lines are skipped.
pub fn read_ndjson(body: &[u8], take: impl FnMut(Read)) -> Result<(), NotJson> {
    parse_ndjson::<Stated>(body, take).map_err(|error| error.with_hint(hint(body, Expected::Lines)))
}

/// Like [`read_ndjson`], of objects that are keys of events which are to be deleted.
pub fn read_ndjson_keys(body: &[u8], take: impl FnMut(Read)) -> Result<(), NotJson> {
    parse_ndjson::<Named>(body, take).map_err(|error| error.with_hint(hint(body, Expected::Lines)))
}

fn parse_ndjson<M: Meaning>(body: &[u8], mut take: impl FnMut(Read)) -> Result<(), NotJson> {
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
            Ok(Line::<M>(Ok(object), _)) => object,
            Ok(Line(Err(IsRounded), _)) => exact::read::<M>(line),
            // A line that fails only because of the values of fields is still well-formed JSON.
            Err(_) => serde_json::from_str::<IgnoredAny>(line).map(|_| exact::read::<M>(line)).map_err(|error| {
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
    fn element<M: Meaning>(&mut self) -> Result<Read, NotJson> {
        let text = &self.text[self.place..];
        let mut fast = serde_json::Deserializer::from_str(text).into_iter::<Line<M>>();
        let (read, length) = match fast.next() {
            Some(Ok(Line(Ok(read), _))) => (read, fast.byte_offset()),
            Some(Ok(Line(Err(IsRounded), _))) => (exact::read::<M>(&text[..fast.byte_offset()]), fast.byte_offset()),
            None | Some(Err(_)) => {
                let mut passed = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
                match passed.next() {
                    Some(Ok(_)) => (exact::read::<M>(&text[..passed.byte_offset()]), passed.byte_offset()),
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

/// A value in a place where one object is expected.
struct Line<M>(Result<Read, IsRounded>, PhantomData<M>);

impl<'de, M: Meaning> Deserialize<'de> for Line<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(PhantomData))
    }
}

impl<'de, M: Meaning> Shape<'de> for Line<M> {
    fn value(value: Value<'de>) -> Self {
        if matches!(value, Value::Rounded) {
            return Self(Err(IsRounded), PhantomData);
        }
        let detail = format!("must be an object, {}", value.found());
        Self(Ok(Err(vec![Problem { field: None, detail }])), PhantomData)
    }

    fn object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        read_object::<A, Parsed, M>(object).map(|read| Self(read, PhantomData))
    }
}
