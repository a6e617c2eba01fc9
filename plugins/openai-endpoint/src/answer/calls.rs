//! Gives each tool call of an answer its index. Dify passes on what a model's server sends: whole calls, or fragments that repeat
//! the ID, or fragments without one.

use std::collections::HashMap;

use dify_plugin::protocol::ToolCall;

use super::CallPiece;

/// The calls so far.
#[derive(Debug, Default)]
pub struct Calls {
    known: Vec<Known>,
    /// Indices by ID.
    indices: HashMap<String, usize>,
}

#[derive(Debug)]
struct Known {
    has_name: bool,
    has_arguments: bool,
}

impl Calls {
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// A new ID begins a call; the same or no ID continues one; a name without an ID begins a call, which gets an ID here.
    pub fn push(&mut self, call: ToolCall) -> CallPiece {
        let next = self.known.len();
        let continued = match (call.id.is_empty(), call.function.name.is_empty()) {
            (false, _) => self.indices.get(&call.id).copied(),
            (true, true) => next.checked_sub(1),
            (true, false) => None,
        };
        let index = continued.unwrap_or(next);
        let mut id = None;
        if continued.is_none() {
            let new = if call.id.is_empty() { format!("call_{index}") } else { call.id };
            self.indices.insert(new.clone(), index);
            self.known.push(Known { has_name: false, has_arguments: false });
            id = Some(new);
        }
        let known = &mut self.known[index];
        let name = Some(call.function.name).filter(|name| !name.is_empty() && !known.has_name);
        known.has_name |= name.is_some();
        known.has_arguments |= !call.function.arguments.is_empty();
        CallPiece { index, id, name, arguments: call.function.arguments }
    }

    /// Arguments for the calls that have none, because clients parse them as JSON.
    pub fn finish(&mut self) -> impl Iterator<Item = CallPiece> {
        let without = self.known.iter().enumerate().filter(|(_, known)| !known.has_arguments);
        without.map(|(index, _)| CallPiece { index, id: None, name: None, arguments: "{}".to_owned() })
    }
}
