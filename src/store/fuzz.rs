//! Promises about stored bytes: reading returns a value or `Corrupt`, and a value that was read can be written and read
//! again.

use std::fmt::Debug;

use super::blocks::{FORM_BLOCK, MAX_EVENTS, SHARED_TASKS, count_and_last_id, decode_events_within, encode_events};
use super::codec::{CHECKSUM_BYTES, Corrupt, FORM_DEFINITION, Record};
use super::definition_rows::{decode_choice, encode_choice};
use super::index_pages::{FORM_INDEX_PAGE, decode_index_page, encode_index_page};
use super::location::{BlockPrefix, Location};
use super::rollup_rows::{FORM_ROLLUP, Packer, RollupRow, decode_rollup, encode_rollup};
use crate::rollup::{Aggregate, Parts, Rollup};
use crate::time::Date;
use crate::vocabulary::{ChoiceId, EventKind, MetricsTypeId};

/// Reads the bytes behind the first byte as a record; the first byte chooses the type of the record. The content is tried twice:
/// as it is, which seldom has the right checksum, and with the right checksum.
pub fn check_stored(bytes: &[u8]) {
    let Some((&sort, content)) = bytes.split_first() else { return };
    let location = Date::from_days(16_436).zip(ChoiceId::new(3));
    match sort {
        0 => check_block(None, EventKind::Job, content),
        1 => check_block(None, EventKind::JobExecution, content),
        2 => check_block(None, EventKind::Ingest, content),
        3 => check_block(location, EventKind::Job, content),
        4 => check_block(location, EventKind::JobExecution, content),
        5 => check_block(location, EventKind::Ingest, content),
        6 => check_index_page(content),
        7 => check_rollup_row(content),
        8 => check_definition(MetricsTypeId::JobTypes, content),
        9 => check_definition(MetricsTypeId::Ingests, content),
        10 => check_definition(MetricsTypeId::Errors, content),
        _ => {}
    }
}

/// Packs and unpacks a rollup; also unpacks its day alone.
pub fn check_rollup(rollup: &Rollup) {
    let mut packer = Packer::default();
    let sealed = encode_rollup(&mut packer, rollup);
    assert_eq!(decode_rollup(sealed).as_ref(), Ok(rollup));
    let mut day = Aggregate::default();
    let read = RollupRow::open(sealed).and_then(|row| row.day(Parts::ALL, &mut day));
    // A row of format 1 does not know all histograms.
    assert!(read.is_ok() && day.agrees_with(&rollup.day()), "{day:?} for {rollup:?}");
}

fn check_block(location: Location, kind: EventKind, content: &[u8]) {
    // A single event may have 2^24 tasks, in a few bytes if these are equal. To unpack it takes a second and hundreds of
    // megabytes.
    let decode = |sealed: &[u8]| decode_events_within(SHARED_TASKS, BlockPrefix { location, kind }, sealed);
    for sealed in [content, &with_checksum(FORM_BLOCK, content)] {
        let Ok(events) = decode(sealed) else { continue };
        assert_eq!(decode(&with_more(sealed)), Err(Corrupt("a record is too long")));
        assert!((1..=MAX_EVENTS).contains(&events.len()));
        assert!(events.iter().is_sorted_by(|a, b| a.key() < b.key()));
        let last = events.last().map_or(0, |event| event.key().id);
        assert_eq!(count_and_last_id(sealed), Ok((events.len(), last)));
        let mut record = Record::default();
        let again = encode_events(&mut record, location, &events.iter().collect::<Vec<_>>());
        assert_eq!(decode(again), Ok(events));
    }
}

fn check_index_page(content: &[u8]) {
    for sealed in [content, &with_checksum(FORM_INDEX_PAGE, content)] {
        check_again(sealed, decode_index_page, |record, page| encode_index_page(record, page).to_vec());
    }
}

fn check_definition(metrics: MetricsTypeId, content: &[u8]) {
    for sealed in [content, &with_checksum(FORM_DEFINITION, content)] {
        let decode = |sealed: &[u8]| decode_choice(metrics as u8, sealed);
        check_again(sealed, decode, |record, definition| encode_choice(record, definition).to_vec());
    }
}

/// Checks the row of a rollup. The first byte of the content is the length of the front.
fn check_rollup_row(content: &[u8]) {
    let Some((&length, parts)) = content.split_first() else { return };
    let (front, rest) = parts.split_at(parts.len().min(length.into()));
    let mut record = Record::default();
    record.start(FORM_ROLLUP);
    record.bytes(front);
    record.seal_front();
    record.bytes(rest);
    for sealed in [parts, record.seal()] {
        for parts in [Parts::ALL, Parts::NONE, Parts::COUNTERS, Parts::ERRORS, Parts::distribution(0)] {
            let _ = RollupRow::open(sealed).and_then(|row| row.day(parts, &mut Aggregate::default()));
        }
        if let Ok(rollup) = decode_rollup(sealed) {
            check_rollup(&rollup);
        }
    }
}

fn check_again<T: Debug + PartialEq>(
    sealed: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Corrupt>,
    encode: impl Fn(&mut Record, &T) -> Vec<u8>,
) {
    if let Ok(value) = decode(sealed) {
        assert!(decode(&with_more(sealed)).is_err());
        assert_eq!(decode(&encode(&mut Record::default(), &value)), Ok(value));
    }
}

/// Returns the same record with one more byte and the right checksum.
fn with_more(sealed: &[u8]) -> Vec<u8> {
    let (&form, content) = sealed.split_first().expect("it could be read");
    with_checksum(form, &[&content[..content.len() - CHECKSUM_BYTES], &[0]].concat())
}

fn with_checksum(form: u8, content: &[u8]) -> Vec<u8> {
    let mut record = Record::default();
    record.start(form);
    record.bytes(content);
    record.seal().to_vec()
}
