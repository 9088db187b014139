//! What is delivered around the program says nothing that the program does not know: requests of the Grafana dashboard,
//! settings and commands in the unit, the image and the guides, fields of the events out of Scale's database.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::completions::{commands, flags, output_of};
use crate::support::process::program;
use crate::support::{TestServer, builtin_error, failed_execution, ingest, job_type, strike, with, worked_example};

const DASHBOARD: &str = "packaging/grafana/dashboards/scale-metrics.json";
const DATA_SOURCE: &str = "packaging/grafana/provisioning/datasources/scale-metrics.yaml";
const UNIT: &str = "packaging/systemd/scale-metrics.service";
const IMAGE: &str = "packaging/docker/Dockerfile";
const GUIDES: [&str; 4] = ["docs/install.md", "docs/https.md", "docs/grafana.md", "docs/scale.md"];

fn path(place: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(place)
}

#[track_caller]
fn read(place: &str) -> String {
    fs::read_to_string(path(place)).unwrap_or_else(|error| panic!("{place}: {error}"))
}

/// The worked example, and two strikes' and two built-in errors' worth of the other types.
fn server_with_everything() -> TestServer {
    let server = TestServer::start();
    let mut events = worked_example();
    events.extend([
        strike(1, "north"),
        with(
            ingest(1, 1, "INGESTED", "2015-01-01T03:04:05Z"),
            json!({
                "file_size": 123, "transfer_started": "2015-01-01T03:00:00Z", "transfer_ended": "2015-01-01T03:01:00Z",
                "ingest_started": "2015-01-01T03:02:00Z",
            }),
        ),
        builtin_error(8, "node-lost", "SYSTEM"),
        builtin_error(9, "timeout", "ALGORITHM"),
        failed_execution(8, 1, 8, "2015-01-01T03:04:05Z"),
        failed_execution(9, 1, 9, "2015-01-01T03:04:05Z"),
    ]);
    server.accept(&events);
    server
}

// Grafana.

/// All queries of the dashboard's panels, and those that fill its variables.
fn queries(dashboard: &Value) -> Vec<Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let of_panels = panels.flat_map(|panel| panel["targets"].as_array().unwrap().clone());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let of_variables = variables.map(|variable| variable["query"]["infinityQuery"].clone());
    of_panels.chain(of_variables).collect()
}

/// The address that a query asks once Grafana has filled in its variables.
fn filled_in(url: &str, choice: &str, resolution: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in [
        ("__from:date:iso", "2015-01-01T00:00:00.000Z"),
        ("__to:date:iso", "2015-01-31T23:59:59.999Z"),
        ("resolution", resolution),
        ("job_type", choice),
        ("strike", choice),
        ("error", if choice == "1" { "8" } else { choice }),
    ] {
        url = url.replace(&format!("${{{name}}}"), value);
    }
    assert!(!url.contains('$'), "a variable is left in {url}");
    url
}

#[test]
fn every_request_of_the_dashboard_is_answered_with_what_it_shows() {
    let server = server_with_everything();
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let mut asked = BTreeSet::new();
    for query in queries(&dashboard).iter().filter(|query| query["source"] == "url") {
        for (choice, resolution) in [("null", "day"), ("1", "day"), ("null", "hour"), ("1", "")] {
            let url = filled_in(query["url"].as_str().unwrap(), choice, resolution);
            let answer = server.get(&url);
            assert_eq!(answer.status, 200, "{url}: {}", answer.text());
            let answer = answer.json();
            let shown = match query["root_selector"].as_str().unwrap() {
                "results.0.values" => {
                    assert_eq!(answer["results"].as_array().unwrap().len(), 1, "{url} has one column");
                    asked.insert(url.split('/').nth(3).unwrap().to_owned());
                    &answer["results"][0]["values"]
                }
                "choices" => &answer["choices"],
                "results" => &answer["results"],
                // The job types, whose name and version are put together.
                selector => {
                    assert!(selector.contains("$choice.title") && selector.contains("$choice.version"), "{selector}");
                    let choice = &answer["choices"][0];
                    assert!(choice["title"].is_string() && choice["version"].is_string() && choice["id"].is_u64());
                    continue;
                }
            };
            let rows = shown.as_array().unwrap();
            assert!(!rows.is_empty(), "{url} shows nothing");
            for column in query["columns"].as_array().unwrap() {
                let selector = column["selector"].as_str().unwrap();
                let value = |row: &Value| selector.split('.').fold(row.clone(), |value, name| value[name].clone());
                assert!(rows.iter().all(|row| !value(row).is_null()), "{url} has no `{selector}`");
            }
        }
    }
    assert_eq!(asked, BTreeSet::from(["errors", "ingests", "job-types"].map(str::to_owned)));
}

#[test]
fn a_single_error_is_among_the_top_errors() {
    let server = TestServer::start();
    server.accept(&[
        job_type(1, "one"),
        builtin_error(8, "lonely", "DATA"),
        failed_execution(1, 1, 8, "2015-01-01T00:00:00Z"),
    ]);
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let top = panels.iter().find(|panel| panel["title"] == "Top errors").unwrap();
    let target = &top["targets"][0];
    let rows = server.get(&filled_in(target["url"].as_str().unwrap(), "null", "day")).json();
    let rows = rows[target["root_selector"].as_str().unwrap()].as_array().unwrap();
    let selectors = target["columns"].as_array().unwrap().iter().map(|column| column["selector"].as_str().unwrap());
    let shown: Vec<_> =
        selectors.map(|name| rows[0].pointer(&format!("/{}", name.replace('.', "/"))).unwrap()).collect();
    assert_eq!((rows.len(), json!(shown)), (1, json!(["lonely", "DATA", 1])));
}

#[test]
fn what_the_panels_colour_and_compute_is_a_name_that_they_have() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().unwrap();
        let columns = targets.iter().flat_map(|target| target["columns"].as_array().unwrap());
        let mut names: BTreeSet<&str> = columns.map(|column| column["text"].as_str().unwrap()).collect();
        for step in panel["transformations"].as_array().into_iter().flatten() {
            for side in ["left", "right"] {
                if let Some(name) = step["options"]["binary"][side].as_str() {
                    assert!(names.contains(name), "{}: {name}", panel["title"]);
                }
            }
            names.extend(step["options"]["alias"].as_str());
        }
        for change in panel["fieldConfig"]["overrides"].as_array().unwrap() {
            let name = change["matcher"]["options"].as_str().unwrap();
            assert!(names.contains(name), "{}: {name}", panel["title"]);
        }
    }
}

#[test]
fn the_dashboard_asks_the_data_source_that_is_provisioned() {
    let data_source = read(DATA_SOURCE);
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    for query in queries(&dashboard) {
        let wanted = &query["datasource"];
        assert!(data_source.contains(&format!("uid: {}\n", wanted["uid"].as_str().unwrap())));
        assert!(data_source.contains(&format!("type: {}\n", wanted["type"].as_str().unwrap())));
    }
}

// Settings and commands.

/// The environment variables that any command of the program reads.
fn variables() -> BTreeSet<String> {
    let helps = commands().into_iter().map(|command| output_of(&[&command, "--help"]));
    helps.flat_map(|help| names_in(&help)).collect()
}

/// Everything in the text that looks like a variable of the program.
fn names_in(text: &str) -> Vec<String> {
    let starts = text.match_indices("SCALE_METRICS_").map(|(start, _)| &text[start..]);
    let ends =
        starts.map(|name| &name[..name.find(|c: char| c != '_' && !c.is_ascii_uppercase()).unwrap_or(name.len())]);
    ends.map(str::to_owned).collect()
}

#[test]
fn only_variables_that_the_program_reads_are_named() {
    let known = variables();
    assert!(known.contains("SCALE_METRICS_LISTEN") && known.contains("SCALE_METRICS_TOKEN"), "{known:?}");
    for place in [UNIT, IMAGE, DATA_SOURCE].into_iter().chain(GUIDES) {
        for name in names_in(&read(place)) {
            assert!(known.contains(&name), "{place}: {name}");
        }
    }
}

/// The lines of a guide that are typed into a shell, continued ones joined.
fn typed(guide: &str) -> Vec<String> {
    let blocks = guide.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Asserts that the program knows the command that follows its name in this line, and the command's flags.
#[track_caller]
fn assert_known(line: &str) -> usize {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut found = 0;
    for (place, word) in words.iter().enumerate() {
        let Some(command) = words.get(place + 1).filter(|_| word.rsplit('/').next() == Some("scale-metrics")) else {
            continue;
        };
        if !command.chars().all(|c| c.is_ascii_lowercase()) {
            continue;
        }
        assert!(commands().iter().any(|known| known == command), "no command {command}: {line}");
        let known = flags(command);
        for flag in words[place..].iter().take_while(|word| **word != "|").filter(|word| word.starts_with("--")) {
            assert!(known.iter().any(|known| known == flag), "{command} has no {flag}: {line}");
        }
        found += 1;
    }
    found
}

#[test]
fn only_commands_and_flags_that_the_program_has_are_used() {
    for guide in GUIDES {
        let found: usize = typed(&read(guide)).iter().map(|line| assert_known(line)).sum();
        assert_ne!(found, 0, "{guide}");
    }
    let unit = read(UNIT);
    assert_eq!(assert_known(unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap()), 1);
    let image = read(IMAGE);
    let arguments = image.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    let arguments: Vec<String> = serde_json::from_str(arguments).unwrap();
    assert_eq!(assert_known(&format!("scale-metrics {}", arguments.join(" "))), 1);
}

#[test]
fn the_unit_keeps_its_data_and_lets_the_server_stop_in_order() {
    let unit = read(UNIT);
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
    let data = value("Environment=SCALE_METRICS_DATA");
    assert_eq!(data, format!("/var/lib/{}", value("StateDirectory")), "the only place that it may write to");
    let stop = value("TimeoutStopSec").parse::<u64>().unwrap();
    assert!(stop > scale_metrics::config::Config::default().server.body_timeout_s, "a body may take so long");
    assert_eq!(value("RestartPreventExitStatus"), "2");
}

#[test]
fn the_image_runs_as_a_numeric_user_and_opens_no_writes() {
    let image = read(IMAGE);
    let value =
        |key: &str| image.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).next_back().unwrap();
    let (user, group) = value("USER").split_once(':').unwrap();
    assert!(user.parse::<u32>().unwrap() > 0 && group.parse::<u32>().unwrap() > 0);
    assert_eq!(value("STOPSIGNAL"), "SIGTERM");
    assert!(image.contains(&format!("SCALE_METRICS_DATA={}\n", value("VOLUME"))));
    let settings: Vec<&str> = image.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!settings.join("\n").contains("ALLOW_OPEN_WRITES"));
    assert!(image.contains(&format!("FROM rust:{}", env!("CARGO_PKG_RUST_VERSION"))), "the toolchain of Cargo.toml");
}

#[test]
fn the_image_is_built_from_files_that_exist_and_reach_the_builder() {
    let ignore = read(".dockerignore");
    let admitted: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let image = read(IMAGE);
    let copies = image.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"));
    let mut sources = Vec::new();
    for line in copies {
        let words: Vec<&str> = line.split_whitespace().collect();
        sources.extend(words[..words.len() - 1].to_vec());
    }
    assert_eq!(sources, admitted);
    for place in sources {
        assert!(path(place).exists(), "{place}");
    }
}

// Scale.

#[test]
fn the_settings_in_the_guide_to_scale_are_settings() {
    let guide = read("docs/scale.md");
    let text = guide.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("config.toml"), text).unwrap();
    let output = program(directory.path(), &["--print-config"]).output().unwrap();
    let [said, complaint] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(said.contains("dialect = \"scale\""), "{said}{complaint}");
}

/// A value that a field of this name takes, of any kind of event.
fn sample(kind: &str, field: &str) -> Value {
    match field {
        "id" | "job_type" | "strike" | "error" | "file_size" => json!(1),
        "category" => json!("DATA"),
        "status" if kind == "ingest" => json!("INGESTED"),
        "status" => json!("COMPLETED"),
        "tasks" => json!([{"type": "pull", "started": "2015-01-01T00:00:00Z", "ended": "2015-01-01T00:00:00Z"}]),
        "should_be_retried" => json!(true),
        name if name.starts_with("is_") => json!(true),
        "queued" | "last_modified" => json!("2015-01-01T00:00:00+00:00"),
        name if name.ends_with("started") || name.ends_with("ended") => json!("2015-01-01T00:00:00+00:00"),
        _ => json!("text"),
    }
}

#[test]
fn the_events_out_of_scales_database_have_fields_that_are_known() {
    let server = TestServer::start();
    let sql = read("packaging/scale/events.sql");
    let mut kinds = Vec::new();
    for query in sql.split("SELECT json_strip_nulls(json_build_object(").skip(1) {
        let fields = query.split(")))\nFROM").next().unwrap().split("))\nFROM").next().unwrap();
        // The fields of tasks are in `sample`.
        let fields = fields.split(", (\n").next().unwrap();
        let mut quoted = fields.split('\'').skip(1).step_by(2).zip(fields.split('\'').skip(2).step_by(2));
        assert_eq!(quoted.next().unwrap().0, "kind");
        let kind = quoted.next().unwrap().0;
        let mut event = json!({"kind": kind});
        // A field is followed by a comma, or is the last one; `->` follows the parts of a path.
        for (field, _) in
            quoted.filter(|(field, behind)| !field.is_empty() && (behind.starts_with(", ") || behind.is_empty()))
        {
            event[field] = sample(kind, field);
        }
        let answer = server.post(&event);
        assert_eq!(answer.status, 200, "{event}: {}", answer.text());
        kinds.push(kind);
    }
    assert_eq!(kinds, ["job_type", "strike", "error", "job", "job_execution", "ingest"]);
    assert_eq!(server.values("ingests", "total_count", "")[0]["value"], 1);
}

#[test]
fn the_image_has_every_target_that_the_manifest_names() {
    let (manifest, recipe, ignored) = (read("Cargo.toml"), read("packaging/docker/Dockerfile"), read(".dockerignore"));
    let targets = manifest.lines().filter_map(|line| line.strip_prefix("path = \"tests/")?.strip_suffix('"'));
    let targets: Vec<_> = targets.collect();
    assert!(targets.len() >= 4, "{targets:?}");
    for target in targets {
        assert!(recipe.contains(&format!("COPY tests/{target} tests/{target}\n")), "{target} is not copied");
        assert!(ignored.contains(&format!("!tests/{target}\n")), "{target} does not go to the builder");
    }
}

#[test]
fn what_ended_before_the_retention_can_be_left_out_of_scales_events() {
    let sql = read("packaging/scale/events.sql");
    // What ends and is refused when it is too old. What has not ended is of no day.
    for (table, end) in [("job", "ended"), ("job_exe_end", "ended"), ("ingest", "ingest_ended")] {
        let (_, condition) = sql.split_once(&format!("FROM {table}\nWHERE")).unwrap();
        let condition = condition.split("ORDER BY").next().unwrap();
        assert!(condition.contains(&format!("{end} >= :'kept_from'::timestamptz")), "{table}: {condition}");
    }
    assert!(sql.contains("\\if :{?kept_from}\n\\else\n\\set kept_from -infinity\n"), "it need not be given");
    assert!(typed(&read("docs/scale.md")).iter().any(|line| line.contains("psql") && line.contains("-v kept_from=")));
}
