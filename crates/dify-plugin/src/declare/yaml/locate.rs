//! The line where a path of a file is, for messages. The parser gives lines with errors only, so the file is read again up to
//! the place, and ended there with an error.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The text of the error that ends the reading at the place.
const HERE: &str = "\u{1}here";

/// A step of a path.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// A member of a mapping.
    Key(&'a str),
    /// An item of a list.
    Index(usize),
}

/// The line of a path like `tools[2].parameters[0].type`, or of the nearest part of it that is there.
pub fn line_of(text: &str, path: &str) -> Option<usize> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let steps = steps(path);
    (1..=steps.len()).rev().find_map(|count| line(text, &steps[..count]))
}

fn line(text: &str, steps: &[Step<'_>]) -> Option<usize> {
    let error = Search(steps).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    let is_here = error.to_string().contains(HERE);
    error.location().filter(|_| is_here).map(|location| location.line())
}

/// The steps of a path like `tools[2].parameters[0].type`.
pub(super) fn steps(path: &str) -> Vec<Step<'_>> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    let step = |part: &str| part.strip_suffix(']').and_then(|index| index.parse().ok());
    parts.map(|part| step(part).map_or(Step::Key(part), Step::Index)).collect()
}

/// Reads a value up to the place of the steps; without steps the value is the place.
struct Search<'a>(&'a [Step<'a>]);

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    // A value of another type than the path says ends the reading, too: with the text of this.
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { HERE } else { "another value" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Err(A::Error::custom(HERE)) };
        let Step::Key(wanted) = first else { return Err(A::Error::custom("no list")) };
        while let Some(is_wanted) = access.next_key_seed(Key { wanted, is_last: rest.is_empty() })? {
            match is_wanted {
                true => return access.next_value_seed(Search(rest)),
                false => drop(access.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Err(A::Error::custom(HERE)) };
        let Step::Index(wanted) = first else { return Err(A::Error::custom("no object")) };
        for _ in 0..*wanted {
            if access.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        access.next_element_seed(Search(rest)).map(drop)
    }
}

/// Reads a key: whether it is the wanted one, which ends the reading if nothing follows it in the path.
struct Key<'a> {
    wanted: &'a str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        match (key == self.wanted, self.is_last) {
            (true, true) => Err(E::custom(HERE)),
            (is_wanted, _) => Ok(is_wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A comment
identity:
  name: acme
  label: {en_US: Acme,
    zh_Hans: 顶}
tools:
- a
- parameters:
    - name: x
      type: string

    -
      name: y
  1: one
flag:
  true
";

    #[test]
    fn a_path_has_the_line_of_its_key_or_item() {
        for (path, line) in [
            ("identity", Some(2)),
            ("identity.name", Some(3)),
            ("identity.label.zh_Hans", Some(5)),
            ("tools[0]", Some(7)),
            ("tools[1]", Some(8)),
            ("tools[1].parameters[0].type", Some(10)),
            ("tools[1].parameters[1]", Some(13)),
            ("tools[1].parameters[1].name", Some(13)),
            ("flag", Some(15)),
            // What is not there has the line of what holds it.
            ("identity.icon", Some(2)),
            ("identity.name.en_US", Some(3)),
            ("identity[3]", Some(2)),
            ("tools[1].parameters[1].type", Some(13)),
            ("tools[5].name", Some(6)),
            ("tools.name", Some(6)),
            ("none", None),
            ("", None),
        ] {
            assert_eq!(line_of(TEXT, path), line, "{path}");
        }
        assert_eq!(line_of("a: [", "b"), None);
        assert_eq!(line_of("- a\n- b\n", "[1]"), Some(2));
    }
}
