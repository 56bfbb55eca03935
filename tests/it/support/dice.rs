//! Randomness that can be repeated.

use uuid::Uuid;

/// The variable that repeats a history.
pub const SEED: &str = "INVENTORY_TEST_SEED";

/// The seed that is asked for, or else a new one.
pub fn seed() -> u64 {
    let asked = std::env::var(SEED).ok();
    asked.map_or_else(
        || Uuid::new_v4().as_u64_pair().1,
        |seed| seed.parse().unwrap_or_else(|error| panic!("{SEED}={seed}: {error}")),
    )
}

/// Dice that fall the same way for the same seed (`SplitMix64`).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// With the seed that is asked for, or else a new one; says which, where the test fails.
    pub fn seeded() -> Self {
        let seed = seed();
        eprintln!("{SEED}={seed} repeats the commands of this history");
        Self::of(seed)
    }

    /// With this seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice, which fall their own way.
    pub fn others(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to less than that.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// True so many times out of a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    /// A new id.
    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }
}
