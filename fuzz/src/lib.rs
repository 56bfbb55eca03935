//! What must hold for every input there is. The fuzz targets and the property tests call the same functions: each takes
//! bytes, makes of them what its module says, and panics where something does not hold.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "to panic is what a target is for")]

pub mod decoder;
pub mod envelope;
pub mod seeds;
pub mod settings;
