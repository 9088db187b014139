//! The encoding of all stored values: sealed records, columns of numbers, and `bincode` for definitions.
//!
//! Every value is sealed: it has a form byte that says how to read it, the content, and a checksum. For any bytes on disk, a
//! read returns a value or [`Corrupt`] and never panics. It takes no more memory than the largest value that can be written. A
//! column of equal numbers takes only a few bytes, so a few damaged bytes could claim billions of numbers. Therefore the
//! caller that reads a column passes the largest number that it can have.
//!
//! The numbers of many events are stored by column ([`Record::column`]). The unit of a column is the largest one that divides all
//! its numbers (a microsecond, a millisecond, a second). Each number is stored as its distance from the smallest one, in as few
//! bits as the largest distance needs. `bincode` is complete and gets no more releases; only this module uses it.
//!
//! Not here: which columns a block of events has (`blocks`), which tables there are (`rows::Table`).

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

/// Stored data differs from anything that the program writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stored data is damaged: {0}")]
pub struct Corrupt(pub &'static str);

pub(super) const CHECKSUM_BYTES: usize = 4;

/// Writes records one after the other, in the same memory. A record has `form` before the content and a checksum behind it.
#[derive(Default)]
pub(super) struct Record {
    bytes: Vec<u8>,
    /// The number of bytes that a checksum covers already.
    sealed: usize,
    /// The column that is being written.
    column: Column,
}

impl Record {
    /// Begins a new record.
    pub(super) fn start(&mut self, form: u8) {
        self.bytes.clear();
        self.sealed = 0;
        self.bytes.push(form);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends what `put` appends, with its length before it.
    pub(super) fn with_length(&mut self, put: impl FnOnce(&mut Self)) {
        let place = self.bytes.len();
        self.bytes.push(0);
        put(self);
        let length = self.bytes.len() - place - 1;
        // Nearly all are that short.
        if let Ok(length @ ..0x80) = u8::try_from(length) {
            self.bytes[place] = length;
        } else {
            self.bytes.remove(place);
            self.insert_varint(place, length as u64);
        }
    }

    fn insert_varint(&mut self, at: usize, number: u64) {
        let mut varint = Vec::new();
        put_varint(&mut varint, number);
        self.bytes.splice(at..at, varint);
    }

    pub(super) fn varint(&mut self, number: u64) {
        put_varint(&mut self.bytes, number);
    }

    pub(super) fn varint_u128(&mut self, number: u128) {
        put_varint_u128(&mut self.bytes, number);
    }

    /// Appends a column, which has one number or none for each row.
    pub(super) fn column<T>(&mut self, rows: &[T], number: impl FnMut(&T) -> Option<u64>) {
        self.column.fill(rows.iter().map(number));
        self.column.put(&mut self.bytes);
    }

    /// Ends the front of the record: inserts its length before it and appends a checksum. The front can be read without the rest.
    pub(super) fn seal_front(&mut self) {
        self.insert_varint(1, self.bytes.len() as u64 - 1);
        self.seal();
    }

    /// Ends the record and returns its bytes. An empty rest behind a front has no checksum.
    pub(super) fn seal(&mut self) -> &[u8] {
        let rest = &self.bytes[self.sealed..];
        if !rest.is_empty() {
            let checksum = checksum(rest);
            self.bytes.extend_from_slice(&checksum);
            self.sealed = self.bytes.len();
        }
        &self.bytes
    }
}

/// Opens a record that was sealed with `form`, and returns its content.
pub(super) fn open(form: u8, sealed: &[u8]) -> Result<&[u8], Corrupt> {
    let (content, stored) = sealed.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Corrupt("a record is too short"))?;
    if *stored != checksum(content) {
        return Err(Corrupt("a checksum does not match"));
    }
    match content.split_first() {
        Some((&found, content)) if found == form => Ok(content),
        _ => Err(Corrupt("a record has an unknown form")),
    }
}

/// Opens the front of a record that was sealed with `form`. Returns its content and the rest, which is still sealed.
pub(super) fn open_front(form: u8, sealed: &[u8]) -> Result<(&[u8], &[u8]), Corrupt> {
    let mut read = Reader(sealed);
    if read.byte()? != form {
        return Err(Corrupt("a record has an unknown form"));
    }
    let length = usize::try_from(read.varint()?).map_err(|_| Corrupt("a record ends early"))?;
    let (content, rest) = read.0.split_at_checked(length).ok_or(Corrupt("a record ends early"))?;
    let (stored, rest) = rest.split_first_chunk::<CHECKSUM_BYTES>().ok_or(Corrupt("a record ends early"))?;
    if *stored != checksum(&sealed[..sealed.len() - rest.len() - CHECKSUM_BYTES]) {
        return Err(Corrupt("a checksum does not match"));
    }
    Ok((content, rest))
}

/// Opens the rest of a record, which is behind its front.
pub(super) fn open_rest(sealed: &[u8]) -> Result<&[u8], Corrupt> {
    if sealed.is_empty() {
        return Ok(sealed);
    }
    let (content, stored) = sealed.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Corrupt("a record is too short"))?;
    if *stored == checksum(content) { Ok(content) } else { Err(Corrupt("a checksum does not match")) }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..] = xxh3_64(bytes).to_le_bytes();
    [a, b, c, d]
}

pub(super) const FORM_DEFINITION: u8 = 1;

/// Returns the sealed record of a definition.
pub(super) fn encode_definition<'r, T: Serialize>(record: &'r mut Record, definition: &T) -> &'r [u8] {
    let content = bincode::serde::encode_to_vec(definition, bincode::config::standard())
        .expect("definitions are plain structs of numbers, flags and texts");
    record.start(FORM_DEFINITION);
    record.bytes(&content);
    record.seal()
}

/// Reads the record of a definition.
pub(super) fn decode_definition<T: DeserializeOwned>(sealed: &[u8]) -> Result<T, Corrupt> {
    /// More than any request body that defines a choice has, and far less than a damaged length could ask for.
    const LIMIT: usize = 1 << 30;
    let content = open(FORM_DEFINITION, sealed)?;
    let config = bincode::config::standard().with_limit::<LIMIT>();
    match bincode::serde::borrow_decode_from_slice(content, config) {
        Ok((definition, read)) if read == content.len() => Ok(definition),
        _ => Err(Corrupt("a definition cannot be read")),
    }
}

/// Appends a number in groups of seven bits, the lowest first.
fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    out.push(low_byte(number));
}

/// Like `put_varint`, for numbers of up to 128 bits.
fn put_varint_u128(out: &mut Vec<u8>, mut number: u128) {
    loop {
        if let Ok(rest) = u64::try_from(number) {
            return put_varint(out, rest);
        }
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
}

fn low_byte(number: u64) -> u8 {
    number.to_le_bytes()[0]
}

/// Reads numbers and columns from the front of a record's content.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Corrupt> {
        let (&byte, rest) = self.0.split_first().ok_or(Corrupt("a record ends early"))?;
        self.0 = rest;
        Ok(byte)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(Corrupt("a record ends early"))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn varint_u128(&mut self) -> Result<u128, Corrupt> {
        if let Some(number) = self.short_varint() {
            return Ok(number.into());
        }
        let mut number = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Corrupt("a number is too large"))
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Corrupt> {
        match self.short_varint() {
            Some(number) => Ok(number),
            None => self.varint_u128()?.try_into().map_err(|_| Corrupt("a number is too large")),
        }
    }

    /// Reads a number of up to 56 bits; nearly all numbers are that short. Reads nothing if the number is longer or damaged.
    #[inline]
    fn short_varint(&mut self) -> Option<u64> {
        if let [byte, rest @ ..] = self.0
            && byte & 0x80 == 0
        {
            self.0 = rest;
            return Some((*byte).into());
        }
        let word = first_word(self.0, 0x80);
        let ends = ends(word);
        if ends == 0 {
            return None;
        }
        let length = ends.trailing_zeros() / 8 + 1;
        self.0 = &self.0[length as usize..];
        let bits = word & (u64::MAX >> (u64::BITS - 8 * length)) & 0x7f7f_7f7f_7f7f_7f7f;
        // Joins groups of seven bits, then groups of fourteen, then groups of twenty-eight.
        let bits = bits & 0x007f_007f_007f_007f | (bits & 0x7f00_7f00_7f00_7f00) >> 1;
        let bits = bits & 0x0000_3fff_0000_3fff | (bits & 0x3fff_0000_3fff_0000) >> 2;
        Some(bits & 0x0fff_ffff | (bits & 0x0fff_ffff_0000_0000) >> 4)
    }

    /// Skips `count` numbers.
    pub(super) fn skip_varints(&mut self, mut count: u64) -> Result<(), Corrupt> {
        const SHORT: Corrupt = Corrupt("a record ends early");
        while count > 0 {
            if self.0.is_empty() {
                return Err(SHORT);
            }
            let mut ends = ends(first_word(self.0, 0x80));
            let mut passed = 0;
            while ends > 0 && count > 0 {
                passed = ends.trailing_zeros() / 8 + 1;
                ends &= ends - 1;
                count -= 1;
            }
            let passed = if passed == 0 { 8 } else { passed };
            self.0 = self.0.get(passed as usize..).ok_or(SHORT)?;
        }
        Ok(())
    }

    /// Fails unless everything was read.
    pub(super) fn end(&self) -> Result<(), Corrupt> {
        if self.0.is_empty() { Ok(()) } else { Err(Corrupt("a record is too long")) }
    }

    /// Reads a column of `count` numbers, some of which may be absent.
    pub(super) fn column(&mut self, count: usize) -> Result<Vec<Option<u64>>, Corrupt> {
        let mut numbers = Vec::with_capacity(count);
        self.column_into(count, &mut numbers)?;
        Ok(numbers)
    }

    /// Reads a column of `count` numbers, some of which may be absent, in the place of other numbers.
    pub(super) fn column_into(&mut self, count: usize, numbers: &mut Vec<Option<u64>>) -> Result<(), Corrupt> {
        numbers.clear();
        let Some(ColumnParts { head, presence, base, packed }) = self.column_parts(count)? else {
            numbers.resize(count, None);
            return Ok(());
        };
        let unit = UNITS[head.place].cast_unsigned();
        let mut packed = BitReader { bytes: packed, bit: 0 };
        let mut next = || base.wrapping_add(packed.take(head.width)).wrapping_mul(unit);
        match presence {
            None => numbers.extend((0..count).map(|_| Some(next()))),
            Some(bits) => numbers.extend((0..count).map(|place| has_bit(bits, place).then(&mut next))),
        }
        Ok(())
    }

    /// Skips a column of `count` numbers.
    pub(super) fn skip_column(&mut self, count: usize) -> Result<(), Corrupt> {
        self.column_parts(count).map(drop)
    }

    /// Reads a column of `count` numbers, all of which must be present.
    pub(super) fn full_column(&mut self, count: usize) -> Result<Vec<u64>, Corrupt> {
        let column = self.column(count)?;
        column.into_iter().collect::<Option<_>>().ok_or(Corrupt("a number is missing"))
    }

    /// Reads the parts of a column of `count` numbers; `None` if it has no numbers.
    fn column_parts(&mut self, count: usize) -> Result<Option<ColumnParts<'a>>, Corrupt> {
        let Some(head) = Head::from_byte(self.byte()?)? else { return Ok(None) };
        let presence = if head.some_absent { Some(self.bytes(count.div_ceil(8))?) } else { None };
        let present = presence.map_or(count, |bits| (0..count).filter(|&place| has_bit(bits, place)).count());
        let base = zigzag_decode(self.varint()?);
        let packed = self.0;
        self.bytes((present * head.width as usize).div_ceil(8))?;
        Ok(Some(ColumnParts { head, presence, base, packed }))
    }
}

/// A column as it is stored.
struct ColumnParts<'a> {
    head: Head,
    /// One bit for each row, set if the row has a number; `None` if all have.
    presence: Option<&'a [u8]>,
    /// The smallest number, in units.
    base: u64,
    /// The distances from it, and whatever is behind the column: a processor takes several times as long to read eight bytes that are put
    /// together from fewer.
    packed: &'a [u8],
}

fn has_bit(bits: &[u8], place: usize) -> bool {
    bits[place / 8] >> (place % 8) & 1 == 1
}

/// Returns the first eight bytes as a number, with `fill` for missing ones; 0x80 does not end a varint.
fn first_word(bytes: &[u8], fill: u8) -> u64 {
    let word = bytes.first_chunk().copied().unwrap_or_else(|| {
        let mut word = [fill; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        word
    });
    u64::from_le_bytes(word)
}

/// Returns the high bit of each byte that ends a varint.
fn ends(word: u64) -> u64 {
    !word & 0x8080_8080_8080_8080
}

/// The packing of a column, in one byte. The byte 0 means that the column has no numbers.
struct Head {
    some_absent: bool,
    /// The index of the unit in [`UNITS`].
    place: usize,
    /// Bits per number: up to [`NARROW`], or 64.
    width: u32,
}

/// The largest width below 64 bits.
const NARROW: u32 = 40;

impl Head {
    fn to_byte(&self) -> u8 {
        let width = self.width.min(NARROW + 1);
        let unit_and_width = width as usize * UNITS.len() + self.place;
        u8::try_from(1 + unit_and_width * 2 + usize::from(self.some_absent)).expect("42 widths, 3 units, 2 presences")
    }

    fn from_byte(byte: u8) -> Result<Option<Self>, Corrupt> {
        let Some(packed) = byte.checked_sub(1).map(usize::from) else { return Ok(None) };
        let width = match u32::try_from(packed / 2 / UNITS.len()) {
            Ok(width @ 0..=NARROW) => width,
            Ok(width) if width == NARROW + 1 => u64::BITS,
            _ => return Err(Corrupt("a column has an unknown form")),
        };
        Ok(Some(Self { some_absent: packed % 2 == 1, place: packed / 2 % UNITS.len(), width }))
    }
}

/// The possible units of a column. The head of a column contains the index of its unit.
const UNITS: [i64; 3] = [1, 1_000, 1_000_000];

/// Maps signed numbers to unsigned ones, so that numbers with small absolute values stay small.
fn zigzag_encode(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

/// Reverses [`zigzag_encode`]. Returns the number as its two's complement.
fn zigzag_decode(folded: u64) -> u64 {
    folded >> 1 ^ (folded & 1).wrapping_neg()
}

/// A column that is being written; some of its numbers may be absent. Numbers are treated as signed, so that small negative
/// distances stay small. Every `u64` is restored exactly.
#[derive(Default)]
struct Column {
    /// One bit for each row, set if the row has a number.
    presence: Vec<u8>,
    some_absent: bool,
    /// The numbers of the rows that have one.
    numbers: Vec<i64>,
}

impl Column {
    fn fill(&mut self, rows: impl Iterator<Item = Option<u64>>) {
        self.presence.clear();
        self.numbers.clear();
        self.some_absent = false;
        let (mut bits, mut count) = (0, 0);
        for number in rows {
            match number {
                Some(number) => {
                    bits |= 1 << count;
                    self.numbers.push(number.cast_signed());
                }
                None => self.some_absent = true,
            }
            count += 1;
            if count == 8 {
                self.presence.push(bits);
                (bits, count) = (0, 0);
            }
        }
        if count > 0 {
            self.presence.push(bits);
        }
    }

    /// Appends the head, the presence bits if needed, the smallest number and the packed distances.
    fn put(&mut self, out: &mut Vec<u8>) {
        let (Some(&smallest), Some(&largest)) = (self.numbers.iter().min(), self.numbers.iter().max()) else {
            out.push(0);
            return;
        };
        let place = self.unit();
        let spread = largest.wrapping_sub(smallest).cast_unsigned() / UNITS[place].cast_unsigned();
        let width = u64::BITS - spread.leading_zeros();
        let width = if width > NARROW { u64::BITS } else { width };
        out.push(Head { some_absent: self.some_absent, place, width }.to_byte());
        if self.some_absent {
            out.extend_from_slice(&self.presence);
        }
        put_varint(out, zigzag_encode(smallest / UNITS[place]));
        if width > 0 {
            let distances = self.numbers.iter().map(|number| number.wrapping_sub(smallest).cast_unsigned());
            // Division by a constant is several times as fast.
            match UNITS[place] {
                1_000_000 => pack(out, distances.map(|distance| distance / 1_000_000), width),
                1_000 => pack(out, distances.map(|distance| distance / 1_000), width),
                _ => pack(out, distances, width),
            }
        }
    }

    /// Returns the index of the largest unit that divides all numbers.
    fn unit(&self) -> usize {
        if self.numbers.iter().all(|number| number % UNITS[2] == 0) {
            2
        } else {
            usize::from(self.numbers.iter().all(|number| number % UNITS[1] == 0))
        }
    }
}

/// Appends numbers of `width` bits each: at most [`NARROW`], or 64.
fn pack(out: &mut Vec<u8>, numbers: impl Iterator<Item = u64>, width: u32) {
    if width == u64::BITS {
        out.extend(numbers.flat_map(u64::to_le_bytes));
        return;
    }
    let (mut buffer, mut filled) = (0_u64, 0);
    for number in numbers {
        buffer |= number << filled;
        filled += width;
        // Appends the whole bytes. The remaining bits, fewer than eight, stay in the buffer.
        let whole = filled / 8;
        let length = out.len() + whole as usize;
        out.extend_from_slice(&buffer.to_le_bytes());
        out.truncate(length);
        buffer >>= whole * 8;
        filled %= 8;
    }
    if filled > 0 {
        out.push(low_byte(buffer));
    }
}

/// Reads numbers of a fixed width from packed bytes. Behind the end it reads zeros.
struct BitReader<'a> {
    bytes: &'a [u8],
    /// The position of the next number, in bits.
    bit: usize,
}

impl BitReader<'_> {
    /// Reads the next number of `width` bits, and no bit behind it matters. All numbers have at most [`NARROW`] bits, or all have 64.
    fn take(&mut self, width: u32) -> u64 {
        let rest = &self.bytes[(self.bit / 8).min(self.bytes.len())..];
        let above = first_word(rest, 0) >> (self.bit % 8);
        self.bit += width as usize;
        if width == u64::BITS { above } else { above & ((1 << width) - 1) }
    }
}

/// Reads `N` columns of `count` numbers.
pub(super) fn take<const N: usize>(read: &mut Reader<'_>, count: usize) -> Result<[Vec<Option<u64>>; N], Corrupt> {
    let mut columns = [const { Vec::new() }; N];
    for column in &mut columns {
        *column = read.column(count)?;
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn column_bytes(values: &[Option<u64>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut column = Column::default();
        column.fill(values.iter().copied());
        column.put(&mut bytes);
        bytes
    }

    #[test]
    fn whole_seconds_and_milliseconds_take_the_bits_of_such() {
        let day = 1_420_070_400_000_000;
        let values: Vec<_> = (0..100).map(|place| Some(day + place * 863 * 1_000_000)).collect();
        // The head, five bytes of the smallest number, and 17 bits for each distance within a day in seconds.
        assert_eq!(column_bytes(&values).len(), 1 + 5 + (100_usize * 17).div_ceil(8));
        // Milliseconds need one more byte for the smallest number; the distances have the same size.
        let values: Vec<_> = (0..100).map(|place| Some(day + place * 863 * 1_000)).collect();
        assert_eq!(column_bytes(&values).len(), 1 + 6 + (100_usize * 17).div_ceil(8));
    }

    #[test]
    fn equal_numbers_take_no_bits() {
        assert_eq!(column_bytes(&[Some(7); 1000]).len(), 2);
    }

    #[test]
    fn no_two_heads_of_columns_mean_the_same() {
        for byte in 0..=u8::MAX {
            match Head::from_byte(byte) {
                Ok(None) => assert_eq!(byte, 0),
                Ok(Some(head)) => assert_eq!(head.to_byte(), byte),
                Err(_) => assert!(byte > 2 * 3 * 42, "{byte}"),
            }
        }
    }

    #[test]
    fn a_damaged_record_is_found() {
        let mut record = Record::default();
        record.start(9);
        record.bytes(b"content");
        let sealed = record.seal();
        assert_eq!(open(9, sealed), Ok(&b"content"[..]));
        assert!(open(8, sealed).is_err());
        for place in 0..sealed.len() {
            let mut damaged = sealed.to_vec();
            damaged[place] ^= 0x10;
            assert!(open(9, &damaged).is_err(), "byte {place}");
        }
    }

    proptest! {
        #[test]
        fn any_column_survives(values in vec(prop_oneof![any::<Option<u64>>(), (0..90_u64).prop_map(Some)], 0..300)) {
            let bytes = column_bytes(&values);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(reader.column(values.len()), Ok(values));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn any_number_survives(number in any::<u128>()) {
            let mut bytes = Vec::new();
            put_varint_u128(&mut bytes, number);
            prop_assert_eq!(Reader(&bytes).varint_u128(), Ok(number));
        }

        #[test]
        fn numbers_are_read_and_passed_over_alike(
            numbers in vec((any::<u64>(), 0..64).prop_map(|(number, bits)| number >> bits), 0..20),
            skipped in any::<prop::sample::Index>(),
        ) {
            let mut bytes = Vec::new();
            for &number in &numbers {
                put_varint(&mut bytes, number);
            }
            let mut reader = Reader(&bytes);
            let skipped = skipped.index(numbers.len() + 1);
            prop_assert_eq!(reader.skip_varints(skipped as u64), Ok(()));
            for &number in &numbers[skipped..] {
                prop_assert_eq!(reader.varint(), Ok(number));
            }
            prop_assert_eq!(reader.end(), Ok(()));
            prop_assert!(Reader(&bytes).skip_varints(numbers.len() as u64 + 1).is_err());
        }

        #[test]
        fn any_bytes_are_a_value_or_an_error(bytes in vec(any::<u8>(), 0..64), count in 0..100_usize) {
            let _ = Reader(&bytes).column(count);
            let _ = Reader(&bytes).varint_u128();
            let _ = Reader(&bytes).skip_varints(count as u64);
            let _ = open(FORM_DEFINITION, &bytes);
        }
    }
}
