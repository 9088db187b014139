//! The names of parameters: lists with brackets, names that mean nothing or are nearly right, and names that are repeated
//! without end. What values mean is in `params`.

use std::ops::Range;

use crate::params::{PLOT, assert_bad, columns, counts, server_with_choices};
use crate::support::{Answer, TestServer, worked_example};

#[test]
fn unknown_parameters_are_ignored() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let plain = server.get(PLOT).json();
    for query in ["dataType=job-types", "order=name", "Column=speed", "choice_id[0]=99", "column[][]=speed"] {
        assert_eq!(server.get(&format!("{PLOT}?{query}")).json(), plain, "{query}");
    }
    assert_eq!(server.get("/v6/metrics/?column=speed&started=never").json(), server.get("/v6/metrics/").json());
    let details = "/v6/metrics/job-types/";
    assert_eq!(server.get(&format!("{details}?page=99&group=none")).json(), server.get(details).json());
}

/// A query of as many pairs as there are numbers.
fn numbered(numbers: Range<u32>, pair: impl Fn(u32) -> String) -> String {
    numbers.fold(String::new(), |query, number| query + &pair(number) + "&")
}

/// The header that names what was ignored, as the client sees it.
fn ignored(answer: &Answer) -> Option<&str> {
    answer.header("x-ignored-parameters")
}

#[test]
fn unknown_parameters_are_named_in_a_header_wherever_they_are_sent() {
    let server = TestServer::start();
    server.accept(&worked_example());
    for path in [
        "/v6/metrics/",
        "/v6/metrics/job-types/",
        PLOT,
        "/v6/metrics/job-types/plot.svg",
        "/v6/metrics/job-types/totals/",
        "/v6/export/",
        "/v6/openapi.json",
        "/metrics",
        "/healthz",
        "/readyz",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = server.send(method, &format!("{path}?nonsense=secret&&other[]=1&nonsense=2"), &[], b"");
            assert_eq!((answer.status, ignored(&answer)), (200, Some("nonsense, other")), "{method} {path}");
            assert_eq!(ignored(&server.send(method, path, &[], b"")), None, "{method} {path}");
        }
    }
    for path in ["/v6/events/", "/v6/admin/rebuild/"] {
        let headers = [("Content-Type", "application/json")];
        let answer = server.send("POST", &format!("{path}?nonsense=1"), &headers, b"[]");
        assert_eq!((answer.status, ignored(&answer)), (200, Some("nonsense")), "{path}");
    }
    // A filter of another type is none of this one's; what is read by the page at an address is not read here.
    assert_eq!(ignored(&server.get(&format!("{PLOT}?category=SYSTEM&name=a"))), Some("category"));
    assert_eq!(ignored(&server.get("/v6/metrics/errors/plot-data/?category=SYSTEM&version=1")), Some("version"));
    assert_eq!(ignored(&server.get("/explorer/?type=errors")), None);
}

#[test]
fn every_kind_of_answer_names_what_was_ignored() {
    let server = TestServer::start_with(|config| {
        config.server.cors_origins = vec![scale_metrics::config::WebOrigin::new("https://example.org").unwrap()];
    });
    server.accept(&worked_example());
    let path = format!("{PLOT}?column=total_count&colour=red");
    let plain = server.get(&path);
    assert_eq!(ignored(&plain), Some("colour"));
    let tag = plain.header("etag").unwrap();
    let known = server.send("GET", &path, &[("If-None-Match", tag)], b"");
    assert_eq!((known.status, ignored(&known)), (304, Some("colour")));
    // The same answer is kept for both, but not what was sent beside it.
    let other = server.send("GET", &format!("{PLOT}?column=total_count"), &[("Accept-Encoding", "gzip")], b"");
    assert_eq!((other.status, ignored(&other)), (200, None));
    for (query, status) in [("column=speed&colour=red", 400), ("columns=a&colour=red", 400), ("page=9&colour=red", 404)]
    {
        let refused = server.get(&format!("{PLOT}?{query}"));
        assert_eq!((refused.status, ignored(&refused)), (status, Some("colour")), "{query}");
    }
    let from_page = server.send("GET", &path, &[("Origin", "https://example.org")], b"");
    assert!(from_page.header("access-control-expose-headers").unwrap().contains("x-ignored-parameters"));
}

#[test]
fn whatever_a_name_is_the_header_that_names_it_is_one_and_short() {
    let server = TestServer::start();
    let head = |query: &str| {
        let answer = server.raw(format!("GET {PLOT}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        head.to_owned()
    };
    assert!(head("a%0D%0ASet-Cookie:x=1").contains("\r\nx-ignored-parameters: a%0D%0ASet-Cookie%3Ax\r\n"));
    assert!(head("%FF%00=1&%E2%82%AC=1").contains("\r\nx-ignored-parameters: %EF%BF%BD%00, %E2%82%AC\r\n"));
    assert!(head(&format!("{}=1", "x".repeat(59_000))).len() < 1_000);
    let many = numbered(0..6_000, |number| format!("p{number}=1"));
    let named = head(&many);
    assert!(named.len() < 2_000 && named.contains("x-ignored-parameters: p0, p1, "), "{named}");
}

#[test]
fn a_name_with_brackets_is_the_same_parameter() {
    let server = server_with_choices();
    assert_eq!(counts(&server, "choice_id[]=3"), [(None, 3)]);
    assert_eq!(counts(&server, "choice_id[]=4&choice_id%5B%5D=2"), [(Some(2), 2), (Some(4), 4)]);
    assert_eq!(counts(&server, "name[]=ingest&version[]=1.0"), [(None, 3)]);
    assert_eq!(counts(&server, "choice_id[]=&choice_id[]=null"), [(None, 10)]);
    assert_eq!(columns(&server, "column[]=total_count&group[]=null"), ["total_count"]);
    assert_bad(&server, "column[]=speed", &["column", "speed"]);
    assert_bad(&server, "page_size[]=0", &["page_size"]);
    assert_bad(&server, "choice_id[]=99", &["choice_id", "99"]);
    let details = server.get("/v6/metrics/job-types/?name[]=parse&version%5b%5d=2.0").json();
    assert_eq!(details["choices"].as_array().unwrap().len(), 1);
    // Links keep every other parameter as it stood, and know the page by either name.
    let query = "column[]=total_count&column%5B%5D=failed_count&page_size[]=1";
    let first = server.get(&format!("{PLOT}?{query}")).json();
    assert_eq!(first["next"], format!("{}{PLOT}?{query}&page=2", server.base()));
    let second = server.get(&format!("{PLOT}?page[]=2&{query}")).json();
    assert_eq!(second["previous"], format!("{}{PLOT}?{query}", server.base()));
}

#[test]
fn names_that_are_nearly_right_are_refused_with_the_right_one() {
    let server = TestServer::start();
    let near_misses = [
        ("columns", "column"),
        ("groups", "group"),
        ("choice", "choice_id"),
        ("choice_ids", "choice_id"),
        ("start", "started"),
        ("from", "started"),
        ("end", "ended"),
        ("to", "ended"),
    ];
    for (wrong, right) in near_misses {
        for endpoint in ["plot-data/", "plot.svg", "totals/"] {
            for name in [wrong.to_owned(), format!("{wrong}[]"), format!("{wrong}%5B%5D")] {
                let refused = server.get(&format!("/v6/metrics/job-types/{endpoint}?{name}=1"));
                refused.assert_refused(400, &[&format!("{wrong}."), &format!("Did you mean {right}?")]);
            }
            for nothing in ["", "=", "=null"] {
                let answer = server.get(&format!("/v6/metrics/job-types/{endpoint}?{wrong}{nothing}"));
                assert_eq!((answer.status, ignored(&answer)), (200, None), "{wrong}{nothing}");
            }
        }
        // Where there is no such parameter, it is as unknown as others.
        let details = server.get(&format!("/v6/metrics/job-types/?{wrong}=1"));
        assert_eq!((details.status, ignored(&details)), (200, Some(wrong)));
    }
    for query in ["start=2015-01-01", "to=2015-01-01"] {
        let refused = server.send("POST", &format!("/v6/admin/rebuild/?{query}"), &[], b"");
        refused.assert_refused(400, &["Did you mean"]);
    }
}

#[test]
fn what_is_repeated_thousands_of_times_counts_once() {
    let server = server_with_choices();
    let repeated = |pair: &str| format!("{pair}&").repeat(59_000 / (pair.len() + 1));
    assert_eq!(counts(&server, &repeated("version=1.0")), counts(&server, "version=1.0"));
    assert_eq!(counts(&server, &repeated("choice_id[]=2")), counts(&server, "choice_id=2"));
    for pair in ["column=run_time_avg", "group=overview", "group[]=errors"] {
        assert_eq!(columns(&server, &repeated(pair)), columns(&server, pair), "{pair}");
    }
    let details = |query: &str| server.get(&format!("/v6/metrics/job-types/?{query}")).json();
    assert_eq!(details(&repeated("name=parse")), details("name=parse"));
    let picture = |query: &str| server.get(&format!("/v6/metrics/job-types/plot.svg?group=overview&{query}")).text();
    assert_eq!(picture(&repeated("hidden=total_count")), picture("hidden=total_count"));
    let many = numbered(0..4_500, |number| format!("name=n{number}"));
    assert_eq!(counts(&server, &format!("{many}name=parse")), counts(&server, "name=parse"));
}

#[test]
fn a_refusal_shows_the_beginning_of_what_is_long() {
    let server = server_with_choices();
    let refused = server.get(&format!("{PLOT}?column={}", "x".repeat(59_000)));
    refused.assert_refused(400, &["column", "xxx…", "completed_count"]);
    assert!(refused.body.len() < 3_000);
    let unknown = numbered(1_000..4_500, |id| format!("choice_id={id}"));
    let refused = server.get(&format!("{PLOT}?{unknown}"));
    refused.assert_refused(400, &["choice_id", "\"1000, 1001, 1002, ", " more\""]);
    assert!(refused.body.len() < 3_000);
}
