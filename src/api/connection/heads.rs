//! Scanner for request heads: finds where a head ends, and hides some options of its headers from the framework.
//!
//! The framework acts on three options by itself, each in a way that breaks requests here:
//!
//! | header | option | what the framework would do |
//! | --- | --- | --- |
//! | `Connection` | `upgrade` | answer `connection: upgrade` and end the connection |
//! | `Upgrade` | `websocket` | treat all that follows as the body |
//! | `Expect` | `100-continue` | send `100 Continue` before it is known whether the body is wanted |
//!
//! So the scanner replaces the last byte of such an option while the head passes. The option is then an unknown one, which the
//! framework ignores. The rest of the header keeps its meaning, such as `close` in `Connection: upgrade, close`. Replacing one
//! byte keeps every length, and needs no bytes that have not arrived yet: if the option turns out to be a longer one
//! (`upgrades`), nothing is lost, since that is unknown anyway. The rejected alternative is to remove the headers: heads would
//! have to be held back until they are complete.
//!
//! The scanner notes whether the client waits for `100 Continue`; the [connection](super::Connection) sends it.

/// A header that lists options, separated by commas, and the option that is replaced.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    /// The name of the header, in lower case, with its colon. The names of all fields begin with different letters.
    name: &'static [u8],
    /// The option, in lower case.
    option: &'static [u8],
}

const CONNECTION: Field = Field { name: b"connection:", option: b"upgrade" };
const UPGRADE: Field = Field { name: b"upgrade:", option: b"websocket" };
const EXPECT: Field = Field { name: b"expect:", option: b"100-continue" };

/// The byte that replaces the last one of an option. None of the options ends with it.
const REPLACEMENT: u8 = b'_';

/// Finds the ends of heads in bytes that arrive in pieces. A head ends after the first empty line. Lines may end without a
/// carriage return, as the framework allows.
#[derive(Debug, Default)]
pub(super) struct Heads {
    line: Line,
    /// Whether the client waits for `100 Continue`.
    expects_continue: bool,
}

/// The state of the scanner within the current line.
#[derive(Debug, Default, Clone, Copy)]
enum Line {
    /// The line is empty so far.
    #[default]
    Empty,
    /// The line begins with this many bytes of the name of a header.
    Name(&'static Field, usize),
    /// In the value of the header, after this many bytes of the option; `None` within another option.
    Value(&'static Field, Option<usize>),
    /// The line is not one of these headers.
    Passed,
}

impl Heads {
    /// How many of the next bytes belong to the head, and whether it ends there; if it does not end, all of them do. Replaces the
    /// options that the framework must not see.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) -> (usize, bool) {
        let mut place = 0;
        while place < bytes.len() {
            if matches!(self.line, Line::Passed) {
                match memchr::memchr(b'\n', &bytes[place..]) {
                    Some(rest) => place += rest,
                    None => break,
                }
            }
            let byte = &mut bytes[place];
            place += 1;
            if *byte == b'\n' {
                if matches!(self.line, Line::Empty) {
                    return (place, true);
                }
                self.line = Line::Empty;
            } else {
                self.line = self.line.behind(*byte);
                if let Line::Value(field, Some(seen)) = self.line
                    && seen == field.option.len()
                {
                    *byte = REPLACEMENT;
                    self.expects_continue |= *field == EXPECT;
                    self.line = Line::Value(field, None);
                }
            }
        }
        (bytes.len(), false)
    }

    /// Whether the head that ended last makes the client wait for `100 Continue`. Call it once for each head.
    pub(super) fn take_expectation(&mut self) -> bool {
        std::mem::take(&mut self.expects_continue)
    }
}

impl Line {
    /// The state after the next byte, which is not a line feed.
    fn behind(self, byte: u8) -> Self {
        let letter = byte.to_ascii_lowercase();
        match self {
            Self::Empty => match letter {
                b'\r' => Self::Empty,
                b'c' => Self::Name(&CONNECTION, 1),
                b'u' => Self::Name(&UPGRADE, 1),
                b'e' => Self::Name(&EXPECT, 1),
                _ => Self::Passed,
            },
            Self::Name(field, seen) if letter == field.name[seen] => {
                let is_whole = seen + 1 == field.name.len();
                if is_whole { Self::Value(field, Some(0)) } else { Self::Name(field, seen + 1) }
            }
            Self::Name(..) | Self::Passed => Self::Passed,
            Self::Value(field, _) if letter == b',' => Self::Value(field, Some(0)),
            Self::Value(_, Some(0)) if letter == b' ' || letter == b'\t' => self,
            Self::Value(field, Some(seen)) if letter == field.option[seen] => Self::Value(field, Some(seen + 1)),
            Self::Value(field, _) => Self::Value(field, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heads of a text that arrives in pieces of `piece` bytes, as they are passed on.
    fn cut(text: &str, piece: usize) -> Vec<String> {
        let mut heads = Heads::default();
        let mut cut = vec![String::new()];
        let mut text = text.as_bytes().to_vec();
        for mut bytes in text.chunks_mut(piece) {
            while !bytes.is_empty() {
                let (end, is_end) = heads.pass(bytes);
                let (passed, rest) = bytes.split_at_mut(end);
                cut.last_mut().unwrap().push_str(str::from_utf8(passed).unwrap());
                if is_end {
                    cut.push(String::new());
                }
                bytes = rest;
            }
        }
        cut
    }

    #[test]
    fn heads_end_behind_their_empty_line_wherever_they_are_cut() {
        let heads = [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\nHost: x\n\n",
            "A\n\r\n",
            "B\rC\r\n\n",
            "unfinished\r\n",
        ];
        let text = heads.concat();
        for piece in 1..=text.len() {
            assert_eq!(cut(&text, piece), heads, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_piece_is_never_empty() {
        for bytes in ["\r\n", "\n", "x", "\r"] {
            assert_eq!(Heads::default().pass(&mut bytes.as_bytes().to_vec()), (bytes.len(), bytes.ends_with('\n')));
        }
        assert_eq!(Heads::default().pass(&mut b"\r\nGET".to_vec()), (2, true));
    }

    #[test]
    fn options_that_the_framework_would_act_on_are_replaced_wherever_they_are_cut() {
        for (sent, passed) in [
            ("Connection: upgrade", "Connection: upgrad_"),
            ("CONNECTION:UpGrAdE", "CONNECTION:UpGrAd_"),
            ("connection:\t keep-alive,Upgrade , HTTP2-Settings", "connection:\t keep-alive,Upgrad_ , HTTP2-Settings"),
            ("Connection: close, upgrade,upgrade", "Connection: close, upgrad_,upgrad_"),
            ("Connection: upgrade\r\nConnection: upgrade", "Connection: upgrad_\r\nConnection: upgrad_"),
            ("Connection: ,, upgrade", "Connection: ,, upgrad_"),
            ("Upgrade: websocket", "Upgrade: websocke_"),
            ("upgrade: WebSocket", "upgrade: WebSocke_"),
            ("Expect: 100-Continue", "Expect: 100-Continu_"),
            ("Expect: a=b, 100-continue", "Expect: a=b, 100-continu_"),
        ] {
            let head = |headers: &str| format!("POST /v6/events/ HTTP/1.1\r\nHost: x\r\n{headers}\r\nA: b\r\n\r\n");
            let (sent, passed) = (head(sent), head(passed));
            for piece in 1..=sent.len() {
                assert_eq!(cut(&sent, piece), [&passed, ""], "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn all_else_passes_as_it_is() {
        for headers in [
            "Connection: close",
            "Connection: keep-alive, upgrad",
            "Connection: x-upgrade, x upgrade",
            "X-Connection: upgrade",
            "Connection-Upgrade: upgrade",
            "Connection : upgrade",
            " Connection: upgrade",
            "Upgrade: h2c",
            "Upgrade-Insecure-Requests: 1",
            "Cookie: upgrade, websocket, 100-continue",
            "Expect: 99-continue",
            "Expectation: 100-continue",
            "A: b\rConnection: upgrade",
        ] {
            let sent = format!("GET /?Connection:upgrade HTTP/1.1\r\n{headers}\r\n\r\n");
            for piece in 1..=sent.len() {
                assert_eq!(cut(&sent, piece), [&sent, ""], "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn an_expectation_is_of_one_head_only() {
        let mut heads = Heads::default();
        let expects = |heads: &mut Heads, head: &str| {
            assert_eq!(heads.pass(&mut head.as_bytes().to_vec()), (head.len(), true));
            heads.take_expectation()
        };
        assert!(expects(&mut heads, "POST / HTTP/1.1\r\nexpect: 100-continue\r\nHost: x\r\n\r\n"));
        assert!(!expects(&mut heads, "POST / HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(!expects(&mut heads, "GET / HTTP/1.1\r\nX-Expect: 100-continue\r\n\r\n"));
    }
}
