//! Separates what a model thinks (`<think>…</think>`) from what it says, however the text is cut. A pure state machine.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// A part of a model's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the model says.
    Text(String),
    /// What it thinks.
    Thought(String),
}

/// Takes text in pieces. A block within a block belongs to the outer one.
#[derive(Debug, Default)]
pub struct Thoughts {
    depth: usize,
    /// The beginning of what may become a tag.
    held: String,
}

impl Thoughts {
    /// The parts of the next piece. What may be the beginning of a tag is held back.
    pub fn push(&mut self, text: &str) -> Vec<Part> {
        let text = std::mem::take(&mut self.held) + text;
        let (mut parts, mut rest) = (Vec::new(), text.as_str());
        while let Some(at) = rest.find('<') {
            self.emit(&rest[..at], &mut parts);
            rest = &rest[at..];
            if rest.starts_with(OPEN) {
                self.depth += 1;
                rest = &rest[OPEN.len()..];
            } else if rest.starts_with(CLOSE) && self.depth > 0 {
                self.depth -= 1;
                rest = &rest[CLOSE.len()..];
            } else if OPEN.starts_with(rest) || CLOSE.starts_with(rest) && self.depth > 0 {
                self.held = rest.to_owned();
                return parts;
            } else {
                self.emit("<", &mut parts);
                rest = &rest[1..];
            }
        }
        self.emit(rest, &mut parts);
        parts
    }

    /// What was held back.
    pub fn finish(&mut self) -> Vec<Part> {
        let mut parts = Vec::new();
        let held = std::mem::take(&mut self.held);
        self.emit(&held, &mut parts);
        parts
    }

    fn emit(&self, text: &str, parts: &mut Vec<Part>) {
        if text.is_empty() {
            return;
        }
        match (self.depth > 0, parts.last_mut()) {
            (true, Some(Part::Thought(before))) | (false, Some(Part::Text(before))) => before.push_str(text),
            (true, _) => parts.push(Part::Thought(text.to_owned())),
            (false, _) => parts.push(Part::Text(text.to_owned())),
        }
    }
}
