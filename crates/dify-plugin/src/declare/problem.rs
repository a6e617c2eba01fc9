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
}

impl Problem {
    /// Creates a problem of a field.
    pub fn new(code: Code, file: &str, path: &str, message: String) -> Self {
        let severity = code.severity();
        Self { code, severity, file: file.to_owned(), path: path.to_owned(), message, line: None }
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
