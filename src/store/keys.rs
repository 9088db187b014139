//! The keys of all rows, and the numbers that have names: with `blocks`, `index_pages` and `rollup_rows`, this is the format of what is
//! stored.
//!
//! Every field of a key is written with its highest byte first, so that keys are ordered as their bytes are. The fields are in
//! the order of the scans that the key serves. What is written together then stands together: events come in the order of time,
//! so the keys of blocks and rollups begin with the date.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `Definitions` | metrics type, id of the choice | a definition (`codec`) |
//! | `Blocks` | date, choice, kind of the events, lower bound of their ids | up to 128 events (`blocks`) |
//! | `Index` | ids / 256, kind | where each of these events is kept (`index_pages`) |
//! | `Rollups` | date, choice, metrics type | the day's rollup of that choice (`rollup_rows`) |
//! | `Totals` | metrics type, date | the day's rollup of all choices together (`rollup_rows`) |
//!
//! The keys of the index begin with the ids because those of jobs and of their executions rise side by side.

use super::codec::Corrupt;
use super::rows::Key;
use crate::time::Date;
use crate::vocabulary::ChoiceId;

/// The format that this program writes. A newer one is refused at the start; an older one would be migrated there.
pub(super) const FORMAT: u64 = 1;

/// The name of the number of the format.
pub(super) const NUMBER_FORMAT: &str = "format";
/// How often rollups or definitions changed.
pub(super) const NUMBER_VERSION: &str = "version";
/// The version since which the definitions stand.
pub(super) const NUMBER_DEFINITIONS: &str = "choices";
/// The first day whose events are kept, in days since 1970: what is older and still there is about to be deleted.
pub(super) const NUMBER_EVENTS_FROM: &str = "events_from";
/// The first day whose rollups are kept, in days since 1970.
pub(super) const NUMBER_ROLLUPS_FROM: &str = "rollups_from";

// What `retention.rs` remembers of the clock and the periods. Files of the first versions of this program have none of these.

/// The time that was trusted last, in microseconds since 1970.
pub(super) const NUMBER_CLOCK_TRUSTED: &str = "clock_trusted_us";
/// What the clock showed then, in microseconds since 1970.
pub(super) const NUMBER_CLOCK_SEEN: &str = "clock_seen_us";
/// How long the clock had run undisturbed then, in microseconds.
pub(super) const NUMBER_CLOCK_STEADY: &str = "clock_steady_us";
/// The days for which events are kept, as it is in force; 0 or absent means for ever.
pub(super) const NUMBER_AGREED_EVENTS: &str = "agreed_events_days";
/// The days for which rollups are kept, as it is in force; 0 or absent means for ever.
pub(super) const NUMBER_AGREED_ROLLUPS: &str = "agreed_rollups_days";
/// The days for which events are to be kept after the grace period; absent if nothing waits for it.
pub(super) const NUMBER_WAITING_EVENTS: &str = "waiting_events_days";
/// The days for which rollups are to be kept then.
pub(super) const NUMBER_WAITING_ROLLUPS: &str = "waiting_rollups_days";
/// How much of the grace period is over, in microseconds.
pub(super) const NUMBER_WAITED: &str = "waiting_waited_us";

/// Declares a key by its fields.
macro_rules! key {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $name {
            $($(#[$doc])* pub(super) $field: $type,)*
        }

        impl $name {
            /// The length of its bytes.
            pub(super) const BYTES: usize = 0 $(+ size_of::<$type>())*;

            /// The key's bytes.
            pub(super) fn key(self) -> Key {
                let mut bytes = [0; Self::BYTES];
                let mut rest = bytes.as_mut_slice();
                $(let (field, behind) = rest.split_at_mut(size_of::<$type>());
                field.copy_from_slice(&self.$field.to_be_bytes());
                rest = behind;)*
                debug_assert!(rest.is_empty(), "the fields fill the key");
                Key::new(&bytes)
            }

            /// The key of these bytes.
            pub(super) fn read(bytes: &[u8]) -> Result<Self, Corrupt> {
                let rest = bytes;
                $(let (field, rest) = rest.split_first_chunk().ok_or(Corrupt("a key is too short"))?;
                let $field = <$type>::from_be_bytes(*field);)*
                if rest.is_empty() { Ok(Self { $($field,)* }) } else { Err(Corrupt("a key is too long")) }
            }
        }
    };
}

key! {
    /// Names a definition.
    DefinitionKey {
        metrics: u8,
        id: u64,
    }
}

key! {
    /// Names a block of events of one location. An id is in the block with the greatest lower bound that does not exceed it.
    BlockKey {
        /// Days since 1970; 0, with choice 0, for the events without a partition.
        days: u32,
        choice: u64,
        kind: u8,
        /// Of the ids.
        lower: u64,
    }
}

impl BlockKey {
    /// The first key of the blocks of a date. Those of events without a partition come before the blocks of all dates.
    pub(super) fn first_of(days: u32) -> Self {
        Self { days, choice: u64::from(days == 0), kind: 0, lower: 0 }
    }

    /// The first key of the blocks of events without a partition.
    pub(super) const UNPARTITIONED: Self = Self { days: 0, choice: 0, kind: 0, lower: 0 };
}

key! {
    /// Names a page of the index.
    PageKey {
        /// The ids, divided by 256.
        page: u64,
        kind: u8,
    }
}

key! {
    /// Names the day of a choice.
    DayKey {
        /// Since 1970.
        days: u32,
        choice: u64,
        metrics: u8,
    }
}

impl DayKey {
    /// The first key of the rollups of a date.
    pub(super) fn first_of(days: u32) -> Self {
        Self { days, choice: 0, metrics: 0 }
    }
}

key! {
    /// Names the day of all choices together.
    TotalKey {
        metrics: u8,
        /// Since 1970.
        days: u32,
    }
}

/// The date that a number of days since 1970 stands for.
pub(super) fn date(days: u32) -> Result<Date, Corrupt> {
    Date::from_days(days).ok_or(Corrupt("a date is wrong"))
}

/// The choice that a number stands for.
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
