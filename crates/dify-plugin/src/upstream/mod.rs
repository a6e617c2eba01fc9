//! Outgoing HTTP: pooled clients, timeouts, retries before the first byte, credentials per attempt, uniform errors.
//!
//! Knows neither providers nor the meaning of events.

pub mod auth;
pub mod certificates;
pub mod client;
mod connect_times;
mod dns;
pub mod fields;
mod instance;
pub mod multipart;
pub mod network;
pub mod pem;
mod pool;
pub mod probe;
pub mod recording;
mod redact;
pub mod request;
pub mod response;
pub mod retry;
mod secret_encodings;
pub mod share;
pub mod stats;
pub mod status;
mod traffic;
pub mod transport_error;
mod unpack;

pub use auth::{AuthOutcome, Authorize, NoAuthorization};
pub use client::Upstream;
pub use network::NetworkSettings;
pub use request::{Timeouts, UpstreamRequest};
pub use response::{ErrorResponse, UpstreamResponse, read_rest};
pub use retry::RetryPolicy;
