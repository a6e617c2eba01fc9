//! The executable: parses the arguments, runs the command and returns its exit code. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser;
use dify_plugin_runtime::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
