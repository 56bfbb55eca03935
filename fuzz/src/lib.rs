//! What must hold for every input there is. The fuzz targets and the property tests call the same functions: each takes
//! bytes, makes of them what its module says, and panics where something does not hold.

pub mod decoder;
pub mod envelope;
pub mod seeds;
pub mod settings;
