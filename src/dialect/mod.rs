//! Wire formats of the API families: protocol types ⇄ an upstream's JSON, as pure state machines. [`driver`] runs them.
//!
//! A dialect builds a request body and maps events to deltas. It holds no policy and does no I/O.

pub mod driver;
pub mod gemini;
pub mod names;
pub mod openai;
pub mod think;
pub mod tokens;

pub use dify_plugin_gemini::{file_type, mp3, wav};

use dify_plugin::codec::events::Event;
use dify_plugin::error::InvokeError;

/// Whether more events are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Keep reading.
    Continue,
    /// The response is complete; the rest of the stream is ignored.
    Done,
}

/// Maps the events of one upstream stream to deltas: push events, pop deltas, finish.
pub trait StreamMapper: Send + 'static {
    /// Type of a delta.
    type Item: Send + 'static;

    /// Maps one event. An error ends the stream; deltas that were pushed to `out` before it are still delivered.
    fn event(&mut self, event: &Event, out: &mut Vec<Self::Item>) -> Result<Flow, InvokeError>;

    /// Ends the stream. Returns an error if the response is incomplete.
    fn finish(&mut self, out: &mut Vec<Self::Item>) -> Result<(), InvokeError>;

    /// Whether the response is complete although the stream continues: after a finish reason, only usage may follow.
    fn is_over(&self) -> bool {
        false
    }

    /// Bytes of the response that are buffered until its end.
    fn held(&self) -> usize {
        0
    }
}

impl<T: Send + 'static> StreamMapper for Box<dyn StreamMapper<Item = T>> {
    type Item = T;

    fn event(&mut self, event: &Event, out: &mut Vec<T>) -> Result<Flow, InvokeError> {
        (**self).event(event, out)
    }

    fn finish(&mut self, out: &mut Vec<T>) -> Result<(), InvokeError> {
        (**self).finish(out)
    }

    fn is_over(&self) -> bool {
        (**self).is_over()
    }

    fn held(&self) -> usize {
        (**self).held()
    }
}
