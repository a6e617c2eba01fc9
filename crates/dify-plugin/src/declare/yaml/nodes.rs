//! Where each value of a YAML text is, in bytes: a tree of positions for [`super::edit`]. Values themselves are read by
//! [`super::parse`], whose limits apply before this.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// A value and its position. Comments, anchors and tags are not part of it.
#[derive(Debug)]
pub(super) struct Node {
    /// Where it starts.
    pub(super) start: usize,
    /// Where it ends; for a block collection, the end of its last value.
    pub(super) end: usize,
    /// What it contains.
    pub(super) content: Content,
}

/// What a value contains.
#[derive(Debug)]
pub(super) enum Content {
    /// A scalar in one of the inline styles.
    Scalar,
    /// A literal or folded block.
    Block,
    /// A reference to an anchor.
    Alias,
    /// A list.
    Sequence { items: Vec<Node>, is_flow: bool },
    /// A mapping; its entries are in order.
    Mapping { entries: Vec<Entry>, is_flow: bool },
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key's text.
    pub(super) name: String,
    /// Where the key is.
    pub(super) key: Node,
    /// The value.
    pub(super) value: Node,
}

impl Node {
    /// Whether nothing is written where the value should be.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end && matches!(self.content, Content::Scalar)
    }
}

/// Reads the positions of a text; `None` if it has no single document.
pub(super) fn read(text: &str) -> Option<Node> {
    let mut reader = Reader { text, offsets: Offsets::new(text), parser: Parser::new_from_str(text) };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, ..) => {}
            (event, start, end) => return reader.node(event, start, end).map(|(_, node)| node),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    offsets: Offsets,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<(Event<'a>, usize, usize)> {
        let (event, span) = self.parser.next()?.ok()?;
        Some((event, self.offsets.of(self.text, &span.start)?, self.offsets.of(self.text, &span.end)?))
    }

    /// The node that an event starts, with its text if it is a scalar.
    fn node(&mut self, event: Event<'a>, start: usize, end: usize) -> Option<(String, Node)> {
        let is_flow = |opening: char| self.text.get(start..end).is_some_and(|text| text.ends_with(opening));
        match event {
            Event::Scalar(text, style, ..) => {
                let (end, content) = match style {
                    // The parser has read the indentation of the next line, too.
                    ScalarStyle::Literal | ScalarStyle::Folded => {
                        (self.text[..end].trim_end_matches(' ').len(), Content::Block)
                    }
                    _ => (end, Content::Scalar),
                };
                Some((text.into_owned(), Node { start: start.min(end), end, content }))
            }
            Event::Alias(_) => Some((String::new(), Node { start, end, content: Content::Alias })),
            Event::SequenceStart(..) => {
                let is_flow = is_flow('[');
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
            Event::MappingStart(..) => {
                let is_flow = is_flow('{');
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
pub(super) fn after_colon(text: &str, key: &Node) -> Option<usize> {
    let rest = text.get(key.end..)?;
    let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest[blank..].starts_with(':').then_some(key.end + blank + 1)
}

/// Byte offsets of the characters of a text.
struct Offsets(Vec<usize>);

impl Offsets {
    fn new(text: &str) -> Self {
        // The offset of a character is its index, unless the text has characters of several bytes.
        match text.is_ascii() {
            true => Self(Vec::new()),
            false => Self(text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect()),
        }
    }

    fn of(&self, text: &str, marker: &Marker) -> Option<usize> {
        match self.0.is_empty() {
            true => Some(marker.index()).filter(|offset| *offset <= text.len()),
            false => self.0.get(marker.index()).copied(),
        }
    }
}
