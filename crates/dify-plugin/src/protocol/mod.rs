//! The words that the plugin daemon and a plugin exchange. Types and their JSON only: no I/O, no async, no files.
//!
//! [`envelope`] is the outermost object of a line, [`invocation`] the head of every request. Of models, [`request`] is what
//! the daemon asks, [`message`] the prompt, [`response`] what goes back; each other access type has a module of its own.
//! [`credentials`] are the secrets that travel with a request, [`backwards`] is what a plugin requests of Dify in turn.
//! Source: `dify-plugin-daemon: pkg/entities/`, `dify-plugin-sdks: src/dify_plugin/entities/`.

pub mod access;
pub mod agent;
pub mod backwards;
pub mod credentials;
pub mod datasource;
mod decimal;
pub mod endpoint;
pub mod envelope;
mod flat;
pub mod invocation;
pub mod lenient;
pub mod message;
pub mod oauth;
pub mod options;
pub mod registration;
pub mod request;
pub mod response;
pub mod text_line;
pub mod tool;
pub mod tool_message;
pub mod trigger;

pub use credentials::Credentials;
pub use envelope::{Inbound, InboundEvent, Payload};
pub use invocation::Invocation;
pub use message::*;
pub use request::*;
pub use response::*;
