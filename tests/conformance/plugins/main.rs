//! The plugins of the conformance suite in Rust, one of each kind; the package in the current directory selects one. The same
//! plugins in Python are in the packages.
#![allow(missing_docs, clippy::field_reassign_with_default)]

mod agent;
#[path = "../../support/backwards_calls.rs"]
#[allow(dead_code)]
mod calls;
mod datasources;
mod oauth;
mod script;
mod tools;
mod trigger;

use std::path::Path;
use std::process::ExitCode;

use dify_plugin::plugin::Plugin;

fn main() -> ExitCode {
    let declared = dify_plugin::declare::load(Path::new("."));
    let name = declared.map(|declared| declared.manifest.text("name").to_owned()).unwrap_or_default();
    let plugin = match name.as_str() {
        "conformance_tools" => tools::plugin(),
        "conformance_agent" => agent::plugin(),
        "conformance_crawl" => datasources::crawl(),
        "conformance_documents" => datasources::documents(),
        "conformance_drive" => datasources::drive(),
        "conformance_trigger" => trigger::plugin(),
        _ => Plugin::new(),
    };
    plugin.run()
}
