//! Sessions and dispatch: where transports and providers meet.

mod backwards;
mod completed_forms;
pub mod connection;
pub mod described;
pub mod dispatch;
mod embed;
mod first_token;
mod fit;
pub mod form;
mod kinds;
mod llm;
pub mod local;
mod log_filter;
pub mod logs;
mod places;
mod received;
pub mod registry;
pub mod remote;
pub mod responder;
pub mod serve;
#[cfg_attr(not(feature = "serverless"), path = "without_serverless.rs")]
pub mod serverless;
mod session_log;
pub mod sessions;

pub use backwards::BackwardsOptions;
pub use connection::Connection;
pub use registry::Registry;
pub use serve::{ServeOptions, serve_io};
