//! Members of a message and of its calls that a server wants back as they came: thought signatures of Gemini, behind its
//! own compatible endpoint, gateways and LiteLLM. They travel in the message's private JSON:
//!
//! ```json
//! {"openai": {"tool_calls": {"ID": {"extra_content": {}}}, "message": {"extra_content": {}}, "answer": "…", "model": "m"}}
//! ```
//!
//! `answer` is the digest of the text that the message's own members belong to. Whose they are, and for how long they are
//! kept beside the message, is the provider's matter.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tracing::warn;

/// Key of our private JSON in a message's `opaque_body`.
pub const OPAQUE_KEY: &str = "openai";

/// The members: of Google's compatible endpoint and LiteLLM, of Higress, of LiteLLM.
pub const NAMES: [&str; 3] = ["extra_content", "thought_signature", "provider_specific_fields"];

/// Most bytes of them in one answer.
const MAX_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Members as an upstream writes them.
pub type Written<'a> = Vec<(&'static str, &'a RawValue)>;

/// Members by name, as text; of one that comes twice the last counts.
#[derive(Debug, Default)]
pub struct Kept(Vec<(&'static str, String)>);

impl Kept {
    /// Takes members; `bytes` is what was taken of the answer so far.
    pub fn take(&mut self, members: &Written<'_>, bytes: &mut usize) {
        for (name, value) in members {
            *bytes += value.get().len();
            if *bytes > MAX_KEPT_BYTES {
                warn!(name, "what should go back to the server is too long and was dropped");
                continue;
            }
            self.0.retain(|(known, _)| known != name);
            self.0.push((name, value.get().to_owned()));
        }
    }

    /// The members as JSON; one that cannot be read is left out.
    pub fn into_members(self) -> Map<String, Value> {
        let read = |(name, value): (&str, String)| Some((name.to_owned(), serde_json::from_str(&value).ok()?));
        self.0.into_iter().filter_map(read).collect()
    }
}

/// The private JSON of a message, if there is anything to keep: members of its calls by their ID, and its own.
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

/// Which text an answer is, whatever white space is lost on its way through a host.
#[derive(Clone, Debug, Default)]
pub struct ResponseDigest(Sha256);

impl ResponseDigest {
    /// The digest of a whole answer.
    pub fn of(text: &str) -> String {
        let mut digest = Self::default();
        digest.push(text);
        digest.finish()
    }

    /// Takes text of the answer, without its thoughts.
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
    fn an_answer_is_known_by_its_text() {
        let mut pieces = ResponseDigest::default();
        ["Hel", "lo,\n", "", " you"].into_iter().for_each(|piece| pieces.push(piece));
        assert_eq!(pieces.finish(), ResponseDigest::of("\n\nHello, you "));
        assert_ne!(ResponseDigest::of("Hello"), ResponseDigest::of("Hallo"));
    }

    #[test]
    fn only_what_is_there_is_kept() {
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
