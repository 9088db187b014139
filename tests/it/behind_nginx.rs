//! Behind a real nginx: with the lines for WebSocket that people copy, and with a prefix that it takes off.

use serde_json::json;

use crate::support::nginx::Nginx;
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
