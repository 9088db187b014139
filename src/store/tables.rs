//! The file format: every table, its key order and the scans it serves. Names nothing of what the values mean.
//!
//! Values are sealed records (`codec`, `blocks`). Keys are ordered by their first field, then by their second, and so on.

use std::cmp::Ordering;

use redb::{Key, TableDefinition, TypeName, Value};

/// The format that this program writes. A newer one is refused at the start; an older one would be migrated there.
pub(super) const FORMAT: u64 = 1;

/// `format` → the number above; `version` → how often rollups or definitions changed; `choices` → by which version the
/// definitions last changed; `events_from`, `rollups_from` → the first day whose events or rollups are kept, in days since
/// 1970: what is older and still there is on its way out; the keys that begin with `clock_`, `agreed_` and `waiting_` → what
/// `retention.rs` remembers of the clock and the periods, all absent in files of earlier versions of this program.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// [`META`]'s key of the format.
pub(super) const META_FORMAT: &str = "format";
/// [`META`]'s key of the number of changes.
pub(super) const META_VERSION: &str = "version";
/// [`META`]'s key of the last change to the definitions.
pub(super) const META_CHOICES: &str = "choices";
/// [`META`]'s key of the first day whose events are kept.
pub(super) const META_EVENTS_FROM: &str = "events_from";
/// [`META`]'s key of the first day whose rollups are kept.
pub(super) const META_ROLLUPS_FROM: &str = "rollups_from";

/// [`META`]'s key of the time that was trusted last, in microseconds since 1970.
pub(super) const META_CLOCK_TRUSTED: &str = "clock_trusted_us";
/// [`META`]'s key of what the clock showed then, in microseconds since 1970.
pub(super) const META_CLOCK_SEEN: &str = "clock_seen_us";
/// [`META`]'s key of how long the clock had run undisturbed then, in microseconds.
pub(super) const META_CLOCK_STEADY: &str = "clock_steady_us";
/// [`META`]'s key of the days for which events are kept, as it is in force; 0 or absent means for ever.
pub(super) const META_AGREED_EVENTS: &str = "agreed_events_days";
/// [`META`]'s key of the days for which rollups are kept, as it is in force; 0 or absent means for ever.
pub(super) const META_AGREED_ROLLUPS: &str = "agreed_rollups_days";
/// [`META`]'s key of the days for which events are to be kept after the grace period; absent if nothing waits for it.
pub(super) const META_WAITING_EVENTS: &str = "waiting_events_days";
/// [`META`]'s key of the days for which rollups are to be kept then.
pub(super) const META_WAITING_ROLLUPS: &str = "waiting_rollups_days";
/// [`META`]'s key of how much of the grace period is over, in microseconds.
pub(super) const META_WAITED: &str = "waiting_waited_us";

/// Declares a key of so many bytes. Every field is written with its highest byte first, so that keys are ordered as their
/// bytes are; comparing bytes is what most of looking a key up consists of.
macro_rules! key {
    ($(#[$meta:meta])* $name:ident, $bytes:literal: { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $name {
            $($(#[$doc])* pub(super) $field: $type,)*
        }

        impl Value for $name {
            type SelfType<'a> = Self;
            type AsBytes<'a> = [u8; $bytes];

            fn fixed_width() -> Option<usize> {
                Some($bytes)
            }

            fn from_bytes<'a>(bytes: &'a [u8]) -> Self
            where
                Self: 'a,
            {
                let rest = bytes;
                $(let (field, rest) = rest.split_first_chunk().expect("keys have a fixed width");
                let $field = <$type>::from_be_bytes(*field);)*
                debug_assert!(rest.is_empty(), "keys have a fixed width");
                Self { $($field,)* }
            }

            fn as_bytes<'a, 'b: 'a>(key: &'a Self) -> [u8; $bytes]
            where
                Self: 'b,
            {
                let mut bytes = [0; $bytes];
                let mut rest = bytes.as_mut_slice();
                $(let (field, behind) = rest.split_at_mut(size_of::<$type>());
                field.copy_from_slice(&key.$field.to_be_bytes());
                rest = behind;)*
                debug_assert!(rest.is_empty(), "keys have a fixed width");
                bytes
            }

            fn type_name() -> TypeName {
                TypeName::new(concat!("scale-metrics ", stringify!($name)))
            }
        }

        impl Key for $name {
            fn compare(one: &[u8], other: &[u8]) -> Ordering {
                one.cmp(other)
            }
        }
    };
}

key! {
    /// Names a definition.
    DefinitionKey, 9: {
        metrics: u8,
        id: u64,
    }
}

/// The definitions of choices. Read as a whole.
pub(super) const CHOICES: TableDefinition<'_, DefinitionKey, &[u8]> = TableDefinition::new("choices");

key! {
    /// Names a block of events.
    BlockKey, 21: {
        /// Days since 1970.
        days: u32,
        choice: u64,
        kind: u8,
        /// Of the ids.
        lower: u64,
    }
}

impl BlockKey {
    /// The first key of the blocks of a date. Those of events without a home come before the blocks of all dates.
    pub(super) fn first_of(days: u32) -> Self {
        Self { days, choice: u64::from(days == 0), kind: 0, lower: 0 }
    }

    /// The first key of the blocks of events without a home.
    pub(super) const HOMELESS: Self = Self { days: 0, choice: 0, kind: 0, lower: 0 };
}

/// Blocks of events, ordered by id. The events of a kind that end on one date of one choice stand in consecutive blocks; those
/// that have no such home yet stand under date 0 and choice 0. An id is in the block with the greatest lower bound that
/// does not exceed it. The date comes first because events come in the order of time: what is written together stands
/// together, and full pages are left behind.
pub(super) const BLOCKS: TableDefinition<'_, BlockKey, &[u8]> = TableDefinition::new("blocks");

key! {
    /// Names a page of the index.
    PageKey, 9: {
        /// The ids, divided by 256.
        page: u64,
        kind: u8,
    }
}

/// Where each of 256 ids is kept. The ids come first because those of jobs and of their executions rise side by side.
pub(super) const INDEX: TableDefinition<'_, PageKey, &[u8]> = TableDefinition::new("index");

key! {
    /// Names the day of a choice.
    DayKey, 13: {
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

/// The rollups of choices. Read by key, or by date; in the order of the blocks, so that what is written together stands
/// together here, too.
pub(super) const ROLLUPS: TableDefinition<'_, DayKey, &[u8]> = TableDefinition::new("rollups");

key! {
    /// Names the day of all choices together.
    TotalKey, 5: {
        metrics: u8,
        /// Since 1970.
        days: u32,
    }
}

/// The rollups of all choices together. Scanned by date.
pub(super) const TOTALS: TableDefinition<'_, TotalKey, &[u8]> = TableDefinition::new("totals");

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
            let [bytes, others] = [BlockKey::as_bytes(&one), BlockKey::as_bytes(&other)];
            prop_assert_eq!(BlockKey::compare(&bytes, &others), one.cmp(&other));
            prop_assert_eq!(BlockKey::from_bytes(&bytes), one);
        }
    }
}
