//! Removes texts from a response, even if they are split over its pieces. It holds back at most what may be the start of such a
//! text.

use dify_plugin::steps;

/// The texts, and the end of the response that may be the start of one.
#[derive(Debug, Default)]
pub(super) struct Strip {
    texts: Vec<String>,
    held: String,
}

impl Strip {
    pub(super) fn new(texts: Vec<String>) -> Self {
        Self { texts, held: String::new() }
    }

    /// Adds a piece and returns what is certain.
    pub(super) fn push(&mut self, piece: String) -> String {
        if self.texts.is_empty() {
            return piece;
        }
        self.held.push_str(&piece);
        let mut certain = String::with_capacity(self.held.len());
        let mut from = 0;
        let mut next: Vec<Option<usize>> = self.texts.iter().map(|text| find(&self.held, 0, text)).collect();
        while let Some((at, text)) = next.iter().zip(&self.texts).filter_map(|(at, text)| Some(((*at)?, text))).min() {
            certain.push_str(&self.held[from..at]);
            from = at + text.len();
            // Only what was passed is searched for again, so that every text is searched for once.
            for (at, text) in next.iter_mut().zip(&self.texts).filter(|(at, _)| at.is_some_and(|at| at < from)) {
                *at = find(&self.held, from, text);
            }
        }
        let rest = &self.held[from..];
        let kept = self.texts.iter().map(|text| partial(rest, text)).max().unwrap_or_default();
        let (sure, open) = rest.split_at(rest.len() - kept);
        certain.push_str(sure);
        self.held = open.to_owned();
        certain
    }

    /// Returns the rest at the end of the response.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Returns the number of bytes that are held back.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

/// Returns where a text is next.
fn find(held: &str, from: usize, text: &str) -> Option<usize> {
    let found = held[from..].find(text).map(|at| from + at);
    steps::count(found.map_or(held.len(), |at| at + text.len()) - from);
    found
}

/// Returns the length of the longest proper beginning of `removed` at the end of a text.
fn partial(text: &str, removed: &str) -> usize {
    let most = text.len().min(removed.len().saturating_sub(1));
    (1..=most)
        .rev()
        .find(|length| removed.is_char_boundary(*length) && text.ends_with(&removed[..*length]))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(pieces: &[&str]) -> String {
        let mut strip = Strip::new(vec!["<|box|>".to_owned(), "<é>".to_owned()]);
        let mut out: String = pieces.iter().map(|piece| strip.push((*piece).to_owned())).collect();
        out.push_str(&strip.finish());
        out
    }

    #[test]
    fn removes_texts_and_keeps_what_only_begins_like_one() {
        for (pieces, expected) in [
            (&["a<|box|>b"][..], "ab"),
            (&["<|bo", "x|>4", "2<|box|>"], "42"),
            (&["a<|bo", "b"], "a<|bob"),
            (&["1 <", " 2"], "1 < 2"),
            (&["<é", "><|box", "|>"], ""),
            (&["end <|box"], "end <|box"),
        ] {
            assert_eq!(run(pieces), expected, "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(text in "(<|box|>|<é>|[<|box>é ]){0,12}", cuts in proptest::collection::vec(0usize..40, 0..5)) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| text.is_char_boundary(*cut)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(run(&pieces), run(&[&text]));
        }
    }

    #[test]
    fn takes_linear_time() {
        for piece in ["<|box|>", "<|bo", "<é>x"] {
            steps::assert_linear(
                piece,
                |size| piece.repeat(size),
                |text| {
                    run(&[text.as_str()]);
                },
            );
        }
    }
}
