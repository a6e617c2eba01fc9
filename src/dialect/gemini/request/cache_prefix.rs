//! Prompt prefix for an explicit context cache: the instructions, the tools, and the turns up to the last large part of
//! a user message. The rest of the prompt is sent with each request.
//!
//! This module only finds the prefix and cuts it off; the provider decides when a cache pays and where it is stored.
//! Source: Gemini API, "Context caching": a request that names a cache must contain neither `systemInstruction` nor
//! `tools` nor `toolConfig`; `contents` that it contains again are billed twice.

use serde::Serialize;
use serde_json::Value;

use crate::dialect::gemini::wire::{Content, GenerateContentRequest, Part};
use crate::dialect::tokens;

/// Minimum number of tokens that make a text part worth caching.
const MIN_TEXT_TOKENS: u64 = 1024;

/// Tokens per image.
const IMAGE_TOKENS: u64 = 258;

/// Bytes of Base64 per token of audio, video or documents. The estimate is rather too low than too high.
const MEDIA_BYTES_PER_TOKEN: u64 = 700;

/// Assumed tokens of a file that is referenced by URL; only large files are.
const LINKED_FILE_TOKENS: u64 = 8192;

/// The position where a prompt is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// Number of complete turns in the prefix.
    pub turns: usize,
    /// Number of parts of the following turn that belong to the prefix.
    pub parts: usize,
    /// Approximate number of tokens in the prefix.
    pub tokens: u64,
}

/// The prefix as the body of a `cachedContents` request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedContent<'a> {
    /// System instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<&'a Content>,
    /// Turns; the last one may be incomplete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contents: Vec<Turn<'a>>,
    /// Function declarations and Google tools.
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    tools: &'a [Value],
    /// Function calling configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<&'a Value>,
}

#[derive(Debug, Serialize)]
struct Turn<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    parts: &'a [Part],
}

impl Prefix {
    /// Finds the prefix of a prompt. At least one part of the last turn is never included.
    pub fn of(request: &GenerateContentRequest) -> Self {
        let mut found = Self { tokens: instruction_tokens(request), ..Self::default() };
        let mut tokens = found.tokens;
        let last_turn = request.contents.len().saturating_sub(1);
        for (turn, content) in request.contents.iter().enumerate() {
            let of_user = content.role.as_deref() == Some("user");
            for (place, part) in content.parts.iter().enumerate() {
                let size = part_tokens(part);
                tokens += size;
                let is_last = turn == last_turn && place + 1 == content.parts.len();
                let is_large = part.text.is_none() || size >= MIN_TEXT_TOKENS;
                if of_user && part.function_response.is_none() && is_large && !is_last {
                    found = match place + 1 == content.parts.len() {
                        true => Self { turns: turn + 1, parts: 0, tokens },
                        false => Self { turns: turn, parts: place + 1, tokens },
                    };
                }
            }
        }
        found
    }

    /// Returns the content of `request` that this prefix covers.
    pub fn cached_content(self, request: &GenerateContentRequest) -> CachedContent<'_> {
        let whole = request.contents.iter().take(self.turns).map(|content| (content, &content.parts[..]));
        let contents = whole.chain(self.partial(request));
        CachedContent {
            system_instruction: request.system_instruction.as_ref(),
            contents: contents.map(|(content, parts)| Turn { role: content.role.as_deref(), parts }).collect(),
            tools: &request.tools,
            tool_config: request.tool_config.as_ref(),
        }
    }

    fn partial(self, request: &GenerateContentRequest) -> Option<(&Content, &[Part])> {
        let content = request.contents.get(self.turns).filter(|_| self.parts > 0)?;
        Some((content, content.parts.get(..self.parts)?))
    }

    /// Replaces the prefix in `request` with the cache that contains it.
    pub fn cut(self, request: &mut GenerateContentRequest, cache: String) {
        request.contents.drain(..self.turns.min(request.contents.len()));
        if let Some(content) = request.contents.first_mut() {
            content.parts.drain(..self.parts.min(content.parts.len()));
        }
        request.system_instruction = None;
        request.tools = Vec::new();
        request.tool_config = None;
        request.cached_content = Some(cache);
    }
}

/// Tokens of the system instruction and the tools.
fn instruction_tokens(request: &GenerateContentRequest) -> u64 {
    let system: u64 = request.system_instruction.iter().flat_map(|content| &content.parts).map(part_tokens).sum();
    let tools: u64 = request.tools.iter().map(|tool| tokens::estimate_text(&tool.to_string())).sum();
    system + tools
}

fn part_tokens(part: &Part) -> u64 {
    let text = part.text.as_deref().map_or(0, tokens::estimate_text);
    let bytes = part.inline_data.as_ref().map_or(0, |blob| match blob.mime_type.starts_with("image/") {
        true => IMAGE_TOKENS,
        false => IMAGE_TOKENS.max(blob.data.len() as u64 / MEDIA_BYTES_PER_TOKEN),
    });
    let file = if part.file_data.is_some() { LINKED_FILE_TOKENS } else { 0 };
    let call = part
        .function_call
        .as_ref()
        .and_then(|call| call.args.as_ref())
        .map_or(0, |arguments| tokens::estimate_text(&Value::Object(arguments.clone()).to_string()));
    let result = part
        .function_response
        .as_ref()
        .map_or(0, |result| tokens::estimate_text(&Value::Object(result.response.clone()).to_string()));
    text + bytes + file + call + result
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(system: &str, contents: Value) -> GenerateContentRequest {
        GenerateContentRequest {
            system_instruction: (!system.is_empty()).then(|| Content { role: None, parts: vec![Part::text(system)] }),
            contents: serde_json::from_value(contents).unwrap(),
            tools: vec![json!({"functionDeclarations": [{"name": "f"}]})],
            tool_config: Some(json!({"functionCallingConfig": {"mode": "AUTO"}})),
            ..GenerateContentRequest::default()
        }
    }

    fn long() -> String {
        "word ".repeat(2000)
    }

    #[test]
    fn cuts_after_the_last_large_part_of_a_user_message_but_never_at_the_end() {
        let file = json!({"fileData": {"fileUri": "files/x", "mimeType": "application/pdf"}});
        let image = json!({"inlineData": {"mimeType": "image/png", "data": "AA=="}});
        let turn_of = |role: &str, parts: Value| json!({"role": role, "parts": parts});
        let question = json!({"text": "Why?"});
        let document = json!({"text": long()});
        let cases = [
            ("a short question: only the instructions are cached", json!([turn_of("user", json!([question]))]), (0, 0)),
            ("a document before the question", json!([turn_of("user", json!([file, question]))]), (0, 1)),
            ("a document that is the question", json!([turn_of("user", json!([question, document]))]), (0, 0)),
            (
                "a document in an earlier turn",
                json!([
                    turn_of("user", json!([image, document])),
                    turn_of("model", json!([document])),
                    turn_of("user", json!([question]))
                ]),
                (1, 0),
            ),
            (
                "a function response is not a document",
                json!([
                    turn_of("user", json!([question])),
                    turn_of("user", json!([{"functionResponse": {"name": "f", "response": {"output": long()}}}])),
                    turn_of("user", json!([question]))
                ]),
                (0, 0),
            ),
        ];
        for (name, contents, expected) in cases {
            let request = request(&long(), contents);
            let prefix = Prefix::of(&request);
            assert_eq!((prefix.turns, prefix.parts), expected, "{name}");
            assert!(prefix.tokens > 2000, "{name}");
        }
    }

    #[test]
    fn the_cached_prefix_and_the_rest_are_the_complete_prompt() {
        let contents = json!([
            {"role": "user", "parts": [{"text": "First."}, {"text": long()}]},
            {"role": "model", "parts": [{"text": "Yes."}]},
            {"role": "user", "parts": [{"text": long()}, {"text": "Why?"}]},
        ]);
        let whole = request("Be brief.", contents.clone());
        let prefix = Prefix::of(&whole);
        let cached_content = json!(prefix.cached_content(&whole));
        let mut rest = whole.clone();
        prefix.cut(&mut rest, "cachedContents/1".to_owned());
        assert_eq!(
            cached_content["contents"],
            json!([contents[0], contents[1], {"role": "user", "parts": [{"text": long()}]}])
        );
        assert_eq!(
            json!(rest),
            json!({"contents": [{"role": "user", "parts": [{"text": "Why?"}]}], "cachedContent": "cachedContents/1"})
        );
        assert_eq!(cached_content["systemInstruction"], json!(whole.system_instruction));
        assert_eq!(
            (&cached_content["tools"], &cached_content["toolConfig"]),
            (&json!(whole.tools), &json!(whole.tool_config))
        );
    }
}
