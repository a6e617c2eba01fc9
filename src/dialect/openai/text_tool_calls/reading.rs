//! Parses the buffered text: calls of offered tools, and the text between them. If anything cannot be parsed, all of it
//! is
//! plain text.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::formats::{Body, Opening, Tags, candidates, closing_at, opening_at};
use super::quotes::Quotes;
use crate::dialect::openai::tool_calls::{MAX_TOOL_CALLS, new_id, whole_arguments};
use dify_plugin::codec::json::Reader as JsonReader;
use dify_plugin::codec::json_scan::{Extent, JsonScan};
use dify_plugin::protocol::{Tool, ToolCall};
use dify_plugin::steps;

/// Maximum depth of nested schemas that are searched for a type.
const DEEPEST: usize = 4;

/// A line break that a model wrote as an escape sequence.
const WRITTEN_BREAK: &str = "\\n";

/// The tools that may be called.
#[derive(Debug)]
pub(super) struct Offered(HashMap<String, Map<String, Value>>);

impl Offered {
    pub(super) fn new(tools: &[Tool]) -> Self {
        Self(tools.iter().map(|tool| (tool.name.clone(), tool.parameters.clone())).collect())
    }

    /// Returns the tool of this name, also without the prefix and suffix that some models add: `functions.NAME:0`.
    pub(super) fn find(&self, name: &str) -> Option<(&str, &Map<String, Value>)> {
        let name = name.trim();
        let bare = || {
            let name = name.strip_prefix("functions.").unwrap_or(name);
            match name.rsplit_once(':') {
                Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
                _ => name,
            }
        };
        let (name, parameters) = self.0.get_key_value(name).or_else(|| self.0.get_key_value(bare()))?;
        Some((name, parameters))
    }
}

/// A call as JSON.
#[derive(Deserialize)]
struct JsonCall<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default, alias = "parameters")]
    arguments: Option<&'a RawValue>,
    /// The call itself, as in OpenAI's own format.
    #[serde(borrow, default)]
    function: Option<&'a RawValue>,
}

/// Parses calls and the text between them; `is_cut` is whether the response ended at its length limit.
pub(super) fn read(held: &str, offered: &Offered, is_cut: bool) -> Option<(Vec<ToolCall>, String)> {
    let mut reader = Reader { offered, calls: Vec::new(), is_cut, must_have_arguments: false };
    let (mut text, mut quotes) = (String::new(), Quotes::default());
    // Directly after a call, another one may follow without a tag.
    let mut is_behind_call = false;
    let mut rest = held.trim_start();
    while !rest.is_empty() {
        let before = rest.len();
        let is_quoted = quotes.is_quoted();
        if let Some(opening) = opening_at(rest).filter(|_| !is_quoted) {
            let count = reader.calls.len();
            rest = reader.body(opening, &rest[opening.tag.len()..])?;
            is_behind_call = reader.calls.len() > count;
        } else if let Some(tag) = closing_at(rest).filter(|_| !is_quoted) {
            rest = &rest[tag.len()..];
            is_behind_call = false;
        } else if let Some(more) = behind_separator(rest).filter(|_| is_behind_call) {
            rest = reader.json(more)?;
        } else if reader.calls.is_empty() {
            return None;
        } else {
            is_behind_call = false;
            let mut end = rest.len();
            let mut quoted_to = 0;
            for at in candidates(rest) {
                quotes.push(&rest[quoted_to..at]);
                quoted_to = at;
                let is_tag = opening_at(&rest[at..]).is_some() || closing_at(&rest[at..]).is_some();
                if is_tag && !quotes.is_quoted() {
                    end = at;
                    break;
                }
            }
            quotes.push(&rest[quoted_to..end]);
            text.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        rest = rest.trim_start();
        steps::count(before - rest.len());
        if reader.calls.len() > MAX_TOOL_CALLS {
            return None;
        }
    }
    (!reader.calls.is_empty()).then_some((reader.calls, text))
}

/// Parses a response that consists of calls as JSON, each with its arguments.
pub(super) fn read_bare(held: &str, offered: &Offered) -> Option<Vec<ToolCall>> {
    let mut reader = Reader { offered, calls: Vec::new(), is_cut: false, must_have_arguments: true };
    let mut rest = reader.json(held.trim_start())?.trim_start();
    while !rest.is_empty() {
        rest = match closing_at(rest) {
            Some(tag) => &rest[tag.len()..],
            None => reader.json(behind_separator(rest)?)?,
        };
        rest = rest.trim_start();
        if reader.calls.len() > MAX_TOOL_CALLS {
            return None;
        }
    }
    Some(reader.calls)
}

/// Returns the start of an object that follows another one, with or without a separator.
fn behind_separator(text: &str) -> Option<&str> {
    let more = text.strip_prefix([';', ',']).map_or(text, str::trim_start);
    more.starts_with('{').then_some(more)
}

struct Reader<'o> {
    offered: &'o Offered,
    calls: Vec<ToolCall>,
    /// The response was truncated, so parameters without a closing tag may be incomplete.
    is_cut: bool,
    /// A name without arguments is not a call.
    must_have_arguments: bool,
}

impl Reader<'_> {
    fn add(&mut self, name: &str, arguments: String) -> Option<()> {
        let (name, _) = self.offered.find(name)?;
        self.calls.push(ToolCall::function(new_id(), name, arguments));
        Some(())
    }

    /// Parses what follows a tag and returns what follows the call.
    fn body<'t>(&mut self, opening: &'static Opening, text: &'t str) -> Option<&'t str> {
        let begins = text.trim_start();
        match &opening.body {
            Body::Section => Some(begins),
            Body::Json | Body::JsonOrPairs | Body::Named(_) if begins.starts_with(['{', '[']) => self.json(begins),
            Body::Json => None,
            Body::JsonOrPairs if opening_at(begins).is_some() || closing_at(begins).is_some() => Some(begins),
            Body::JsonOrPairs => self.pairs(begins),
            Body::Named(words) => self.named(words, begins),
            Body::Tagged(tags) => self.tagged(tags, text),
        }
    }

    /// Parses one call as an object, or several as an array.
    fn json<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (document, rest) = document(text)?;
        if self.documents(document).is_none() {
            // Raw line breaks in strings and similar errors.
            self.documents(&JsonReader::new(&[]).repaired(document))?;
        }
        Some(rest)
    }

    fn documents(&mut self, document: &str) -> Option<()> {
        steps::count(document.len());
        if document.starts_with('[') {
            let list: Vec<JsonCall<'_>> = serde_json::from_str(document).ok()?;
            let count = self.calls.len();
            let read = list.into_iter().try_for_each(|call| self.json_call(call));
            if read.is_none() {
                self.calls.truncate(count);
            }
            return read;
        }
        self.json_call(serde_json::from_str(document).ok()?)
    }

    fn json_call(&mut self, call: JsonCall<'_>) -> Option<()> {
        let JsonCall { name, mut arguments, function } = call;
        let name = match (name, function) {
            (Some(name), _) => name,
            (None, Some(function)) if function.get().starts_with('{') => {
                let inner: JsonCall<'_> = serde_json::from_str(function.get()).ok()?;
                arguments = inner.arguments.or(arguments);
                inner.name?
            }
            (None, function) => serde_json::from_str(function?.get()).ok()?,
        };
        if self.must_have_arguments && arguments.is_none() {
            return None;
        }
        let arguments = whole_arguments(arguments.map(RawValue::get).unwrap_or_default().to_owned())?;
        self.add(&name, arguments)
    }

    /// Parses a name, a separator and `{…}`; the type `function` and a separator may precede the name.
    fn named<'t>(&mut self, words: &[&str], text: &'t str) -> Option<&'t str> {
        let (head, rest) = text.split_at(memchr::memchr(b'{', text.as_bytes())?);
        let (name, behind) = words.iter().find_map(|word| head.split_once(word)).unwrap_or((head, ""));
        let is_kind = name.trim() == "function" && !behind.trim().is_empty();
        let fence = |text: &'t str| text.strip_suffix("```json").or_else(|| text.strip_suffix("```"));
        let (head, is_fenced) = match fence(behind.trim_end()) {
            _ if !is_kind => (name, false),
            Some(name) => (name, true),
            None => (behind, false),
        };
        let (arguments, rest) = arguments(rest)?;
        self.add(head, arguments)?;
        let behind_fence = rest.trim_start().strip_prefix("```").filter(|_| is_fenced);
        Some(behind_fence.unwrap_or(rest))
    }

    /// Parses `NAME<arg_key>KEY</arg_key><arg_value>…</arg_value>…</tool_call>`; one of these tags must follow the
    /// name.
    fn pairs<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let (name, mut rest) = text.split_at(memchr::memchr(b'<', text.as_bytes())?);
        let name = name.trim().trim_end_matches(WRITTEN_BREAK);
        let (_, parameters) = self.offered.find(name)?;
        let mut arguments = Map::new();
        while let Some(pair) = blanks(rest).strip_prefix("<arg_key>") {
            let (key, behind) = pair.split_once("</arg_key>")?;
            let (value, behind) = blanks(behind).strip_prefix("<arg_value>")?.split_once("</arg_value>")?;
            let key = key.trim();
            arguments.insert(key.to_owned(), typed(value.trim_matches('\n'), parameters, key));
            rest = behind;
        }
        if (arguments.is_empty() || self.is_cut) && closing_at(blanks(rest)).is_none() {
            return None;
        }
        self.add(name, Value::Object(arguments).to_string())?;
        Some(blanks(rest))
    }

    /// Parses `NAME>` and parameters in tags, or the arguments as JSON.
    fn tagged<'t>(&mut self, tags: &Tags, text: &'t str) -> Option<&'t str> {
        let (name, mut rest) = text.split_once('>')?;
        let (name, _) = attributes(name);
        let (_, parameters) = self.offered.find(name)?;
        if rest.trim_start().starts_with('{') {
            let (arguments, rest) = arguments(rest.trim_start())?;
            self.add(name, arguments)?;
            return Some(rest);
        }
        let mut arguments = Map::new();
        while let Some(parameter) = rest.trim_start().strip_prefix(tags.begin) {
            let (head, value) = parameter.split_once('>')?;
            let (value, behind) = value.split_once(tags.end)?;
            let (key, is_string) = attributes(head);
            let value = value.trim_matches('\n');
            let value = match is_string {
                Some(true) => Value::from(value),
                Some(false) => json_or_text(value),
                None => typed(value, parameters, key),
            };
            arguments.insert(key.to_owned(), value);
            rest = behind;
        }
        if self.is_cut && closing_at(rest.trim_start()).is_none() {
            return None;
        }
        self.add(name, Value::Object(arguments).to_string())?;
        Some(rest)
    }
}

/// Returns the repaired argument object at the start of a text, and the rest.
fn arguments(text: &str) -> Option<(String, &str)> {
    let (document, rest) = document(text)?;
    let arguments = whole_arguments(document.to_owned())?;
    serde_json::from_str::<IgnoredAny>(&arguments).ok()?;
    Some((arguments, rest))
}

/// Returns the object or array at the start of a text, and the rest.
fn document(text: &str) -> Option<(&str, &str)> {
    let mut scan = JsonScan::default();
    for (at, byte) in text.bytes().enumerate() {
        scan.push(byte);
        if scan.extent() == Extent::Whole {
            steps::count(at);
            return Some(text.split_at(at + 1));
        }
    }
    steps::count(text.len());
    None
}

/// Returns a text without leading blanks, including those written as escape sequences.
fn blanks(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(behind) = rest.strip_prefix(WRITTEN_BREAK) {
        rest = behind.trim_start();
    }
    rest
}

/// Returns the name in a tag, quoted or not, and the value of the attribute `string`.
fn attributes(head: &str) -> (&str, Option<bool>) {
    let head = head.trim();
    let quoted = head.strip_prefix(['"', '\'']).and_then(|inside| inside.split_once(['"', '\'']));
    let (name, more) = quoted.unwrap_or((head, ""));
    let is_string = match () {
        () if more.contains("string=\"true\"") => Some(true),
        () if more.contains("string=\"false\"") => Some(false),
        () => None,
    };
    (name, is_string)
}

/// Converts a parameter from text to the type in the tool's schema. A value that does not match stays a string.
fn typed(text: &str, parameters: &Map<String, Value>, key: &str) -> Value {
    let schema = parameters.get("properties").and_then(|properties| properties.get(key));
    match schema.is_none_or(|schema| allows_string(schema, DEEPEST)) {
        true => Value::from(text),
        false => json_or_text(text),
    }
}

fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::from(text))
}

/// Whether a schema allows strings, or allows any type.
fn allows_string(schema: &Value, depth: usize) -> bool {
    match &schema["type"] {
        Value::String(kind) => return kind == "string",
        Value::Array(types) => return types.iter().any(|name| name == "string"),
        _ => {}
    }
    let choices: Vec<&Value> = ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten().collect();
    depth == 0 || choices.is_empty() || choices.iter().any(|choice| allows_string(choice, depth - 1))
}
