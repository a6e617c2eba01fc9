//! Arguments of a call that arrive in fragments, each with its path (Vertex AI, `streamFunctionCallArguments`).
//!
//! The plugin never requests them, but must not lose a call if a service sends them anyway. [`calls`](super::calls)
//! decides which call a fragment belongs to. Source: Vertex AI, "Function calling", streamed arguments.

use serde_json::{Map, Value};

use crate::dialect::gemini::wire::PartialArg;

/// Maximum depth of a path that fragments may build.
const MAX_PATH_DEPTH: usize = 64;

/// Maximum number of missing array elements before one that arrives.
const MAX_MISSING_ELEMENTS: usize = 16;

/// Inserts a fragment at its path; returns false if the path does not fit.
pub(super) fn place(arguments: &mut Map<String, Value>, fragment: PartialArg) -> bool {
    let Some(steps) = steps(&fragment.json_path) else { return false };
    let mut steps = steps.into_iter();
    let Some(Step::Name(first)) = steps.next() else { return false };
    let mut at = arguments.entry(first).or_insert(Value::Null);
    for step in steps {
        at = match step {
            Step::Name(name) => {
                if at.is_null() {
                    *at = Value::Object(Map::new());
                }
                let Value::Object(map) = at else { return false };
                map.entry(name).or_insert(Value::Null)
            }
            Step::Index(index) => {
                if at.is_null() {
                    *at = Value::Array(Vec::new());
                }
                let Value::Array(items) = at else { return false };
                if index > items.len() + MAX_MISSING_ELEMENTS {
                    return false;
                }
                if items.len() <= index {
                    items.resize(index + 1, Value::Null);
                }
                &mut items[index]
            }
        };
    }
    match (fragment.string_value, fragment.number_value, fragment.bool_value) {
        (Some(text), _, _) => match at {
            Value::String(known) => known.push_str(&text),
            other => *other = Value::String(text),
        },
        (None, Some(number), _) => *at = Value::Number(number),
        (None, None, Some(flag)) => *at = Value::Bool(flag),
        (None, None, None) => {}
    }
    true
}

#[derive(Debug, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
}

/// Parses `$.a.b[0]` and `$['a']`: a number in brackets is an array index, after a dot it is a name. `None` if it is
/// not a path.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.trim().trim_start_matches('$');
    while !rest.is_empty() {
        if steps.len() == MAX_PATH_DEPTH {
            return None;
        }
        let step;
        (step, rest) = match rest.strip_prefix('[') {
            Some(inside) => match inside.chars().next().filter(|quote| matches!(quote, '\'' | '"')) {
                Some(quote) => {
                    let (name, rest) = inside[1..].split_once(quote)?;
                    (Step::Name(name.to_owned()), rest.strip_prefix(']')?)
                }
                None => {
                    let (index, rest) = inside.split_once(']')?;
                    (Step::Index(index.trim().parse().ok()?), rest)
                }
            },
            None => {
                let names = rest.strip_prefix('.').unwrap_or(rest);
                let end = names.find(['.', '[']).unwrap_or(names.len());
                let (name, rest) = names.split_at(end);
                (Step::Name(name.to_owned()).filled()?, rest)
            }
        };
        steps.push(step);
    }
    Some(steps)
}

impl Step {
    fn filled(self) -> Option<Self> {
        (self != Self::Name(String::new())).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn placed(fragments: &[Value]) -> (Value, bool) {
        let mut arguments = Map::new();
        let mut all = true;
        for fragment in fragments {
            all &= place(&mut arguments, serde_json::from_value(fragment.clone()).unwrap());
        }
        (Value::Object(arguments), all)
    }

    #[test]
    fn fragments_are_inserted_at_their_paths() {
        let text = |path: &str, text: &str| json!({"jsonPath": path, "stringValue": text});
        for (fragments, expected) in [
            (vec![text("$.city", "Ber"), text("$.city", "lin")], json!({"city": "Berlin"})),
            (vec![text("city", "Rome")], json!({"city": "Rome"})),
            (vec![json!({"jsonPath": "$.days[1].n", "numberValue": 2})], json!({"days": [null, {"n": 2}]})),
            (vec![json!({"jsonPath": "$.years.2024", "numberValue": 3})], json!({"years": {"2024": 3}})),
            (vec![json!({"jsonPath": "$.2024", "boolValue": true})], json!({"2024": true})),
            (vec![text("$['a.b'][\"c\"]", "x")], json!({"a.b": {"c": "x"}})),
            (vec![text("$.m[0][1]", "x"), text("$.m[0][0]", "y")], json!({"m": [["y", "x"]]})),
            (vec![json!({"jsonPath": "$.nothing", "nullValue": "NULL_VALUE"})], json!({"nothing": null})),
        ] {
            assert_eq!(placed(&fragments), (expected, true));
        }
    }

    #[test]
    fn rejects_invalid_paths_and_builds_nothing_large() {
        let deep = "$".to_owned() + &".a".repeat(MAX_PATH_DEPTH + 1);
        for path in [
            "",
            "$",
            "$[0]",
            "$.a[99999999]",
            "$..",
            "$.a.",
            "[[[",
            "$.a[18446744073709551616]",
            "$.a[x]",
            "$['a",
            &deep,
        ] {
            let (built, all) = placed(&[json!({"jsonPath": path, "stringValue": "x"})]);
            assert!(!all && built.to_string().len() < 20, "{path}: {built}");
        }
        let (_, all) =
            placed(&[json!({"jsonPath": "$.a", "numberValue": 1}), json!({"jsonPath": "$.a.b", "numberValue": 1})]);
        assert!(!all, "a number has no members");
    }
}
