//! Byte streams to and from the plugin daemon. Transports do not know providers and do not parse requests.

#[cfg(feature = "serverless")]
pub mod http;
#[cfg(any(feature = "serverless", feature = "workbench"))]
pub mod http_server;
pub mod line_queue;
pub mod stdio;
pub mod tcp;
#[cfg(feature = "serverless")]
pub mod token;
