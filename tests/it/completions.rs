//! `scale-metrics completions`: the scripts know every command and flag that the help knows.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::process::program;

/// What the program prints; it must succeed.
#[track_caller]
pub(crate) fn output_of(arguments: &[&str]) -> String {
    let directory = TempDir::new().unwrap();
    let output = program(directory.path(), arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The names of all commands, from the help.
pub(crate) fn commands() -> Vec<String> {
    let help = output_of(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<String> = names.filter(|name| name.starts_with(char::is_alphabetic)).map(str::to_owned).collect();
    assert!(names.iter().any(|name| name == "serve"), "{help}");
    names
}

/// The long flags of a command, from its help.
pub(crate) fn flags(command: &str) -> Vec<String> {
    let help = output_of(&[command, "--help"]);
    let starts = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let flags = starts.filter_map(|line| {
        let name = line.split_once("--")?.1;
        let end = name.find(|c: char| c != '-' && !c.is_ascii_alphanumeric()).unwrap_or(name.len());
        Some(format!("--{}", &name[..end]))
    });
    let flags: Vec<String> = flags.collect();
    assert!(flags.iter().any(|flag| flag == "--config"), "{help}");
    flags
}

#[test]
fn the_scripts_of_bash_zsh_and_fish_name_every_command_and_flag() {
    let commands = commands();
    let flags: Vec<String> = commands.iter().flat_map(|command| flags(command)).collect();
    for flag in ["--listen", "--url", "--repair", "--scope"] {
        assert!(flags.iter().any(|known| known == flag), "{flag} is not in {flags:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = output_of(&["completions", shell]);
        for command in &commands {
            assert!(script.contains(command.as_str()), "{shell}: {command}");
        }
        for flag in &flags {
            // fish writes `-l listen`.
            let in_fish = format!("-l {}", flag.trim_start_matches('-'));
            assert!(script.contains(flag) || (shell == "fish" && script.contains(&in_fish)), "{shell}: {flag}");
        }
    }
}

#[test]
fn bash_takes_its_script() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("scale-metrics.bash");
    fs::write(&path, output_of(&["completions", "bash"])).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&path).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let script = output_of(&["completions", "bash"]);
    let (_, function) = script.split_once("complete -F ").unwrap();
    let function = function.split_whitespace().next().unwrap();
    let last = words.len() - 1;
    let ask = format!(
        "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n{function} {} '{}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        words.join(" "),
        words[0],
        words[last],
        words[last - 1],
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    assert_eq!(offered(&["scale-metrics", "imp"]), ["import"]);
    assert_eq!(offered(&["scale-metrics", "check", "--rep"]), ["--repair"]);
    assert_eq!(offered(&["scale-metrics", "serve", "--dialect", "s"]), ["scale"]);
    assert_eq!(offered(&["scale-metrics", "completions", "z"]), ["zsh"]);
}

#[test]
fn a_configuration_that_cannot_be_used_is_not_in_the_way() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("config.toml"), "no such thing").unwrap();
    let output = program(directory.path(), &["completions", "bash"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_unknown_shell_is_refused() {
    let directory = TempDir::new().unwrap();
    let output = program(directory.path(), &["completions", "cmd.exe"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cmd.exe"));
}
