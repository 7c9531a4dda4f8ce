#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netcrab_sources::fuzz::batch(bytes));
