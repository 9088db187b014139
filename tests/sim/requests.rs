//! Requests, drawn at random: few ids, so that events meet; times at the edges of hours and days.

use fastrand::Rng;
use scale_metrics::events::{EventKey, Object};
use scale_metrics::vocabulary::EventKind;
use serde_json::{Value, json};

const STATUSES: [&str; 5] = ["COMPLETED", "FAILED", "CANCELED", "QUEUED", "RUNNING"];
const INGEST_STATUSES: [&str; 6] = ["INGESTED", "DEFERRED", "ERRORED", "DUPLICATE", "QUEUED", "TRANSFERRING"];
const CATEGORIES: [&str; 3] = ["SYSTEM", "DATA", "ALGORITHM"];
/// How many choices of each kind there are.
const CHOICES: u64 = 3;

fn choose<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

/// A day and some hours before or up to `day`, in days since 1970.
fn time(rng: &mut Rng, day: u32) -> String {
    let day = chrono::DateTime::from_timestamp(i64::from(day - rng.u32(..4)) * 86_400, 0).expect("a day");
    let clock = ["00:00:00Z", "00:59:59.999999Z", "01:00:00Z", "22:10:07.5Z", "23:00:00Z", "23:59:59.999999Z"];
    format!("{}T{}", day.format("%Y-%m-%d"), choose(rng, &clock))
}

/// The definitions that every store has from the start.
pub(crate) fn definitions(rng: &mut Rng) -> Vec<Value> {
    (1..=CHOICES)
        .flat_map(|id| (0..3).map(move |kind| (kind, id)))
        .map(|(kind, id)| definition(rng, kind, id))
        .collect()
}

fn definition(rng: &mut Rng, kind: u8, id: u64) -> Value {
    let name = choose(rng, &["a", "b", "c"]);
    match kind {
        0 => json!({"kind": "job_type", "id": id, "name": name, "version": "1"}),
        1 => json!({"kind": "strike", "id": id, "name": name}),
        _ => json!({
            "kind": "error", "id": id, "name": name, "category": choose(rng, &CATEGORIES), "is_builtin": rng.bool(),
        }),
    }
}

/// An event of that id; `kind` from 0 to 2.
fn event(rng: &mut Rng, kind: u8, id: u64, day: u32) -> Value {
    let ended = time(rng, day);
    let choice = rng.u64(1..=CHOICES);
    let mut event = match kind {
        0 => json!({"kind": "job", "id": id, "job_type": choice, "status": choose(rng, &STATUSES), "ended": ended}),
        1 => json!({
            "kind": "job_execution", "id": id, "job_type": choice, "status": choose(rng, &STATUSES), "ended": ended,
            "queued": time(rng, day), "started": time(rng, day),
            "tasks": [{"type": "main", "started": time(rng, day), "ended": time(rng, day)}],
        }),
        _ => json!({
            "kind": "ingest", "id": id, "strike": choice, "status": choose(rng, &INGEST_STATUSES),
            "ingest_ended": ended, "file_size": rng.u64(..1 << 40), "ingest_started": time(rng, day),
        }),
    };
    if kind < 2 && rng.bool() {
        event["error"] = rng.u64(1..=CHOICES).into();
    }
    if rng.u8(..3) > 0 {
        event["last_modified"] = time(rng, day).into();
    }
    event
}

/// The objects of a request.
pub(crate) fn request(rng: &mut Rng, day: u32) -> Vec<Value> {
    if rng.u8(..12) == 0 {
        let kind = rng.u8(..3);
        let first = rng.u64(1..3) * 200;
        return (first..first + rng.u64(50..300)).map(|id| event(rng, kind, id, day)).collect();
    }
    let objects = rng.usize(1..10);
    let mut object = |_| {
        let kind = rng.u8(..3);
        if rng.u8(..10) == 0 {
            let id = rng.u64(1..=CHOICES);
            return definition(rng, kind, id);
        }
        let id = rng.u64(1..12);
        event(rng, kind, id, day)
    };
    (0..objects).map(&mut object).collect()
}

/// Puts deletions of events among the objects of a request, now and then.
pub(crate) fn add_deletions(rng: &mut Rng, objects: &mut Vec<Object>) {
    if rng.u8(..4) > 0 {
        return;
    }
    let (first, most) = if rng.u8(..6) == 0 { (200, 300) } else { (1, 6) };
    for _ in 0..rng.u64(1..=most) {
        let kind = *rng.choice(EventKind::ALL).expect("there are some");
        let key = EventKey { kind, id: first + rng.u64(..most * 2) };
        objects.insert(rng.usize(..=objects.len()), Object::Deletion(key));
    }
}

/// An object that is refused.
pub(crate) fn invalid(rng: &mut Rng, day: u32) -> Value {
    let mut event = event(rng, 0, 1, day);
    match rng.u8(..4) {
        0 => event["job_type"] = 77.into(),
        1 => event["id"] = 0.into(),
        2 => event["status"] = "DONE".into(),
        _ => event["colour"] = 1.into(),
    }
    event
}
