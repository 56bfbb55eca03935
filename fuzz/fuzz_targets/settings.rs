//! See `src/settings.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inventory_fuzz::settings::holds(data));
