//! Random changes to bytes that mean something.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A change to the bytes of a body.
#[derive(Debug, Clone)]
pub enum Mutation {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, u8),
    Repeat(Index, u8),
}

impl Mutation {
    fn apply(&self, body: &mut Vec<u8>) {
        let end = |at: usize, count: u8, len: usize| len.min(at + usize::from(count));
        let len = body.len();
        match self {
            Self::Set(at, byte) => {
                body.iter_mut().skip(at.index(len + 1)).take(1).for_each(|old| *old = *byte);
            }
            Self::Insert(at, bytes) => {
                let at = at.index(len + 1);
                body.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(len + 1);
                body.drain(at..end(at, *count, len));
            }
            Self::Repeat(at, count) => {
                let at = at.index(len + 1);
                let repeated = body[at..end(at, *count, len)].to_vec();
                body.splice(at..at, repeated);
            }
        }
    }
}

/// Changes of every kind, with bytes that mean something in JSON or on the wire.
pub fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let telling = select(b"{}[]\",:\\-+.eE019tfnu \x00\x7f\xc3\xff".to_vec());
    let byte = prop_oneof![telling, any::<u8>()];
    prop_oneof![
        (at(), byte.clone()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), vec(byte, 1..8)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (at(), any::<u8>()).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (at(), any::<u8>()).prop_map(|(at, count)| Mutation::Repeat(at, count)),
    ]
}

/// The bytes with these changes, one after the other.
pub fn applied(mutations: &[Mutation], mut bytes: Vec<u8>) -> Vec<u8> {
    for mutation in mutations {
        mutation.apply(&mut bytes);
    }
    bytes
}
