//! What the fuzz targets demand (`fuzz/`, `scripts/fuzz`), with the same seeds and without a fuzzer: on every run of the
//! tests, and anywhere.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::mutation::{applied, mutation};
use super::targets::{decoder, envelope, seeds, settings};

/// Changes a seed in a few places, and demands what must hold.
fn holds_for(seeds: Vec<Vec<u8>>, holds: fn(&[u8])) {
    for seed in &seeds {
        holds(seed);
    }
    let config = ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(seed in select(seeds), mutations in vec(mutation(), 1..6))| {
        holds(&applied(&mutations, seed));
    });
}

#[test]
fn bodies() {
    holds_for(seeds::decoder(), decoder::holds);
}

#[test]
fn properties_and_headers() {
    holds_for(seeds::envelope(), envelope::holds);
}

#[test]
fn files_and_variables() {
    holds_for(seeds::settings(), settings::holds);
}

/// Not a test: `scripts/fuzz` begins with these files.
#[test]
#[ignore = "writes files for scripts/fuzz"]
fn write_seeds() {
    let folder = std::env::var("FUZZ_CORPUS").expect("FUZZ_CORPUS: where to");
    for (target, seeds) in
        [("decoder", seeds::decoder()), ("envelope", seeds::envelope()), ("settings", seeds::settings())]
    {
        let folder = Path::new(&folder).join(target);
        std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for (number, seed) in seeds.iter().enumerate() {
            let file = folder.join(format!("seed-{number:03}"));
            std::fs::write(&file, seed).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
}
