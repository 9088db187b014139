//! Settings: flags over the environment over a file over defaults, for every key; `--print-config`; and what is refused.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use scale_metrics::access::{Scope, Token};
use scale_metrics::config::{Config, Dialect, KEYS, Key};
use serde_json::json;
use tempfile::TempDir;

use crate::support::process::{FREE_PORT, program, refusal};
use crate::support::{Serving, job, job_type};

/// Runs `--print-config`; what it says on standard output and on standard error.
#[track_caller]
fn run(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

/// What `--print-config` prints with these arguments in `directory`.
#[track_caller]
fn printed(directory: &Path, arguments: &[&str]) -> String {
    run(program(directory, arguments).arg("--print-config")).0
}

/// The value of that key and its origin, from what `--print-config` prints.
#[track_caller]
fn shown(printed: &str, key: &Key) -> (String, String) {
    let (_, section) = printed.split_once(&format!("[{}]\n", key.section)).unwrap();
    let mut lines = section.lines().take_while(|line| !line.is_empty());
    let line = lines.find_map(|line| line.strip_prefix(&format!("{} = ", key.name))).unwrap();
    let (value, origin) = line.split_once("  # from ").unwrap();
    (value.to_owned(), origin.to_owned())
}

/// A value of a setting.
struct Sample {
    /// As a flag or variable gives it.
    text: String,
    /// As a file gives it.
    toml: String,
    /// As it is shown.
    shown: String,
}

/// Three values that the key may have; none is like the one before it, the first is not the default.
fn samples(key: &Key) -> [Sample; 3] {
    let directory = TempDir::new().unwrap();
    let defaults: toml::Table = printed(directory.path(), &[]).parse().unwrap();
    let default = &defaults[key.section][key.name];
    [1, 2, 3].map(|number| {
        if key.name == "database" {
            let address =
                |password: &str| format!("postgres://user-{number}:{password}@localhost/name?connect_timeout=3");
            let toml = |text: String| toml::Value::from(text).to_string();
            return Sample { text: address("secret"), toml: toml(address("secret")), shown: toml(address("***")) };
        }
        if key.secret {
            let name = format!("token-{number}");
            let token = Token::make(&name, &[Scope::Read]).unwrap().1.to_string();
            return Sample { toml: format!("[\"{token}\"]"), shown: format!("[\"{name}:read:***\"]"), text: token };
        }
        if key.name == "percentiles" {
            let text = format!("[{number}, 50]");
            return Sample { toml: text.clone(), shown: text.clone(), text };
        }
        if key.name == "timezone" {
            let zone = ["Europe/Berlin", "Asia/Kolkata", "America/New_York"][number - 1];
            let toml = format!("\"{zone}\"");
            return Sample { shown: toml.clone(), toml, text: zone.to_owned() };
        }
        if key.name == "trusted_proxies" {
            let network = format!("10.{number}.0.0/16");
            let listed = format!("[\"{network}\"]");
            return Sample { toml: listed.clone(), shown: listed, text: network };
        }
        if default.is_array() {
            let origin = format!("https://{number}.example.org");
            let listed = format!("[\"{origin}\"]");
            return Sample { toml: listed.clone(), shown: listed, text: origin };
        }
        let names = key.names();
        let default_text = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        let text = if let Some(place) = names.iter().position(|name| *name == default_text) {
            names[(place + number) % names.len()].to_owned()
        } else if let Some(default) = default.as_integer() {
            (default + i64::try_from(number).unwrap()).to_string()
        } else if default_text.parse::<SocketAddr>().is_ok() {
            format!("127.0.0.1:{number}")
        } else if key.name == "base_path" {
            format!("/metrics-{number}")
        } else {
            format!("a \"quoted\" \\ path # {number} §")
        };
        let toml = if default.is_str() { toml::Value::from(text.clone()).to_string() } else { text.clone() };
        Sample { shown: toml.clone(), toml, text }
    })
}

/// Asserts that `config.toml` with this content stops the start with a line that has all of `words`.
#[track_caller]
fn assert_config_refused(content: impl AsRef<[u8]>, words: &[&str]) {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("config.toml"), content).unwrap();
    assert_refused(&mut program(directory.path(), &["serve"]), words);
}

#[track_caller]
fn assert_refused(command: &mut Command, words: &[&str]) {
    let line = refusal(command);
    for word in words {
        assert!(line.contains(word), "{word:?} is not in {line:?}");
    }
}

// Where values come from.

#[test]
fn every_key_takes_a_flag_over_the_environment_over_the_file_over_the_default() {
    for key in KEYS {
        let directory = TempDir::new().unwrap();
        let serve = |arguments: &[&str]| {
            let mut command = program(directory.path(), &["serve", "--print-config"]);
            command.args(arguments);
            command
        };
        let found = |command: &mut Command| shown(&run(command).0, key);
        let [in_file, in_environment, in_flag] = samples(key);
        let default = found(&mut serve(&[]));
        assert_eq!(default.1, "default", "{key}");

        let file = format!("# A comment.\n[{}]\n\n{} = {}\n", key.section, key.name, in_file.toml);
        fs::write(directory.path().join("config.toml"), file).unwrap();
        let (value, origin) = found(&mut serve(&[]));
        assert_ne!(value, default.0, "{key}");
        let mask = if key.secret { ", *** in the place of what is secret" } else { "" };
        assert_eq!((value, origin), (in_file.shown, format!("config.toml:4{mask}")), "{key}");

        let origin = format!("environment {}{mask}", key.variable);
        let text = &in_environment.text;
        assert_eq!(found(serve(&[]).env(key.variable, text)), (in_environment.shown, origin), "{key}");

        let flag = format!("{}={}", key.flag, in_flag.text);
        let expected = (in_flag.shown, format!("flag {}{mask}", key.flag));
        assert_eq!(found(serve(&[&flag]).env(key.variable, text)), expected, "{key}");
        let before_the_command = &mut program(directory.path(), &[&flag, "serve", "--print-config"]);
        assert_eq!(found(before_the_command.env(key.variable, text)), expected, "{key}");
    }
}

#[test]
fn the_server_runs_by_what_is_in_force() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("config.toml"), "[api]\ndialect = \"scale\"\n[storage]\ndata = \"wrong\"\n")
        .unwrap();
    let server = Serving::start(
        program(directory.path(), &["serve", "--listen", FREE_PORT]).env("SCALE_METRICS_DATA", "by-environment"),
    );
    assert!(directory.path().join("by-environment").is_dir());
    assert!(!directory.path().join("wrong").exists());
    server.client.accept(&[job_type(1, "a"), job(1, 1, "COMPLETED", "2015-01-01T05:00:00Z")]);
    let by_hour_with_id = json!([{"id": 1, "datetime": "2015-01-01T05:00:00", "value": 1}]);
    assert_eq!(server.client.values("job-types", "total_count", "choice_id=1"), by_hour_with_id);
}

#[test]
fn the_file_that_is_named_is_read_instead_of_config_toml() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("config.toml"), "[storage]\ndata = \"wrong\"\n").unwrap();
    fs::write(directory.path().join("named.toml"), "storage.data = \"right\"\n").unwrap();
    let data = KEYS.iter().find(|key| key.name == "data").unwrap();
    let right = ("\"right\"".to_owned(), "named.toml:1".to_owned());
    assert_eq!(shown(&printed(directory.path(), &["--config", "named.toml"]), data), right);
    let named_by_variable = &mut program(directory.path(), &["--print-config"]);
    assert_eq!(shown(&run(named_by_variable.env("SCALE_METRICS_CONFIG", "named.toml")).0, data), right);
}

#[test]
fn the_default_settings_are_the_contracts() {
    let config = Config::default();
    assert_eq!(config.server.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.server.max_body_bytes, 64 * 1024 * 1024);
    assert_eq!(config.storage.data, Path::new("data"));
    assert!(matches!(config.api.dialect, Dialect::Documented));
}

#[test]
fn a_variable_is_called_as_its_flag() {
    for key in KEYS {
        let name = key.flag.trim_start_matches("--").replace('-', "_").to_uppercase();
        assert_eq!(key.variable, format!("SCALE_METRICS_{name}"));
    }
}

#[test]
fn a_flag_alone_switches_on() {
    let directory = TempDir::new().unwrap();
    for key in KEYS.iter().filter(|key| key.names() == ["true", "false"]) {
        let switched = shown(&printed(directory.path(), &["serve", key.flag]), key);
        assert_eq!(switched, ("true".to_owned(), format!("flag {}", key.flag)));
    }
}

// --print-config.

#[test]
fn config_toml_says_what_is_printed_without_settings() {
    let directory = TempDir::new().unwrap();
    let settings = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split('#').next().unwrap().trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    let config_toml = include_str!("../../config.toml");
    assert_eq!(settings(config_toml), settings(&printed(directory.path(), &[])));
    fs::write(directory.path().join("config.toml"), config_toml).unwrap();
    assert_eq!(settings(config_toml), settings(&printed(directory.path(), &[])));
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let directory = TempDir::new().unwrap();
    let flags = KEYS.iter().filter(|key| !key.secret).map(|key| format!("{}={}", key.flag, samples(key)[0].text));
    let flags: Vec<String> = flags.collect();
    let first = printed(directory.path(), &flags.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(first.matches("  # from flag --").count(), flags.len());
    fs::write(directory.path().join("again.toml"), &first).unwrap();
    let again = printed(directory.path(), &["--config", "again.toml"]);
    assert_eq!(first.parse::<toml::Table>().unwrap(), again.parse::<toml::Table>().unwrap());
    for (number, line) in (1..).zip(again.lines()).filter(|(_, line)| line.contains('=')) {
        assert!(line.ends_with(&format!("  # from again.toml:{number}")), "{line}");
    }
}

#[test]
fn printing_is_all_that_is_done() {
    let directory = TempDir::new().unwrap();
    let running = Serving::serve(directory.path());
    let occupied = running.client.address().to_string();
    let with_command = printed(directory.path(), &["serve", "--listen", &occupied, "--data", "data"]);
    assert_eq!(printed(directory.path(), &["--listen", &occupied, "--data", "data"]), with_command);
    let elsewhere = printed(directory.path(), &["serve", "--listen", "0.0.0.0:0", "--data", "other"]);
    assert!(elsewhere.contains("0.0.0.0:0"), "also what would be refused is printed");
    assert!(!directory.path().join("other").exists());
}

#[test]
fn secrets_are_neither_printed_nor_told_and_a_mask_is_no_secret() {
    let directory = TempDir::new().unwrap();
    let config_toml = directory.path().join("config.toml");
    for key in KEYS.iter().filter(|key| key.name == "tokens") {
        let [one, other, _] = samples(key);
        let hash = |sample: &Sample| sample.text.rsplit(':').next().unwrap().to_owned();
        let (out, said) = run(&mut program(
            directory.path(),
            &["--print-config", "--log-level", "debug", key.flag, &one.text, key.flag, &other.text],
        ));
        assert_eq!(shown(&out, key).0, r#"["token-1:read:***", "token-2:read:***"]"#);
        for hash in [hash(&one), hash(&other)] {
            assert!(!out.contains(&hash) && !said.contains(&hash), "{out}{said}");
        }
        fs::write(&config_toml, &out).unwrap();
        let line = out.lines().position(|line| line.contains("***")).unwrap() + 1;
        let place = format!("config.toml:{line}: {key}");
        assert_refused(&mut program(directory.path(), &["serve"]), &[&place, "***", "--print-config"]);
        fs::remove_file(&config_toml).unwrap();

        let line = refusal(&mut program(directory.path(), &["serve", key.flag, "hunter2"]));
        assert!(line.contains(key.flag) && !line.contains("hunter2"), "{line}");
        let line = refusal(program(directory.path(), &["serve"]).env(key.variable, "hunter2"));
        assert!(line.contains(key.variable) && !line.contains("hunter2"), "{line}");
        let good = one.toml.trim_end_matches(']');
        for bad in ["\"hunter2\"]", "hunter2]", "\"hunter2"] {
            fs::write(&config_toml, format!("[{}]\n{} = {good},\n {bad}\n", key.section, key.name)).unwrap();
            let line = refusal(&mut program(directory.path(), &["serve"]));
            assert!(line.contains("config.toml:3: ") && !line.contains("hunter2"), "{line}");
        }
        fs::remove_file(&config_toml).unwrap();
    }
}

// What is refused.

#[test]
fn a_bad_value_of_any_key_is_refused_and_named_by_where_it_stands() {
    for key in KEYS {
        let directory = TempDir::new().unwrap();
        let name = format!(": {key} ");
        let flag = format!("flag {}", key.flag);
        assert_refused(&mut program(directory.path(), &["serve", &format!("{}=", key.flag)]), &[&flag, &name]);
        let variable = format!("environment {}", key.variable);
        assert_refused(program(directory.path(), &["serve"]).env(key.variable, ""), &[&variable, &name]);
        let no_text = OsStr::from_bytes(b"\xff");
        assert_refused(program(directory.path(), &["serve"]).env(key.variable, no_text), &[&variable, &name, "UTF-8"]);
        let file = format!("[{}]\n\n{} = 2015-01-01\n", key.section, key.name);
        assert_config_refused(&file, &["config.toml:3", &name, "must be "]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
    }
}

#[test]
fn a_value_out_of_its_range_is_refused_and_named_by_where_it_stands() {
    let directory = TempDir::new().unwrap();
    let serve = ["serve"];
    for name in ["max_body_bytes", "body_timeout_s"] {
        let key = KEYS.iter().find(|key| key.name == name).unwrap();
        let must = format!("{key} must be at least 1, not ");
        assert_config_refused(format!("[server]\n{name} = 0\n"), &["config.toml:2: ", &must]);
        assert_refused(program(directory.path(), &serve).env(key.variable, "0"), &[key.variable, &must, "\"0\""]);
        assert_refused(program(directory.path(), &serve).args([key.flag, "0"]), &[key.flag, &must, "\"0\""]);
    }
}

#[test]
fn numbers_are_whole_and_written_in_digits() {
    let directory = TempDir::new().unwrap();
    let must = "server.queue_bytes must be a whole number";
    for bad in ["-1", "1.5", "1e6", "1_000", "0x10", "64MiB", " 1", "9223372036854775808"] {
        let shown = format!("not {bad:?}");
        let words = ["environment SCALE_METRICS_QUEUE_BYTES: ", must, &shown];
        assert_refused(program(directory.path(), &["serve"]).env("SCALE_METRICS_QUEUE_BYTES", bad), &words);
        let words = ["flag --queue-bytes: ", must, &shown];
        assert_refused(&mut program(directory.path(), &["serve", &format!("--queue-bytes={bad}")]), &words);
    }
    for bad in ["-1", "1.5", "1e6", "0x10", "\"1\"", "true", "9223372036854775808"] {
        let shown = format!("not {bad}");
        assert_config_refused(format!("server.queue_bytes = {bad}"), &["config.toml:1: ", must, &shown]);
    }
}

#[test]
fn the_refusal_of_a_value_says_what_is_allowed() {
    assert_config_refused("[api]\ndialect = \"klingon\"\n", &["must be one of documented, scale, not \"klingon\""]);
    assert_config_refused("[server]\nlisten = \"nowhere\"\n", &["must be ADDR:PORT, such as", "not \"nowhere\""]);
    assert_config_refused("[access]\npublic_read = \"yes\"\n", &["must be true or false, not \"yes\""]);
    assert_config_refused("[storage]\ndata = 7\n", &["must be a string, not 7"]);
    assert_config_refused("[access]\ntokens = \"a\"\n", &["must be a list of strings"]);
}

#[test]
fn unknown_keys_sections_and_flags_stop_the_start_and_are_named() {
    assert_config_refused("\n[server]\nlisten_on = 1\n", &["config.toml:3: ", "`listen_on`", "max_body_bytes"]);
    assert_config_refused("[sever]\nlisten = 1\n", &["config.toml:1: ", "`sever`"]);
    assert_config_refused("\nlisten = 1\n", &["config.toml:2: ", "`listen`"]);
    assert_config_refused("server = 1\n", &["config.toml:1: ", "`server` must be a section"]);
    let directory = TempDir::new().unwrap();
    assert_refused(&mut program(directory.path(), &["serve", "--speed", "9"]), &["--speed"]);
}

#[test]
fn a_file_that_cannot_be_understood_stops_the_start_and_its_line_is_named() {
    assert_config_refused("\n[server\n", &["config.toml:2: "]);
    assert_config_refused("[log]\nlevel = info\n", &["config.toml:2: "]);
    assert_config_refused("[log]\nlevel = \"info\"\nlevel = \"warn\"\n", &["config.toml:3: duplicate key `level`"]);
    assert_config_refused("[log]\n[api]\n[log]\n", &["config.toml:3: duplicate key `log`"]);
    assert_config_refused(b"[log]\n\n# \xff\n", &["config.toml:3: ", "UTF-8"]);
}

#[test]
fn a_file_that_cannot_be_read_stops_the_start() {
    let directory = TempDir::new().unwrap();
    let serve = || program(directory.path(), &["serve"]);
    assert_refused(serve().args(["--config", "missing.toml"]), &["flag --config: ", "`missing.toml`", "No such file"]);
    for (path, why) in
        [("missing.toml", "No such file"), ("", "No such file"), (".", "Is a directory"), ("a\nb", "No such file")]
    {
        let words = ["environment SCALE_METRICS_CONFIG: ", &format!("`{}`", path.escape_debug()), why];
        assert_refused(serve().env("SCALE_METRICS_CONFIG", path), &words);
    }
    fs::create_dir(directory.path().join("config.toml")).unwrap();
    assert_refused(&mut serve(), &["`config.toml`", "Is a directory"]);
}

#[test]
fn unknown_variables_are_told_and_known_ones_are_not() {
    let directory = TempDir::new().unwrap();
    let mut mistaken = program(directory.path(), &["--print-config"]);
    let (out, said) = run(mistaken.envs([("SCALE_METRICS_LISTN", "hunter2"), ("SCALE_METRICS_", "hunter2")]));
    assert_eq!(out, printed(directory.path(), &[]));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("WARN") && said.ends_with("ignored: SCALE_METRICS_, SCALE_METRICS_LISTN\n"), "{said}");

    fs::write(directory.path().join("empty.toml"), "").unwrap();
    let mut right = program(directory.path(), &["--print-config"]);
    right.env("SCALE_METRICS_URL", "http://x").env("SCALE_METRICS_TOKEN", "x");
    right.env("SCALE_METRICS_CONFIG", "empty.toml");
    right.envs(KEYS.iter().map(|key| (key.variable, samples(key)[0].text.clone())));
    assert_eq!(run(&mut right).1, "");
}
