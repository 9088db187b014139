//! Decompression of gzip as tools write it: several members, and zeros after the last one, with which some tools pad to whole
//! blocks.
//!
//! Any other bytes after a member are an error, since they would be lost.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The first byte of each member.
const MAGIC: u8 = 0x1f;

/// A reader of the decompressed bytes. It has the member that is being read; `None` at the end.
pub(crate) struct Gunzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Gunzip<R> {
    /// Decompresses the bytes of a reader.
    pub(crate) fn new(packed: R) -> Self {
        Self(Some(GzDecoder::new(packed)))
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if member.header().is_none() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let behind = member.get_mut();
            if behind.fill_buf()?.first() == Some(&MAGIC) {
                self.0 = self.0.take().map(|member| GzDecoder::new(member.into_inner()));
            } else {
                skip_zeros(behind)?;
                self.0 = None;
            }
        }
        Ok(0)
    }
}

/// Reads to the end, where only zeros may come.
fn skip_zeros(padding: &mut impl BufRead) -> io::Result<()> {
    loop {
        let zeros = padding.fill_buf()?;
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "other bytes than zeros behind the end"));
        }
        let length = zeros.len();
        if length == 0 {
            return Ok(());
        }
        padding.consume(length);
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
