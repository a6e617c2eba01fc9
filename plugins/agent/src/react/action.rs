//! What a model wrote as an action, as a tool and its input. Pure; which spellings there are was reported for Dify's own
//! plugin (official#2375, #3699, #3703, #3861, dify#30966).

use dify_plugin::serde_json::{Map, Value};

/// Members that may name the tool, without spaces and underscores, in lower case.
const NAMES: [&str; 7] = ["action", "actionname", "tool", "toolname", "name", "function", "functionname"];

/// Members that may have the input.
const INPUTS: [&str; 9] =
    ["actioninput", "input", "toolinput", "arguments", "args", "parameters", "params", "actionparameters", "toolargs"];

/// Members that may wrap the action.
const WRAPPERS: [&str; 6] = ["toolcall", "toolcalls", "toolcalling", "functioncall", "function", "action"];

/// A tool that the model asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Its name.
    pub name: String,
    /// An object, or a text for a tool with one parameter.
    pub input: Value,
}

impl Action {
    /// An action of a name and an input, which may be JSON in a text.
    pub(super) fn new(name: &str, input: Value) -> Self {
        let input = match input {
            Value::Null => Value::Object(Map::new()),
            Value::String(text) => object_in(&text).unwrap_or(Value::String(text)),
            input => input,
        };
        Self { name: clean(name).to_owned(), input }
    }

    /// Reads an action; `tools` are the names that there are.
    pub(super) fn read(value: &Value, tools: &[String]) -> Option<Self> {
        match value {
            Value::Array(actions) if actions.len() == 1 => Self::read(&actions[0], tools),
            Value::Object(members) => Self::of_members(members, tools),
            _ => None,
        }
    }

    fn of_members(members: &Map<String, Value>, tools: &[String]) -> Option<Self> {
        let of = |names: &[&str]| members.iter().find(|(key, _)| names.contains(&normal(key).as_str()));
        let name = members.iter().find_map(|(key, value)| {
            let name = value.as_str().filter(|name| !clean(name).is_empty())?;
            NAMES.contains(&normal(key).as_str()).then_some(name)
        });
        let input = of(&INPUTS).map(|(_, input)| input.clone());
        if let Some(name) = name {
            return Some(Self::new(name, input.unwrap_or_default()));
        }
        if let Some((_, wrapped)) = of(&WRAPPERS).filter(|(_, wrapped)| wrapped.is_object() || wrapped.is_array()) {
            let action = Self::read(wrapped, tools)?;
            return Some(match input {
                Some(input) if action.input == Value::Object(Map::new()) => Self::new(&action.name, input),
                _ => action,
            });
        }
        // `{"search": {"query": "…"}}`
        let (name, input) = members.iter().next().filter(|_| members.len() == 1)?;
        tools.contains(name).then(|| Self::new(name, input.clone()))
    }

    /// Whether the action is the answer.
    pub(super) fn is_answer(&self) -> bool {
        normal(&self.name) == "finalanswer"
    }

    /// The input as an answer: its text, or the only text in it.
    pub(super) fn into_answer(self) -> String {
        match self.input {
            Value::String(text) => text,
            Value::Object(members) if members.len() == 1 => match members.into_iter().next() {
                Some((_, Value::String(text))) => text,
                Some((name, value)) => Value::Object([(name, value)].into_iter().collect()).to_string(),
                None => String::new(),
            },
            input => input.to_string(),
        }
    }
}

/// A name without what may be around it.
pub(super) fn clean(name: &str) -> &str {
    name.trim_matches(|character: char| character.is_whitespace() || "`*\"'[](),.;".contains(character))
}

/// Whether a text on a line of its own can be the name of a tool.
pub(super) fn is_name(text: &str) -> bool {
    if text.len() > 512 {
        return false;
    }
    let name = clean(text);
    let is_letter = |character: char| character.is_alphanumeric() || "_-./".contains(character);
    !name.is_empty() && name.chars().count() <= 128 && (name.chars().all(is_letter) || normal(name) == "finalanswer")
}

fn normal(name: &str) -> String {
    name.chars().filter(|character| !matches!(character, ' ' | '_' | '-')).flat_map(char::to_lowercase).collect()
}

fn object_in(text: &str) -> Option<Value> {
    let value: Value = dify_plugin::serde_json::from_str(text.trim()).ok()?;
    value.is_object().then_some(value)
}
