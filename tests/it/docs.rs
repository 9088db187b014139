//! The guides under `docs/`: what they list is what there is.

use std::fs;
use std::path::Path;

use scale_metrics::config::KEYS;

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
