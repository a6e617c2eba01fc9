//! Response types, borrowed from the input: only the members that are used, each as lenient as servers are careless. A
//! member of an unexpected type counts as absent, of duplicates the last one counts, arrays are limited, and unknown
//! members
//! are skipped without being stored.

mod text;
mod usage;

use std::borrow::Cow;

use serde::de::{Error, MapAccess};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

pub use self::text::{Number, Parts, Text, Word};
pub use self::usage::Usage;
use super::kept;
use super::members::{Few, Members, Object, lenient_object};
use super::tool_calls::MAX_TOOL_CALLS;
use dify_plugin::codec::json;

/// Maximum number of choices of a chunk that are examined.
const MAX_CHOICES: usize = 16;

/// Members in which servers send thoughts, most common first: DeepSeek, Qwen, vLLM, Xinference; OpenRouter and newer
/// vLLM; gateways; and two arrays of objects: LiteLLM's for Anthropic, OpenRouter's.
const THOUGHTS: [&str; 9] = [
    "reasoning_content",
    "reasoning",
    "thinking",
    "thinking_content",
    "thought",
    "thoughts",
    "reasoning_text",
    "thinking_blocks",
    "reasoning_details",
];

/// Members whose strings continue from chunk to chunk: those of `THOUGHTS` that are strings, and others.
pub const CONTINUED: &[&str] = {
    const MORE: [&str; 3] = ["content", "text", "arguments"];
    const TEXTS: usize = THOUGHTS.len() - 2;
    const ALL: [&str; TEXTS + MORE.len()] = {
        let mut all = [""; TEXTS + MORE.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = if at < TEXTS { THOUGHTS[at] } else { MORE[at - TEXTS] };
            at += 1;
        }
        all
    };
    &ALL
};

/// A chunk of a stream, or a complete `chat.completion` / `text_completion`.
#[derive(Debug, Default)]
pub struct Chunk<'a> {
    /// The choices.
    pub choices: Choices<'a>,
    /// Token usage, on any chunk.
    pub usage: Usage,
    /// An error in a stream that began successfully: string or object.
    pub error: Option<Failure<'a>>,
    /// Fingerprint of the model's build.
    pub system_fingerprint: Text<'a>,
}

impl<'de> Members<'de> for Chunk<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "choices" => self.choices = map.next_value()?,
            "usage" => self.usage.absorb(map.next_value()?),
            // Groq repeats the usage in a member of its own, which it sends even if it was not asked.
            "x_groq" => self.usage.absorb(map.next_value::<Object<Nested>>()?.0.unwrap_or_default().usage),
            "error" => self.error = map.next_value()?,
            "system_fingerprint" => self.system_fingerprint = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// An object that contains the token usage.
#[derive(Default)]
struct Nested {
    usage: Usage,
}

impl<'de> Members<'de> for Nested {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "usage" => self.usage.absorb(map.next_value()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// One choice: `delta` in a stream, `message` in a document, `text` in completion mode.
#[derive(Debug, Default)]
pub struct Choice<'a> {
    /// Index among the choices.
    pub index: Option<i64>,
    /// New parts of the message.
    pub delta: Option<Delta<'a>>,
    /// The complete message.
    pub message: Option<Delta<'a>>,
    /// Text of completion mode.
    pub text: Text<'a>,
    /// Finish reason.
    pub finish_reason: Word<'a>,
    /// Token usage in an unusual place (Moonshot, Kimi).
    pub usage: Usage,
    /// An error of this choice.
    pub error: Option<Failure<'a>>,
}

impl<'de> Members<'de> for Choice<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "index" => self.index = map.next_value::<Number>()?.whole().filter(|index| *index >= 0),
            "delta" => self.delta = map.next_value::<Object<_>>()?.0,
            "message" => self.message = map.next_value::<Object<_>>()?.0,
            "text" => self.text = map.next_value()?,
            "finish_reason" => self.finish_reason = map.next_value()?,
            "usage" => self.usage.absorb(map.next_value()?),
            "error" => self.error = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The parts of a message.
#[derive(Debug, Default)]
pub struct Delta<'a> {
    /// Text of the response, and thoughts among its parts.
    pub content: Parts<'a>,
    /// Thoughts in a separate member: the first of `THOUGHTS` that is not empty.
    pub thoughts: Text<'a>,
    /// Index of that member in [`THOUGHTS`].
    rank: usize,
    /// The model's refusal instead of content.
    pub refusal: Text<'a>,
    /// Calls or fragments of them.
    pub tool_calls: Fragments<'a>,
    /// The single call of the older format.
    pub function_call: Option<FunctionFragment<'a>>,
    /// Members of the message itself that the server expects back, if they contain a signature.
    pub kept: kept::Written<'a>,
}

impl Delta<'_> {
    /// Whether the upstream has a member for thoughts, even if it is empty.
    pub fn has_thought_field(&self) -> bool {
        self.thoughts.0.is_some()
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.content.text.as_str().is_empty()
            && self.content.thoughts.is_empty()
            && self.thoughts.as_str().is_empty()
            && self.refusal.as_str().is_empty()
            && self.tool_calls.0.is_empty()
            && self.function_call.is_none()
    }
}

impl<'de> Members<'de> for Delta<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "content" => self.content = map.next_value()?,
            "refusal" => self.refusal = map.next_value()?,
            "tool_calls" => self.tool_calls = map.next_value()?,
            "function_call" => self.function_call = map.next_value::<Object<_>>()?.0,
            _ if kept::NAMES.contains(&name) => keep(&mut self.kept, name, map.next_value()?, b"signature"),
            _ => {
                let Some(rank) = THOUGHTS.iter().position(|own| *own == name) else { return Ok(false) };
                let thoughts: Text<'de> = map.next_value()?;
                let better = self.thoughts.as_str().is_empty() || (rank <= self.rank && !thoughts.as_str().is_empty());
                if better && thoughts.0.is_some() {
                    (self.thoughts, self.rank) = (thoughts, rank);
                }
            }
        }
        Ok(true)
    }
}

/// A call or a fragment of one.
#[derive(Debug, Default)]
pub struct CallFragment<'a> {
    /// Index of the call.
    pub index: Option<i64>,
    /// ID; often on the first fragment only.
    pub id: Text<'a>,
    /// Name and arguments.
    pub function: FunctionFragment<'a>,
    /// Members that the server expects back with the call.
    pub kept: kept::Written<'a>,
}

/// Keeps a member that is not empty and has these bytes in its name or value.
fn keep<'a>(kept: &mut kept::Written<'a>, name: &str, value: &'a RawValue, with: &[u8]) {
    let Some(name) = kept::NAMES.into_iter().find(|own| *own == name) else { return };
    let has = |text: &str| memchr::memmem::find(text.as_bytes(), with).is_some();
    kept.retain(|(other, _)| *other != name);
    if value.get() != "null" && (has(name) || has(value.get())) {
        kept.push((name, value));
    }
}

impl<'de> Members<'de> for CallFragment<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "index" => self.index = map.next_value::<Number>()?.whole(),
            "id" => self.id = map.next_value()?,
            "function" => {
                if let Some(function) = map.next_value::<Object<_>>()?.0 {
                    self.function = function;
                }
            }
            // Some servers omit the enclosing object.
            "name" if self.function.name.as_str().is_empty() => self.function.name = map.next_value()?,
            "arguments" if self.function.arguments.is_empty() => return self.function.member(name, map),
            _ if kept::NAMES.contains(&name) => keep(&mut self.kept, name, map.next_value()?, b""),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl CallFragment<'_> {
    fn is_empty(&self) -> bool {
        let FunctionFragment { name, arguments } = &self.function;
        let texts = [self.id.as_str(), name.as_str(), arguments];
        texts.iter().all(|text| text.is_empty()) && self.kept.is_empty()
    }
}

/// Name and arguments, or fragments of them.
#[derive(Debug, Default)]
pub struct FunctionFragment<'a> {
    /// Name: on the first fragment, on all of them, or split.
    pub name: Text<'a>,
    /// Arguments: JSON text in fragments, or (from careless servers) the object itself.
    pub arguments: Cow<'a, str>,
}

impl<'de> Members<'de> for FunctionFragment<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            "name" => self.name = map.next_value()?,
            "arguments" | "parameters" | "input" => {
                let value: &'de RawValue = map.next_value()?;
                if !self.arguments.is_empty() {
                    return Ok(true);
                }
                self.arguments = match value.get().as_bytes().first() {
                    Some(b'"') => {
                        let text: Text<'de> = serde_json::from_str(value.get()).map_err(A::Error::custom)?;
                        text.0.unwrap_or_default()
                    }
                    Some(b'{' | b'[') => Cow::Borrowed(value.get()),
                    _ => Cow::Borrowed(""),
                };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

lenient_object!(Chunk, Choice, Delta, CallFragment, FunctionFragment);

/// The error of an upstream in its JSON form.
#[derive(Clone, Copy, Debug)]
pub struct Failure<'a>(&'a RawValue);

impl<'de> Deserialize<'de> for Failure<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&RawValue>::deserialize(deserializer).map(Self)
    }
}

impl Failure<'_> {
    /// Returns the error, or `None` if the value means success.
    pub fn value(self) -> Option<Value> {
        let value = json::read(self.0.get()).unwrap_or_else(|_| Value::from("an unreadable error"));
        (!is_nothing(&value)).then_some(value)
    }
}

/// Whether the value of an `error` member means that there is none.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(text.trim().to_ascii_lowercase().as_str(), "" | "null" | "none"),
        Value::Array(items) => items.iter().all(is_nothing),
        Value::Object(members) => members.values().all(is_nothing),
    }
}

/// The choices of a chunk, up to `MAX_CHOICES`.
#[derive(Debug, Default)]
pub struct Choices<'a>(pub Vec<Choice<'a>>);

impl<'de> Deserialize<'de> for Choices<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A null in the array is skipped; a single object counts as an array of one.
        let list =
            deserializer.deserialize_any(Few { most: MAX_CHOICES, empty: |_: &Choice<'_>| false, kind: "choices" });
        list.map(|(list, alone)| Self(if alone { list.into_iter().filter(Choice::speaks).collect() } else { list }))
    }
}

impl Choice<'_> {
    fn speaks(&self) -> bool {
        self.delta.is_some() || self.message.is_some() || self.text.0.is_some()
    }
}

/// The call fragments of a delta that are not empty.
#[derive(Debug, Default)]
pub struct Fragments<'a>(pub Vec<CallFragment<'a>>);

impl<'de> Deserialize<'de> for Fragments<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Above the maximum number of calls, so that too many are reported instead of dropped.
        let few = Few { most: 4 * MAX_TOOL_CALLS, empty: CallFragment::is_empty, kind: "calls" };
        deserializer.deserialize_any(few).map(|(list, _)| Self(list))
    }
}

#[cfg(test)]
mod tests;
