//! A request about a metrics type, with the definitions that it is parsed with.

use crate::api::ApiError;
use crate::api::page::Links;
use crate::api::params::Params;
use crate::catalog::{MetricsType, with_percentiles};
use crate::config::{Config, Dialect};
use crate::events::Choices;
use crate::store::{Snapshot, StoreError};
use crate::time::{Clock, Date, Timestamp, Zone};
use crate::vocabulary::MetricsTypeId;

/// What the settings and the clock say about all reads.
pub(crate) struct ReadSettings {
    pub(in crate::api) clock: Clock,
    pub(in crate::api) dialect: Dialect,
    /// The time zone of requests that ask for none.
    pub(in crate::api) timezone: Zone,
    /// The most events that a request may read.
    pub(in crate::api) events_scanned: u64,
    /// All metrics types, with the columns of these settings.
    pub(in crate::api) catalog: &'static [MetricsType],
}

impl ReadSettings {
    /// What the settings say.
    pub(crate) fn new(config: &Config, clock: Clock) -> Self {
        let catalog = with_percentiles(&config.percentiles());
        let (dialect, timezone) = (config.api.dialect, config.api.timezone);
        Self { clock, dialect, timezone, events_scanned: config.api.events_scanned, catalog }
    }
}

pub(in crate::api) struct ReadRequest<'a> {
    pub(in crate::api) metrics: &'static MetricsType,
    pub(in crate::api) params: &'a Params<'a>,
    pub(in crate::api) definitions: &'a Choices,
    pub(in crate::api) settings: &'a ReadSettings,
    /// The absolute URL, without the query.
    pub(in crate::api) address: &'a dyn Fn() -> String,
}

impl ReadRequest<'_> {
    /// Links to the other pages.
    pub(super) fn links(&self) -> Links {
        Links::new((self.address)(), self.params)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// The time zone that the request asks for, or else that of the settings.
    pub(super) fn zone(&self) -> Result<Zone, ApiError> {
        self.params.zone(self.settings.timezone)
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
