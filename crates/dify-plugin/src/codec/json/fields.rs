//! Members that may have any type: a value that does not fit is treated as missing. For `deserialize_with`.
//!
//! Numbers and flags are also parsed from strings, and objects from strings that contain their JSON.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// Deserializes a value, or `None` if it has another type.
pub fn fit<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    deserializer.deserialize_any(Fit(PhantomData))
}

/// Deserializes a value, or the default of the type.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(fit(deserializer)?.unwrap_or_default())
}

/// Deserializes the entries that fit; a single value is an array of one. More than `MAX` entries are an error.
pub fn list<'de, const MAX: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    deserializer.deserialize_any(List { most: MAX, strict: true, in_place: None })
}

/// Like [`list`], but entries beyond `MAX` are dropped: for optional parts of a response.
pub fn first<'de, const MAX: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    deserializer.deserialize_any(List { most: MAX, strict: false, in_place: None })
}

/// Like [`first`], but an entry that does not fit is replaced with the default: for arrays that others refer to by
/// index.
pub fn places<'de, const MAX: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    deserializer.deserialize_any(List { most: MAX, strict: false, in_place: Some(T::default) })
}

/// Deserializes structures with member names in camel or snake case. Unknown members are skipped, and of two forms of
/// one name the first is used. A duplicate name is an error, as usual.
pub struct Named<D>(pub D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Named<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Structure { fields, visitor })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Structure<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Structure<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Members { map, fields: self.fields, seen: Vec::new() })
    }
}

/// The members of a structure under the names that it expects.
struct Members<A> {
    map: A,
    fields: &'static [&'static str],
    /// Members that were found, and whether in the other case.
    seen: Vec<(usize, bool)>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some((place, respelled)) = self.map.next_key_seed(Name(self.fields))? {
            // At most as many as the structure has members.
            let known = place.and_then(|place| self.seen.iter().find(|(seen, _)| *seen == place));
            match (place, known) {
                (Some(place), None) => {
                    self.seen.push((place, respelled));
                    return seed.deserialize(self.fields[place].into_deserializer()).map(Some);
                }
                (Some(place), Some((_, spelling))) if *spelling == respelled => {
                    return Err(A::Error::duplicate_field(self.fields[place]));
                }
                _ => {
                    self.map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Finds a member by its name, and whether the name was in snake case.
struct Name(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = (Option<usize>, bool);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = (Option<usize>, bool);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let place = |name: &str| self.0.iter().position(|field| *field == name);
        match place(name) {
            None if name.contains('_') => Ok((place(&camel(name)), true)),
            found => Ok((found, false)),
        }
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// Records whether a member was read.
struct Touched<'a, A> {
    map: &'a mut A,
    touched: &'a mut bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Touched<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        *self.touched = true;
        self.map.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

struct Fit<T>(PhantomData<T>);

impl<T: DeserializeOwned> Fit<T> {
    fn scalar<'de, D: Deserializer<'de>>(value: D) -> Option<T> {
        T::deserialize(value).ok()
    }

    /// Deserializes a string as it is, or the JSON in it.
    fn text<E: Error>(text: String) -> Option<T> {
        let as_json = |text: &str| super::whole(text).ok().filter(|_| super::estimate(text) <= super::MAX_MEMORY_BYTES);
        let json = text.trim_start().starts_with(|letter: char| letter.is_ascii_digit() || "{[-tf".contains(letter));
        match json {
            false => T::deserialize(StringDeserializer::<E>::new(text)).ok(),
            true => T::deserialize(IntoDeserializer::<E>::into_deserializer(text.as_str()))
                .ok()
                .or_else(|| as_json(text.trim())),
        }
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Fit<T> {
    type Value = Option<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Self::scalar(IntoDeserializer::<E>::into_deserializer(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        let number = Self::scalar(IntoDeserializer::<E>::into_deserializer(value));
        let text = || Self::scalar(StringDeserializer::<E>::new(value.to_string()));
        let flag = || Self::scalar(IntoDeserializer::<E>::into_deserializer(value != 0));
        Ok(number.or_else(text).or_else(flag))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Ok(Self::scalar(IntoDeserializer::<E>::into_deserializer(value))),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        match Self::scalar(IntoDeserializer::<E>::into_deserializer(value)) {
            None if value.fract() == 0.0 && value.abs() < 9e15 => self.visit_i64(value as i64),
            found => Ok(found),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Self::text::<E>(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Self::Value, E> {
        Ok(Self::text::<E>(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut touched = false;
        match T::deserialize(Named(MapAccessDeserializer::new(Touched { map: &mut map, touched: &mut touched }))) {
            Ok(found) => Ok(Some(found)),
            Err(error) if touched => Err(error),
            // The expected type is not an object.
            Err(_) => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(None)
            }
        }
    }
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for Fit<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

struct List<T> {
    most: usize,
    strict: bool,
    /// Replacement for an entry that does not fit.
    in_place: Option<fn() -> T>,
}

impl<T: DeserializeOwned> List<T> {
    fn alone<E>(found: Result<Option<T>, E>) -> Result<Vec<T>, E> {
        found.map(|found| found.into_iter().collect())
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Self::alone(Fit(PhantomData).visit_bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Self::alone(Fit(PhantomData).visit_i64(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Self::alone(Fit(PhantomData).visit_u64(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Self::alone(Fit(PhantomData).visit_f64(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Self::alone(Fit(PhantomData).visit_str(value))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Self::Value, E> {
        Self::alone(Fit(PhantomData).visit_string(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while found.len() < self.most {
            match seq.next_element_seed(Fit(PhantomData))? {
                Some(entry) => found.extend(entry.or_else(|| self.in_place.map(|make| make()))),
                None => return Ok(found),
            }
        }
        let more = seq.next_element::<IgnoredAny>()?.is_some();
        if more && self.strict {
            return Err(A::Error::custom(format!("a list of more than {} entries", self.most)));
        }
        while more && seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Self::alone(Fit(PhantomData).visit_map(map))
    }
}
