#![no_main]

// A panic that the reader catches is no crash, so libFuzzer's hook, which aborts at any, is taken
// away; one that the reader lets through still ends the run.
libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| netcrab_sources::fuzz::parquet(bytes)
);
