//! The formats of databases, and what one with an earlier format needs.
//!
//! | format | differs from the one before |
//! | --- | --- |
//! | 1 | the first |
//! | 2 | rollups have histograms (`histograms`). Those of days whose events are kept are computed anew; the others are read as they are |
//!
//! Not here: upgrading (`upgrade`).

use super::error::StoreError;
use super::keys;
use crate::time::Date;

/// What a database needs before it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// Nothing: it has the present format.
    Done,
    /// The days from this one on.
    From(Date),
}

impl Upgrade {
    /// The names of the numbers that say what a database needs.
    pub(super) const NUMBERS: [&str; 2] = [keys::NUMBER_FORMAT, keys::NUMBER_UPGRADE];

    /// What a database with these numbers needs. Fails if this program does not know its format.
    pub(super) fn of(numbers: &[Option<u64>]) -> Result<Self, StoreError> {
        match *numbers {
            [Some(keys::FORMAT), None] => Ok(Self::Done),
            [Some(1), _] => Ok(Self::From(Date::MIN)),
            [Some(keys::FORMAT), Some(days)] => {
                let days = u32::try_from(days).unwrap_or(u32::MAX);
                Ok(Self::From(Date::from_days(days).unwrap_or(Date::MAX)))
            }
            [found, ..] => Err(StoreError::OtherFormat { found: found.unwrap_or(0), known: keys::FORMAT }),
            [] => unreachable!("both are read"),
        }
    }
}
