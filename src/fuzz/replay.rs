//! The short form of fuzzing: runs the corpora, the inputs that failed once, and mutations of both.

use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fastrand::Rng;

use super::TARGETS;

/// The number of mutations of its corpus that each target gets. `FUZZ_ROUNDS` overrides it.
const ROUNDS: usize = 10_000;
/// The length of the longest generated input, in bytes.
const LONGEST: usize = 4_096;

/// Numbers near limits. They are inserted as texts and as stored bytes.
const LIMITS: &[u64] = &[
    0,
    1,
    0x7f,
    0x80,
    0xff,
    128,
    255,
    256,
    999,
    1_000,
    (1 << 24) - 1,
    1 << 24,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 53) - 1,
    1 << 53,
    253_402_300_799_999_999,
    253_402_300_800_000_000,
    i64::MAX.cast_unsigned(),
    1 << 63,
    u64::MAX,
];

/// Returns the inputs of a target, ordered by name, so that the order is the same on all machines.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut inputs = Vec::new();
    for directory in ["corpus", "regressions"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(directory).join(target);
        let Ok(files) = fs::read_dir(&directory) else { continue };
        for file in files {
            let path = file.unwrap().path();
            inputs.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    inputs.sort();
    inputs
}

/// Runs a target. If it fails, reports the input.
fn run(target: super::Target, name: &str, input: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(input))) {
        let mut literal = String::new();
        for byte in input {
            let _ = write!(literal, "{}", byte.escape_ascii());
        }
        eprintln!("{name}: b\"{literal}\"");
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_input_of_the_corpora_keeps_the_promises() {
    for &(name, target) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() >= 20, "{name} has {} inputs", inputs.len());
        for (file, input) in inputs {
            run(target, &file, &input);
        }
    }
}

#[test]
fn mutations_of_the_corpora_keep_the_promises() {
    let rounds = std::env::var("FUZZ_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for &(name, target) in TARGETS {
        let inputs: Vec<_> = inputs(name).into_iter().map(|(_, input)| input).collect();
        let mut random = Rng::with_seed(2015);
        for round in 0..rounds {
            let mut input = random.choice(&inputs).cloned().unwrap_or_default();
            for _ in 0..random.usize(1..4) {
                mutate(&mut random, &mut input, &inputs);
            }
            input.truncate(LONGEST);
            run(target, &format!("{name}, round {round}"), &input);
        }
    }
}

/// Mutates an input in one of several ways that cause typical errors.
fn mutate(random: &mut Rng, input: &mut Vec<u8>, others: &[Vec<u8>]) {
    let part = part(random, input.len());
    match random.u8(..8) {
        0 => {
            if let Some(byte) = input.get_mut(part.start) {
                *byte ^= 1 << random.u8(..8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(part.start) {
                *byte = random.u8(..);
            }
        }
        2 => _ = input.drain(part),
        3 => {
            let copy = input[part.clone()].to_vec();
            input.splice(part.end..part.end, copy);
        }
        4 => {
            let other = random.choice(others).cloned().unwrap_or_default();
            let range = self::part(random, other.len());
            input.splice(part, other[range].iter().copied());
        }
        5 => {
            let limit = random.choice(LIMITS).copied().unwrap_or_default();
            input.splice(digits(input, part.start), limit.to_string().into_bytes());
        }
        6 => {
            let mut limit = random.choice(LIMITS).copied().unwrap_or_default();
            let mut bytes = Vec::new();
            while limit >= 0x80 {
                bytes.push(limit.to_le_bytes()[0] | 0x80);
                limit >>= 7;
            }
            bytes.push(limit.to_le_bytes()[0]);
            input.splice(part.start..part.start, bytes);
        }
        _ => {
            let limit = random.choice(LIMITS).copied().unwrap_or_default();
            let end = input.len().min(part.start + 8);
            input.splice(part.start..end, limit.to_le_bytes());
        }
    }
}

/// Returns a random range within `length` bytes, mostly a short one.
fn part(random: &mut Rng, length: usize) -> std::ops::Range<usize> {
    let start = random.usize(..=length);
    let longest = if random.u8(..4) == 0 { length } else { 8 };
    start..(start + random.usize(..=longest)).min(length)
}

/// Returns the range of the first number that is written in an input behind an index; an empty range if there is none.
fn digits(input: &[u8], place: usize) -> std::ops::Range<usize> {
    let start = place + input[place..].iter().position(u8::is_ascii_digit).unwrap_or(0);
    let count = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    start..start + count
}
