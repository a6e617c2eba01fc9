//! The lines that register a plugin at the daemon's debugging port.
//!
//! Source: `dify-plugin-daemon: internal/core/debugging_runtime/`, `dify-plugin-sdks: src/dify_plugin/core/entities/message.py`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Maximum number of bytes of an asset in one line, before encoding.
const ASSET_CHUNK: usize = 8192;

/// Beginning of the daemon's response to an unknown key.
const INVALID_KEY: &str = "handshake failed, invalid key";

/// What a plugin registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The package's manifest.
    pub manifest: Value,
    /// The event of each kind that the package holds, and its data: a list that holds the one provider.
    pub declarations: Vec<(&'static str, Value)>,
    /// Icons by bare file name; empty files cannot be sent.
    pub assets: Vec<(String, Vec<u8>)>,
}

/// The first line: the debugging key, which is a secret. It registers nothing by itself.
pub fn handshake(key: &str) -> Vec<u8> {
    let mut line = json!({"type": "handshake", "data": {"key": key}}).to_string().into_bytes();
    line.push(b'\n');
    line
}

impl Registration {
    /// Returns the plugin's ID in Dify, `author/name`.
    pub fn plugin_id(&self) -> String {
        let text = |key: &str| self.manifest[key].as_str().unwrap_or_default();
        format!("{}/{}", text("author"), text("name"))
    }

    /// Returns the name of what is registered, for display: the model provider's, or the plugin's.
    pub fn name(&self) -> &str {
        let mut names = self.declarations.iter().filter_map(|(_, data)| data.get(0)?.get("provider")?.as_str());
        names.next().or_else(|| self.manifest["name"].as_str()).unwrap_or_default()
    }

    /// Returns all lines, from handshake to end. The key is a secret.
    pub fn lines(&self, key: &str) -> Vec<u8> {
        let mut out = handshake(key);
        let mut push = |kind: &str, data: Value| {
            out.extend_from_slice(json!({"type": kind, "data": data}).to_string().as_bytes());
            out.push(b'\n');
        };
        push("manifest_declaration", self.manifest.clone());
        for (event, declaration) in &self.declarations {
            push(event, declaration.clone());
        }
        for (filename, bytes) in &self.assets {
            let count = bytes.chunks(ASSET_CHUNK).len();
            for (number, chunk) in bytes.chunks(ASSET_CHUNK).enumerate() {
                let data = STANDARD.encode(chunk);
                push("asset_chunk", json!({"filename": filename, "data": data, "end": number + 1 == count}));
            }
        }
        push("end", json!({}));
        out
    }
}

/// Why the daemon rejected a registration: it responds with a line of plain text and closes the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The key is unknown or has expired; retrying is useless.
    #[error("Dify rejected the debugging key; copy a new one from Plugins → Debug (a key is valid for two hours)")]
    InvalidKey,
    /// Any other reason.
    #[error("Dify rejected the plugin: {0}")]
    Other(String),
}

impl Rejection {
    /// Parses the daemon's line, which may contain the key.
    pub fn of(line: &str, key: &str) -> Self {
        let line = line.trim();
        if line.starts_with(INVALID_KEY) {
            return Self::InvalidKey;
        }
        let line = if key.is_empty() { line.to_owned() } else { line.replace(key, "***") };
        Self::Other(line.chars().take(1000).map(shown).collect())
    }
}

/// Formats a character for logs and terminals: invisible characters, and those that change the writing direction, by
/// their code point.
fn shown(letter: char) -> String {
    match letter {
        '"' | '\'' | '\\' => letter.to_string(),
        letter => letter.escape_debug().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_rejections_escaped_and_without_the_key() {
        for (line, refusal) in [
            ("handshake failed, invalid key\n", Rejection::InvalidKey),
            ("no \"k-1\" it's 漢 \\\n", Rejection::Other("no \"***\" it's 漢 \\".to_owned())),
            ("a\u{1b}[2J\u{202e}\u{9b}\u{7}b", Rejection::Other("a\\u{1b}[2J\\u{202e}\\u{9b}\\u{7}b".to_owned())),
        ] {
            assert_eq!(Rejection::of(line, "k-1"), refusal, "{line:?}");
        }
    }
}
