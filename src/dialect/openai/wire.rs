//! What comes back on a stream or as one document, typed and borrowed: only the fields that are read, each as lenient
//! as servers are careless. Unknown fields are skipped without being stored.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::protocol::lenient;

/// A chunk of a stream, or a whole `chat.completion` / `text_completion`.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct Chunk<'a> {
    /// The first choice; there is never a second one that was asked for.
    #[serde(default, deserialize_with = "first")]
    pub choices: First<Choice<'a>>,
    /// Counts, on any chunk; the last one stands.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// A failure in a stream that began well: text or object.
    #[serde(default)]
    pub error: Option<&'a RawValue>,
    /// Fingerprint of the model's build.
    #[serde(default)]
    pub system_fingerprint: Text<'a>,
}

/// The first element of a list, and whether there was a list at all.
#[derive(Debug, Default)]
pub enum First<T> {
    /// No such field, or null.
    #[default]
    Absent,
    /// An empty list.
    Empty,
    /// The element.
    One(T),
}

/// One choice: `delta` in a stream, `message` in a document, `text` in completion mode.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct Choice<'a> {
    /// New parts.
    #[serde(default)]
    pub delta: Option<Delta<'a>>,
    /// The whole message.
    #[serde(default)]
    pub message: Option<Delta<'a>>,
    /// Text of completion mode.
    #[serde(default)]
    pub text: Text<'a>,
    /// Why it ended.
    #[serde(default, borrow)]
    pub finish_reason: Option<Cow<'a, str>>,
}

/// The parts of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct Delta<'a> {
    /// Text of the answer.
    #[serde(default)]
    pub content: Text<'a>,
    /// Thoughts (DeepSeek, Qwen, vLLM, Xinference).
    #[serde(default)]
    pub reasoning_content: Text<'a>,
    /// Thoughts (OpenRouter, newer vLLM).
    #[serde(default)]
    pub reasoning: Text<'a>,
    /// Thoughts (some gateways).
    #[serde(default)]
    pub thinking: Text<'a>,
    /// Thoughts as a list of objects with `text`.
    #[serde(default)]
    pub reasoning_details: Text<'a>,
    /// A refusal in place of an answer.
    #[serde(default)]
    pub refusal: Text<'a>,
    /// Calls or fragments of them.
    #[serde(default)]
    pub tool_calls: Option<Vec<CallFragment<'a>>>,
    /// The one call of the older form.
    #[serde(default)]
    pub function_call: Option<FunctionFragment<'a>>,
}

impl<'a> Delta<'a> {
    /// The thoughts, from the first field that has any.
    pub fn thoughts(&self) -> &str {
        [&self.reasoning_content, &self.reasoning, &self.thinking, &self.reasoning_details]
            .into_iter()
            .map(Text::as_str)
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }

    /// Whether the upstream has a field for thoughts, empty or not.
    pub fn has_thought_field(&self) -> bool {
        [&self.reasoning_content, &self.reasoning, &self.thinking, &self.reasoning_details]
            .into_iter()
            .any(|text| text.0.is_some())
    }
}

/// A call or a fragment of one.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct CallFragment<'a> {
    /// Which call.
    #[serde(default)]
    pub index: Option<i64>,
    /// Id; often on the first fragment only.
    #[serde(default)]
    pub id: Text<'a>,
    /// Name and arguments.
    #[serde(default)]
    pub function: Option<FunctionFragment<'a>>,
}

/// Name and arguments, or fragments of them.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub struct FunctionFragment<'a> {
    /// Name; on the first fragment, on all, or in pieces.
    #[serde(default)]
    pub name: Text<'a>,
    /// Arguments: JSON text in pieces, or (from careless servers) the object itself.
    #[serde(default)]
    pub arguments: Option<&'a RawValue>,
}

impl FunctionFragment<'_> {
    /// The arguments as JSON text.
    pub fn arguments(&self) -> Cow<'_, str> {
        let Some(raw) = self.arguments.map(RawValue::get) else { return Cow::Borrowed("") };
        if raw.starts_with('"') {
            return serde_json::from_str::<String>(raw).map(Cow::Owned).unwrap_or_default();
        }
        Cow::Borrowed(raw)
    }
}

/// Counts. Null, negative and unreadable counts are missing ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Usage {
    #[serde(default, deserialize_with = "lenient::count")]
    prompt_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    input_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    completion_tokens: Option<u64>,
    #[serde(default, deserialize_with = "lenient::count")]
    output_tokens: Option<u64>,
    /// Both together.
    #[serde(default, deserialize_with = "lenient::count")]
    pub total_tokens: Option<u64>,
    /// Of the prompt: read from a cache.
    #[serde(default)]
    pub prompt_tokens_details: Option<PromptDetails>,
    /// Of the answer: thoughts.
    #[serde(default)]
    pub completion_tokens_details: Option<CompletionDetails>,
}

impl Usage {
    /// Tokens of the prompt, under either of their names.
    pub fn prompt(&self) -> Option<u64> {
        self.prompt_tokens.or(self.input_tokens)
    }

    /// Tokens of the answer, under either of their names.
    pub fn completion(&self) -> Option<u64> {
        self.completion_tokens.or(self.output_tokens)
    }
}

/// See [`Usage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct PromptDetails {
    /// Tokens read from a cache.
    #[serde(default, deserialize_with = "lenient::count")]
    pub cached_tokens: Option<u64>,
}

/// See [`Usage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct CompletionDetails {
    /// Tokens of thoughts.
    #[serde(default, deserialize_with = "lenient::count")]
    pub reasoning_tokens: Option<u64>,
}

fn first<'de, D, T>(deserializer: D) -> Result<First<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct FirstVisitor<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstVisitor<T> {
        type Value = First<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of choices")
        }

        fn visit_unit<E>(self) -> Result<First<T>, E> {
            Ok(First::Absent)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<First<T>, A::Error> {
            let Some(element) = sequence.next_element()? else { return Ok(First::Empty) };
            while sequence.next_element::<IgnoredAny>()?.is_some() {}
            Ok(First::One(element))
        }
    }
    deserializer.deserialize_any(FirstVisitor(std::marker::PhantomData))
}

/// Text that may be null, text, a list of parts, or an object that holds the text. Borrowed where it has no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl Text<'_> {
    /// The text; empty when there is none.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text, a list of parts, or null")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut joined = String::new();
        while let Some(part) = sequence.next_element::<Text<'de>>()? {
            joined.push_str(part.as_str());
        }
        Ok(Text(Some(Cow::Owned(joined))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Text(None);
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "text" | "content" | "summary" | "reasoning" if found.as_str().is_empty() => {
                    found = map.next_value()?
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn careless_fields_are_read() {
        let cases = [
            (r#"null"#, ""),
            (r#""a""#, "a"),
            (r#""a\n""#, "a\n"),
            (r#"[{"type":"text","text":"a"},{"type":"text","text":"b"},"c"]"#, "abc"),
            (r#"{"text":"a","signature":"x"}"#, "a"),
            (r#"{"content":[{"text":"a"}]}"#, "a"),
            (r#"7"#, "7"),
        ];
        for (json, expected) in cases {
            let text: Text<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(text.as_str(), expected, "{json}");
        }
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        let chunk: Chunk<'_> = serde_json::from_str(r#"{"choices":[{"delta":{"content":"Hello"}}]}"#).unwrap();
        let First::One(Choice { delta: Some(delta), .. }) = chunk.choices else { panic!("no choice") };
        assert!(matches!(delta.content.0, Some(Cow::Borrowed("Hello"))));
    }

    #[test]
    fn counts_have_two_names_and_may_be_missing() {
        let cases = [
            (r#"{"prompt_tokens":-1,"completion_tokens":null,"total_tokens":3.0}"#, (None, None, Some(3))),
            (
                r#"{"prompt_tokens":1,"input_tokens":1,"output_tokens":2,"completion_tokens":2}"#,
                (Some(1), Some(2), None),
            ),
            (r#"{"input_tokens":"1","output_tokens":{}}"#, (Some(1), None, None)),
            (r#"{}"#, (None, None, None)),
        ];
        for (json, expected) in cases {
            let usage: Usage = serde_json::from_str(json).unwrap();
            assert_eq!((usage.prompt(), usage.completion(), usage.total_tokens), expected, "{json}");
        }
    }
}
