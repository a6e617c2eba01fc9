//! The process of a plugin: what it is made of, how it is served, and its messages at the terminal.
//!
//! Serving needs no arguments, and an executable in a package does nothing else. [`crate::cli`] is above it.

#[cfg_attr(not(feature = "commands"), allow(dead_code, reason = "the command line uses the rest"))]
pub(crate) mod program;
pub(crate) mod serve;
#[cfg_attr(not(feature = "commands"), allow(dead_code, reason = "the command line uses the rest"))]
pub(crate) mod terminal;
pub(crate) mod traffic;

use std::process::ExitCode;

/// Reports an error, and returns the exit code of the process.
pub(crate) fn exit_code(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        terminal::say(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}
