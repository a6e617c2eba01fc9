//! Where the parts of a declaration are in their file: from a path such as `tools[2].parameters[0].type` to the key and the
//! value, in bytes, and from bytes to lines and columns. A file is read for this only when there is a problem to show.
//!
//! Values are not read here; see [`super::yaml`].

use std::cell::{Cell, OnceCell};
use std::ops::Range;

use super::yaml::nodes::{self, Anchors, Content, Entry, Node};

/// Bytes between two known columns.
const STRIDE: usize = 4096;

/// Entries of mappings that are compared for all paths of a file, more than any declaration needs.
const MAX_COMPARED: usize = 4_000_000;

/// Maximum number of aliases that are followed to one value.
const MAX_ALIASES: usize = 16;

/// Repeated keys of a file that are named.
const MAX_REPEATED: usize = 50;

/// A position in a file, as editors count: both from one, columns in code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Where a part of a declaration is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The key, if it is a member of a mapping.
    pub key: Option<Range<usize>>,
    /// The value.
    pub value: Range<usize>,
    /// Whether the value is a scalar in one line.
    pub is_scalar: bool,
    /// Whether this is the part itself, and not the nearest one that contains it.
    pub is_exact: bool,
    /// The `variable` or `name` of the list item that it belongs to.
    pub variable: Option<String>,
    /// Where it is written, if this is an alias (`*name`): below the anchor, or the nearest part of it that is there.
    pub written: Option<Box<Place>>,
}

impl Place {
    /// What is marked where the value itself is wrong: the value, or the key of one of several lines.
    pub fn of_value(&self) -> Range<usize> {
        match &self.key {
            Some(key) if !self.is_scalar || self.value.is_empty() || !self.is_exact => key.clone(),
            _ => self.value.clone(),
        }
    }

    /// What is marked where the key is wrong, or where something is missing below it.
    pub fn of_key(&self) -> Range<usize> {
        self.key.clone().unwrap_or_else(|| self.value.clone())
    }
}

/// A key that is in its mapping already.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepeatedKey {
    /// Its path.
    pub path: String,
    /// The first place.
    pub first: Range<usize>,
    /// This one.
    pub again: Range<usize>,
}

/// The text of a file with the places of its parts.
#[derive(Debug)]
pub struct Source {
    text: String,
    root: Option<Node>,
    anchors: Anchors,
    lines: Vec<usize>,
    /// The number of characters before each [`STRIDE`] bytes; empty if each is one byte.
    columns: Vec<usize>,
    compared: Cell<usize>,
    repeated: OnceCell<Vec<RepeatedKey>>,
}

impl Source {
    /// Reads the places of a text. One that is not YAML has none.
    pub fn new(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
        let (root, anchors) = nodes::read_with_anchors(&text).unzip();
        let anchors = anchors.unwrap_or_default();
        let lines = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1)).collect();
        let mut columns = Vec::new();
        if !text.is_ascii() {
            let mut count = 0;
            for part in text.as_bytes().chunks(STRIDE) {
                columns.push(count);
                count += characters(part);
            }
        }
        Self { text, root, anchors, lines, columns, compared: Cell::new(0), repeated: OnceCell::new() }
    }

    /// The text, without a mark of its byte order.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The position of a byte.
    pub fn position(&self, byte: usize) -> Position {
        let line = self.line(byte);
        let start = self.lines.get(line).copied().unwrap_or_default();
        Position { line: line + 1, column: self.characters_before(byte) - self.characters_before(start) + 1 }
    }

    /// The byte of a position, or the end of its line.
    pub fn byte(&self, position: Position) -> usize {
        let range = self.line_range(position.line);
        let Some(line) = self.text.get(range.clone()) else { return range.start };
        let within = line.char_indices().nth(position.column.saturating_sub(1)).map_or(line.len(), |(byte, _)| byte);
        range.start + within
    }

    /// The bytes of a line that counts from one, without its end.
    pub fn line_range(&self, line: usize) -> Range<usize> {
        let (line, end) = (line.max(1), self.text.len());
        let start = self.lines.get(line - 1).copied().unwrap_or(end);
        let next = self.lines.get(line).map_or(end, |next| next - 1);
        let text = self.text.get(start..next).unwrap_or_default();
        start..start + text.trim_end_matches('\r').len()
    }

    fn line(&self, byte: usize) -> usize {
        self.lines.partition_point(|start| *start <= byte).saturating_sub(1)
    }

    fn characters_before(&self, byte: usize) -> usize {
        let byte = byte.min(self.text.len());
        match self.columns.get(byte / STRIDE) {
            Some(count) => count + characters(&self.text.as_bytes()[byte / STRIDE * STRIDE..byte]),
            None if self.columns.is_empty() => byte,
            // The end of a text of whole strides.
            None => characters(self.text.as_bytes()),
        }
    }

    /// Where a path is, or the nearest part of it that is there: below an alias, the alias. `None` for the whole file.
    pub fn locate(&self, path: &str) -> Option<Place> {
        let root = self.root.as_ref()?;
        let (node, place, rest) = self.descend(root, path);
        if std::ptr::eq(node, root) {
            return None;
        }
        let mut place = place;
        place.written = self.written(node, rest);
        Some(place)
    }

    /// Where what is left of a path is, from an alias on. The last alias leads there.
    fn written(&self, alias: &Node, path: &str) -> Option<Box<Place>> {
        let (mut alias, mut rest, mut found) = (alias, path, None);
        for _ in 0..MAX_ALIASES {
            let Content::Alias(anchor) = &alias.content else { break };
            let (start, end) = self.anchors.get(anchor)?;
            let place;
            (alias, place, rest) = self.descend(self.root.as_ref()?.at(*start, *end)?, rest);
            found = Some(Box::new(place));
        }
        found
    }

    /// The part of a value that a path leads to, or the nearest one that is there, with its place, and what is left of the path.
    fn descend<'n, 'p>(&self, from: &'n Node, path: &'p str) -> (&'n Node, Place, &'p str) {
        let (mut node, mut rest, mut key, mut variable) = (from, path, None, None);
        while !rest.is_empty() {
            let found = match &node.content {
                Content::Mapping { entries, .. } => self.member(entries, rest).map(|(entry, rest)| {
                    key = Some(entry.key.start..entry.key.end);
                    (&entry.value, rest)
                }),
                Content::Sequence { items, .. } => item(items, rest).map(|(item, rest)| {
                    variable = self.name_of(item).or(variable.take());
                    // An item has no key of its own; that of its first member is in the line where it begins.
                    key = first_key(item);
                    (item, rest)
                }),
                _ => None,
            };
            let Some((next, after)) = found else { break };
            (node, rest) = (next, after.strip_prefix('.').unwrap_or(after));
        }
        let is_scalar = matches!(node.content, Content::Scalar | Content::Alias(_))
            && !self.text.get(node.start..node.end).is_some_and(|text| text.contains('\n'));
        let value = node.start..node.end;
        (node, Place { key, value, is_scalar, is_exact: rest.is_empty(), variable, written: None }, rest)
    }

    /// The line of a path, or of the nearest part of it that is there.
    pub fn line_of(&self, path: &str) -> Option<usize> {
        let place = self.locate(path)?;
        Some(self.position(place.of_key().start).line)
    }

    /// The member of a mapping that a path begins with. Keys may have dots, so the longest one is it.
    fn member<'a, 'b>(&self, entries: &'a [Entry], path: &'b str) -> Option<(&'a Entry, &'b str)> {
        let compared = self.compared.get() + entries.len();
        self.compared.set(compared);
        if compared > MAX_COMPARED {
            return None;
        }
        let matching = entries.iter().filter_map(|entry| {
            let rest = path.strip_prefix(entry.name.as_str())?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then_some((entry, rest))
        });
        matching.max_by_key(|(entry, _)| entry.name.len())
    }

    /// The `variable` of an item, or else its `name`.
    fn name_of(&self, item: &Node) -> Option<String> {
        let Content::Mapping { entries, .. } = &item.content else { return None };
        let value = |key: &str| {
            let entry = entries.iter().take(64).find(|entry| entry.name == key)?;
            matches!(entry.value.content, Content::Scalar).then(|| self.scalar(entry.value.start..entry.value.end))
        };
        value("variable").or_else(|| value("name")).filter(|name| !name.is_empty())
    }

    /// A scalar as it is written, without its quotes.
    pub fn scalar(&self, range: Range<usize>) -> String {
        let text = self.text.get(range).unwrap_or_default();
        let quoted = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
        quoted.unwrap_or(text).to_owned()
    }

    /// Every key that its mapping has already, except in the `extra` of the file, which the daemon does not read.
    pub fn repeated_keys(&self) -> &[RepeatedKey] {
        self.repeated.get_or_init(|| {
            let mut found = Vec::new();
            if let Some(root) = &self.root {
                collect_repeated(root, "", &mut found);
            }
            found
        })
    }

    /// Where the text stops to be YAML, in bytes, and why.
    pub fn mistake(&self) -> Option<(usize, String)> {
        nodes::mistake(&self.text)
    }
}

fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// The item of a list that a path begins with.
fn item<'a, 'b>(items: &'a [Node], path: &'b str) -> Option<(&'a Node, &'b str)> {
    let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
    Some((items.get(index.parse::<usize>().ok()?)?, rest))
}

fn first_key(item: &Node) -> Option<Range<usize>> {
    let Content::Mapping { entries, .. } = &item.content else { return None };
    entries.first().map(|entry| entry.key.start..entry.key.end)
}

fn collect_repeated(node: &Node, path: &str, found: &mut Vec<RepeatedKey>) {
    match &node.content {
        Content::Mapping { entries, .. } => {
            let mut seen: std::collections::HashMap<&str, &Entry> = std::collections::HashMap::new();
            for entry in entries {
                let path = if path.is_empty() { entry.name.clone() } else { format!("{path}.{}", entry.name) };
                let range = |entry: &Entry| entry.key.start..entry.key.end;
                match seen.get(entry.name.as_str()) {
                    Some(_) if found.len() >= MAX_REPEATED => {}
                    Some(first) => {
                        found.push(RepeatedKey { path: path.clone(), first: range(first), again: range(entry) });
                    }
                    None => drop(seen.insert(&entry.name, entry)),
                }
                if path != "extra" {
                    collect_repeated(&entry.value, &path, found);
                }
            }
        }
        Content::Sequence { items, .. } => {
            for (index, item) in items.iter().enumerate() {
                collect_repeated(item, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
