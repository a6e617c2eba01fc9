//! Problems of a declaration: file, path of the field, line, what was found, what is expected.

use std::fmt;

use super::codes::Code;

/// Severity of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Dify accepts it, but not as intended.
    Warning,
    /// The daemon or the Dify API rejects it.
    Error,
}

/// Names of a closed set that a problem lists.
const MAX_ALLOWED: usize = 200;

/// A problem.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The rule that is broken.
    pub code: Code,
    /// Severity.
    pub severity: Severity,
    /// Path of the file in the package.
    pub file: String,
    /// The field (`parameter_rules[2].type`); empty for the whole file.
    pub path: String,
    /// What was found and what is expected.
    pub message: String,
    /// Line of the field, or of the object that should contain it, if known.
    pub line: Option<usize>,
    /// The names that are allowed there, if it is a closed set.
    pub allowed: Vec<String>,
    /// Other places that belong to it.
    pub related: Vec<Related>,
}

/// A place that belongs to a problem: the first of two, or what a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Related {
    /// Path of the file in the package.
    pub file: String,
    /// The field.
    pub path: String,
    /// What is there.
    pub message: String,
}

impl Problem {
    /// Creates a problem of a field.
    pub fn new(code: Code, file: &str, path: &str, message: String) -> Self {
        let (severity, allowed, related) = (code.severity(), Vec::new(), Vec::new());
        Self { code, severity, file: file.to_owned(), path: path.to_owned(), message, line: None, allowed, related }
    }

    /// Adds the names that are allowed.
    pub fn allow<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.allowed.extend(names.into_iter().take(MAX_ALLOWED).map(str::to_owned));
    }

    /// Adds a place that belongs to it.
    #[must_use]
    pub fn with_related(mut self, file: &str, path: &str, message: impl Into<String>) -> Self {
        self.related.push(Related { file: file.to_owned(), path: path.to_owned(), message: message.into() });
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.severity == Severity::Warning {
            formatter.write_str("warning: ")?;
        }
        formatter.write_str(&one_line(&self.file))?;
        if !self.path.is_empty() {
            write!(formatter, ": {}", one_line(&self.path))?;
        }
        write!(formatter, ": {}", one_line(&self.message))?;
        match self.line {
            Some(line) => write!(formatter, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// Escapes line breaks: a problem is one line, whatever the names of files contain.
fn one_line(text: &str) -> String {
    text.replace('\r', "\\r").replace('\n', "\\n")
}

/// All problems as one error, one per line.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Whether there is an error among the problems.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }
}
