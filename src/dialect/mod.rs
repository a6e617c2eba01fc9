//! Languages of upstreams: our words ⇄ theirs, as pure state machines. The one driver of them is [`driver`].
//!
//! A dialect builds a request body and maps events to deltas. It holds no policy and does no I/O.

pub mod driver;
pub mod file_type;
pub mod gemini;
pub mod mp3;
pub mod names;
pub mod openai;
pub mod think;
pub mod tokens;
pub mod wav;

use dify_plugin::codec::events::Event;
use dify_plugin::error::InvokeError;

/// Whether more events are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on reading.
    Continue,
    /// The upstream said its last word; what follows is not read.
    Done,
}

/// Maps one upstream stream to our deltas: push events, pop deltas, finish.
pub trait StreamMapper: Send + 'static {
    /// What comes out.
    type Item: Send + 'static;

    /// Takes one event. An error ends the stream; what was pushed to `out` before it is still delivered.
    fn event(&mut self, event: &Event, out: &mut Vec<Self::Item>) -> Result<Flow, InvokeError>;

    /// The stream is over. An answer that is not complete is an error here, never a quiet success.
    fn finish(&mut self, out: &mut Vec<Self::Item>) -> Result<(), InvokeError>;

    /// Whether the answer is whole although the stream goes on: a finish reason came, only counts may follow.
    fn is_over(&self) -> bool {
        false
    }

    /// Bytes of the answer that are kept until its end.
    fn held(&self) -> usize {
        0
    }
}
