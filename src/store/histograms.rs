//! The bytes of histograms, which stand behind the other parts of an aggregate (`rollup_rows`).
//!
//! A histogram leaves out the smallest and the largest observation, which the distribution has already, and begins at the cell of the
//! smallest. Each of its counts is a gap, which is the number of cells that are passed over, and the number of observations. Days of
//! a choice have few observations far apart, days of all choices many close together; the first byte covers both:
//!
//! | first byte | gap | observations | more bytes |
//! | --- | --- | --- | --- |
//! | `0ggggggg` | 0 to 127 | 1 | none |
//! | `10ggnnnn` | 0 to 3 | 2 to 17 | none |
//! | `110ggggg` | the high bits of 13 | 1 | the low 8 bits of the gap |
//! | `111ggggg` | 0 to 30; 31 if the gap is behind it | 2 or more | the gap as a varint; the observations less 2 as a varint |

use super::codec::{Corrupt, Reader, Record};
use crate::rollup::{Cell, Count, Tally};

pub(super) const WRONG_HISTOGRAM: Corrupt = Corrupt("a histogram is wrong");

/// Packs counts without those of the smallest and the largest observation, whose cells are given.
pub(super) fn put_counts(record: &mut Record, tally: &mut Tally, first: Cell, last: Cell) {
    // An extreme that is still to be found has no count. Such a row is never committed.
    tally.remove_one(first);
    tally.remove_one(last);
    let mut next = first.number();
    tally.take(first, last, |cell, observations| {
        let gap = cell.number() - next;
        let [high, low] = gap.to_be_bytes();
        match (gap, observations) {
            (..128, 1) => record.byte(low),
            (_, 1) => record.bytes(&[0b1100_0000 | high, low]),
            (..4, 2..18) => record.byte(0b1000_0000 | low << 4 | (observations - 2).to_le_bytes()[0]),
            (..31, _) => {
                record.byte(0b1110_0000 | low);
                record.varint(observations - 2);
            }
            _ => {
                record.byte(0b1111_1111);
                record.varint(gap.into());
                record.varint(observations - 2);
            }
        }
        next = cell.number() + 1;
    });
}

/// Reads the counts of `n` observations.
pub(super) fn take_counts(
    read: &mut Reader<'_>,
    n: u64,
    (min, max): (u64, u64),
    counts: &mut Vec<Count>,
) -> Result<(), Corrupt> {
    let (first, last) = (Cell::of(min), Cell::of(max));
    let mut next = u32::from(first.number());
    // The cell that is being counted, and its observations: at first that of the smallest observation.
    let (mut cell, mut observations) = (next, 1_u64);
    let mut left = n - 2;
    while left > 0 {
        let byte = read.byte()?;
        let (gap, here) = match byte {
            ..0x80 => (u32::from(byte), 1),
            0x80..0xc0 => (u32::from(byte >> 4 & 3), u64::from(byte & 0xf) + 2),
            0xc0..0xe0 => (u32::from_be_bytes([0, 0, byte & 0x1f, read.byte()?]), 1),
            _ => {
                let gap = if byte == u8::MAX { read.varint()? } else { (byte & 0x1f).into() };
                let gap = u32::try_from(gap).ok().filter(|gap| *gap <= u32::from(Cell::LAST.number()));
                (gap.ok_or(WRONG_HISTOGRAM)?, read.varint()?.checked_add(2).ok_or(WRONG_HISTOGRAM)?)
            }
        };
        left = left.checked_sub(here).ok_or(WRONG_HISTOGRAM)?;
        let found = next + gap;
        if found == cell {
            observations += here;
        } else {
            if found > u32::from(last.number()) {
                return Err(WRONG_HISTOGRAM);
            }
            counts.push(count(cell, observations)?);
            (cell, observations) = (found, here);
        }
        next = found + 1;
    }
    if cell == u32::from(last.number()) {
        counts.push(count(cell, observations + 1)?);
    } else {
        counts.extend([count(cell, observations)?, Count::one(max)]);
    }
    Ok(())
}

fn count(cell: u32, observations: u64) -> Result<Count, Corrupt> {
    let cell = u16::try_from(cell).ok().and_then(Cell::new);
    cell.and_then(|cell| Count::new(cell, observations)).ok_or(WRONG_HISTOGRAM)
}
