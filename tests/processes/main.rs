//! Tests whose executable is the plugin that they start: each module names the plugin by an environment variable of its own, and
//! what the process prints is the protocol's, so Rust's own harness may not run before it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs, unreachable_pub)]

mod dev;
mod echo_dialect;
#[path = "../support/elf.rs"]
mod elf;
mod kind_transports;
mod printed_output;
mod program;
mod sample_packages;
#[path = "../support/sample_plugins.rs"]
#[allow(dead_code)]
mod sample_plugins;
mod solver;
mod take_over;
mod try_kinds;
#[path = "../support/written.rs"]
mod written;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A name and its tests by name; the plugin of a process that is one.
type Module = (&'static str, &'static [(&'static str, fn())], fn() -> Option<ExitCode>);

const MODULES: &[Module] = &[
    ("dev", dev::TESTS, dev::plugin),
    ("kind_transports", kind_transports::TESTS, kind_transports::plugin),
    ("printed_output", printed_output::TESTS, printed_output::plugin),
    ("program", program::TESTS, program::plugin),
    ("take_over", take_over::TESTS, take_over::plugin),
    ("try_kinds", try_kinds::TESTS, try_kinds::plugin),
];

fn main() -> ExitCode {
    if let Some(ended) = MODULES.iter().find_map(|(.., plugin)| plugin()) {
        return ended;
    }
    let trials = MODULES.iter().flat_map(|(module, tests, _)| {
        tests.iter().map(move |(name, test)| {
            Trial::test(format!("{module}::{name}"), || {
                test();
                Ok(())
            })
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
