//! Identifiers with names: `P1` is a product, `C1` a cart, `O1` an order, `R1` a reservation whose id its
//! sender chose, `N1` one that the service made for the first command, `A1` the answer to it.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// The identifier of a name: a letter and a number.
pub fn uuid(name: &str) -> Uuid {
    let mut characters = name.chars();
    let letter = characters.next().unwrap_or_else(|| panic!("an empty name"));
    let number =
        characters.as_str().parse().unwrap_or_else(|_| panic!("{name} is not a letter and a number"));
    numbered(letter, number)
}

/// The identifier of a letter and a number.
pub fn numbered(letter: char, number: usize) -> Uuid {
    Uuid::from_u64_pair(u64::from(u32::from(letter)), number as u64)
}

/// The number in a name.
pub fn number(id: Uuid) -> usize {
    usize::try_from(id.as_u64_pair().1).unwrap_or(usize::MAX)
}

/// The name of an identifier.
pub fn name(id: Uuid) -> String {
    let (letter, number) = id.as_u64_pair();
    let letter = u32::try_from(letter).ok().and_then(char::from_u32).unwrap_or('?');
    format!("{letter}{number}")
}

/// So many seconds after the beginning of a history.
pub fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

/// Seconds since the beginning of a history.
pub fn second(time: DateTime<Utc>) -> i64 {
    (time - DateTime::UNIX_EPOCH).num_seconds()
}
