//! Where the head of a request ends.

/// Looks for the ends of heads in bytes that come piece by piece: behind the first empty line. Lines may end without a carriage
/// return, as they may for the framework.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    /// The line that has begun is empty so far.
    is_empty: bool,
}

impl Default for Heads {
    /// At the beginning of a line.
    fn default() -> Self {
        Self { is_empty: true }
    }
}

impl Heads {
    /// How far the head reaches in the next bytes, and whether it ends there: if not, it is all of them.
    pub(super) fn end_in(&mut self, bytes: &[u8]) -> (usize, bool) {
        let is_nothing = |line: &[u8]| line.is_empty() || line == b"\r";
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            if self.is_empty && is_nothing(&bytes[start..end]) {
                return (end + 1, true);
            }
            self.is_empty = true;
            start = end + 1;
        }
        self.is_empty &= is_nothing(&bytes[start..]);
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heads of a text that comes in pieces of so many bytes.
    fn cut(text: &str, piece: usize) -> Vec<String> {
        let mut heads = Heads::default();
        let mut cut = vec![String::new()];
        for mut bytes in text.as_bytes().chunks(piece) {
            while !bytes.is_empty() {
                let (end, is_end) = heads.end_in(bytes);
                cut.last_mut().unwrap().push_str(str::from_utf8(&bytes[..end]).unwrap());
                // The state is the same behind an end as at the beginning.
                if is_end {
                    cut.push(String::new());
                }
                bytes = &bytes[end..];
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
            assert_eq!(Heads::default().end_in(bytes.as_bytes()), (bytes.len(), bytes.ends_with('\n')));
        }
        assert_eq!(Heads::default().end_in(b"\r\nGET"), (2, true));
    }
}
