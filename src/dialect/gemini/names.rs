//! Names of functions: as the host says them, and as the service takes them.
//!
//! A user cannot rename the tool of an MCP server, so a name that the service refuses (`21st_magic`, `get weather`, `mcp/x`,
//! letters beyond ASCII, more than 64) goes out as a similar one and is mapped back in the answer. Everything inside this
//! process says the host's names; only the wire has the others.
//! Source: Gemini API, `FunctionDeclaration`.

use std::collections::{HashMap, HashSet};

use crate::protocol::Tool;

/// Longest name of a function.
const LONGEST: usize = 64;

/// The names of a request's functions, both ways.
#[derive(Clone, Debug, Default)]
pub struct FunctionNames {
    out: HashMap<String, String>,
    back: HashMap<String, String>,
}

impl FunctionNames {
    /// The names of these tools. What the service takes stays as it is; what was made never takes such a name.
    pub fn of(tools: &[Tool]) -> Self {
        let mut taken: HashSet<String> =
            tools.iter().map(|tool| &tool.name).filter(|name| is_legal(name)).cloned().collect();
        let mut names = Self::default();
        // Where the next number of a name is looked for: equal beginnings do not search again from the first.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for tool in tools {
            if names.out.contains_key(&tool.name) {
                continue;
            }
            let name = match is_legal(&tool.name) {
                true => tool.name.clone(),
                false => free(legal(&tool.name), &mut taken, &mut numbers),
            };
            names.back.insert(name.clone(), tool.name.clone());
            names.out.insert(tool.name.clone(), name);
        }
        names
    }

    /// How the service knows a function of the host; `None` for one that is not among the tools.
    pub fn out(&self, name: &str) -> Option<&str> {
        self.out.get(name).map(String::as_str)
    }

    /// How the host knows a function of the service; a name that is nobody's stays as it is.
    pub fn back<'a>(&'a self, name: &'a str) -> &'a str {
        self.back.get(name).map_or(name, String::as_str)
    }

    /// Whether the service knows a function of this name.
    pub fn is_declared(&self, name: &str) -> bool {
        self.back.contains_key(name)
    }
}

fn is_part(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_.:-".contains(letter)
}

fn starts(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
}

/// Whether the service takes a name.
fn is_legal(name: &str) -> bool {
    starts(name) && name.len() <= LONGEST && name.chars().all(is_part)
}

/// The most similar name that the service takes.
fn legal(name: &str) -> String {
    let mut legal: String =
        name.chars().take(LONGEST).map(|letter| if is_part(letter) { letter } else { '_' }).collect();
    if !starts(&legal) {
        legal.insert(0, '_');
        legal.truncate(LONGEST);
    }
    legal
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
        next.truncate(LONGEST - ending.len());
        next.push_str(&ending);
        if taken.insert(next.clone()) {
            return next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> FunctionNames {
        let tools: Vec<Tool> = of
            .iter()
            .map(|name| Tool { name: (*name).to_owned(), description: String::new(), parameters: Default::default() })
            .collect();
        FunctionNames::of(&tools)
    }

    #[test]
    fn what_the_service_refuses_goes_out_as_something_similar() {
        let long = "n".repeat(65);
        for (name, expected) in [
            ("look", "look"),
            ("a.b:c-d_9", "a.b:c-d_9"),
            ("21st_magic", "_21st_magic"),
            ("get weather", "get_weather"),
            ("mcp/x", "mcp_x"),
            ("-x", "_-x"),
            ("größe", "gr__e"),
            ("查询", "__"),
            ("", "_"),
            (&long, &long[..64]),
        ] {
            let names = names(&[name]);
            assert_eq!(names.out(name), Some(expected));
            assert_eq!(names.back(expected), name);
            assert!(is_legal(expected) && names.is_declared(expected), "{expected}");
        }
        assert_eq!(names(&["look"]).out("gone"), None);
        assert_eq!(names(&["look"]).back("gone"), "gone");
    }

    #[test]
    fn names_stay_apart_and_come_back() {
        let long = ["x".repeat(70), "x".repeat(71), "x".repeat(64)];
        let all = ["a b", "a/b", "a_b", "a_b_2", "查询", "天气", "__", &long[0], &long[1], &long[2]];
        let names = names(&all);
        let out: HashSet<&str> = all.iter().map(|name| names.out(name).unwrap()).collect();
        assert_eq!(out.len(), all.len(), "{out:?}");
        for name in all {
            let sent = names.out(name).unwrap();
            assert!(is_legal(sent), "{sent}");
            assert_eq!(names.back(sent), name);
        }
        assert_eq!((names.out("a_b"), names.out("a b")), (Some("a_b"), Some("a_b_3")), "good names keep theirs");
    }
}
