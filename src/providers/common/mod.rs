//! Code that several providers share in addition to their dialect: text segments, audio formats, batches.
//!
//! Nothing in this module depends on a provider.

pub mod audio;
pub mod batches;
pub mod download;

pub use dify_plugin_gemini::text_split;
