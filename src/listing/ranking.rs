//! The order of a list, and the first events of it.

use std::collections::BinaryHeap;

use crate::events::{EventKey, Outline};
use crate::time::{Date, Timestamp};
use crate::vocabulary::{ChoiceId, EventKind, MAX_ID};

/// What events are ordered by. Ties are ordered by kind and id, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Order {
    /// The distribution whose observations count; `None` for the time of the end. Events without an observation are left out.
    pub measured: Option<usize>,
    /// Whether the largest come first.
    pub is_descending: bool,
}

impl Order {
    /// The rank of an event, if it is in the list. Smaller ones come first, and no two events have the same.
    pub fn rank(self, outline: &Outline) -> Option<Rank> {
        let number = match self.measured {
            None => outline.ended.micros(),
            Some(place) => outline.observations[place]?,
        };
        let number = if self.is_descending { !number } else { number };
        Some(Rank(u128::from(number) << u64::BITS | u128::from(outline.key.order())))
    }
}

/// The rank of an event in a list: a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank(u128);

impl Rank {
    /// The number of the event's key, which has the same order as keys.
    fn key_order(self) -> u64 {
        u64::try_from(self.0 & u128::from(u64::MAX)).expect("64 bits are left")
    }
}

/// Where an event of a list is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    rank: Rank,
    ended: Timestamp,
    /// Its job type or strike.
    pub choice: ChoiceId,
}

impl Place {
    /// The UTC day on which the event ended.
    pub fn date(&self) -> Date {
        self.ended.date()
    }

    /// The key of the event.
    pub fn key(&self) -> EventKey {
        let order = self.rank.key_order();
        let kind = EventKind::ALL.iter().copied().find(|kind| *kind as u64 == order >> MAX_ID.count_ones());
        EventKey { kind: kind.expect("it is the rank of an event"), id: order & MAX_ID }
    }
}

/// The first events of a list. It keeps no more than it was asked for.
#[derive(Debug)]
pub struct Ranking {
    order: Order,
    /// Events of smaller ranks are left out.
    from: Option<Rank>,
    most: usize,
    /// The last one on top.
    first: BinaryHeap<Place>,
}

impl Ranking {
    /// Keeps at most so many events, from a rank on.
    pub fn new(order: Order, from: Option<Rank>, most: usize) -> Self {
        Self { order, from, most, first: BinaryHeap::new() }
    }

    /// Adds an event, unless its rank is too small. Returns whether the list has it.
    pub fn add(&mut self, outline: &Outline) -> bool {
        let Some(rank) = self.order.rank(outline) else { return false };
        if self.from.is_some_and(|from| rank < from) {
            return true;
        }
        let place = || Place { rank, ended: outline.ended, choice: outline.choice };
        if self.first.len() < self.most {
            self.first.push(place());
        } else if let Some(mut last) = self.first.peek_mut()
            && rank < last.rank
        {
            *last = place();
        }
        true
    }

    /// The memory that it takes, in bytes.
    pub fn memory(&self) -> usize {
        self.first.capacity() * size_of::<Place>()
    }

    /// The events in their order.
    pub fn into_places(self) -> Vec<Place> {
        self.first.into_sorted_vec()
    }
}

/// Finds the rank of an event far down in a list without keeping those before it: counts how many events there are in each part of the
/// ranks that come into question, and goes on in the part that has the event.
#[derive(Debug)]
pub struct Search {
    /// The first and the last rank in question; `None` as long as there is no event.
    ranks: Option<(u128, u128)>,
    /// The width of a part. 0 while the first and the last rank are not known.
    width: u128,
    counts: Vec<u64>,
    /// How many events come before the first rank in question.
    before: u64,
}

/// Into how many parts ranks are divided at a time.
const PARTS: usize = 4_096;

impl Search {
    /// A search that first has to be told all ranks of the list.
    pub fn begin() -> Self {
        Self { ranks: None, width: 0, counts: vec![0; PARTS], before: 0 }
    }

    /// Tells the rank of an event. Each pass tells all of them.
    pub fn tell(&mut self, Rank(rank): Rank) {
        if self.width == 0 {
            let (first, last) = self.ranks.unwrap_or((rank, rank));
            self.ranks = Some((first.min(rank), last.max(rank)));
        } else if let Some((first, last)) = self.ranks
            && (first..=last).contains(&rank)
        {
            let part = usize::try_from((rank - first) / self.width).unwrap_or(PARTS);
            self.counts[part.min(PARTS - 1)] += 1;
        }
    }

    /// Ends a pass, and begins the next one: the event at a place of the list, counted from 0, is looked for.
    pub fn narrow(&mut self, place: u64) {
        let Some((first, last)) = self.ranks else { return };
        if self.width > 0 {
            let mut before = self.before;
            for (part, count) in (0_u128..).zip(&self.counts) {
                if before + count > place {
                    let from = first + part * self.width;
                    self.ranks = Some((from, last.min(from + (self.width - 1))));
                    break;
                }
                before += count;
            }
            self.before = before;
        }
        self.counts.fill(0);
        self.width = self.ranks.map_or(1, |(first, last)| (last - first) / PARTS as u128 + 1);
    }

    /// The rank from which on the list is to be kept, and how many events come before it. The event that is looked for is one of the
    /// first behind it, once there is a single rank left, or few events.
    pub fn found(&self) -> (Option<Rank>, u64) {
        (self.ranks.map(|(first, _)| Rank(first)), self.before)
    }

    /// Whether a single rank is left, so that nothing is left to be divided.
    pub fn is_over(&self) -> bool {
        self.ranks.is_none_or(|(first, last)| first == last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_search_comes_to_its_event_and_counts_what_is_before(
            numbers in vec((prop_oneof![0..9_u64, any::<u64>()], 0..1_u64 << 55), 1..300),
            place in any::<prop::sample::Index>(),
            near in 1..20_u64,
        ) {
            let mut ranks: Vec<_> =
                numbers.iter().map(|&(high, low)| Rank(u128::from(high) << 64 | u128::from(low))).collect();
            ranks.sort_unstable();
            ranks.dedup();
            let place = place.index(ranks.len());
            let mut search = Search::begin();
            let mut passes = 0;
            while place as u64 - search.found().1 >= near && !(passes > 0 && search.is_over()) {
                ranks.iter().rev().for_each(|&rank| search.tell(rank));
                search.narrow(place as u64);
                passes += 1;
                prop_assert!(passes < 14, "128 bits are eleven times twelve");
            }
            let (from, before) = search.found();
            let from = from.unwrap_or(Rank(0));
            prop_assert_eq!(ranks.iter().filter(|rank| **rank < from).count() as u64, before);
            prop_assert!(from <= ranks[place] && place as u64 - before < near.max(1));
        }
    }
}
