//! Hints for a body that is not JSON: what it seems to be, and how to send it correctly.
//!
//! Each hint is for a common mistake: a client forgets a header, or sends the output of another tool.

use serde::de::IgnoredAny;

/// The format in which a body should be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// One object or an array.
    Json,
    /// One object per line.
    Lines,
}

/// How many bytes of a body are searched for zeros.
const LOOKED_AT: usize = 64;

/// The hint for a body that could not be read, if there is one.
pub(super) fn hint(body: &[u8], expected: Expected) -> Option<&'static str> {
    let body = body.trim_ascii_start();
    let start = &body[..body.len().min(LOOKED_AT)];
    match *start {
        [0x1f, 0x8b, ..] => return Some("it is gzip; send it with Content-Encoding: gzip"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Some("it is UTF-16; send UTF-8"),
        [b'<', ..] => return Some("it is XML or HTML; send JSON"),
        _ if start.contains(&0) => return Some("it is UTF-16 or binary; send UTF-8"),
        _ => {}
    }
    let first_line = body.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    let is_json = |text: &[u8]| serde_json::from_slice::<IgnoredAny>(text).is_ok();
    if expected == Expected::Lines && first_line.starts_with(b"{") && has_several(first_line) {
        return Some(
            "the line holds several objects; `curl --data` drops the ends of lines, `--data-binary` keeps them",
        );
    }
    match (start.first(), expected) {
        (Some(b'{'), Expected::Json) if is_json(first_line) && first_line.len() < body.trim_ascii_end().len() => {
            Some("it is an object a line; send it with Content-Type: application/x-ndjson")
        }
        (Some(b'{' | b'['), Expected::Lines) if !is_json(first_line) && is_json(body) => {
            Some("it is JSON over several lines; send it as application/json, or an object a line (`jq -c`)")
        }
        (Some(b'{' | b'[' | b'"' | 0x80..) | None, _) => None,
        _ if first_line.contains(&b',') || first_line.contains(&b';') || first_line.contains(&b'\t') => {
            Some("it looks like CSV; send JSON, an object for each row")
        }
        _ => None,
    }
}

/// Whether a line holds several JSON values.
fn has_several(line: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<IgnoredAny>();
    matches!((values.next(), values.next()), (Some(Ok(_)), Some(Ok(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_mistakes_are_recognised() {
        let utf_16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (body, expected, word) in [
            (&b"\x1f\x8b\x08rest"[..], Expected::Json, "gzip"),
            (&[&[0xff, 0xfe][..], &utf_16].concat(), Expected::Lines, "UTF-16"),
            (&utf_16, Expected::Json, "UTF-16"),
            (b" <html>", Expected::Json, "HTML"),
            (b"{\"a\": 1}\n{\"a\": 2}\n", Expected::Json, "x-ndjson"),
            (b"[\n  {\"a\": 1}\n]\n", Expected::Lines, "application/json"),
            (b"{\n  \"a\": 1\n}\n", Expected::Lines, "application/json"),
            (b"id,status\n1,FAILED\n", Expected::Lines, "CSV"),
            (b"{\"a\": 1}{\"a\": 2}", Expected::Lines, "--data-binary"),
        ] {
            let hint = hint(body, expected).unwrap_or_default();
            assert!(hint.contains(word), "{word} is not in {hint:?}");
        }
        for body in [
            &b"{"[..],
            b"",
            b"{\"a\": 1,}",
            b"nonsense",
            b"{\"a\": \"\xff\"}",
            b"\xef\xbb\xbf\xef\xbb\xbf{\"a\": 1, \"b\": 2}",
        ] {
            assert_eq!((hint(body, Expected::Json), hint(body, Expected::Lines)), (None, None));
        }
    }
}
