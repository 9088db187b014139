//! Behind a real nginx: with the lines for WebSocket that people copy, with a prefix that it takes off or leaves, and with TLS
//! before it, behind it, or both.

use scale_metrics::config::BasePath;
use serde_json::{Value, json};

use crate::support::nginx::Nginx;
use crate::support::tls::{fixture, raw, speak_https};
use crate::support::{Client, TestServer, job_type, worked_example};

/// As many as were posted when some of them became `502`.
const POSTS: u64 = 500;

#[test]
fn no_post_is_lost_behind_lines_that_are_for_websockets() {
    let server = TestServer::start();
    let map = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }";
    for (map, connection) in [("", "upgrade"), ("", "Upgrade"), (map, "$connection_upgrade")] {
        let http = format!("{map} upstream metrics {{ server {}; keepalive 8; }}", server.address());
        let location = format!(
            "location / {{
                 proxy_pass http://metrics; proxy_http_version 1.1;
                 proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection {connection};
             }}"
        );
        let Some(nginx) = Nginx::start(&http, &location) else { return };
        let client = Client::from(nginx.address());
        for id in 1..=POSTS {
            let body = json!(job_type(id, "a")).to_string();
            let mut headers = vec![("Content-Type", "application/json")];
            if id % 3 == 0 {
                headers.push(("Upgrade", if id % 2 == 0 { "h2c" } else { "websocket" }));
            }
            let answer = client.send("POST", "/v6/events/", &headers, body.as_bytes());
            assert_eq!(answer.status, 200, "post {id}, {connection}: {}", answer.text());
        }
    }
    let choices = server.get("/v6/metrics/job-types/").json()["choices"].as_array().unwrap().len();
    assert_eq!(choices as u64, POSTS);
}

#[test]
fn redirects_and_posts_work_below_a_prefix_that_the_proxy_takes_off() {
    let server = TestServer::start();
    let location = format!("location /metrics-app/ {{ proxy_pass http://{}/; }}", server.address());
    let Some(nginx) = Nginx::start("", &location) else { return };
    let client = Client::from(nginx.address());
    let body = serde_json::to_vec(&worked_example()).unwrap();
    let headers = [("Content-Type", "application/json")];
    let posted = client.send("POST", "/metrics-app/v6/events", &headers, &body);
    assert_eq!((posted.status, &posted.json()["created"]), (200, &json!(12)), "{}", posted.text());
    for path in ["v6/metrics", "v6/metrics/job-types/plot-data", "explorer", "v6/docs", "v6/events"] {
        let path = format!("/metrics-app/{path}");
        let answer = client.get(&format!("{path}?column=total_count"));
        assert_eq!(answer.status, 308, "{path}");
        // As a browser does: beside the last part of the path.
        let beside = path.rsplit_once('/').unwrap().0;
        let location = answer.header("location").unwrap().strip_prefix("./").unwrap();
        let found = client.get(&format!("{beside}/{location}"));
        assert_eq!(found.status, if path.ends_with("events") { 405 } else { 200 }, "{path} leads to {location}");
    }
}

const PREFIX: &str = "/metrics-app";

/// Follows `next` through nginx from the list of all types, by HTTPS or HTTP; the links that were followed.
fn pages(nginx: &Nginx, with_tls: bool, prefix: &str) -> Vec<String> {
    let ask = |path: &str| {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n", nginx.address().port());
        let answer = if with_tls {
            raw(nginx.address(), &request).unwrap()
        } else {
            Client::from(nginx.address()).raw(&request)
        };
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        serde_json::from_str::<Value>(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    let mut page = ask(&format!("{prefix}/v6/metrics/?page_size=1"));
    let mut links = Vec::new();
    while let Some(link) = page["next"].take().as_str() {
        links.push(link.to_owned());
        let path = link.splitn(4, '/').nth(3).unwrap();
        page = ask(&format!("/{path}"));
    }
    links
}

#[test]
fn links_lead_back_to_nginx_with_its_scheme_host_and_prefix() {
    let [certificate, key, authority] =
        ["server.pem", "server.key", "authority.pem"].map(|name| fixture(name).display().to_string());
    let servers = [TestServer::start(), TestServer::start_with(speak_https)];
    for (server, speaks_tls) in servers.iter().zip([false, true]) {
        let upstream = format!("{}://{}/", if speaks_tls { "https" } else { "http" }, server.address());
        for (front_tls, prefix) in [(false, ""), (false, PREFIX), (true, ""), (true, PREFIX)] {
            let tls = format!("ssl_certificate {certificate}; ssl_certificate_key {key};");
            let location = format!(
                "{} location {prefix}/ {{
                     proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Connection '';
                     proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
                     proxy_set_header X-Forwarded-Host ''; proxy_set_header Forwarded '';
                     proxy_set_header X-Forwarded-Prefix '{prefix}';
                     proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority}; proxy_ssl_name localhost;
                     proxy_ssl_server_name on;
                 }}",
                if front_tls { &tls } else { "" }
            );
            let Some(nginx) = Nginx::listen(if front_tls { "ssl" } else { "" }, "", &location) else { return };
            let links = pages(&nginx, front_tls, prefix);
            assert_eq!(links.len(), 2, "{links:?}");
            let scheme = if front_tls { "https" } else { "http" };
            let root = format!("{scheme}://localhost:{}{prefix}/v6/metrics/?", nginx.address().port());
            assert!(links.iter().all(|link| link.starts_with(&root)), "{links:?} {root}");
        }
    }
}

#[test]
fn a_prefix_that_the_proxy_leaves_is_the_base_path() {
    let server = TestServer::start_with(|config| config.server.base_path = BasePath::new(PREFIX).unwrap());
    // Without anything behind the address, nginx passes paths on as they are.
    let location = format!(
        "location {PREFIX} {{ proxy_pass http://{}; proxy_set_header Host $http_host; }} location / {{ return 404; }}",
        server.address()
    );
    let Some(nginx) = Nginx::start("", &location) else { return };
    assert_eq!(pages(&nginx, false, PREFIX).len(), 2);
    let client = Client::from(nginx.address());
    assert_eq!(client.get(PREFIX).header("location"), Some("./metrics-app/"));
    for path in ["/", "/explorer/", "/assets/main.js", "/v6/docs/", "/v6/metrics/job-types/"] {
        assert_eq!(client.get(&format!("{PREFIX}{path}")).status, 200, "{path}");
    }
}
