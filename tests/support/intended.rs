//! The differences that are intended: where ours does not do what the code of others does, and why. Everything else must be equal.
//! What is listed here is what was decided, not what happens to be; each entry is as narrow as it can be.

#[path = "intended_everywhere.rs"]
mod everywhere;
#[path = "intended_of_plugins.rs"]
mod of_plugins;

use serde_json::Value;

use super::normal_form::Difference;

/// A case with what was recorded and what ours did, in normal form.
pub struct Compared<'c> {
    /// The plugin.
    pub plugin: &'c str,
    /// The case as recorded.
    pub case: &'c Value,
    /// Our requests.
    pub sent: &'c Value,
    /// Our answer.
    pub answer: &'c Value,
}

impl Compared<'_> {
    fn name(&self) -> &str {
        self.case["name"].as_str().unwrap_or_default()
    }

    fn is(&self, action: &str) -> bool {
        self.case["action"].as_str().is_some_and(|found| found.starts_with(action))
    }

    fn prompt(&self) -> &str {
        self.case["prompt"].as_str().unwrap_or_default()
    }

    fn of(&self, plugins: &[&str]) -> bool {
        plugins.contains(&self.plugin)
    }

    fn recorded_error(&self) -> bool {
        self.case["answer"].get("error").is_some()
    }

    fn recorded_nothing(&self) -> bool {
        self.case["requests"].as_array().is_some_and(Vec::is_empty)
    }

    fn offers_tools(&self) -> bool {
        ["tools", "functions"].iter().any(|name| self.sent[0]["body"].get(name).is_some())
    }
}

/// A difference that is intended.
pub struct Intended {
    /// Its name.
    pub name: &'static str,
    /// Number of the fault of the reference, if it is one that is known.
    #[allow(dead_code)] // for readers
    pub fault: Option<u8>,
    /// Why ours differs.
    pub reason: &'static str,
    /// Whether a difference is this one.
    pub is: fn(&Compared<'_>, &Difference) -> bool,
}

/// All of them. Those of single plugins come first.
pub fn all() -> impl Iterator<Item = &'static Intended> {
    of_plugins::INTENDED.iter().chain(everywhere::INTENDED)
}

/// The name of the intended difference that this one is.
pub fn intended(compared: &Compared<'_>, difference: &Difference) -> Option<&'static str> {
    all().find(|entry| (entry.is)(compared, difference)).map(|entry| entry.name)
}

/// Whether a place has a form in which `*` is anything.
fn at(difference: &Difference, form: &str) -> bool {
    let mut rest = difference.at.as_str();
    let parts: Vec<&str> = form.split('*').collect();
    for (index, part) in parts.iter().enumerate() {
        match rest.find(part) {
            Some(0) => rest = &rest[part.len()..],
            Some(place) if index > 0 => rest = &rest[place + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || form.ends_with('*')
}

fn recorded(difference: &Difference) -> Option<&str> {
    difference.recorded.as_ref().and_then(Value::as_str)
}

fn ours(difference: &Difference) -> Option<&str> {
    difference.ours.as_ref().and_then(Value::as_str)
}

fn added(difference: &Difference) -> bool {
    difference.recorded.is_none() && difference.ours.is_some()
}

fn without_thoughts(text: &str) -> &str {
    text.split_once("</think>").map_or(text, |(_, rest)| rest.trim_start())
}

fn error_of(difference: &Difference, ours: bool) -> &str {
    let answer = if ours { &difference.ours } else { &difference.recorded };
    answer.as_ref().and_then(|answer| answer["error"].as_str()).unwrap_or_default()
}
