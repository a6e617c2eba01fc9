//! Names of functions: as the host says them, and as an upstream takes them.
//!
//! A user cannot rename the tool of an MCP server or of a workflow, so a name that the upstream refuses (`21st_magic`,
//! `get weather`, `mcp/x`, letters beyond ASCII, more than 64) goes out as a similar one and is mapped back in the answer.
//! Everything inside this process says the host's names; only the wire has the others.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use dify_plugin::error::InvokeError;
use dify_plugin::protocol::Tool;

/// Longest name of a function, in every language.
const MAX_NAME_CHARACTERS: usize = 64;

/// Which names a language takes beside ASCII letters, digits and `_`.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameRule {
    /// Other characters of a name.
    pub punctuation: &'static str,
    /// Whether a name may begin with any of them, and with a digit.
    pub begins_with_any: bool,
}

impl NameRule {
    fn is_part(self, letter: char) -> bool {
        letter.is_ascii_alphanumeric() || letter == '_' || self.punctuation.contains(letter)
    }

    fn begins(self, name: &str) -> bool {
        name.starts_with(|letter: char| match self.begins_with_any {
            true => self.is_part(letter),
            false => letter.is_ascii_alphabetic() || letter == '_',
        })
    }

    /// Whether the language takes a name.
    fn is_legal(self, name: &str) -> bool {
        self.begins(name) && name.len() <= MAX_NAME_CHARACTERS && name.chars().all(|letter| self.is_part(letter))
    }

    /// The most similar name that the language takes.
    fn legal(self, name: &str) -> String {
        let part = |letter| if self.is_part(letter) { letter } else { '_' };
        let mut legal: String = name.chars().take(MAX_NAME_CHARACTERS).map(part).collect();
        if !self.begins(&legal) {
            legal.insert(0, '_');
            legal.truncate(MAX_NAME_CHARACTERS);
        }
        legal
    }
}

/// The names of a request's functions, both ways.
#[derive(Clone, Debug, Default)]
pub struct FunctionNames {
    rule: NameRule,
    out: HashMap<String, String>,
    back: HashMap<String, String>,
}

impl FunctionNames {
    /// The names of these tools. What the language takes stays as it is; what was made never takes such a name.
    pub fn of(tools: &[Tool], rule: NameRule) -> Self {
        let legal = tools.iter().map(|tool| &tool.name).filter(|name| rule.is_legal(name));
        let mut taken: HashSet<String> = legal.cloned().collect();
        let mut names = Self { rule, ..Self::default() };
        // Where the next number of a name is looked for: equal beginnings do not search again from the first.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for Tool { name, .. } in tools {
            if names.out.contains_key(name) {
                continue;
            }
            let wire = match rule.is_legal(name) {
                true => name.clone(),
                false => free(rule.legal(name), &mut taken, &mut numbers),
            };
            names.back.insert(wire.clone(), name.clone());
            names.out.insert(name.clone(), wire);
        }
        names
    }

    /// Whether a function of the host is among the tools.
    pub fn has(&self, name: &str) -> bool {
        self.out.contains_key(name)
    }

    /// How the upstream knows a function of the host; one that is not among the tools is made legal too.
    pub fn out<'a>(&'a self, name: &'a str) -> Cow<'a, str> {
        match self.out.get(name) {
            Some(wire) => Cow::Borrowed(wire),
            None if self.rule.is_legal(name) => Cow::Borrowed(name),
            None => Cow::Owned(self.rule.legal(name)),
        }
    }

    /// Whether the upstream knows a function of this name.
    pub fn is_declared(&self, wire: &str) -> bool {
        self.back.contains_key(wire)
    }

    /// How the host knows a function of the upstream; a name that is nobody's stays as it is.
    pub fn back<'a>(&'a self, wire: &'a str) -> &'a str {
        self.back.get(wire).map_or(wire, String::as_str)
    }

    /// The tools as the model knows them.
    pub fn on_the_wire(&self, tools: &[Tool]) -> Vec<Tool> {
        tools.iter().map(|tool| Tool { name: self.out(&tool.name).into_owned(), ..tool.clone() }).collect()
    }
}

/// The name itself, or the first with a number behind it that nobody has.
fn free(name: String, taken: &mut HashSet<String>, numbers: &mut HashMap<String, usize>) -> String {
    if taken.insert(name.clone()) {
        return name;
    }
    let number = numbers.entry(name.clone()).or_insert(1);
    loop {
        *number += 1;
        let ending = format!("_{number}");
        let mut next = name.clone();
        next.truncate(MAX_NAME_CHARACTERS - ending.len());
        next.push_str(&ending);
        if taken.insert(next.clone()) {
            return next;
        }
    }
}

/// The tools, each once. Two that only share their name are an error: nobody could tell which one a call means.
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
                    .with_hint("Rename one of them or take it off: neither the model nor Dify can tell them apart."));
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
        Tool { name: name.to_owned(), description: String::new(), parameters: serde_json::Map::new() }
    }

    fn names(of: &[&str], rule: NameRule) -> FunctionNames {
        FunctionNames::of(&of.iter().map(|name| tool(name)).collect::<Vec<_>>(), rule)
    }

    #[test]
    fn what_the_upstream_refuses_goes_out_as_something_similar() {
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
                let gone = names(&["other"], rule);
                assert_eq!(gone.out(name), expected);
                assert!(!gone.has(name) && !gone.is_declared(expected) && gone.back(expected) == expected);
            }
        }
    }

    #[test]
    fn good_names_keep_theirs() {
        let all = ["a b", "a/b", "a_b", "a_b_2"];
        let names = names(&all, ANY);
        assert_eq!(all.map(|name| names.out(name).into_owned()), ["a_b_3", "a_b_4", "a_b", "a_b_2"]);
    }

    #[test]
    fn a_name_stands_for_one_tool() {
        let (first, mut other) = (tool("search"), tool("search"));
        assert_eq!(distinct(&[first.clone(), first.clone(), tool("look")]).unwrap().len(), 2);
        other.description = "another".to_owned();
        assert!(distinct(&[first, other]).unwrap_err().message.contains("`search`"));
    }

    proptest! {
        #[test]
        fn every_name_is_legal_own_and_comes_back(
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
