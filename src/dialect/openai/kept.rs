//! Members of a message and of its tool calls that a server expects back unchanged: Gemini's thought signatures, as
//! sent by
//! its own compatible endpoint, gateways and LiteLLM. They are stored in the message's private JSON:
//!
//! ```json
//! {"openai": {"tool_calls": {"ID": {"extra_content": {}}}, "message": {"extra_content": {}}, "answer": "…", "model": "m"}}
//! ```
//!
//! `answer` is the digest of the text that the message's own members belong to. The provider decides for which model
//! and
//! how long they are valid.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tracing::warn;

/// Key of this private JSON in a message's `opaque_body`.
pub const OPAQUE_KEY: &str = "openai";

/// Key of a response's thoughts in `opaque_body`, where the plugins in Python keep them, too.
pub const REASONING_KEY: &str = "reasoning_content";

/// Names of the members: of Google's compatible endpoint and LiteLLM, of Higress, of LiteLLM.
pub const NAMES: [&str; 3] = ["extra_content", "thought_signature", "provider_specific_fields"];

/// Maximum total size of these members in one response, in bytes.
const MAX_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Members in their JSON form.
pub type Written<'a> = Vec<(&'static str, &'a RawValue)>;

/// Members by name, as JSON text. Of duplicates, the last one counts.
#[derive(Debug, Default)]
pub struct Kept(Vec<(&'static str, String)>);

impl Kept {
    /// Adds members; `bytes` counts the bytes that the response has stored so far.
    pub fn take(&mut self, members: &Written<'_>, bytes: &mut usize) {
        for (name, value) in members {
            *bytes += value.get().len();
            if *bytes > MAX_KEPT_BYTES {
                warn!(name, "member that the server expects back is too large; dropping it");
                continue;
            }
            self.0.retain(|(known, _)| known != name);
            self.0.push((name, value.get().to_owned()));
        }
    }

    /// Returns the members as JSON, without those that are not valid JSON.
    pub fn into_members(self) -> Map<String, Value> {
        let read = |(name, value): (&str, String)| Some((name.to_owned(), serde_json::from_str(&value).ok()?));
        self.0.into_iter().filter_map(read).collect()
    }
}

/// Returns the private JSON of a message, if there is any: members of its calls by call ID, and its own.
pub fn opaque_body(calls: Map<String, Value>, message: Map<String, Value>, answer: ResponseDigest) -> Option<Value> {
    let mut own = Map::new();
    if !calls.is_empty() {
        own.insert("tool_calls".to_owned(), Value::Object(calls));
    }
    if !message.is_empty() {
        own.insert("message".to_owned(), Value::Object(message));
        own.insert("answer".to_owned(), answer.finish().into());
    }
    (!own.is_empty()).then(|| json!({ OPAQUE_KEY: own }))
}

/// Digest of a response text that ignores white space, because Dify may change it.
#[derive(Clone, Debug, Default)]
pub struct ResponseDigest(Sha256);

impl ResponseDigest {
    /// Returns the digest of a complete response.
    pub fn of(text: &str) -> String {
        let mut digest = Self::default();
        digest.push(text);
        digest.finish()
    }

    /// Adds text of the response, without its thoughts.
    pub fn push(&mut self, text: &str) {
        text.split_whitespace().for_each(|word| self.0.update(word));
    }

    fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_ignores_white_space() {
        let mut chunks = ResponseDigest::default();
        ["Hel", "lo,\n", "", " you"].into_iter().for_each(|chunk| chunks.push(chunk));
        assert_eq!(chunks.finish(), ResponseDigest::of("\n\nHello, you "));
        assert_ne!(ResponseDigest::of("Hello"), ResponseDigest::of("Hallo"));
    }

    #[test]
    fn stores_only_existing_members() {
        let members = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let digest = ResponseDigest::of("");
        for (calls, message, expected) in [
            ("{}", "{}", None),
            (r#"{"a": {}}"#, "{}", Some(json!({"openai": {"tool_calls": {"a": {}}}}))),
            (
                "{}",
                r#"{"extra_content": 1}"#,
                Some(json!({"openai": {"message": {"extra_content": 1}, "answer": digest}})),
            ),
        ] {
            assert_eq!(opaque_body(members(calls), members(message), ResponseDigest::default()), expected);
        }
    }
}
