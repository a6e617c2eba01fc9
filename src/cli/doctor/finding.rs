//! What the doctor saw: one finding is one line, for a person or for a program.

use std::fmt;

use serde::Serialize;

use crate::cli::terminal::{print_json, print_line};
use crate::error::InvokeError;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, or may; look at it.
    Warning,
    /// Does not work.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at (`declarations`, `environment`, `tls`).
    pub check: String,
    /// What was seen; never a secret.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        // One finding is one line, whatever it quotes.
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(formatter, "{level:<8} {:<13} {}", self.check, line(&self.found))?;
        match &self.hint {
            Some(hint) => write!(formatter, " → {}", line(hint)),
            None => Ok(()),
        }
    }
}

/// Prints findings as they are made, and counts them.
pub struct Report {
    json: bool,
    /// Findings by level.
    counts: [usize; 3],
}

impl Report {
    /// Nothing found yet. With `json`, each line is an object.
    pub fn new(json: bool) -> Self {
        Self { json, counts: [0; 3] }
    }

    /// As it should be.
    pub fn ok(&mut self, check: &str, found: impl Into<String>) -> anyhow::Result<()> {
        self.tell(Level::Ok, check, found.into(), None)
    }

    /// Works, but.
    pub fn warning(&mut self, check: &str, found: impl Into<String>, hint: impl Into<String>) -> anyhow::Result<()> {
        self.tell(Level::Warning, check, found.into(), Some(hint.into()))
    }

    /// Does not work.
    pub fn error(&mut self, check: &str, found: impl Into<String>, hint: impl Into<String>) -> anyhow::Result<()> {
        self.tell(Level::Error, check, found.into(), Some(hint.into()))
    }

    /// A failed call, with the hint it brings, or else this one.
    pub fn failure(&mut self, check: &str, error: &InvokeError, hint: &str) -> anyhow::Result<()> {
        self.error(check, error.message.clone(), error.hint.as_deref().unwrap_or(hint))
    }

    fn tell(&mut self, level: Level, check: &str, found: String, hint: Option<String>) -> anyhow::Result<()> {
        self.counts[level as usize] += 1;
        let finding = Finding { level, check: check.to_owned(), found, hint };
        if self.json { print_json(&serde_json::to_value(&finding)?) } else { print_line(&finding.to_string()) }
    }

    /// Whether anything does not work.
    pub fn has_errors(&self) -> bool {
        self.counts[Level::Error as usize] > 0
    }

    /// How many of each.
    pub fn summary(&self) -> String {
        let [ok, warnings, errors] = self.counts;
        let of = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        format!("{ok} ok, {}, {}", of(warnings, "warning"), of(errors, "error"))
    }
}
