//! The calls of an answer while it comes: whole ones, and ones whose arguments arrive later.
//!
//! A call is handed on when the answer is over, for until then more of it may come: a part without a name belongs to the
//! call of its id, else to the last one. Names and ids are put right here: Gemini's own prefix goes, equal ids are made
//! apart (a host joins what has one id), and a call that stays without a name is never handed on.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::partial_args;
use super::wire::{FunctionCall, PartialArg};
use dify_plugin::steps;

/// What Gemini sometimes writes before a function's name, as in `print(default_api.look(…))`.
const PREFIXES: [&str; 2] = ["default_api:", "default_api."];

/// The calls, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Calls {
    all: Vec<Call>,
    /// Places of the calls by the ids that the service gave; of equal ones the last.
    places: HashMap<String, usize>,
    ids: HashSet<String>,
    event: u64,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// Unique in the answer.
    pub id: String,
    /// As the service knows the function.
    pub name: String,
    pub arguments: Map<String, Value>,
    /// More of it was announced.
    open: bool,
    /// Something of it has no place in it.
    broken: bool,
    event: u64,
}

/// What is wrong with the calls of an answer that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nobody knows which function was meant.
    Nameless,
    /// Fragments that do not fit together.
    Broken,
    /// More was announced and did not come.
    Open,
}

impl Fault {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Nameless => "the model made a call without the name of a function",
            Self::Broken => "the fragments of a call do not fit together",
            Self::Open => "a call broke off before its arguments were complete",
        }
    }
}

impl Calls {
    /// Another event begins: what comes in one event are different calls.
    pub(super) fn next_event(&mut self) {
        self.event += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Call> {
        self.all.iter()
    }

    /// Takes a call or more of one; gives its place, and whether it begins here.
    pub(super) fn take(&mut self, call: FunctionCall) -> Option<(usize, bool)> {
        let FunctionCall { id, name, args, partial_args, will_continue } = call;
        let id = id.filter(|id| !id.is_empty());
        let arguments = args.unwrap_or_default();
        let known = id.as_ref().and_then(|id| self.places.get(id)).copied();
        let continued = match name.is_empty() {
            true => known.or(self.all.len().checked_sub(1)),
            false => known.filter(|place| self.is_begun(*place, &name)),
        };
        // An end without a beginning.
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

    /// Whether a named part goes on with an earlier one of the same id: one that has no name yet, or, from an earlier
    /// event, the same name and no arguments.
    fn is_begun(&self, place: usize, name: &str) -> bool {
        let call = &self.all[place];
        call.name.is_empty() || (call.name == name && call.arguments.is_empty() && call.event < self.event)
    }

    fn begin(&mut self, told: Option<String>) -> usize {
        let place = self.all.len();
        let made = || format!("call_{}", uuid::Uuid::new_v4().simple());
        let id = told.clone().filter(|id| !self.ids.contains(id)).unwrap_or_else(made);
        if let Some(told) = told {
            self.places.insert(told, place);
        }
        self.ids.insert(id.clone());
        if let Some(last) = self.all.last_mut() {
            last.open = false;
        }
        let event = self.event;
        self.all.push(Call { id, name: String::new(), arguments: Map::new(), open: false, broken: false, event });
        place
    }

    /// What is wrong. `whole`: the model said that it was done, so that more of a call was announced in vain.
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
                // Two values of one argument: nobody knows which is meant.
                Some(known) => self.broken |= *known != value,
            }
        }
        for fragment in fragments {
            steps::count(fragment.json_path.len() + fragment.string_value.as_ref().map_or(1, String::len));
            self.broken |= !partial_args::place(&mut self.arguments, fragment);
        }
    }
}

/// The name of a declared function that is meant: Gemini's own prefix goes where the name has it and the function has not.
pub(super) fn meant(name: &str, is_declared: impl Fn(&str) -> bool) -> &str {
    let bare = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
    bare.filter(|bare| !is_declared(name) && is_declared(bare)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Events of parts, as they are read → names, arguments, given ids; and what is wrong.
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
    fn parts_are_put_together_and_kept_apart() {
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
            // The same call twice, and two calls of one id.
            (json!([[f(json!({})), f(json!({}))]]), json!([["f", {}], ["f", {}]]), None),
            (json!([[f(json!({}))], [f(json!({"a": 1}))]]), json!([["f", {}], ["f", {"a": 1}]]), None),
            (
                json!([[{"id": "f", "name": "f", "args": {"n": 1}}, {"id": "f", "name": "f", "args": {"n": 2}}]]),
                json!([["f", {"n": 1}], ["f", {"n": 2}]]),
                None,
            ),
            // By path, with and without an end.
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
    fn ids_of_the_service_stay_where_they_can() {
        let (seen, _) = calls(json!([[{"id": "c1", "name": "f"}, {"id": "c1", "name": "g"}, {"name": "h"}]]));
        let ids: Vec<&str> = seen.iter().map(|(_, _, id)| id.as_str()).collect();
        assert_eq!(ids[0], "c1");
        assert!(ids[1..].iter().all(|id| id.starts_with("call_")), "{ids:?}");
    }

    #[test]
    fn geminis_prefix_goes_where_it_is_nobodys() {
        let declared = |name: &str| ["look", "default_api:see"].contains(&name);
        for (name, expected) in [
            ("look", "look"),
            ("default_api:look", "look"),
            ("default_api.look", "look"),
            ("default_api:see", "default_api:see"),
            ("default_api:gone", "default_api:gone"),
            ("api:look", "api:look"),
        ] {
            assert_eq!(meant(name, declared), expected);
        }
    }

    #[test]
    fn many_calls_and_fragments_are_linear_work() {
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
        steps::assert_linear("calls of one id", |count| read(named(count).collect()), take);
        steps::assert_linear("fragments", |count| read(fragments(count).collect()), take);
    }
}
