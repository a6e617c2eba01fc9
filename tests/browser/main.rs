//! The workbench's page in a real browser: Debian's Chromium, driven over WebDriver. What the server answers without a browser
//! is tested elsewhere. Without a chromedriver on the PATH it is skipped, unless `DIFY_BROWSER_TESTS=required`.
//!
//! Arguments select the cases whose names contain one of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs, unreachable_pub)]

mod attacks;
mod calls;
mod calls_back;
mod comparing;
#[path = "../support/compatible_upstream.rs"]
#[allow(dead_code)]
mod compatible_upstream;
#[path = "../support/described_plugin.rs"]
#[allow(dead_code)]
mod described_plugin;
mod drawn;
mod driver;
mod files;
mod gemini;
mod hostile;
mod logs;
mod looks;
#[path = "../support/loopback.rs"]
mod loopback;
mod media;
mod models;
mod modules;
mod oauth;
mod page;
mod triggers;
mod upstream;
mod workbench;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use driver::Driver;
use page::Tester;

/// A case, and what it does with the browser that all share.
type Case = (&'static str, fn(&Tester));

const CASES: &[&[Case]] = &[
    modules::CASES,
    drawn::CASES,
    files::CASES,
    calls::CASES,
    models::CASES,
    comparing::CASES,
    media::CASES,
    calls_back::CASES,
    oauth::CASES,
    triggers::CASES,
    logs::CASES,
    hostile::CASES,
    attacks::CASES,
    looks::CASES,
];

fn main() -> ExitCode {
    if !workbench::found(workbench::built(), "the executable is built without the feature workbench") {
        return ExitCode::SUCCESS;
    }
    let Some(installed) = driver::installed() else {
        workbench::found(false, "no chromedriver");
        return ExitCode::SUCCESS;
    };
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tester = Tester { driver: Driver::start(runtime.handle(), installed), runtime: runtime.handle().clone() };
    let mut failed = Vec::new();
    for (name, case) in CASES.iter().copied().flatten() {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted)) {
            continue;
        }
        let started = Instant::now();
        let passed = catch_unwind(AssertUnwindSafe(|| case(&tester))).is_ok();
        tester.reset();
        println!("test {name} ... {} ({:.1} s)", if passed { "ok" } else { "FAILED" }, started.elapsed().as_secs_f64());
        if !passed {
            failed.push(name);
        }
    }
    println!("{} failed: {failed:?}", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
