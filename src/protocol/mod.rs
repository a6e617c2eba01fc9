//! The words that the plugin daemon and a plugin exchange. Types and their JSON only: no I/O, no async, no files.
//!
//! [`envelope`] is the outermost object of a line, [`request`] what the daemon asks, [`message`] the prompt,
//! [`answer`] what goes back, [`credentials`] the secrets that travel with every request.
//! Source: `dify-plugin-daemon: pkg/entities/`, `dify-plugin-sdks: src/dify_plugin/entities/`.

pub mod credentials;
pub mod envelope;
pub mod lenient;
pub mod message;
pub mod registration;
pub mod request;
pub mod response;

pub use credentials::Credentials;
pub use envelope::{Inbound, InboundEvent, Payload};
pub use message::*;
pub use request::*;
pub use response::*;
