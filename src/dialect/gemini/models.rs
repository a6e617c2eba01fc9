//! Declared models: which one a name means, and what a model's YAML says that Dify's declaration cannot express.

pub mod catalog;
pub mod profile;
