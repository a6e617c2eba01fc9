//! Separates `<think>…</think>` from the answer. Dify has no other form for what a model thinks, and puts it in front of the text.
//!
//! Only blocks at the beginning are thinking, and those that follow directly: further on in a text the same characters are text,
//! such as an explanation of this format. The result does not depend on how the text is split.

use super::Piece;

const OPENING: &str = "<think>";
const CLOSING: &str = "</think>";

/// Bytes of blanks that are held at the beginning of an answer; more of them are text.
const MAX_HELD_BYTES: usize = 256;

/// Push text as it arrives, then finish.
#[derive(Debug, Default)]
pub struct ThinkParser {
    state: State,
    /// What is not decided yet: the beginning of a mark, or blanks before one.
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing but blanks so far.
    #[default]
    Beginning,
    /// Directly behind an opening mark.
    Opened,
    Thinking,
    /// Nothing but blanks since a block.
    Closed,
    Text,
}

impl ThinkParser {
    pub fn push(&mut self, text: String, out: &mut Vec<Piece>) {
        if self.state == State::Text {
            return emit(out, Piece::Text(text));
        }
        self.held.push_str(&text);
        while self.step(out) {}
    }

    pub fn finish(&mut self, out: &mut Vec<Piece>) {
        let held = std::mem::take(&mut self.held);
        match self.state {
            State::Closed => emit(out, Piece::Text(held.trim_start().to_owned())),
            State::Opened | State::Thinking => emit(out, Piece::Reasoning(held)),
            _ => emit(out, Piece::Text(held)),
        }
    }

    /// Takes from what is held; whether there may be more to take.
    fn step(&mut self, out: &mut Vec<Piece>) -> bool {
        match self.state {
            State::Beginning | State::Closed => {
                let text = self.held.trim_start();
                if let Some(rest) = text.strip_prefix(OPENING) {
                    self.held = rest.to_owned();
                    self.state = State::Opened;
                    return true;
                }
                if OPENING.starts_with(text) && self.held.len() <= MAX_HELD_BYTES {
                    return false;
                }
                let blanks = self.held.len() - text.len();
                if self.state == State::Closed && OPENING.starts_with(text) {
                    self.held.drain(..blanks);
                    return false;
                }
                let text = self.held.split_off(if self.state == State::Closed { blanks } else { 0 });
                self.held.clear();
                self.state = State::Text;
                emit(out, Piece::Text(text));
                false
            }
            State::Opened => {
                // The line break behind the mark is not part of the thought.
                if self.held.is_empty() {
                    return false;
                }
                if self.held.starts_with('\n') {
                    self.held.remove(0);
                }
                self.state = State::Thinking;
                true
            }
            State::Thinking => {
                if let Some(place) = self.held.find(CLOSING) {
                    let rest = self.held.split_off(place + CLOSING.len());
                    let mut thought = std::mem::replace(&mut self.held, rest);
                    thought.truncate(place);
                    let thought = thought.strip_suffix('\n').unwrap_or(&thought).to_owned();
                    emit(out, Piece::Reasoning(thought));
                    self.state = State::Closed;
                    return true;
                }
                let undecided = self.held.split_off(self.held.len() - undecided(&self.held));
                emit(out, Piece::Reasoning(std::mem::replace(&mut self.held, undecided)));
                false
            }
            State::Text => false,
        }
    }
}

/// Length of the end of a thought that may be the beginning of the closing mark, with the line break in front of it.
fn undecided(thought: &str) -> usize {
    let mark = (1..CLOSING.len()).rev().find(|length| thought.ends_with(&CLOSING[..*length])).unwrap_or(0);
    mark + usize::from(thought[..thought.len() - mark].ends_with('\n'))
}

/// Nothing empty.
fn emit(out: &mut Vec<Piece>, piece: Piece) {
    let is_empty = matches!(&piece, Piece::Text(text) | Piece::Reasoning(text) if text.is_empty());
    if !is_empty {
        out.push(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes parts, and joins what comes out: thoughts in brackets.
    fn parsed<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
        let (mut parser, mut pieces) = (ThinkParser::default(), Vec::new());
        for part in parts {
            parser.push(part.to_owned(), &mut pieces);
        }
        parser.finish(&mut pieces);
        let (mut text, mut is_thinking) = (String::new(), false);
        for piece in pieces {
            let (thinks, part) = match piece {
                Piece::Text(part) => (false, part),
                Piece::Reasoning(part) => (true, part),
                Piece::Call(_) => unreachable!(),
            };
            assert!(!part.is_empty());
            if thinks != is_thinking {
                text.push(if thinks { '[' } else { ']' });
            }
            is_thinking = thinks;
            text.push_str(&part);
        }
        if is_thinking { text + "]" } else { text }
    }

    const CASES: &[(&str, &str)] = &[
        ("", ""),
        ("Hello", "Hello"),
        ("  Hello", "  Hello"),
        ("<think>\nHm.\n</think>\nHello", "[Hm.]Hello"),
        ("<think>Hm.</think>Hello", "[Hm.]Hello"),
        ("\n<think>\na\n\nb\n</think>\n\n<think>c</think> d", "[a\n\nbc]d"),
        ("<think></think>Hello", "Hello"),
        ("<think>Hm", "[Hm]"),
        ("<think>a</thin", "[a</thin]"),
        ("<think>a\n", "[a\n]"),
        ("<think>a</think>\n", "[a]"),
        ("<think>a</think>\n<thi", "[a]<thi"),
        ("<thi", "<thi"),
        ("<thinker>", "<thinker>"),
        ("It writes <think>x</think>.", "It writes <think>x</think>."),
        ("<think>1 < 2 </ </think>é", "[1 < 2 </ ]é"),
        ("<think>\n\n</think>", ""),
    ];

    #[test]
    fn blocks_at_the_beginning_are_thinking() {
        for (text, expected) in CASES {
            assert_eq!(parsed([*text]), *expected, "{text:?}");
        }
    }

    #[test]
    fn blanks_are_not_held_for_long() {
        let (mut parser, mut pieces) = (ThinkParser::default(), Vec::new());
        (0..10_000).for_each(|_| parser.push(" ".to_owned(), &mut pieces));
        assert!(pieces.len() > 9_000 && parser.held.is_empty());
        let (mut parser, mut pieces) = (ThinkParser::default(), Vec::new());
        parser.push("<think>x</think>".to_owned(), &mut pieces);
        (0..10_000).for_each(|_| parser.push(" ".to_owned(), &mut pieces));
        assert!(pieces.len() == 1 && parser.held.len() <= MAX_HELD_BYTES);
    }

    #[test]
    fn any_split_has_the_same_result() {
        for (text, expected) in CASES {
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            for &first in &ends {
                for &second in ends.iter().filter(|end| **end >= first) {
                    let parts = [&text[..first], &text[first..second], &text[second..]];
                    assert_eq!(parsed(parts), *expected, "{parts:?}");
                }
            }
            assert_eq!(parsed(ends.windows(2).map(|ends| &text[ends[0]..ends[1]])), *expected, "{text:?}");
        }
    }
}
