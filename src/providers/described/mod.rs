//! Providers that their YAML describes: facts about an OpenAI-compatible API, and no code for each provider.
//!
//! 1. [`facts`]: the keys of the facts, each documented.
//! 2. [`template`], [`dynamic`], [`block`]: values that depend on credentials.
//! 3. [`merge`]: facts about some models only.
//! 4. [`unknown_keys`]: what is wrong with facts.
//! 5. `official`: facts about plugins that others publish.
//!
//! The requests are made by [`super::compatible`]; no vendor is named in this module, but for the list
//! of files in `official`.

pub mod block;
mod connection;
mod custom_schema;
pub mod dynamic;
mod editor_schema;
mod errors;
pub mod facts;
pub mod merge;
mod model_facts;
mod official;
mod openai;
mod problems;
mod provider;
pub mod template;
pub mod unknown_keys;
mod validation;
mod values;

pub use openai::OpenAi;
