//! Any stream of requests leaves every column of every type equal to a recomputation from what was acknowledged.
//!
//! A case is a server, an [`Oracle`], and steps that both take: requests in every form, requests seen before, refused
//! ones, restarts. Ids are few, so that events meet; times sit at the edges of hours and days.
//!
//! Not here: what the server says about a refused request; `events_in` reads that.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::ops::Range;

use chrono::{DateTime, FixedOffset};
use chrono_tz::Tz;
use fastrand::Rng;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::FileFailurePersistence;
use serde_json::{Value, json};

use crate::oracle::{Oracle, Question, TYPES, comparable, fit, fits, micros};
use crate::support::{Answer, NOW, TestServer, gzip, to_ndjson, with};

const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// 2015-01-01T00:00:00Z.
const NEW_YEAR_US: i64 = 1_420_070_400_000_000;
/// 9999-12-31T23:59:59.999999Z.
const LAST_US: i64 = 253_402_300_799_999_999;
const LARGEST_ID: u64 = (1 << 53) - 1;
/// Ids of job types, strikes and errors. The first three are defined from the start.
const CHOICES: [u64; 4] = [1, 2, 300, LARGEST_ID];

// Of each kind's statuses, those in which an event counts come first.
const JOB_STATUSES: [&str; 7] = ["COMPLETED", "FAILED", "CANCELED", "PENDING", "BLOCKED", "QUEUED", "RUNNING"];
const EXECUTION_STATUSES: [&str; 5] = ["COMPLETED", "FAILED", "CANCELED", "QUEUED", "RUNNING"];
const INGEST_STATUSES: [&str; 8] =
    ["INGESTED", "DEFERRED", "ERRORED", "DUPLICATE", "TRANSFERRING", "TRANSFERRED", "QUEUED", "INGESTING"];

/// Periods that totals are compared over, and how many hours earlier the other one begins: parts of a day, days and parts, and
/// everything but the years before them.
const PERIODS: [(&str, u64, u64); 3] =
    [("2014-12-31T23:00:00Z", 2, 24), ("2014-12-31T01:00:00Z", 72, 72), ("2000-01-01T00:00:00Z", 70_000_000, 200_000)];

#[derive(Clone, Debug)]
enum Step {
    Post(Vec<Value>, Form),
    /// A request from before, once more.
    Retry(Index, Form),
    /// An invalid object among valid ones.
    Invalid(Vec<Value>, Index, Value, Form),
    /// A body that lost its last byte on the way.
    CutShort(Vec<Value>, Form),
    /// Deletes events: all in one request, or each by its path.
    Delete(Vec<(String, u64)>, Option<Form>),
    Restart,
}

/// How objects become a body.
#[derive(Clone, Copy, Debug)]
struct Form {
    ndjson: bool,
    gzip: bool,
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: env::var("PROPTEST_CASES").map_or(60, |cases| cases.parse().unwrap()),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_column_of_every_type_equals_a_recomputation_after_any_stream_of_requests(
        steps in vec(step(), 15..=30),
        first_zone in 0..100_usize,
    ) {
        let mut server = TestServer::start();
        let mut oracle = Oracle::default();
        let first: Vec<Value> = CHOICES[..3].iter().flat_map(|&id| definitions(id)).collect();
        let mut posted = vec![first.clone()];
        let mut compared = first_zone;
        exchange(&server, &mut oracle, &first, Form { ndjson: false, gzip: false })?;

        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Post(objects, form) => {
                    exchange(&server, &mut oracle, &objects, form)?;
                    posted.push(objects);
                }
                Step::Retry(which, form) => exchange(&server, &mut oracle, &posted[which.index(posted.len())], form)?,
                Step::Invalid(mut objects, place, invalid, form) => {
                    objects.insert(place.index(objects.len() + 1), invalid);
                    let answer = send(&server, &form.body(&objects), form);
                    prop_assert_eq!(answer.status, 400, "{}", answer.text());
                }
                Step::CutShort(objects, form) => {
                    let body = form.body(&objects);
                    let answer = send(&server, &body[..body.len() - 1], form);
                    prop_assert_eq!(answer.status, 400, "{}", answer.text());
                }
                Step::Delete(keys, form) => delete(&server, &mut oracle, &keys, form)?,
                Step::Restart => server.restart(),
            }
            if at % 6 == 5 {
                compare(&server, &oracle, compared)?;
                compare_lists(&server, &oracle, compared)?;
                compared += 1;
            }
        }
        compare(&server, &oracle, compared)?;
        compare_lists(&server, &oracle, compared)?;
        server.restart();
        compare(&server, &oracle, compared)?;
    }
}

/// Zones with full hours, halves and quarters, one where midnight may not exist, and one that has skipped a day.
const ZONES: [Tz; 7] = [
    Tz::UTC,
    Tz::America__New_York,
    Tz::Asia__Kolkata,
    Tz::America__Sao_Paulo,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
    Tz::Asia__Kathmandu,
];

/// Posts objects; the answer must be what the oracle says.
fn exchange(server: &TestServer, oracle: &mut Oracle, objects: &[Value], form: Form) -> Result<(), TestCaseError> {
    let answer = send(server, &form.body(objects), form);
    if let Some(mut expected) = oracle.post(objects) {
        prop_assert_eq!(answer.status, 200, "{}", answer.text());
        let future = objects.iter().filter(|object| ends_in_the_future(object)).count();
        if future > 0 {
            expected["future"] = future.into();
        }
        prop_assert_eq!(answer.json(), expected);
    } else {
        prop_assert_eq!(answer.status, 400, "an unknown choice was accepted: {}", answer.text());
    }
    Ok(())
}

/// Deletes events; the answers must be what the oracle says.
fn delete(
    server: &TestServer,
    oracle: &mut Oracle,
    keys: &[(String, u64)],
    form: Option<Form>,
) -> Result<(), TestCaseError> {
    if let Some(form) = form {
        let objects: Vec<_> = keys.iter().map(|(kind, id)| json!({"kind": kind, "id": id})).collect();
        let answer = send_to(server, "/v6/events/delete/", &form.body(&objects), form);
        let (deleted, missing) = oracle.delete(keys);
        prop_assert_eq!(answer.status, 200, "{}", answer.text());
        prop_assert_eq!(answer.json(), json!({"deleted": deleted, "missing": missing}));
        return Ok(());
    }
    for key in keys {
        let (kind, id) = key;
        let answer = server.send("DELETE", &format!("/v6/events/{kind}/{id}/"), &[], b"");
        let (deleted, _) = oracle.delete(std::slice::from_ref(key));
        prop_assert_eq!(answer.status, if deleted > 0 { 200 } else { 404 }, "{}", answer.text());
    }
    Ok(())
}

/// Whether it is an event that ends more than five minutes after the server's now.
fn ends_in_the_future(object: &Value) -> bool {
    let (field, finals): (_, &[&str]) = match object["kind"].as_str() {
        Some("job" | "job_execution") => ("ended", &["COMPLETED", "FAILED", "CANCELED"]),
        Some("ingest") => ("ingest_ended", &["DEFERRED", "INGESTED", "ERRORED", "DUPLICATE"]),
        _ => return false,
    };
    let is_final = object["status"].as_str().is_some_and(|status| finals.contains(&status));
    is_final && object[field].as_str().is_some_and(|ended| micros(ended) > micros(NOW) + 300_000_000)
}

fn send(server: &TestServer, body: &[u8], form: Form) -> Answer {
    send_to(server, "/v6/events/", body, form)
}

fn send_to(server: &TestServer, path: &str, body: &[u8], form: Form) -> Answer {
    let content_type = if form.ndjson { "application/x-ndjson" } else { "application/json" };
    let mut headers = vec![("Content-Type", content_type)];
    if form.gzip {
        headers.push(("Content-Encoding", "gzip"));
    }
    server.send("POST", path, &headers, body)
}

impl Form {
    fn body(self, objects: &[Value]) -> Vec<u8> {
        let body = match objects {
            objects if self.ndjson => to_ndjson(objects).trim_end().to_owned(),
            [object] => object.to_string(),
            objects => json!(objects).to_string(),
        };
        if self.gzip { gzip(body.as_bytes()) } else { body.into_bytes() }
    }
}

/// Compares all choices together, each alone and several, by day and by hour.
fn compare(server: &TestServer, oracle: &Oracle, mut number: usize) -> Result<(), TestCaseError> {
    for metrics_type in TYPES {
        let choices = oracle.choices(metrics_type);
        let details = server.get(&format!("/v6/metrics/{metrics_type}/")).json();
        prop_assert_eq!(&details["choices"], &json!(choices), "the choices of {}", metrics_type);

        let ids: Vec<u64> = choices.iter().map(|choice| choice["id"].as_u64().unwrap()).collect();
        let together = [&[][..], &ids[..], &ids[ids.len() / 2..]];
        for selected in ids.chunks(1).chain(together) {
            for resolution in ["day", "hour"] {
                compare_plot(server, oracle, (metrics_type, selected), resolution, Tz::UTC)?;
            }
            // Another zone for each selection, and another length for each zone.
            let zone = ZONES[number % ZONES.len()];
            let resolution = ["day", "week", "hour", "month"][number / ZONES.len() % 4];
            compare_plot(server, oracle, (metrics_type, selected), resolution, zone)?;
            number += 1;
            for (started, hours, back) in PERIODS {
                compare_totals(server, oracle, metrics_type, selected, (started, hours, back))?;
            }
        }
    }
    Ok(())
}

/// Compares the totals of so many hours from `started` on, and of as many `back` hours before.
fn compare_totals(
    server: &TestServer,
    oracle: &Oracle,
    metrics_type: &str,
    selected: &[u64],
    (started, hours, back): (&str, u64, u64),
) -> Result<(), TestCaseError> {
    let from: DateTime<chrono::Utc> = started.parse().unwrap();
    let ended = from + chrono::Duration::hours(i64::try_from(hours).unwrap()) - chrono::Duration::seconds(1);
    let ended = ended.format("%Y-%m-%dT%H:%M:%SZ");
    let mut query = format!("started={started}&ended={ended}&against=PT{back}H&page_size=1000");
    for id in selected {
        write!(query, "&choice_id={id}").unwrap();
    }
    let answer = server.get(&format!("/v6/metrics/{metrics_type}/totals/?{query}"));
    prop_assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let hour_us = u64::try_from(HOUR_US).unwrap();
    let from_us = u64::try_from(from.timestamp_micros()).unwrap();
    let period = |from_us: u64| oracle.totals(metrics_type, selected, from_us..from_us + hours * hour_us);
    let (now, before) = (period(from_us), period(from_us - back * hour_us));
    let all = json!({"values": now.0, "before": before.0});
    prop_assert!(fits(&answer["all"], &all), "{} of {}: {} for {}", query, metrics_type, answer["all"], all);
    let ids: BTreeSet<_> = now.1.keys().chain(before.1.keys()).copied().collect();
    let results = answer["results"].as_array().unwrap();
    let nothing = |columns: &Value| -> Value {
        columns.as_object().unwrap().keys().map(|column| (column.clone(), Value::Null)).collect()
    };
    let of = |values: &BTreeMap<u64, Value>, id: u64| values.get(&id).cloned().unwrap_or_else(|| nothing(&now.0));
    let shown: Vec<_> = results.iter().map(|row| json!([row["id"], row["values"], row["before"]])).collect();
    let expected: Vec<_> = ids.into_iter().map(|id| json!([id, of(&now.1, id), of(&before.1, id)])).collect();
    prop_assert!(fit(&shown, &expected), "{} of {}: {:?} for {:?}", query, metrics_type, shown, expected);
    Ok(())
}

/// Compares lists of events: of a random question, all of it and in pages, and of buckets, which have as many as plot data counts.
fn compare_lists(server: &TestServer, oracle: &Oracle, number: usize) -> Result<(), TestCaseError> {
    let mut random = Rng::with_seed(number as u64);
    for metrics_type in TYPES {
        for _ in 0..12 {
            let question = question(oracle, metrics_type, &mut random);
            compare_list(server, oracle, &question)?;
            compare_breakdown(server, oracle, &question, &mut random)?;
        }
        let ids: Vec<_> = oracle.choices(metrics_type).iter().map(|choice| choice["id"].as_u64().unwrap()).collect();
        compare_bucket_counts(server, metrics_type, "", random.bool())?;
        if let Some(id) = random.choice(&ids) {
            compare_bucket_counts(server, metrics_type, &format!("&choice_id={id}"), random.bool())?;
        }
    }
    Ok(())
}

/// Any question, with definitions that there are.
fn question(oracle: &Oracle, metrics_type: &'static str, random: &mut Rng) -> Question {
    /// Now and then some of these, otherwise none.
    fn some<T: Clone>(random: &mut Rng, all: &[T], weight: f64) -> Vec<T> {
        let is_any = random.f64() < weight;
        all.iter().filter(|_| is_any && random.bool()).cloned().collect()
    }
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let (kinds, statuses, measures): (&[_], &[_], &[&'static str]) = match metrics_type {
        "job-types" => (
            &["job", "job_execution"],
            &JOB_STATUSES[..3],
            &["queue_time", "pre_time", "job_time", "post_time", "run_time", "stage_time"],
        ),
        "ingests" => (&[], &INGEST_STATUSES[..4], &["file_size", "transfer_time", "ingest_time"]),
        _ => (&[], &EXECUTION_STATUSES[..3], &[]),
    };
    let choices: Vec<_> = oracle.choices(metrics_type).iter().map(|choice| choice["id"].as_u64().unwrap()).collect();
    let mut bounds = Vec::new();
    if let Some(&measure) = random.choice(measures).filter(|_| random.f64() < 0.3) {
        let bound =
            |random: &mut Rng| random.choice([None, Some(0), Some(1), Some(60), Some(3_600), Some(86_400)]).flatten();
        bounds.push((measure, bound(random), bound(random)));
        bounds.retain(|(_, min, max)| min.is_some() || max.is_some());
    }
    let order = random.choice(measures).filter(|_| random.f64() < 0.4).unwrap_or(&"ended");
    let hour_us = u64::try_from(HOUR_US).unwrap();
    let from = u64::try_from(NEW_YEAR_US).unwrap() - random.u64(0..30) * hour_us;
    Question {
        metrics_type,
        selected: some(random, &choices, 0.5),
        period_us: match random.u8(0..3) {
            0 => from..from + random.u64(1..80) * hour_us,
            1 => 0..from,
            _ => 0..u64::MAX,
        },
        kinds: some(random, &words(kinds), 0.6),
        statuses: some(random, &words(statuses), 0.5),
        errors: some(random, &CHOICES[..3], 0.2),
        categories: some(random, &words(&["SYSTEM", "DATA", "ALGORITHM"]), 0.2),
        job_types: if metrics_type == "errors" { some(random, &CHOICES[..3], 0.3) } else { Vec::new() },
        bounds,
        order: if random.bool() { format!("-{order}") } else { (*order).to_owned() },
    }
}

/// The parameters of a question but for its order.
fn parameters(question: &Question) -> String {
    let mut query = String::new();
    let time = |us: u64| written(i64::try_from(us).unwrap(), 0, "Z");
    let Range { start, end } = question.period_us;
    if start > 0 {
        write!(query, "&started={}", time(start)).unwrap();
    }
    let last = if end == u64::MAX { "9999-12-31T23:59:59Z".to_owned() } else { time(end - 1) };
    write!(query, "&ended={last}").unwrap();
    let ids = [("choice_id", &question.selected), ("error", &question.errors), ("job_type", &question.job_types)];
    query.extend(ids.iter().flat_map(|(name, ids)| ids.iter().map(move |id| format!("&{name}={id}"))));
    let words = [("kind", &question.kinds), ("status", &question.statuses), ("error_category", &question.categories)];
    query.extend(words.iter().flat_map(|(name, words)| words.iter().map(move |word| format!("&{name}={word}"))));
    for (measure, min, max) in &question.bounds {
        query.extend(min.map(|min| format!("&min_{measure}={min}")));
        query.extend(max.map(|max| format!("&max_{measure}={max}")));
    }
    query
}

/// Compares a breakdown of the events of a question by one or two respects.
fn compare_breakdown(
    server: &TestServer,
    oracle: &Oracle,
    question: &Question,
    random: &mut Rng,
) -> Result<(), TestCaseError> {
    let mut all = vec!["choice", "status", "error", "error_category", "hour", "weekday"];
    if question.metrics_type == "errors" {
        all.push("job_type");
    }
    random.shuffle(&mut all);
    let by = &all[..random.usize(1..=2)];
    let zone = *random.choice(&ZONES).unwrap();
    // Whole hours of one zone need not be those of another.
    let has_full_hours = !matches!(zone, Tz::Asia__Kolkata | Tz::Australia__Lord_Howe | Tz::Asia__Kathmandu);
    let zone = if has_full_hours || question.period_us == (0..u64::MAX) { zone } else { Tz::UTC };
    let named = by.join("&by=");
    let path =
        format!("/v6/metrics/{}/breakdown/?timezone={zone}&by={named}{}", question.metrics_type, parameters(question));
    let unordered = Question { order: "ended".to_owned(), ..question.clone() };
    let (expected, total) = oracle.breakdown(&unordered, by, zone);
    let answer = server.get(&format!("{path}&page_size=1000"));
    prop_assert_eq!(answer.status, 200, "{}: {}", path, answer.text());
    let answer = answer.json();
    prop_assert_eq!(&answer["total"], &json!(total), "{}", path);
    prop_assert_eq!(&answer["count"], &json!(expected.len()), "{}", path);
    let shown = answer["results"].as_array().unwrap();
    let counts = |groups: &[Value]| groups.iter().map(|group| group["count"].as_u64().unwrap()).collect::<Vec<_>>();
    prop_assert_eq!(counts(shown), counts(&expected), "{}", path);
    for group in &expected {
        let found = shown.iter().find(|shown| shown["group"] == group["group"]);
        prop_assert!(found.is_some_and(|found| fits(found, group)), "{}: {:?} for {}", path, found, group);
    }
    Ok(())
}

fn compare_list(server: &TestServer, oracle: &Oracle, question: &Question) -> Result<(), TestCaseError> {
    let Question { metrics_type, order, .. } = question;
    let query = format!("order={order}{}", parameters(question));
    let expected = oracle.events(question);
    let path = format!("/v6/metrics/{metrics_type}/events/?{query}");
    // In one page, and in the second of small ones.
    for (size, number) in [(1_000, 1), (3, 2)] {
        let answer = server.get(&format!("{path}&page_size={size}&page={number}"));
        let place = size * (number - 1);
        if number > 1 && place >= expected.len() {
            prop_assert_eq!(answer.status, 404, "{}", path);
            continue;
        }
        prop_assert_eq!(answer.status, 200, "{}: {}", path, answer.text());
        let answer = answer.json();
        prop_assert_eq!(&answer["count"], &json!(expected.len()), "{}", path);
        let shown: Vec<_> = answer["results"].as_array().unwrap().iter().map(in_normal_form).collect();
        let page = &expected[place..expected.len().min(place + size)];
        prop_assert_eq!(&shown, page, "{}", path);
    }
    Ok(())
}

/// A listed event with times as numbers. Only the error and the measures may be null.
fn in_normal_form(event: &Value) -> Value {
    let mut normal = comparable(event);
    normal.insert("error".to_owned(), event["error"].clone());
    normal.insert("measures".to_owned(), event["measures"].clone());
    normal.into()
}

/// What a count column counts in each bucket, as many events are listed.
fn compare_bucket_counts(
    server: &TestServer,
    metrics_type: &str,
    selection: &str,
    is_utc: bool,
) -> Result<(), TestCaseError> {
    let zone = if is_utc { "UTC" } else { "Asia/Kolkata" };
    let query = format!("timezone={zone}&ended=9999-12-31T23:59:59Z&page_size=1000{selection}");
    for series in server.plot(metrics_type, &query) {
        let name = series["column"]["name"].as_str().unwrap().to_owned();
        let Some(counted) = name.strip_suffix("_count") else { continue };
        let narrowed = match (metrics_type, counted) {
            ("job-types", "total") => "kind=job".to_owned(),
            ("job-types", counted) => match counted.strip_prefix("error_") {
                Some(category) => format!("kind=job&error_category={}", category.to_uppercase()),
                None => format!("kind=job&status={}", counted.to_uppercase()),
            },
            (_, "total") => String::new(),
            (_, counted) => format!("status={}", counted.to_uppercase()),
        };
        for point in series["values"].as_array().unwrap() {
            let start = point["datetime"].as_str().unwrap().replace('+', "%2B");
            let last = start.replace("T00:00:00", "T23:59:59");
            // Nobody can ask for the year 10000.
            if start.starts_with("%2B") {
                continue;
            }
            // The first bucket may begin before 1970, where nothing is.
            let started = if start.starts_with("1970-01-01") { String::new() } else { format!("&started={start}") };
            let query = format!("{narrowed}&timezone={zone}{started}&ended={last}{selection}");
            let path = format!("/v6/metrics/{metrics_type}/events/?{query}");
            let answer = server.get(&format!("{path}&page_size=1"));
            prop_assert_eq!(answer.status, 200, "{}: {}", path, answer.text());
            prop_assert_eq!(&answer.json()["count"], &point["value"], "{} of {}", name, path);
        }
    }
    Ok(())
}

fn compare_plot(
    server: &TestServer,
    oracle: &Oracle,
    (metrics_type, selected): (&str, &[u64]),
    resolution: &str,
    zone: Tz,
) -> Result<(), TestCaseError> {
    let mut query = format!("resolution={resolution}&timezone={zone}&ended=9999-12-31T23:59:59Z&page_size=1000");
    query.extend(selected.iter().map(|id| format!("&choice_id={id}")));
    let mut results = server.plot(metrics_type, &query);
    for result in &mut results {
        result["column"] = result["column"]["name"].take();
    }
    let expected = oracle.plot(zone, metrics_type, selected, resolution);
    prop_assert_eq!(results.len(), expected.len(), "columns of {} with {}", metrics_type, query);
    for (result, expected) in results.iter().zip(&expected) {
        prop_assert!(fits(result, expected), "{} with {}: {} for {}", metrics_type, query, result, expected);
    }
    Ok(())
}

fn step() -> impl Strategy<Value = Step> {
    let objects = || vec(object(), 1..=12);
    prop_oneof![
        30 => (objects(), form()).prop_map(|(objects, form)| Step::Post(objects, form)),
        1 => (many_events(), form()).prop_map(|(objects, form)| Step::Post(objects, form)),
        6 => (any::<Index>(), form()).prop_map(|(which, form)| Step::Retry(which, form)),
        4 => (objects(), any::<Index>(), invalid(), form())
            .prop_map(|(objects, place, invalid, form)| Step::Invalid(objects, place, invalid, form)),
        2 => (objects(), form()).prop_map(|(objects, form)| Step::CutShort(objects, form)),
        8 => (vec((select(vec!["job", "job_execution", "ingest"]), event_id()), 1..=6), option::of(form()))
            .prop_map(|(keys, form)| Step::Delete(keys.into_iter().map(|(kind, id)| (kind.to_owned(), id)).collect(), form)),
        2 => Just(Step::Restart),
    ]
}

fn form() -> impl Strategy<Value = Form> {
    (any::<bool>(), any::<bool>()).prop_map(|(ndjson, gzip)| Form { ndjson, gzip })
}

/// Three events over and over, with ids in a row.
fn many_events() -> impl Strategy<Value = Vec<Value>> {
    let event = prop_oneof![job(), execution(), ingest()];
    (vec(event, 3), select(vec![1, 200, 65_400]), 50..=300u64).prop_map(|(events, first, count)| {
        let ids = first..first + count;
        events.iter().cycle().zip(ids).map(|(event, id)| with(event.clone(), json!({ "id": id }))).collect()
    })
}

fn object() -> impl Strategy<Value = Value> {
    // Half of the objects say what they leave out with a null.
    (prop_oneof![8 => job(), 8 => execution(), 6 => ingest(), 2 => definition()], any::<bool>()).prop_map(
        |(mut object, nulls)| {
            if !nulls {
                object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            }
            object
        },
    )
}

fn job() -> impl Strategy<Value = Value> {
    let ended = status_with_end(&JOB_STATUSES, 3, "ended");
    (event_id(), choice(), ended, option::weighted(0.4, choice()), last_modified()).prop_map(
        |(id, job_type, ended, error, last_modified)| {
            with(
                json!({
                    "kind": "job", "id": id, "job_type": job_type, "error": error, "last_modified": last_modified,
                }),
                ended,
            )
        },
    )
}

fn execution() -> impl Strategy<Value = Value> {
    let ended = status_with_end(&EXECUTION_STATUSES, 3, "ended");
    let time = || option::weighted(0.8, time());
    let error = option::weighted(0.5, choice());
    let tasks = option::weighted(0.8, vec(task(), 1..=6));
    (event_id(), choice(), ended, time(), time(), error, tasks, last_modified()).prop_map(
        |(id, job_type, ended, queued, started, error, tasks, last_modified)| {
            with(
                json!({
                    "kind": "job_execution", "id": id, "job_type": job_type, "queued": queued, "started": started,
                    "error": error, "tasks": tasks, "last_modified": last_modified,
                }),
                ended,
            )
        },
    )
}

fn task() -> impl Strategy<Value = Value> {
    let time = || option::weighted(0.8, time());
    (select(vec!["pull", "pre", "main", "post"]), time(), time())
        .prop_map(|(of, started, ended)| json!({ "type": of, "started": started, "ended": ended }))
}

fn ingest() -> impl Strategy<Value = Value> {
    let ended = status_with_end(&INGEST_STATUSES, 4, "ingest_ended");
    let time = || option::weighted(0.8, time());
    let size = prop_oneof![0..3u64, 0..=LARGEST_ID];
    let strike = option::weighted(0.9, choice());
    (event_id(), strike, ended, option::of(size), time(), time(), time(), last_modified()).prop_map(
        |(id, strike, ended, file_size, transfer_started, transfer_ended, ingest_started, last_modified)| {
            with(
                json!({
                    "kind": "ingest", "id": id, "strike": strike, "file_size": file_size,
                    "transfer_started": transfer_started, "transfer_ended": transfer_ended,
                    "ingest_started": ingest_started, "last_modified": last_modified,
                }),
                ended,
            )
        },
    )
}

/// A status, of which the first `finals` need an end, and the end in the field of that name.
fn status_with_end(
    statuses: &'static [&'static str],
    finals: usize,
    field: &'static str,
) -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (select(&statuses[..finals]), time().prop_map(Some)),
        1 => (select(&statuses[finals..]), option::of(time())),
    ]
    .prop_map(move |(status, ended)| json!({ "status": status, field: ended }))
}

/// A job type, a strike or an error, defined for the first time or otherwise than before.
fn definition() -> impl Strategy<Value = Value> {
    let category = select(vec!["SYSTEM", "DATA", "ALGORITHM"]);
    let error = (choice(), category, option::of(any::<bool>()), any::<bool>()).prop_map(
        |(id, category, is_builtin, should_be_retried)| {
            json!({
                "kind": "error", "id": id, "name": format!("error-{id}"), "category": category,
                "is_builtin": is_builtin, "should_be_retried": should_be_retried,
            })
        },
    );
    let other = (choice(), 0..2usize, select(vec!["a", "b"]), option::of(select(vec!["a", "c"]))).prop_map(
        |(id, which, name, title)| with(definitions(id)[which].clone(), json!({ "name": name, "title": title })),
    );
    prop_oneof![2 => error, 1 => other]
}

/// A job type, a strike and a built-in error with one id.
fn definitions(id: u64) -> [Value; 3] {
    [
        json!({ "kind": "job_type", "id": id, "name": format!("job-type-{id}"), "version": "1.0" }),
        json!({ "kind": "strike", "id": id, "name": format!("strike-{id}") }),
        json!({ "kind": "error", "id": id, "name": format!("error-{id}"), "category": "DATA", "is_builtin": true }),
    ]
}

/// An object that is refused whatever was defined before.
fn invalid() -> impl Strategy<Value = Value> {
    let time = "2015-01-01T00:00:00Z";
    let job = json!({ "kind": "job", "id": 1, "job_type": 1, "status": "FAILED", "ended": time });
    let execution = json!({ "kind": "job_execution", "id": 1, "job_type": 1, "status": "COMPLETED", "ended": time });
    select(vec![
        with(job.clone(), json!({ "id": 0 })),
        with(job.clone(), json!({ "job_type": 77 })),
        with(job.clone(), json!({ "error": 77 })),
        with(job.clone(), json!({ "ended": null })),
        with(job.clone(), json!({ "ended": "1969-12-31T23:59:59Z" })),
        with(job.clone(), json!({ "status": "DONE" })),
        with(job, json!({ "colour": 1 })),
        with(execution.clone(), json!({ "tasks": [{ "type": "main", "ended": "late" }] })),
        with(execution, json!({ "last_modified": 1 })),
        json!({ "kind": "ingest", "id": 1, "strike": 1, "status": "INGESTED", "ingest_ended": time, "file_size": -1 }),
        json!({ "kind": "error", "id": 1, "name": "error-1", "category": "NETWORK", "is_builtin": false }),
        json!({ "kind": "job_type", "id": 1, "name": "job-type-1" }),
        json!({ "kind": "planet", "id": 1 }),
        json!(["kind", "job"]),
        json!(null),
    ])
}

/// Few, so that they are met again; some far from the others.
fn event_id() -> impl Strategy<Value = u64> {
    prop_oneof![12 => 1..=8u64, 1 => select(vec![255, 256, 257, 65_536, LARGEST_ID])]
}

/// Now and then one that nobody may have defined.
fn choice() -> impl Strategy<Value = u64> {
    prop_oneof![60 => select(&CHOICES[..3]), 1 => Just(CHOICES[3])]
}

fn last_modified() -> impl Strategy<Value = Option<String>> {
    option::weighted(0.7, (0..4i64).prop_map(|hour| written(NEW_YEAR_US + hour * HOUR_US, 0, "Z")))
}

/// A time near the edge of an hour or a day, seldom far away, in any way of writing it.
fn time() -> impl Strategy<Value = String> {
    let edge = select(vec![0, HOUR_US, 23 * HOUR_US, DAY_US, DAY_US + HOUR_US, 31 * DAY_US]);
    let nudge = prop_oneof![
        select(vec![0, 0, -1, 1, -1_000_000, 999_999, 1_000_000]),
        0..HOUR_US,
        select(vec![600_000_000, 1_800_500_000]),
    ];
    let zone = select(vec!["Z", "", "+00:00", "+05:30", "-0800", "-00:01", "+1400"]);
    let near = (edge, nudge, 0..10usize, zone)
        .prop_map(|(edge, nudge, digits, zone)| written(NEW_YEAR_US + edge + nudge, digits, zone));
    let far = select(vec![0, 1, LAST_US]).prop_map(|us| written(us, 0, "Z"));
    prop_oneof![40 => near, 1 => far]
}

/// An instant as text with at least the fraction digits it needs; what comes after the microseconds is noise.
fn written(us: i64, digits: usize, zone: &str) -> String {
    let offset: FixedOffset = if matches!(zone, "" | "Z") { "+00:00" } else { zone }.parse().unwrap();
    let local = DateTime::from_timestamp_micros(us).unwrap().with_timezone(&offset);
    let fraction = match (us % 1_000_000, digits) {
        (0, digits) => "000000999"[..digits.min(9)].to_owned(),
        (us, digits) => format!("{us:06}{}", &"999"[..digits.saturating_sub(6)]),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}{zone}", local.format("%Y-%m-%dT%H:%M:%S"))
}
