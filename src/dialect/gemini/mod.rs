//! The Gemini API: `generateContent` requests, streamed responses, errors and prices.
//!
//! This module does no I/O: it builds request bodies and maps events. URLs and credentials belong to the provider.
//! Source: Gemini API reference, "generateContent"; `googleapis/python-genai: google/genai/types.py`.

pub mod agents;
pub mod embedding;
pub mod models;
pub mod request;
pub mod response;
pub mod thought_signatures;

/// What the plugins for Gemini share.
pub use dify_plugin_gemini::{Surface, errors, finish, grounding, media_types, speech, speech_options, wire};
pub use models::profile::{ModelProfile, Thinking};
pub use response::mapper::{GenerateMapper, SharedResponse};
pub use response::{GeminiResponse, NextStep, ResponseOptions};
