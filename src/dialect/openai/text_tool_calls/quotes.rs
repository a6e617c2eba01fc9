//! Detects quoted text: in a code fence or inline code, in quotation marks on the same line, directly after a single
//! quotation mark, or on a line that starts with `>`.

/// Quotation state at the end of the text so far.
#[derive(Debug, Default)]
pub(super) struct Quotes {
    last: Option<char>,
    /// A run of equal backticks or tildes that may continue.
    run: Option<(char, usize)>,
    /// The character of the open fence.
    fence: Option<char>,
    line: Line,
}

/// Quotation state of the current line.
#[derive(Debug, Default)]
struct Line {
    /// A character other than a space was seen.
    has_begun: bool,
    is_cited: bool,
    /// Number of backticks that opened inline code, or 0.
    code: usize,
    /// `"`
    is_straight: bool,
    /// `“`, `„` or `«`
    is_curly: bool,
}

impl Quotes {
    /// Adds text.
    pub(super) fn push(&mut self, text: &str) {
        for character in text.chars() {
            self.take(character);
            self.last = Some(character);
        }
    }

    fn take(&mut self, character: char) {
        match &mut self.run {
            Some((mark, length)) if *mark == character => return *length += 1,
            run => {
                if let Some((mark, length)) = run.take() {
                    (self.fence, self.line.code) = self.behind(mark, length);
                }
            }
        }
        if character == '\n' {
            self.line = Line::default();
            return;
        }
        let has_begun = self.line.has_begun;
        self.line.has_begun |= character != ' ';
        match character {
            '`' | '~' => self.run = Some((character, 1)),
            '>' if !has_begun => self.line.is_cited = true,
            _ if self.fence.is_some() || self.line.code > 0 => {}
            '"' => self.line.is_straight ^= true,
            // The closing mark in German.
            '“' => self.line.is_curly ^= true,
            '„' | '«' => self.line.is_curly = true,
            '”' | '»' => self.line.is_curly = false,
            _ => {}
        }
    }

    /// Returns the fence and the inline code that are open after a run of backticks or tildes.
    fn behind(&self, mark: char, length: usize) -> (Option<char>, usize) {
        match self.fence {
            Some(open) if open == mark && length >= 3 => (None, 0),
            Some(open) => (Some(open), 0),
            None if length >= 3 => (Some(mark), 0),
            None if mark != '`' => (None, self.line.code),
            None if self.line.code == 0 => (None, length),
            None if self.line.code == length => (None, 0),
            None => (None, self.line.code),
        }
    }

    /// Whether the text that follows is quoted.
    pub(super) fn is_quoted(&self) -> bool {
        let (fence, code) = match self.run {
            Some((mark, length)) => self.behind(mark, length),
            None => (self.fence, self.line.code),
        };
        let Line { is_cited, is_straight, is_curly, .. } = self.line;
        fence.is_some() || code > 0 || is_cited || is_straight || is_curly || matches!(self.last, Some('\'' | '‘'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_quotes_within_a_line_and_in_fences() {
        for (text, is_quoted) in [
            ("", false),
            ("So: ", false),
            ("write `", true),
            ("write ``", true),
            ("write `the tag ", true),
            ("write ``a ` b ", true),
            ("`this` and ", false),
            ("`this`", false),
            ("a ` in one line\n", false),
            ("a \"", true),
            ("a \"the tag ", true),
            ("a \"word\" and ", false),
            ("a \"word\n", false),
            ("“the tag ", true),
            ("“word” ", false),
            ("„the tag ", true),
            ("„Wort“ ", false),
            ("«the tag ", true),
            ("«mot» ", false),
            ("it's '", true),
            ("it's ", false),
            ("> as you wrote: ", true),
            ("  > ", true),
            ("a > b ", false),
            ("> cited\nnot cited ", false),
            ("```", true),
            ("```xml\n", true),
            ("```xml\nx\n", true),
            ("```xml\nx\n```", false),
            ("```xml\nx\n```\n", false),
            ("~~~\nx `\n", true),
            ("~~~\nx\n~~~\n", false),
            ("```\n~~~\n", true),
            ("~5 minutes, ", false),
            ("```\n\"\n```\n", false),
        ] {
            let (mut whole, mut pieces) = (Quotes::default(), Quotes::default());
            whole.push(text);
            text.chars().for_each(|character| pieces.push(character.encode_utf8(&mut [0; 4])));
            assert_eq!((whole.is_quoted(), pieces.is_quoted()), (is_quoted, is_quoted), "{text:?}");
        }
    }
}
