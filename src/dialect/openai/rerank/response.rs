//! Finds the list of results in a rerank response, and reads its entries: only the members that are used. Everything else
//! is skipped without being stored.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::openai::members::no_object;
use crate::dialect::openai::wire::{Number, Text};

/// Where servers put the results; DashScope's native format nests them.
const PLACES: [&str; 3] = ["results", "data", "output.results"];

/// Maximum number of names in the path of the results.
const MAX_PATH_NAMES: usize = 8;

/// Maximum number of entries in a response; far more than a request has documents.
const MAX_ENTRIES: usize = 65_536;

/// Returns the text of the list of results: at this path, at one of the usual ones, or the response itself.
pub(super) fn list<'de>(text: &'de str, path: Option<&str>) -> serde_json::Result<Option<&'de str>> {
    let is_list = |text: &str| text.trim_start().starts_with('[');
    if is_list(text) {
        return Ok(Some(text));
    }
    for path in path.into_iter().filter(|path| *path != ".").chain(PLACES) {
        let mut found = Some(text);
        for name in path.splitn(MAX_PATH_NAMES, '.') {
            found = match found {
                Some(text) => member(text, name)?,
                None => break,
            };
        }
        if let Some(found) = found.filter(|found| is_list(found)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Reads the entries of a list; `score` is the member of the score if it is not a usual one.
pub(super) fn entries(text: &str, score: Option<&str>) -> serde_json::Result<Vec<RerankEntry>> {
    read(text, Entries(Entry { score }))
}

fn read<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> serde_json::Result<S::Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Returns the text of a member, or `None` if there is none or the value is not an object. Of duplicates the last one
/// counts.
fn member<'de>(text: &'de str, name: &str) -> serde_json::Result<Option<&'de str>> {
    read(text, Member(name)).map(|found| found.map(RawValue::get))
}

struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    no_object!(None);

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Self::Value, A::Error> {
        skip(sequence).map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Skips the rest of an array.
fn skip<'de, A: SeqAccess<'de>>(mut sequence: A) -> Result<(), A::Error> {
    while sequence.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// One result.
#[derive(Debug, Default)]
pub(super) struct RerankEntry {
    pub(super) index: Option<i64>,
    pub(super) score: Option<f64>,
    pub(super) document: String,
}

/// Reads a list of results. Entries that are not objects are skipped.
struct Entries<'n>(Entry<'n>);

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = Vec<RerankEntry>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = Vec<RerankEntry>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of documents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while list.len() < MAX_ENTRIES {
            match sequence.next_element_seed(self.0)? {
                Some(found) => list.extend(found),
                None => return Ok(list),
            }
        }
        skip(sequence)?;
        Ok(list)
    }
}

/// Reads one result.
#[derive(Clone, Copy)]
struct Entry<'n> {
    score: Option<&'n str>,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = Option<RerankEntry>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = Option<RerankEntry>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a document")
    }

    no_object!(None);

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Self::Value, A::Error> {
        skip(sequence).map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = RerankEntry::default();
        // The configured member, then `relevance_score`, then `score`.
        let mut scores = [None; 3];
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match &*name {
                name if self.score == Some(name) => scores[0] = map.next_value::<Number>()?.0,
                "index" => found.index = map.next_value::<Number>()?.whole(),
                "relevance_score" => scores[1] = map.next_value::<Number>()?.0,
                "score" => scores[2] = map.next_value::<Number>()?.0,
                "document" | "text" => found.document = map.next_value::<Text<'de>>()?.as_str().to_owned(),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        found.score = scores.into_iter().flatten().next();
        Ok(Some(found))
    }
}
