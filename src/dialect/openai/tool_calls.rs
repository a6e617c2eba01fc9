//! Merges fragments of tool calls: by ID, else by index, else into the last call.
//!
//! | fragment | meaning |
//! |---|---|
//! | a known ID | continues that call, whatever the index is |
//! | a known index | continues its latest call; another ID with a name starts a new call, unless it continues arguments |
//! | neither, with a name | a new call |
//! | neither, without a name | continues the last call, as long as its arguments are incomplete |
//! | a name, and arguments that start again after complete ones | a new call |
//!
//! Each fragment takes time linear in its own length: whether arguments are complete is tracked as they arrive.

mod arguments;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};
use tracing::debug;

use self::arguments::Arguments;
use super::kept::Kept;
use super::wire::{CallFragment, FunctionFragment};
use dify_plugin::codec::json_scan::{Extent, JsonScan};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::ToolCall;
use dify_plugin::steps;

pub use self::arguments::whole as whole_arguments;

/// Maximum number of calls in a response; far more than an agent executes.
pub const MAX_TOOL_CALLS: usize = 1024;

/// Merges the fragments into calls, in the order of their first fragments.
#[derive(Debug, Default)]
pub struct CallMerger {
    calls: Vec<Call>,
    by_id: HashMap<String, usize>,
    by_index: HashMap<i64, usize>,
    bytes: usize,
    kept: usize,
}

#[derive(Debug, Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
    scan: JsonScan,
    /// Members that the server expects back with the call.
    kept: Kept,
}

impl Call {
    fn is_whole(&self) -> bool {
        self.scan.extent() == Extent::Whole
    }

    fn append(&mut self, arguments: &str) {
        steps::count(arguments.len());
        self.arguments.push_str(arguments);
        self.scan.extend(arguments.as_bytes());
    }
}

/// Target of a fragment.
enum Target {
    Known(usize),
    New,
    /// It repeats known data.
    Nowhere,
}

/// Completed calls.
#[derive(Debug, Default)]
pub struct Calls {
    /// The calls.
    pub calls: Vec<ToolCall>,
    /// Members that the server expects back with them, by call ID.
    pub kept: Map<String, Value>,
}

impl CallMerger {
    /// Whether there are no calls.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Returns the number of buffered bytes.
    pub fn held(&self) -> usize {
        self.bytes + self.kept
    }

    /// Adds a fragment in the `tool_calls` format.
    pub fn push(&mut self, fragment: &CallFragment<'_>) -> Result<(), InvokeError> {
        let id = fragment.id.as_str();
        let FunctionFragment { name, arguments } = &fragment.function;
        let name = name.as_str();
        let at = match self.target(fragment.index, id, name, arguments) {
            Target::Known(at) => at,
            Target::Nowhere => return Ok(()),
            Target::New => {
                if self.calls.len() == MAX_TOOL_CALLS {
                    return Err(InvokeError::server_unavailable(format!(
                        "the model returned more than {MAX_TOOL_CALLS} tool calls"
                    )));
                }
                self.calls.push(Call::default());
                self.calls.len() - 1
            }
        };
        self.bytes += id.len() + name.len() + arguments.len();
        self.by_index.extend(fragment.index.map(|index| (index, at)));
        let call = &mut self.calls[at];
        if !id.is_empty() && call.id.is_empty() {
            call.id.push_str(id);
        }
        if !id.is_empty() {
            self.by_id.insert(id.to_owned(), at);
        }
        // Some servers send the name with every fragment, others in parts.
        if call.name != name {
            call.name.push_str(name);
        }
        call.append(arguments);
        call.kept.take(&fragment.kept, &mut self.kept);
        Ok(())
    }

    /// Adds a fragment in the older `function_call` format, which has a single call.
    pub fn push_function(&mut self, function: FunctionFragment<'_>) -> Result<(), InvokeError> {
        self.push(&CallFragment { index: Some(0), function, ..CallFragment::default() })
    }

    fn target(&mut self, index: Option<i64>, id: &str, name: &str, arguments: &str) -> Target {
        let by_id = self.by_id.get(id).copied().filter(|_| !id.is_empty());
        let by_index = index.and_then(|index| self.by_index.get(&index).copied());
        let (named, blank) = (!name.is_empty(), arguments.trim().is_empty());
        let Some(at) = by_id.or(by_index).or_else(|| self.going_on(index, id, named)) else {
            // A placeholder starts no call.
            return if id.is_empty() && !named && blank { Target::Nowhere } else { Target::New };
        };
        let call = &mut self.calls[at];
        let other_id = by_id.is_none() && !id.is_empty() && !call.id.is_empty() && call.id != id;
        // Some servers use a new ID for every fragment; incomplete arguments are continued.
        let goes_on = call.name == name
            && call.scan.extent() == Extent::Open
            && !blank
            && !arguments.trim_start().starts_with('{');
        if other_id && named && !goes_on {
            return Target::New;
        }
        if !call.is_whole() {
            return Target::Known(at);
        }
        let other_name = named && !call.name.is_empty() && call.name != name;
        // Without index and ID, only the name shows that a new call starts.
        let name_again = named && index.is_none() && id.is_empty();
        if other_name || name_again {
            return Target::New;
        }
        if blank {
            return Target::Known(at);
        }
        steps::count(arguments.len());
        if call.arguments == arguments {
            // Some servers repeat the complete arguments at the end.
            return Target::Nowhere;
        }
        if !named && matches!(call.arguments.trim(), "{}") {
            // Some gateways start with an empty object.
            (call.arguments, call.scan) = (String::new(), JsonScan::default());
            return Target::Known(at);
        }
        match arguments.trim_start().starts_with('{') {
            true => Target::New,
            false => {
                debug!("text after the complete arguments of a tool call; ignoring it");
                Target::Nowhere
            }
        }
    }

    /// Returns the last call if a fragment without a name continues it.
    fn going_on(&self, index: Option<i64>, id: &str, named: bool) -> Option<usize> {
        let last = self.calls.len().checked_sub(1)?;
        let (unknown_index, unknown_id) = (index.is_some(), !id.is_empty());
        let goes_on = match (unknown_index, unknown_id, named) {
            // An unknown ID or index and a name start a new call.
            (true, _, true) | (_, true, true) | (true, true, false) => false,
            (true, false, false) | (false, true, false) => !self.calls[last].is_whole(),
            (false, false, _) => true,
        };
        goes_on.then_some(last)
    }

    /// Returns the completed tool calls. `cut` is whether the response ended at its length limit, so that the last call
    /// may be
    /// truncated; it is dropped if there are others. A call without a name or with incomplete arguments is an error.
    pub fn finish(&mut self, cut: bool) -> Result<Calls, InvokeError> {
        let merged = std::mem::take(self);
        let mut whole = Calls::default();
        let (mut ids, mut half) = (HashSet::new(), None);
        for call in merged.calls {
            if call.name.trim().is_empty() {
                if call.arguments.trim().is_empty() {
                    continue;
                }
                return Err(InvokeError::server_unavailable("the model returned a tool call without a name"));
            }
            let arguments = match arguments::read(call.arguments) {
                Arguments::Whole(arguments) => arguments,
                Arguments::Cut => {
                    half = Some(call.name);
                    continue;
                }
            };
            // Dify identifies calls by their IDs, so they must be unique.
            let id = if call.id.is_empty() || ids.contains(&call.id) { new_id() } else { call.id };
            ids.insert(id.clone());
            let members = call.kept.into_members();
            if !members.is_empty() {
                whole.kept.insert(id.clone(), Value::Object(members));
            }
            whole.calls.push(ToolCall::function(id, call.name.trim(), arguments));
        }
        match half {
            Some(name) if !cut => Err(InvokeError::server_unavailable(format!(
                "the model's call of `{name}` was truncated within its arguments"
            ))),
            Some(name) if whole.calls.is_empty() => Err(InvokeError::bad_request(format!(
                "the output limit truncated the model's call of `{name}` within its arguments"
            ))
            .with_hint("Raise `max_tokens`, or have the model pass shorter arguments.")),
            _ => Ok(whole),
        }
    }
}

/// Generates an ID for a call that has none.
pub fn new_id() -> String {
    format!("call_{}", uuid::Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests;
