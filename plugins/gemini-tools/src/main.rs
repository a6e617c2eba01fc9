//! The executable: serves the plugin without arguments, and is its command line with them.

use std::process::ExitCode;

// The allocator of musl, which a package is linked with, is slow with several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gemini_tools::plugin().run()
}
