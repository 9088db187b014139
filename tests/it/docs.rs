//! The guides under `docs/`: what they list is what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use scale_metrics::config::KEYS;
use tempfile::TempDir;

use crate::support::process::program;
use crate::support::{TestServer, worked_example};

/// The text of a page.
fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// The cells of all rows of the table that begins with that cell, without the backticks.
fn table(page: &str, first: &str) -> Vec<Vec<String>> {
    let head = format!("| {first} |");
    let lines = page.lines().skip_while(|line| !line.starts_with(&head)).skip(2);
    let rows = lines.map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<Vec<_>> = rows.map(|row| row.split(" | ").map(|cell| cell.replace('`', "")).collect()).collect();
    assert!(!rows.is_empty(), "there is no table that begins with {first:?}");
    rows
}

#[test]
fn the_table_of_settings_has_every_key_with_its_flag_variable_and_default() {
    let defaults: toml::Table = include_str!("../../config.toml").parse().unwrap();
    let expected: Vec<_> = KEYS
        .iter()
        .map(|key| {
            let default = defaults[key.section][key.name].to_string();
            [key.to_string(), key.flag.to_owned(), key.variable.to_owned(), default]
        })
        .collect();
    let mut rows = table(&page("settings.md"), "key");
    for row in &mut rows {
        assert!(row.pop().is_some_and(|meaning| !meaning.is_empty()), "{row:?}");
    }
    assert_eq!(rows, expected);
}

#[test]
fn the_settings_in_force_are_printed_as_the_example_shows() {
    let page = page("settings.md");
    let (_, example) = page.split_once("## What is in force\n").unwrap();
    let blocks: Vec<_> = example.split("```").skip(1).step_by(2).take(2).collect();
    let file = blocks[0].strip_prefix("toml\n").unwrap();
    let (command, printed) = blocks[1].strip_prefix("console\n$ ").unwrap().split_once('\n').unwrap();
    let (variable, command) = command.split_once(' ').unwrap();
    let (name, value) = variable.split_once('=').unwrap();
    let arguments: Vec<_> = command.strip_prefix("scale-metrics ").unwrap().split(' ').collect();
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("config.toml"), file).unwrap();
    let output = program(directory.path(), &arguments).env(name, value).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), printed);
}

#[test]
fn the_table_of_figures_has_all_that_a_server_shows() {
    let server = TestServer::start();
    server.accept(&worked_example());
    server.get("/v6/metrics/job-types/plot-data/");
    let text = server.get("/metrics").text();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let shown: BTreeSet<_> = types.filter(|line| line.starts_with("scale_metrics_")).collect();
    let rows = table(&page("observability.md"), "figure");
    let listed: Vec<_> = rows.iter().map(|row| format!("{} {}", row[0], row[1])).collect();
    assert!(rows.iter().all(|row| row.len() == 3 && !row[2].is_empty()));
    assert_eq!(listed.iter().map(String::as_str).collect::<BTreeSet<_>>(), shown);
    assert_eq!(listed.len(), shown.len(), "a figure is listed twice");
}

#[test]
fn the_examples_of_all_kinds_of_events_are_accepted_in_their_order() {
    let server = TestServer::start();
    let page = page("events.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    let (examples, _) = rest.split_once("```").unwrap();
    let expected = ["job_type", "strike", "error", "job", "job_execution", "ingest"];
    let kinds: Vec<_> = table(&page, "kind").iter().map(|row| row[0].clone()).collect();
    assert_eq!(kinds, expected);
    assert_eq!(examples.lines().count(), expected.len());
    for (line, kind) in examples.lines().zip(expected) {
        assert!(line.starts_with(&format!("{{\"kind\": \"{kind}\", ")), "{line}");
        let answer = server.ndjson(line);
        assert_eq!((answer.status, answer.json()["created"].as_u64()), (200, Some(1)), "{line}: {}", answer.text());
    }
    assert_eq!(server.ndjson(examples).json()["unchanged"], 6);
    assert_eq!(server.values("job-types", "run_time_sum", "")[0]["value"], 2430);
    assert_eq!(server.values("ingests", "ingested_count", "")[0]["value"], 1);
}

/// The guides, the index among them.
fn guides() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let files = fs::read_dir(docs).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

#[test]
fn every_guide_is_in_the_index() {
    let index = page("README.md");
    for guide in guides() {
        let name = guide.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || index.contains(&format!("| [{name}]({name}) |")), "{name} is not in the index");
    }
}

/// Every rule of the reference names the tests that hold it.
#[test]
fn the_tests_that_the_reference_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let reference = page("reference.md");
    let rules = reference.lines().filter(|line| line.starts_with("| ") && line.contains("::"));
    let mut named = 0;
    for rule in rules {
        let tests = rule.rsplit_once(" | ").unwrap().1;
        for test in tests.split('`').filter(|part| part.contains("::")) {
            let (module, name) = test.rsplit_once("::").unwrap();
            let file = root.join(module.replace("::", "/")).with_extension("rs");
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{test}: {error}"));
            let is_test =
                text.split("#[test]").skip(1).any(|test| test.trim_start().starts_with(&format!("fn {name}(")));
            assert!(is_test, "{test} is no test");
            named += 1;
        }
    }
    assert!(named > 100, "{named}");
}

/// The names by which the headings of a guide are linked to.
fn headings(text: &str) -> Vec<String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let name = |title: &str| -> String {
        let letters = title
            .to_lowercase()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
            .collect::<String>();
        letters.replace(' ', "-")
    };
    titles.map(name).collect()
}

#[test]
fn links_of_guides_lead_to_files_and_headings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for guide in guides().into_iter().chain(["README.md", "ARCHITECTURE.md"].map(|name| root.join(name))) {
        let text = fs::read_to_string(&guide).unwrap();
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            if path.starts_with("http") {
                continue;
            }
            let target = if path.is_empty() { guide.clone() } else { guide.parent().unwrap().join(path) };
            assert!(target.exists(), "{} has a link to {path}, which is not there", guide.display());
            let is_there = || headings(&fs::read_to_string(&target).unwrap()).contains(&heading.to_owned());
            assert!(
                heading.is_empty() || is_there(),
                "{} has a link to {link}, a heading that is not there",
                guide.display()
            );
        }
    }
}
