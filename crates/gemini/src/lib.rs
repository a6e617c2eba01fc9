//! What plugins for Gemini share: how users sign in, URLs, uploads, the wire format, sources, speech and errors, on the
//! Gemini Developer API and Vertex AI.
//!
//! Contains no plugin: no declaration, no price and nothing of Dify's models or tools. [`connection`], [`files`],
//! [`generate`], [`speaking`] and [`validate`] send requests; the other modules do no I/O.

pub mod answer;
pub mod connection;
pub mod errors;
pub mod extras;
pub mod file_type;
pub mod files;
pub mod finish;
pub mod generate;
pub mod grounding;
pub mod media_types;
pub mod mp3;
pub mod safety;
pub mod speaking;
pub mod speech;
pub mod speech_options;
mod surface;
pub mod text_split;
pub mod validate;
pub mod wav;
pub mod wire;

pub use surface::Surface;
