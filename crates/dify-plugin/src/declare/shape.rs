//! What code expects of its parameters, read from the JSON schema of its type.

/// The key of a schema that names Dify's parameter type.
pub const TYPE_KEY: &str = "x-dify-type";
