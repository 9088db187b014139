//! The OpenAPI document: that it is one, that it names what is served, and that the server answers and takes what it says.

use std::collections::BTreeSet;
use std::io::Write as _;

use jsonschema::Validator;
use scale_metrics::access::{Scope, Token};
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use crate::support::process::program;
use crate::support::{
    Answer, TestServer, builtin_error, error, failed_execution, gzip, ingest, job, job_type, strike, with,
    worked_example,
};

const DOCUMENT: &str = "/v6/openapi.json";
const LIST: &str = "/v6/metrics/";
const DETAILS: &str = "/v6/metrics/{name}/";
const PLOT: &str = "/v6/metrics/{name}/plot-data/";
const PICTURE: &str = "/v6/metrics/{name}/plot.svg";
const TOTALS: &str = "/v6/metrics/{name}/totals/";
const BREAKDOWNS: &str = "/v6/metrics/{name}/breakdown/";
const NOW: &str = "/v6/metrics/{name}/now/";
const SINGLE: &str = "/v6/events/{kind}/{id}/";
const LISTS: &str = "/v6/metrics/{name}/events/";
const EVENTS: &str = "/v6/events/";
const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The document, and the schemas in it.
struct Document(Value);

impl Document {
    fn of(server: &TestServer) -> Self {
        let answer = server.get(DOCUMENT);
        assert_eq!(answer.status, 200);
        Self(answer.json())
    }

    /// What `place` is or refers to.
    fn resolve<'a>(&'a self, place: &'a Value) -> &'a Value {
        match place.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.0.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference} leads nowhere")),
            None => place,
        }
    }

    /// Every operation: path, method, what is said of it.
    fn operations(&self) -> Vec<(&str, &str, &Value)> {
        let mut operations = Vec::new();
        for (path, item) in self.0["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                operations.push((path.as_str(), method.as_str(), operation));
            }
        }
        operations
    }

    fn validator(&self, schema: &Value) -> Validator {
        let whole = json!({"allOf": [schema], "components": self.0["components"]});
        jsonschema::options().should_validate_formats(true).build(&whole).unwrap()
    }

    /// The schema of one of the components.
    fn component(&self, name: &str) -> Validator {
        self.validator(&json!({"$ref": format!("#/components/schemas/{name}")}))
    }

    /// Asserts that the document allows this answer to `method` on `path`: status, headers, type and body.
    #[track_caller]
    fn assert_allows(&self, method: &str, path: &str, answer: &Answer) {
        let responses = &self.0["paths"][path][method]["responses"];
        let response = &responses[answer.status.to_string()];
        assert!(response.is_object(), "{method} {path} answered {}: {}", answer.status, answer.text());
        let response = self.resolve(response);
        for (name, _) in response["headers"].as_object().into_iter().flatten() {
            assert!(answer.header(name).is_some(), "{method} {path}: {} without {name}", answer.status);
        }
        let Some(content) = response["content"].as_object() else {
            assert!(answer.body.is_empty(), "{method} {path}: {} with a body", answer.status);
            return;
        };
        let media = answer.header("content-type").unwrap().split(';').next().unwrap();
        let schema = content.get(media).unwrap_or_else(|| panic!("{method} {path}: {media} is not among {content:?}"));
        let body = if media == "application/json" { answer.json() } else { Value::from(answer.text()) };
        if let Err(error) = self.validator(&schema["schema"]).validate(&body) {
            panic!("{method} {path} {}: {error} at {}", answer.status, error.instance_path());
        }
    }
}

/// The path of a template, for a metrics type; and of the first job.
fn filled(template: &str, name: &str) -> String {
    template.replace("{name}", name).replace("{kind}", "job").replace("{id}", "1")
}

/// A query with the parameters that an operation requires, each with the first word that it may be.
fn required_query(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let required = parameters.filter(|it| it["in"] == "query" && it["required"] == true);
    let first = |it: &Value| format!("{}={}", it["name"], it["schema"]["items"]["enum"][0]).replace('"', "");
    let pairs: Vec<_> = required.map(first).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// A server that knows some choices and events of each metrics type.
fn server_with_everything() -> TestServer {
    let server = TestServer::start();
    server.accept(&worked_example());
    server.accept(&[
        with(job_type(2, "other"), json!({"description": "Another one.", "category": "c", "is_paused": true})),
        job(7, 2, "COMPLETED", "2015-01-02T03:04:05Z"),
        strike(1, "north"),
        with(strike(2, "south"), json!({"description": "Files from the south."})),
        with(ingest(1, 1, "INGESTED", "2015-01-02T03:04:05Z"), json!({"file_size": u64::MAX})),
        with(ingest(2, 1, "INGESTED", "2015-01-02T03:04:05Z"), json!({"file_size": u64::MAX})),
        ingest(3, 2, "DUPLICATE", "2015-01-03T03:04:05Z"),
        builtin_error(9, "timeout", "SYSTEM"),
        with(builtin_error(10, "bad-data", "DATA"), json!({"job_type_name": "other"})),
        failed_execution(9, 1, 9, "2015-01-02T03:04:05Z"),
        failed_execution(10, 1, 10, "2015-01-04T03:04:05Z"),
    ]);
    server
}

/// What came over a bare connection.
fn parsed(raw: &str) -> Answer {
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: HeaderMap = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect();
    Answer { status, headers, body: body.as_bytes().to_vec() }
}

// The document.

#[test]
fn the_printed_document_is_the_served_one() {
    let directory = TempDir::new().unwrap();
    let printed = program(directory.path(), &["openapi"]).output().unwrap();
    assert!(printed.status.success() && printed.stderr.is_empty(), "{printed:?}");
    assert!(printed.stdout.ends_with(b"}\n"));
    assert_eq!(directory.path().read_dir().unwrap().count(), 0, "it leaves nothing behind");
    let served = TestServer::start().get(DOCUMENT);
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(served.body, printed.stdout);
}

#[test]
fn the_document_keeps_its_tag() {
    let server = TestServer::start();
    let tag = server.get(DOCUMENT).header("etag").unwrap().to_owned();
    assert_eq!(server.send("GET", DOCUMENT, &[("If-None-Match", &tag)], b"").status, 304);
    let head = server.send("HEAD", DOCUMENT, &[], b"");
    assert_eq!((head.status, head.header("etag"), head.body.len()), (200, Some(tag.as_str()), 0));
}

#[test]
fn the_document_is_openapi_3_1() {
    let document = Document::of(&TestServer::start());
    let Value::Object(fields) = &document.0 else { panic!("it is no object") };
    let known = ["openapi", "info", "paths", "components", "tags"];
    assert!(fields.keys().all(|field| known.contains(&field.as_str())), "{:?}", fields.keys());
    assert_eq!(document.0["openapi"], "3.1.0");
    assert_eq!(document.0["info"]["title"], "scale-metrics");
    assert_eq!(document.0["info"]["version"], env!("CARGO_PKG_VERSION"));
    let tags: Vec<_> = document.0["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let schemes = document.0["components"]["securitySchemes"].as_object().unwrap();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in document.operations() {
        let place = format!("{method} {path}");
        assert!(path.starts_with('/') && ["delete", "get", "post"].contains(&method), "{place}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{place}");
        assert!(operation["tags"].as_array().unwrap().iter().all(|tag| tags.contains(&tag)), "{place}");
        let requirements = operation["security"].as_array().into_iter().flatten();
        for scheme in requirements.flat_map(|requirement| requirement.as_object().unwrap().keys()) {
            assert!(schemes.contains_key(scheme), "{place}: {scheme}");
        }
        let mut parameters = BTreeSet::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let (name, within) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            assert!(parameters.insert((within, name)), "{place}: {name}");
            assert!(["path", "query", "header"].contains(&within) && parameter["description"].is_string(), "{place}");
            assert!(parameter["schema"].is_object(), "{place}: {name}");
            let is_required = within == "path" || (path, name) == (BREAKDOWNS, "by");
            assert_eq!(parameter["required"] == true, is_required, "{place}: {name}");
        }
        let in_path: BTreeSet<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
        let described: BTreeSet<_> =
            parameters.iter().filter(|(within, _)| *within == "path").map(|(_, name)| *name).collect();
        assert_eq!(in_path, described, "{place}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!((200..600).contains(&status.parse::<u16>().unwrap()), "{place}: {status}");
            assert!(document.resolve(response)["description"].is_string(), "{place}: {status}");
        }
    }
    for (name, schema) in document.0["components"]["schemas"].as_object().unwrap() {
        jsonschema::draft202012::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn every_reference_leads_somewhere_and_nothing_is_there_that_none_leads_to() {
    fn collect<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| collect(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = Document::of(&TestServer::start());
    let mut references = BTreeSet::new();
    collect(&document.0, &mut references);
    let mut there = BTreeSet::new();
    for part in ["schemas", "responses"] {
        let names = document.0["components"][part].as_object().unwrap().keys();
        there.extend(names.map(|name| format!("#/components/{part}/{name}")));
    }
    assert_eq!(references.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), there);
}

// What is served.

#[test]
fn every_path_of_the_document_is_served_with_its_methods_and_no_other() {
    let server = TestServer::start();
    server.accept(&worked_example());
    let document = Document::of(&server);
    for (template, item) in document.0["paths"].as_object().unwrap() {
        let mut methods: Vec<_> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        if methods.contains(&"GET".to_owned()) {
            methods.push("HEAD".to_owned());
        }
        let of_errors = (template != NOW).then_some("errors");
        for name in ["job-types", "ingests"].into_iter().chain(of_errors) {
            let path = filled(template, name);
            for method in &methods {
                // Whatever an earlier request has deleted.
                server.accept(&worked_example());
                let query = required_query(&item[method.to_lowercase().replace("head", "get")]);
                let body: &[u8] = if method == "POST" { b"[]" } else { b"" };
                let answer = server.send(method, &format!("{path}{query}"), &[JSON], body);
                assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
            }
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"] {
                if !methods.iter().any(|known| known == method) {
                    let refused = server.send(method, &path, &[JSON], b"");
                    assert_eq!(refused.status, 405, "{method} {path}");
                    let allow: Vec<_> = refused.header("allow").unwrap().split(", ").collect();
                    assert_eq!(allow, methods, "{path}");
                }
            }
            if let Some(slashless) = path.strip_suffix('/') {
                let name = slashless.rsplit('/').next().unwrap();
                assert_eq!(server.get(slashless).header("location"), Some(format!("./{name}/").as_str()));
            }
        }
    }
}

#[test]
fn the_page_about_the_interface_needs_nothing_from_elsewhere() {
    let server = TestServer::start();
    for (path, media) in
        [("/v6/docs/", "text/html"), ("/assets/docs.css", "text/css"), ("/assets/docs.js", "text/javascript")]
    {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").unwrap().starts_with(media), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        let text = answer.text();
        assert!(!text.contains("//cdn") && !text.contains("https:") && !text.contains("http:"), "{path}");
        assert!(!text.contains("innerHTML") && !text.contains("style=") && !text.contains("<script>"), "{path}");
    }
    let redirect = server.get("/v6/docs");
    assert_eq!((redirect.status, redirect.header("location")), (308, Some("./docs/")));
}

// What is answered.

#[test]
fn every_answer_that_goes_well_is_as_the_document_says() {
    let server = server_with_everything();
    let document = Document::of(&server);
    let check = |template: &str, path: &str| {
        let answer = server.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        document.assert_allows("get", template, &answer);
        if let Some(tag) = answer.header("etag") {
            document.assert_allows("get", template, &server.send("GET", path, &[("If-None-Match", tag)], b""));
        }
    };
    for path in ["/healthz", "/readyz", DOCUMENT] {
        check(path, path);
    }
    for query in ["", "?page_size=1", "?page_size=1&page=2"] {
        check(LIST, &format!("{LIST}{query}"));
    }
    for (name, ids) in [("job-types", [1, 2]), ("ingests", [1, 2]), ("errors", [9, 10])] {
        let [one, other] = ids;
        check(DETAILS, &DETAILS.replace("{name}", name));
        check(DETAILS, &format!("{}?name[]=nothing&unknown=1", DETAILS.replace("{name}", name)));
        let plot = PLOT.replace("{name}", name);
        for query in [
            String::new(),
            "page_size=1".to_owned(),
            "page_size=1&page=1&started=2015-02-01&ended=2015-02-02".to_owned(),
            format!("choice_id={one}"),
            format!("choice_id={one}&choice_id={other}&resolution=hour"),
            "started=P60D&ended=PT1H".to_owned(),
            "name=nothing".to_owned(),
        ] {
            check(PLOT, &format!("{plot}?{query}"));
            check(PLOT, &format!("{plot}?{query}&format=csv"));
            check(PICTURE, &format!("{}?{query}", PICTURE.replace("{name}", name)));
            check(TOTALS, &format!("{}?{query}", TOTALS.replace("{name}", name)));
            check(TOTALS, &format!("{}?{query}&format=csv", TOTALS.replace("{name}", name)));
            check(LISTS, &format!("{}?{query}", LISTS.replace("{name}", name)));
            check(LISTS, &format!("{}?{query}&format=csv", LISTS.replace("{name}", name)));
            check(BREAKDOWNS, &format!("{}?by=choice&by=error&{query}", BREAKDOWNS.replace("{name}", name)));
            check(BREAKDOWNS, &format!("{}?by=status,hour&{query}&format=csv", BREAKDOWNS.replace("{name}", name)));
        }
        check(TOTALS, &format!("{}?started=2015-01-02&against=P1D&order=-total_count", TOTALS.replace("{name}", name)));
    }
    check(SINGLE, "/v6/events/job/1/");
    check(SINGLE, "/v6/events/job_execution/1/");
    check(SINGLE, "/v6/events/ingest/1/");
    server.accept(&[json!({"kind": "job", "id": 50, "job_type": 1, "status": "RUNNING"})]);
    server.accept(&[json!({"kind": "ingest", "id": 50, "strike": 1, "status": "QUEUED", "transfer_started": "2015-01-01T00:00:00Z"})]);
    check(NOW, "/v6/metrics/job-types/now/?page_size=1");
    check(NOW, "/v6/metrics/ingests/now/");
    check(SINGLE, "/v6/events/job/50/");
    document.assert_allows("post", EVENTS, &server.post(worked_example()));
    let future = server.post(job(9, 1, "COMPLETED", "2099-01-01T00:00:00Z"));
    assert_eq!(future.json()["future"], 1);
    document.assert_allows("post", EVENTS, &future);
}

#[test]
fn every_refusal_is_as_the_document_says() {
    let server = TestServer::start_with(|config| config.server.max_body_bytes = 10_000);
    let document = Document::of(&server);
    let plot = "/v6/metrics/job-types/plot-data/";
    for (template, path, status) in [
        (LIST, format!("{LIST}?page_size=0"), 400),
        (LIST, format!("{LIST}?page=9"), 404),
        (DETAILS, "/v6/metrics/jobs/".to_owned(), 404),
        (PLOT, format!("{plot}?column=speed"), 400),
        (PLOT, format!("{plot}?choice_id=5"), 400),
        (PLOT, format!("{plot}?columns=total_count"), 400),
        (PICTURE, "/v6/metrics/job-types/plot.svg?hidden=nope".to_owned(), 400),
        (PLOT, format!("{plot}?started=tomorrow"), 400),
        (PLOT, format!("{plot}?page=9"), 404),
        (PLOT, "/v6/metrics/jobs/plot-data/".to_owned(), 404),
        (PICTURE, "/v6/metrics/job-types/plot.svg?kind=pie".to_owned(), 400),
        (PICTURE, "/v6/metrics/jobs/plot.svg".to_owned(), 404),
        (TOTALS, "/v6/metrics/job-types/totals/?order=speed".to_owned(), 400),
        (TOTALS, "/v6/metrics/job-types/totals/?page=9".to_owned(), 404),
        (LISTS, "/v6/metrics/job-types/events/?order=speed".to_owned(), 400),
        (LISTS, "/v6/metrics/job-types/events/?page=9".to_owned(), 404),
        (NOW, "/v6/metrics/errors/now/".to_owned(), 404),
        (NOW, "/v6/metrics/job-types/now/?kind=x".to_owned(), 400),
        (SINGLE, "/v6/events/job/77/".to_owned(), 404),
        (SINGLE, "/v6/events/planet/7/".to_owned(), 400),
        (BREAKDOWNS, "/v6/metrics/job-types/breakdown/?by=speed".to_owned(), 400),
        (BREAKDOWNS, "/v6/metrics/job-types/breakdown/?by=hour&page=9".to_owned(), 404),
    ] {
        let answer = server.get(&path);
        assert_eq!(answer.status, status, "{path}");
        document.assert_allows("get", template, &answer);
    }
    let packed = [JSON, ("Content-Encoding", "gzip")];
    for (headers, body, status) in [
        (&[JSON] as &[_], b"{".to_vec(), 400),
        (&[JSON], b"[{}, 1, {\"kind\": \"strike\"}]".to_vec(), 400),
        (&[JSON], format!("[{}1]", "1,".repeat(200)).into_bytes(), 400),
        (&packed, b"[]".to_vec(), 400),
        (&[JSON], vec![b' '; 10_001], 413),
        (&packed, gzip(&[b' '; 10_001]), 413),
        (&[("Content-Type", "text/plain")], b"[]".to_vec(), 415),
        (&[JSON, ("Content-Encoding", "br")], b"[]".to_vec(), 415),
    ] {
        let answer = server.send("POST", EVENTS, headers, &body);
        assert_eq!(answer.status, status, "{}", answer.text());
        document.assert_allows("post", EVENTS, &answer);
    }
}

#[test]
fn what_is_refused_without_the_right_token_is_as_the_document_says() {
    let (secret, token) = Token::make("admin", &[Scope::Admin]).unwrap();
    let server = TestServer::start_with(|config| config.access.tokens = vec![token]);
    let document = Document::of(&server);
    let authorization = format!("Token {secret}");
    for (template, method, operation) in document.operations() {
        let path = filled(template, if template == NOW { "ingests" } else { "errors" });
        let send = |headers: &[_]| server.send(&method.to_uppercase(), &path, headers, b"");
        let needs = operation.get("security").map(|security| security.to_string().contains("\"admin\""));
        let expected = match needs {
            None => [200, 200],
            Some(true) => [401, 200],
            Some(false) => [401, 403],
        };
        let answers = [send(&[JSON]), send(&[JSON, ("Authorization", &authorization)])];
        for (status, answer) in expected.into_iter().zip(answers) {
            assert_eq!(answer.status, status, "{method} {path}");
            document.assert_allows(method, template, &answer);
        }
    }
}

#[test]
fn answers_to_who_comes_late_or_finds_no_room_are_as_the_document_says() {
    let server = TestServer::start_with(|config| {
        config.server.queue_bytes = 100_000;
        config.api.answer_bytes = 4_000;
    });
    let document = Document::of(&server);
    let head = format!("POST {EVENTS} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n");
    let mut slow = [server.connect(), server.connect()];
    for connection in &mut slow {
        write!(connection, "{head}Content-Length: 90000\r\n\r\n{}", " ".repeat(70_000)).unwrap();
    }
    server.wait_for_room_taken(140_000);
    let refused = server.send("POST", EVENTS, &[JSON], format!("[]{}", " ".repeat(50_000)).as_bytes());
    assert_eq!(refused.status, 503);
    document.assert_allows("post", EVENTS, &refused);

    let too_large = server.get("/v6/metrics/job-types/plot-data/");
    assert_eq!(too_large.status, 400, "{}", too_large.text());
    document.assert_allows("get", PLOT, &too_large);
    let too_large = server.get("/v6/metrics/job-types/");
    assert_eq!(too_large.status, 400, "{}", too_large.text());
    document.assert_allows("get", DETAILS, &too_large);

    // Another server, since this one would give the slow ones up before somebody finds no room.
    let hasty = TestServer::start_with(|config| config.server.body_timeout_s = 1);
    let late = parsed(&hasty.raw(format!("{head}Content-Length: 9\r\n\r\n[")));
    assert_eq!(late.status, 408);
    document.assert_allows("post", EVENTS, &late);
}

#[test]
fn exactly_the_parameters_of_the_document_are_known() {
    let server = TestServer::start();
    let document = Document::of(&server);
    for (template, method, operation) in document.operations() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let of_query = parameters.filter(|parameter| parameter["in"] == "query");
        let described: Vec<_> = of_query.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        for name in ["job-types", "ingests", "errors"] {
            let path = filled(template, name);
            let own = server.get(&format!("{LIST}{name}/")).json()["filters"].take();
            let own: Vec<_> = own.as_array().unwrap().iter().map(|filter| filter["param"].as_str().unwrap()).collect();
            for parameter in described.iter().chain(&["unknown"]) {
                let answer = server.send(&method.to_uppercase(), &format!("{path}?{parameter}=x"), &[JSON], b"");
                let is_filter = template.contains("{name}") && ["name", "version", "category"].contains(parameter);
                let is_known = match (template, *parameter) {
                    (LISTS | BREAKDOWNS | NOW, "kind") => name == "job-types",
                    (LISTS | BREAKDOWNS, "job_type") => name == "errors",
                    (_, parameter) if is_filter => own.contains(&parameter),
                    (_, parameter) => parameter != "unknown",
                };
                let expected = (!is_known).then_some(*parameter);
                assert_eq!(answer.header("x-ignored-parameters"), expected, "{method} {path} {parameter}");
            }
        }
    }
}

#[test]
fn words_are_taken_exactly_if_their_schema_allows_them() {
    let server = server_with_everything();
    let document = Document::of(&server);
    for (template, method, names) in [
        (EVENTS, "post", &["wait"] as &[_]),
        (TOTALS, "get", &["format"]),
        (PICTURE, "get", &["kind", "theme", "legend"]),
        (LISTS, "get", &["order", "format"]),
    ] {
        let parameters = document.0["paths"][template][method]["parameters"].as_array().unwrap();
        for name in names {
            let parameter = parameters.iter().find(|parameter| parameter["name"] == *name).unwrap();
            let schema = document.validator(&parameter["schema"]);
            let words = [
                "true", "false", "json", "csv", "bar", "line", "stacked", "light", "dark", "-ended", "ended", "True",
                "1", "x", "",
            ];
            for word in words {
                let path = template.replace("{name}", "job-types");
                let answer = server.send(&method.to_uppercase(), &format!("{path}?{name}={word}"), &[JSON], b"[]");
                let value = if word.is_empty() { Value::Null } else { json!(word) };
                assert_eq!(schema.is_valid(&value), answer.status == 200, "{name}={word}: {}", answer.text());
            }
        }
    }
}

// What is taken.

/// An object of each kind with all its fields, whose schema has that name; its choices have the id 1.
fn full_objects() -> [(&'static str, Value); 6] {
    let time = "2015-01-01T00:00:00Z";
    [
        (
            "PostedJobType",
            json!({
                "kind": "job_type", "id": 1, "name": "n", "version": "v", "title": "t", "description": "d",
                "category": "c", "author_name": "a", "author_url": "u", "is_system": true, "is_long_running": true,
                "is_active": true, "is_operational": true, "is_paused": true, "icon_code": "i",
            }),
        ),
        ("PostedStrike", json!({"kind": "strike", "id": 1, "name": "n", "title": "t", "description": "d"})),
        (
            "PostedErrorDefinition",
            json!({
                "kind": "error", "id": 1, "name": "n", "category": "DATA", "title": "t", "description": "d",
                "job_type_name": "j", "is_builtin": true, "should_be_retried": true,
            }),
        ),
        (
            "PostedJob",
            json!({
                "kind": "job", "id": 1, "job_type": 1, "status": "FAILED", "ended": time, "error": 1,
                "last_modified": time,
            }),
        ),
        (
            "PostedJobExecution",
            json!({
                "kind": "job_execution", "id": 1, "job_type": 1, "status": "FAILED", "queued": time, "started": time,
                "ended": time, "error": 1, "tasks": [{"type": "main", "started": time, "ended": time}],
                "last_modified": time,
            }),
        ),
        (
            "PostedIngest",
            json!({
                "kind": "ingest", "id": 1, "strike": 1, "status": "INGESTED", "file_size": 1, "transfer_started": time,
                "transfer_ended": time, "ingest_started": time, "ingest_ended": time, "last_modified": time,
            }),
        ),
    ]
}

const GOOD_TIMES: [&str; 9] = [
    "1970-01-01T00:00:00Z",
    "2016-02-29T23:59:60Z",
    "2015-12-31T00:00",
    "2015-01-01T00:00:00.123456789",
    "2015-01-01T00:00:00,5+05:30",
    "2015-01-01T00:00:00-0530",
    "2015-01-01T00:00:00+05",
    "2100-10-30T12:34:56Z",
    "9999-12-31T23:59:59.999999Z",
];
const BAD_TIMES: [&str; 12] = [
    "1969-12-31T23:59:59Z",
    "2015-02-30T00:00:00Z",
    "2015-04-31T00:00:00Z",
    "2015-13-01T00:00:00Z",
    "2015-01-00T00:00:00Z",
    "2015-01-01T24:00:00Z",
    "2015-01-01T00:60:00Z",
    "2015-01-01T00:00:61Z",
    "2015-01-01T00:00:00.Z",
    "2015-01-01T00:00:00z",
    "2015-01-01T00:00:00+24:00",
    "10000-01-01T00:00:00Z",
];

/// What is tried as the value of each field.
fn tried() -> Vec<Value> {
    let mut tried = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.5),
        json!(1_u64 << 53),
        json!(""),
        json!("x"),
        json!("1"),
        json!({}),
        json!([]),
        json!([1]),
        json!([{}]),
        json!([{"type": null}]),
        json!([{"type": "pull"}, {"type": "post", "started": null, "ended": "2015-01-01T00:00:00Z", "x": null}]),
        json!([{"type": "pull", "ended": 1}]),
        json!([{"type": "pull", "x": 1}]),
        json!([{"type": "push"}]),
    ];
    for name in [
        "job_type",
        "strike",
        "error",
        "job",
        "job_execution",
        "ingest",
        "SYSTEM",
        "PENDING",
        "BLOCKED",
        "QUEUED",
        "RUNNING",
        "COMPLETED",
        "CANCELED",
        "TRANSFERRING",
        "TRANSFERRED",
        "DEFERRED",
        "INGESTING",
        "ERRORED",
        "DUPLICATE",
        "completed",
    ] {
        tried.push(json!(name));
    }
    tried.extend(GOOD_TIMES.iter().chain(&BAD_TIMES).map(|time| json!(time)));
    tried
}

/// The places of the objects in which the server finds something wrong.
fn refused(server: &TestServer, objects: &[Value]) -> BTreeSet<usize> {
    let answer = server.post(objects);
    if answer.status == 200 {
        return BTreeSet::new();
    }
    let body = answer.json();
    let problems = body["errors"].as_array().unwrap_or_else(|| panic!("{body}"));
    assert!(problems.len() < 100, "all problems are told");
    problems.iter().map(|problem| usize::try_from(problem["index"].as_u64().unwrap()).unwrap()).collect()
}

#[test]
fn an_object_is_taken_exactly_if_the_schema_allows_it() {
    let server = TestServer::start();
    server.accept(&[job_type(1, "j"), strike(1, "s"), error(1, "e", "DATA")]);
    let document = Document::of(&server);
    let schema = document.component("Posted");
    let (mut taken, mut all) = (0, 0);
    for (name, full) in full_objects() {
        let described = &document.0["components"]["schemas"][name];
        let described = described.get("allOf").map_or(described, |parts| &parts[0]);
        let fields: Vec<_> = described["properties"].as_object().unwrap().keys().collect();
        assert_eq!(full.as_object().unwrap().keys().collect::<Vec<_>>(), fields, "{name}");
        for field in fields.into_iter().map(String::as_str).chain(["unknown", "type"]) {
            let mut without = full.clone();
            without.as_object_mut().unwrap().remove(field);
            let mut objects = vec![without.clone()];
            for value in tried() {
                objects.push(with(full.clone(), json!({field: value})));
                // Whether a field may be missing can depend on the status.
                objects.push(with(without.clone(), json!({"status": value})));
            }
            for objects in objects.chunks(10) {
                let refused = refused(&server, objects);
                all += objects.len();
                taken += objects.len() - refused.len();
                for (place, object) in objects.iter().enumerate() {
                    assert_eq!(schema.is_valid(object), !refused.contains(&place), "{object}");
                }
            }
        }
    }
    assert!(taken > 500 && all - taken > 5_000, "{taken} of {all}");
}

#[test]
fn a_parameter_is_taken_exactly_if_its_schema_allows_it() {
    let server = server_with_everything();
    let document = Document::of(&server);
    let parameters = document.0["paths"][PLOT]["get"]["parameters"].as_array().unwrap();
    let dates = ["1970-01-02", "2016-02-29", "9999-12-31", "2015-02-30", "2015-1-1", "20150101"];
    let durations = [
        "P7D",
        "PT3H0M0S",
        "P1Y2M3W4DT5H6M7.5S",
        "P0,5D",
        "P1W",
        "PT0.1S",
        "P",
        "PT",
        "P1DT",
        "P1D1D",
        "P0.5DT1H",
        "P0.5Y",
        "P1Y0,25M",
        "P0.5Y1D",
        "-P1D",
        "P1H",
        "PT1D",
    ];
    let words =
        ["", "null", "day", "hour", "json", "csv", "DAY", "x", "0", "1", "2", "-1", "1.5", "1e2", "999", "1000"];
    let texts: Vec<&str> =
        words.iter().chain(&dates).chain(&durations).chain(&GOOD_TIMES).chain(&BAD_TIMES).copied().collect();
    // Everything ends behind the last time that is tried, and begins before the first one.
    server.set_now("9999-12-31T23:59:59.999999Z");
    for name in ["resolution", "format", "page", "page_size", "started", "ended"] {
        let parameter = parameters.iter().find(|parameter| parameter["name"] == name && parameter["in"] == "query");
        let schema = document.validator(&parameter.unwrap()["schema"]);
        for text in &texts {
            let value = match *text {
                "" | "null" => Value::Null,
                text if name.starts_with("page") => text.parse::<i64>().map_or_else(|_| json!(text), Value::from),
                text => json!(text),
            };
            let query = form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let answer = server.get(&format!("/v6/metrics/job-types/plot-data/?{name}={query}&column=total_count"));
            let detail = answer.text();
            if name == "page_size" && value.as_i64() > Some(1000) {
                // It counts as the most; nobody is told to send it.
                assert_eq!(answer.status, 200, "{detail}");
                continue;
            }
            // Behind the last page, or the wrong way round: no schema can say that.
            let is_taken = match answer.status {
                404 => text.parse::<u64>().is_ok_and(|page| page > 1),
                400 => detail.contains("earlier than") || detail.contains("later than"),
                _ => true,
            };
            assert_eq!(schema.is_valid(&value), is_taken, "{name}={text}: {detail}");
        }
    }
}
