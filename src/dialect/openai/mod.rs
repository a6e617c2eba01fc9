//! OpenAI-compatible dialect: request bodies, stream mapper, embeddings, rerank, speech, moderation and errors.
//!
//! A compatible upstream is a [`Profile`] (the variant of the dialect that it supports) and a URL; it needs no code
//! here.
//! Nothing in this module sends a request.
//! Source: OpenAI API reference (chat completions, completions, embeddings, audio); the deviations are those of
//! `vllm-project/vllm`, `xorbitsai/inference`, `alibaba/higress` and of the endpoints users report.

pub mod base_url;
pub mod chat_request;
pub mod embeddings;
pub mod errors;
pub mod form_values;
pub mod kept;
pub mod mapper;
mod members;
pub mod messages;
pub mod moderation;
pub mod multimodal;
pub mod options;
pub mod profile;
pub mod rerank;
pub mod speech_responses;
pub mod structured;
pub mod text_tool_calls;
pub mod tool_calls;
pub mod wire;

pub use base_url::BaseUrl;
pub use chat_request::chat_request;
pub use mapper::{ChatMapper, MapperOptions};
pub use profile::Profile;
