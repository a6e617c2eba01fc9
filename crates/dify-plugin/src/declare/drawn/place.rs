//! Where a declaration was written: the notes of `check` about it, and their lines.

use std::cell::OnceCell;
use std::path::Path;

use super::field::{Field, Note};
use crate::declare::codes::Code;
use crate::declare::load::source_of;
use crate::declare::problem::Problem;
use crate::declare::source::Source;

/// A file of the plugin, with what `check` found in all of them.
pub(super) struct Place<'p> {
    directory: &'p Path,
    pub file: &'p str,
    problems: &'p [Problem],
    /// Whether shared blocks were expanded in the file, so that indexes do not lead to lines.
    expanded: bool,
    /// The lines of the file, once they are needed; none if it cannot be read.
    source: OnceCell<Option<Source>>,
}

impl<'p> Place<'p> {
    /// A file, which is read when a note needs its line.
    pub fn new(directory: &'p Path, file: &'p str, problems: &'p [Problem], expanded: bool) -> Self {
        Self { directory, file, problems, expanded, source: OnceCell::new() }
    }

    /// Gives a field its path and its notes: those of `check`, and those that were found while it was drawn.
    pub fn fill(&self, field: &mut Field, path: &str) {
        path.clone_into(&mut field.path);
        let found = std::mem::take(&mut field.found);
        field.notes = self.notes(path, found);
    }

    /// The notes on a part of the file. A code is not repeated.
    pub fn notes(&self, path: &str, found: Vec<(Code, String)>) -> Vec<Note> {
        let own = self.problems.iter().filter(|problem| problem.file == self.file && is_within(&problem.path, path));
        let mut notes: Vec<Note> = own.map(note).collect();
        let mut more: Vec<Problem> = found
            .into_iter()
            .filter(|(code, _)| notes.iter().all(|note| note.code != code.text()))
            .map(|(code, message)| Problem::new(code, self.file, path, message))
            .collect();
        if !more.is_empty() {
            let line = self.line_of(path);
            more.iter_mut().for_each(|problem| problem.line = line);
        }
        notes.extend(more.iter().map(note));
        notes
    }

    fn line_of(&self, path: &str) -> Option<usize> {
        // An index counts what shared blocks have put in.
        if path.is_empty() || self.expanded && path.contains('[') {
            return None;
        }
        self.source.get_or_init(|| source_of(self.directory, self.file)).as_ref()?.line_of(path)
    }
}

/// Whether a path is that of a part, or of something in it.
fn is_within(path: &str, part: &str) -> bool {
    path.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A problem as a note.
pub(super) fn note(problem: &Problem) -> Note {
    Note {
        code: problem.code.text(),
        message: problem.message.clone(),
        file: problem.file.clone(),
        line: problem.line,
        path: problem.path.clone(),
    }
}
