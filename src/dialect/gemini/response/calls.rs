//! Collects the function calls of a response: complete calls, and calls whose arguments arrive later.
//!
//! Calls are emitted only at the end of the response, because until then more parts of them may arrive. A part without
//! a name belongs to the call with its ID, or else to the last call. Names and IDs are normalized here: Gemini's own
//! prefix is removed, duplicate IDs are made unique (Dify merges calls that share an ID), and a call that never gets a
//! name is never emitted.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::partial_args;
use crate::dialect::gemini::wire::{FunctionCall, PartialArg};
use dify_plugin::steps;

/// Prefixes that Gemini sometimes writes before a function name, as in `print(default_api.look(…))`.
const PREFIXES: [&str; 2] = ["default_api:", "default_api."];

/// The calls in the order in which they started.
#[derive(Debug, Default)]
pub(super) struct Calls {
    all: Vec<Call>,
    /// Index of each call by the ID that the service sent; if an ID is repeated, of the last such call.
    places: HashMap<String, usize>,
    ids: HashSet<String>,
    event: u64,
}

/// A function call.
#[derive(Debug)]
pub(super) struct Call {
    /// Unique within the response.
    pub id: String,
    /// Function name as sent to the service.
    pub name: String,
    pub arguments: Map<String, Value>,
    /// The service announced more parts of this call.
    open: bool,
    /// A fragment did not fit into the arguments.
    broken: bool,
    event: u64,
}

/// What is wrong with the calls of a complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A call has no function name.
    Nameless,
    /// Fragments contradict each other.
    Broken,
    /// More fragments were announced but did not arrive.
    Open,
}

impl Fault {
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Nameless => "the model made a function call without a name",
            Self::Broken => "the fragments of a function call contradict each other",
            Self::Open => "a function call ended before its arguments were complete",
        }
    }
}

impl Calls {
    /// Starts the next event. Calls within one event are always different calls.
    pub(super) fn next_event(&mut self) {
        self.event += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Call> {
        self.all.iter()
    }

    /// Adds a call or a further part of one. Returns its index, and whether it is a new call.
    pub(super) fn take(&mut self, call: FunctionCall) -> Option<(usize, bool)> {
        let FunctionCall { id, name, args, partial_args, will_continue } = call;
        let id = id.filter(|id| !id.is_empty());
        let arguments = args.unwrap_or_default();
        let known = id.as_ref().and_then(|id| self.places.get(id)).copied();
        let continued = match name.is_empty() {
            true => known.or(self.all.len().checked_sub(1)),
            false => known.filter(|place| self.is_continued_by(*place, &name)),
        };
        // An end marker for a call that never started.
        if name.is_empty() && continued.is_none() && arguments.is_empty() && partial_args.is_empty() {
            return None;
        }
        let place = continued.unwrap_or_else(|| self.begin(id));
        let event = self.event;
        let call = &mut self.all[place];
        if !name.is_empty() {
            call.name = name;
        }
        (call.open, call.event) = (will_continue == Some(true), event);
        call.add(arguments, partial_args);
        Some((place, continued.is_none()))
    }

    /// Whether a part with a name continues an earlier call of the same ID: a call without a name yet, or one from an
    /// earlier event with the same name and no arguments.
    fn is_continued_by(&self, place: usize, name: &str) -> bool {
        let call = &self.all[place];
        call.name.is_empty() || (call.name == name && call.arguments.is_empty() && call.event < self.event)
    }

    fn begin(&mut self, given_id: Option<String>) -> usize {
        let place = self.all.len();
        let made = || format!("call_{}", uuid::Uuid::new_v4().simple());
        let id = given_id.clone().filter(|id| !self.ids.contains(id)).unwrap_or_else(made);
        if let Some(given_id) = given_id {
            self.places.insert(given_id, place);
        }
        self.ids.insert(id.clone());
        if let Some(last) = self.all.last_mut() {
            last.open = false;
        }
        let event = self.event;
        self.all.push(Call { id, name: String::new(), arguments: Map::new(), open: false, broken: false, event });
        place
    }

    /// Returns the first fault. With `whole`, the model reported that it had finished, so announced parts that did not
    /// arrive count as missing.
    pub(super) fn fault(&self, whole: bool) -> Option<Fault> {
        let of = |call: &Call| match () {
            () if call.name.is_empty() => Some(Fault::Nameless),
            () if call.broken => Some(Fault::Broken),
            () if call.open && !whole => Some(Fault::Open),
            () => None,
        };
        self.all.iter().find_map(of)
    }
}

impl Call {
    fn add(&mut self, arguments: Map<String, Value>, fragments: Vec<PartialArg>) {
        for (key, value) in arguments {
            steps::count(key.len() + 1);
            match self.arguments.get(&key) {
                None => {
                    self.arguments.insert(key, value);
                }
                // Two different values for one argument are ambiguous.
                Some(known) => self.broken |= *known != value,
            }
        }
        for fragment in fragments {
            steps::count(fragment.json_path.len() + fragment.string_value.as_ref().map_or(1, String::len));
            self.broken |= !partial_args::place(&mut self.arguments, fragment);
        }
    }
}

/// Returns the name of the declared function that is meant: removes Gemini's prefix if no declared function has it.
pub(super) fn declared_name(name: &str, is_declared: impl Fn(&str) -> bool) -> &str {
    let bare = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    bare.filter(|bare| !is_declared(name) && is_declared(bare)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Feeds events with parts. Returns names, arguments and service IDs, and the fault.
    fn calls(events: Value) -> (Vec<(String, Value, String)>, Option<Fault>) {
        let mut calls = Calls::default();
        for event in events.as_array().unwrap() {
            calls.next_event();
            for part in event.as_array().unwrap() {
                calls.take(serde_json::from_value(part.clone()).unwrap());
            }
        }
        let ids: HashSet<&str> = calls.iter().map(|call| call.id.as_str()).collect();
        assert_eq!(ids.len(), calls.iter().count(), "ids are unique");
        let seen = calls.iter().map(|call| (call.name.clone(), json!(call.arguments), call.id.clone())).collect();
        (seen, calls.fault(false))
    }

    #[test]
    fn joins_parts_of_one_call_and_separates_different_calls() {
        let f = |args: Value| json!({"name": "f", "args": args});
        let cases = [
            (json!([[f(json!({"a": 1}))]]), json!([["f", {"a": 1}]]), None),
            (json!([[f(json!({}))], [{"args": {"a": 1}}]]), json!([["f", {"a": 1}]]), None),
            (
                json!([[f(json!({}))], [{"args": {"a": 1}}, {"args": {"b": 2}}], [{}]]),
                json!([["f", {"a": 1, "b": 2}]]),
                None,
            ),
            (json!([[{"name": "f", "id": "1"}], [{"id": "1", "args": {"a": 1}}]]), json!([["f", {"a": 1}]]), None),
            (json!([[{"name": "f", "id": "1"}], [{"id": "new", "args": {"a": 1}}]]), json!([["f", {"a": 1}]]), None),
            (
                json!([[{"name": "f", "id": "1"}, {"name": "g", "id": "2"}], [{"id": "1", "args": {"a": 1}}, {"id": "2", "args": {"b": 2}}]]),
                json!([["f", {"a": 1}], ["g", {"b": 2}]]),
                None,
            ),
            (json!([[{"id": "1", "args": {"a": 1}}], [{"id": "1", "name": "f"}]]), json!([["f", {"a": 1}]]), None),
            (
                json!([[{"id": "1", "name": "f"}], [{"id": "1", "name": "f", "args": {"a": 1}}]]),
                json!([["f", {"a": 1}]]),
                None,
            ),
            // The same call twice, and two calls with one ID.
            (json!([[f(json!({})), f(json!({}))]]), json!([["f", {}], ["f", {}]]), None),
            (json!([[f(json!({}))], [f(json!({"a": 1}))]]), json!([["f", {}], ["f", {"a": 1}]]), None),
            (
                json!([[{"id": "f", "name": "f", "args": {"n": 1}}, {"id": "f", "name": "f", "args": {"n": 2}}]]),
                json!([["f", {"n": 1}], ["f", {"n": 2}]]),
                None,
            ),
            // Fragments by path, with and without an end marker.
            (
                json!([[{"name": "f", "willContinue": true}], [{"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}], "willContinue": true}], [{}]]),
                json!([["f", {"a": "x"}]]),
                None,
            ),
            (
                json!([[{"name": "f", "willContinue": true}], [{"name": "g", "partialArgs": [{"jsonPath": "$.a", "numberValue": 4}]}]]),
                json!([["f", {}], ["g", {"a": 4}]]),
                None,
            ),
            (
                json!([[{"name": "f", "partialArgs": [{"jsonPath": "$.a", "numberValue": 4}], "willContinue": true}]]),
                json!([["f", {"a": 4}]]),
                Some(Fault::Open),
            ),
            (
                json!([[{"name": "f", "partialArgs": [{"jsonPath": "$[0]", "numberValue": 4}]}]]),
                json!([["f", {}]]),
                Some(Fault::Broken),
            ),
            (json!([[f(json!({"a": 1}))], [{"args": {"a": 2}}]]), json!([["f", {"a": 1}]]), Some(Fault::Broken)),
            (json!([[{"args": {"a": 1}}]]), json!([["", {"a": 1}]]), Some(Fault::Nameless)),
            (json!([[{}]]), json!([]), None),
        ];
        for (events, expected, fault) in cases {
            let (seen, found) = calls(events.clone());
            let seen: Vec<Value> = seen.into_iter().map(|(name, arguments, _)| json!([name, arguments])).collect();
            assert_eq!((json!(seen), found), (expected, fault), "{events}");
        }
    }

    #[test]
    fn keeps_unique_ids_of_the_service() {
        let (seen, _) = calls(json!([[{"id": "c1", "name": "f"}, {"id": "c1", "name": "g"}, {"name": "h"}]]));
        let ids: Vec<&str> = seen.iter().map(|(_, _, id)| id.as_str()).collect();
        assert_eq!(ids[0], "c1");
        assert!(ids[1..].iter().all(|id| id.starts_with("call_")), "{ids:?}");
    }

    #[test]
    fn removes_the_prefix_unless_a_declared_function_has_it() {
        let declared = |name: &str| ["look", "default_api:see"].contains(&name);
        for (name, expected) in [
            ("look", "look"),
            ("default_api:look", "look"),
            ("default_api.look", "look"),
            ("default_api:see", "default_api:see"),
            ("default_api:gone", "default_api:gone"),
            ("api:look", "api:look"),
        ] {
            assert_eq!(declared_name(name, declared), expected);
        }
    }

    #[test]
    fn many_calls_and_fragments_take_linear_time() {
        let named = |count: usize| (0..count).map(|number| json!({"id": "same", "name": "f", "args": {"n": number}}));
        let fragments = |count: usize| {
            let parts = (0..count)
                .map(|_| json!({"partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}], "willContinue": true}));
            std::iter::once(json!({"name": "f"})).chain(parts)
        };
        let take = |parts: Vec<FunctionCall>| {
            let mut calls = Calls::default();
            for part in parts {
                let _ = calls.take(part);
            }
        };
        let read = |parts: Vec<Value>| parts.into_iter().map(|part| serde_json::from_value(part).unwrap()).collect();
        steps::assert_linear("calls with one ID", |count| read(named(count).collect()), take);
        steps::assert_linear("fragments", |count| read(fragments(count).collect()), take);
    }
}
