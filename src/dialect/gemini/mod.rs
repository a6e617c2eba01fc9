//! The language of the Gemini API: `generateContent` requests, streamed answers, errors, prices.
//!
//! Pure: it builds bodies and maps events. Addresses and credentials are the provider's.
//! Source: Gemini API reference, "generateContent"; `googleapis/python-genai: google/genai/types.py`.

pub mod errors;
pub mod finish;
pub mod mapper;
pub mod parameters;
pub mod price;
pub mod profile;
pub mod request;
pub mod wire;

pub use mapper::GenerateMapper;
pub use profile::{ModelProfile, Surface, Thinking};
