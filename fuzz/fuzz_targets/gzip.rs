#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scale_metrics::fuzz::check_gzip(bytes));
