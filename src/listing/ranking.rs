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
    /// The rank of an event, if it is in the list. Smaller ones come first.
    fn rank(self, outline: &Outline) -> Option<(u64, u64)> {
        let number = match self.measured {
            None => outline.ended.micros(),
            Some(place) => outline.observations[place]?,
        };
        Some((if self.is_descending { !number } else { number }, outline.key.order()))
    }
}

/// Where an event of a list is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    rank: (u64, u64),
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
        let (_, order) = self.rank;
        let kind = EventKind::ALL.iter().copied().find(|kind| *kind as u64 == order >> MAX_ID.count_ones());
        EventKey { kind: kind.expect("it is the rank of an event"), id: order & MAX_ID }
    }
}

/// The first events of a list. It keeps no more than it was asked for.
#[derive(Debug)]
pub struct Ranking {
    order: Order,
    most: usize,
    /// The last one on top.
    first: BinaryHeap<Place>,
}

impl Ranking {
    /// Keeps at most so many events.
    pub fn new(order: Order, most: usize) -> Self {
        Self { order, most, first: BinaryHeap::new() }
    }

    /// Adds an event. Returns whether the list has it.
    pub fn add(&mut self, outline: &Outline) -> bool {
        let Some(rank) = self.order.rank(outline) else { return false };
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
