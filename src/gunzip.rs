//! Decompression of gzip as tools write it: several members, and zeros after the last one, with which some tools pad to whole
//! blocks.
//!
//! Any other bytes after a member are an error, since they would be lost.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The first byte of each member.
const MAGIC: u8 = 0x1f;

/// A reader of the decompressed bytes.
pub(crate) struct Gunzip<R>(Place<R>);

enum Place<R> {
    Member(GzDecoder<R>),
    /// In the zeros after the last member, or at the end.
    Padding(R),
    /// After an error.
    Lost,
}

impl<R: BufRead> Gunzip<R> {
    /// Decompresses the bytes of a reader.
    pub(crate) fn new(packed: R) -> Self {
        Self(Place::Member(GzDecoder::new(packed)))
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.0, Place::Lost) {
                Place::Member(mut member) => {
                    let read = member.read(buffer)?;
                    if read > 0 {
                        self.0 = Place::Member(member);
                        return Ok(read);
                    }
                    if member.header().is_none() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    let mut behind = member.into_inner();
                    let next = behind.fill_buf()?.first().copied();
                    self.0 = match next {
                        Some(MAGIC) => Place::Member(GzDecoder::new(behind)),
                        Some(_) | None => Place::Padding(behind),
                    };
                }
                Place::Padding(mut packed) => loop {
                    let padding = packed.fill_buf()?;
                    let length = padding.len();
                    if length == 0 {
                        self.0 = Place::Padding(packed);
                        return Ok(0);
                    }
                    if padding.iter().any(|&byte| byte != 0) {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "other bytes than zeros behind the end",
                        ));
                    }
                    packed.consume(length);
                },
                Place::Lost => return Err(io::Error::other("unpacking failed before")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    }

    /// Decompresses bytes that arrive in pieces of that size.
    fn unpack(packed: &[u8], piece: usize) -> Result<String, String> {
        let mut plain = String::new();
        let packed = io::BufReader::with_capacity(piece, packed);
        Gunzip::new(packed).read_to_string(&mut plain).map(|_| plain).map_err(|error| error.to_string())
    }

    #[test]
    fn members_and_zeros_behind_them_are_taken_however_they_are_cut() {
        let zeros = vec![0; 1_000];
        let two = [gzip("one "), gzip("two")].concat();
        for piece in [1, 7, 64, 10_000] {
            assert_eq!(unpack(&two, piece).as_deref(), Ok("one two"));
            assert_eq!(unpack(&[&two[..], &zeros].concat(), piece).as_deref(), Ok("one two"));
            assert_eq!(unpack(&[gzip(""), zeros.clone()].concat(), piece).as_deref(), Ok(""));
            assert!(unpack(&[&two[..], &zeros, b"x"].concat(), piece).is_err());
            assert!(unpack(&[&two[..], &zeros, &two].concat(), piece).is_err());
            assert!(unpack(&[&two[..], b"x"].concat(), piece).is_err());
            assert!(unpack(&two[..two.len() - 1], piece).is_err());
            assert!(unpack(&zeros, piece).is_err());
            assert!(unpack(b"", piece).is_err());
        }
    }
}
