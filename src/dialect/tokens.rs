//! Estimates token counts without a vocabulary, by character classes, for upstreams that report no usage.
//!
//! Nothing is downloaded and no model's tokenizer is imitated: a short Latin word, three digits, two letters of another
//! alphabet or one ideograph count as one token. For other scripts than Latin, the estimate is rather high than low.

use serde_json::Value;

use dify_plugin::protocol::{Content, PromptMessage, Tool};

/// Tokens that a chat template adds to a message.
const PER_MESSAGE: u64 = 4;

/// Tokens that start the response.
const PER_PROMPT: u64 = 3;

/// Estimated tokens per image, for servers that report no count.
const PER_MEDIA: u64 = 256;

/// Latin letters of a word per token.
const LETTERS_PER_TOKEN: u32 = 7;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Class {
    #[default]
    Space,
    Letter,
    Digit,
    LineBreak,
    Mark,
}

/// Counts text that arrives in chunks, independently of where it is split.
#[derive(Clone, Debug, Default)]
pub struct TokenCounter {
    class: Class,
    run: u32,
    tokens: u64,
}

impl TokenCounter {
    /// Adds a chunk of text.
    pub fn push(&mut self, text: &str) {
        for character in text.chars() {
            self.take(character);
        }
    }

    /// Returns the tokens so far.
    pub fn total(&self) -> u64 {
        self.tokens
    }

    fn take(&mut self, character: char) {
        let (class, length) = match character {
            'a'..='z' | 'A'..='Z' => (Class::Letter, LETTERS_PER_TOKEN),
            '0'..='9' => (Class::Digit, 3),
            '\n' | '\r' => (Class::LineBreak, 4),
            ' ' | '\t' => (Class::Space, 4),
            _ if character.is_ascii() => (Class::Mark, 2),
            // Scripts with spaces need about one token per two letters, ideographs and symbols one each.
            '\u{80}'..='\u{1fff}' => (Class::Letter, 2),
            _ => (Class::Mark, 1),
        };
        if class != self.class {
            self.class = class;
            self.run = 0;
        }
        // A single space belongs to the word after it.
        let starts_token = if class == Class::Space { self.run == 1 } else { self.run.is_multiple_of(length) };
        self.tokens += u64::from(starts_token);
        self.run += 1;
    }
}

/// Estimates the tokens of a text.
pub fn estimate_text(text: &str) -> u64 {
    let mut counter = TokenCounter::default();
    counter.push(text);
    counter.total()
}

/// Estimates the tokens of a conversation with its tools, as a chat template would write it.
pub fn estimate_prompt(messages: &[PromptMessage], tools: &[Tool]) -> u64 {
    let messages: u64 = messages.iter().map(estimate_message).sum();
    let tools: u64 = tools.iter().map(estimate_tool).sum();
    messages + tools + PER_PROMPT
}

fn estimate_message(message: &PromptMessage) -> u64 {
    let content = match &message.content {
        Content::Text(text) => estimate_text(text),
        Content::Parts(parts) => parts
            .iter()
            .map(|part| match part {
                dify_plugin::protocol::ContentPart::Text(text) => estimate_text(&text.data),
                _ => PER_MEDIA,
            })
            .sum(),
    };
    let calls: u64 = message
        .tool_calls
        .iter()
        .map(|call| PER_MESSAGE + estimate_text(&call.function.name) + estimate_text(&call.function.arguments))
        .sum();
    PER_MESSAGE + content + calls + message.name.as_deref().map_or(0, estimate_text)
}

fn estimate_tool(tool: &Tool) -> u64 {
    let parameters = Value::Object(tool.parameters.clone()).to_string();
    PER_MESSAGE + estimate_text(&tool.name) + estimate_text(&tool.description) + estimate_text(&parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_plausible() {
        let cases = [
            ("", 0, 0),
            ("The quick brown fox jumps over the lazy dog.", 9, 12),
            ("Hello! How can I help?", 6, 9),
            ("你好，世界", 3, 6),
            ("Привет, как дела?", 5, 11),
            ("fn main() { println!(\"hi\"); }", 9, 16),
            ("1234567890", 3, 5),
        ];
        for (text, low, high) in cases {
            let tokens = estimate_text(text);
            assert!((low..=high).contains(&tokens), "{text:?}: {tokens} is not in {low}..={high}");
        }
    }

    #[test]
    fn chunks_count_like_the_whole_text() {
        let text = "A response, 你好 with 12345 digits\n\n\n  and `code()`.";
        let mut counter = TokenCounter::default();
        for character in text.chars() {
            counter.push(&character.to_string());
        }
        assert_eq!(counter.total(), estimate_text(text));
    }

    #[test]
    fn messages_and_tools_add_up() {
        let message: PromptMessage = serde_json::from_str(r#"{"role":"user","content":"Hi there"}"#).unwrap();
        let one = estimate_prompt(std::slice::from_ref(&message), &[]);
        let two = estimate_prompt(&[message.clone(), message.clone()], &[]);
        assert!(two > one);
        let tool: Tool =
            serde_json::from_str(r#"{"name":"f","description":"d","parameters":{"type":"object"}}"#).unwrap();
        assert!(estimate_prompt(&[message], &[tool]) > one);
    }
}
