//! Shared blocks in the loader: reads the files that a provider lists, expands blocks, and reports problems at the
//! places as written. The expansion is in [`crate::declare::shared`].

use serde_json::{Map, Value};

use super::Loader;
use crate::declare::codes::Code;
use crate::declare::files;
use crate::declare::problem::{Problem, Severity};
use crate::declare::shared::{self, Places, Scope};

impl Loader<'_> {
    /// Reads the shared files that a provider lists.
    pub(super) fn scope(&mut self, file: &str, listed: Option<Value>) -> Scope {
        let listed = match listed {
            None | Some(Value::Null) => return Scope::default(),
            Some(Value::Array(listed)) => listed,
            Some(other) => {
                let found = crate::protocol::lenient::kind_of(&other);
                self.problem(Code::BlockForm, file, "shared", format!("must be a list of files, found {found}"));
                return Scope::default();
            }
        };
        // Its package has no shared files, so the file is written with its blocks expanded.
        self.expanded.insert(file.to_owned(), Value::Null);
        let mut names = Vec::new();
        for (index, name) in listed.iter().enumerate() {
            let path = format!("shared[{index}]");
            let Some(name) = name.as_str() else {
                self.problem(Code::BlockForm, file, &path, format!("must be a path, found {name}"));
                continue;
            };
            if let Err(why) = files::find(self.directory, name) {
                self.problem(Code::MissingFile, file, &path, format!("{name} {why}"));
                continue;
            }
            if !self.shared.has(name) {
                let contents = self.object(name).unwrap_or_default();
                let problems = self.shared.insert(name, contents);
                self.problems.extend(problems);
            }
            names.push(name.to_owned());
        }
        let (scope, problems) = self.shared.scope(&names);
        self.add_once(problems);
        scope
    }

    /// Returns a file with its blocks expanded; `None` if a reference is invalid.
    pub(super) fn expand(
        &mut self,
        file: &str,
        value: Map<String, Value>,
        scope: &Scope,
    ) -> Option<(Map<String, Value>, Places)> {
        let mut value = Value::Object(value);
        let mut places = Places::default();
        if shared::has_references(&value) {
            let expanded = self.shared.expand(file, &value, scope);
            let is_wrong = expanded.problems.iter().any(|problem| problem.severity == Severity::Error);
            self.add_once(expanded.problems);
            if is_wrong {
                return None;
            }
            (value, places) = (expanded.value, expanded.places);
            self.expanded.insert(file.to_owned(), Value::Null);
        }
        if let Some(kept) = self.expanded.get_mut(file) {
            *kept = value.clone();
        }
        match value {
            Value::Object(map) => Some((map, places)),
            _ => {
                self.problem(Code::BlockForm, file, "use", "must be a shared block that is an object".to_owned());
                None
            }
        }
    }

    /// Translates the places of a file's problems since `start` to the places as written.
    pub(super) fn trace(&mut self, start: usize, file: &str, places: &Places) {
        self.problems[start..]
            .iter_mut()
            .filter(|problem| problem.file == file)
            .for_each(|problem| places.trace(problem));
    }

    pub(super) fn add_once(&mut self, problems: Vec<Problem>) {
        for problem in problems {
            if self.traced.insert(problem.to_string()) {
                self.problems.push(problem);
            }
        }
    }
}
