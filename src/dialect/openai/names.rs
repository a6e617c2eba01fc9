//! Names of functions: as the host says them, and as OpenAI takes them (`^[a-zA-Z0-9_-]{1,64}$`).
//!
//! A user cannot rename the tool of an MCP server or of a workflow, so a name that servers refuse goes out as a similar
//! one and is mapped back in the answer. Only the wire has the other names.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::error::InvokeError;
use crate::protocol::{Tool, ToolCall};

/// Longest name of a function.
const LONGEST: usize = 64;

/// The functions of a request: each once, with its name on the wire.
#[derive(Clone, Debug, Default)]
pub struct FunctionNames {
    out: HashMap<String, String>,
    /// Only names that are others on the wire.
    back: HashMap<String, String>,
}

impl FunctionNames {
    /// The names of these tools. A name that is legal stays, and no other tool gets it.
    pub fn of(tools: &[Tool]) -> Self {
        let mut taken: HashSet<String> =
            tools.iter().map(|tool| tool.name.as_str()).filter(|name| is_legal(name)).map(str::to_owned).collect();
        let mut names = Self::default();
        // Where the search for a number goes on: many equal beginnings do not make it begin anew.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for Tool { name, .. } in tools {
            if names.out.contains_key(name) {
                continue;
            }
            if is_legal(name) {
                names.out.insert(name.clone(), name.clone());
                continue;
            }
            let mut wire = legal(name);
            let number = numbers.entry(wire.clone()).or_insert(1);
            let begin = wire.clone();
            while !taken.insert(wire.clone()) {
                *number += 1;
                let end = format!("_{number}");
                wire = format!("{}{end}", &begin[..begin.len().min(LONGEST - end.len())]);
            }
            names.back.insert(wire.clone(), name.clone());
            names.out.insert(name.clone(), wire);
        }
        names
    }

    /// Whether a function is among the tools.
    pub fn has(&self, name: &str) -> bool {
        self.out.contains_key(name)
    }

    /// A function's name on the wire; one that is not among the tools is made legal too.
    pub fn out<'a>(&'a self, name: &'a str) -> Cow<'a, str> {
        match self.out.get(name) {
            Some(wire) => Cow::Borrowed(wire),
            None if is_legal(name) => Cow::Borrowed(name),
            None => Cow::Owned(legal(name)),
        }
    }

    /// Gives a call of the answer the host's name.
    pub fn put_back(&self, call: &mut ToolCall) {
        if let Some(name) = self.back.get(&call.function.name) {
            call.function.name.clone_from(name);
        }
    }

    /// The tools as the model knows them.
    pub fn on_the_wire(&self, tools: &[Tool]) -> Vec<Tool> {
        tools.iter().map(|tool| Tool { name: self.out(&tool.name).into_owned(), ..tool.clone() }).collect()
    }
}

/// The tools without repeats. Two different ones of one name are an error: nobody could tell which one a call means.
pub fn distinct(tools: &[Tool]) -> Result<Vec<&Tool>, InvokeError> {
    let mut known: HashMap<&str, &Tool> = HashMap::new();
    let mut distinct = Vec::new();
    for tool in tools {
        match known.insert(&tool.name, tool) {
            None => distinct.push(tool),
            Some(first) if first == tool => {}
            Some(_) => {
                return Err(InvokeError::bad_request(format!("two tools are named `{}`", tool.name))
                    .with_hint("Remove or rename one of them: a call of the model names its tool only."));
            }
        }
    }
    Ok(distinct)
}

fn is_part(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')
}

fn is_legal(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.chars().all(is_part)
}

/// The most similar name that servers take.
fn legal(name: &str) -> String {
    let legal: String = name.chars().take(LONGEST).map(|letter| if is_part(letter) { letter } else { '_' }).collect();
    if legal.is_empty() { "_".to_owned() } else { legal }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tool(name: &str) -> Tool {
        Tool { name: name.to_owned(), description: String::new(), parameters: serde_json::Map::new() }
    }

    #[test]
    fn similar_names_go_out_and_come_back() {
        let names = ["look", "a.b", "a_b", "a/b", "weather get", "天气", "天色", &"n".repeat(70), ""];
        let tools: Vec<Tool> = names.iter().map(|name| tool(name)).collect();
        let map = FunctionNames::of(&tools);
        let wire: Vec<String> = tools.iter().map(|tool| map.out(&tool.name).into_owned()).collect();
        assert_eq!(wire[..7], ["look", "a_b_2", "a_b", "a_b_3", "weather_get", "__", "___2"]);
        assert_eq!(wire[7], "n".repeat(64));
        assert_eq!(map.out("gone.tool"), "gone_tool");
    }

    proptest! {
        #[test]
        fn every_name_is_legal_own_and_comes_back(names in proptest::collection::hash_set(".{0,70}|[a.b_]{0,3}", 0..20)) {
            let tools: Vec<Tool> = names.iter().map(|name| tool(name)).collect();
            let map = FunctionNames::of(&tools);
            let mut seen = HashSet::new();
            for name in &names {
                let wire = map.out(name).into_owned();
                prop_assert!(is_legal(&wire), "{wire}");
                prop_assert!(seen.insert(wire.clone()), "{wire}");
                let mut call = ToolCall::function("1", wire, "{}");
                map.put_back(&mut call);
                prop_assert_eq!(&call.function.name, name);
            }
        }
    }
}
