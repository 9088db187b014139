//! Who may do what: contract, section 6.

use std::fs;

use scale_metrics::access::{Scope, Token};
use tempfile::TempDir;

use crate::support::process::{FREE_PORT, Serving, program, refusal};
use crate::support::{TestServer, job_type, to_ndjson, worked_example};

const SCOPES: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];

/// Everything that shows metrics.
const READABLE: [&str; 8] = [
    "/metrics",
    "/v6/metrics/",
    "/v6/metrics/job-types/",
    "/v6/metrics/ingests/",
    "/v6/metrics/job-types/plot-data/",
    "/v6/metrics/errors/plot-data/?format=csv",
    "/v6/metrics/job-types/plot.svg",
    "/v6/metrics/ingests/totals/",
];

/// What only those may do who look after the server.
const ADMINISTRATIVE: [(&str, &str); 2] = [("GET", "/v6/export/"), ("POST", "/v6/admin/rebuild/")];

/// What shows none.
const OPEN: [&str; 12] = [
    "/healthz",
    "/readyz",
    "/v6/openapi.json",
    "/",
    "/explorer/",
    "/favicon.svg",
    "/assets/main.js",
    "/assets/explorer.js",
    "/assets/page.css",
    "/v6/docs/",
    "/assets/docs.js",
    "/assets/docs.css",
];

/// A server that knows these tokens, and the secret of each.
fn server_with(scopes: &[&[Scope]], public_read: bool) -> (TestServer, Vec<String>) {
    let made =
        scopes.iter().enumerate().map(|(number, scopes)| Token::make(&format!("token-{number}"), scopes).unwrap());
    let (secrets, tokens): (Vec<_>, Vec<_>) = made.unzip();
    let server = TestServer::start_with(|config| {
        config.access.tokens = tokens;
        config.access.public_read = public_read;
    });
    (server, secrets)
}

/// The status that a request with this `Authorization` gets, if any is sent.
fn status(server: &TestServer, method: &str, path: &str, authorization: Option<&str>) -> u16 {
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(authorization.map(|value| ("Authorization", value)));
    let body = if method == "POST" { b"[]".as_slice() } else { b"" };
    let answer = server.send(method, path, &headers, body);
    if answer.status == 401 {
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    if answer.status == 401 || answer.status == 403 {
        if method != "HEAD" {
            answer.assert_refused(answer.status, &["token"]);
        }
        assert_eq!(answer.header("etag"), None);
        assert!(answer.header("x-request-id").is_some());
    }
    answer.status
}

#[test]
fn without_tokens_nobody_needs_one() {
    let server = TestServer::start();
    for authorization in [None, Some("Bearer whatever"), Some("nonsense")] {
        for path in READABLE.iter().chain(&OPEN) {
            assert_eq!(status(&server, "GET", path, authorization), 200, "{path}");
        }
        for (method, path) in ADMINISTRATIVE {
            assert_eq!(status(&server, method, path, authorization), 200, "{path}");
        }
        assert_eq!(status(&server, "POST", "/v6/events/", authorization), 200);
    }
}

#[test]
fn every_route_needs_its_scope_and_no_other() {
    let all: Vec<&[Scope]> = SCOPES.chunks(1).chain([&SCOPES[..2], &SCOPES[1..], &SCOPES[..]]).collect();
    let (server, secrets) = server_with(&all, false);
    for (scopes, secret) in all.iter().zip(&secrets) {
        for scheme in ["Bearer", "Token", "bearer", "TOKEN"] {
            let authorization = format!("{scheme} {secret}");
            let expected = |scope| if scopes.contains(&scope) { 200 } else { 403 };
            for path in READABLE {
                for method in ["GET", "HEAD"] {
                    let found = status(&server, method, path, Some(&authorization));
                    assert_eq!(found, expected(Scope::Read), "{method} {path} {scopes:?}");
                }
            }
            let found = status(&server, "POST", "/v6/events/", Some(&authorization));
            assert_eq!(found, expected(Scope::Write), "{scopes:?}");
            for (method, path) in ADMINISTRATIVE {
                let found = status(&server, method, path, Some(&authorization));
                assert_eq!(found, expected(Scope::Admin), "{method} {path} {scopes:?}");
            }
        }
    }
}

#[test]
fn no_token_or_a_wrong_one_is_refused_everywhere_but_where_nothing_is_shown() {
    let (server, secrets) = server_with(&[&SCOPES], false);
    let secret = &secrets[0];
    let wrong = [
        String::new(),
        secret.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {secret}"),
        format!("Bearer{secret}"),
        format!("Bearer {}", &secret[1..]),
        format!("Bearer {secret}0"),
        format!("Bearer {}", secret.to_uppercase()),
        "Bearer token-0".to_owned(),
    ];
    for authorization in [None].into_iter().chain(wrong.iter().map(|wrong| Some(wrong.as_str()))) {
        for path in READABLE {
            assert_eq!(status(&server, "GET", path, authorization), 401, "{path} {authorization:?}");
            assert_eq!(status(&server, "HEAD", path, authorization), 401, "{path} {authorization:?}");
        }
        assert_eq!(status(&server, "POST", "/v6/events/", authorization), 401, "{authorization:?}");
        for (method, path) in ADMINISTRATIVE {
            assert_eq!(status(&server, method, path, authorization), 401, "{path} {authorization:?}");
        }
        for path in OPEN {
            assert_eq!(status(&server, "GET", path, authorization), 200, "{path}");
        }
        assert_eq!(status(&server, "GET", "/v6/metrics/unknown/", authorization), 404);
    }
    assert_eq!(status(&server, "GET", "/v6/metrics/", Some(&format!("Bearer   {secret} "))), 200);
}

#[test]
fn public_read_lets_everybody_read_and_nobody_write() {
    let (server, secrets) = server_with(&[&[Scope::Write], &[Scope::Read]], true);
    for authorization in [None, Some("Bearer wrong".to_owned()), Some(format!("Bearer {}", secrets[0]))] {
        for path in READABLE {
            assert_eq!(status(&server, "GET", path, authorization.as_deref()), 200, "{path}");
        }
    }
    assert_eq!(status(&server, "POST", "/v6/events/", None), 401);
    for (method, path) in ADMINISTRATIVE {
        assert_eq!(status(&server, method, path, None), 401, "{path}");
    }
    assert_eq!(status(&server, "POST", "/v6/events/", Some(&format!("Bearer {}", secrets[1]))), 403);
    assert_eq!(status(&server, "POST", "/v6/events/", Some(&format!("Bearer {}", secrets[0]))), 200);
}

#[test]
fn what_is_refused_is_not_stored_and_a_large_body_sees_the_refusal() {
    let (server, secrets) = server_with(&[&[Scope::Read]], false);
    let authorization = format!("Bearer {}", secrets[0]);
    let many: Vec<_> = (1..=20_000).map(|id| job_type(id, "refused")).collect();
    let headers = [("Content-Type", "application/x-ndjson"), ("Authorization", authorization.as_str())];
    let refused = server.send("POST", "/v6/events/", &headers, to_ndjson(&many).as_bytes());
    refused.assert_refused(403, &["write"]);
    let choices = server.send("GET", "/v6/metrics/job-types/", &headers[1..], b"").json()["choices"].take();
    assert_eq!(choices, serde_json::json!([]));
}

/// Runs `scale-metrics token`; the secret and the line for the configuration.
fn make_token(directory: &TempDir, arguments: &[&str]) -> (String, String) {
    let output = program(directory.path(), &[&["token"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let (secret, line) = said.trim_end().split_once('\n').unwrap();
    (secret.strip_prefix("token: ").unwrap().to_owned(), line.to_owned())
}

#[test]
fn a_token_that_the_program_makes_works_by_the_line_that_it_prints() {
    let directory = TempDir::new().unwrap();
    let (secret, line) = make_token(&directory, &["scheduler", "--scope", "write", "--scope", "read"]);
    assert!(line.starts_with(r#"tokens = ["scheduler:write+read:"#), "{line}");
    assert!(!line.contains(&secret));
    fs::write(directory.path().join("config.toml"), format!("[access]\n{line}\n")).unwrap();
    let events = directory.path().join("events.ndjson");
    fs::write(&events, to_ndjson(&worked_example())).unwrap();
    let server = Serving::serve(directory.path());
    let url = server.client.base().to_owned();
    let import = |more: &[&str]| {
        let output = program(directory.path(), &[&["import", "events.ndjson", "--url", &url], more].concat()).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = import(&[]);
    assert!(code == Some(1) && said.contains("401"), "{said}");
    let (code, said) = import(&["--token", "wrong"]);
    assert!(code == Some(1) && said.contains("401") && !said.contains("wrong"), "{said}");
    let (code, said) = import(&["--token", &secret]);
    assert!(code == Some(0) && said.contains("created=12") && !said.contains(&secret), "{said}");
    let headers = [("Authorization", format!("Token {secret}"))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(server.client.send("GET", "/v6/metrics/", &headers, b"").status, 200);
    assert_eq!(server.client.get("/v6/metrics/").status, 401);
}

#[test]
fn tokens_come_from_flags_and_the_environment_too() {
    let directory = TempDir::new().unwrap();
    let (one, line) = make_token(&directory, &["one", "--scope", "read"]);
    let (other, other_line) = make_token(&directory, &["other", "--scope", "admin"]);
    let text = |line: &str| line.trim_start_matches("tokens = [\"").trim_end_matches("\"]").to_owned();
    let both = format!("{},{}", text(&line), text(&other_line));
    let serve = ["serve", "--listen", FREE_PORT, "--data", "data"];
    let status = |server: &Serving, secret: &str| {
        let authorization = format!("Bearer {secret}");
        server.client.send("GET", "/v6/metrics/", &[("Authorization", authorization.as_str())], b"").status
    };
    let from_environment = Serving::start(program(directory.path(), &serve).env("SCALE_METRICS_TOKENS", &both));
    assert_eq!([status(&from_environment, &one), status(&from_environment, &other)], [200, 403]);
    drop(from_environment);
    let arguments = [&serve[..], &["--tokens", &both, "--public-read"]].concat();
    let from_flags = Serving::start(&mut program(directory.path(), &arguments));
    assert_eq!([status(&from_flags, "nonsense"), status(&from_flags, &other)], [200, 200]);
    assert_eq!(from_flags.client.post([job_type(1, "one")]).status, 401);
}

#[test]
fn with_tokens_the_server_listens_beyond_loopback() {
    let directory = TempDir::new().unwrap();
    let serve = ["serve", "--listen", "0.0.0.0:0"];
    assert!(refusal(&mut program(directory.path(), &serve)).contains("access.tokens"));
    let (_, line) = make_token(&directory, &["one", "--scope", "read"]);
    fs::write(directory.path().join("config.toml"), format!("[access]\n{line}\npublic_read = true\n")).unwrap();
    let server = Serving::start(&mut program(directory.path(), &serve));
    assert_eq!(server.end("TERM").code(), Some(0));
}

#[test]
fn bad_tokens_stop_the_start() {
    let directory = TempDir::new().unwrap();
    for bad in ["secret-and-nothing-else", "name:everything:00", "name:read:xyz"] {
        let line = refusal(&mut program(directory.path(), &["serve", "--listen", FREE_PORT, "--tokens", bad]));
        assert!(line.contains("--tokens") && line.contains("NAME:SCOPE"), "{line}");
        fs::write(directory.path().join("config.toml"), format!("[access]\ntokens = [\"{bad}\"]\n")).unwrap();
        let line = refusal(&mut program(directory.path(), &["serve", "--listen", FREE_PORT]));
        assert!(line.contains("config.toml:2") && line.contains("NAME:SCOPE"), "{line}");
        fs::remove_file(directory.path().join("config.toml")).unwrap();
    }
    for arguments in [["token", "a:b", "--scope", "read"], ["token", "a", "--scope", "everything"]] {
        let output = program(directory.path(), &arguments).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
    }
}
