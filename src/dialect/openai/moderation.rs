//! Moderation bodies: the request, and the response as one verdict. A text without a verdict is an error, so that
//! nothing
//! passes as safe by mistake.

use std::fmt;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::members::{Few, Members, Object, no_object};
use dify_plugin::error::InvokeError;

/// Maximum number of results in a response; far more than a request has texts.
const MAX_RESULTS: usize = 4096;

/// Number of characters per text of a model that declares none.
const DEFAULT_CHARACTERS: usize = 2000;

/// How texts are checked by `POST /moderations`. As YAML: the block `moderation`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModerationForm {
    /// Maximum number of characters per text; longer texts are split. Default: `max_characters_per_chunk` of the model,
    /// else 2000.
    pub longest: Option<NonZeroUsize>,
    /// Maximum number of texts per request. Default: `max_chunks` of the model, else 1.
    pub batch: Option<NonZeroUsize>,
    /// What makes a text unsafe: `flagged` (the member of this name) or `categories` (any of them is true). A response
    /// that has only the other one is understood, too. Default: `flagged`.
    pub flag: Flag,
}

/// What makes a text unsafe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Flag {
    /// The member `flagged`.
    #[default]
    Flagged,
    /// Any category.
    Categories,
}

impl ModerationForm {
    /// Returns the maximum number of characters per text for a model that declares this `max_characters_per_chunk`.
    pub fn characters(&self, declared: Option<usize>) -> usize {
        self.longest.map(NonZeroUsize::get).or(declared).unwrap_or(DEFAULT_CHARACTERS).max(1)
    }

    /// Returns the maximum number of texts per request for a model that declares this `max_chunks`.
    pub fn batch_size(&self, max_chunks: Option<usize>) -> usize {
        self.batch.map(NonZeroUsize::get).or(max_chunks).unwrap_or(1).max(1)
    }

    /// Returns the body of a request.
    pub fn request(&self, model: &str, texts: &[&str]) -> Map<String, Value> {
        Map::from_iter([("model".to_owned(), model.into()), ("input".to_owned(), texts.into())])
    }

    /// Parses the response for this number of texts. Returns whether one of them is unsafe.
    pub fn read(&self, text: &str, texts: usize) -> Result<bool, InvokeError> {
        let found: Object<ModerationResponse> = serde_json::from_str(text).map_err(|error| {
            InvokeError::server_unavailable(format!("cannot read the moderation of the response: {error}"))
        })?;
        let Some(results) = found.0.and_then(|found| found.results) else {
            return Err(InvokeError::server_unavailable("the response has no `results`"));
        };
        let verdicts: Vec<Option<bool>> = results.0.iter().map(|result| result.verdict(self.flag)).collect();
        if verdicts.contains(&Some(true)) {
            return Ok(true);
        }
        if verdicts.len() != texts {
            return Err(InvokeError::server_unavailable(format!(
                "the server returned {} results for {texts} texts",
                verdicts.len()
            )));
        }
        match verdicts.iter().position(Option::is_none) {
            Some(place) => Err(InvokeError::server_unavailable(format!(
                "the server returned neither `flagged` nor `categories` for text {place}"
            ))),
            None => Ok(false),
        }
    }
}

#[derive(Default)]
struct ModerationResponse {
    results: Option<Results>,
}

impl<'de> Members<'de> for ModerationResponse {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "results" => self.results = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Results; a single object counts as a list of one.
struct Results(Vec<ModerationResult>);

impl<'de> Deserialize<'de> for Results {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let few = Few { most: MAX_RESULTS, empty: |_: &ModerationResult| false, kind: "results" };
        deserializer.deserialize_any(few).map(|(list, _)| Self(list))
    }
}

#[derive(Default)]
struct ModerationResult {
    flagged: Option<bool>,
    categories: Option<bool>,
}

impl ModerationResult {
    fn verdict(&self, flag: Flag) -> Option<bool> {
        match flag {
            Flag::Flagged => self.flagged.or(self.categories),
            Flag::Categories => self.categories.or(self.flagged),
        }
    }
}

impl<'de> Members<'de> for ModerationResult {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "flagged" => self.flagged = map.next_value::<Answer>()?.0,
            "categories" => self.categories = map.next_value::<AnyCategory>()?.0,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// True, false, or one of these as a text or a number; `None` for anything else.
struct Answer(Option<bool>);

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnswerVisitor).map(Self)
    }
}

struct AnswerVisitor;

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Option<bool>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("true or false")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok((value < 2).then_some(value == 1))
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        let is = |word: &str| text.trim().eq_ignore_ascii_case(word);
        Ok(if is("true") { Some(true) } else { is("false").then_some(false) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Whether any category is true; `None` if the value is no object or no category has an answer.
struct AnyCategory(Option<bool>);

impl<'de> Deserialize<'de> for AnyCategory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyCategoryVisitor).map(Self)
    }
}

struct AnyCategoryVisitor;

impl<'de> Visitor<'de> for AnyCategoryVisitor {
    type Value = Option<bool>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of categories")
    }

    no_object!(None);

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut any = None;
        while let Some((_, Answer(answer))) = map.next_entry::<IgnoredAny, Answer>()? {
            any = if any == Some(true) { any } else { answer.or(any) };
        }
        Ok(any)
    }
}

#[cfg(test)]
mod tests;
