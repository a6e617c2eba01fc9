//! The page of keys: tables made of a JSON Schema, one for each object. A type that occurs at several places is described once.

use std::collections::BTreeSet;

use serde_json::Value;

/// Maximum nesting of objects that is followed.
const MAX_DEPTH: usize = 12;

/// Returns the page for a dialect.
pub(super) fn page(key: &str, schema: &Value) -> String {
    let mut page = Page { schema, key, described: BTreeSet::new(), text: String::new() };
    page.text = format!(
        "# Facts of a provider: the keys of `{key}:`\n\n\
         <!-- Made by the command `facts --keys`; a test keeps it equal to the output. -->\n\n{}\n\n\
         The facts are the block `{key}:` of a provider's file, or a file of their own beside it: `provider/NAME.{key}.yaml` for \
         `provider/NAME.yaml`. With both, the file is used. `check` names unknown keys and impossible combinations with file \
         and line.\n",
        text_of(schema).unwrap_or_default()
    );
    page.object(&format!("`{key}`"), schema, 0);
    page.text
}

struct Page<'a> {
    schema: &'a Value,
    key: &'a str,
    /// Types with a table.
    described: BTreeSet<String>,
    text: String,
}

impl<'a> Page<'a> {
    /// Writes the table of an object, and then those of its members.
    fn object(&mut self, title: &str, object: &'a Value, depth: usize) {
        let Some(members) = object.get("properties").and_then(Value::as_object) else { return };
        if members.is_empty() || depth > MAX_DEPTH {
            return;
        }
        self.text.push_str(&format!("\n## {title}\n\n"));
        if let Some(text) = text_of(object).filter(|_| depth > 0) {
            self.text.push_str(&format!("{text}\n\n"));
        }
        self.text.push_str("| Key | Type | Default | Meaning |\n|---|---|---|---|\n");
        let mut further = Vec::new();
        for (name, member) in members {
            let kind = self.kind(member);
            let default = member.get("default").filter(|default| !is_empty(default));
            let default = default.map(|default| format!("`{default}`")).unwrap_or_default();
            let text = text_of(member).or_else(|| text_of(self.resolve(member).1)).unwrap_or_default();
            self.text.push_str(&format!("| `{name}` | {} | {} | {} |\n", cell(&kind), cell(&default), cell(&text)));
            self.objects_in(member, &mut further, 0);
        }
        for (name, object) in further {
            if self.described.insert(name.clone()) {
                let title = format!("{} of `{}`", heading(&name), self.key);
                self.object(&title, object, depth + 1);
            }
        }
    }

    /// The named type of a reference, and what it is.
    fn resolve(&self, value: &'a Value) -> (Option<&'a str>, &'a Value) {
        let name = value.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        let found = name.and_then(|name| self.schema.get("$defs")?.get(name));
        match found {
            Some(found) => (name, found),
            None => (None, value),
        }
    }

    /// The type of a value in words.
    fn kind(&self, value: &'a Value) -> String {
        let (name, value) = self.resolve(value);
        if let Some(name) = name.filter(|_| value.get("properties").is_some()) {
            return format!("[{}](#{})", heading(name), anchor(name, self.key));
        }
        if let Some(constant) = value.get("const") {
            return format!("`{}`", constant.as_str().map_or_else(|| constant.to_string(), str::to_owned));
        }
        if let Some(values) = value.get("enum").and_then(Value::as_array) {
            let texts = values.iter().filter(|value| !value.is_null());
            let texts =
                texts.map(|value| format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
            return texts.collect::<Vec<_>>().join(", ");
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(choices) = value.get(key).and_then(Value::as_array) {
                let mut kinds: Vec<String> = Vec::new();
                for choice in choices.iter().filter(|choice| choice["type"] != "null") {
                    let kind = self.kind(choice);
                    if !kind.is_empty() && !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                }
                return kinds.join(" or ");
            }
        }
        if let Some([only]) = value.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            return self.kind(only);
        }
        match value.get("type") {
            Some(Value::String(kind)) => self.named(kind, value),
            Some(Value::Array(kinds)) => {
                let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
                kinds.map(|kind| self.named(kind, value)).collect::<Vec<_>>().join(" or ")
            }
            _ => "any".to_owned(),
        }
    }

    fn named(&self, kind: &str, value: &'a Value) -> String {
        match kind {
            "string" => "text".to_owned(),
            "boolean" => "true or false".to_owned(),
            "integer" => "whole number".to_owned(),
            "array" => match value.get("items") {
                Some(items) => format!("list of {}", self.kind(items)),
                None => "list".to_owned(),
            },
            "object" => match value.get("additionalProperties").filter(|more| more.is_object()) {
                Some(more) => format!("map to {}", self.kind(more)),
                None => "map".to_owned(),
            },
            other => other.to_owned(),
        }
    }

    /// Collects the named objects that a value may contain.
    fn objects_in(&self, value: &'a Value, found: &mut Vec<(String, &'a Value)>, depth: usize) {
        let (name, value) = self.resolve(value);
        if value.get("properties").is_some_and(|members| members.as_object().is_some_and(|members| !members.is_empty()))
        {
            found.extend(name.map(|name| (name.to_owned(), value)));
            return;
        }
        if depth > MAX_DEPTH {
            return;
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            for choice in value.get(key).and_then(Value::as_array).into_iter().flatten() {
                self.objects_in(choice, found, depth + 1);
            }
        }
        for key in ["items", "additionalProperties"] {
            if let Some(inner) = value.get(key) {
                self.objects_in(inner, found, depth + 1);
            }
        }
    }
}

/// A type's name as words: `ChatOptions` is `Chat options`.
fn heading(name: &str) -> String {
    let mut words = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            words.push(' ');
            words.push(letter.to_ascii_lowercase());
        } else {
            words.push(letter);
        }
    }
    words
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(name: &str, key: &str) -> String {
    let title = format!("{} of {key}", heading(name)).to_lowercase();
    title
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            letter if letter.is_alphanumeric() || letter == '-' || letter == '_' => Some(letter),
            _ => None,
        })
        .collect()
}

fn text_of(value: &Value) -> Option<String> {
    let text = value.get("description")?.as_str()?;
    Some(text.split('\n').map(str::trim).collect::<Vec<_>>().join(" "))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty() || map.values().all(is_empty),
        _ => false,
    }
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_key_is_in_a_table() {
        let schema = json!({
            "description": "All facts.",
            "properties": {
                "base_url": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/UrlChoice"}], "description": "Root | of the API."},
                "chat": {"anyOf": [{"$ref": "#/$defs/Chat"}, {"type": "null"}]},
                "models": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Chat"}, "default": {}},
                "tries": {"type": ["integer", "null"], "default": 3},
            },
            "$defs": {
                "UrlChoice": {"properties": {"by": {"type": "string"}}},
                "Chat": {"description": "Language models.", "properties": {
                    "again": {"$ref": "#/$defs/Chat"},
                    "tools": {"enum": ["by_feature", "none"]},
                    "strip": {"type": "array", "items": {"type": "string"}},
                }},
            },
        });
        let page = page("openai", &schema);
        for line in [
            "| `base_url` | text or [Url choice](#url-choice-of-openai) |  | Root \\| of the API. |",
            "| `chat` | [Chat](#chat-of-openai) |  |  |",
            "| `models` | map to [Chat](#chat-of-openai) |  |  |",
            "| `tries` | whole number | `3` |  |",
            "## Url choice of `openai`",
            "| `tools` | `by_feature`, `none` |  |  |",
            "| `strip` | list of text |  |  |",
        ] {
            assert!(page.contains(line), "{line} is missing:\n{page}");
        }
        assert_eq!(page.matches("## Chat of `openai`").count(), 1, "{page}");
    }
}
