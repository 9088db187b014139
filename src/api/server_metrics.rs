//! `GET /metrics`: what the server counts of itself, with the values that exist anyway (queue, caches, file), sampled for each
//! answer.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::{ApiError, State};
use crate::access::Scope;
use crate::telemetry::server_metrics::{GaugeSample, MEDIA_TYPE};

pub(super) async fn metrics(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    state.allow(&request, Scope::Read)?;
    let text = super::off_thread(move || state.figures.text(&samples(&state)));
    Ok(HttpResponse::Ok().content_type(MEDIA_TYPE).body(text.await?))
}

/// Returns the current values of the gauges.
#[expect(clippy::cast_precision_loss, reason = "the text format knows no other numbers")]
fn samples(state: &State) -> Vec<GaugeSample> {
    let is_ready = state.readiness.reasons().is_empty();
    let mut samples = vec![
        GaugeSample {
            name: "ready",
            help: "Whether the server can take writes: 1 or 0.",
            value: f64::from(u8::from(is_ready)),
        },
        GaugeSample {
            name: "queue_requests",
            help: "Requests that wait for the rollup task.",
            value: state.queue.waiting() as f64,
        },
        GaugeSample {
            name: "queue_bytes",
            help: "Memory that all requests which write hold.",
            value: state.queue.bytes() as f64,
        },
        GaugeSample {
            name: "queue_limit_bytes",
            help: "How much memory they may hold.",
            value: state.queue.limit_bytes() as f64,
        },
        GaugeSample {
            name: "answer_bytes",
            help: "Memory that answers about metrics hold, kept or on their way.",
            value: state.responses.bytes() as f64,
        },
        GaugeSample {
            name: "answer_limit_bytes",
            help: "How much memory they may hold.",
            value: state.responses.limit_bytes() as f64,
        },
        GaugeSample {
            name: "answers_cached",
            help: "Answers that are kept for the next who asks the same.",
            value: state.responses.len() as f64,
        },
    ];
    let retention = state.retention.settings();
    samples.extend([
        GaugeSample {
            name: "retention_events_days",
            help: "For how many days events are kept; 0 means for ever.",
            value: retention.events_days as f64,
        },
        GaugeSample {
            name: "retention_rollups_days",
            help: "For how many days rollups are kept; 0 means for ever.",
            value: retention.rollups_days as f64,
        },
        GaugeSample {
            name: "retention_waiting_seconds",
            help: "How much of the grace period is left before a clock or periods that would delete more take effect; 0 if none wait.",
            value: state.retention.waiting().as_secs_f64(),
        },
        GaugeSample {
            name: "retention_clock_trusted",
            help: "Whether the clock is close to the time that is expected: 1 or 0.",
            value: f64::from(u8::from(state.retention.is_clock_trusted())),
        },
    ]);
    // While the disk fails, the size of the file is not known.
    if let Ok(bytes) = state.store.size_bytes() {
        samples.push(GaugeSample { name: "database_bytes", help: "Length of the database file.", value: bytes as f64 });
    }
    if let Ok(snapshot) = state.store.snapshot() {
        samples.push(GaugeSample {
            name: "rollup_version",
            help: "How often rollups or definitions have changed, ever.",
            value: snapshot.version() as f64,
        });
    }
    samples
}
