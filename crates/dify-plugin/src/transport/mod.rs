//! Bytes in and out to the host. A transport knows no provider and reads no request.

pub mod http;
pub mod line_queue;
pub mod stdio;
pub mod tcp;
pub mod token;
