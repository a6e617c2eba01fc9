//! What is wrong with a declaration: file, path of the field, line, what was found, what is allowed.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Dify takes it, but not as it was meant.
    Warning,
    /// The daemon or the Dify API refuses it.
    Error,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, from the package's root.
    pub file: String,
    /// The field (`parameter_rules[2].type`); empty for the whole file.
    pub path: String,
    /// What was found and what is allowed.
    pub message: String,
    /// The line of the field, or of what should hold it, where that is known.
    pub line: Option<usize>,
}

impl Problem {
    /// A problem of a field.
    pub fn new(severity: Severity, file: &str, path: &str, message: String) -> Self {
        Self { severity, file: file.to_owned(), path: path.to_owned(), message, line: None }
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

/// A problem is one line, whatever the folder calls its files.
fn one_line(text: &str) -> String {
    text.replace('\r', "\\r").replace('\n', "\\n")
}

/// Everything that is wrong, as one error: a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Whether anything is refused.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }
}
