//! See `src/envelope.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inventory_fuzz::envelope::holds(data));
