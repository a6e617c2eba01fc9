//! Gives each tool call of an answer its index. Dify passes on what a model's server sends: whole calls, or fragments that repeat
//! the ID, or fragments without one.

use dify_plugin::protocol::ToolCall;

use super::CallPiece;

/// The calls so far.
#[derive(Debug, Default)]
pub struct Calls(Vec<Known>);

#[derive(Debug)]
struct Known {
    id: String,
    has_name: bool,
    has_arguments: bool,
}

impl Calls {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A new ID begins a call; the same or no ID continues one; a name without an ID begins a call, which gets an ID here.
    pub fn push(&mut self, call: ToolCall) -> CallPiece {
        let continued = match (call.id.is_empty(), call.function.name.is_empty()) {
            (false, _) => self.0.iter().position(|known| known.id == call.id),
            (true, true) => self.0.len().checked_sub(1),
            (true, false) => None,
        };
        let index = continued.unwrap_or(self.0.len());
        let is_new = continued.is_none();
        if is_new {
            let id = if call.id.is_empty() { format!("call_{index}") } else { call.id };
            self.0.push(Known { id, has_name: false, has_arguments: false });
        }
        let known = &mut self.0[index];
        let name = Some(call.function.name).filter(|name| !name.is_empty() && !known.has_name);
        known.has_name |= name.is_some();
        known.has_arguments |= !call.function.arguments.is_empty();
        let id = is_new.then(|| known.id.clone());
        CallPiece { index, id, name, arguments: call.function.arguments }
    }

    /// Arguments for the calls that have none, because clients parse them as JSON.
    pub fn finish(&mut self) -> impl Iterator<Item = CallPiece> {
        let without = self.0.iter().enumerate().filter(|(_, known)| !known.has_arguments);
        without.map(|(index, _)| CallPiece { index, id: None, name: None, arguments: "{}".to_owned() })
    }
}
