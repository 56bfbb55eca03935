//! See `src/decoder.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| inventory_fuzz::decoder::holds(data));
