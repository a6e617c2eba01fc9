//! Facts that depend on the credentials: any value of a block may be a template, or a choice by the value of a credential.
//! They are resolved as JSON, before the block is read, so the types of the dialect know nothing of credentials.
//!
//! | written | resolved |
//! |---|---|
//! | `{by: FIELD, when: {VALUE: x}, else: y}` | `x` if the credential has this value, else `y`; without `else` the key is absent |
//! | `{by: FIELD, hide: [VALUE]}` | `hide` or `show` |
//! | a text with `{FIELD}` | the text with the credential's value; the key is absent if it is blank and has no default |

use serde_json::{Map, Value};

use super::template::{Template, Values};

/// Keys below which a text keeps its type: what the user typed is text, whatever it looks like.
const TEXT_KEYS: [&str; 8] = ["prompt", "language", "prefix", "fields", "field", "voice", "voices", "strip"];

/// A value that may depend on credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct Dynamic(Node);

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Fixed(Value),
    Text { template: Template, is_typed: bool },
    Choice { by: String, when: Vec<(String, Node)>, other: Option<Box<Node>> },
    Map(Vec<(String, Node)>),
    List(Vec<Node>),
}

/// Something that is wrong with a value: its path below the value, and what it is.
pub type Wrong = (String, String);

impl Dynamic {
    /// Reads a value, or returns what is wrong with its templates and choices.
    pub fn read(value: &Value) -> Result<Self, Vec<Wrong>> {
        let mut reading = Reading { path: Vec::new(), wrong: Vec::new(), keeps_text: 0 };
        let node = reading.node(value);
        if reading.wrong.is_empty() { Ok(Self(node)) } else { Err(reading.wrong) }
    }

    /// Returns the value if it depends on nothing.
    pub fn as_fixed(&self) -> Option<&Value> {
        match &self.0 {
            Node::Fixed(value) => Some(value),
            _ => None,
        }
    }

    /// Resolves the value; `None` if all of it is absent.
    pub fn resolve(&self, values: &dyn Values) -> Option<Value> {
        self.0.resolve(values)
    }

    /// Returns the value in every variant that can be checked without credentials: the first branch of each choice, and each
    /// other branch alone.
    pub fn variants(&self) -> Vec<Value> {
        let most = self.0.branches();
        let mut all: Vec<Value> = Vec::new();
        for branch in 0..most.max(1) {
            let value = self.0.branch(branch).unwrap_or_default();
            if !all.contains(&value) {
                all.push(value);
            }
        }
        all
    }

    /// Returns the paths and names of all credentials that the value depends on.
    pub fn names(&self) -> Vec<(String, &str)> {
        let mut names = Vec::new();
        self.0.names(&mut Vec::new(), &mut names);
        names
    }
}

/// Returns the branch for a value, which is compared as it is typed and without blanks at its ends.
fn find<'n>(when: &'n [(String, Node)], value: &str) -> Option<&'n Node> {
    when.iter().find(|(key, _)| key == value || key == value.trim()).map(|(_, node)| node)
}

/// Returns a text as the number or the boolean that it spells.
fn typed(text: String, is_typed: bool) -> Value {
    match text.trim() {
        "true" if is_typed => Value::Bool(true),
        "false" if is_typed => Value::Bool(false),
        trimmed if is_typed && trimmed.starts_with(|first: char| first.is_ascii_digit() || first == '-') => {
            serde_json::from_str::<serde_json::Number>(trimmed).map_or(Value::String(text), Value::Number)
        }
        _ => Value::String(text),
    }
}

impl Node {
    fn resolve(&self, values: &dyn Values) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Text { template, is_typed } => template.fill(values).ok().map(|text| typed(text, *is_typed)),
            Self::Choice { by, when, other } => {
                let value = values.value(by);
                let chosen = value.as_deref().and_then(|value| find(when, value));
                chosen.or(other.as_deref())?.resolve(values)
            }
            Self::Map(entries) => Some(Value::Object(
                entries.iter().filter_map(|(key, node)| Some((key.clone(), node.resolve(values)?))).collect(),
            )),
            Self::List(items) => Some(items.iter().filter_map(|node| node.resolve(values)).collect()),
        }
    }

    /// Returns the number of branches of the choice that has the most.
    fn branches(&self) -> usize {
        match self {
            Self::Fixed(_) | Self::Text { .. } => 1,
            Self::Choice { when, other, .. } => {
                let all = when.iter().map(|(_, node)| node).chain(other.as_deref());
                all.map(Self::branches).sum()
            }
            Self::Map(entries) => entries.iter().map(|(_, node)| node.branches()).max().unwrap_or(1),
            Self::List(items) => items.iter().map(Self::branches).max().unwrap_or(1),
        }
    }

    /// Returns the value in which every choice has the branch of this number, or its last one.
    fn branch(&self, number: usize) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            // Nothing is known about what a credential contains.
            Self::Text { .. } => None,
            Self::Choice { when, other, .. } => {
                let mut left = number;
                let mut last = None;
                for node in when.iter().map(|(_, node)| node).chain(other.as_deref()) {
                    let branches = node.branches();
                    if left < branches {
                        return node.branch(left);
                    }
                    left -= branches;
                    last = Some(node);
                }
                last.and_then(|node| node.branch(number))
            }
            Self::Map(entries) => Some(Value::Object(
                entries.iter().filter_map(|(key, node)| Some((key.clone(), node.branch(number)?))).collect(),
            )),
            Self::List(items) => Some(items.iter().filter_map(|node| node.branch(number)).collect()),
        }
    }

    fn names<'n>(&'n self, path: &mut Vec<String>, names: &mut Vec<(String, &'n str)>) {
        match self {
            Self::Fixed(_) => {}
            Self::Text { template, .. } => {
                names.extend(template.names().into_iter().map(|name| (path.join("."), name)));
            }
            Self::Choice { by, when, other } => {
                names.push((below(path, "by"), by));
                for (key, node) in when {
                    path.extend(["when".to_owned(), key.clone()]);
                    node.names(path, names);
                    path.truncate(path.len() - 2);
                }
                if let Some(other) = other {
                    path.push("else".to_owned());
                    other.names(path, names);
                    path.pop();
                }
            }
            Self::Map(entries) => {
                for (key, node) in entries {
                    path.push(key.clone());
                    node.names(path, names);
                    path.pop();
                }
            }
            Self::List(items) => {
                for (index, node) in items.iter().enumerate() {
                    path.push(index.to_string());
                    node.names(path, names);
                    path.pop();
                }
            }
        }
    }

    fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }
}

fn below(path: &[String], key: &str) -> String {
    path.iter().map(String::as_str).chain([key]).collect::<Vec<_>>().join(".")
}

struct Reading {
    path: Vec<String>,
    wrong: Vec<Wrong>,
    /// Number of enclosing keys below which texts keep their type.
    keeps_text: usize,
}

impl Reading {
    fn node(&mut self, value: &Value) -> Node {
        match value {
            Value::String(text) => self.text(text, value),
            Value::Array(items) => {
                let nodes: Vec<Node> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.at(&index.to_string(), |reading| reading.node(item)))
                    .collect();
                if nodes.iter().all(Node::is_fixed) { Node::Fixed(value.clone()) } else { Node::List(nodes) }
            }
            Value::Object(map) if map.contains_key("by") => self.choice(map),
            Value::Object(map) => {
                let nodes: Vec<(String, Node)> =
                    map.iter().map(|(key, value)| (key.clone(), self.at(key, |reading| reading.node(value)))).collect();
                if nodes.iter().all(|(_, node)| node.is_fixed()) {
                    Node::Fixed(value.clone())
                } else {
                    Node::Map(nodes)
                }
            }
            other => Node::Fixed(other.clone()),
        }
    }

    fn text(&mut self, text: &str, value: &Value) -> Node {
        if !text.contains('{') {
            return Node::Fixed(value.clone());
        }
        match Template::parse(text) {
            Ok(template) => match template.as_text() {
                Some(plain) => Node::Fixed(plain.into()),
                None => Node::Text { is_typed: self.keeps_text == 0 && template.only_field().is_some(), template },
            },
            Err(what) => {
                self.wrong("", format!("`{text}` {what}"));
                Node::Fixed(value.clone())
            }
        }
    }

    fn choice(&mut self, map: &Map<String, Value>) -> Node {
        let by = match map.get("by") {
            Some(Value::String(by)) if !by.trim().is_empty() => by.trim().to_owned(),
            _ => {
                self.wrong("by", "must be the name of a credential".to_owned());
                String::new()
            }
        };
        for key in map.keys().filter(|key| !matches!(key.as_str(), "by" | "when" | "else" | "hide")) {
            self.wrong(key, "is not a key of a choice; expected `by`, `when` and `else`".to_owned());
        }
        if let Some(hide) = map.get("hide") {
            let texts: Option<Vec<&str>> =
                hide.as_array().map(|items| items.iter().filter_map(Value::as_str).collect());
            let Some(texts) = texts else {
                self.wrong("hide", "must be a list of values of the credential".to_owned());
                return Node::Fixed(Value::Null);
            };
            let when = texts.into_iter().map(|text| (text.to_owned(), Node::Fixed("hide".into()))).collect();
            return Node::Choice { by, when, other: Some(Box::new(Node::Fixed("show".into()))) };
        }
        let Some(Value::Object(cases)) = map.get("when") else {
            self.wrong("when", "must be a map from values of the credential".to_owned());
            return Node::Fixed(Value::Null);
        };
        self.path.push("when".to_owned());
        let when =
            cases.iter().map(|(key, value)| (key.clone(), self.at(key, |reading| reading.node(value)))).collect();
        self.path.pop();
        let other = map.get("else").map(|value| Box::new(self.at("else", |reading| reading.node(value))));
        Node::Choice { by, when, other }
    }

    fn at<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let keeps_text = usize::from(TEXT_KEYS.contains(&key));
        self.path.push(key.to_owned());
        self.keeps_text += keeps_text;
        let result = read(self);
        self.keeps_text -= keeps_text;
        self.path.pop();
        result
    }

    fn wrong(&mut self, key: &str, what: String) {
        let path = if key.is_empty() { self.path.join(".") } else { below(&self.path, key) };
        self.wrong.push((path, what));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(name: &str) -> Option<String> {
        let known = [("mode", "completion"), ("size", "1024"), ("on", "true"), ("delimiter", "\n"), ("text", "12")];
        known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn resolves_templates_and_choices() {
        for (value, expected) in [
            (json!({"a": 1, "b": "plain"}), json!({"a": 1, "b": "plain"})),
            (json!({"a": "{size}", "b": "{on}", "c": "{none}"}), json!({"a": 1024, "b": true})),
            (json!({"a": "{none|16}", "b": "x{size}"}), json!({"a": 16, "b": "x1024"})),
            (json!({"prompt": "{text}", "fields": {"a": "{text}"}}), json!({"prompt": "12", "fields": {"a": "12"}})),
            (json!({"m": {"by": "mode", "when": {"completion": {"x": "{size}"}}}}), json!({"m": {"x": 1024}})),
            (json!({"m": {"by": "none", "when": {"completion": 1}}}), json!({})),
            (json!({"m": {"by": "none", "when": {"completion": 1}, "else": [2]}}), json!({"m": [2]})),
            (json!({"e": {"by": "delimiter", "when": {"\n": "lines"}, "else": "standard"}}), json!({"e": "lines"})),
            (json!({"t": {"by": "mode", "hide": ["completion"]}}), json!({"t": "hide"})),
            (json!({"t": {"by": "none", "hide": ["completion"]}}), json!({"t": "show"})),
            (json!([{"by": "on", "when": {"true": "a"}}, {"by": "on", "when": {"x": "b"}}]), json!(["a"])),
            (json!({"s": "{\"a\": 1}"}), json!({"s": "{\"a\": 1}"})),
        ] {
            assert_eq!(Dynamic::read(&value).unwrap().resolve(&values), Some(expected), "{value}");
        }
    }

    #[test]
    fn lists_variants_and_names() {
        let value = json!({
            "a": {"by": "x", "when": {"1": "one", "2": {"by": "y", "when": {"3": "three"}}}, "else": "other"},
            "b": {"by": "z", "when": {"1": 1}},
            "c": "{w|{v}}",
        });
        let dynamic = Dynamic::read(&value).unwrap();
        let all = dynamic.variants();
        let expected = [json!({"a": "one", "b": 1}), json!({"a": "three", "b": 1}), json!({"a": "other", "b": 1})];
        assert_eq!(all, expected);
        let names: Vec<String> = dynamic.names().into_iter().map(|(path, name)| format!("{path}={name}")).collect();
        assert_eq!(names, ["a.by=x", "a.when.2.by=y", "b.by=z", "c=w", "c=v"]);
    }

    #[test]
    fn names_what_is_wrong() {
        for (value, path, words) in [
            (json!({"a": {"b": "{x"}}), "a.b", "without its"),
            (json!({"a": {"by": 1, "when": {}}}), "a.by", "name of a credential"),
            (json!({"a": {"by": "x"}}), "a.when", "must be a map"),
            (json!({"a": {"by": "x", "when": {}, "esle": 1}}), "a.esle", "expected `by`"),
            (json!({"a": {"by": "x", "hide": "y"}}), "a.hide", "must be a list"),
        ] {
            let wrong = Dynamic::read(&value).unwrap_err();
            assert!(wrong.iter().any(|(at, what)| at == path && what.contains(words)), "{value}: {wrong:?}");
        }
    }
}
