//! Where an event is kept: under the date on which it ended and its choice.
//!
//! The events of one location and kind stand in consecutive blocks, ordered by id; a [`BlockPrefix`] is what the keys of these
//! blocks have in common. Events that have not ended, and ingests without a strike, have no partition: all of them share a
//! location.

use super::codec::Corrupt;
use super::keys::{BlockKey, TableKey as _, choice, date};
use super::rows::{Floor, Key};
use crate::events::{Event, Partition};
use crate::time::Date;
use crate::vocabulary::{ChoiceId, EventKind};

/// The date and choice under which an event is kept; `None` for events without a partition.
pub(super) type Location = Option<(Date, ChoiceId)>;

/// The location of an event that is kept in this partition.
pub(super) fn location_of(partition: Option<Partition>) -> Location {
    partition.map(|partition| (partition.date, partition.choice))
}

/// What the keys of the blocks of one location and kind have in common. Ordered as their blocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BlockPrefix {
    pub(super) location: Location,
    pub(super) kind: EventKind,
}

impl BlockPrefix {
    /// The prefix of the block of an event.
    pub(super) fn of(event: &Event) -> Self {
        Self { location: location_of(event.partition()), kind: event.key().kind }
    }

    /// The prefix of a block's key.
    pub(super) fn of_block(key: BlockKey) -> Result<Self, Corrupt> {
        let kind = *EventKind::ALL.get(usize::from(key.kind)).ok_or(Corrupt("a block has an unknown kind"))?;
        let location = match (key.days, key.choice) {
            (0, 0) => None,
            (days, id) => Some((date(days)?, choice(id)?)),
        };
        Ok(Self { location, kind })
    }

    /// A number that orders as prefixes do, which is faster to sort by.
    pub(super) fn order(self) -> u128 {
        let BlockKey { days, choice, kind, .. } = self.block(0);
        u128::from(days) << 96 | u128::from(choice) << 32 | u128::from(kind)
    }

    /// The key of the block with that lower bound.
    pub(super) fn block(self, lower: u64) -> BlockKey {
        let (days, choice) = self.location.map_or((0, 0), |(date, choice)| (date.days(), choice.get()));
        BlockKey { days, choice, kind: self.kind as u8, lower }
    }

    /// The key of the block with that lower bound, as bytes.
    pub(super) fn key(self, lower: u64) -> Key {
        self.block(lower).key()
    }

    /// Asks for the block that an id belongs into.
    pub(super) fn floor(self, id: u64) -> Floor {
        Floor { first: self.key(0), last: self.key(id) }
    }
}
