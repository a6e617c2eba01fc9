//! Deserializes objects member by member: a value that is not an object counts as absent, and unknown members are
//! skipped.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A type that reads members of an object.
pub(super) trait Members<'de>: Default {
    /// Reads the value of a member. Returns `false` without reading anything if this member is not supported.
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// An object, or `None` if the value is not an object.
pub(super) struct Object<T>(pub(super) Option<T>);

impl<'de, T: Members<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData)).map(Self)
    }
}

/// Reads the members of an object.
pub(super) fn read<'de, T: Members<'de>, A: MapAccess<'de>>(mut map: A) -> Result<T, A::Error> {
    let mut found = T::default();
    while let Some(name) = map.next_key::<Cow<'de, str>>()? {
        if !found.member(&name, &mut map)? {
            map.next_value::<IgnoredAny>()?;
        }
    }
    Ok(found)
}

/// Visitor methods that return the default for everything that is neither array nor object.
macro_rules! no_object {
    ($nothing:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_i64<E>(self, _value: i64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_u64<E>(self, _value: u64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_f64<E>(self, _value: f64) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_str<E>(self, _value: &str) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Members<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    no_object!(None);

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        read(map).map(Some)
    }
}

/// Reads the first entries of an array that are objects and not empty. A single object counts as an array of one.
/// Returns
/// `None` if the value is neither.
pub(super) struct Few<T> {
    /// Maximum number of entries.
    pub(super) most: usize,
    /// Whether an entry is empty and is skipped.
    pub(super) empty: fn(&T) -> bool,
    /// Name of the entries in error messages.
    pub(super) kind: &'static str,
}

impl<'de, T: Members<'de>> Visitor<'de> for Few<T> {
    type Value = (Vec<T>, bool);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an array of {}", self.kind)
    }

    no_object!((Vec::new(), true));

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while list.len() < self.most {
            match sequence.next_element::<Object<T>>()? {
                Some(Object(found)) => list.extend(found.filter(|found| !(self.empty)(found))),
                None => return Ok((list, false)),
            }
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok((list, false))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let found = read::<T, A>(map)?;
        Ok((if (self.empty)(&found) { Vec::new() } else { vec![found] }, true))
    }
}

/// Deserializes these types from objects; any other value becomes the default.
macro_rules! lenient_object {
    ($($type:ident),*) => {$(
        impl<'de> Deserialize<'de> for $type<'de> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Object::deserialize(deserializer).map(|found| found.0.unwrap_or_default())
            }
        }
    )*};
}
pub(super) use lenient_object;
pub(super) use no_object;
