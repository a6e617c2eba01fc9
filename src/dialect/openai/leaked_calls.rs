//! Tool calls that a server left in the text because it has no parser for the model's format.
//!
//! Text is passed on until a tag that opens a call; from there it is held back to the end and read as Hermes/Qwen JSON
//! (`<tool_call>{…}</tool_call>`), Qwen-Coder XML (`<function=f><parameter=p>…`), or `<|tool_call|>` JSON. What cannot be
//! read, or names a tool that was not offered, is released as text. A tag within quotes or a fence of code is quoted.
//! Only for the answer itself, never for thoughts, and only when tools were offered. Where the upstream is not known to
//! leave calls in the text, an answer must be nothing but calls: among words they are an example of one.

mod quotes;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use self::quotes::Quotes;
use super::calls::{MOST_CALLS, new_id, whole_arguments};
use crate::dialect::think::partial_tag;
use crate::protocol::{Tool, ToolCall};
use crate::steps;

/// Tags at which text may turn into calls.
const OPENING: [&str; 3] = ["<tool_call>", "<function=", "<|tool_call|>"];

/// Tags around a call in the text.
const FRAME: [&str; 6] =
    ["<tool_call>", "</tool_call>", "<|tool_call|>", "<|/tool_call|>", "<|end_tool_call|>", "</function>"];

/// Push text, take out text; at the end take the calls.
#[derive(Debug)]
pub struct LeakedCalls {
    tools: Vec<(String, Map<String, Value>)>,
    held: String,
    found: bool,
    /// Nothing but blanks came before.
    alone: bool,
    quotes: Quotes,
}

impl LeakedCalls {
    /// Looks for calls of these tools.
    pub fn new(tools: &[Tool]) -> Self {
        let tools = tools.iter().map(|tool| (tool.name.clone(), tool.parameters.clone())).collect();
        Self { tools, held: String::new(), found: false, alone: true, quotes: Quotes::default() }
    }

    /// Bytes that are kept.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes text; what is certainly text comes out.
    pub fn push(&mut self, text: &str, out: &mut String) {
        if self.found {
            steps::count(text.len());
            self.held.push_str(text);
            return;
        }
        if self.held.is_empty() && memchr::memchr(b'<', text.as_bytes()).is_none() {
            self.release(text, out);
            return;
        }
        // What is held is less than a tag.
        steps::count(self.held.len() + text.len());
        let text = std::mem::take(&mut self.held) + text;
        let mut from = 0;
        while let Some(at) = first(&text[from..], &OPENING).map(|at| from + at) {
            self.release(&text[from..at], out);
            if !self.quotes.is_quoted() {
                self.found = true;
                self.held.push_str(&text[at..]);
                return;
            }
            from = at + 1;
            self.release(&text[at..from], out);
        }
        let rest = &text[from..];
        let keep = OPENING.iter().map(|tag| partial_tag(rest, tag)).max().unwrap_or(0);
        let (certain, rest) = rest.split_at(rest.len() - keep);
        self.release(certain, out);
        self.held.push_str(rest);
    }

    /// Something else follows than text of the answer: no tag goes on behind it.
    pub fn settle(&mut self, out: &mut String) {
        if !self.found {
            let held = std::mem::take(&mut self.held);
            self.release(&held, out);
        }
    }

    fn release(&mut self, text: &str, out: &mut String) {
        steps::count(text.len());
        self.quotes.push(text);
        self.alone &= text.trim_start().is_empty();
        out.push_str(text);
    }

    /// The answer is over: the calls in what was held, when they can be read and either count among words or stand alone;
    /// else the text of it.
    pub fn finish(&mut self, count_among_words: bool, out: &mut String) -> Vec<ToolCall> {
        let held = std::mem::take(&mut self.held);
        if std::mem::take(&mut self.found)
            && (count_among_words || self.alone)
            && let Some((calls, text)) = self.read(&held)
            && (count_among_words || text.trim().is_empty())
        {
            out.push_str(&text);
            return calls;
        }
        out.push_str(&held);
        Vec::new()
    }

    /// Reads calls and the text between them; `None` when any of it is no call of an offered tool.
    fn read(&self, held: &str) -> Option<(Vec<ToolCall>, String)> {
        let mut calls = Vec::new();
        let mut text = String::new();
        let mut rest = held;
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                break;
            }
            let before = rest.len();
            if let Some(tag) = FRAME.iter().find(|tag| rest.starts_with(**tag)) {
                rest = &rest[tag.len()..];
            } else if let Some(body) = rest.strip_prefix("<function=") {
                rest = self.read_xml(body, &mut calls)?;
            } else if rest.starts_with(['{', '[']) {
                rest = self.read_json(rest, &mut calls)?;
            } else if calls.is_empty() {
                return None;
            } else {
                let end = first(rest, &OPENING).into_iter().chain(first(rest, &FRAME)).min().unwrap_or(rest.len());
                text.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            steps::count(before - rest.len());
            if calls.len() > MOST_CALLS {
                return None;
            }
        }
        (!calls.is_empty()).then_some((calls, text))
    }

    /// One call as an object, or several as an array; returns what follows.
    fn read_json<'a>(&self, text: &'a str, calls: &mut Vec<ToolCall>) -> Option<&'a str> {
        #[derive(Deserialize)]
        struct JsonCall<'a> {
            name: String,
            #[serde(borrow, default, alias = "parameters")]
            arguments: Option<&'a RawValue>,
        }
        let mut add = |call: JsonCall<'_>| {
            self.parameters(&call.name)?;
            let arguments = whole_arguments(call.arguments.map(RawValue::get).unwrap_or_default().to_owned())?;
            calls.push(ToolCall::function(new_id(), call.name, arguments));
            Some(())
        };
        if text.starts_with('{') {
            let mut documents = serde_json::Deserializer::from_str(text).into_iter::<JsonCall<'a>>();
            add(documents.next()?.ok()?)?;
            return text.get(documents.byte_offset()..);
        }
        let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Vec<JsonCall<'a>>>();
        let list = documents.next()?.ok()?;
        list.into_iter().try_for_each(&mut add)?;
        text.get(documents.byte_offset()..)
    }

    /// `name><parameter=p>value</parameter>…</function>`; returns what follows.
    fn read_xml<'a>(&self, text: &'a str, calls: &mut Vec<ToolCall>) -> Option<&'a str> {
        let (name, mut rest) = text.split_once('>')?;
        let name = name.trim().trim_matches('"');
        let parameters = self.parameters(name)?;
        if rest.trim_start().starts_with('{') {
            // <function=f>{"p": 1}</function>
            let mut documents = serde_json::Deserializer::from_str(rest).into_iter::<Map<String, Value>>();
            let arguments = documents.next()?.ok()?;
            calls.push(ToolCall::function(new_id(), name, Value::Object(arguments).to_string()));
            return rest.get(documents.byte_offset()..);
        }
        let mut arguments = Map::new();
        loop {
            let trimmed = rest.trim_start();
            let Some(parameter) = trimmed.strip_prefix("<parameter=") else {
                rest = trimmed;
                break;
            };
            let (key, value) = parameter.split_once('>')?;
            let (value, after) = value.split_once("</parameter>")?;
            let key = key.trim().trim_matches('"');
            arguments.insert(key.to_owned(), typed(value.trim_matches('\n'), parameters, key));
            rest = after;
        }
        calls.push(ToolCall::function(new_id(), name, Value::Object(arguments).to_string()));
        Some(rest)
    }

    fn parameters(&self, name: &str) -> Option<&Map<String, Value>> {
        self.tools.iter().find(|(offered, _)| offered == name).map(|(_, parameters)| parameters)
    }
}

/// Where the first of these tags begins. Each of them begins with `<`.
fn first(text: &str, tags: &[&str]) -> Option<usize> {
    memchr::memchr_iter(b'<', text.as_bytes()).find(|at| tags.iter().any(|tag| text[*at..].starts_with(tag)))
}

/// XML carries text only; the tool's schema says what it is. What does not fit stays text.
fn typed(text: &str, parameters: &Map<String, Value>, key: &str) -> Value {
    let schema = parameters.get("properties").and_then(|properties| properties.get(key));
    let is_string = schema.and_then(|schema| schema.get("type")).is_none_or(|kind| kind == "string");
    if is_string {
        return Value::String(text.to_owned());
    }
    serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUOTED: &str =
        "Write \"<tool_call>{\\\"name\\\": …}</tool_call>\" or `<tool_call>{\"name\":\"get_weather\"}</tool_call>`.";
    const FENCED: &str = "So:\n```xml\n<tool_call>{\"name\":\"get_weather\"}</tool_call>\n```\nThat is all.";

    fn tools() -> Vec<Tool> {
        let schema = r#"[{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}}}}]"#;
        serde_json::from_str(schema).unwrap()
    }

    fn run(pieces: &[&str]) -> (String, Vec<String>) {
        let mut leaked = LeakedCalls::new(&tools());
        let mut out = String::new();
        for piece in pieces {
            leaked.push(piece, &mut out);
        }
        let calls = leaked.finish(true, &mut out);
        (out, calls.into_iter().map(|call| format!("{} {}", call.function.name, call.function.arguments)).collect())
    }

    #[test]
    fn calls_in_text_are_read_and_text_stays_text() {
        let paris = r#"get_weather {"city":"Paris"}"#;
        let cases: &[(&str, &str, &[&str])] = &[
            ("plain < text > with <b>tags</b>", "plain < text > with <b>tags</b>", &[]),
            ("cut off at <tool_ca", "cut off at <tool_ca", &[]),
            (
                "Let me check.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"London\"}}\n</tool_call>",
                "Let me check.\n",
                &[r#"get_weather {"city": "Paris"}"#, r#"get_weather {"city": "London"}"#],
            ),
            (
                "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>",
                "",
                &[r#"get_weather {"city":"Paris","days":3}"#],
            ),
            ("<function=get_weather>{\"city\":\"Paris\"}</function>", "", &[paris]),
            (
                "<|tool_call|>[{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Paris\"}}]<|/tool_call|>",
                "",
                &[paris],
            ),
            ("<tool_call>{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\\\"Paris\\\"}\"}", "", &[paris]),
            ("<tool_call>{\"name\":\"get_weather\"}</tool_call> done", "done", &["get_weather {}"]),
            // not offered, not readable, cut
            (
                "<tool_call>{\"name\":\"rm\",\"arguments\":{}}</tool_call>",
                "<tool_call>{\"name\":\"rm\",\"arguments\":{}}</tool_call>",
                &[],
            ),
            ("use <tool_call> tags", "use <tool_call> tags", &[]),
            (
                "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Par",
                "<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Par",
                &[],
            ),
            (
                "<tool_call>{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\"}",
                "<tool_call>{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":\"}",
                &[],
            ),
            // quoted
            (QUOTED, QUOTED, &[]),
            (FENCED, FENCED, &[]),
            (
                "Not `<tool_call>` alone.\n<tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Paris\"}}</tool_call>",
                "Not `<tool_call>` alone.\n",
                &[paris],
            ),
            ("<tool_call>{\"name\":\"get_wea", "<tool_call>{\"name\":\"get_wea", &[]),
        ];
        for (text, expected, calls) in cases {
            let (out, found) = run(&[text]);
            assert_eq!(
                (out.as_str(), found.iter().map(String::as_str).collect::<Vec<_>>().as_slice()),
                (*expected, *calls),
                "{text}"
            );
        }
    }

    #[test]
    fn calls_among_words_are_words_where_none_are_expected() {
        let call = "<tool_call>{\"name\":\"get_weather\"}</tool_call>";
        for (before, behind, made) in [
            ("", "", 1),
            ("\n ", "\n", 1),
            ("", call, 2),
            ("So: ", "", 0),
            ("", " and more", 0),
            (call, " and more", 0),
        ] {
            let text = format!("{before}{call}{behind}");
            let (mut leaked, mut out) = (LeakedCalls::new(&tools()), String::new());
            leaked.push(&text, &mut out);
            assert_eq!(leaked.finish(false, &mut out).len(), made, "{text}");
            assert_eq!(out.trim(), if made == 0 { text.as_str() } else { "" }, "{text}");
        }
    }

    #[test]
    fn long_texts_cost_their_length() {
        let call = "<tool_call>{\"name\":\"get_weather\",\"arguments\":{}}</tool_call>";
        for piece in ["<", "<tool_cal", "`<tool_call>` ", "`", "x < y > z", call, "<function=", "text </function> {"] {
            let begin = |size: usize| format!("{call} {}", piece.repeat(size));
            steps::assert_linear(piece, begin, |text| drop(run(&[&text])));
            steps::assert_linear(piece, |size| vec![piece; size], |pieces| drop(run(&pieces)));
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(cuts in proptest::collection::vec(0usize..100, 0..8)) {
            let text = "Ja `` ä `<tool_call>` <tool <tool_call>{\"name\":\"get_weather\",\"arguments\":{\"city\":\"Paris\"}}</tool_call>";
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| text.is_char_boundary(*cut)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&text[from..cut]);
                from = cut;
            }
            pieces.push(&text[from..]);
            prop_assert_eq!(run(&pieces), run(&[text]));
        }
    }
}
