//! `/`: the numbers, for people.

use serde_json::json;

use crate::server::Server;
use crate::support::browser;

#[test]
fn every_type_has_a_heading() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/"));
    page.wait("document.querySelector('h2')", "the types");
    let headings = page.texts("h2");
    for metrics_type in server.get_json("/v6/metrics/")["results"].as_array().unwrap() {
        assert!(headings.iter().any(|heading| metrics_type["title"] == **heading), "{metrics_type}: {headings:?}");
    }
    page.assert_clean(server.origin());
}

#[test]
fn what_is_posted_is_counted_when_the_page_is_loaded_again() {
    let Some(browser) = browser() else { return };
    let server = Server::empty();
    let page = browser.open(&server.url("/"));
    assert!(!page.text("main").is_empty());
    let now = page.eval("new Date().toISOString()");
    let job_type = json!({"kind": "job_type", "id": 1, "name": "mosaic", "version": "1.0"});
    let jobs =
        (1..=1234).map(|id| json!({"kind": "job", "id": id, "job_type": 1, "status": "COMPLETED", "ended": now}));
    let events: Vec<String> = [job_type].into_iter().chain(jobs).map(|event| event.to_string()).collect();
    server.post_ndjson(&events.join("\n"));
    page.reload();
    page.wait("document.body.innerText.includes('1,234')", "the number of jobs");
    page.assert_clean(server.origin());
}
