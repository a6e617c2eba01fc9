//! Tool calls put together from fragments: by id, else by index, else the last one.
//!
//! | what comes | what it is |
//! |---|---|
//! | a known id | its call, whatever the index says |
//! | a known index | its latest call; another id with a name begins a new one, unless it goes on with arguments |
//! | neither, with a name | a new call |
//! | neither, without a name | the last call goes on, as long as its arguments are not whole |
//! | a name, and arguments that begin again behind whole ones | a new call |
//!
//! Each fragment costs its own length: whether arguments are whole is followed as they come.

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

/// Most calls of one answer: far more than an agent acts on.
pub const MAX_TOOL_CALLS: usize = 1024;

/// Calls in the order in which they began.
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
    /// Members that come back with the call.
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

/// Where a fragment belongs.
enum Target {
    Known(usize),
    New,
    /// It repeats what is known.
    Nowhere,
}

/// Whole calls.
#[derive(Debug, Default)]
pub struct Calls {
    /// The calls.
    pub calls: Vec<ToolCall>,
    /// Members that must come back with them, by their IDs.
    pub kept: Map<String, Value>,
}

impl CallMerger {
    /// Whether there is no call.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Bytes that are kept.
    pub fn held(&self) -> usize {
        self.bytes + self.kept
    }

    /// Takes one fragment of the `tool_calls` form.
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
                        "the model makes more than {MAX_TOOL_CALLS} calls"
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
        // Some servers send the name with every fragment, some in pieces.
        if call.name != name {
            call.name.push_str(name);
        }
        call.append(arguments);
        call.kept.take(&fragment.kept, &mut self.kept);
        Ok(())
    }

    /// Takes a fragment of the older `function_call` form: there is one call only.
    pub fn push_function(&mut self, function: FunctionFragment<'_>) -> Result<(), InvokeError> {
        self.push(&CallFragment { index: Some(0), function, ..CallFragment::default() })
    }

    fn target(&mut self, index: Option<i64>, id: &str, name: &str, arguments: &str) -> Target {
        let by_id = self.by_id.get(id).copied().filter(|_| !id.is_empty());
        let by_index = index.and_then(|index| self.by_index.get(&index).copied());
        let (named, blank) = (!name.is_empty(), arguments.trim().is_empty());
        let Some(at) = by_id.or(by_index).or_else(|| self.going_on(index, id, named)) else {
            // A placeholder begins nothing.
            return if id.is_empty() && !named && blank { Target::Nowhere } else { Target::New };
        };
        let call = &mut self.calls[at];
        let other_id = by_id.is_none() && !id.is_empty() && !call.id.is_empty() && call.id != id;
        // Some servers give every fragment an id of its own; arguments that were begun go on.
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
        // Without index and id only the name tells that a new call begins.
        let name_again = named && index.is_none() && id.is_empty();
        if other_name || name_again {
            return Target::New;
        }
        if blank {
            return Target::Known(at);
        }
        steps::count(arguments.len());
        if call.arguments == arguments {
            // Some servers repeat the whole arguments at the end.
            return Target::Nowhere;
        }
        if !named && matches!(call.arguments.trim(), "{}") {
            // Some gateways begin with an empty object.
            (call.arguments, call.scan) = (String::new(), JsonScan::default());
            return Target::Known(at);
        }
        match arguments.trim_start().starts_with('{') {
            true => Target::New,
            false => {
                debug!("text behind the whole arguments of a call is passed over");
                Target::Nowhere
            }
        }
    }

    /// The last call, when a fragment that names none goes on with it.
    fn going_on(&self, index: Option<i64>, id: &str, named: bool) -> Option<usize> {
        let last = self.calls.len().checked_sub(1)?;
        let (unknown_index, unknown_id) = (index.is_some(), !id.is_empty());
        let goes_on = match (unknown_index, unknown_id, named) {
            // An id or an index that nobody knows yet, and a name: a call of its own.
            (true, _, true) | (_, true, true) | (true, true, false) => false,
            (true, false, false) | (false, true, false) => !self.calls[last].is_whole(),
            (false, false, _) => true,
        };
        goes_on.then_some(last)
    }

    /// The whole calls. `cut`: the answer ended at its length limit, so that the last call may be cut off; it is left out
    /// when there are others. A call without a name or with half of its arguments is one that nobody can act on.
    pub fn finish(&mut self, cut: bool) -> Result<Calls, InvokeError> {
        let merged = std::mem::take(self);
        let mut whole = Calls::default();
        let (mut ids, mut half) = (HashSet::new(), None);
        for call in merged.calls {
            if call.name.trim().is_empty() {
                if call.arguments.trim().is_empty() {
                    continue;
                }
                return Err(InvokeError::server_unavailable("the model called a tool without naming it"));
            }
            let arguments = match arguments::read(call.arguments) {
                Arguments::Whole(arguments) => arguments,
                Arguments::Cut => {
                    half = Some(call.name);
                    continue;
                }
            };
            // Dify knows calls by their ids: no two may have the same.
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
                "the model's call of `{name}` was cut off within its arguments"
            ))),
            Some(name) if whole.calls.is_empty() => Err(InvokeError::bad_request(format!(
                "the output limit cut off the model's call of `{name}` within its arguments"
            ))
            .with_hint("Raise `max_tokens`, or let the model write less into the call.")),
            _ => Ok(whole),
        }
    }
}

/// An id for a call that the upstream gave none.
pub fn new_id() -> String {
    format!("call_{}", uuid::Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests;
