//! JSON with the contract's idea of a UUID, an integer and a time.
//!
//! What is wrong is said without repeating the value: it may be a customer's id.

use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::{Code, Problem};

/// Reads a body; the problem says where in it, and what was expected there.
pub(super) fn from_slice<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    let text =
        std::str::from_utf8(body).map_err(|error| invalid(format!("The body is not UTF-8: {error}.")))?;
    serde_json::from_str(text).map_err(|_| invalid(explain::<T>(text)))
}

pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidMessage, detail)
}

/// Reads the body once more, this time keeping track of the path.
fn explain<'a, T: Deserialize<'a>>(text: &'a str) -> String {
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(error) if error.inner().is_data() => {
            let reason = error.inner().to_string();
            match error.path().to_string().as_str() {
                "." => format!("The body is not valid: {}.", without_value(&reason)),
                path => format!("The body is not valid at {path}: {}.", without_value(&reason)),
            }
        }
        Err(error) => format!("The body is not JSON: {}.", error.inner()),
        Ok(_) => "The body is not JSON: there is something behind its end.".to_owned(),
    }
}

/// Leaves out of "invalid type: string "secret", expected a sequence" what was found.
fn without_value(reason: &str) -> &str {
    reason.rfind("expected ").map_or(reason, |at| &reason[at..])
}

/// Writes a body. Serialization into memory fails only for maps whose keys are no strings; there are none.
pub(super) fn to_vec(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

/// RFC 3339 in UTC with `Z` and microseconds, the precision of the database.
#[must_use]
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

pub(super) fn serialize_time<S: Serializer>(time: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*time))
}

#[expect(clippy::ref_option, reason = "what serde calls this with")]
pub(super) fn serialize_optional_time<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    time.map(rfc3339).serialize(to)
}

/// An object, and not the array of its values that a derived `Deserialize` would take for one as well.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// A UUID in the hyphenated form, in any case.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireUuid(pub(super) Uuid);

impl<'de> Deserialize<'de> for WireUuid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Leaf::deserialize(from)? {
            Leaf::Uuid(uuid) => Ok(Self(uuid)),
            _ => Err(D::Error::custom("expected a UUID in the hyphenated form")),
        }
    }
}

/// An integer of at least 1. As in JSON Schema, `2.0` is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Positive(pub(super) u64);

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Leaf::deserialize(from)? {
            Leaf::Natural(number @ 1..) => Ok(Self(number)),
            _ => Err(D::Error::custom("expected an integer of at least 1")),
        }
    }
}

/// A value without parts, or something else that has been passed over.
enum Leaf {
    Uuid(Uuid),
    Natural(u64),
    Other,
}

impl<'de> Deserialize<'de> for Leaf {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LeafVisitor)
    }
}

struct LeafVisitor;

impl<'de> Visitor<'de> for LeafVisitor {
    type Value = Leaf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Leaf, E> {
        Ok(text.parse::<Hyphenated>().map_or(Leaf::Other, |uuid| Leaf::Uuid(uuid.into_uuid())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Leaf, E> {
        Ok(Leaf::Natural(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Leaf, E> {
        // Up to 2^53 a double is exact; everything beyond is over any limit anyway.
        let exact = number.fract() == 0.0 && (0.0..=9_007_199_254_740_991.0).contains(&number);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be exact")]
        Ok(if exact { Leaf::Natural(number as u64) } else { Leaf::Other })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Leaf, E> {
        Ok(Leaf::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Leaf, E> {
        Ok(Leaf::Other)
    }

    fn visit_unit<E>(self) -> Result<Leaf, E> {
        Ok(Leaf::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Leaf, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Leaf::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Leaf, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Leaf::Other)
    }
}
