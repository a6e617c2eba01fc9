//! Bytes to frames: synchronous state machines without I/O. Push bytes in, pop frames out, finish.

pub mod events;
pub mod http_message;
pub mod json;
pub mod json_scan;
pub mod lines;
