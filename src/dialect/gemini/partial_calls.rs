//! Function calls that arrive in fragments, put together by JSON path (Vertex, `streamFunctionCallArguments`).
//!
//! Source: Vertex AI, "Function calling", streamed arguments.

use serde_json::{Map, Value};

use super::wire::{FunctionCall, PartialArg};

/// Deepest path and longest array that fragments may build.
const MOST_STEPS: usize = 64;
const LONGEST_ARRAY: usize = 10_000;

/// The call that is being put together.
#[derive(Debug, Default)]
pub struct PartialCall {
    held: Option<(FunctionCall, Value)>,
}

impl PartialCall {
    /// Takes a call or a fragment of one; gives the call that is complete.
    pub fn take(&mut self, mut call: FunctionCall) -> Option<FunctionCall> {
        let more = call.will_continue.take() == Some(true);
        let fragments = call.partial_args.take();
        if self.held.is_none() && !more && fragments.is_none() {
            return Some(call);
        }
        let (held, args) = self.held.get_or_insert_with(|| (FunctionCall::default(), Value::Object(Map::new())));
        if !call.name.is_empty() {
            held.name = call.name;
        }
        held.id = call.id.or(held.id.take());
        if let (Some(more), Value::Object(map)) = (call.args, &mut *args) {
            map.extend(more);
        }
        for fragment in fragments.into_iter().flatten() {
            place(args, fragment);
        }
        if more { None } else { self.finish() }
    }

    /// The call as far as it came.
    pub fn finish(&mut self) -> Option<FunctionCall> {
        let (mut call, args) = self.held.take()?;
        call.args = args.as_object().cloned();
        Some(call)
    }
}

fn place(root: &mut Value, fragment: PartialArg) {
    let mut at = root;
    for step in steps(&fragment.json_path) {
        at = match step {
            Step::Name(name) => {
                if !at.is_object() {
                    *at = Value::Object(Map::new());
                }
                let Value::Object(map) = at else { return };
                map.entry(name).or_insert(Value::Null)
            }
            Step::Index(index) => {
                if !at.is_array() {
                    *at = Value::Array(Vec::new());
                }
                let Value::Array(items) = at else { return };
                if index >= LONGEST_ARRAY {
                    return;
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
}

enum Step {
    Name(String),
    Index(usize),
}

/// `$.a.b[0]` and `$['a']`.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for piece in path.trim_start_matches('$').split(['.', '[']).take(MOST_STEPS) {
        let piece = piece.trim_end_matches(']');
        if piece.is_empty() {
            continue;
        }
        steps.push(match piece.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Name(piece.trim_matches(['\'', '"']).to_owned()),
        });
    }
    steps
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fragments_make_one_call() {
        let mut calls = PartialCall::default();
        let mut given = None;
        for fragment in [
            json!({"name": "book", "id": "c1", "willContinue": true}),
            json!({"partialArgs": [{"jsonPath": "$.city", "stringValue": "Ber", "willContinue": true}], "willContinue": true}),
            json!({"partialArgs": [{"jsonPath": "$.city", "stringValue": "lin"}, {"jsonPath": "$.days[1].n", "numberValue": 2}], "willContinue": true}),
            json!({"partialArgs": [{"jsonPath": "$.now", "boolValue": true}]}),
        ] {
            assert!(given.is_none());
            given = calls.take(serde_json::from_value(fragment).unwrap());
        }
        let call = given.unwrap();
        assert_eq!((call.name.as_str(), call.id.as_deref()), ("book", Some("c1")));
        assert_eq!(json!(call.args), json!({"city": "Berlin", "days": [null, {"n": 2}], "now": true}));
    }

    #[test]
    fn a_whole_call_passes_and_wild_paths_do_no_harm() {
        let mut calls = PartialCall::default();
        let whole: FunctionCall = serde_json::from_value(json!({"name": "f", "args": {"a": 1}})).unwrap();
        assert_eq!(calls.take(whole.clone()), Some(whole));
        for path in ["", "$", "$[99999999]", "$..", "[[[", "$.a[18446744073709551616]"] {
            let call = json!({"name": "f", "partialArgs": [{"jsonPath": path, "stringValue": "x"}]});
            assert!(calls.take(serde_json::from_value(call).unwrap()).is_some(), "{path}");
        }
    }
}
