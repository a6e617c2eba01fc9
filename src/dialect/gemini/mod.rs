//! The Gemini API: `generateContent` requests, streamed responses, errors and prices.
//!
//! This module does no I/O: it builds request bodies and maps events. URLs and credentials belong to the provider.
//! Source: Gemini API reference, "generateContent"; `googleapis/python-genai: google/genai/types.py`.

pub mod cache_prefix;
mod calls;
pub mod catalog;
pub mod embedding;
mod ending;
pub mod functions;
pub mod interactions;
pub mod mapper;
pub mod media;
pub mod parameters;
mod partial_args;
mod plugin_text;
pub mod price;
pub mod profile;
pub mod request;
mod research_report;
pub mod response;
pub mod schema;
pub mod served;
pub mod thought_signatures;
pub mod tools;

/// What the plugins for Gemini share.
pub use dify_plugin_gemini::{Surface, errors, finish, grounding, media_types, speech, speech_options, wire};
pub use mapper::{GenerateMapper, SharedResponse};
pub use profile::{ModelProfile, Thinking};
pub use response::{GeminiResponse, NextStep, ResponseOptions};
