//! `GET /metrics`: what the server counts of itself, with the values that exist anyway (queue, caches, file), sampled for each
//! answer.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::{ApiError, State};
use crate::access::Scope;
use crate::telemetry::server_metrics::{GaugeSample, MEDIA_TYPE};

const WAITING: &str = "How much of the grace period is left before a clock or periods that would delete more take effect; 0 if none wait.";
const TRUSTED: &str = "Whether the clock is close to the time that is expected: 1 or 0.";

pub(super) async fn metrics(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    state.allow(&request, Scope::Read)?;
    let text = super::off_thread(move || state.figures.text(&samples(&state)));
    Ok(HttpResponse::Ok().content_type(MEDIA_TYPE).body(text.await?))
}

/// Returns the current values of the gauges.
#[expect(clippy::cast_precision_loss, reason = "the text format knows no other numbers")]
fn samples(state: &State) -> Vec<GaugeSample> {
    let gauge = |name, help, value| GaugeSample { name, help, value };
    let flag = |is_so: bool| f64::from(u8::from(is_so));
    let State { queue, responses, retention, .. } = state;
    let (answers, kept) = (&responses.budget, retention.settings());
    let mut samples = vec![
        gauge("ready", "Whether the server can take writes: 1 or 0.", flag(state.readiness.reasons().is_empty())),
        gauge("queue_requests", "Requests that wait for the rollup task.", queue.waiting() as f64),
        gauge("queue_bytes", "Memory that all requests which write hold.", queue.bytes() as f64),
        gauge("queue_limit_bytes", "How much memory they may hold.", queue.limit_bytes() as f64),
        gauge("answer_bytes", "Memory that answers about metrics hold, kept or on their way.", answers.used() as f64),
        gauge("answer_limit_bytes", "How much memory they may hold.", answers.limit() as f64),
        gauge("answers_cached", "Answers that are kept for the next who asks the same.", responses.len() as f64),
        gauge("retention_events_days", "For how many days events are kept; 0 means for ever.", kept.events_days as f64),
        gauge(
            "retention_rollups_days",
            "For how many days rollups are kept; 0 means for ever.",
            kept.rollups_days as f64,
        ),
        gauge("retention_waiting_seconds", WAITING, retention.waiting().as_secs_f64()),
        gauge("retention_clock_trusted", TRUSTED, flag(retention.is_clock_trusted())),
    ];
    // While the disk fails, the size of the file is not known.
    if let Ok(bytes) = state.store.size_bytes() {
        samples.push(gauge("database_bytes", "Length of the database file.", bytes as f64));
    }
    if let Ok(snapshot) = state.store.snapshot() {
        let version = snapshot.version().number as f64;
        samples.push(gauge("rollup_version", "How often rollups or definitions have changed, ever.", version));
    }
    samples
}
