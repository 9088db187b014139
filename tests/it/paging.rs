//! Pagination of the list and of plot data: page sizes, pages past the end, and the links from page to page.

use serde_json::{Value, json};

use crate::metrics_list::{TYPES, column_names};
use crate::support::{Client, TestServer, worked_example};

const PLOT: &str = "/v6/metrics/job-types/plot-data/";

/// A link as what comes before its query, and its parameters decoded, in order.
fn parts(link: &Value) -> (String, Vec<(String, String)>) {
    let link = link.as_str().unwrap();
    let (path, query) = link.split_once('?').unwrap_or((link, ""));
    (path.to_owned(), form_urlencoded::parse(query.as_bytes()).into_owned().collect())
}

/// Asserts that `link` is absolute, leads to `path`, and has the parameters `kept` in that order, and `page` anywhere.
#[track_caller]
fn assert_link(link: &Value, client: &Client, path: &str, page: Option<&str>, kept: &[(&str, &str)]) {
    let (before, parameters) = parts(link);
    assert_eq!(before, format!("{}{path}", client.base()));
    let (pages, others): (Vec<_>, Vec<_>) =
        parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).partition(|(k, _)| *k == "page");
    let page: Vec<_> = page.map(|page| ("page", page)).into_iter().collect();
    assert_eq!(pages, page, "{link}");
    assert_eq!(others, kept, "{link}");
}

/// All results from `path` on, by following `next`; each page but the last must hold `page_size` of them.
fn follow(client: &Client, path: &str, page_size: usize) -> Vec<Value> {
    let mut results = Vec::new();
    let mut next = json!(format!("{}{path}", client.base()));
    while let Some(link) = next.as_str() {
        let answer = client.get(link.strip_prefix(client.base()).unwrap());
        assert_eq!(answer.status, 200, "{link}: {}", answer.text());
        let body = answer.json();
        let page = body["results"].as_array().unwrap();
        next = body["next"].clone();
        assert!(page.len() == page_size || (next.is_null() && page.len() < page_size), "{} on {body}", page.len());
        results.extend(page.iter().cloned());
        assert!(body["count"].as_u64().unwrap() >= results.len() as u64);
    }
    results
}

#[test]
fn pages_of_1_7_and_1000_make_one_and_the_same_sequence() {
    let server = TestServer::start();
    server.accept(&worked_example());
    for path in [PLOT.to_owned(), "/v6/metrics/".to_owned(), format!("{PLOT}?group=run_time&column=total_count")] {
        let whole = server.get(&path).json();
        assert_eq!(whole["next"], Value::Null, "the default size holds it all");
        let separator = if path.contains('?') { '&' } else { '?' };
        for page_size in [1, 7, 1000] {
            let found = follow(&server, &format!("{path}{separator}page_size={page_size}"), page_size);
            assert_eq!(json!(found), whole["results"], "{path} in pages of {page_size}");
        }
    }
}

#[test]
fn count_is_of_all_pages() {
    let server = TestServer::start();
    for metrics_type in TYPES {
        let body = server.get(&format!("/v6/metrics/{metrics_type}/plot-data/?page_size=1")).json();
        assert_eq!(body["count"], column_names(metrics_type).len());
        assert_eq!(body["results"].as_array().unwrap().len(), 1);
    }
    let body = server.get("/v6/metrics/?page_size=2&page=2").json();
    assert_eq!(body["count"], 3);
    assert_eq!(body["results"].as_array().unwrap().len(), 1);
}

#[test]
fn the_second_page_has_what_follows_the_first() {
    let server = TestServer::start();
    let body = server.get(&format!("{PLOT}?page_size=10&page=2")).json();
    let names: Vec<&str> =
        body["results"].as_array().unwrap().iter().map(|result| result["column"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, column_names("job-types")[10..20]);
}

#[test]
fn next_and_previous_are_absolute_urls() {
    let server = TestServer::start();
    for (path, last) in [(PLOT, 49), ("/v6/metrics/", 3)] {
        let middle = server.get(&format!("{path}?page_size=1&page={}", last - 1)).json();
        let size = [("page_size", "1")];
        assert_link(&middle["next"], &server, path, Some(&last.to_string()), &size);
        let before = (last - 2).to_string();
        let before = (before != "1").then_some(before.as_str());
        assert_link(&middle["previous"], &server, path, before, &size);
    }
}

#[test]
fn the_first_page_has_no_previous_and_the_last_no_next() {
    let server = TestServer::start();
    let first = server.get("/v6/metrics/?page_size=2").json();
    assert_eq!(first["previous"], Value::Null);
    assert_link(&first["next"], &server, "/v6/metrics/", Some("2"), &[("page_size", "2")]);
    let last = server.get("/v6/metrics/?page_size=2&page=2").json();
    assert_eq!(last["next"], Value::Null);
    assert_link(&last["previous"], &server, "/v6/metrics/", None, &[("page_size", "2")]);
}

#[test]
fn the_link_to_page_one_carries_no_page() {
    let server = TestServer::start();
    let second = server.get(&format!("{PLOT}?page=2&page_size=5")).json();
    assert_eq!(second["previous"], format!("{}{PLOT}?page_size=5", server.base()));
    let second = server.get(&format!("{PLOT}?column=total_count&column=failed_count&page=2&page_size=1")).json();
    let expected = format!("{}{PLOT}?column=total_count&column=failed_count&page_size=1", server.base());
    assert_eq!(second["previous"], expected);
}

#[test]
fn links_keep_every_other_parameter_in_the_order_given() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let query = "zebra=1&group=run_time&page_size=1&column=total_count&choice_id=1&page=2&group=errors&started=2015-01-01&\
                 resolution=hour&apple=2";
    let kept = [
        ("zebra", "1"),
        ("group", "run_time"),
        ("page_size", "1"),
        ("column", "total_count"),
        ("choice_id", "1"),
        ("group", "errors"),
        ("started", "2015-01-01"),
        ("resolution", "hour"),
        ("apple", "2"),
    ];
    let body = server.get(&format!("{PLOT}?{query}")).json();
    assert_link(&body["next"], &server, PLOT, Some("3"), &kept);
    assert_link(&body["previous"], &server, PLOT, None, &kept);
}

#[test]
fn links_keep_values_that_need_escaping() {
    let server = TestServer::start();
    let query =
        "name=a%26b%3Dc&name=gr%C3%B6%C3%9Fer&name=a%2Bb+c%20d&started=2015-01-01T00%3A00%3A00%2B02%3A00&page_size=30";
    let kept = [
        ("name", "a&b=c"),
        ("name", "größer"),
        ("name", "a+b c d"),
        ("started", "2015-01-01T00:00:00+02:00"),
        ("page_size", "30"),
    ];
    let body = server.get(&format!("{PLOT}?{query}")).json();
    assert_link(&body["next"], &server, PLOT, Some("2"), &kept);
    assert_eq!(follow(&server, &format!("{PLOT}?{query}"), 30).len(), 49);
}

#[test]
fn a_link_can_be_followed_when_an_offset_came_with_a_bare_plus() {
    let server = TestServer::start();
    let path = format!("{PLOT}?started=2015-01-01T00:00:00+02:00&page_size=30");
    assert_eq!(follow(&server, &path, 30).len(), 49);
}

#[test]
fn links_lead_to_the_host_that_was_asked() {
    let server = TestServer::start();
    let answer = server
        .raw("GET /v6/metrics/?page_size=1 HTTP/1.1\r\nHost: metrics.example.org:8080\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("http://metrics.example.org:8080/v6/metrics/?"), "{answer}");
    // By way of a proxy: how that was asked.
    for (said, scheme) in
        [("https", "https"), ("HTTPS", "https"), ("http", "http"), ("javascript", "http"), ("ht tp", "http")]
    {
        let answer = server.send("GET", "/v6/metrics/?page_size=1", &[("X-Forwarded-Proto", said)], b"").json();
        let (found, _) = answer["next"].as_str().unwrap().split_once("://").unwrap();
        assert_eq!(found, scheme, "{said}");
    }
}

#[test]
fn an_absolute_target_names_the_host_whatever_host_says() {
    let server = TestServer::start();
    let next = |target: &str, headers: &str| {
        let answer =
            server.raw(format!("GET {target}/v6/metrics/?page_size=1 HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        body["next"].as_str().unwrap().to_owned()
    };
    let rest = "/v6/metrics/?page_size=1&page=2";
    let host = "Host: other.example:1\r\n";
    assert_eq!(next("http://metrics.example.org:8080", host), format!("http://metrics.example.org:8080{rest}"));
    assert_eq!(next("https://metrics.example.org", host), format!("https://metrics.example.org{rest}"));
    assert_eq!(next("http://user:password@metrics.example.org", host), format!("http://metrics.example.org{rest}"));
    // A proxy between says how it was asked itself.
    let forwarded = format!("{host}X-Forwarded-Host: front.example\r\n");
    assert_eq!(next("http://metrics.example.org", &forwarded), format!("http://front.example{rest}"));
    let old = server.raw("GET http://metrics.example.org/v6/metrics/?page_size=1 HTTP/1.0\r\n\r\n");
    assert!(old.contains(&format!("\"http://metrics.example.org{rest}\"")), "{old}");
}

#[test]
fn links_lead_to_where_the_server_listens_if_no_host_was_asked() {
    let server = TestServer::start();
    let expected =
        format!("\"next\":\"http://{}/v6/metrics/?page_size=1&page=2\"", server.connect().peer_addr().unwrap());
    let nobody = ["", "a b", "a/b", "\u{e4}.org"].map(|host| format!("HTTP/1.1\r\nHost: {host}\r\n"));
    for head in nobody.into_iter().chain(["HTTP/1.0\r\n".to_owned()]) {
        let answer = server.raw(format!("GET /v6/metrics/?page_size=1 {head}Connection: close\r\n\r\n"));
        assert!(answer.contains(&expected), "{head:?}: {answer}");
    }
}

#[test]
fn page_and_page_size_that_are_empty_or_null_count_as_not_given() {
    let server = TestServer::start();
    let plain = server.get(PLOT).json();
    for query in ["page=&page_size=", "page=null&page_size=null", "page&page_size"] {
        assert_eq!(server.get(&format!("{PLOT}?{query}")).json(), plain, "{query}");
    }
}

#[test]
fn a_single_parameter_that_is_repeated_counts_with_its_last_value() {
    let server = TestServer::start();
    let answer = server.get("/v6/metrics/?page=9&page_size=1&page_size=2&page=1").json();
    assert_eq!(answer["results"].as_array().unwrap().len(), 2);
    assert_eq!(answer["next"], format!("{}/v6/metrics/?page=2&page_size=1&page_size=2", server.base()));
}

#[test]
fn a_page_size_over_1000_is_taken_as_1000() {
    let server = TestServer::start();
    let plain = server.get(PLOT).json();
    for page_size in ["1000", "1001", "4294967296", "99999999999999999999999999"] {
        let answer = server.get(&format!("{PLOT}?page_size={page_size}"));
        assert_eq!(answer.status, 200, "{page_size}: {}", answer.text());
        assert_eq!(answer.json(), plain, "{page_size}");
    }
}

#[test]
fn a_page_size_below_1_or_no_integer_is_refused() {
    let server = TestServer::start();
    for path in [PLOT, "/v6/metrics/"] {
        for page_size in ["0", "-1", "-99999999999999999999999999", "1.5", "ten", "1e2", "0x10"] {
            let answer = server.get(&format!("{path}?page_size={page_size}"));
            answer.assert_refused(400, &["page_size", page_size, "1000"]);
        }
    }
}

#[test]
fn a_page_that_is_no_positive_integer_is_not_found() {
    let server = TestServer::start();
    for path in [PLOT, "/v6/metrics/"] {
        for page in ["0", "-1", "1.0", "one", "last", "1,2", "0x1"] {
            let answer = server.get(&format!("{path}?page={page}"));
            assert_eq!(answer.status, 404, "{page}: {}", answer.text());
            assert_eq!(answer.json(), json!({"detail": "Invalid page."}), "{page}");
        }
    }
}

#[test]
fn a_page_past_the_last_one_is_not_found() {
    let server = TestServer::start();
    let past = [
        "/v6/metrics/?page=2".to_owned(),
        "/v6/metrics/?page=4&page_size=1".to_owned(),
        "/v6/metrics/?page=2&page_size=3".to_owned(),
        format!("{PLOT}?page=2"),
        format!("{PLOT}?page=6&page_size=10"),
        format!("{PLOT}?page=2&column=total_count&page_size=1"),
        format!("{PLOT}?page=18446744073709551615"),
        format!("{PLOT}?page=18446744073709551615&page_size=1000"),
        format!("{PLOT}?page=99999999999999999999999999"),
    ];
    for path in past {
        let answer = server.get(&path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert_eq!(answer.json(), json!({"detail": "Invalid page."}), "{path}");
    }
    assert_eq!(server.get(&format!("{PLOT}?page=5&page_size=10")).status, 200);
}
