//! Where the parts of an expanded file were written, so that a problem names what its author sees.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::Block;
use crate::declare::problem::Problem;

/// Longest part of a place that is shown.
const MAX_SHOWN_KEY: usize = 80;

/// The index that an item was written at, and the block that it comes from.
pub(super) type Source = (usize, Option<Rc<Block>>);

/// Where the parts of an expanded file were written: lists whose items moved, and blocks by their place.
#[derive(Default)]
pub struct Places {
    /// By the list's place: the written index of each item, and its block.
    pub(super) lists: HashMap<String, Vec<Source>>,
    pub(super) blocks: HashMap<String, Rc<Block>>,
}

impl Places {
    /// Names the place of the file as it was written, and the block that it comes from.
    pub fn trace(&self, problem: &mut Problem) {
        if self.lists.is_empty() && self.blocks.is_empty() {
            return;
        }
        let path = std::mem::take(&mut problem.path);
        let mut block = self.blocks.get("");
        let mut from = 0;
        for (until, _) in path.match_indices(['.', '[']).chain([(path.len(), "")]) {
            let list = path[from..until].starts_with('[').then(|| self.lists.get(&problem.path)).flatten();
            let index = || path[from + 1..until].strip_suffix(']')?.parse::<usize>().ok();
            match list.and_then(|list| list.get(index()?)) {
                Some((source, origin)) => {
                    problem.path.push_str(&format!("[{source}]"));
                    block = origin.as_ref().or(block);
                }
                None => problem.path.push_str(&path[from..until]),
            }
            block = self.blocks.get(&problem.path).or(block);
            from = until;
        }
        if let Some(block) = block {
            problem.message.push_str(&format!(" (shared block `{}` of {})", clip(&block.name), block.file));
        }
    }
}

/// A place in a file, written out only when it is shown.
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

/// A name of anybody's making, as it is shown.
pub(super) fn clip(name: &str) -> String {
    match name.char_indices().nth(MAX_SHOWN_KEY) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
