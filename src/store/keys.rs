//! The keys of all rows, and the names of the named numbers.
//!
//! The storage format is defined by this module, by the modules that the table names, by `codec` (the envelope of every value),
//! by the places of [`crate::vocabulary`], and by the names of the tables in a file (`rows::redb`).
//!
//! Every field of a key is written with its highest byte first, so that keys have the same order as their bytes. The order of the
//! fields suits the scans, and keeps together what is written together: events arrive in the order of time, so the keys of blocks
//! and rollups begin with the date.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `Definitions` | metrics type, id of the choice | a definition (`definition_rows`) |
//! | `Blocks` | date, choice, kind of the events, lower bound of their ids | up to 128 events (`blocks`) |
//! | `Index` | ids / 256, kind | the location of each of these events (`index_pages`) |
//! | `Rollups` | date, choice, metrics type | the day's rollup of that choice (`rollup_rows`) |
//! | `Totals` | metrics type, date | the day's rollup of all choices together (`rollup_rows`) |
//!
//! The keys of the index begin with the ids: the ids of jobs and of their executions rise side by side, so the pages of both are
//! written in the same place. A key that began with the kind would separate them.

use super::codec::Corrupt;
use super::rows::{Key, Table};
use crate::events::EventKey;
use crate::time::Date;
use crate::vocabulary::ChoiceId;

/// The format that this program writes. A start upgrades earlier ones (`upgrade`) and refuses later ones. Databases of the first
/// versions of this program lack some of the numbers below.
///
/// Raise it with every change after which an earlier program could not read the database, such as a new form byte or a new table.
/// `format` then has to list it, and `upgrade` to change what cannot be read as it is.
pub(super) const FORMAT: u64 = 2;

/// The name of the number that holds the format.
pub(super) const NUMBER_FORMAT: &str = "format";
/// The first day that is not upgraded to the format yet, in days since 1970. Absent if nothing is left to do; as long as it is there,
/// only the upgrade may read and write.
pub(super) const NUMBER_UPGRADE: &str = "upgrade_from";
/// The version: the number of changes of rollups, definitions or events.
pub(super) const NUMBER_VERSION: &str = "version";
/// The version at which the definitions changed last.
pub(super) const NUMBER_DEFINITIONS: &str = "choices";
/// The first day whose events are kept, in days since 1970. Older events that still exist are about to be deleted.
pub(super) const NUMBER_EVENTS_FROM: &str = "events_from";
/// The first day whose rollups are kept, in days since 1970.
pub(super) const NUMBER_ROLLUPS_FROM: &str = "rollups_from";

/// The names of the numbers that `retention.rs` records: the state of clock and periods. Files of the first versions have
/// none of these.
pub(super) const NUMBERS_OF_RETENTION: [&str; 8] = [
    // The latest trusted time, in microseconds since 1970.
    "clock_trusted_us",
    // The time that the clock showed at that moment, in microseconds since 1970.
    "clock_seen_us",
    // How long the clock had run undisturbed at that moment, in microseconds.
    "clock_steady_us",
    // The retention of events that is in force, in days; 0 or absent means for ever.
    "agreed_events_days",
    // The retention of rollups that is in force, in days; 0 or absent means for ever.
    "agreed_rollups_days",
    // The retention of events that applies after the grace period, in days; absent if no change is waiting.
    "waiting_events_days",
    // The retention of rollups that applies then, in days.
    "waiting_rollups_days",
    // The elapsed part of the grace period, in microseconds.
    "waiting_waited_us",
];

/// A key of the rows of one table.
pub(super) trait TableKey: Copy {
    /// The table.
    const TABLE: Table;

    /// Returns the bytes of the key.
    fn key(self) -> Key;

    /// Reads a key from its bytes.
    fn read(bytes: &[u8]) -> Result<Self, Corrupt>;
}

/// Declares the key of a table by its fields.
macro_rules! key {
    ($(#[$meta:meta])* $table:ident: $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $name {
            $($(#[$doc])* pub(super) $field: $type,)*
        }

        impl $name {
            /// The length of the key in bytes.
            pub(super) const BYTES: usize = 0 $(+ size_of::<$type>())*;
        }

        impl TableKey for $name {
            const TABLE: Table = Table::$table;

            fn key(self) -> Key {
                let mut bytes = [0; Self::BYTES];
                let mut rest = bytes.as_mut_slice();
                $(let (field, behind) = rest.split_at_mut(size_of::<$type>());
                field.copy_from_slice(&self.$field.to_be_bytes());
                rest = behind;)*
                debug_assert!(rest.is_empty(), "the fields fill the key");
                Key::new(&bytes)
            }

            fn read(bytes: &[u8]) -> Result<Self, Corrupt> {
                let rest = bytes;
                $(let (field, rest) = rest.split_first_chunk().ok_or(Corrupt("a key is too short"))?;
                let $field = <$type>::from_be_bytes(*field);)*
                if rest.is_empty() { Ok(Self { $($field,)* }) } else { Err(Corrupt("a key is too long")) }
            }
        }
    };
}

key! {
    /// The key of a definition.
    Definitions: DefinitionKey {
        metrics: u8,
        id: u64,
    }
}

key! {
    /// The key of a block of events of one location. The block of an id is the one with the greatest lower bound that does not
    /// exceed the id.
    Blocks: BlockKey {
        /// Days since 1970. The events without a partition have 0 here, with choice 0.
        days: u32,
        choice: u64,
        kind: u8,
        /// The lower bound of the ids.
        lower: u64,
    }
}

impl BlockKey {
    /// Returns the first key of the blocks of a date. The blocks of events without a partition precede the blocks of all dates.
    pub(super) fn first_of(days: u32) -> Self {
        Self { days, choice: u64::from(days == 0), kind: 0, lower: 0 }
    }

    /// The first key of the blocks of events without a partition.
    pub(super) const UNPARTITIONED: Self = Self { days: 0, choice: 0, kind: 0, lower: 0 };
}

key! {
    /// The key of a page of the index.
    Index: PageKey {
        /// The ids, divided by 256.
        page: u64,
        kind: u8,
    }
}

impl PageKey {
    /// Returns the key of the page that has the location of an event.
    pub(super) fn of(EventKey { kind, id }: EventKey) -> Self {
        Self { page: id >> 8, kind: kind as u8 }
    }
}

key! {
    /// The key of one day of a choice.
    Rollups: DayKey {
        /// Days since 1970.
        days: u32,
        choice: u64,
        metrics: u8,
    }
}

impl DayKey {
    /// Returns the first key of the rollups of a date.
    pub(super) fn first_of(days: u32) -> Self {
        Self { days, choice: 0, metrics: 0 }
    }
}

key! {
    /// The key of one day of all choices together.
    Totals: TotalKey {
        metrics: u8,
        /// Days since 1970.
        days: u32,
    }
}

/// Converts a number of days since 1970 into a date.
pub(super) fn date(days: u32) -> Result<Date, Corrupt> {
    Date::from_days(days).ok_or(Corrupt("a date is wrong"))
}

/// Converts a number into the id of a choice.
pub(super) fn choice(id: u64) -> Result<ChoiceId, Corrupt> {
    ChoiceId::new(id).ok_or(Corrupt("a choice id is wrong"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = BlockKey> {
        let field = || prop_oneof![any::<u64>(), 0..3_u64];
        (0..300_u32, field(), 0..3_u8, field()).prop_map(|(days, choice, kind, lower)| BlockKey {
            days,
            choice,
            kind,
            lower,
        })
    }

    proptest! {
        #[test]
        fn keys_are_ordered_as_their_bytes(one in any_key(), other in any_key()) {
            let [bytes, others] = [one.key(), other.key()];
            prop_assert_eq!(bytes.cmp(&others), one.cmp(&other));
            prop_assert_eq!(BlockKey::read(bytes.as_bytes()), Ok(one));
        }
    }
}
