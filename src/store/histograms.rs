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

use std::hint::select_unpredictable;

use super::codec::{Corrupt, Reader, Record};
use crate::rollup::{Cell, Count, Tally};

pub(super) const WRONG_HISTOGRAM: Corrupt = Corrupt("a histogram is wrong");

/// Packs what a tally has, without the smallest and the largest observation, whose cells are given. Takes it out.
#[expect(clippy::needless_bitwise_bool, reason = "lazy operators branch")]
pub(super) fn put_counts(record: &mut Record, tally: &mut Tally, first: Cell, last: Cell) {
    let mut next = first.number();
    for count in tally.take() {
        let cell = count.cell();
        let ends = u64::from(cell == first) + u64::from(cell == last);
        // An extreme that is still to be found has no count. Such a row is never committed.
        let observations = count.observations().saturating_sub(ends);
        if observations == 0 {
            continue;
        }
        let gap = cell.number() - next;
        let [high, low] = gap.to_be_bytes();
        // Nearly all are of these two, in an order that a processor cannot foresee, so there is no branch between them.
        let is_one = (gap < 128) & (observations == 1);
        let is_several = (gap < 4) & (observations.wrapping_sub(2) < 16);
        if is_one | is_several {
            let several = 0b1000_0000 | low << 4 | observations.wrapping_sub(2).to_le_bytes()[0];
            record.byte(select_unpredictable(is_one, low, several));
        } else if observations == 1 {
            record.bytes(&[0b1100_0000 | high, low]);
        } else if gap < 31 {
            record.byte(0b1110_0000 | low);
            record.varint(observations - 2);
        } else {
            record.byte(0b1111_1111);
            record.varint(gap.into());
            record.varint(observations - 2);
        }
        next = cell.number() + 1;
    }
}

/// The gap and the observations that a first byte tells; no observations if it does not tell all. A table has no branches, which a
/// processor cannot foresee here.
const TOKENS: [(u8, u8); 256] = {
    let mut tokens = [(0, 0); 256];
    let mut byte = 0;
    while byte < 0xc0 {
        tokens[byte as usize] = if byte < 0x80 { (byte, 1) } else { (byte >> 4 & 3, (byte & 0xf) + 2) };
        byte += 1;
    }
    tokens
};

/// Reads the gap and the observations of the next count.
#[inline]
fn take_count(read: &mut Reader<'_>) -> Result<(u32, u64), Corrupt> {
    let byte = read.byte()?;
    let (gap, observations) = TOKENS[usize::from(byte)];
    if observations > 0 { Ok((gap.into(), observations.into())) } else { take_rest_of_count(byte, read) }
}

fn take_rest_of_count(byte: u8, read: &mut Reader<'_>) -> Result<(u32, u64), Corrupt> {
    let high = byte & 0x1f;
    if byte < 0xe0 {
        return Ok((u32::from_be_bytes([0, 0, high, read.byte()?]), 1));
    }
    let gap = if byte == u8::MAX { read.varint()? } else { high.into() };
    let gap = u32::try_from(gap).ok().filter(|gap| *gap <= u32::from(Cell::LAST.number()));
    Ok((gap.ok_or(WRONG_HISTOGRAM)?, read.varint()?.checked_add(2).ok_or(WRONG_HISTOGRAM)?))
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
    counts.reserve(usize::try_from(n).unwrap_or(usize::MAX).min(read.0.len() + 2));
    while left > 0 {
        let (gap, here) = take_count(read)?;
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
