//! What proxies say of a request, and paths that they put before those of the server: docs/reference.md, HTTPS and proxies.
//!
//! Not here: the rules for each header and each hostile value (`src/api/public_url.rs`), a real proxy (`behind_nginx.rs`).

use scale_metrics::config::{BasePath, Network, WebOrigin};
use serde_json::Value;

use crate::support::{Answer, Client, TestServer, worked_example};

const LIST: &str = "/v6/metrics/?page_size=1";
const PREFIX: &str = "/metrics-of/cluster-1";

fn with_base_path() -> TestServer {
    TestServer::start_with(|config| config.server.base_path = BasePath::new(PREFIX).unwrap())
}

/// The link to the next page in an answer to [`LIST`].
#[track_caller]
fn next(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["next"].as_str().unwrap().to_owned()
}

/// The URL at which a relative one leads, as a browser finds it.
fn resolved(path: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for step in relative.split_inclusive('/') {
        match step {
            "./" => {}
            "../" => _ = parts.pop(),
            name => parts.push(name.trim_end_matches('/')),
        }
    }
    let slash = if relative.ends_with('/') { "/" } else { "" };
    format!("{}{slash}", parts.join("/"))
}

#[test]
fn headers_of_proxies_are_believed_of_trusted_ones_only() {
    let said: [&[(&str, &str)]; 2] = [
        &[("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "front.example"), ("X-Forwarded-Prefix", PREFIX)],
        &[("Forwarded", "for=192.0.2.1;proto=https;host=front.example"), ("X-Forwarded-Prefix", PREFIX)],
    ];
    // Loopback is trusted unless the settings name others, as this client is one.
    let trusting = TestServer::start();
    let named =
        TestServer::start_with(|config| config.server.trusted_proxies = vec![Network::new("127.0.0.1").unwrap()]);
    let others =
        TestServer::start_with(|config| config.server.trusted_proxies = vec![Network::new("10.0.0.0/8").unwrap()]);
    let none = TestServer::start_with(|config| config.server.trusted_proxies = Vec::new());
    for headers in said {
        for server in [&trusting, &named] {
            let link = next(&server.send("GET", LIST, headers, b""));
            assert_eq!(link, format!("https://front.example{PREFIX}{LIST}&page=2"), "{headers:?}");
        }
        for server in [&others, &none] {
            let link = next(&server.send("GET", LIST, headers, b""));
            assert_eq!(link, format!("{}{LIST}&page=2", server.base()), "{headers:?}");
        }
    }
}

#[test]
fn hostile_headers_change_nothing() {
    let server = TestServer::start();
    for (name, value) in [
        ("X-Forwarded-Host", "evil.example/\"><script>"),
        ("X-Forwarded-Host", "user:password@evil.example"),
        ("X-Forwarded-Proto", "javascript"),
        ("X-Forwarded-Prefix", "//evil.example"),
        ("X-Forwarded-Prefix", "/../.."),
        ("Forwarded", "host=\"evil.example/\";proto=\"data\""),
        ("Forwarded", ";;;=,\"\\\",==\""),
    ] {
        let link = next(&server.send("GET", LIST, &[(name, value)], b""));
        assert_eq!(link, format!("{}{LIST}&page=2", server.base()), "{name}: {value}");
    }
}

#[test]
fn every_path_is_served_below_the_base_path_and_without_it() {
    let server = with_base_path();
    server.accept(&worked_example());
    let plot = "/v6/metrics/job-types/plot-data/?column=total_count";
    for path in ["/", "/explorer/", "/v6/docs/", "/assets/main.js", "/favicon.svg", "/healthz", "/readyz", plot] {
        let (bare, below) = (server.get(path), server.get(&format!("{PREFIX}{path}")));
        assert_eq!((bare.status, below.status), (200, 200), "{path}");
        assert_eq!(bare.text(), below.text(), "{path}");
    }
    for path in ["", PREFIX] {
        for events in ["/v6/events/", "/v6/events"] {
            let answer =
                server.send("POST", &format!("{path}{events}"), &[("Content-Type", "application/json")], b"[]");
            assert_eq!(answer.status, 200, "{path}{events}: {}", answer.text());
        }
        // Links have the base path, however the request came.
        let link = next(&server.get(&format!("{path}{LIST}")));
        assert_eq!(link, format!("{}{PREFIX}{LIST}&page=2", server.base()));
        let followed = link.strip_prefix(server.base()).unwrap();
        assert_eq!(server.get(followed).status, 200, "{link}");
    }
    for path in ["/metrics-of/cluster-10/healthz", "/metrics-of/healthz", "/metrics-of/cluster-1healthz"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    let twice = format!("{PREFIX}{PREFIX}/healthz");
    assert_eq!(server.get(&twice).status, 404, "it is taken off once");
    // The figures know a path by what it is.
    let figures = server.get("/metrics").text();
    assert!(figures.contains("route=\"/healthz\"") && !figures.contains("cluster-1"), "{figures}");
}

#[test]
fn redirects_and_pages_stay_below_the_base_path() {
    let server = with_base_path();
    for (path, to) in
        [("", "/"), ("/explorer", "/explorer/"), ("/v6/docs", "/v6/docs/"), ("/v6/metrics", "/v6/metrics/")]
    {
        let path = format!("{PREFIX}{path}");
        let answer = server.get(&format!("{path}?started=P7D"));
        assert_eq!(answer.status, 308, "{path}");
        let location = answer.header("location").unwrap().strip_suffix("?started=P7D").unwrap();
        assert_eq!(resolved(&path, location), format!("{PREFIX}{to}"));
    }
    for page in ["/", "/explorer/", "/v6/docs/"] {
        let path = format!("{PREFIX}{page}");
        let text = server.get(&path).text();
        let addresses: Vec<_> =
            text.split('"').filter(|part| part.starts_with("./") || part.starts_with("../")).collect();
        assert!(addresses.len() > 5, "{text}");
        for address in addresses {
            let address = resolved(&path, address);
            assert!(address.starts_with(&format!("{PREFIX}/")), "{address} on {page}");
            assert_eq!(server.get(&address).status, 200, "{address} on {page}");
        }
    }
    let path = format!("{PREFIX}/v6/nothing/here");
    let missing = server.get(&path);
    assert_eq!(missing.status, 404);
    let link = missing.header("link").unwrap();
    let link = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    assert_eq!(resolved(&path, link), format!("{PREFIX}/v6/docs/"));
}

#[test]
fn the_document_names_the_path_before_all_paths() {
    let servers = |client: &Client, path: &str, headers: &[(&str, &str)]| -> Value {
        client.send("GET", path, headers, b"").json()["servers"].take()
    };
    let (plain, below) = (TestServer::start(), with_base_path());
    let document = "/v6/openapi.json";
    assert_eq!(servers(&plain, document, &[]), Value::Null);
    assert_eq!(servers(&plain, document, &[("X-Forwarded-Prefix", "/app/")])[0]["url"], "/app");
    assert_eq!(servers(&below, document, &[])[0]["url"], PREFIX);
    assert_eq!(servers(&below, &format!("{PREFIX}{document}"), &[])[0]["url"], PREFIX);
    assert_eq!(servers(&below, document, &[("X-Forwarded-Prefix", "/app")])[0]["url"], "/app");
}

/// A browser on a trusted machine sends the headers that a page tells it to send.
#[test]
fn what_proxies_say_opens_no_way_to_write() {
    let origins = vec![WebOrigin::new("https://front.example").unwrap()];
    let closed = TestServer::start();
    let listed = TestServer::start_with(|config| config.server.cors_origins = origins);
    let post = |server: &TestServer, headers: &[(&str, &str)]| {
        let headers = [&[("Content-Type", "application/json")], headers].concat();
        server.send("POST", "/v6/events/", &headers, b"[]").status
    };
    let front: &[(&str, &str)] = &[("X-Forwarded-Host", "front.example"), ("X-Forwarded-Proto", "https")];
    // Of a page of the public name: that is listed, or it is not.
    for (server, status) in [(&closed, 403), (&listed, 200)] {
        assert_eq!(post(server, &[front, &[("Origin", "https://front.example")]].concat()), status);
        assert_eq!(post(server, &[front, &[("Origin", "https://evil.example")]].concat()), 403);
    }
    // By a name that somebody may have pointed at this machine.
    for (name, value) in
        [("X-Forwarded-Host", "localhost"), ("Forwarded", "host=localhost"), ("Forwarded", "host=\"127.0.0.1:8080\"")]
    {
        assert_eq!(post(&closed, &[("Host", "evil.example"), (name, value)]), 403, "{name}");
    }
    // A proxy that asks for an address passes the public name on in a header.
    assert_eq!(post(&closed, front), 200);
}
