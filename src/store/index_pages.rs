//! Pages of the index. A page has the locations of up to 256 neighbouring ids.

use super::codec::{Corrupt, Reader, Record, open, take};
use super::keys::{choice, date};
use super::location::Location;

pub(super) const FORM_INDEX_PAGE: u8 = 1;

/// One page of the index: the locations of up to 256 neighbouring ids, ordered by the lowest byte of the id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct IndexPage(Vec<(u8, Location)>);

impl IndexPage {
    /// Returns the number of events in the page.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the locations of these events.
    pub(super) fn locations(&self) -> impl Iterator<Item = Location> {
        self.0.iter().map(|&(_, location)| location)
    }

    /// Returns the location of an event, if the page contains it.
    pub(super) fn get(&self, id: u64) -> Option<Location> {
        self.find(low_byte(id)).ok().map(|found| self.0[found].1)
    }

    /// Sets the location of an event.
    pub(super) fn set(&mut self, id: u64, location: Location) {
        let low = low_byte(id);
        match self.find(low) {
            Ok(found) => self.0[found].1 = location,
            Err(gap) => self.0.insert(gap, (low, location)),
        }
    }

    /// Removes an event from the page.
    pub(super) fn remove(&mut self, id: u64) {
        if let Ok(found) = self.find(low_byte(id)) {
            self.0.remove(found);
        }
    }

    fn find(&self, low: u8) -> Result<usize, usize> {
        // Ids mostly arrive in ascending order.
        match self.0.last() {
            Some(&(last, _)) if low <= last => self.0.binary_search_by_key(&low, |&(low, _)| low),
            _ => Err(self.0.len()),
        }
    }
}

fn low_byte(id: u64) -> u8 {
    id.to_le_bytes()[0]
}

/// Packs a page of the index.
pub(super) fn encode_index_page<'r>(record: &'r mut Record, IndexPage(rows): &IndexPage) -> &'r [u8] {
    record.start(FORM_INDEX_PAGE);
    record.varint(rows.len() as u64);
    // The number of ids that are left out before each id: mostly none.
    let mut next = 0;
    record.column(rows, |&(low, _)| Some(u64::from(low) - std::mem::replace(&mut next, u64::from(low) + 1)));
    record.column(rows, |(_, location)| location.map(|(_, choice)| choice.get()));
    record.column(rows, |(_, location)| location.map(|(date, _)| date.days().into()));
    record.seal()
}

/// Unpacks a page of the index.
pub(super) fn decode_index_page(sealed: &[u8]) -> Result<IndexPage, Corrupt> {
    const WRONG: Corrupt = Corrupt("a page of the index is wrong");
    let mut read = Reader(open(FORM_INDEX_PAGE, sealed)?);
    let count = usize::try_from(read.varint()?).ok().filter(|&count| count <= 256).ok_or(WRONG)?;
    let left_out = read.full_column(count)?;
    let [choices, dates] = take(&mut read, count)?;
    read.end()?;
    let mut next = 0_u64;
    let row = |place: usize| {
        let low = next.checked_add(left_out[place]).and_then(|low| u8::try_from(low).ok()).ok_or(WRONG)?;
        next = u64::from(low) + 1;
        let location = match (choices[place], dates[place]) {
            (None, None) => None,
            (Some(id), Some(days)) => Some((date(u32::try_from(days).map_err(|_| WRONG)?)?, choice(id)?)),
            _ => return Err(WRONG),
        };
        Ok((low, location))
    };
    Ok(IndexPage((0..count).map(row).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::time::Date;
    use crate::vocabulary::{ChoiceId, MAX_ID};

    fn any_page() -> impl Strategy<Value = IndexPage> {
        let choice = (1..=MAX_ID).prop_map(|id| ChoiceId::new(id).expect("in range"));
        let date = (0..=Date::MAX.days()).prop_map(|days| Date::from_days(days).expect("in range"));
        btree_map(any::<u8>(), option::of((date, choice)), 0..256)
            .prop_map(|rows| IndexPage(rows.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn any_page_survives(page in any_page()) {
            prop_assert_eq!(decode_index_page(encode_index_page(&mut Record::default(), &page)), Ok(page));
        }

        #[test]
        fn any_bytes_are_a_page_or_an_error(content in vec(any::<u8>(), 0..100)) {
            let mut record = Record::default();
            record.start(FORM_INDEX_PAGE);
            record.bytes(&content);
            let _ = decode_index_page(record.seal());
        }
    }

    /// The bytes of a page in the first format. If this test fails, the program can no longer read stored databases: the change
    /// needs a new format.
    #[test]
    fn the_stored_form_of_a_page_stays() {
        let location = |days, id| Date::from_days(days).zip(ChoiceId::new(id));
        let page = IndexPage(vec![
            (0, location(16_436, 3)),
            (1, None),
            (7, location(16_437, 3)),
            (255, location(16_436, 70_000)),
        ]);
        let mut record = Record::default();
        let bytes = encode_index_page(&mut record, &page);
        assert_eq!(bytes, GOLDEN_PAGE, "{bytes:#04x?}");
    }

    const GOLDEN_PAGE: &[u8] = &[
        0x01, 0x04, 0x31, 0x00, 0x00, 0x00, 0x05, 0xf7, 0x68, 0x0d, 0x06, 0x00, 0x00, 0x00, 0x00, 0xb4, 0x45, 0x04,
        0x08, 0x0d, 0xe8, 0x80, 0x02, 0x02, 0xbb, 0x02, 0xb0, 0xd6,
    ];
}
