//! What several providers need besides their dialect: sentences, recordings, batches, the connection's credential fields.
//!
//! Nothing here knows a provider.

pub mod audio;
pub mod batches;
pub mod connection;
pub mod download;
pub mod text_split;
