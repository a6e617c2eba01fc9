//! Options of the chat dialect as the facts about a provider state them (`chat:` in its YAML): every key has a meaning of its
//! own and a default, and together with the features of a model they make a [`super::Profile`]. Credentials and templates are
//! resolved before; what a provider is called plays no part here.

pub mod chat;
pub mod parameters;

pub use chat::ChatOptions;
pub use parameters::{Conversion, Conversions, ParameterRule};

#[cfg(test)]
mod tests;
