#![no_main]

#[path = "../../tests/it/promises/aggregates.rs"]
mod aggregates;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aggregates::check(bytes));
