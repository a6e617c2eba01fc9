//! Whether a text stands between quotes: right behind one, or within a fence of code.

/// What the text so far leaves open.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    last: Option<char>,
    /// Backticks in a row.
    ticks: usize,
    in_fence: bool,
}

impl Quotes {
    /// Takes text.
    pub(super) fn push(&mut self, text: &str) {
        let Some(last) = text.chars().next_back() else { return };
        self.last = Some(last);
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let ticks = rest.iter().take_while(|byte| **byte == b'`').count();
            self.ticks += ticks;
            rest = &rest[ticks..];
            if rest.is_empty() {
                return;
            }
            self.in_fence ^= std::mem::take(&mut self.ticks) >= 3;
            rest = &rest[memchr::memchr(b'`', rest).unwrap_or(rest.len())..];
        }
    }

    /// Whether what follows is quoted.
    pub(super) fn is_quoted(&self) -> bool {
        let opens = |last: char| "`\"'“„«‘".contains(last);
        self.in_fence || self.ticks >= 3 || self.last.is_some_and(opens)
    }
}
