//! Model providers for Dify, as one native executable. What is common to all plugins is `dify_plugin`.
//!
//! 1. [`dialect`]: an upstream's language, as pure state machines under one driver.
//! 2. [`providers`]: which dialect, which address, which credentials.

pub mod dialect;
pub mod providers;
