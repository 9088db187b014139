//! A request about a metrics type, with the definitions that it is parsed with.

use crate::api::page::Links;
use crate::api::params::Params;
use crate::api::{ApiError, State};
use crate::catalog::MetricsType;
use crate::events::Choices;
use crate::store::{Snapshot, StoreError};
use crate::time::{Date, Timestamp, Zone};
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

    /// The time zone that the request asks for, or else that of the settings.
    pub(super) fn zone(&self) -> Result<Zone, ApiError> {
        self.params.zone(self.state.timezone)
    }
}

/// How many days of a range may have data of a metrics type.
pub(super) fn days_with_something(
    snapshot: &Snapshot,
    metrics: MetricsTypeId,
    (first, last): (Date, Date),
) -> Result<usize, StoreError> {
    let Some((oldest, newest)) = snapshot.span(metrics)? else { return Ok(0) };
    Ok((last.min(newest).days() + 1).saturating_sub(first.max(oldest).days()) as usize)
}
