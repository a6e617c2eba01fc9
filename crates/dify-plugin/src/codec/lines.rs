//! Newline framer: bytes in, complete lines out. It finds the end of a line and does not interpret it.
//!
//! The daemon does not limit the lines that it sends, so the limit here only protects memory: a longer line, or one for
//! which there is no memory, is dropped and reported once, and the following lines are read as usual.

use crate::steps;

/// Output of the framer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line {
    /// A line without its line ending; never empty.
    Whole(Vec<u8>),
    /// A line that was dropped: its beginning, its end, and its length.
    TooLong {
        /// First bytes, enough to find the session ID.
        head: Vec<u8>,
        /// Last bytes, where older daemons put it.
        tail: Vec<u8>,
        /// Length of the complete line in bytes.
        length: usize,
    },
}

/// Number of bytes of a dropped line that are kept at either end.
const HEAD: usize = 4096;

/// Push bytes, pop lines, finish. The result does not depend on how the bytes are split.
#[derive(Debug)]
pub struct LineDecoder {
    limit: usize,
    held: Vec<u8>,
    dropped: usize,
    tail: Vec<u8>,
}

impl LineDecoder {
    /// Creates a framer that drops lines longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, held: Vec::new(), dropped: 0, tail: Vec::new() }
    }

    /// Passes each completed line to `take`.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(Line)) {
        steps::count(bytes.len());
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.hold(&bytes[..end]);
            self.complete(&mut take);
            bytes = &bytes[end + 1..];
        }
        self.hold(bytes);
    }

    /// Ends the input and passes on a last line without a line ending.
    pub fn finish(&mut self, mut take: impl FnMut(Line)) {
        self.complete(&mut take);
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = || self.held.len() + bytes.len() <= self.limit;
        if self.dropped == 0 && room() && self.held.try_reserve(bytes.len()).is_ok() {
            self.held.extend_from_slice(bytes);
        } else {
            if self.dropped == 0 {
                self.tail.extend_from_slice(&self.held[self.held.len().saturating_sub(HEAD)..]);
            }
            self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(HEAD)..]);
            self.tail.drain(..self.tail.len().saturating_sub(HEAD));
            let head = HEAD.min(self.limit);
            let kept = bytes.len().min(head.saturating_sub(self.held.len()));
            self.dropped += self.held.len().saturating_sub(head) + bytes.len() - kept;
            self.held.extend_from_slice(&bytes[..kept]);
            self.held.truncate(head);
            self.held.shrink_to_fit();
        }
    }

    fn complete(&mut self, take: &mut impl FnMut(Line)) {
        let mut line = std::mem::take(&mut self.held);
        let dropped = std::mem::take(&mut self.dropped);
        let tail = std::mem::take(&mut self.tail);
        if dropped > 0 {
            take(Line::TooLong { length: line.len() + dropped, head: line, tail });
            return;
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if !line.is_empty() {
            take(Line::Whole(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(limit: usize, pieces: &[&[u8]]) -> Vec<Line> {
        let mut decoder = LineDecoder::new(limit);
        let mut lines = Vec::new();
        for piece in pieces {
            decoder.push(piece, |line| lines.push(line));
        }
        decoder.finish(|line| lines.push(line));
        lines
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_end_at_newlines_and_empty_ones_are_skipped() {
        assert_eq!(lines(100, &[b"a\n\nb\r\n\r\nc"]), [whole("a"), whole("b"), whole("c")]);
        assert_eq!(lines(100, &[b""]), []);
    }

    #[test]
    fn a_line_over_the_limit_is_dropped_alone() {
        let long = vec![b'x'; 10_000];
        let found = lines(5_000, &[b"a\n", &long, b"\nb\n"]);
        assert_eq!(found[0], whole("a"));
        assert_eq!(found[1], Line::TooLong { head: vec![b'x'; HEAD], tail: vec![b'x'; HEAD], length: 10_000 });
        assert_eq!(found[2], whole("b"));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(text in "[ab\r\n]{0,60}", cut in 0usize..60, second in 0usize..60, limit in 1usize..20) {
            let bytes = text.as_bytes();
            let (first, second) = (cut.min(bytes.len()), second.min(bytes.len()));
            let (first, second) = (first.min(second), first.max(second));
            let found = lines(limit, &[&bytes[..first], &bytes[first..second], &bytes[second..]]);
            prop_assert_eq!(&found, &lines(limit, &[bytes]));
            for line in found {
                match line {
                    Line::Whole(line) => prop_assert!(line.len() <= limit),
                    Line::TooLong { head, tail, length } => {
                        prop_assert!(length > limit && head.len() <= limit && tail.len() == length);
                    }
                }
            }
        }
    }
}
