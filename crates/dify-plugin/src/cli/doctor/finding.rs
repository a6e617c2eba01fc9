//! Findings of `doctor`: one line per finding, as text or as JSON, or kept for the workbench.

use std::fmt;

use serde::Serialize;

use crate::cli::terminal::{print_json, print_line};
use crate::error::InvokeError;

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// No problem.
    Ok,
    /// Works, or may work, but needs attention.
    Warning,
    /// Does not work.
    Error,
}

/// Result of one check.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Severity.
    pub level: Level,
    /// Name of the check (`declarations`, `environment`, `tls`).
    pub check: String,
    /// Result; never contains a secret.
    pub found: String,
    /// How to fix the problem.
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
        // A finding is printed on one line even if it quotes several.
        let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(formatter, "{level:<8} {:<13} {}", self.check, line(&self.found))?;
        match &self.hint {
            Some(hint) => write!(formatter, " → {}", line(hint)),
            None => Ok(()),
        }
    }
}

/// Prints findings immediately, or keeps them, and counts them.
pub struct Report {
    output: Output,
    /// Number of findings by level.
    counts: [usize; 3],
}

/// Where findings go.
enum Output {
    Lines,
    Json,
    #[cfg(feature = "workbench")]
    Kept(Vec<Finding>),
}

impl Report {
    /// Returns an empty report. With `json`, each finding is printed as a JSON object.
    pub fn new(json: bool) -> Self {
        Self { output: if json { Output::Json } else { Output::Lines }, counts: [0; 3] }
    }

    /// Returns an empty report that prints nothing.
    #[cfg(feature = "workbench")]
    pub fn kept() -> Self {
        Self { output: Output::Kept(Vec::new()), counts: [0; 3] }
    }

    /// Returns the findings of a report that prints nothing.
    #[cfg(feature = "workbench")]
    pub fn into_findings(self) -> Vec<Finding> {
        match self.output {
            Output::Kept(findings) => findings,
            Output::Lines | Output::Json => Vec::new(),
        }
    }

    /// Adds a successful check.
    pub fn ok(&mut self, check: &str, found: impl Into<String>) -> anyhow::Result<()> {
        self.add(Level::Ok, check, found.into(), None)
    }

    /// Adds a warning.
    pub fn warning(&mut self, check: &str, found: impl Into<String>, hint: impl Into<String>) -> anyhow::Result<()> {
        self.add(Level::Warning, check, found.into(), Some(hint.into()))
    }

    /// Adds an error.
    pub fn error(&mut self, check: &str, found: impl Into<String>, hint: impl Into<String>) -> anyhow::Result<()> {
        self.add(Level::Error, check, found.into(), Some(hint.into()))
    }

    /// Adds a failed call with its own hint, or else with `hint`.
    pub fn failure(&mut self, check: &str, error: &InvokeError, hint: &str) -> anyhow::Result<()> {
        self.error(check, error.message.clone(), error.hint.as_deref().unwrap_or(hint))
    }

    fn add(&mut self, level: Level, check: &str, found: String, hint: Option<String>) -> anyhow::Result<()> {
        self.counts[level as usize] += 1;
        let finding = Finding { level, check: check.to_owned(), found, hint };
        match &mut self.output {
            Output::Json => print_json(&serde_json::to_value(&finding)?),
            Output::Lines => print_line(&finding.to_string()),
            #[cfg(feature = "workbench")]
            Output::Kept(findings) => {
                findings.push(finding);
                Ok(())
            }
        }
    }

    /// Whether there are errors.
    pub fn has_errors(&self) -> bool {
        self.counts[Level::Error as usize] > 0
    }

    /// Returns the number of findings of each level.
    pub fn summary(&self) -> String {
        let [ok, warnings, errors] = self.counts;
        let of = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        format!("{ok} ok, {}, {}", of(warnings, "warning"), of(errors, "error"))
    }
}
