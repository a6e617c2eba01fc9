//! Code that several providers share in addition to their dialect: text segments, audio formats, batches, connection
//! fields.
//!
//! Nothing in this module depends on a provider.

pub mod audio;
pub mod batches;
pub mod connection;
pub mod download;
pub mod text_split;
