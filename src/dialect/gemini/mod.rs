//! The language of the Gemini API: `generateContent` requests, streamed answers, errors, prices.
//!
//! Pure: it builds bodies and maps events. Addresses and credentials are the provider's.
//! Source: Gemini API reference, "generateContent"; `googleapis/python-genai: google/genai/types.py`.

pub mod answer;
mod calls;
pub mod catalog;
pub mod dialogue;
pub mod embedding;
mod ending;
pub mod errors;
pub mod finish;
pub mod functions;
pub mod interactions;
pub mod mapper;
pub mod media;
pub mod media_types;
mod own_words;
pub mod parameters;
mod partial_args;
pub mod prefix;
pub mod price;
pub mod profile;
mod report;
pub mod request;
pub mod schema;
pub mod served;
pub mod signatures;
pub mod sources;
pub mod speech;
pub mod tools;
pub mod wire;

pub use answer::{Answer, AnswerOptions, Step};
pub use mapper::{GenerateMapper, SharedAnswer};
pub use profile::{ModelProfile, Surface, Thinking};
