//! The strategies as Dify runs them: behind frames and sessions, with Dify's side scripted.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod files;
mod function_calling;
mod limits;
mod react;
mod support;
