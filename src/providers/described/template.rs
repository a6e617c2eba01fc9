//! Templates in facts: text with `{credential}`, `{credential|default}` and `{model}`. They are parsed once, when the facts
//! are read, and filled for each call. What it is not: an expression language.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// Maximum number of templates inside the default of another.
const MAX_DEPTH: usize = 8;

/// Name of the wire name of the model in a template.
pub const MODEL: &str = "model";

/// A text in which names in braces stand for the values of credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field { name: String, default: Option<Template> },
}

/// The values that a template is filled with.
pub trait Values {
    /// Returns the value of a name, or `None` if it is blank.
    fn value(&self, name: &str) -> Option<Cow<'_, str>>;
}

impl<F: Fn(&str) -> Option<String>> Values for F {
    fn value(&self, name: &str) -> Option<Cow<'_, str>> {
        self(name).map(Cow::Owned)
    }
}

impl Template {
    /// Parses a text, or returns what is wrong with it. A brace that no name follows is text; `{{` is a brace.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (template, rest) = parse(text, None, 0)?;
        debug_assert!(rest.is_empty());
        Ok(template)
    }

    /// Returns the text with every name replaced by its value, or the first name that has neither value nor default.
    pub fn fill<'t>(&'t self, values: &dyn Values) -> Result<String, &'t str> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Field { name, default } => match (values.value(name), default) {
                    (Some(value), _) => filled.push_str(&value),
                    (None, Some(default)) => filled.push_str(&default.fill(values)?),
                    (None, None) => return Err(name),
                },
            }
        }
        Ok(filled)
    }

    /// Returns the text if it names nothing.
    pub fn as_text(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns all names in it, those of defaults included.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for part in &self.0 {
            if let Part::Field { name, default } = part {
                names.push(name.as_str());
                names.extend(default.iter().flat_map(Self::names));
            }
        }
        names
    }

    /// Returns the name whose value the whole text is, with its default.
    pub fn only_field(&self) -> Option<(&str, Option<&Self>)> {
        match self.0.as_slice() {
            [Part::Field { name, default }] => Some((name, default.as_ref())),
            _ => None,
        }
    }
}

/// Parses up to `end`, or the whole text; returns what is left after it.
fn parse(mut text: &str, end: Option<char>, depth: usize) -> Result<(Template, &str), String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    loop {
        let Some(next) = text.chars().next() else {
            return match end {
                Some(_) => Err("has a `{` without its `}`".to_owned()),
                None => {
                    parts.extend((!plain.is_empty()).then_some(Part::Text(plain)));
                    Ok((Template(parts), text))
                }
            };
        };
        if Some(next) == end {
            parts.extend((!plain.is_empty()).then_some(Part::Text(plain)));
            return Ok((Template(parts), &text[next.len_utf8()..]));
        }
        let doubled = ["{{", "}}"].into_iter().find(|pair| end.is_none() && text.starts_with(pair));
        if let Some(pair) = doubled {
            plain.push_str(&pair[1..]);
            text = &text[pair.len()..];
            continue;
        }
        let name = match next {
            '{' => name_at_start(&text[1..]),
            _ => "",
        };
        if name.is_empty() {
            plain.push(next);
            text = &text[next.len_utf8()..];
            continue;
        }
        let rest = &text[1 + name.len()..];
        let (default, rest) = match rest.chars().next() {
            Some('}') => (None, &rest[1..]),
            Some('|') if depth == MAX_DEPTH => return Err(format!("nests more than {MAX_DEPTH} defaults")),
            Some('|') => {
                let (default, rest) = parse(&rest[1..], Some('}'), depth + 1)?;
                (Some(default), rest)
            }
            Some(_) => {
                plain.push('{');
                text = &text[1..];
                continue;
            }
            None => return Err(format!("has `{{{name}` without its `}}`")),
        };
        parts.extend((!plain.is_empty()).then(|| Part::Text(std::mem::take(&mut plain))));
        parts.push(Part::Field { name: name.to_owned(), default });
        text = rest;
    }
}

/// Returns the name that a text begins with.
fn name_at_start(text: &str) -> &str {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    let end = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
    if text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_') { &text[..end] } else { "" }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => formatter.write_str(text)?,
                Part::Field { name, default: None } => write!(formatter, "{{{name}}}")?,
                Part::Field { name, default: Some(default) } => write!(formatter, "{{{name}|{default}}}")?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TemplateVisitor)
    }
}

struct TemplateVisitor;

impl Visitor<'_> for TemplateVisitor {
    type Value = Template;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text, in which `{credential}` is replaced by the value of a credential")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Template, E> {
        Template::parse(text).map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Template, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Template, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Template, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Template, E> {
        self.visit_str(&value.to_string())
    }
}

impl JsonSchema for Template {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"], "format": "template" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str) -> Option<String> {
        let known = [("a", "A"), ("b", "B"), ("model", "m/1")];
        known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn fills_names_and_defaults() {
        for (text, expected) in [
            ("", Ok("")),
            ("plain", Ok("plain")),
            ("{a}", Ok("A")),
            ("x{a}y{b}z", Ok("xAyBz")),
            ("{none}", Err("none")),
            ("{none|d}", Ok("d")),
            ("{none|}", Ok("")),
            ("{none|{a}}", Ok("A")),
            ("{none|{other|https://h/{b}/v1}}", Ok("https://h/B/v1")),
            ("{none|{other}}", Err("other")),
            ("{a|{other}}", Ok("A")),
            ("deployments/{model}/chat", Ok("deployments/m/1/chat")),
            ("{\"key\": {a}}", Ok("{\"key\": A}")),
            ("{{a}}", Ok("{a}")),
            ("{ a }", Ok("{ a }")),
            ("{}", Ok("{}")),
            ("{a b}", Ok("{a b}")),
            ("å{a}中", Ok("åA中")),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.fill(&values), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let deep = format!("{}x{}", "{a|".repeat(20), "}".repeat(20));
        for (text, expected) in [("{a", "without its `}`"), ("{a|b", "without its `}`"), (deep.as_str(), "nests more")]
        {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn lists_its_names() {
        let template = Template::parse("{a|{b}}-{c}").unwrap();
        assert_eq!(template.names(), ["a", "b", "c"]);
        assert_eq!(template.to_string(), "{a|{b}}-{c}");
        assert_eq!(Template::parse("{a|d}").unwrap().only_field().unwrap().0, "a");
        assert!(Template::parse("{a}x").unwrap().only_field().is_none());
        assert_eq!(Template::parse("x").unwrap().as_text(), Some("x"));
    }
}
