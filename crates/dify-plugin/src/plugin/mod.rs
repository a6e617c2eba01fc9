//! What the author of a plugin writes against.

pub mod dify;

pub use dify::{Dify, DifyError};
