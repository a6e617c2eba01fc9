//! The terminal: arguments, and what each subcommand prints. No subcommand serves the plugin.
//!
//! The only module besides the transports that writes to standard output; nothing here knows a provider's wire format.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A native runtime for Dify model plugins.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
enum Command {}

impl Cli {
    /// Runs the command and gives the exit code of the process.
    pub fn run(self) -> ExitCode {
        match self.command {
            None => ExitCode::SUCCESS,
            Some(command) => match command {},
        }
    }
}
