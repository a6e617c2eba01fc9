//! Splits long text into segments for a speech model, at sentence ends where possible.

/// Characters that end a sentence in Latin, CJK, Arabic and Indic scripts.
const ENDS: [char; 13] = ['.', '!', '?', ';', '\n', '。', '！', '？', '；', '…', '؟', '।', '۔'];

/// Splits a text into segments of at most `longest` characters. Joined, they are the text; blank segments are left out.
///
/// A segment ends after the last sentence within the limit, else after the last blank, else at the limit.
pub fn split(text: &str, longest: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at = cut(rest, longest.max(1));
        let (piece, after) = rest.split_at(at);
        if !piece.trim().is_empty() {
            pieces.push(piece);
        }
        rest = after;
    }
    pieces
}

/// Returns the end of the first segment, in bytes.
fn cut(text: &str, longest: usize) -> usize {
    let Some((limit, _)) = text.char_indices().nth(longest) else { return text.len() };
    let window = &text[..limit];
    let sentence = window.char_indices().rev().find(|(at, mark)| ENDS.contains(mark) && ends_here(text, *at, *mark));
    let blank = || window.char_indices().rev().find(|(_, letter)| letter.is_whitespace());
    match sentence.or_else(blank) {
        Some((at, mark)) => at + mark.len_utf8(),
        None => limit,
    }
}

/// A full stop between digits or letters (`3.14`, `e.g`) does not end a sentence.
fn ends_here(text: &str, at: usize, mark: char) -> bool {
    mark != '.' || text[at + 1..].chars().next().is_none_or(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn splits_after_sentences() {
        let cases: &[(&str, usize, &[&str])] = &[
            ("", 10, &[]),
            ("  \n ", 10, &[]),
            ("One. Two. Three.", 100, &["One. Two. Three."]),
            ("One. Two. Three.", 10, &["One. Two.", " Three."]),
            ("你好。世界！ok?", 4, &["你好。", "世界！", "ok?"]),
            ("pi is 3.14 and so on", 12, &["pi is 3.14 ", "and so on"]),
            ("xxxxxxxx", 3, &["xxx", "xxx", "xx"]),
            ("words without an end", 8, &["words ", "without ", "an end"]),
        ];
        for (text, longest, expected) in cases {
            assert_eq!(split(text, *longest), *expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn segments_fit_and_lose_nothing(text in "[a-c.。 é!]{0,80}", longest in 0usize..20) {
            let pieces = split(&text, longest);
            prop_assert!(pieces.iter().all(|piece| piece.chars().count() <= longest.max(1)));
            let visible = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
            prop_assert_eq!(visible(&pieces.concat()), visible(&text));
        }
    }
}
