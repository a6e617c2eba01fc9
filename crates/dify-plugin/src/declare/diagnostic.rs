//! Problems as they are shown: with the places in the files, what is allowed and what was probably meant. A [`Diagnostic`]
//! becomes one JSON object; [`render`] makes the text with the lines of the file.
//!
//! The problems themselves are found elsewhere. Files are read again here, once each.

mod excerpt;
mod json;
mod places;
mod render;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use super::codes::Code;
use super::problem::{Problem, Severity};
use super::source::{Position, Source};
use super::{files, load, yaml};
use crate::visible;

pub use render::{Repeats, Style, render, repeats};

use excerpt::Excerpt;

/// Files whose places are kept at the same time.
const MAX_KEPT_FILES: usize = 32;

/// A problem with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The rule that is broken.
    pub code: Code,
    /// Its severity.
    pub severity: Severity,
    /// What was found and what is expected, in one line without control characters.
    pub message: String,
    /// Path of the file in the package.
    pub file: String,
    /// The field; empty for the whole file.
    pub path: String,
    /// The `variable` or `name` of the list item with the field.
    pub variable: Option<String>,
    /// Where it begins; the beginning of the file for the whole file.
    pub start: Position,
    /// Where it ends.
    pub end: Position,
    /// What to do.
    pub help: Option<String>,
    /// What was probably meant.
    pub suggestion: Option<Suggestion>,
    /// Other places that belong to it.
    pub related: Vec<RelatedPlace>,
    /// The line with the mark, and what is written beside it.
    excerpt: Option<Excerpt>,
}

/// A text that was probably meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suggestion {
    /// The text.
    pub replacement: String,
    /// Where what it replaces begins.
    pub start: Position,
    /// Where that ends, in the same line.
    pub end_column: usize,
}

/// A place that belongs to a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelatedPlace {
    /// What is there.
    pub message: String,
    /// Path of the file in the package.
    pub file: String,
    /// Where it begins.
    pub start: Position,
    /// Where it ends.
    pub end: Position,
    excerpt: Option<Excerpt>,
}

impl Diagnostic {
    /// The problem in one line, with the name of the field.
    pub fn headline(&self) -> String {
        words::headline(&self.file, &self.path, &self.message)
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Finds the places of the problems of a directory; they are in the order of files and lines.
pub fn of(directory: &Path, problems: &[Problem]) -> Vec<Diagnostic> {
    let mut files = Sources { directory, kept: BTreeMap::new() };
    let mut ordered: Vec<&Problem> = problems.iter().collect();
    ordered.sort_by(|one, other| one.file.cmp(&other.file));
    let mut found: Vec<Diagnostic> =
        ordered.into_iter().map(|problem| places::diagnostic(problem, &mut files)).collect();
    found.sort_by(|one, other| (&one.file, one.start, one.code).cmp(&(&other.file, other.start, other.code)));
    found
}

/// The files of a directory with the places of their parts.
struct Sources<'a> {
    directory: &'a Path,
    kept: BTreeMap<String, Option<Source>>,
}

impl Sources<'_> {
    fn get(&mut self, file: &str) -> Option<&Source> {
        if self.kept.len() > MAX_KEPT_FILES {
            self.kept.retain(|known, _| known == file);
        }
        let directory = self.directory;
        self.kept.entry(file.to_owned()).or_insert_with(|| load::source_of(directory, file)).as_ref()
    }

    /// Why a file is not YAML: the place in the words of the parser that refuses it.
    fn refusal(&self, file: &str) -> Option<(Position, String)> {
        let bytes = files::read(self.directory, file, yaml::MAX_YAML_BYTES).ok()?;
        let Err(yaml::Error::Syntax(error)) = yaml::parse(std::str::from_utf8(&bytes).ok()?) else { return None };
        let location = error.location()?;
        Some((Position { line: location.line().max(1), column: location.column().max(1) }, error.to_string()))
    }
}

/// A text from anyone in one line of limited length.
fn shown(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", visible::line(&text[..end])),
        None => visible::line(text).into_owned(),
    }
}
