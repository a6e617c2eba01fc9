//! Where each value of a YAML text is, in bytes: a tree of positions for [`super::edit`]. Values themselves are read by
//! [`super::parse`], whose limits apply before this.

use std::collections::HashMap;

use granit_parser::{Event, Options, Parser, ScalarStyle, StrInput, StructureStyle};

/// A value and its position. Comments, anchors and tags are not part of it.
#[derive(Debug)]
pub(in crate::declare) struct Node {
    /// Where it starts.
    pub(in crate::declare) start: usize,
    /// Where it ends; for a block collection, the end of its last value.
    pub(in crate::declare) end: usize,
    /// What it contains.
    pub(in crate::declare) content: Content,
}

/// What a value contains.
#[derive(Debug)]
pub(in crate::declare) enum Content {
    /// A scalar in one of the inline styles.
    Scalar,
    /// A literal or folded block.
    Block,
    /// A reference to the anchor of this number.
    Alias(usize),
    /// A list.
    Sequence { items: Vec<Node>, is_flow: bool },
    /// A mapping; its entries are in order.
    Mapping { entries: Vec<Entry>, is_flow: bool },
}

/// A key with its value.
#[derive(Debug)]
pub(in crate::declare) struct Entry {
    /// The key's text.
    pub(in crate::declare) name: String,
    /// Where the key is.
    pub(in crate::declare) key: Node,
    /// The value.
    pub(in crate::declare) value: Node,
}

impl Node {
    /// Whether nothing is written where the value should be.
    pub(in crate::declare) fn is_empty(&self) -> bool {
        self.start == self.end && matches!(self.content, Content::Scalar)
    }
}

/// Maximum nesting of blocks. What has been parsed before nests less.
const DEEPEST: usize = 256;

fn parser(text: &str) -> Parser<'_, StrInput<'_>> {
    let mut options = Options::default();
    options.block_nesting_limit = DEEPEST;
    Parser::new_from_str_with_options(text, options)
}

/// The values that have an anchor, by its number: where each starts and ends.
pub(in crate::declare) type Anchors = HashMap<usize, (usize, usize)>;

/// Reads the positions of a text; `None` if it has no single document.
pub(in crate::declare) fn read(text: &str) -> Option<Node> {
    read_with_anchors(text).map(|(node, _)| node)
}

/// Reads the positions of a text, and the places of its anchors.
pub(in crate::declare) fn read_with_anchors(text: &str) -> Option<(Node, Anchors)> {
    let mut reader = Reader { text, parser: parser(text), anchors: Anchors::new() };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(..), ..) => {}
            (event, start, end) => {
                let (_, node) = reader.node(event, start, end)?;
                return Some((node, reader.anchors));
            }
        }
    }
}

impl Node {
    /// The value within this one that starts and ends there. Values are in the order of the text.
    pub(in crate::declare) fn at(&self, start: usize, end: usize) -> Option<&Node> {
        let mut node = self;
        while (node.start, node.end) != (start, end) {
            node = match &node.content {
                Content::Sequence { items, .. } => {
                    items.get(items.partition_point(|item| item.start <= start).checked_sub(1)?)?
                }
                Content::Mapping { entries, .. } => {
                    let entry =
                        entries.get(entries.partition_point(|entry| entry.key.start <= start).checked_sub(1)?)?;
                    if entry.value.start <= start && entry.value.end >= end { &entry.value } else { &entry.key }
                }
                _ => return None,
            };
        }
        Some(node)
    }
}

/// Where a text stops to be YAML, in bytes, and why; `None` if it does not.
pub(in crate::declare) fn mistake(text: &str) -> Option<(usize, String)> {
    let error = parser(text).find_map(Result::err)?;
    Some((error.marker().byte_offset()?, error.info()))
}

struct Reader<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    anchors: Anchors,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(Event<'a>, usize, usize)> {
        let (event, span) = self.parser.next()?.ok()?;
        let range = span.byte_range().filter(|range| range.end <= self.text.len())?;
        Some((event, range.start, range.end))
    }

    /// The node that an event starts, with its text if it is a scalar.
    fn node(&mut self, event: Event<'a>, start: usize, end: usize) -> Option<(String, Node)> {
        let anchor = match &event {
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _) => {
                *anchor
            }
            _ => 0,
        };
        let (text, node) = self.content(event, start, end)?;
        // Zero is none.
        if anchor != 0 {
            self.anchors.insert(anchor, (node.start, node.end));
        }
        Some((text, node))
    }

    fn content(&mut self, event: Event<'a>, start: usize, end: usize) -> Option<(String, Node)> {
        match event {
            Event::Scalar(text, style, ..) => {
                let (end, content) = match style {
                    // The parser has read the indentation of the next line, too.
                    ScalarStyle::Literal | ScalarStyle::Folded => {
                        (self.text.get(..end)?.trim_end_matches(' ').len(), Content::Block)
                    }
                    _ => (end, Content::Scalar),
                };
                Some((text.into_owned(), Node { start: start.min(end), end, content }))
            }
            Event::Alias(anchor) => Some((String::new(), Node { start, end, content: Content::Alias(anchor) })),
            Event::SequenceStart(style, ..) => {
                let is_flow = style == StructureStyle::Flow;
                let mut items = Vec::new();
                let end = loop {
                    match self.next()? {
                        (Event::SequenceEnd, _, end) => break end,
                        (event, start, end) => items.push(self.node(event, start, end)?.1),
                    }
                };
                let end = if is_flow { end } else { items.last().map_or(end, |item| item.end) };
                Some((String::new(), Node { start, end, content: Content::Sequence { items, is_flow } }))
            }
            Event::MappingStart(style, ..) => {
                let is_flow = style == StructureStyle::Flow;
                let mut entries = Vec::new();
                let end = loop {
                    let (name, key) = match self.next()? {
                        (Event::MappingEnd, _, end) => break end,
                        (event, start, end) => self.node(event, start, end)?,
                    };
                    let (event, start, end) = self.next()?;
                    entries.push(Entry { name, key, value: self.node(event, start, end)?.1 });
                };
                let last = entries.last().map(|entry| match entry.value.is_empty() {
                    true => self.colon(&entry.key).unwrap_or(entry.key.end),
                    false => entry.value.end,
                });
                let end = if is_flow { end } else { last.unwrap_or(end) };
                Some((String::new(), Node { start, end, content: Content::Mapping { entries, is_flow } }))
            }
            _ => None,
        }
    }

    fn colon(&self, key: &Node) -> Option<usize> {
        after_colon(self.text, key)
    }
}

/// The position after the colon of a key.
pub(in crate::declare) fn after_colon(text: &str, key: &Node) -> Option<usize> {
    let rest = text.get(key.end..)?;
    let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest[blank..].starts_with(':').then_some(key.end + blank + 1)
}
