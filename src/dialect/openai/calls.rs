//! Tool calls put together from fragments: by index, else by id, else the last one.

use super::wire::{CallFragment, FunctionFragment};
use crate::error::InvokeError;
use crate::protocol::ToolCall;

/// Calls in the order in which they began.
#[derive(Debug, Default)]
pub struct CallMerger {
    calls: Vec<Call>,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<i64>,
    id: String,
    name: String,
    arguments: String,
}

impl CallMerger {
    /// Whether there is no call.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes one fragment of the `tool_calls` form.
    pub fn push(&mut self, fragment: &CallFragment<'_>) {
        let id = fragment.id.as_str();
        let empty = FunctionFragment::default();
        let function = fragment.function.as_ref().unwrap_or(&empty);
        let name = function.name.as_str();
        let arguments = function.arguments();
        let at = match self.place_of(fragment.index, id, name) {
            Some(at) => at,
            None if id.is_empty() && name.is_empty() && arguments.is_empty() => return,
            None => {
                self.calls.push(Call { index: fragment.index, ..Call::default() });
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.id.is_empty() {
            call.id.push_str(id);
        }
        // Some servers send the name with every fragment, some in pieces.
        if call.name != name && !name.is_empty() {
            call.name.push_str(name);
        }
        // Some servers repeat the whole arguments at the end.
        let repeated = arguments.len() > 1 && call.arguments == *arguments && is_json(&arguments);
        if !repeated {
            call.arguments.push_str(&arguments);
        }
    }

    /// Takes a fragment of the older `function_call` form: there is one call only.
    pub fn push_function(&mut self, function: FunctionFragment<'_>) {
        self.push(&CallFragment { index: Some(0), function: Some(function), ..CallFragment::default() });
    }

    /// The call that a fragment belongs to, or `None` when it begins a new one.
    fn place_of(&self, index: Option<i64>, id: &str, name: &str) -> Option<usize> {
        let at = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index)?,
            None if !id.is_empty() => self.calls.iter().rposition(|call| call.id == id)?,
            None => self.calls.len().checked_sub(1)?,
        };
        let call = &self.calls[at];
        let other_id = !id.is_empty() && !call.id.is_empty() && call.id != id;
        let other_name = !name.is_empty() && !call.name.is_empty() && call.name != name;
        // Without index and id only the name tells that a new call begins.
        let name_again = index.is_none() && id.is_empty() && !name.is_empty();
        let is_new = if other_id { !name.is_empty() } else { (other_name || name_again) && is_json(&call.arguments) };
        (!is_new).then_some(at)
    }

    /// The whole calls. A call without a name is an answer that nobody can act on.
    pub fn finish(&mut self) -> Result<Vec<ToolCall>, InvokeError> {
        std::mem::take(&mut self.calls)
            .into_iter()
            .map(|call| {
                if call.name.is_empty() {
                    return Err(InvokeError::server_unavailable("the model called a tool without naming it"));
                }
                let id = if call.id.is_empty() { new_id() } else { call.id };
                let arguments = if call.arguments.trim().is_empty() { "{}".to_owned() } else { call.arguments };
                Ok(ToolCall::function(id, call.name, arguments))
            })
            .collect()
    }
}

/// An id for a call that the upstream gave none.
pub fn new_id() -> String {
    format!("call_{}", uuid::Uuid::new_v4().simple())
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Merges fragments given as JSON and shows the calls as `id name arguments`.
    fn merged(fragments: &[&str]) -> Vec<String> {
        let mut merger = CallMerger::default();
        for fragment in fragments {
            merger.push(&serde_json::from_str(fragment).unwrap());
        }
        let calls = merger.finish().unwrap();
        calls.iter().map(|call| format!("{} {} {}", call.id, call.function.name, call.function.arguments)).collect()
    }

    #[test]
    fn fragments_find_their_call() {
        let cases: &[(&[&str], &[&str])] = &[
            (
                &[
                    r#"{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}"#,
                    r#"{"index":0,"function":{"arguments":"{\"x\":"}}"#,
                    r#"{"index":0,"function":{"arguments":"1}"}}"#,
                ],
                &[r#"a f {"x":1}"#],
            ),
            // interleaved parallel calls
            (
                &[
                    r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#,
                    r#"{"index":1,"id":"b","function":{"name":"g","arguments":"{"}}"#,
                    r#"{"index":0,"function":{"arguments":"}"}}"#,
                    r#"{"index":1,"function":{"arguments":"}"}}"#,
                ],
                &["a f {}", "b g {}"],
            ),
            // no index: by id, and without id the last
            (
                &[
                    r#"{"id":"a","function":{"name":"f","arguments":"{"}}"#,
                    r#"{"id":"b","function":{"name":"f","arguments":"{"}}"#,
                    r#"{"function":{"arguments":"}"}}"#,
                    r#"{"id":"a","function":{"arguments":"}"}}"#,
                ],
                &["a f {}", "b f {}"],
            ),
            // every call has index 0 (Gemini's compatible endpoint)
            (
                &[
                    r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}"#,
                    r#"{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}"#,
                ],
                &["a f {}", "b f {}"],
            ),
            // the id is repeated with a new name
            (
                &[
                    r#"{"id":"a","function":{"name":"f","arguments":"{}"}}"#,
                    r#"{"id":"a","function":{"name":"g","arguments":"{}"}}"#,
                ],
                &["a f {}", "a g {}"],
            ),
            // the name is repeated, or comes in pieces
            (
                &[
                    r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}"#,
                    r#"{"index":0,"id":"a","function":{"name":"f","arguments":"}"}}"#,
                ],
                &["a f {}"],
            ),
            (
                &[r#"{"index":0,"id":"a","function":{"name":"get_"}}"#, r#"{"index":0,"function":{"name":"weather"}}"#],
                &["a get_weather {}"],
            ),
            // arguments as an object, null, repeated whole
            (&[r#"{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}}"#], &[r#"a f {"x":1}"#]),
            (&[r#"{"index":0,"id":"a","function":{"name":"f","arguments":null}}"#], &["a f {}"]),
            (
                &[
                    r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}"#,
                    r#"{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}"#,
                ],
                &[r#"a f {"x":1}"#],
            ),
            // an empty placeholder
            (&[r#"{"index":0,"function":{"arguments":""}}"#], &[]),
        ];
        for (fragments, expected) in cases {
            assert_eq!(merged(fragments), *expected, "{fragments:?}");
        }
    }

    #[test]
    fn ids_are_made_once() {
        let mut merger = CallMerger::default();
        for fragment in [r#"{"function":{"name":"f","arguments":"{"}}"#, r#"{"function":{"arguments":"}"}}"#] {
            merger.push(&serde_json::from_str(fragment).unwrap());
        }
        let calls = merger.finish().unwrap();
        assert_eq!(calls.len(), 1);
        assert!(calls[0].id.starts_with("call_") && calls[0].id.len() > 20);
    }

    #[test]
    fn a_call_without_a_name_is_an_error() {
        let mut merger = CallMerger::default();
        merger.push(&serde_json::from_str(r#"{"index":0,"id":"a","function":{"arguments":"{}"}}"#).unwrap());
        assert!(merger.finish().is_err());
    }
}
