//! `POST /v6/admin/rebuild/`: recomputes the rollups of a range of days from their events, while the server goes on.
//!
//! One rebuild runs at a time. Meanwhile, other requests for one are refused at once, rather than made to wait for hours, perhaps
//! for a rebuild that was started by mistake.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::openapi::names::TypeName;
use super::{ApiError, State};
use crate::access;
use crate::rollup::{RollupKey, RollupScope};
use crate::time::{Date, Zone};
use crate::vocabulary::ChoiceId;
use crate::worker::{RebuildCommand, WriteFailed};

/// The largest number of differences that an answer lists.
const MOST_DIFFERENCES: usize = 100;

/// What a rebuild did.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Rebuilt {
    /// How many days have something stored.
    dates: u64,
    /// How many of these were left alone, because their events are no longer kept.
    skipped: u64,
    /// How many events were read.
    events: u64,
    /// How many rollups they make.
    rollups: u64,
    /// How many rollups were something else before, and are right now.
    different: u64,
    /// The first hundred of these.
    #[schema(max_items = 100)]
    differences: Vec<Difference>,
}

/// A rollup that was something else before.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Difference {
    /// The metrics type.
    #[schema(value_type = TypeName)]
    metrics: &'static str,
    /// The choice; `null` for all together.
    choice: Option<ChoiceId>,
    /// The day.
    #[schema(value_type = Date)]
    date: String,
    /// The hours that differed; none if it could not be read and nothing should be there.
    #[schema(max_items = 24)]
    hours: Vec<u8>,
}

impl Difference {
    fn new((key, hours): (RollupKey, Vec<u8>)) -> Self {
        let choice = if let RollupScope::Choice(choice) = key.scope { Some(choice) } else { None };
        Self { metrics: key.metrics.describe().name, choice, date: key.date.to_string(), hours }
    }
}

/// Rebuilds one day after the other, with a command for each. If the client goes, the current day is abandoned.
pub(super) async fn rebuild(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    state.allow_writing(&request, access::Scope::Admin)?;
    let range = super::parameters(&request)?.time_range(state.reads.clock.now(), Zone::UTC)?;
    let _permit = state.rebuilds.try_acquire().map_err(|_| ApiError::RebuildRuns)?;
    let (first, last) = (range.started.date(), range.ended.date());
    let (dates, kept) = super::read_off_thread(&state, move |state| {
        let snapshot = state.store.snapshot()?;
        Ok((snapshot.dates()?.range(first..=last).copied().collect::<Vec<_>>(), snapshot.kept()))
    })
    .await?;
    let mut rebuilt = Rebuilt { dates: dates.len() as u64, ..Rebuilt::default() };
    for date in dates {
        if date < kept.events_from {
            rebuilt.skipped += 1;
            continue;
        }
        let (reply, answer) = oneshot::channel();
        state.queue.rebuild(RebuildCommand { date, reply })?;
        let examined = answer.await.unwrap_or(Err(WriteFailed::Unavailable))?;
        rebuilt.events += examined.events;
        rebuilt.rollups += examined.rollups;
        rebuilt.different += examined.wrong.len() as u64;
        let room = MOST_DIFFERENCES - rebuilt.differences.len();
        rebuilt.differences.extend(examined.wrong.into_iter().take(room).map(Difference::new));
    }
    Ok(HttpResponse::Ok().json(rebuilt))
}
