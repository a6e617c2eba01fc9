//! PEM blocks from form fields, in which line breaks may be lost or written as the two characters `\n`.
//!
//! Parses the encapsulation only; the content of a block is left to the caller.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Characters per line of a PEM body.
const LINE: usize = 64;

/// A block between a BEGIN and an END line.
pub struct Block {
    /// Label (`CERTIFICATE`, `PRIVATE KEY`).
    pub label: String,
    /// Body without whitespace.
    base64: String,
}

impl Block {
    /// Decodes the body, unless it is not valid Base64.
    pub fn der(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.base64).ok()
    }

    /// Returns the block in normalized form, with line breaks.
    pub fn text(&self) -> String {
        let mut text = format!("-----BEGIN {}-----\n", self.label);
        for line in self.base64.as_bytes().chunks(LINE) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str(&format!("-----END {}-----\n", self.label));
        text
    }
}

/// Returns all complete blocks of a text.
pub fn blocks(text: &str) -> Vec<Block> {
    let text = text.replace("\\r", "").replace("\\n", "\n");
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((label, after)) = after.split_once("-----") else { break };
        let Some((body, after)) = after.split_once(&format!("-----END {label}-----")) else { break };
        found.push(Block { label: label.to_owned(), base64: body.split_whitespace().collect() });
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_blocks_with_any_line_breaks() {
        let body = STANDARD.encode([7u8; 60]);
        let whole = format!("-----BEGIN X KEY-----\n{}\n{}\n-----END X KEY-----", &body[..64], &body[64..]);
        for text in [
            whole.clone(),
            whole.replace('\n', " "),
            whole.replace('\n', ""),
            whole.replace('\n', "\\n"),
            whole.replace('\n', "\r\n"),
            format!("before\n{whole}\nafter"),
        ] {
            let found = blocks(&text);
            assert_eq!(found.len(), 1, "{text}");
            assert_eq!(found[0].label, "X KEY");
            assert_eq!(found[0].der().unwrap(), [7u8; 60]);
            assert_eq!(found[0].text(), format!("{whole}\n"));
        }
    }

    #[test]
    fn ignores_incomplete_blocks() {
        for text in ["", "-----BEGIN", "-----BEGIN X-----", "-----BEGIN X-----\nAA\n-----END Y-----"] {
            assert!(blocks(text).is_empty(), "{text}");
        }
        assert!(blocks("-----BEGIN X-----*-----END X-----")[0].der().is_none());
        assert_eq!(blocks("-----BEGIN A-----AA-----END A----------BEGIN B-----AA-----END B-----").len(), 2);
    }
}
