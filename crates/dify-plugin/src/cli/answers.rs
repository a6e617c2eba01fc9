//! `--llm`, `--answer`, `--answers` and `--ask`: what the terminal answers to a plugin that calls Dify back. The storage is
//! kept in memory.
//!
//! How one answer is written as responses of the wire is in [`written`].

mod written;

#[cfg(feature = "workbench")]
pub(crate) use written::responses;

use std::collections::{BTreeMap, VecDeque};
use std::io::BufRead;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value, json};

use super::credentials::{read_object, split_pair};
use super::terminal::say;
use crate::daemon::{Invoke, MISSING_KEY, Replies};
use crate::error::clip;
use crate::names::did_you_mean;
use crate::protocol::backwards::InvokeType;

/// Maximum size in bytes of a call that is shown before it is answered at the terminal.
const MAX_SHOWN_BYTES: usize = 2000;

/// Answers to calls back into Dify.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Calls back into Dify")]
pub struct AnswerArgs {
    /// Response of the language models that the plugin calls (repeatable: one per call; the last one serves all further calls)
    #[arg(long, value_name = "TEXT")]
    llm: Vec<String>,
    /// Response to calls of a type, such as `tool`, `app` or `text_embedding`, as JSON or text (repeatable)
    #[arg(long = "answer", value_name = "TYPE=VALUE")]
    answers: Vec<String>,
    /// JSON or YAML file with responses: for each type one, or a list of them
    #[arg(long = "answers", value_name = "FILE")]
    answers_file: Option<PathBuf>,
    /// Ask at the terminal for the responses that are not given
    #[arg(long)]
    ask: bool,
}

/// The answers of one command, and what the plugin has stored.
#[derive(Debug, Default)]
pub struct Answers {
    given: BTreeMap<InvokeType, VecDeque<Value>>,
    ask: bool,
    storage: BTreeMap<String, Value>,
    /// Hints for calls without an answer.
    unanswered: Vec<String>,
}

impl AnswerArgs {
    /// Reads the answers. Options come before the file's.
    pub fn read(&self) -> anyhow::Result<Answers> {
        let mut answers = Answers { ask: self.ask, ..Answers::default() };
        for text in &self.llm {
            answers.given.entry(InvokeType::Llm).or_default().push_back(text.as_str().into());
        }
        for pair in &self.answers {
            let (name, value) = split_pair(pair)?;
            answers.given.entry(invoke_type(name)?).or_default().push_back(json_or_text(value));
        }
        if let Some(path) = &self.answers_file {
            let within = || format!("cannot read the answers in {}", path.display());
            for (name, value) in read_object(path).with_context(within)? {
                let list = match value {
                    Value::Array(list) => list,
                    one => vec![one],
                };
                answers.given.entry(invoke_type(&name).with_context(within)?).or_default().extend(list);
            }
        }
        Ok(answers)
    }
}

fn invoke_type(name: &str) -> anyhow::Result<InvokeType> {
    InvokeType::of_name(name).with_context(|| {
        let names = InvokeType::ALL.map(InvokeType::as_str);
        let suggestion = did_you_mean(name, names);
        format!("unknown type of call `{name}`{suggestion}; expected one of {}", names.join(", "))
    })
}

fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

impl Answers {
    /// Answers a call with its responses, or an error, and the end.
    pub fn answer(&mut self, call: &Invoke, replies: &Replies) {
        match self.responses(call) {
            Ok(responses) => responses.iter().for_each(|data| replies.response(data)),
            Err(message) => replies.error(&message),
        }
        replies.end();
    }

    /// Reports the calls without an answer, for a plugin that succeeds in spite of them.
    pub fn report_unanswered(&mut self) {
        for hint in self.unanswered.drain(..) {
            say(&format!("warning: {hint}"));
        }
    }

    fn responses(&mut self, call: &Invoke) -> Result<Vec<Value>, String> {
        let (name, request) = (call.invoke_type.as_str(), &call.request);
        let invoke_type = InvokeType::of_name(name).ok_or_else(|| format!("unsupported invoke type: {name}"))?;
        if invoke_type == InvokeType::Storage && !self.given.contains_key(&invoke_type) {
            return self.stored(request).map(|data| vec![data]);
        }
        match self.next(invoke_type).or_else(|| self.asked(name, request)) {
            Some(answer) => written::responses(invoke_type, answer, request),
            None => {
                let hint = hint(invoke_type);
                self.unanswered.push(hint.clone());
                Err(hint)
            }
        }
    }

    /// The next answer; the last one is kept.
    fn next(&mut self, invoke_type: InvokeType) -> Option<Value> {
        // A structured output is a response of a language model, too.
        let of_type = self.given.get_mut(&invoke_type).is_some().then_some(invoke_type);
        let of_llm = (invoke_type == InvokeType::LlmStructuredOutput).then_some(InvokeType::Llm);
        let answers = self.given.get_mut(&of_type.or(of_llm)?)?;
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
    }

    fn asked(&self, name: &str, request: &Map<String, Value>) -> Option<Value> {
        if !self.ask {
            return None;
        }
        say(&format!("the plugin calls `{name}`: {}", clip(&json!(request).to_string(), MAX_SHOWN_BYTES)));
        say("type the response (text or JSON, one line):");
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(length) if length > 0 => Some(json_or_text(line.trim_end_matches(['\r', '\n']))),
            _ => None,
        }
    }

    pub(crate) fn stored(&mut self, request: &Map<String, Value>) -> Result<Value, String> {
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
        let key = text("key").to_owned();
        Ok(match text("opt") {
            "get" => json!({"data": self.storage.get(&key).ok_or(MISSING_KEY)?}),
            "set" => {
                self.storage.insert(key, text("value").into());
                json!({"data": "ok"})
            }
            "del" => {
                self.storage.remove(&key).ok_or("delete data failed")?;
                json!({"data": "ok", "deleted_num": 0})
            }
            "exist" => {
                let exists = self.storage.contains_key(&key);
                json!({"data": exists, "exist_num": u8::from(exists)})
            }
            other => return Err(format!("unknown storage operation: {other}")),
        })
    }
}

/// What to do about a call without an answer.
fn hint(invoke_type: InvokeType) -> String {
    let name = invoke_type.as_str();
    let option = match invoke_type {
        InvokeType::Llm | InvokeType::LlmStructuredOutput => "--llm TEXT".to_owned(),
        _ => format!("--answer {name}=VALUE"),
    };
    format!(
        "the plugin calls Dify (`{name}`), and no response was given for it: pass {option}, --answers FILE or --ask"
    )
}

#[cfg(test)]
#[path = "answers/tests.rs"]
mod tests;
