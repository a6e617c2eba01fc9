//! The messages of tools, agent strategies and datasources at the terminal: text as it comes, other values as JSON, logs and
//! usage on standard error, files by their name.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::cli::terminal::{print_json, print_line, print_part, say};

/// Prints the messages of one session.
pub(super) struct Printer<'a> {
    /// File or directory for files that the plugin returns.
    out: Option<&'a Path>,
    /// Whether the cursor is after a text without a line break.
    is_within_line: bool,
    /// Files whose last part has not come.
    parts: HashMap<String, Vec<u8>>,
}

impl<'a> Printer<'a> {
    pub fn new(out: Option<&'a Path>) -> Self {
        Self { out, is_within_line: false, parts: HashMap::new() }
    }

    /// Prints a message.
    pub fn print(&mut self, item: &Value) -> anyhow::Result<()> {
        let message = &item["message"];
        match item["type"].as_str().unwrap_or_default() {
            "text" => {
                let text = message["text"].as_str().unwrap_or_default();
                self.is_within_line = if text.is_empty() { self.is_within_line } else { !text.ends_with('\n') };
                return print_part(text);
            }
            "blob_chunk" => return self.part(message, &item["meta"]),
            "blob" => {
                let bytes = decoded(message)?;
                return self.file(&bytes, &item["meta"]);
            }
            _ => {}
        }
        self.end_line()?;
        match item["type"].as_str().unwrap_or_default() {
            "link" | "image" | "image_link" | "binary_link" => print_line(message["text"].as_str().unwrap_or_default()),
            "json" => match message["json_object"].get("execution_metadata") {
                Some(usage) => {
                    let text = |name: &str| usage[name].as_str().unwrap_or_default().to_owned();
                    let tokens = usage["total_tokens"].as_u64().unwrap_or_default();
                    say(&format!("used {tokens} tokens, price {} {}", text("total_price"), text("currency")));
                    Ok(())
                }
                None => print_json(&message["json_object"]),
            },
            "variable" => {
                let name = message["variable_name"].as_str().unwrap_or_default().to_owned();
                print_json(&Value::Object(Map::from_iter([(name, message["variable_value"].clone())])))
            }
            "log" => {
                let text = |name: &str| message[name].as_str().unwrap_or_default();
                let error = if text("error").is_empty() { String::new() } else { format!(": {}", text("error")) };
                say(&format!("[{}] {}{error}", text("status"), text("label")));
                Ok(())
            }
            _ => print_json(item),
        }
    }

    /// Ends the last line.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.end_line()
    }

    fn end_line(&mut self) -> anyhow::Result<()> {
        if std::mem::take(&mut self.is_within_line) { print_part("\n") } else { Ok(()) }
    }

    fn part(&mut self, message: &Value, meta: &Value) -> anyhow::Result<()> {
        let id = message["id"].as_str().unwrap_or_default();
        let bytes = decoded(message)?;
        let file = self.parts.entry(id.to_owned()).or_default();
        file.extend(bytes);
        if message["end"] != true {
            return Ok(());
        }
        let bytes = self.parts.remove(id).unwrap_or_default();
        self.file(&bytes, meta)
    }

    fn file(&mut self, bytes: &[u8], meta: &Value) -> anyhow::Result<()> {
        self.end_line()?;
        let named = meta["file_name"].as_str().or_else(|| meta["filename"].as_str()).unwrap_or("file");
        let mime_type = meta["mime_type"].as_str().unwrap_or("application/octet-stream");
        say(&format!("file {named} ({mime_type}, {} bytes)", bytes.len()));
        let Some(out) = self.out else {
            say("hint: pass --out DIR to save it");
            return Ok(());
        };
        let path = save(out, named, bytes)?;
        print_line(&path.display().to_string())
    }
}

fn decoded(message: &Value) -> anyhow::Result<Vec<u8>> {
    let text = message["blob"].as_str().unwrap_or_default();
    STANDARD.decode(text).context("the file is not valid Base64")
}

/// Saves a file at the path that the user gave, or in that directory under its own name. A file that the user did not name is
/// not replaced.
fn save(out: &Path, named: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    let is_directory = out.is_dir() || out.to_string_lossy().ends_with('/');
    let mut options = OpenOptions::new();
    options.write(true);
    let path = if is_directory {
        std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
        options.create_new(true);
        out.join(file_name(named))
    } else {
        options.create(true).truncate(true);
        out.to_owned()
    };
    let written = options.open(&path).and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => anyhow!("{} exists; name another file with --out", path.display()),
        _ => anyhow!("cannot write {}: {error}", path.display()),
    })?;
    Ok(path)
}

/// The last component of a name that the plugin chose, without characters that a path or a terminal would interpret.
fn file_name(named: &str) -> String {
    let last = named.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|letter| !letter.is_control()).collect();
    if name.trim_matches(['.', ' ']).is_empty() { "file".to_owned() } else { name }
}

/// Writes a JSON file that only its owner can read: it may contain secrets.
pub(super) fn save_private(path: &Path, value: &Value) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let text = format!("{value:#}\n");
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("written to {}", path.display()));
    Ok(())
}

/// Replaces the values of secret members; `is_secret` is given the name of a member.
pub(super) fn redacted(values: &Value, is_secret: impl Fn(&str) -> bool) -> Value {
    let Value::Object(members) = values else { return values.clone() };
    let shown = members.iter().map(|(name, value)| {
        let value = if is_secret(name) && !value.is_null() { "(redacted)".into() } else { value.clone() };
        (name.clone(), value)
    });
    Value::Object(shown.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stay_in_the_directory_and_replace_nothing() {
        let directory = tempfile::tempdir().unwrap();
        for (named, expected) in [
            ("a.txt", "a.txt"),
            ("../../b.txt", "b.txt"),
            ("/etc/c", "c"),
            ("..\\d", "d"),
            ("..", "file"),
            ("e\u{1b}[2J", "e[2J"),
        ] {
            assert_eq!(save(directory.path(), named, b"x").unwrap(), directory.path().join(expected), "{named}");
        }
        assert!(save(directory.path(), "a.txt", b"y").unwrap_err().to_string().contains("exists"));
        let chosen = directory.path().join("a.txt");
        assert_eq!(save(&chosen, "other", b"y").unwrap(), chosen);
        assert_eq!(std::fs::read(chosen).unwrap(), b"y");
    }
}
