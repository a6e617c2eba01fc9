//! YAML blocks that many files share: defined once in a shared file, referenced by `use: NAME`, expanded here.
//!
//! A provider's file lists its shared files under `shared`; a shared file is an object of named blocks, each an object
//! or a list. A reference in a list is replaced with the block, or with the items of a list block. Members next to
//! `use` are merged into an object block: objects are merged, everything else replaces, null removes. Blocks may refer
//! to blocks.
//!
//! All other modules see only the expanded form. This one reads no files and knows no rules of Dify; `use_template` is
//! Dify's own and is not expanded.

mod places;

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::codes::Code;
use super::problem::Problem;
use crate::protocol::lenient::kind_of;

pub(super) use places::Places;
use places::{Reference, Step, clip};

/// The key of a reference.
pub(super) const KEY: &str = "use";

/// Approximate maximum number of bytes that blocks may add to one file, and to all files together. The largest
/// declarations have some thirty kilobytes.
const MAX_FILE_GROWTH: usize = 256 * 1024;
const MAX_TOTAL_GROWTH: usize = 16 * 1024 * 1024;

/// Maximum nesting of blocks, and maximum depth of an expanded file.
const MAX_NESTED_BLOCKS: usize = 16;
const MAX_DEPTH: usize = 64;

/// A named block of a shared file.
#[derive(Debug)]
struct Block {
    file: String,
    name: String,
    value: Value,
    used: Cell<bool>,
}

/// The shared files of a plugin, each read once.
#[derive(Default)]
pub(super) struct Shared {
    files: BTreeMap<String, Vec<Rc<Block>>>,
    growth: Cell<usize>,
}

/// The blocks that the files of one provider may refer to.
#[derive(Clone, Default)]
pub(super) struct Scope {
    files: Vec<String>,
    blocks: BTreeMap<String, Rc<Block>>,
}

/// A file with its blocks expanded.
pub(super) struct Expanded {
    /// The file's contents; must not be used if a problem is an error.
    pub value: Value,
    /// Problems of references, in this file and in the blocks that it uses.
    pub problems: Vec<Problem>,
    /// Where its parts were written.
    pub places: Places,
}

impl Scope {
    /// Whether a file is one of the shared files.
    pub fn has_file(&self, file: &str) -> bool {
        self.files.iter().any(|known| known == file)
    }
}

impl Shared {
    /// Whether a file was already read.
    pub fn has(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// Adds the contents of a shared file.
    pub fn insert(&mut self, file: &str, contents: Map<String, Value>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut blocks = Vec::new();
        for (name, value) in contents {
            if value.is_object() || value.is_array() {
                blocks.push(Rc::new(Block { file: file.to_owned(), name, value, used: Cell::new(false) }));
            } else {
                let message = format!("must be an object or a list, found {}", kind_of(&value));
                problems.push(problem(Code::BlockForm, file, &clip(&name), message));
            }
        }
        self.files.insert(file.to_owned(), blocks);
        problems
    }

    /// Returns the blocks of a provider that lists these files.
    pub fn scope(&self, files: &[String]) -> (Scope, Vec<Problem>) {
        let mut scope = Scope::default();
        let mut problems = Vec::new();
        for file in files.iter().filter(|file| self.has(file)) {
            if scope.has_file(file) {
                continue;
            }
            scope.files.push(file.clone());
            for block in &self.files[file] {
                if let Some(first) = scope.blocks.get(&block.name) {
                    let message = format!("block `{}` is defined in {} already", clip(&block.name), first.file);
                    problems.push(problem(Code::RepeatedBlock, file, &clip(&block.name), message));
                } else {
                    scope.blocks.insert(block.name.clone(), block.clone());
                }
            }
        }
        (scope, problems)
    }

    /// Expands the blocks that a file refers to.
    pub fn expand(&self, file: &str, value: &Value, scope: &Scope) -> Expanded {
        let mut expander = Expander::new(self, scope, file, true);
        let value = expander.value(value, &Step::Root(""));
        if let Some(limit) = expander.limit.take_if(|_| !expander.failed) {
            expander.error(Code::BlockLimits, &Step::Root(""), limit);
        }
        Expanded { value, problems: expander.problems, places: expander.places }
    }

    /// Returns the unused blocks and their problems; call it after all files were expanded.
    pub fn unused(&self, scopes: &[Scope]) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (file, blocks) in &self.files {
            let Some(scope) = scopes.iter().find(|scope| scope.has_file(file)) else { continue };
            for block in blocks.iter().filter(|block| !block.used.get()) {
                problems.push(problem(Code::UnusedBlock, file, &clip(&block.name), "is used nowhere".to_owned()));
                let mut expander = Expander::new(self, scope, file, false);
                expander.stack.push(block.clone());
                expander.value(&block.value, &Step::Root(&block.name));
                problems.append(&mut expander.problems);
            }
        }
        problems
    }
}

/// Inserts the members of a block at the place of the reference, after those before it.
fn in_place(mut merged: Map<String, Value>, written: &Map<String, Value>) -> Map<String, Value> {
    let before = written.keys().take_while(|key| *key != KEY);
    let mut ordered: Map<String, Value> =
        before.filter_map(|key| merged.shift_remove(key).map(|value| (key.clone(), value))).collect();
    ordered.append(&mut merged);
    ordered
}

/// Whether a value contains a reference.
pub(super) fn has_references(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key(KEY) || map.values().any(has_references),
        Value::Array(items) => items.iter().any(has_references),
        _ => false,
    }
}

struct Expander<'a> {
    shared: &'a Shared,
    scope: &'a Scope,
    file: &'a str,
    /// Whether a reference counts as a use.
    counts: bool,
    /// Blocks that are being expanded, outermost first.
    stack: Vec<Rc<Block>>,
    depth: usize,
    growth: usize,
    /// Why the expansion was aborted.
    limit: Option<String>,
    /// Whether a problem is an error.
    failed: bool,
    problems: Vec<Problem>,
    /// Files and places of the problems.
    known: HashSet<(String, String)>,
    places: Places,
}

impl<'a> Expander<'a> {
    fn new(shared: &'a Shared, scope: &'a Scope, file: &'a str, counts: bool) -> Self {
        Self {
            shared,
            scope,
            file,
            counts,
            stack: Vec::new(),
            depth: 0,
            growth: 0,
            limit: None,
            failed: false,
            problems: Vec::new(),
            known: HashSet::new(),
            places: Places::default(),
        }
    }

    fn value(&mut self, value: &Value, at: &Step<'_>) -> Value {
        self.count(value);
        if self.limit.is_some() {
            return Value::Null;
        }
        self.depth += 1;
        let expanded = match value {
            Value::Array(items) => self.list(items, at),
            Value::Object(map) => match map.get(KEY) {
                Some(name) => self.reference(name, map, at),
                None => Value::Object(self.members(map, at)),
            },
            scalar => scalar.clone(),
        };
        self.depth -= 1;
        expanded
    }

    /// Counts what a value in a block adds to the file.
    fn count(&mut self, value: &Value) {
        if self.depth > MAX_DEPTH {
            self.limit = Some(format!("nests deeper than {MAX_DEPTH} levels when its blocks are written out"));
        }
        if self.stack.is_empty() {
            return;
        }
        let keys = |map: &Map<String, Value>| map.keys().map(|key| key.len() + 1).sum();
        let size = 1 + match value {
            Value::String(text) => text.len(),
            Value::Object(map) => keys(map),
            _ => 0,
        };
        self.growth = self.growth.saturating_add(size);
        let total = self.shared.growth.get().saturating_add(size);
        self.shared.growth.set(total);
        if self.growth > MAX_FILE_GROWTH {
            self.limit = Some(format!("adds more than {MAX_FILE_GROWTH} bytes to this file"));
        } else if total > MAX_TOTAL_GROWTH {
            self.limit = Some(format!("blocks add more than {MAX_TOTAL_GROWTH} bytes to all files together"));
        }
    }

    fn members(&mut self, map: &Map<String, Value>, at: &Step<'_>) -> Map<String, Value> {
        let others = map.iter().filter(|(key, _)| *key != KEY);
        others.map(|(key, value)| (key.clone(), self.value(value, &Step::Key(at, key)))).collect()
    }

    fn list(&mut self, items: &[Value], at: &Step<'_>) -> Value {
        let mut expanded = Vec::with_capacity(items.len());
        let mut sources = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let name = item.get(KEY).and_then(Value::as_str);
            match self.value(item, &Step::Index(at, index)) {
                Value::Array(spliced) if name.is_some() => expanded.extend(spliced),
                value => expanded.push(value),
            }
            sources.resize(expanded.len(), index);
        }
        if self.stack.is_empty() && sources.iter().enumerate().any(|(index, source)| index != *source) {
            self.places.lists.insert(at.to_string(), sources);
        }
        Value::Array(expanded)
    }

    fn reference(&mut self, name: &Value, map: &Map<String, Value>, at: &Step<'_>) -> Value {
        let place = Step::Key(at, KEY);
        let Some(name) = name.as_str() else {
            return self.error(
                Code::BlockForm,
                &place,
                format!("must be the name of a shared block, found {}", kind_of(name)),
            );
        };
        let Some(block) = self.scope.blocks.get(name).cloned() else {
            let message = match self.scope.files.as_slice() {
                [] => "this provider names no shared files (`shared:` in its file)".to_owned(),
                files => format!("there is none in {}", files.join(", ")),
            };
            let message = format!("shared block `{}` is unknown: {message}", clip(name));
            let unknown = self.error(Code::UnknownBlock, &place, message);
            if let Some(problem) = self.problems.last_mut().filter(|problem| problem.code == Code::UnknownBlock) {
                problem.allow(self.scope.blocks.keys().map(String::as_str));
            }
            return unknown;
        };
        if let Some(from) = self.stack.iter().position(|known| Rc::ptr_eq(known, &block)) {
            let circle = self.stack[from..].iter().chain([&block]).map(|block| clip(&block.name)).collect::<Vec<_>>();
            return self.error(
                Code::BlockLimits,
                &place,
                format!("blocks refer to each other in a circle: {}", circle.join(" → ")),
            );
        }
        if self.stack.len() >= MAX_NESTED_BLOCKS {
            self.limit = Some(format!("puts more than {MAX_NESTED_BLOCKS} blocks inside one another"));
            return Value::Null;
        }
        if self.counts {
            block.used.set(true);
        }
        self.stack.push(block.clone());
        let base = self.value(&block.value, &Step::Root(&block.name));
        self.stack.pop();
        if self.stack.is_empty() {
            if let Some(limit) = &self.limit {
                let message = format!("shared block `{}`: {limit}", clip(name));
                return self.error(Code::BlockLimits, &place, message);
            }
            let own = map.keys().filter(|key| *key != KEY).cloned().collect();
            self.places.references.insert(at.to_string(), Reference { block: block.clone(), own });
        }
        if map.len() == 1 || self.limit.is_some() {
            return base;
        }
        match base {
            Value::Object(mut base) => {
                let members = self.members(map, at);
                if self.failed {
                    return Value::Null;
                }
                self.merge(&mut base, members, &block, at);
                Value::Object(in_place(base, map))
            }
            Value::Array(_) => self.error(
                Code::BlockForm,
                &place,
                format!("shared block `{}` is a list: nothing can be changed in it here", clip(name)),
            ),
            // The block itself was invalid.
            _ => Value::Null,
        }
    }

    /// Merges members into those of a block.
    fn merge(&mut self, base: &mut Map<String, Value>, members: Map<String, Value>, block: &Block, at: &Step<'_>) {
        for (key, value) in members {
            let at = Step::Key(at, &key);
            match (base.get_mut(&key), value) {
                (Some(Value::Object(inner)), Value::Object(members)) if !members.is_empty() => {
                    self.merge(inner, members, block, &at);
                }
                (Some(old), value) if *old == value => {
                    let message = format!("changes nothing: shared block `{}` has the same value", clip(&block.name));
                    self.add(Code::SameAsBlock, &at, message);
                }
                (Some(_), Value::Null) => drop(base.shift_remove(&key)),
                (Some(old), value) => *old = value,
                (None, Value::Null) => {
                    let message = format!("changes nothing: shared block `{}` has no such member", clip(&block.name));
                    self.add(Code::SameAsBlock, &at, message);
                }
                (None, value) => drop(base.insert(key.clone(), value)),
            }
        }
    }

    fn error(&mut self, code: Code, at: &Step<'_>, message: String) -> Value {
        self.failed = true;
        self.add(code, at, message);
        Value::Null
    }

    fn add(&mut self, code: Code, at: &Step<'_>, message: String) {
        let file = self.stack.last().map_or(self.file, |block| &block.file);
        let problem = problem(code, file, &at.to_string(), message);
        // A block is expanded many times.
        if self.known.insert((problem.file.clone(), problem.path.clone())) {
            self.problems.push(problem);
        }
    }
}

fn problem(code: Code, file: &str, path: &str, message: String) -> Problem {
    Problem::new(code, file, path, message)
}

#[cfg(test)]
mod tests;
