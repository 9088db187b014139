//! Scanner for chunked bodies: finds where a body ends.
//!
//! It follows the rules by which the framework reads chunks, and ignores the content of the chunks.

/// The state of the scanner within a chunked body that arrives in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// Before the first digit of a size.
    Start,
    /// Within the digits of a size. The value is the size that they make so far.
    Size(u64),
    /// In the blanks after the size.
    Blanks(u64),
    /// In the extensions after the size.
    Extension(u64),
    SizeLf(u64),
    /// In the data of a chunk, of which this many bytes are still to come.
    Data(u64),
    DataCr,
    DataLf,
    /// At the beginning of a line after the last chunk.
    LastLine,
    Trailer,
    TrailerLf,
    EndLf,
    /// The body has ended.
    End,
    /// The bytes are not valid chunks.
    Broken,
}

impl Chunks {
    /// How many of the next bytes belong to the body; all of them if it does not end in them. An invalid byte does not belong to
    /// the body.
    pub(super) fn end_in(&mut self, bytes: &[u8]) -> usize {
        let mut place = 0;
        while place < bytes.len() {
            if let Self::Data(left) = *self {
                let rest = bytes.len() - place;
                let here = usize::try_from(left).map_or(rest, |left| left.min(rest));
                place += here;
                *self = if left == here as u64 { Self::DataCr } else { Self::Data(left - here as u64) };
                continue;
            }
            *self = self.behind(bytes[place]);
            if *self == Self::Broken {
                return place;
            }
            place += 1;
            if *self == Self::End {
                return place;
            }
        }
        place
    }

    /// The state after the next byte.
    fn behind(self, byte: u8) -> Self {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        match (self, byte) {
            (Self::Start, _) => digit.map_or(Self::Broken, Self::Size),
            (Self::Size(size), _) if digit.is_some() => {
                size.checked_mul(16).zip(digit).map_or(Self::Broken, |(size, digit)| Self::Size(size + digit))
            }
            (Self::Size(size) | Self::Blanks(size), b' ' | b'\t') => Self::Blanks(size),
            (Self::Size(size) | Self::Blanks(size), b';') | (Self::Extension(size), b'\t' | b' '..=b'~' | 0x80..) => {
                Self::Extension(size)
            }
            (Self::Size(size) | Self::Blanks(size) | Self::Extension(size), b'\r') => Self::SizeLf(size),
            (Self::SizeLf(0) | Self::TrailerLf, b'\n') => Self::LastLine,
            (Self::SizeLf(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Start,
            (Self::LastLine, b'\r') => Self::EndLf,
            (Self::Trailer, b'\r') => Self::TrailerLf,
            (Self::LastLine | Self::Trailer, _) => Self::Trailer,
            (Self::EndLf, b'\n') => Self::End,
            _ => Self::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes of a text belong to the body, and the state in which it ends; the text arrives in pieces of `piece` bytes.
    fn read(text: &str, piece: usize) -> (usize, Chunks) {
        let (mut chunks, mut place) = (Chunks::Start, 0);
        for bytes in text.as_bytes().chunks(piece) {
            let end = chunks.end_in(bytes);
            place += end;
            if end < bytes.len() || matches!(chunks, Chunks::End | Chunks::Broken) {
                break;
            }
        }
        (place, chunks)
    }

    #[test]
    fn a_body_ends_behind_its_last_chunk_wherever_it_is_cut() {
        let next = "GET / HTTP/1.1\r\n\r\n";
        for body in [
            "0\r\n\r\n",
            "3\r\n\r\n\n\r\n0\r\n\r\n",
            "00A \t;name=\"ä\"\r\n0123456789\r\n1;\r\n0\r\n000;last\r\nTrailer: 1\r\n\nOther: \n2\r\n\r\n",
        ] {
            let text = [body, next].concat();
            for piece in 1..=text.len() {
                assert_eq!(read(&text, piece), (body.len(), Chunks::End), "{body:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_broken_at_its_first_byte() {
        for (good, broken) in [
            ("", "\r\n"),
            ("", "x"),
            ("", "-1\r\n"),
            ("1", "g\r\n"),
            ("1 ", "1\r\n"),
            ("1;a", "\n"),
            ("1;a", "\0"),
            ("1\r", "\r\n"),
            ("1\r\na", "b\r\n"),
            ("1\r\na\r", "\r"),
            ("1\r\na\r\n", "\r\n"),
            ("ffffffffffffffff", "f\r\n"),
            ("0\r\n\r", "0"),
            ("0\r\na\r", "b"),
        ] {
            let text = [good, broken].concat();
            for piece in 1..=text.len() {
                assert_eq!(read(&text, piece), (good.len(), Chunks::Broken), "{text:?} in pieces of {piece}");
            }
        }
        assert_eq!(read("ffffffffffffffff\r\na", 3).1, Chunks::Data(u64::MAX - 1));
    }
}
