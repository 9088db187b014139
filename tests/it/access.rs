//! Who may do what: docs/reference.md, Access.

use std::fs;

use scale_metrics::access::{Access, Denied, NoToken, Scope, Token};
use scale_metrics::config::WebOrigin;
use tempfile::TempDir;

use crate::support::process::{FREE_PORT, program, refusal};
use crate::support::{Client, Serving, TestServer, job_type, to_ndjson, worked_example};

const SCOPES: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];

/// Everything that shows metrics.
const READABLE: [&str; 11] = [
    "/metrics",
    "/v6/metrics/",
    "/v6/metrics/job-types/",
    "/v6/metrics/ingests/",
    "/v6/metrics/job-types/plot-data/",
    "/v6/metrics/errors/plot-data/?format=csv",
    "/v6/metrics/job-types/plot.svg",
    "/v6/metrics/ingests/totals/",
    "/v6/metrics/job-types/events/",
    "/v6/metrics/errors/breakdown/?by=choice",
    "/v6/metrics/job-types/now/",
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

#[test]
fn a_token_that_is_listed_twice_has_the_scopes_of_both_entries() {
    let (secret, token) = Token::make("one", &[Scope::Write]).unwrap();
    let again: Token = token.to_string().replace("one:write:", "other:read:").parse().unwrap();
    for tokens in [[token.clone(), again.clone()], [again, token]] {
        let server = TestServer::start_with(|config| config.access.tokens = tokens.to_vec());
        let authorization = format!("Bearer {secret}");
        assert_eq!(status(&server, "GET", "/v6/metrics/", Some(&authorization)), 200);
        assert_eq!(status(&server, "POST", "/v6/events/", Some(&authorization)), 200);
        assert_eq!(status(&server, "POST", "/v6/admin/rebuild/", Some(&authorization)), 403);
    }
}

// Web pages.

/// Everything that changes something.
const WRITABLE: [&str; 3] = ["/v6/events/", "/v6/events", "/v6/admin/rebuild/"];

/// The status and the detail of a post with these headers.
fn post_with(server: &Client, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let headers = [&[("Content-Type", "application/json")], headers].concat();
    let answer = server.send("POST", path, &headers, b"[]");
    (answer.status, answer.text())
}

#[test]
fn a_web_page_writes_only_where_its_origin_is_listed_tokens_or_none() {
    let origin = |text: &str| WebOrigin::new(text).unwrap();
    let (secret, token) = Token::make("all", &SCOPES).unwrap();
    let authorization = format!("Bearer {secret}");
    for tokens in [vec![], vec![token]] {
        let start = |origins: &[WebOrigin]| {
            TestServer::start_with(|config| {
                config.access.tokens.clone_from(&tokens);
                config.server.cors_origins = origins.to_vec();
            })
        };
        let closed = start(&[]);
        let listed = start(&[origin("https://example.org"), origin("http://localhost:3000")]);
        let open = start(&[origin("*")]);
        let own = closed.base().to_owned();
        for path in WRITABLE {
            for foreign in [
                "https://evil.example",
                "null",
                "",
                "https://example.org.evil.example",
                "https://example.org:444",
                &own,
            ] {
                let headers = [("Origin", foreign), ("Authorization", &authorization)];
                for server in [&closed, &listed] {
                    let (status, detail) = post_with(server, path, &headers);
                    assert!(
                        status == 403 && detail.contains("cors_origins"),
                        "{path} from {foreign:?}: {status} {detail}"
                    );
                }
                assert_eq!(post_with(&open, path, &headers).0, 200, "{path} from {foreign:?}");
                // It is not told whether the token is right.
                assert_eq!(post_with(&closed, path, &headers[..1]).0, 403);
            }
            for known in ["https://example.org", "http://localhost:3000"] {
                let headers = [("Origin", known), ("Authorization", &authorization)];
                assert_eq!(post_with(&listed, path, &headers).0, 200, "{path} from {known}");
                assert_eq!(post_with(&closed, path, &headers).0, 403, "{path} from {known}");
            }
            assert_eq!(post_with(&closed, path, &[("Authorization", &authorization)]).0, 200, "{path}");
        }
        // Whoever reads is told nothing by the browser, and stays free to be any page's picture.
        let headers = [("Origin", "https://evil.example"), ("Authorization", &authorization)];
        assert_eq!(closed.send("GET", "/v6/metrics/", &headers, b"").status, 200);
    }
    let server = TestServer::start();
    let twice = "POST /v6/admin/rebuild/ HTTP/1.1\r\nHost: x\r\nOrigin: https://example.org\r\nOrigin: https://evil.example\r\n\
                 Content-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(server.raw(twice).starts_with("HTTP/1.1 403 "));
}

#[test]
fn without_tokens_nobody_writes_by_a_name_that_may_be_somebodys_domain() {
    let open = TestServer::start();
    let (_, token) = Token::make("all", &SCOPES).unwrap();
    let guarded = TestServer::start_with(|config| config.access.tokens = vec![token]);
    let permitted = TestServer::start_with(|config| config.server.allow_open_writes = true);
    for path in WRITABLE {
        for host in
            ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example."]
        {
            let (status, detail) = post_with(&open, path, &[("Host", host)]);
            assert!(status == 403 && detail.contains("access.tokens") && detail.contains(host), "{status} {detail}");
            // A page could set these.
            for more in ["X-Forwarded-Host", "Forwarded"] {
                let headers =
                    [("Host", host), (more, if more == "Forwarded" { "host=localhost" } else { "localhost" })];
                assert_eq!(post_with(&open, path, &headers).0, 403, "{more}");
            }
            assert_eq!(post_with(&permitted, path, &[("Host", host)]).0, 200);
            assert_eq!(post_with(&guarded, path, &[("Host", host)]).0, 401, "tokens are enough");
        }
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:80",
            "[::1]:80",
            "10.0.0.7",
            "x",
            "scale-metrics:8080",
            "a.localhost",
        ] {
            assert_eq!(post_with(&open, path, &[("Host", host)]).0, 200, "{path} of {host}");
        }
    }
    let absolute = "POST http://evil.example/v6/admin/rebuild/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\
                    Connection: close\r\n\r\n";
    assert!(open.raw(absolute).starts_with("HTTP/1.1 403 "));
    assert!(open.raw("POST /v6/admin/rebuild/ HTTP/1.0\r\nContent-Length: 0\r\n\r\n").starts_with("HTTP/1.0 200 "));
    // A proxy passes its public name on; reading by it goes on, with links that begin with it.
    let page = open.send("GET", "/v6/metrics/?page_size=1", &[("Host", "metrics.example.org")], b"").json();
    assert_eq!(page["next"], "http://metrics.example.org/v6/metrics/?page_size=1&page=2");
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

#[test]
fn a_token_is_read_as_it_is_written() {
    let (secret, token) = Token::make("grafana", &[Scope::Read, Scope::Admin]).unwrap();
    assert_eq!(secret.len(), 64);
    assert!(!token.to_string().contains(&secret));
    assert_eq!(token.masked(), "grafana:read+admin:***");
    assert_eq!(token.masked().parse::<Token>(), Err(NoToken::Masked));
    assert_eq!(token.to_string().parse(), Ok(token.clone()));
    assert_ne!(Token::make("grafana", &[Scope::Read]).unwrap().0, secret);
    for name in ["", "a:b", "a b", "a,b"] {
        assert_eq!(Token::make(name, &[Scope::Read]), None, "{name:?}");
    }
    assert_eq!(Token::make("nothing", &[]), None);
}

#[test]
fn the_hash_is_the_sha_256_of_the_secret() {
    // From the examples of the standard.
    let token: Token = "abc:read:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD".parse().unwrap();
    let access = Access::new(vec![token], false);
    assert_eq!(access.check(Some(b"abc"), Scope::Read), Ok(()));
    assert_eq!(access.check(Some(b"abd"), Scope::Read), Err(Denied::NoToken));
}

#[test]
fn a_token_that_is_listed_several_times_has_all_its_scopes() {
    let (secret, write) = Token::make("a", &[Scope::Write]).unwrap();
    let read: Token = write.to_string().replace("a:write", "b:read").parse().unwrap();
    let (_, other) = Token::make("c", &[Scope::Admin]).unwrap();
    for tokens in [[&write, &read, &other], [&other, &read, &write], [&read, &other, &write]] {
        let access = Access::new(tokens.map(Clone::clone).to_vec(), false);
        for (scope, expected) in
            [(Scope::Read, Ok(())), (Scope::Write, Ok(())), (Scope::Admin, Err(Denied::NoScope(Scope::Admin)))]
        {
            assert_eq!(access.check(Some(secret.as_bytes()), scope), expected);
        }
        assert!(access.knows(secret.as_bytes()) && !access.knows(&secret.as_bytes()[1..]));
    }
    assert!(!Access::default().knows(b""));
}

#[test]
fn what_is_no_token_is_refused() {
    let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for good in [format!("a:read:{digits}"), format!(" a:write+read:{digits} ")] {
        assert!(good.parse::<Token>().is_ok(), "{good}");
    }
    for bad in [
        String::new(),
        digits.to_owned(),
        format!("read:{digits}"),
        format!(":read:{digits}"),
        format!("a::{digits}"),
        format!("a:read+:{digits}"),
        format!("a:READ:{digits}"),
        format!("a:all:{digits}"),
        format!("a:read:{}", &digits[1..]),
        format!("a:read:{digits}0"),
        format!("a:read:{}+f", &digits[2..]),
        format!("a:read:{}é", &digits[2..]),
        format!("a:read:{digits}:"),
    ] {
        assert_eq!(bad.parse::<Token>(), Err(NoToken::Malformed), "{bad}");
    }
}
