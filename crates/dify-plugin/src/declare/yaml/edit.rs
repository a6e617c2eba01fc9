//! Edits a YAML text in place: comments, order, style and everything that is not edited stay. Each edit is checked: the text
//! that it leaves must parse to exactly what was intended, or the edit fails and changes nothing.

use serde_json::{Map, Value};

use super::nodes::{Content, Entry, Node, after_colon, read};
use super::path::{Step, steps};
use super::write::{block, inline};
use super::{Error, parse};

/// A YAML file that is edited.
#[derive(Clone, Debug)]
pub struct Document {
    text: String,
    value: Value,
}

/// An edit that is not possible in place, such as one inside an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot be edited in place")]
pub struct NotEditable;

type Edit = Option<String>;

impl Document {
    /// Parses a text.
    pub fn parse(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        Ok(Self { value: parse(&text)?, text })
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns what the text contains.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Returns the value at a path such as `parameters[0].type`.
    pub fn get(&self, path: &str) -> Option<&Value> {
        steps(path).iter().try_fold(&self.value, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.get(index),
        })
    }

    /// Sets the value at a path. A new key is placed behind the last present one that precedes it in `order`; without such
    /// a key, and for keys that `order` does not contain, at the end.
    pub fn set(&mut self, path: &str, value: &Value, order: &[&str]) -> Result<(), NotEditable> {
        let path = steps(path);
        let mut wanted = self.value.clone();
        let (Step::Key(last), above) = path.split_last().ok_or(NotEditable)? else {
            put(&mut wanted, &path, value.clone()).ok_or(NotEditable)?;
            let text = self.replaced_item(&path, value);
            return self.accept(text, wanted);
        };
        // An object that is missing is written with its member.
        let owner = at(&self.value, above);
        if !above.is_empty()
            && owner.is_none_or(|owner| owner.is_null() || owner.as_object().is_some_and(Map::is_empty))
        {
            let member = Map::from_iter([((*last).to_owned(), value.clone())]);
            return self.set(&written(above), &Value::Object(member), order);
        }
        put(&mut wanted, &path, value.clone()).ok_or(NotEditable)?;
        let text = self.member(above, last, value, order);
        self.accept(text, wanted)
    }

    /// Inserts an item into a list; a missing list is created.
    pub fn insert(&mut self, path: &str, index: usize, value: &Value, order: &[&str]) -> Result<(), NotEditable> {
        let list = self.get(path).and_then(Value::as_array).filter(|list| !list.is_empty());
        let Some(list) = list else { return self.set(path, &Value::from(vec![value.clone()]), order) };
        let index = index.min(list.len());
        let path = steps(path);
        let mut wanted = self.value.clone();
        at_mut(&mut wanted, &path).and_then(Value::as_array_mut).ok_or(NotEditable)?.insert(index, value.clone());
        let text = self.with_item(&path, index, value);
        self.accept(text, wanted)
    }

    /// Removes a member or an item.
    pub fn remove(&mut self, path: &str) -> Result<(), NotEditable> {
        let path = steps(path);
        let (last, above) = path.split_last().ok_or(NotEditable)?;
        let mut wanted = self.value.clone();
        let owner = at_mut(&mut wanted, above).ok_or(NotEditable)?;
        let is_last = match (owner, last) {
            (Value::Object(map), Step::Key(key)) => {
                map.shift_remove(*key).ok_or(NotEditable)?;
                map.is_empty()
            }
            (Value::Array(items), Step::Index(index)) if *index < items.len() => {
                items.remove(*index);
                items.is_empty()
            }
            _ => return Err(NotEditable),
        };
        if is_last {
            let empty = at(&wanted, above).cloned().ok_or(NotEditable)?;
            return self.set(&written(above), &empty, &[]);
        }
        let text = self.without(above, last);
        self.accept(text, wanted)
    }

    /// Takes a new text if it contains what is wanted.
    fn accept(&mut self, text: Edit, wanted: Value) -> Result<(), NotEditable> {
        let text = text.ok_or(NotEditable)?;
        if parse(&text).ok().as_ref() != Some(&wanted) {
            return Err(NotEditable);
        }
        (self.text, self.value) = (text, wanted);
        Ok(())
    }

    /// The text without a mark of its byte order, and its nodes.
    fn root(&self) -> Option<(&str, Node)> {
        let text = self.text.strip_prefix('\u{feff}').unwrap_or(&self.text);
        Some((text, read(text)?))
    }

    /// The text with a range replaced; line breaks become those of the text.
    fn spliced(&self, text: &str, range: std::ops::Range<usize>, new: &str) -> Edit {
        let mark = &self.text[..self.text.len() - text.len()];
        let new = if text.contains("\r\n") { new.replace('\n', "\r\n") } else { new.to_owned() };
        Some(format!("{mark}{}{new}{}", text.get(..range.start)?, text.get(range.end..)?))
    }

    /// Sets a member of the mapping at a path.
    fn member(&self, path: &[Step<'_>], name: &str, value: &Value, order: &[&str]) -> Edit {
        let (text, root) = self.root()?;
        let owner = find(&root, path)?;
        let Content::Mapping { entries, is_flow } = &owner.content else { return None };
        if let Some(entry) = entries.iter().find(|entry| entry.name == name) {
            return self.replaced_value(text, entry, column(text, entry.key.start), *is_flow, value);
        }
        let (before, after) = match order.iter().position(|known| *known == name) {
            Some(place) => {
                let precedes = |entry: &Entry| order[..place].contains(&entry.name.as_str());
                let at = entries.iter().rposition(precedes).map_or(entries.len(), |at| at + 1);
                entries.split_at(at)
            }
            None => entries.split_at(entries.len()),
        };
        if *is_flow {
            let member = format!("{}: {}", inline(&Value::from(name)), inline(value));
            return match (before.last(), after.first()) {
                (_, Some(next)) => self.spliced(text, next.key.start..next.key.start, &format!("{member}, ")),
                (Some(last), None) => {
                    let end = end_of(text, last)?;
                    self.spliced(text, end..end, &format!(", {member}"))
                }
                (None, None) => self.spliced(text, owner.start + 1..owner.start + 1, &member),
            };
        }
        let last = before.last()?;
        let indent = column(text, last.key.start);
        let (end, has_break) = line_end(text, &last.value, end_of(text, last)?);
        let lines = format!("{}{}", " ".repeat(indent), block_member(name, value, indent));
        self.spliced(text, end..end, &with_break(&lines, has_break))
    }

    /// Replaces the value of an entry whose key is in this column.
    fn replaced_value(&self, text: &str, entry: &Entry, indent: usize, is_flow: bool, value: &Value) -> Edit {
        let colon = after_colon(text, &entry.key)?;
        let is_plain = matches!(entry.value.content, Content::Scalar) && !entry.value.is_empty();
        let is_collection = !is_empty(value);
        if is_flow || !is_collection {
            return match is_plain {
                true => self.spliced(text, entry.value.start..entry.value.end, &inline(value)),
                false => {
                    let end = if entry.value.is_empty() { colon } else { content_end(text, &entry.value) };
                    self.spliced(text, colon..end, &format!(" {}", inline(value)))
                }
            };
        }
        let end = if entry.value.is_empty() { colon } else { content_end(text, &entry.value) };
        let lines = format!("\n{}{}", " ".repeat(indent + 2), block(value, indent + 2));
        // A comment behind the key stays there.
        let (comment, _) = line_end(text, &entry.key, colon);
        match entry.value.is_empty() {
            true => self.spliced(text, comment..comment, &lines),
            false => self.spliced(text, colon..end, &lines),
        }
    }

    fn replaced_item(&self, path: &[Step<'_>], value: &Value) -> Edit {
        let (text, root) = self.root()?;
        let item = find(&root, path)?;
        let is_plain = matches!(item.content, Content::Scalar) && !item.is_empty();
        (is_plain && is_empty(value)).then(|| self.spliced(text, item.start..item.end, &inline(value)))?
    }

    fn with_item(&self, path: &[Step<'_>], index: usize, value: &Value) -> Edit {
        let (text, root) = self.root()?;
        let Content::Sequence { items, is_flow } = &find(&root, path)?.content else { return None };
        let before = index.checked_sub(1).and_then(|last| items.get(last));
        if *is_flow {
            return match (before, items.get(index)) {
                (Some(last), _) => self.spliced(text, last.end..last.end, &format!(", {}", inline(value))),
                (None, Some(next)) => self.spliced(text, next.start..next.start, &format!("{}, ", inline(value))),
                (None, None) => None,
            };
        }
        let dash = dash(text, items.first()?)?;
        let indent = column(text, dash);
        let lines = format!("{}- {}", " ".repeat(indent), block(value, indent + 2));
        match before {
            Some(last) => {
                let (end, has_break) = line_end(text, last, last.end);
                self.spliced(text, end..end, &with_break(&lines, has_break))
            }
            None => {
                let start = line_start(text, dash);
                self.spliced(text, start..start, &format!("{lines}\n"))
            }
        }
    }

    fn without(&self, path: &[Step<'_>], last: &Step<'_>) -> Edit {
        let (text, root) = self.root()?;
        let (start, end, next, previous, is_flow) = match (&find(&root, path)?.content, last) {
            (Content::Mapping { entries, is_flow }, Step::Key(key)) => {
                let index = entries.iter().position(|entry| entry.name == *key)?;
                let entry = &entries[index];
                let (end, has_break) = match is_flow {
                    true => (end_of(text, entry)?, false),
                    false => line_end(text, &entry.value, end_of(text, entry)?),
                };
                let previous = index.checked_sub(1).and_then(|last| end_of(text, &entries[last]));
                let next = entries.get(index + 1).map(|next| next.key.start);
                (entry.key.start, (end, has_break), next, previous, *is_flow)
            }
            (Content::Sequence { items, is_flow }, Step::Index(index)) => {
                let item = items.get(*index)?;
                let previous = index.checked_sub(1).map(|last| items[last].end);
                let next = items.get(index + 1).map(|next| next.start);
                match is_flow {
                    true => (item.start, (item.end, false), next, previous, true),
                    false => (dash(text, item)?, line_end(text, item, item.end), next, previous, false),
                }
            }
            _ => return None,
        };
        if is_flow {
            return match (next, previous) {
                (Some(next), _) => self.spliced(text, start..next, ""),
                (None, Some(previous)) => self.spliced(text, previous..end.0, ""),
                (None, None) => None,
            };
        }
        let line = line_start(text, start);
        if text[line..start].trim().is_empty() {
            // The last line may have no line break; then the one before it goes.
            let (end, has_break) = end;
            return match (text[end..].strip_prefix("\r\n").or_else(|| text[end..].strip_prefix('\n')), has_break) {
                (Some(rest), false) => self.spliced(text, line..text.len() - rest.len(), ""),
                (_, true) => self.spliced(text, line..end, ""),
                (None, false) => self.spliced(text, text[..line].trim_end_matches(['\r', '\n']).len()..end, ""),
            };
        }
        // The first key of an item is on the line of its dash.
        self.spliced(text, start..next?, "")
    }
}

/// Whether a value is written on the line of its key.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn block_member(name: &str, value: &Value, indent: usize) -> String {
    block(&Value::Object(Map::from_iter([(name.to_owned(), value.clone())])), indent)
}

/// Lines that are inserted at the end of a line, or at the start of the next one.
fn with_break(lines: &str, is_at_line_start: bool) -> String {
    if is_at_line_start { format!("{lines}\n") } else { format!("\n{lines}") }
}

/// Where an entry ends.
fn end_of(text: &str, entry: &Entry) -> Option<usize> {
    if entry.value.is_empty() { after_colon(text, &entry.key) } else { Some(entry.value.end) }
}

/// The end of what is written, without line breaks behind it.
fn content_end(text: &str, node: &Node) -> usize {
    text[..node.end].trim_end_matches(['\r', '\n', ' ', '\t']).len().max(node.start)
}

/// The end of the line on which a node ends, comments included; or the start of the line behind a block scalar, which
/// contains its own line breaks.
fn line_end(text: &str, node: &Node, end: usize) -> (usize, bool) {
    let is_block = last_is_block(node);
    if is_block && text[..end].ends_with('\n') {
        return (end, true);
    }
    let line = text[end..].find('\n').map_or(text.len(), |length| end + length);
    (text[..line].strip_suffix('\r').map_or(line, str::len), false)
}

fn last_is_block(node: &Node) -> bool {
    match &node.content {
        Content::Block => true,
        Content::Sequence { items, is_flow: false } => items.last().is_some_and(last_is_block),
        Content::Mapping { entries, is_flow: false } => entries.last().is_some_and(|entry| last_is_block(&entry.value)),
        _ => false,
    }
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |line| line + 1)
}

fn column(text: &str, at: usize) -> usize {
    at - line_start(text, at)
}

/// The dash of an item of a block list: on its line, or on one above it.
fn dash(text: &str, item: &Node) -> Option<usize> {
    let mut end = item.start;
    loop {
        let line = line_start(text, end);
        let before = text[line..end].trim_end();
        let code = before.split(" #").next().unwrap_or(before).trim_end();
        if code.ends_with('-') {
            return Some(line + code.len() - 1);
        }
        // An anchor or a tag may be between the dash and the value.
        let is_mark = |word: &str| word.starts_with(['&', '!']);
        let marked = code.split_whitespace().skip_while(|word| *word == "-").all(is_mark);
        if !code.is_empty() && marked {
            return code.rfind("- ").map(|dash| line + dash);
        }
        if !code.is_empty() && !code.trim_start().starts_with('#') {
            return None;
        }
        end = line.checked_sub(1)?;
    }
}

fn find<'a>(root: &'a Node, path: &[Step<'_>]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, step| match (&node.content, step) {
        (Content::Mapping { entries, .. }, Step::Key(key)) => {
            entries.iter().find(|entry| entry.name == *key).map(|entry| &entry.value)
        }
        (Content::Sequence { items, .. }, Step::Index(index)) => items.get(*index),
        _ => None,
    })
}

fn at<'a>(root: &'a Value, path: &[Step<'_>]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}

fn at_mut<'a>(root: &'a mut Value, path: &[Step<'_>]) -> Option<&'a mut Value> {
    path.iter().try_fold(root, |value, step| match step {
        Step::Key(key) => value.get_mut(key),
        Step::Index(index) => value.get_mut(index),
    })
}

/// Sets a value whose owner is there. A new member is the last one; the order of members is not compared.
fn put(root: &mut Value, path: &[Step<'_>], value: Value) -> Option<()> {
    let (last, above) = path.split_last()?;
    match (at_mut(root, above)?, last) {
        (Value::Object(map), Step::Key(key)) => {
            map.insert((*key).to_owned(), value);
            Some(())
        }
        (Value::Array(items), Step::Index(index)) => {
            *items.get_mut(*index)? = value;
            Some(())
        }
        _ => None,
    }
}

fn written(path: &[Step<'_>]) -> String {
    path.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) if path.is_empty() => (*key).to_owned(),
        Step::Key(key) => format!("{path}.{key}"),
        Step::Index(index) => format!("{path}[{index}]"),
    })
}

#[cfg(test)]
mod tests;
