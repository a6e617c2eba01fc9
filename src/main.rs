//! The executable: the command line of `dify_plugin` with the providers of this package.

use std::process::ExitCode;

use dify_plugin::cli::{self, Program};
use dify_plugin::plugin::Plugin;
use dify_plugin_runtime::providers::{self, described};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(&Program {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        about: env!("CARGO_PKG_DESCRIPTION"),
        models: providers::all,
        dialects: &[&described::OpenAi],
        plugin: Plugin::new(),
    })
}
