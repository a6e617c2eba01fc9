//! The YAML files of a plugin directory while they are compared and edited. They are read when they are needed, and nothing
//! is written here.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::{Difference, Fix};
use crate::declare::codes::Code;
use crate::declare::problem::{Problem, Problems};
use crate::declare::yaml::{self, Document, NotEditable, write_plain};

/// The order in which members of a declaration are written.
const ORDER: &[&str] = &[
    "identity",
    "author",
    "name",
    "type",
    "required",
    "multiple",
    "default",
    "min",
    "max",
    "precision",
    "options",
    "scope",
    "form",
    "auto_generate",
    "template",
    "label",
    "human_description",
    "description",
    "help",
    "llm_description",
    "parameters",
    "output_schema",
];

/// A file that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileChange {
    /// Path in the package.
    pub file: String,
    /// Whether it is a new file.
    pub is_new: bool,
    /// What it contains from now on.
    pub text: String,
    /// What changes, one per line.
    pub changes: Vec<String>,
}

/// The files of a directory.
pub(super) struct Files<'a> {
    directory: &'a Path,
    files: BTreeMap<String, File>,
}

enum File {
    Missing,
    Unreadable(String),
    Read { document: Document, original: Option<String>, changes: Vec<String> },
}

impl<'a> Files<'a> {
    pub(super) fn new(directory: &'a Path) -> Self {
        Self { directory, files: BTreeMap::new() }
    }

    /// A file that can be read.
    pub(super) fn document(&mut self, file: &str) -> Option<&Document> {
        match self.file(file) {
            File::Read { document, .. } => Some(document),
            _ => None,
        }
    }

    pub(super) fn is_missing(&mut self, file: &str) -> bool {
        matches!(self.file(file), File::Missing)
    }

    fn file(&mut self, name: &str) -> &File {
        let directory = self.directory;
        self.files.entry(name.to_owned()).or_insert_with(|| read(directory, name))
    }

    /// The first file that cannot be read is an error: what it declares is not known.
    pub(super) fn check_readable(&self) -> Result<(), Problems> {
        let problem = |file: &str, reason: &str| Problem::new(Code::Unreadable, file, "", reason.to_owned());
        let problems = self.files.iter().filter_map(|(name, file)| match file {
            File::Unreadable(reason) => Some(problem(name, reason)),
            File::Missing if name == "manifest.yaml" => Some(problem(name, "does not exist")),
            _ => None,
        });
        let problems: Vec<Problem> = problems.collect();
        if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
    }

    pub(super) fn apply(&mut self, difference: &Difference) -> Result<(), NotEditable> {
        if let Fix::Create(value) = &difference.fix {
            let document = Document::parse(write_plain(value)).map_err(|_| NotEditable)?;
            let file = File::Read { document, original: None, changes: vec![difference.change.clone()] };
            self.files.insert(difference.file.clone(), file);
            return Ok(());
        }
        let Some(File::Read { document, changes, .. }) = self.files.get_mut(&difference.file) else {
            return Err(NotEditable);
        };
        let path = &difference.path;
        match &difference.fix {
            Fix::Set(value) => document.set(path, value, ORDER),
            Fix::Remove => document.remove(path),
            Fix::Insert(index, value) => document.insert(path, *index, value, ORDER),
            Fix::None | Fix::Create(_) => Ok(()),
        }?;
        changes.push(difference.change.clone());
        Ok(())
    }

    /// The files that changed.
    pub(super) fn changes(self) -> Vec<FileChange> {
        let changed = self.files.into_iter().filter_map(|(file, content)| match content {
            File::Read { document, original, changes } if original.as_deref() != Some(document.text()) => {
                Some(FileChange { file, is_new: original.is_none(), text: document.text().to_owned(), changes })
            }
            _ => None,
        });
        changed.collect()
    }
}

fn read(directory: &Path, name: &str) -> File {
    if crate::declare::files::is_plain(name) && !directory.join(name).exists() {
        return File::Missing;
    }
    let text = crate::declare::files::read(directory, name, yaml::MAX_YAML_BYTES)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()));
    let document = text.and_then(|text| Document::parse(text).map_err(|error| error.to_string()));
    match document {
        Ok(document) if document.value().is_object() => {
            let original = Some(document.text().to_owned());
            File::Read { document, original, changes: Vec::new() }
        }
        Ok(document) if document.value() == &Value::Null => File::Unreadable("is empty".to_owned()),
        Ok(_) => File::Unreadable("must be an object".to_owned()),
        Err(reason) => File::Unreadable(reason),
    }
}
