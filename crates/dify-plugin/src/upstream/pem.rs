//! PEM blocks as they come out of a form field, where line breaks are lost or written as the two characters `\n`.
//!
//! Only the armour is read here; what is inside a block belongs to whoever asked for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Characters per line of a PEM body.
const LINE: usize = 64;

/// One block between a BEGIN and an END line.
pub struct Block {
    /// What it says it is (`CERTIFICATE`, `PRIVATE KEY`).
    pub label: String,
    /// The body without white space.
    base64: String,
}

impl Block {
    /// The bytes, unless the body is not base64.
    pub fn der(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.base64).ok()
    }

    /// The block in its normal form, line breaks included.
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

/// All complete blocks of a text.
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
    fn blocks_are_found_whatever_happened_to_the_line_breaks() {
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
    fn what_is_not_whole_is_not_a_block() {
        for text in ["", "-----BEGIN", "-----BEGIN X-----", "-----BEGIN X-----\nAA\n-----END Y-----"] {
            assert!(blocks(text).is_empty(), "{text}");
        }
        assert!(blocks("-----BEGIN X-----*-----END X-----")[0].der().is_none());
        assert_eq!(blocks("-----BEGIN A-----AA-----END A----------BEGIN B-----AA-----END B-----").len(), 2);
    }
}
