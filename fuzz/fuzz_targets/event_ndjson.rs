#![no_main]

#[path = "../../tests/it/promises/events.rs"]
mod events;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| events::check_ndjson(bytes));
