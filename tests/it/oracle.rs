//! The metrics, computed the plain way: a fold over every object that was accepted.
//!
//! An [`Oracle`] is told each request and says what the server must answer, and what every column must show from then
//! on. It keeps the objects as JSON, looks at all of them for each question, and knows nothing of rollups. A percentile need not be
//! exact, so the oracle gives a range for it, `{"from": …, "to": …}`, and [`fits`] compares.
//!
//! Not here: the validation of fields. The only reason it refuses a request for is a choice that nobody defined.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};

use chrono::{DateTime, Datelike, NaiveDateTime, Offset, Timelike, Weekday};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

/// The metrics types, in catalogue order.
pub(crate) const TYPES: [&str; 3] = ["job-types", "ingests", "errors"];

/// A JSON object in normal form: no nulls, defaults filled in, times as microseconds since 1970.
type Object = Map<String, Value>;

/// Everything acknowledged so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Oracle {
    objects: BTreeMap<(String, u64), Object>,
}

/// What a list of events is asked for. Empty lists allow everything.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) metrics_type: &'static str,
    pub(crate) selected: Vec<u64>,
    /// Without the end.
    pub(crate) period_us: Range<u64>,
    pub(crate) kinds: Vec<String>,
    pub(crate) statuses: Vec<String>,
    pub(crate) errors: Vec<u64>,
    pub(crate) categories: Vec<String>,
    pub(crate) job_types: Vec<u64>,
    /// Measures with the smallest and the largest value that is shown.
    pub(crate) bounds: Vec<(&'static str, Option<u64>, Option<u64>)>,
    pub(crate) order: String,
}

const EVENT_KINDS: [&str; 3] = ["job", "job_execution", "ingest"];

/// What one event adds to one bucket.
struct Contribution {
    metrics_type: &'static str,
    choice: u64,
    at_us: u64,
    /// The count columns that go up by one.
    counts: Vec<String>,
    /// Measures with a value each, in microseconds or bytes.
    observations: Vec<(&'static str, u128)>,
}

impl Oracle {
    /// Applies a request. Returns the answer to it; `None`, and nothing is applied, if it names an unknown choice.
    pub(crate) fn post(&mut self, objects: &[Value]) -> Option<Value> {
        let mut after = self.objects.clone();
        let (mut created, mut updated, mut unchanged, mut stale) = (0, 0, 0, 0);
        for object in objects {
            let object = normal_form(object);
            let choices = [("job_type", "job_type"), ("strike", "strike"), ("error", "error")];
            let known = |&(field, kind): &(&str, &str)| {
                object.get(field).is_none_or(|id| after.contains_key(&(kind.to_owned(), id.as_u64().unwrap())))
            };
            if !choices.iter().all(known) {
                return None;
            }
            let key = (text(&object, "kind").to_owned(), number(&object, "id").unwrap());
            match after.get(&key) {
                None => created += 1,
                Some(stored) if *stored == object => {
                    unchanged += 1;
                    continue;
                }
                Some(stored) if is_older(&object, stored) => {
                    stale += 1;
                    continue;
                }
                Some(_) => updated += 1,
            }
            after.insert(key, object);
        }
        self.objects = after;
        Some(json!({
            "accepted": objects.len(), "created": created, "updated": updated, "unchanged": unchanged, "stale": stale,
        }))
    }

    /// Deletes events. Returns how many there were, and how many there were not.
    pub(crate) fn delete(&mut self, keys: &[(String, u64)]) -> (usize, usize) {
        let deleted = keys.iter().filter(|key| self.objects.remove(*key).is_some()).count();
        (deleted, keys.len() - deleted)
    }

    /// The `choices` of a metrics type, as its details list them.
    pub(crate) fn choices(&self, metrics_type: &str) -> Vec<Value> {
        let (kind, fields): (_, &[&str]) = match metrics_type {
            "job-types" => ("job_type", &JOB_TYPE_FIELDS),
            "ingests" => ("strike", &["id", "name", "title", "description"]),
            _ => ("error", &ERROR_FIELDS),
        };
        let of_kind = self.objects.iter().filter(|((of, _), _)| of == kind).map(|(_, object)| object);
        let listed = of_kind.filter(|object| kind != "error" || object["is_builtin"] == true);
        let value = |object: &Object, field: &str| object.get(field).cloned().unwrap_or_default();
        listed.map(|object| fields.iter().map(|field| ((*field).to_owned(), value(object, field))).collect()).collect()
    }

    /// The `results` of plot data for the selected choices in a time zone, with each column's name in place of its definition.
    pub(crate) fn plot(&self, zone: Tz, metrics_type: &str, selected: &[u64], resolution: &str) -> Vec<Value> {
        let mut starts = BTreeMap::new();
        let mut start_of = |at_us: u64| *starts.entry(at_us).or_insert_with(|| bucket_start(zone, resolution, at_us));
        let mut buckets: BTreeMap<(i64, Option<u64>), Vec<Contribution>> = BTreeMap::new();
        for contribution in self.objects.values().flat_map(|event| self.contributions(event)) {
            let Contribution { choice, at_us, .. } = contribution;
            if contribution.metrics_type == metrics_type && (selected.is_empty() || selected.contains(&choice)) {
                let id = (selected.len() > 1).then_some(choice);
                buckets.entry((start_of(at_us), id)).or_default().push(contribution);
            }
        }
        columns(metrics_type).iter().map(|column| series(zone, column, &buckets)).collect()
    }

    /// What `totals` says of a period of whole hours, in microseconds since 1970, without its end: the values of all selected
    /// choices together, and of each in which there is anything.
    pub(crate) fn totals(
        &self,
        metrics_type: &str,
        selected: &[u64],
        period_us: Range<u64>,
    ) -> (Value, BTreeMap<u64, Value>) {
        let mut choices: BTreeMap<u64, Vec<Contribution>> = BTreeMap::new();
        let mut all = Vec::new();
        for event in self.objects.values() {
            let is_meant = |it: &Contribution| {
                let is_selected = selected.is_empty() || selected.contains(&it.choice);
                it.metrics_type == metrics_type && is_selected && period_us.contains(&it.at_us)
            };
            all.extend(self.contributions(event).into_iter().filter(is_meant));
            for contribution in self.contributions(event).into_iter().filter(is_meant) {
                choices.entry(contribution.choice).or_default().push(contribution);
            }
        }
        let values = |contributions: &[Contribution]| -> Value {
            let value = |column: &str| value(column, contributions).filter(|_| !contributions.is_empty());
            let values = columns(metrics_type).into_iter();
            values.map(|column| (column.clone(), json!(value(&column).as_ref().map(expected)))).collect()
        };
        (values(&all), choices.iter().map(|(&id, contributions)| (id, values(contributions))).collect())
    }

    /// The events of a list, in its order.
    pub(crate) fn events(&self, question: &Question) -> Vec<Value> {
        let mut listed: Vec<_> = self.objects.values().filter(|event| self.lists(question, event)).collect();
        listed.sort_by_cached_key(|event| {
            let place = match question.order.trim_start_matches('-') {
                "ended" => u128::from(ended(event).unwrap()),
                measure => measured(event, measure).unwrap(),
            };
            let place = if question.order.starts_with('-') { u128::MAX - place } else { place };
            let kind = EVENT_KINDS.iter().position(|kind| *kind == text(event, "kind"));
            (place, kind, number(event, "id"))
        });
        listed.into_iter().map(|event| self.listed(question.metrics_type, event)).collect()
    }

    /// The results of a breakdown of these events, in the order of their counts, and the number of all events. Groups of equal size
    /// are in any order.
    pub(crate) fn breakdown(&self, question: &Question, by: &[&str], zone: Tz) -> (Vec<Value>, usize) {
        let listed: Vec<_> = self.objects.values().filter(|event| self.lists(question, event)).collect();
        let mut groups: BTreeMap<String, (Value, Vec<&Object>)> = BTreeMap::new();
        for &event in &listed {
            let shown = self.listed(question.metrics_type, event);
            let part = |by: &str| match by {
                "choice" | "error" | "status" => shown[by].clone(),
                "error_category" => shown["error"]["category"].clone(),
                "job_type" => {
                    let job_type = &self.objects[&("job_type".to_owned(), number(event, "job_type").unwrap())];
                    ["id", "title", "name", "version"]
                        .map(|field| (field.to_owned(), job_type[field].clone()))
                        .into_iter()
                        .collect()
                }
                _ => {
                    let local = date_time(i64::try_from(ended(event).unwrap()).unwrap()).and_utc().with_timezone(&zone);
                    json!(if by == "hour" { local.hour() } else { local.weekday().number_from_monday() })
                }
            };
            let group: Value = by.iter().map(|&by| (by.to_owned(), part(by))).collect();
            groups.entry(group.to_string()).or_insert_with(|| (group, Vec::new())).1.push(event);
        }
        let of_type = columns(question.metrics_type);
        let measures: Vec<_> = of_type.iter().filter_map(|column| column.strip_suffix("_sum")).collect();
        let results = groups.into_values().map(|(group, events)| {
            let measures: Object =
                measures.iter().map(|&measure| (measure.to_owned(), summary(measure, &events))).collect();
            json!({"group": group, "count": events.len(), "measures": measures})
        });
        let mut results: Vec<_> = results.collect();
        results.sort_by_key(|group| std::cmp::Reverse(group["count"].as_u64()));
        (results, listed.len())
    }

    fn lists(&self, question: &Question, event: &Object) -> bool {
        let kind = text(event, "kind");
        let Some(at_us) = ended(event).filter(|_| EVENT_KINDS.contains(&kind)) else { return false };
        let is_asked = |asked: &[String], given: &str| asked.is_empty() || asked.iter().any(|one| one == given);
        let is_selected = |choice: u64| question.selected.is_empty() || question.selected.contains(&choice);
        let is_counted = || {
            let contributions = self.contributions(event);
            contributions.iter().any(|it| it.metrics_type == question.metrics_type && is_selected(it.choice))
        };
        // Asked for by kind and status, executions need not be counted.
        let is_named = question.metrics_type == "job-types"
            && kind == "job_execution"
            && question.kinds.iter().any(|it| it == kind)
            && !question.statuses.is_empty()
            && is_selected(number(event, "job_type").unwrap());
        let has_error = || {
            let error = self.error(event);
            let category = || error.map(|error| text(error, "category"));
            let has_id = || number(event, "error").is_some_and(|id| question.errors.contains(&id));
            (question.errors.is_empty() || has_id())
                && (question.categories.is_empty() || category().is_some_and(|it| is_asked(&question.categories, it)))
        };
        let is_within = |(measure, min, max): &(&str, Option<u64>, Option<u64>)| {
            let shown = measured(event, measure).map(|value| value / unit(measure));
            shown.is_some_and(|shown| {
                min.is_none_or(|min| u128::from(min) <= shown) && max.is_none_or(|max| shown <= u128::from(max))
            })
        };
        let order = question.order.trim_start_matches('-');
        (is_counted() || is_named)
            && question.period_us.contains(&at_us)
            && is_asked(&question.kinds, kind)
            && is_asked(&question.statuses, text(event, "status"))
            && has_error()
            && (question.job_types.is_empty() || question.job_types.contains(&number(event, "job_type").unwrap()))
            && question.bounds.iter().all(is_within)
            && (order == "ended" || measured(event, order).is_some())
    }

    /// An event as a list shows it, with times as numbers.
    fn listed(&self, metrics_type: &str, event: &Object) -> Value {
        let named = |kind: &str, id: u64, fields: &[&str]| {
            let object = &self.objects[&(kind.to_owned(), id)];
            Value::Object(fields.iter().map(|field| ((*field).to_owned(), object[*field].clone())).collect())
        };
        let error = number(event, "error");
        let (kind, field, fields): (_, _, &[&str]) = match metrics_type {
            "job-types" => ("job_type", "job_type", &["id", "title", "name", "version"]),
            "ingests" => ("strike", "strike", &["id", "title"]),
            _ => ("error", "error", &["id", "title"]),
        };
        let mut listed = event.clone();
        listed.insert("choice".to_owned(), named(kind, number(event, field).unwrap(), fields));
        let error = error.map(|id| named("error", id, &["id", "name", "title", "category"]));
        listed.insert("error".to_owned(), json!(error));
        listed.insert("ended".to_owned(), json!(ended(event)));
        let of_type = columns(metrics_type);
        let measures = of_type.iter().filter_map(|column| column.strip_suffix("_sum"));
        let value = |measure: &str| measured(event, measure).map(|value| u64::try_from(value / unit(measure)).unwrap());
        let measures: Object = measures.map(|measure| (measure.to_owned(), json!(value(measure)))).collect();
        listed.insert("measures".to_owned(), measures.into());
        listed.into()
    }

    fn contributions(&self, event: &Object) -> Vec<Contribution> {
        let status = event.get("status").map(|status| status.as_str().unwrap());
        match (text(event, "kind"), status) {
            ("job", Some("COMPLETED" | "FAILED" | "CANCELED")) => vec![self.job(event)],
            ("job_execution", Some("COMPLETED" | "FAILED" | "CANCELED")) => {
                let metrics = (status == Some("COMPLETED")).then(|| completed_execution(event));
                metrics.into_iter().chain(self.execution_error(event)).collect()
            }
            ("ingest", Some("DEFERRED" | "INGESTED" | "ERRORED" | "DUPLICATE")) => ingest(event).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn job(&self, event: &Object) -> Contribution {
        let mut counts = vec![status_count(event), "total_count".to_owned()];
        if let Some(error) = self.error(event) {
            counts.push(format!("error_{}_count", text(error, "category").to_lowercase()));
        }
        Contribution {
            metrics_type: "job-types",
            choice: number(event, "job_type").unwrap(),
            at_us: number(event, "ended").unwrap(),
            counts,
            observations: Vec::new(),
        }
    }

    fn execution_error(&self, event: &Object) -> Option<Contribution> {
        let error = self.error(event).filter(|error| error["is_builtin"] == true)?;
        Some(Contribution {
            metrics_type: "errors",
            choice: number(error, "id").unwrap(),
            at_us: number(event, "ended").unwrap(),
            counts: vec!["total_count".to_owned()],
            observations: Vec::new(),
        })
    }

    /// The error that an event names, as it is defined now.
    fn error(&self, event: &Object) -> Option<&Object> {
        Some(&self.objects[&("error".to_owned(), number(event, "error")?)])
    }
}

fn completed_execution(event: &Object) -> Contribution {
    let task = |wanted: &str| {
        let tasks = event.get("tasks").map_or(&[][..], |tasks| tasks.as_array().unwrap());
        let mut of_type =
            tasks.iter().map(|task| task.as_object().unwrap()).filter(|task| text(task, "type") == wanted);
        of_type.find_map(|task| length(task, "started", "ended"))
    };
    let run = length(event, "started", "ended");
    let tasks: u128 = ["pull", "pre", "main", "post"].into_iter().filter_map(task).sum();
    let measures = [
        ("queue_time", length(event, "queued", "started")),
        ("pre_time", task("pre")),
        ("job_time", task("main")),
        ("post_time", task("post")),
        ("run_time", run),
        ("stage_time", run.map(|run| run.saturating_sub(tasks))),
    ];
    Contribution {
        metrics_type: "job-types",
        choice: number(event, "job_type").unwrap(),
        at_us: number(event, "ended").unwrap(),
        counts: Vec::new(),
        observations: given(measures),
    }
}

fn ingest(event: &Object) -> Option<Contribution> {
    let ingested = text(event, "status") == "INGESTED";
    let measures = [
        ("file_size", number(event, "file_size").map(u128::from)),
        ("transfer_time", length(event, "transfer_started", "transfer_ended")),
        ("ingest_time", length(event, "ingest_started", "ingest_ended").filter(|_| ingested)),
    ];
    Some(Contribution {
        metrics_type: "ingests",
        choice: number(event, "strike")?,
        at_us: number(event, "ingest_ended").unwrap(),
        counts: vec![status_count(event), "total_count".to_owned()],
        observations: given(measures),
    })
}

/// When an event ended, if its status is final.
fn ended(event: &Object) -> Option<u64> {
    const FINAL: [&str; 7] = ["COMPLETED", "FAILED", "CANCELED", "DEFERRED", "INGESTED", "ERRORED", "DUPLICATE"];
    let field = if text(event, "kind") == "ingest" { "ingest_ended" } else { "ended" };
    number(event, field).filter(|_| event.get("status").is_some_and(|status| FINAL.contains(&status.as_str().unwrap())))
}

/// What was measured of an event that has ended, in microseconds or bytes.
fn measured(event: &Object, measure: &str) -> Option<u128> {
    let observations = match text(event, "kind") {
        "job_execution" => completed_execution(event).observations,
        "ingest" => ingest(event)?.observations,
        _ => Vec::new(),
    };
    observations.into_iter().find(|(of, _)| *of == measure).map(|(_, value)| value)
}

/// What a breakdown says of a measure of some events.
fn summary(measure: &str, events: &[&Object]) -> Value {
    let observations = events.iter().filter_map(|event| measured(event, measure));
    let observations: Vec<_> = observations.collect();
    let of = |statistic: &str| statistic_of(measure, statistic, &observations).as_ref().map(expected);
    let mut summary = Object::new();
    summary.insert("n".to_owned(), observations.len().into());
    for statistic in ["sum", "min", "max", "avg", "p50", "p95", "p99"] {
        summary.insert(statistic.to_owned(), json!(of(statistic)));
    }
    summary.into()
}

/// How much of what is stored makes one that is shown.
fn unit(measure: &str) -> u128 {
    if measure == "file_size" { 1 } else { 1_000_000 }
}

fn given<const N: usize>(measures: [(&'static str, Option<u128>); N]) -> Vec<(&'static str, u128)> {
    measures.into_iter().filter_map(|(measure, value)| Some((measure, value?))).collect()
}

fn status_count(event: &Object) -> String {
    format!("{}_count", text(event, "status").to_lowercase())
}

/// Microseconds from one field to another, if both are there; 0 if they are in the wrong order.
fn length(object: &Object, from: &str, to: &str) -> Option<u128> {
    Some(number(object, to)?.saturating_sub(number(object, from)?).into())
}

const JOB_TYPE_FIELDS: [&str; 14] = [
    "id",
    "name",
    "version",
    "title",
    "description",
    "category",
    "author_name",
    "author_url",
    "is_system",
    "is_long_running",
    "is_active",
    "is_operational",
    "is_paused",
    "icon_code",
];
const ERROR_FIELDS: [&str; 8] =
    ["id", "name", "title", "description", "job_type_name", "category", "is_builtin", "should_be_retried"];

fn columns(metrics_type: &str) -> Vec<String> {
    let (counts, measures): (&[&str], &[&str]) = match metrics_type {
        "job-types" => (
            &["completed", "failed", "canceled", "total", "error_system", "error_data", "error_algorithm"],
            &["queue_time", "pre_time", "job_time", "post_time", "run_time", "stage_time"],
        ),
        "ingests" => {
            (&["deferred", "ingested", "errored", "duplicate", "total"], &["file_size", "transfer_time", "ingest_time"])
        }
        _ => (&["total"], &[]),
    };
    let counts = counts.iter().map(|count| format!("{count}_count"));
    let aggregates = ["sum", "min", "max", "avg", "p50", "p95", "p99"];
    let of = |measure: &&str| aggregates.map(|aggregate| format!("{measure}_{aggregate}"));
    counts.chain(measures.iter().flat_map(of)).collect()
}

/// When the bucket of a point in time starts, found by going back in steps as long as local clocks show the same bucket. Clocks are
/// never changed by less than a quarter of an hour.
fn bucket_start(zone: Tz, resolution: &str, at_us: u64) -> i64 {
    const STEPS_US: [i64; 3] = [86_400_000_000, 3_600_000_000, 900_000_000];
    let at_us = i64::try_from(at_us).unwrap();
    let shown = |us: i64| {
        let local = date_time(us).and_utc().with_timezone(&zone);
        match resolution {
            // An hour that comes twice has two offsets.
            "hour" => (local.date_naive(), local.hour(), local.offset().fix().local_minus_utc()),
            "day" => (local.date_naive(), 0, 0),
            "week" => (local.date_naive().week(Weekday::Mon).first_day(), 0, 0),
            "month" => (local.date_naive().with_day(1).unwrap(), 0, 0),
            other => panic!("no resolution {other}"),
        }
    };
    let bucket = shown(at_us);
    let mut start = at_us - at_us % STEPS_US[2];
    for step in STEPS_US {
        while shown(start - step) == bucket {
            start -= step;
        }
    }
    start
}

/// A time as local clocks show it, with the offset unless it is UTC.
fn label(zone: Tz, us: i64) -> String {
    let local = date_time(us).and_utc().with_timezone(&zone);
    let offset = if zone == Tz::UTC { String::new() } else { local.format("%:z").to_string() };
    format!("{}{offset}", local.format("%Y-%m-%dT%H:%M:%S"))
}

fn date(zone: Tz, us: i64) -> String {
    date_time(us).and_utc().with_timezone(&zone).format("%Y-%m-%d").to_string()
}

fn series(zone: Tz, column: &str, buckets: &BTreeMap<(i64, Option<u64>), Vec<Contribution>>) -> Value {
    let shown = |(key, contributions): (&(i64, Option<u64>), &Vec<Contribution>)| {
        let (start_us, id) = *key;
        Some((start_us, id, value(column, contributions)?))
    };
    let values: Vec<(i64, Option<u64>, RangeInclusive<u64>)> = buckets.iter().filter_map(shown).collect();
    let best = |best: fn(&mut dyn Iterator<Item = u64>) -> Option<u64>| {
        let from = best(&mut values.iter().map(|value| *value.2.start()))?;
        let to = best(&mut values.iter().map(|value| *value.2.end()))?;
        Some(expected(&(from..=to)))
    };
    json!({
        "column": column,
        "min_x": values.first().map(|value| date(zone, value.0)),
        "max_x": values.last().map(|value| date(zone, value.0)),
        "min_y": best(|values| values.min()),
        "max_y": best(|values| values.max()),
        "values": values.iter().map(|(start_us, id, value)| {
            let datetime = label(zone, *start_us);
            let value = expected(value);
            match id {
                Some(id) => json!({ "id": id, "datetime": datetime, "value": value }),
                None => json!({ "datetime": datetime, "value": value }),
            }
        }).collect::<Vec<_>>(),
    })
}

/// What a value may be: a number, or a range.
fn expected(range: &RangeInclusive<u64>) -> Value {
    if range.start() == range.end() {
        json!(range.start())
    } else {
        json!({ "from": range.start(), "to": range.end() })
    }
}

/// Whether what is shown is what is expected.
pub(crate) fn fits(shown: &Value, expected: &Value) -> bool {
    match (shown, expected) {
        (Value::Number(shown), Value::Object(range)) if range.len() == 2 => {
            let within = |from: &Value, to: &Value| Some((from.as_u64()?..=to.as_u64()?).contains(&shown.as_u64()?));
            within(&range["from"], &range["to"]) == Some(true)
        }
        (Value::Array(shown), Value::Array(expected)) => fit(shown, expected),
        (Value::Object(shown), Value::Object(expected)) => {
            let mut pairs = shown.iter().zip(expected);
            shown.len() == expected.len() && pairs.all(|((key, one), (same, other))| key == same && fits(one, other))
        }
        (shown, expected) => shown == expected,
    }
}

/// Whether all of what is shown is what is expected.
pub(crate) fn fit(shown: &[Value], expected: &[Value]) -> bool {
    shown.len() == expected.len() && shown.iter().zip(expected).all(|(shown, expected)| fits(shown, expected))
}

/// A column's value in a bucket, rounded down once; `None` if nothing was observed. A percentile may be anything in a range.
fn value(column: &str, contributions: &[Contribution]) -> Option<RangeInclusive<u64>> {
    if column.ends_with("_count") {
        let counted = contributions.iter().flat_map(|contribution| &contribution.counts);
        let count = counted.filter(|count| *count == column).count() as u64;
        return Some(count..=count);
    }
    let (measure, statistic) = column.rsplit_once('_').unwrap();
    let observations = contributions.iter().flat_map(|contribution| &contribution.observations);
    let observed: Vec<u128> = observations.filter(|(of, _)| *of == measure).map(|(_, value)| *value).collect();
    statistic_of(measure, statistic, &observed)
}

/// A statistic of what was measured, rounded down once; `None` if nothing was.
fn statistic_of(measure: &str, statistic: &str, observed: &[u128]) -> Option<RangeInclusive<u64>> {
    let mut observed = observed.to_vec();
    observed.sort_unstable();
    let (smallest, largest) = (*observed.first()?, *observed.last()?);
    let unit = unit(measure);
    let exactly = |shown: u128| shown..=shown;
    let shown = match statistic {
        "min" => exactly(smallest / unit),
        "max" => exactly(largest / unit),
        "sum" => exactly(observed.iter().sum::<u128>() / unit),
        "avg" => exactly(observed.iter().sum::<u128>() / (unit * observed.len() as u128)),
        percentile => {
            let percent: usize = percentile.strip_prefix('p').unwrap().parse().unwrap();
            let rank = (percent * observed.len()).div_ceil(100);
            let exact = observed[rank - 1];
            let off = if rank == 1 || rank == observed.len() { 0 } else { exact / 100 };
            (exact - off).max(smallest) / unit..=(exact + off).min(largest) / unit
        }
    };
    let [from, to] = [shown.start(), shown.end()].map(|end| u64::try_from(*end).unwrap());
    Some(from..=to)
}

fn normal_form(object: &Value) -> Object {
    let object = object.as_object().unwrap();
    let defaults = match text(object, "kind") {
        "job_type" => json!({
            "title": object["name"], "is_system": false, "is_long_running": false, "is_active": true,
            "is_operational": true, "is_paused": false,
        }),
        "strike" => json!({ "title": object["name"] }),
        "error" => json!({ "title": object["name"], "is_builtin": false, "should_be_retried": false }),
        _ => json!({}),
    };
    let mut normal = comparable(&defaults);
    normal.append(&mut comparable(&Value::Object(object.clone())));
    normal
}

/// The fields that are given, with times as numbers.
pub(crate) fn comparable(object: &Value) -> Object {
    let given = object.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    let fields = given.map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("tasks", Value::Array(tasks)) => tasks.iter().map(comparable).collect(),
            (
                "ended" | "queued" | "started" | "last_modified" | "transfer_started" | "transfer_ended"
                | "ingest_started" | "ingest_ended",
                Value::String(time),
            ) => micros(time).into(),
            _ => value.clone(),
        };
        (name.clone(), value)
    });
    fields.collect()
}

/// Microseconds since 1970, what is finer cut off; without an offset the time is UTC.
pub(crate) fn micros(time: &str) -> u64 {
    let with_offset = DateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S%.f%#z");
    let instant = with_offset.map(|time| time.to_utc());
    let instant = instant.or_else(|_| NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S%.f").map(|t| t.and_utc()));
    u64::try_from(instant.unwrap().timestamp_micros()).unwrap()
}

fn date_time(us: i64) -> NaiveDateTime {
    DateTime::from_timestamp_micros(us).unwrap().naive_utc()
}

/// Whether both carry `last_modified` and the new one's is older.
fn is_older(new: &Object, stored: &Object) -> bool {
    let modified = (number(new, "last_modified"), number(stored, "last_modified"));
    matches!(modified, (Some(new), Some(stored)) if new < stored)
}

fn text<'a>(object: &'a Object, field: &str) -> &'a str {
    object[field].as_str().unwrap()
}

fn number(object: &Object, field: &str) -> Option<u64> {
    object.get(field).map(|value| value.as_u64().unwrap())
}
