//! Maps tool names between Dify and an upstream.
//!
//! A user cannot rename the tool of an MCP server or of a workflow. So a name that the upstream rejects (`21st_magic`,
//! `get weather`, `mcp/x`, non-ASCII characters, more than 64 characters) is sent as a similar one and mapped back in
//! the
//! response. Only the wire uses the upstream's names; everything inside this process uses Dify's.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use dify_plugin::error::InvokeError;
use dify_plugin::protocol::Tool;

/// Maximum length of a function name in characters, in every dialect.
const MAX_NAME_CHARACTERS: usize = 64;

/// Characters that a dialect allows in names in addition to ASCII letters, digits and `_`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameRule {
    /// Other allowed characters.
    pub punctuation: &'static str,
    /// Whether a name may begin with any of them, or with a digit.
    pub begins_with_any: bool,
}

impl NameRule {
    fn is_part(self, character: char) -> bool {
        character.is_ascii_alphanumeric() || character == '_' || self.punctuation.contains(character)
    }

    fn begins(self, name: &str) -> bool {
        name.starts_with(|character: char| match self.begins_with_any {
            true => self.is_part(character),
            false => character.is_ascii_alphabetic() || character == '_',
        })
    }

    /// Whether the dialect allows the name.
    fn is_legal(self, name: &str) -> bool {
        self.begins(name) && name.len() <= MAX_NAME_CHARACTERS && name.chars().all(|character| self.is_part(character))
    }

    /// Returns the most similar name that the dialect allows.
    fn legal(self, name: &str) -> String {
        let part = |character| if self.is_part(character) { character } else { '_' };
        let mut legal: String = name.chars().take(MAX_NAME_CHARACTERS).map(part).collect();
        if !self.begins(&legal) {
            legal.insert(0, '_');
            legal.truncate(MAX_NAME_CHARACTERS);
        }
        legal
    }
}

/// Function names of a request, mapped in both directions.
#[derive(Clone, Debug, Default)]
pub struct FunctionNames {
    rule: NameRule,
    out: HashMap<String, String>,
    back: HashMap<String, String>,
}

impl FunctionNames {
    /// Assigns wire names to the tools. Legal names stay as they are, and a generated name never collides with one.
    pub fn of(tools: &[Tool], rule: NameRule) -> Self {
        let legal = tools.iter().map(|tool| &tool.name).filter(|name| rule.is_legal(name));
        let mut taken: HashSet<String> = legal.cloned().collect();
        let mut names = Self { rule, ..Self::default() };
        // Next number to try for each name, so that equal prefixes do not search again from 1.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for Tool { name, .. } in tools {
            if names.out.contains_key(name) {
                continue;
            }
            let wire = match rule.is_legal(name) {
                true => name.clone(),
                false => unique(rule.legal(name), &mut taken, &mut numbers),
            };
            names.back.insert(wire.clone(), name.clone());
            names.out.insert(name.clone(), wire);
        }
        names
    }

    /// Whether a function of this Dify name is among the tools.
    pub fn has(&self, name: &str) -> bool {
        self.out.contains_key(name)
    }

    /// Returns the wire name of a function. A name that is not among the tools is made legal, too.
    pub fn out<'a>(&'a self, name: &'a str) -> Cow<'a, str> {
        match self.out.get(name) {
            Some(wire) => Cow::Borrowed(wire),
            None if self.rule.is_legal(name) => Cow::Borrowed(name),
            None => Cow::Owned(self.rule.legal(name)),
        }
    }

    /// Whether a function of this wire name was declared.
    pub fn is_declared(&self, wire: &str) -> bool {
        self.back.contains_key(wire)
    }

    /// Returns the Dify name of a wire name; an unknown name stays as it is.
    pub fn back<'a>(&'a self, wire: &'a str) -> &'a str {
        self.back.get(wire).map_or(wire, String::as_str)
    }

    /// Returns the tools with their wire names.
    pub fn on_the_wire(&self, tools: &[Tool]) -> Vec<Tool> {
        let to_wire = |tool: &Tool| Tool::new(self.out(&tool.name), &tool.description, tool.parameters.clone());
        tools.iter().map(to_wire).collect()
    }
}

/// Returns the name itself, or with the first number that makes it unique.
fn unique(name: String, taken: &mut HashSet<String>, numbers: &mut HashMap<String, usize>) -> String {
    if taken.insert(name.clone()) {
        return name;
    }
    let number = numbers.entry(name.clone()).or_insert(1);
    loop {
        *number += 1;
        let suffix = format!("_{number}");
        let mut next = name.clone();
        next.truncate(MAX_NAME_CHARACTERS - suffix.len());
        next.push_str(&suffix);
        if taken.insert(next.clone()) {
            return next;
        }
    }
}

/// Returns the tools without duplicates. Different tools of the same name are an error, because a call would be
/// ambiguous.
pub fn distinct(tools: &[Tool]) -> Result<Vec<&Tool>, InvokeError> {
    let mut known: HashMap<&str, &Tool> = HashMap::new();
    let mut distinct = Vec::with_capacity(tools.len());
    for tool in tools {
        match known.entry(&tool.name) {
            Entry::Vacant(place) => {
                place.insert(tool);
                distinct.push(tool);
            }
            Entry::Occupied(place) if *place.get() == tool => {}
            Entry::Occupied(_) => {
                return Err(InvokeError::bad_request(format!("two tools are named `{}`", tool.name))
                    .with_hint("Rename or remove one of them: neither the model nor Dify can distinguish them."));
            }
        }
    }
    Ok(distinct)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STRICT: NameRule = NameRule { punctuation: "", begins_with_any: false };
    const DOTTED: NameRule = NameRule { punctuation: ".:-", begins_with_any: false };
    const ANY: NameRule = NameRule { punctuation: "-", begins_with_any: true };

    fn tool(name: &str) -> Tool {
        Tool::new(name, "", serde_json::Map::new())
    }

    fn names(of: &[&str], rule: NameRule) -> FunctionNames {
        FunctionNames::of(&of.iter().map(|name| tool(name)).collect::<Vec<_>>(), rule)
    }

    #[test]
    fn maps_rejected_names_to_similar_ones() {
        let long = "n".repeat(65);
        for (name, dotted, any) in [
            ("look", "look", "look"),
            ("a.b:c-d_9", "a.b:c-d_9", "a_b_c-d_9"),
            ("21st_magic", "_21st_magic", "21st_magic"),
            ("get weather", "get_weather", "get_weather"),
            ("mcp/x", "mcp_x", "mcp_x"),
            ("-x", "_-x", "-x"),
            ("größe", "gr__e", "gr__e"),
            ("查询", "__", "__"),
            ("", "_", "_"),
            (&long, &long[..64], &long[..64]),
        ] {
            for (rule, expected) in [(DOTTED, dotted), (ANY, any)] {
                let known = names(&[name], rule);
                assert_eq!((known.out(name).as_ref(), known.back(expected)), (expected, name));
                assert!(known.has(name) && known.is_declared(expected), "{expected}");
                let unavailable = names(&["other"], rule);
                assert_eq!(unavailable.out(name), expected);
                assert!(
                    !unavailable.has(name)
                        && !unavailable.is_declared(expected)
                        && unavailable.back(expected) == expected
                );
            }
        }
    }

    #[test]
    fn keeps_legal_names() {
        let all = ["a b", "a/b", "a_b", "a_b_2"];
        let names = names(&all, ANY);
        assert_eq!(all.map(|name| names.out(name).into_owned()), ["a_b_3", "a_b_4", "a_b", "a_b_2"]);
    }

    #[test]
    fn rejects_different_tools_of_the_same_name() {
        let (first, mut other) = (tool("search"), tool("search"));
        assert_eq!(distinct(&[first.clone(), first.clone(), tool("look")]).unwrap().len(), 2);
        other.description = "another".to_owned();
        assert!(distinct(&[first, other]).unwrap_err().message.contains("`search`"));
    }

    proptest! {
        #[test]
        fn names_are_legal_unique_and_reversible(
            all in proptest::collection::hash_set(".{0,70}|[a.b_]{0,3}|x{63,66}", 0..20),
            rule in prop::sample::select(vec![STRICT, DOTTED, ANY]),
        ) {
            let names = FunctionNames::of(&all.iter().map(|name| tool(name)).collect::<Vec<_>>(), rule);
            let mut seen = HashSet::new();
            for name in &all {
                let wire = names.out(name).into_owned();
                prop_assert!(rule.is_legal(&wire), "{wire}");
                prop_assert_eq!(names.back(&wire), name);
                prop_assert!(seen.insert(wire.clone()), "{wire}");
            }
        }
    }
}
