//! Promises that every parser keeps for all input bytes. Each has a function that takes one input, and panics if the promise is
//! broken.
//!
//! The tests here run the functions on the corpora in `fuzz/`, on the inputs that failed once, and on mutations of both. The
//! targets in `fuzz/` include the same files, and run them under libFuzzer. Promises about private items are beside these items:
//! `api::fuzz`, `store::fuzz`.

mod aggregates;
mod config;
mod events;
mod times;

use std::fmt;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use scale_metrics::fuzz::{check_gzip, check_query, check_stored};

/// A function that checks one input.
type Target = fn(&[u8]);

/// All targets by name. The name of a target is also that of its corpus.
const TARGETS: [(&str, Target); 8] = [
    ("aggregate", aggregates::check),
    ("config", config::check),
    ("event_json", events::check_json),
    ("event_ndjson", events::check_ndjson),
    ("gzip", check_gzip),
    ("query", check_query),
    ("stored", check_stored),
    ("time", times::check),
];

/// Numbers near limits. They are inserted as texts and as stored bytes.
const LIMITS: [u64; 14] = [
    0,
    0x7f,
    0xff,
    256,
    (1 << 24) - 1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    (1 << 53) - 1,
    253_402_300_799_999_999,
    253_402_300_800_000_000,
    i64::MAX.cast_unsigned(),
    1 << 63,
    u64::MAX,
];

/// An input, which a failure shows as a literal.
#[derive(Clone)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "b\"{}\"", self.0.escape_ascii())
    }
}

/// What is done at a place of an input.
#[derive(Debug, Clone)]
enum Edit {
    /// Replaces so many bytes by these.
    Replace(usize, Vec<u8>),
    /// Replaces so many bytes by a part of another input.
    Splice(usize, Index, Index, usize),
    /// Replaces the next number that is written.
    Number(u64),
}

/// Returns the inputs of a target, ordered by name, so that the order is the same on all machines.
fn inputs(target: &str) -> Vec<(String, Input)> {
    let mut inputs = Vec::new();
    for directory in ["corpus", "regressions"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(directory).join(target);
        let Ok(files) = fs::read_dir(&directory) else { continue };
        for file in files {
            let path = file.unwrap().path();
            inputs.push((path.display().to_string(), Input(fs::read(&path).unwrap())));
        }
    }
    inputs.sort_by(|one, other| one.0.cmp(&other.0));
    inputs
}

/// A number as the codec writes it: seven bits a byte, the lowest first.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

/// A length, mostly a short one.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..=8_usize, 1 => 0..=4_096_usize]
}

fn edit() -> impl Strategy<Value = Edit> {
    let limits = || select(&LIMITS[..]);
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..4),
        limits().prop_map(varint),
        limits().prop_map(|number| number.to_le_bytes().to_vec()),
    ];
    prop_oneof![
        (length(), bytes).prop_map(|(removed, bytes)| Edit::Replace(removed, bytes)),
        (length(), any::<Index>(), any::<Index>(), length())
            .prop_map(|(removed, other, start, length)| Edit::Splice(removed, other, start, length)),
        limits().prop_map(Edit::Number),
    ]
}

/// Edits an input at a place.
fn apply(input: &mut Vec<u8>, place: Index, edit: &Edit, inputs: &[Input]) {
    let start = place.index(input.len() + 1);
    let end = |removed: usize| (start + removed).min(input.len());
    match edit {
        Edit::Replace(removed, bytes) => _ = input.splice(start..end(*removed), bytes.iter().copied()),
        Edit::Splice(removed, other, from, length) => {
            let other = &other.get(inputs).0;
            let from = from.index(other.len() + 1);
            let part = &other[from..(from + length).min(other.len())];
            input.splice(start..end(*removed), part.iter().copied());
        }
        Edit::Number(number) => {
            let start = start + input[start..].iter().position(u8::is_ascii_digit).unwrap_or(0);
            let count = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            input.splice(start..start + count, number.to_string().into_bytes());
        }
    }
}

#[test]
fn every_input_of_the_corpora_keeps_the_promises() {
    for (name, target) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() >= 20, "{name} has {} inputs", inputs.len());
        for (file, input) in inputs {
            catch_unwind(|| target(&input.0)).unwrap_or_else(|_| panic!("{file} breaks a promise"));
        }
    }
}

#[test]
fn mutations_of_the_corpora_keep_the_promises() {
    let cases = std::env::var("PROPTEST_CASES").map_or(10_000, |cases| cases.parse().unwrap());
    for (name, target) in TARGETS {
        let inputs: Vec<_> = inputs(name).into_iter().map(|(_, input)| input).collect();
        let mutated = (any::<Index>(), vec((any::<Index>(), edit()), 1..4)).prop_map(|(first, edits)| {
            let mut input = first.get(&inputs).0.clone();
            for (place, edit) in &edits {
                apply(&mut input, *place, edit, &inputs);
            }
            Input(input)
        });
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let run = TestRunner::new(config).run(&mutated, |input| {
            target(&input.0);
            Ok(())
        });
        if let Err(failure) = run {
            panic!("{name}: {failure}");
        }
    }
}
