//! Pages of the index: where each of 256 neighbouring ids is kept.

use std::collections::BTreeMap;

use super::blocks::choice;
use super::codec::{Corrupt, Reader, Record, open, take};
use crate::events::ChoiceId;
use crate::time::Date;

const FORM_INDEX_PAGE: u8 = 1;

/// Where an event is kept: date and choice of its home, or `None` for the events that have none.
pub(super) type Place = Option<(Date, ChoiceId)>;

/// The events of one page of the index: the places of up to 256 neighbouring ids, by the id's lowest byte.
pub(super) type IndexPage = BTreeMap<u8, Place>;

/// Packs a page of the index.
pub(super) fn encode_index_page(page: &IndexPage) -> Vec<u8> {
    let rows: Vec<_> = page.iter().collect();
    let mut record = Record::new(FORM_INDEX_PAGE);
    record.varint(page.len() as u64);
    record.column(&rows, |&(&low, _)| Some(low.into()));
    record.column(&rows, |(_, place)| place.map(|(_, choice)| choice.get()));
    record.column(&rows, |(_, place)| place.map(|(date, _)| date.days().into()));
    record.seal()
}

/// Unpacks a page of the index.
pub(super) fn decode_index_page(sealed: &[u8]) -> Result<IndexPage, Corrupt> {
    const WRONG: Corrupt = Corrupt("a page of the index is wrong");
    let mut read = Reader(open(FORM_INDEX_PAGE, sealed)?);
    let count = usize::try_from(read.varint()?).ok().filter(|&count| count <= 256).ok_or(WRONG)?;
    let low = read.full_column(count)?;
    let [choices, dates] = take(&mut read, count)?;
    read.end()?;
    let mut page = IndexPage::new();
    for place in 0..count {
        let low = u8::try_from(low[place]).map_err(|_| WRONG)?;
        let home = match (choice(choices[place])?, dates[place]) {
            (None, None) => None,
            (Some(choice), Some(days)) => {
                let date = u32::try_from(days).ok().and_then(Date::from_days).ok_or(WRONG)?;
                Some((date, choice))
            }
            _ => return Err(WRONG),
        };
        page.insert(low, home);
    }
    if page.len() == count { Ok(page) } else { Err(WRONG) }
}

#[cfg(test)]
mod tests {
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::events::MAX_ID;

    fn any_page() -> impl Strategy<Value = IndexPage> {
        let choice = (1..=MAX_ID).prop_map(|id| ChoiceId::new(id).expect("in range"));
        let date = (0..=Date::MAX.days()).prop_map(|days| Date::from_days(days).expect("in range"));
        btree_map(any::<u8>(), option::of((date, choice)), 0..256)
    }

    proptest! {
        #[test]
        fn any_page_survives(page in any_page()) {
            prop_assert_eq!(decode_index_page(&encode_index_page(&page)), Ok(page));
        }

        #[test]
        fn any_bytes_are_a_page_or_an_error(content in vec(any::<u8>(), 0..100)) {
            let mut record = Record::new(FORM_INDEX_PAGE);
            record.bytes(&content);
            let _ = decode_index_page(&record.seal());
        }
    }
}
