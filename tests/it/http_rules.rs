//! What holds for every path: HEAD, redirects, unknown paths, other methods, entity tags and compression; and the
//! paths beside the API.

use serde_json::json;

use crate::support::{Answer, TestServer, gunzip, worked_example};

const LIST: &str = "/v6/metrics/";
const DETAILS: &str = "/v6/metrics/job-types/";
const PLOT: &str = "/v6/metrics/job-types/plot-data/";
const CSV: &str = "/v6/metrics/job-types/plot-data/?format=csv";
const TOTALS: &str = "/v6/metrics/job-types/totals/";
const PICTURE: &str = "/v6/metrics/job-types/plot.svg";

/// One path of each kind of answer that can be read.
const READABLE: [&str; 6] = [LIST, DETAILS, PLOT, CSV, TOTALS, PICTURE];

fn server_with_worked_example() -> TestServer {
    let server = TestServer::start();
    server.accept(&worked_example());
    server
}

/// The strong or weak tag of an answer, quotes and all.
#[track_caller]
fn etag(answer: &Answer) -> String {
    let tag = answer.header("etag").unwrap_or_else(|| panic!("no ETag in {:?}", answer.headers)).to_owned();
    let quoted = tag.strip_prefix("W/").unwrap_or(&tag);
    assert!(quoted.len() > 2 && quoted.starts_with('"') && quoted.ends_with('"'), "{tag}");
    tag
}

/// A GET that has the answer in `tags` already.
fn get_if_none_match(server: &TestServer, path: &str, tags: &str) -> Answer {
    server.send("GET", path, &[("If-None-Match", tags)], b"")
}

fn get_accepting(server: &TestServer, path: &str, encodings: &str) -> Answer {
    server.send("GET", path, &[("Accept-Encoding", encodings)], b"")
}

#[track_caller]
fn assert_not_found(answer: &Answer) {
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(answer.json(), json!({"detail": "Not found."}));
}

#[test]
fn an_unknown_path_leads_to_the_list_of_those_that_exist() {
    let server = TestServer::start();
    for path in ["/metrics/", "/v6/metric/job-types/", "/v6/metrics/jobs/plot-data/"] {
        let answer = server.get(path);
        assert_not_found(&answer);
        let link = answer.header("link").unwrap();
        let docs = link.strip_prefix('<').and_then(|link| link.strip_suffix(r#">; rel="service-doc""#)).unwrap();
        let depth = docs.matches("../").count();
        let root = path.split('/').take(path.matches('/').count() - depth).collect::<Vec<_>>().join("/");
        let target = format!("{root}/{}", docs.trim_start_matches("../").trim_start_matches("./"));
        assert_eq!(target, "/v6/docs/", "{path}: {link}");
        assert_eq!(server.get(&target).status, 200);
    }
    let long = format!("/{}", "x/".repeat(1_000));
    assert_eq!(server.get(&long).header("link"), None);
}

/// Asserts a permanent redirect and returns the path and query that it leads to from `path`. The location has to be relative to
/// the last part of that, so that it holds behind a proxy that has a prefix before all paths.
#[track_caller]
fn redirected(path: &str, answer: &Answer) -> String {
    assert_eq!(answer.status, 308, "{}", answer.text());
    let location = answer.header("location").unwrap().strip_prefix("./").expect("it is relative");
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    format!("{}/{location}", path.rsplit_once('/').unwrap().0)
}

// HEAD.

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    let server = server_with_worked_example();
    for path in READABLE {
        let get = server.get(path);
        let head = server.send("HEAD", path, &[], b"");
        assert_eq!(head.status, 200, "{path}");
        assert!(head.body.is_empty(), "{path}");
        for name in ["content-type", "content-length", "etag"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
}

#[test]
fn nothing_follows_the_head_of_an_answer_to_head() {
    let server = server_with_worked_example();
    for path in READABLE {
        let answer = server.raw(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(answer.matches("\r\n\r\n").count(), 1, "{answer}");
    }
}

#[test]
fn head_is_refused_as_get_is() {
    let server = TestServer::start();
    let refused = [
        ("/v6/metrics/jobs/", 404),
        ("/v6/metrics/job-types/plot-data/?column=speed", 400),
        ("/v6/metrics/?page=9", 404),
    ];
    for (path, status) in refused {
        let head = server.send("HEAD", path, &[], b"");
        assert_eq!(head.status, status, "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
}

// Paths.

#[test]
fn a_path_without_its_trailing_slash_redirects_to_the_one_with_it() {
    let server = TestServer::start();
    for path in [LIST, DETAILS, PLOT, "/v6/metrics/ingests/", "/v6/metrics/errors/plot-data/"] {
        for method in ["GET", "HEAD"] {
            let slashless = path.trim_end_matches('/');
            let answer = server.send(method, slashless, &[], b"");
            let target = redirected(slashless, &answer);
            assert_eq!(target, path, "{method}");
            if method == "GET" {
                answer.assert_refused(308, &["ends with a slash"]);
            }
            assert_eq!(server.send(method, &target, &[], b"").status, 200);
        }
    }
}

#[test]
fn a_redirect_keeps_the_query() {
    let server = server_with_worked_example();
    let query =
        "?column=total_count&choice_id=1&choice_id=1&started=2015-01-01T00:00:00%2B01:00&&name=a%26b+c&page_size=";
    let slashless = format!("{}{query}", PLOT.trim_end_matches('/'));
    let target = redirected(&slashless, &server.get(&slashless));
    assert_eq!(target, format!("{PLOT}{query}"));
    assert_eq!(server.get(&target).status, 200);
}

#[test]
fn a_redirect_does_not_lead_to_another_server() {
    let server = TestServer::start();
    for path in [
        "//example.org",
        "//example.org/v6/metrics",
        "/v6//example.org/x",
        "http://example.org/v6/metrics",
        "/v6/metrics?//example.org",
        "/v6/%6detrics",
        "/v6/metrics/job-types/..//example.org",
        "/\\example.org",
    ] {
        let answer = server.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let location =
            answer.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("location: ").map(str::to_owned));
        if let Some(location) = location {
            assert!(
                location.starts_with("./") && location[2..].starts_with(|c| c != '/'),
                "{path} leads to {location}"
            );
        }
    }
}

#[test]
fn a_post_of_events_without_its_trailing_slash_is_taken_as_it_is() {
    let server = TestServer::start();
    let headers = [("Content-Type", "application/json")];
    let body = serde_json::to_vec(&worked_example()).unwrap();
    let answer = server.send("POST", "/v6/events?wait=true", &headers, &body);
    assert_eq!((answer.status, &answer.json()["created"]), (200, &json!(12)), "{}", answer.text());
    server.send("POST", "/v6/events", &[], b"[]").assert_refused(415, &["content type"]);
    // The other methods are sent on, as on all paths.
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(redirected("/v6/events", &server.send(method, "/v6/events", &[], b"")), "/v6/events/", "{method}");
    }
    let figures = server.get("/metrics").text();
    let counted = "scale_metrics_http_requests_total{method=\"POST\",route=\"/v6/events/\",status=\"200\"} 1";
    assert!(figures.contains(counted), "{figures}");
}

#[test]
fn another_post_without_its_trailing_slash_is_sent_on_with_its_body() {
    let server = TestServer::start();
    let answer = server.send("POST", "/v6/admin/rebuild", &[], b"");
    answer.assert_refused(308, &["rebuild/"]);
    assert_eq!(redirected("/v6/admin/rebuild", &answer), "/v6/admin/rebuild/", "301 would have it come back with GET");
}

#[test]
fn unknown_paths_are_not_found() {
    let server = TestServer::start();
    let unknown = [
        "/v6/nothing/",
        "/v6/",
        "/v5/metrics/",
        "/v6/metrics/job-types/plot-data/more/",
        "/v6/metrics/job-types/other/",
        "/v6/metrics//",
        "/v6/events/1/",
        "/nothing/",
        "/%2e%2e/%2e%2e/etc/passwd/",
    ];
    for path in unknown {
        assert_not_found(&server.get(path));
    }
}

#[test]
fn an_unknown_path_without_a_slash_is_not_found_in_the_end() {
    let server = TestServer::start();
    for path in ["/nothing", "/v6/nothing", "/v6/metrics/jobs", "/v6/metrics/job-types/other"] {
        let mut answer = server.get(path);
        if answer.status != 404 {
            answer = server.get(&redirected(path, &answer));
        }
        assert_not_found(&answer);
    }
}

// Methods.

#[test]
fn other_methods_on_what_can_only_be_read_are_refused() {
    let server = TestServer::start();
    for path in [LIST, DETAILS, PLOT] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = server.send(method, path, &[], b"");
            answer.assert_refused(405, &[]);
            let mut allowed: Vec<&str> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
            allowed.sort_unstable();
            assert_eq!(allowed, ["GET", "HEAD"], "{method} {path}");
        }
    }
}

#[test]
fn other_methods_on_events_are_refused() {
    let server = TestServer::start();
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = server.send(method, "/v6/events/", &[], b"");
        answer.assert_refused(405, &[]);
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    let head = server.send("HEAD", "/v6/events/", &[], b"");
    assert_eq!((head.status, head.header("allow")), (405, Some("POST")));
}

#[test]
fn a_method_refused_with_a_body_leaves_the_server_up() {
    let server = TestServer::start();
    let answer = server.send("PUT", LIST, &[("Content-Type", "application/json")], &vec![b' '; 1 << 20]);
    answer.assert_refused(405, &[]);
    assert_eq!(server.get(LIST).status, 200);
}

#[test]
fn every_error_is_json_with_a_detail() {
    let server = TestServer::start();
    let errors = [
        server.get("/v6/nothing/"),
        server.get("/v6/metrics/jobs/"),
        server.get("/v6/metrics/?page=0"),
        server.get("/v6/metrics/?page_size=0"),
        server.get("/v6/metrics/job-types/plot-data/?choice_id=1"),
        server.send("DELETE", LIST, &[], b""),
        server.send("POST", "/v6/events/", &[("Content-Type", "text/plain")], b"{}"),
    ];
    for answer in errors {
        answer.assert_refused(answer.status, &[]);
        assert!(answer.status >= 400);
        assert!(answer.header("content-type").unwrap().starts_with("application/json"), "{}", answer.text());
    }
}

// ETag.

#[test]
fn answers_carry_an_etag_that_stays_as_long_as_they_do() {
    let server = server_with_worked_example();
    for path in READABLE {
        assert_eq!(etag(&server.get(path)), etag(&server.get(path)), "{path}");
    }
}

#[test]
fn a_known_etag_is_answered_304_without_a_body() {
    let server = server_with_worked_example();
    for path in READABLE {
        let tag = etag(&server.get(path));
        for method in ["GET", "HEAD"] {
            let answer = server.send(method, path, &[("If-None-Match", &tag)], b"");
            assert_eq!(answer.status, 304, "{method} {path}");
            assert!(answer.body.is_empty());
            assert_eq!(etag(&answer), tag);
        }
    }
}

#[test]
fn if_none_match_takes_lists_weak_tags_and_a_star() {
    let server = server_with_worked_example();
    for path in READABLE {
        let tag = etag(&server.get(path));
        let bare = tag.trim_start_matches("W/");
        let known = [
            format!("W/{bare}"),
            bare.to_owned(),
            format!("\"other\", {bare}"),
            format!("\"other\",W/{bare},\"more, with a comma\""),
            format!("{bare} , \"other\""),
            "*".to_owned(),
        ];
        for tags in known {
            assert_eq!(get_if_none_match(&server, path, &tags).status, 304, "{tags} for {path}");
        }
    }
}

#[test]
fn another_etag_gets_the_whole_answer() {
    let server = server_with_worked_example();
    let tag = etag(&server.get(PLOT));
    let inside = tag.trim_start_matches("W/").trim_matches('"');
    let unknown = [
        "\"other\"".to_owned(),
        "W/\"other\"".to_owned(),
        format!("\"{inside}x\""),
        inside[1..].to_owned(),
        String::new(),
    ];
    for tags in unknown {
        let answer = get_if_none_match(&server, PLOT, &tags);
        assert_eq!(answer.status, 200, "{tags}");
        assert_eq!(answer.json(), server.get(PLOT).json());
    }
}

#[test]
fn the_etag_changes_with_the_answer() {
    let server = server_with_worked_example();
    let (details, plot, csv) = (etag(&server.get(DETAILS)), etag(&server.get(PLOT)), etag(&server.get(CSV)));
    server.accept(&[json!({
        "kind": "job", "id": 7, "job_type": 1, "status": "COMPLETED", "ended": "2015-01-01T00:00:00Z",
    })]);
    assert_eq!(get_if_none_match(&server, DETAILS, &details).status, 304, "the choices are the same");
    assert_eq!(get_if_none_match(&server, PLOT, &plot).status, 200);
    assert_eq!(get_if_none_match(&server, CSV, &csv).status, 200);
    server.accept(&[json!({"kind": "job_type", "id": 2, "name": "new", "version": "1.0"})]);
    assert_eq!(get_if_none_match(&server, DETAILS, &details).status, 200);
}

#[test]
fn the_etag_changes_when_time_moves_values_out_of_the_range() {
    let server = server_with_worked_example();
    let path = format!("{PLOT}?started=P40D&column=total_count");
    let tag = etag(&server.get(&path));
    assert_eq!(get_if_none_match(&server, &path, &tag).status, 304);
    server.set_now("2015-03-01T00:00:00Z");
    let answer = get_if_none_match(&server, &path, &tag);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["results"][0]["values"], json!([]));
}

#[test]
fn an_error_is_never_answered_304() {
    let server = TestServer::start();
    assert_eq!(get_if_none_match(&server, "/v6/metrics/jobs/", "*").status, 404);
    assert_eq!(get_if_none_match(&server, "/v6/metrics/?page=9", "*").status, 404);
    assert_eq!(get_if_none_match(&server, "/v6/metrics/job-types/plot-data/?column=speed", "*").status, 400);
}

// Compression.

#[test]
fn answers_are_compressed_when_asked_for() {
    let server = server_with_worked_example();
    for path in READABLE {
        let plain = server.get(path);
        assert_eq!(plain.header("content-encoding"), None);
        for encodings in ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.5", "GZip", "identity;q=0.1, gzip"] {
            let packed = get_accepting(&server, path, encodings);
            assert_eq!(packed.status, 200);
            assert_eq!(packed.header("content-encoding"), Some("gzip"), "{encodings} for {path}");
            assert_eq!(packed.header("content-type"), plain.header("content-type"));
            assert!(packed.body.len() < plain.body.len(), "{path}");
            assert_eq!(gunzip(&packed.body), plain.body, "{path}");
        }
    }
}

#[test]
fn answers_are_not_compressed_when_not_asked_for() {
    let server = server_with_worked_example();
    for encodings in ["", "identity", "gzip;q=0", "br, gzip;q=0.0", "deflate", "x-unknown"] {
        let answer = get_accepting(&server, PLOT, encodings);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), None, "{encodings:?}");
        assert_eq!(answer.body, server.get(PLOT).body);
    }
}

#[test]
fn a_compressed_answer_tells_caches_that_it_depends_on_accept_encoding() {
    let server = server_with_worked_example();
    for path in READABLE {
        for answer in [server.get(path), get_accepting(&server, path, "gzip")] {
            let vary = answer.header("vary").unwrap_or_default().to_ascii_lowercase();
            assert!(vary.contains("accept-encoding"), "{path}: {vary:?}");
        }
    }
}

#[test]
fn the_etag_of_a_compressed_answer_is_honoured_too() {
    let server = server_with_worked_example();
    for path in READABLE {
        let tag = etag(&get_accepting(&server, path, "gzip"));
        let headers = [("Accept-Encoding", "gzip"), ("If-None-Match", tag.as_str())];
        let answer = server.send("GET", path, &headers, b"");
        assert_eq!(answer.status, 304, "{path}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("content-encoding"), None);
    }
}

#[test]
fn a_strong_etag_is_never_shared_by_two_encodings() {
    let server = server_with_worked_example();
    for path in READABLE {
        let plain = etag(&server.get(path));
        let packed = etag(&get_accepting(&server, path, "gzip"));
        assert!(plain != packed || plain.starts_with("W/"), "{path}: {plain}");
    }
}

#[test]
fn head_of_a_compressed_answer_has_its_headers_and_no_body() {
    let server = server_with_worked_example();
    let get = get_accepting(&server, PLOT, "gzip");
    let head = server.send("HEAD", PLOT, &[("Accept-Encoding", "gzip")], b"");
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty());
    for name in ["content-type", "content-encoding", "content-length", "etag", "vary"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

// Beside the API.

#[test]
fn healthz_says_ok() {
    let server = TestServer::start();
    let answer = server.get("/healthz");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"status": "ok"}));
}

#[test]
fn readyz_says_ready() {
    let server = TestServer::start();
    let answer = server.get("/readyz");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"status": "ready"}));
}

#[test]
fn the_root_is_a_page() {
    let server = TestServer::start();
    let answer = server.get("/");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    assert!(answer.text().contains("</html>"), "{}", answer.text());
}

// The pages.

#[test]
fn pages_allow_nothing_but_what_this_server_sends() {
    let server = TestServer::start();
    for page in ["/", "/explorer/", "/v6/docs/"] {
        let answer = server.get(page);
        let policy = answer.header("content-security-policy").unwrap();
        let mut rules: Vec<_> = policy.split("; ").collect();
        rules.sort_unstable();
        assert_eq!(
            rules,
            [
                "base-uri 'none'",
                "connect-src 'self'",
                "default-src 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "img-src 'self'",
                "script-src 'self'",
                "style-src 'self'",
            ]
        );
        // Whatever a page names, this server has, and shows as what it is.
        let text = answer.text();
        let addresses: Vec<_> = text.split(['"', '\'']).filter(|part| part.starts_with(['.', '/'])).collect();
        let is_asset = |address: &&&str| address.contains("assets/") || address.contains("favicon");
        assert!(addresses.iter().filter(is_asset).count() >= 3, "{addresses:?}");
        for address in &addresses {
            // As many steps up as the page is deep, and no more: what a proxy has before the path stays.
            let root = if page == "/" { "./".to_owned() } else { "../".repeat(page.matches('/').count() - 1) };
            let rest = address.strip_prefix(&root).unwrap_or_else(|| panic!("{address} on {page}"));
            assert!(!rest.starts_with(['.', '/']), "{address} on {page}");
            assert_eq!(server.get(&format!("/{rest}")).status, 200, "{address}");
        }
        for asset in addresses.iter().filter(is_asset) {
            let asset = &format!("/{}", asset.trim_start_matches("../").trim_start_matches("./"));
            let answer = server.get(asset);
            assert_eq!(answer.status, 200, "{asset}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{asset}");
            let is_text =
                answer.header("content-type").is_some_and(|kind| kind.starts_with("text/") || kind == "image/svg+xml");
            assert!(is_text, "{asset}");
        }
    }
}

#[test]
fn scripts_import_only_what_is_there_and_ask_nobody_else() {
    let server = TestServer::start();
    let mut known = vec!["/assets/main.js".to_owned(), "/assets/docs.js".to_owned()];
    let mut at = 0;
    while at < known.len() {
        let answer = server.get(&known[at]);
        assert_eq!(answer.status, 200, "{}", known[at]);
        assert!(answer.header("content-type").unwrap().starts_with("text/javascript"));
        let text = answer.text().replace("http://www.w3.org/2000/svg", "");
        for foreign in ["http:", "https:", "//cdn", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval("] {
            assert!(!text.contains(foreign), "{} has {foreign}", known[at]);
        }
        for import in text.split("from \"./").skip(1) {
            let path = format!("/assets/{}", import.split('"').next().unwrap());
            if !known.contains(&path) {
                known.push(path);
            }
        }
        at += 1;
    }
    assert!(known.len() >= 12, "{known:?}");
}
