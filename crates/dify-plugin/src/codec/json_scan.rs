//! Finds the end of a JSON document byte by byte, from braces, brackets and strings. Does not validate the document.

/// What the bytes so far are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// Only whitespace.
    #[default]
    Blank,
    /// An incomplete object, array or string.
    Open,
    /// A complete object, array or string.
    Whole,
    /// Something after a complete one.
    Beyond,
    /// Neither object, array nor string: a number, a word, no JSON at all.
    Other,
}

/// Scans a document. Each byte takes constant time, however long the document is.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonScan {
    extent: Extent,
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl JsonScan {
    /// Returns what the bytes so far are.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Whether the next byte is inside a string.
    pub fn is_in_text(&self) -> bool {
        self.in_text
    }

    /// Scans bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.push(*byte));
    }

    /// Scans one byte.
    pub fn push(&mut self, byte: u8) {
        match self.extent {
            Extent::Blank => match byte {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                b'{' | b'[' => (self.extent, self.depth) = (Extent::Open, 1),
                b'"' => (self.extent, self.in_text) = (Extent::Open, true),
                _ => self.extent = Extent::Other,
            },
            Extent::Open => self.follow(byte),
            Extent::Whole if !byte.is_ascii_whitespace() => self.extent = Extent::Beyond,
            Extent::Whole | Extent::Beyond | Extent::Other => {}
        }
    }

    fn follow(&mut self, byte: u8) {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
        }
        if self.depth == 0 && !self.in_text {
            self.extent = Extent::Whole;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_end_where_their_braces_do() {
        use Extent::{Beyond, Blank, Open, Other, Whole};
        for (text, extent) in [
            ("", Blank),
            (" \n", Blank),
            ("{", Open),
            (r#"{"a":[1,{"b":"}]"}"#, Open),
            (r#"{"a":[1,{"b":"}]\""}]}"#, Whole),
            ("[] \n", Whole),
            (r#""a"#, Open),
            (r#""a\""#, Open),
            (r#""a""#, Whole),
            ("{}x", Beyond),
            ("{} {", Beyond),
            ("12", Other),
            ("null", Other),
            ("}", Other),
        ] {
            let mut scan = JsonScan::default();
            scan.extend(text.as_bytes());
            assert_eq!(scan.extent(), extent, "{text}");
        }
    }
}
