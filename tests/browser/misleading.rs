//! What a page must not suggest: that there is nothing, that parts of a day are whole ones, that little is much.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::{numbers, settled};
use crate::server::Server;
use crate::support::{Page, browser};

/// A page of a server that knows these events; `events` is told what time it is, in ms.
fn open(path: &str, events: impl Fn(i64) -> Vec<Value>) -> Option<(Page, Server)> {
    let browser = browser()?;
    let server = Server::empty();
    let events = events(chrono::Utc::now().timestamp_millis());
    server.post_ndjson(&events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"));
    let page = browser.open(&server.url(path));
    settled(&page);
    Some((page, server))
}

fn strike(id: u64, name: &str, title: &str) -> Value {
    json!({"kind": "strike", "id": id, "name": name, "title": title})
}

fn ingest(id: u64, strike: u64, ended_ms: i64) -> Value {
    let ended = chrono::DateTime::from_timestamp_millis(ended_ms).unwrap().to_rfc3339();
    json!({"kind": "ingest", "id": id, "strike": strike, "status": "INGESTED", "ingest_ended": ended})
}

const HOUR_MS: i64 = 3_600_000;

#[test]
fn an_empty_range_leads_to_where_there_is_data() {
    let Some(browser) = browser() else { return };
    let server = Server::empty();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/worked-example.ndjson");
    server.post_ndjson(&fs::read_to_string(example).unwrap());
    let page = browser.open(&server.url("/"));
    settled(&page);
    let told = page.text("#elsewhere p");
    assert!(told.contains("There is data on 2015-01-01."), "{told}");
    page.click("#elsewhere button");
    page.wait(
        "location.search.includes('started=2015-01-01T00:00&ended=2015-01-01T23:59')",
        "the range in the address",
    );
    settled(&page);
    assert_eq!(numbers(&page, "#job-types .tiles dd:nth-child(2)")[0], Some(6.0));
    assert_eq!(page.texts("#elsewhere p"), Vec::<String>::new());
    page.assert_clean(server.origin());
}

#[test]
fn the_explorer_leads_to_the_days_of_what_is_selected() {
    let Some(browser) = browser() else { return };
    let server = Server::empty();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/worked-example.ndjson");
    server.post_ndjson(&fs::read_to_string(example).unwrap());
    let page = browser.open(&server.url("/explorer/?column=run_time_avg"));
    settled(&page);
    let told = page.text("#elsewhere p");
    assert!(told.contains("No values in this range. There is data on 2015-01-01."), "{told}");
    page.click("#elsewhere button");
    page.wait(
        "document.querySelector('#elsewhere').childElementCount === 0 && document.querySelector('.picture svg') !== null",
        "values instead of the way to them",
    );
    assert_eq!(page.eval("document.querySelector('.picture svg').textContent.includes('no values')"), false);

    // Where there is nothing at any time, there is no way to lead.
    let page = browser.open(&server.url("/explorer/?type=ingests"));
    settled(&page);
    assert_eq!(page.texts("#elsewhere p"), Vec::<String>::new());
    page.assert_clean(server.origin());
}

#[test]
fn a_day_by_the_hour_has_24_bars() {
    let Some((page, server)) = open("/?range=PT24H", |now| vec![strike(1, "a", "A"), ingest(1, 1, now)]) else {
        return;
    };
    let hours = page.eval(
        "(() => {
            const { from, to } = document.querySelector('#ingests .picture svg').dataset;
            return (Date.parse(to) - Date.parse(from)) / 3_600_000;
        })()",
    );
    // A new hour may begin while the page asks.
    assert!(hours == 24 || hours == 25 && page.eval("new Date().getUTCMinutes() < 10") == true, "{hours}");
    page.assert_clean(server.origin());
}

#[test]
fn what_is_still_to_come_is_not_compared() {
    let Some((page, server)) = open("/", |now| vec![strike(1, "a", "A"), ingest(1, 1, now)]) else { return };
    let started = page.eval("new Date(Date.now() - 5 * 3_600_000).toISOString().slice(0, 16)");
    let ended = page.eval("new Date(Date.now() + 20 * 3_600_000).toISOString().slice(0, 16)");
    let [started, ended] = [&started, &ended].map(|time| time.as_str().unwrap());
    page.goto(&server.url(&format!("/?started={started}&ended={ended}")));
    settled(&page);
    let asked = page.eval(
        "performance.getEntriesByType('resource').map(({name}) => new URL(name)).filter(({pathname}) => pathname.endsWith('/totals/'))
            .map(({searchParams}) => [searchParams.get('started'), Date.parse(`${searchParams.get('ended')}Z`) <= Date.now()])",
    );
    let asked = asked.as_array().unwrap();
    assert!(!asked.is_empty() && asked.iter().all(|one| *one == json!([started, true])), "{asked:?}");
    page.assert_clean(server.origin());
}

#[test]
fn much_after_little_is_told_by_how_little_there_was() {
    let few_and_many = |now| {
        let many = (2..160).map(move |id| ingest(id, 1, now));
        [strike(1, "a", "A"), ingest(1, 1, now - 30 * HOUR_MS)].into_iter().chain(many).collect()
    };
    let Some((page, server)) = open("/?range=PT24H", few_and_many) else { return };
    let trend = page.texts("#ingests .tiles dd:nth-child(3)").swap_remove(0);
    assert!(trend.ends_with("from 1"), "{trend}");
    page.assert_clean(server.origin());
}

#[test]
fn choices_of_one_title_can_be_told_apart() {
    let twins = |now| {
        vec![
            strike(1, "coast", "Imagery"),
            strike(2, "inland", "Imagery"),
            strike(3, "Other", "Other"),
            strike(4, "Other", "Other"),
            ingest(1, 1, now),
            ingest(2, 2, now),
            ingest(3, 3, now),
            ingest(4, 4, now),
        ]
    };
    let Some((page, server)) = open("/", twins) else { return };
    let mut names = page.texts("#ingests .choices tbody th");
    names.sort();
    assert_eq!(names, ["Imagery (coast)", "Imagery (inland)", "Other (id 3)", "Other (id 4)"]);
    page.goto(&server.url("/explorer/?type=ingests&column=total_count&choice_id=2"));
    settled(&page);
    assert_eq!(page.texts(".chips bdi"), ["Imagery (inland)"]);
    let summary = page.text("h2.summary");
    assert!(summary.starts_with("Ingests, Imagery (inland), "), "{summary}");
    page.assert_clean(server.origin());
}
