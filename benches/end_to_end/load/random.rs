//! Pseudo-random numbers: cheap, and good enough to pick products and make ids.

use uuid::{Builder, Uuid};

/// xorshift64*, see <https://en.wikipedia.org/wiki/Xorshift>.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Other numbers every time.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::new_v4().as_u64_pair().1 | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// An index below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from((self.next() >> 16) % end.max(1)).unwrap_or_default()
    }

    /// A UUID of version 4.
    pub fn uuid(&mut self) -> Uuid {
        let bytes = Uuid::from_u64_pair(self.next(), self.next()).into_bytes();
        Builder::from_random_bytes(bytes).into_uuid()
    }
}
