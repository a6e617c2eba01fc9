//! Dify's models and apps as an OpenAI-compatible API.
//!
//! A request is parsed and translated (`chat`, `completions`, `embeddings`, …), sent to Dify, and what comes back is mapped
//! to one form of events (`answer`) that is written as OpenAI's JSON or server-sent events. The translations do no I/O; `service`
//! and `handlers` call Dify. `settings` decides which key may use which model or app.

mod answer;
mod apps;
mod audio;
mod chat;
mod completions;
mod embeddings;
mod error;
mod handlers;
mod http_io;
mod moderations;
mod read;
mod rerank;
mod service;
mod settings;

use dify_plugin::prelude::*;

/// The plugin: one endpoint that serves every path of the API.
pub fn plugin() -> Plugin {
    let permissions = [
        Permission::Llm,
        Permission::TextEmbedding,
        Permission::Rerank,
        Permission::Tts,
        Permission::Speech2text,
        Permission::Moderation,
        Permission::App,
        Permission::Storage,
    ];
    permissions.into_iter().fold(Plugin::new().endpoint(service::Api), Plugin::needs)
}
