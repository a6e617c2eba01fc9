//! Where the parts of an expanded file were written, so that a problem refers to what its author sees.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::Block;
use crate::declare::problem::Problem;

/// Maximum length of a displayed path component.
const MAX_SHOWN_KEY: usize = 80;

/// Where the parts of an expanded file were written: lists whose items moved, and references by path.
#[derive(Default)]
pub struct Places {
    /// By the list's path: the written index of each item.
    pub(super) lists: HashMap<String, Vec<usize>>,
    pub(super) references: HashMap<String, Reference>,
}

/// A block, and the members that were written next to its name.
pub(super) struct Reference {
    pub(super) block: Rc<Block>,
    pub(super) own: Vec<String>,
}

impl Places {
    /// Translates a path to that in the file as written, and adds the block that it comes from.
    pub fn trace(&self, problem: &mut Problem) {
        if self.lists.is_empty() && self.references.is_empty() {
            return;
        }
        let path = std::mem::take(&mut problem.path);
        let mut from_block = None;
        let mut here = self.references.get("");
        let mut from = 0;
        for (until, _) in path.match_indices(['.', '[']).chain([(path.len(), "")]) {
            let part = &path[from..until];
            from = until;
            from_block = here.or(from_block);
            let key = part.strip_prefix('.').unwrap_or(part);
            if here.is_some_and(|reference| reference.own.iter().any(|own| own == key)) {
                from_block = None;
            }
            let index = || part.strip_prefix('[')?.strip_suffix(']')?.parse::<usize>().ok();
            match self.lists.get(&problem.path).and_then(|list| list.get(index()?)) {
                Some(source) => problem.path.push_str(&format!("[{source}]")),
                None => problem.path.push_str(part),
            }
            here = self.references.get(&problem.path).filter(|_| !part.is_empty());
        }
        if let Some(Reference { block, .. }) = here.or(from_block) {
            problem.message.push_str(&format!(" (shared block `{}` of {})", clip(&block.name), block.file));
        }
    }
}

/// A path in a file, formatted only when it is displayed.
pub(super) enum Step<'a> {
    Root(&'a str),
    Key(&'a Step<'a>, &'a str),
    Index(&'a Step<'a>, usize),
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(name) => formatter.write_str(&clip(name)),
            Self::Key(Self::Root(""), key) => formatter.write_str(&clip(key)),
            Self::Key(parent, key) => write!(formatter, "{parent}.{}", clip(key)),
            Self::Index(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

/// Formats a name that may come from anyone.
pub(super) fn clip(name: &str) -> String {
    match name.char_indices().nth(MAX_SHOWN_KEY) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
