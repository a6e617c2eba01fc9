//! The long beginning of a prompt that an explicit cache keeps: instructions, tools, and the turns up to the last large
//! part of the user's. What follows is sent with each call.
//!
//! It finds and cuts; when a cache pays and where it lives is the provider's.
//! Source: Gemini API, "Context caching": a call that names a cache must repeat neither `systemInstruction` nor `tools`
//! nor `toolConfig`; `contents` that are repeated are paid twice.

use serde::Serialize;
use serde_json::Value;

use super::wire::{Content, GenerateContentRequest, Part};
use crate::dialect::tokens;

/// Tokens of a text that is worth to be kept.
const LARGE_TEXT: u64 = 1024;

/// Tokens of a picture.
const PICTURE: u64 = 258;

/// Bytes of base64 to a token of sound, film or document: rather too few tokens than too many.
const BYTES_PER_TOKEN: u64 = 700;

/// Tokens of a file that lies at an address: only large ones do.
const FILE: u64 = 8192;

/// Where a prompt is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    /// Whole turns that are kept.
    pub turns: usize,
    /// Parts of the turn after them that are kept too.
    pub parts: usize,
    /// Tokens of all that is kept, roughly.
    pub tokens: u64,
}

/// What is kept, as the body of a `cachedContents` request says it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept<'a> {
    /// The instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<&'a Content>,
    /// The turns, the last one perhaps in part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contents: Vec<Turn<'a>>,
    /// Functions and Google's own tools.
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    tools: &'a [Value],
    /// How they are called.
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
    /// The beginning of a prompt. Something of the user's always stays behind it.
    pub fn of(request: &GenerateContentRequest) -> Self {
        let mut found = Self { tokens: standing(request), ..Self::default() };
        let mut tokens = found.tokens;
        let last_turn = request.contents.len().saturating_sub(1);
        for (turn, content) in request.contents.iter().enumerate() {
            let of_user = content.role.as_deref() == Some("user");
            for (place, part) in content.parts.iter().enumerate() {
                let size = size(part);
                tokens += size;
                let is_last = turn == last_turn && place + 1 == content.parts.len();
                let is_large = part.text.is_none() || size >= LARGE_TEXT;
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

    /// What this prefix keeps of a request.
    pub fn kept(self, request: &GenerateContentRequest) -> Kept<'_> {
        let whole = request.contents.iter().take(self.turns).map(|content| (content, &content.parts[..]));
        let contents = whole.chain(self.partial(request));
        Kept {
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

    /// Replaces the beginning by the cache that keeps it.
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

/// Tokens of what stands before the turns.
fn standing(request: &GenerateContentRequest) -> u64 {
    let system: u64 = request.system_instruction.iter().flat_map(|content| &content.parts).map(size).sum();
    let tools: u64 = request.tools.iter().map(|tool| tokens::estimate_text(&tool.to_string())).sum();
    system + tools
}

fn size(part: &Part) -> u64 {
    let text = part.text.as_deref().map_or(0, tokens::estimate_text);
    let bytes = part.inline_data.as_ref().map_or(0, |blob| match blob.mime_type.starts_with("image/") {
        true => PICTURE,
        false => PICTURE.max(blob.data.len() as u64 / BYTES_PER_TOKEN),
    });
    let file = if part.file_data.is_some() { FILE } else { 0 };
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
    fn the_cut_is_behind_the_last_large_part_of_the_users_and_something_stays() {
        let file = json!({"fileData": {"fileUri": "files/x", "mimeType": "application/pdf"}});
        let image = json!({"inlineData": {"mimeType": "image/png", "data": "AA=="}});
        let said = |role: &str, parts: Value| json!({"role": role, "parts": parts});
        let question = json!({"text": "Why?"});
        let document = json!({"text": long()});
        let cases = [
            ("a short question keeps the instructions alone", json!([said("user", json!([question]))]), (0, 0)),
            ("a document before the question", json!([said("user", json!([file, question]))]), (0, 1)),
            ("a document that is the question", json!([said("user", json!([question, document]))]), (0, 0)),
            (
                "a document two turns ago",
                json!([
                    said("user", json!([image, document])),
                    said("model", json!([document])),
                    said("user", json!([question]))
                ]),
                (1, 0),
            ),
            (
                "a result is no document",
                json!([
                    said("user", json!([question])),
                    said("user", json!([{"functionResponse": {"name": "f", "response": {"output": long()}}}])),
                    said("user", json!([question]))
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
    fn what_is_kept_and_what_is_sent_are_the_whole_prompt() {
        let contents = json!([
            {"role": "user", "parts": [{"text": "First."}, {"text": long()}]},
            {"role": "model", "parts": [{"text": "Yes."}]},
            {"role": "user", "parts": [{"text": long()}, {"text": "Why?"}]},
        ]);
        let whole = request("Be brief.", contents.clone());
        let prefix = Prefix::of(&whole);
        let kept = json!(prefix.kept(&whole));
        let mut rest = whole.clone();
        prefix.cut(&mut rest, "cachedContents/1".to_owned());
        assert_eq!(kept["contents"], json!([contents[0], contents[1], {"role": "user", "parts": [{"text": long()}]}]));
        assert_eq!(
            json!(rest),
            json!({"contents": [{"role": "user", "parts": [{"text": "Why?"}]}], "cachedContent": "cachedContents/1"})
        );
        assert_eq!(kept["systemInstruction"], json!(whole.system_instruction));
        assert_eq!((&kept["tools"], &kept["toolConfig"]), (&json!(whole.tools), &json!(whole.tool_config)));
    }
}
