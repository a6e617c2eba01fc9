//! HTTP out: one pooled client, timeouts, retries before the first byte, credentials per attempt, errors in one shape.
//!
//! Nothing here knows a provider or an event's meaning.

pub mod auth;
pub mod client;
pub mod failure;
pub mod google;
mod instance;
mod lookup;
pub mod multipart;
pub mod network;
pub mod pem;
mod pool;
pub mod probe;
mod proofs;
pub mod recording;
pub mod request;
pub mod response;
pub mod retry;
pub mod share;
mod spelling;
pub mod status;
pub mod tally;
pub mod trust;
mod unpack;

pub use auth::{Authorize, NoAuthorization, Verdict};
pub use client::Upstream;
pub use network::NetworkSettings;
pub use request::{Timeouts, UpstreamRequest};
pub use response::{ErrorResponse, UpstreamResponse};
pub use retry::RetryPolicy;
