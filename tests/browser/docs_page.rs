//! `/v6/docs/`: the interface, for people.

use serde_json::{Value, json};

use crate::server::Server;
use crate::support::browser;

#[test]
fn every_path_of_the_document_is_shown() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/v6/docs/"));
    page.wait("document.querySelector('summary')", "the document");
    let shown = page.texts("summary");
    let document = server.get_json("/v6/openapi.json");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 10, "{paths:?}");
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let title = format!("{} {path} {}", method.to_uppercase(), operation["summary"].as_str().unwrap());
            assert_eq!(shown.iter().filter(|shown| **shown == title).count(), 1, "{title}: {shown:?}");
        }
    }
    page.assert_clean(server.origin());
}

#[test]
fn a_click_shows_what_an_operation_answers_and_another_hides_it() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/v6/docs/"));
    page.click("#listMetricsTypes summary");
    page.wait("document.querySelector('#listMetricsTypes h3').checkVisibility()", "the answers");
    assert!(page.texts("#listMetricsTypes dt").contains(&"200".to_owned()));
    page.click("#listMetricsTypes summary");
    page.wait("!document.querySelector('#listMetricsTypes h3').checkVisibility()", "the answers to go");
    page.assert_clean(server.origin());
}

#[test]
fn a_telephone_at_night_shows_it_all_without_scrolling_sideways() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/v6/docs/"));
    page.resize(360, 640, 3.0);
    page.wait("document.querySelector('summary')", "the document");
    page.eval("document.querySelectorAll('details').forEach((part) => { part.open = true; })");
    assert_eq!(page.eval("document.documentElement.scrollWidth - document.documentElement.clientWidth"), 0);
    let text_and_ground = "['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name])";
    for (theme, colours) in
        [("light", ["rgb(26, 30, 37)", "rgb(246, 247, 249)"]), ("dark", ["rgb(230, 233, 238)", "rgb(20, 23, 28)"])]
    {
        page.theme(theme);
        assert_eq!(page.eval(text_and_ground), json!(colours), "{theme}");
    }
    page.assert_clean(server.origin());
}

#[test]
fn an_address_of_a_part_opens_it() {
    let Some(browser) = browser() else { return };
    let server = Server::demo();
    let page = browser.open(&server.url("/v6/docs/#getDocument"));
    page.wait("document.getElementById('getDocument').open", "the part to open");
    let open = page.eval("[...document.querySelectorAll('details[open]')].map((part) => part.id)");
    assert_eq!(open, Value::from(vec!["getDocument"]));
    page.assert_clean(server.origin());
}
