//! A request about a metrics type, with the definitions that it is parsed with.

use crate::api::State;
use crate::api::page::Links;
use crate::api::params::Params;
use crate::catalog::MetricsType;
use crate::events::Choices;
use crate::store::{Snapshot, StoreError};
use crate::time::{Date, Timestamp};
use crate::vocabulary::MetricsTypeId;

pub(in crate::api) struct ReadRequest<'a> {
    pub(super) metrics: &'static MetricsType,
    pub(super) params: &'a Params<'a>,
    pub(super) definitions: &'a Choices,
    pub(super) state: &'a State,
    /// The absolute URL, without the query.
    pub(super) address: &'a dyn Fn() -> String,
}

impl ReadRequest<'_> {
    /// Links to the other pages.
    pub(super) fn links(&self) -> Links {
        Links::new((self.address)(), self.params)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.state.clock.now()
    }
}

/// How many days of a range may have data of a metrics type.
pub(super) fn days_with_something(
    snapshot: &Snapshot,
    metrics: MetricsTypeId,
    (first, last): (Date, Date),
) -> Result<usize, StoreError> {
    let span = snapshot.span(metrics)?;
    let (first, last) = match span {
        Some((oldest, newest)) => (first.max(oldest), last.min(newest)),
        None => return Ok(0),
    };
    Ok((last.days() + 1).saturating_sub(first.days()) as usize)
}
