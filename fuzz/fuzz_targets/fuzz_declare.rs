//! A plugin's YAML: manifest, provider, model. Problems are reported, and accepted declarations are usable.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use dify_plugin::declare::{self, parameters, price, remote, yaml};
use dify_plugin_runtime::dialect::gemini::embedding::EmbeddingProfile;
use dify_plugin_runtime::dialect::gemini::models::profile::ModelProfile;
use libfuzzer_sys::fuzz_target;

/// Between two files of an input: manifest, provider, model, positions, shared blocks, and a part of the provider, such as a tool.
const NEXT_FILE: &str = "\n%%%\n";

/// The directory that each input is written to; in memory where the machine has such a place.
static ROOT: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let shared_memory = PathBuf::from("/dev/shm");
    let parent = if shared_memory.is_dir() { shared_memory } else { std::env::temp_dir() };
    let directory = tempfile::tempdir_in(parent).expect("a directory");
    for name in ["provider", "models/llm", "_assets"] {
        std::fs::create_dir_all(directory.path().join(name)).expect("a directory");
    }
    std::fs::write(directory.path().join("_assets/icon.svg"), "<svg/>").expect("an icon");
    directory
});

fuzz_target!(|text: &str| {
    let root = ROOT.path();
    let files = [
        "manifest.yaml",
        "provider/p.yaml",
        "models/llm/m.yaml",
        "models/llm/_position.yaml",
        "provider/_shared.yaml",
        "part.yaml",
    ];
    let mut texts = text.split(NEXT_FILE);
    for file in files {
        std::fs::write(root.join(file), texts.next().unwrap_or_default()).expect("a file");
    }
    let problems = declare::check(root);
    assert!(problems.iter().all(|problem| !problem.message.is_empty()), "a problem without words");
    let Ok(declarations) = declare::load(root) else { return };
    serde_json::to_vec(&declarations.kinds.events()).expect("a registration is JSON");
    let _ = remote::kinds_registration(&declarations, remote::Identity::Own);
    for provider in &declarations.providers {
        for value in provider.expanded.values() {
            // Brackets in texts that are there many times may be too many for the reader.
            if let Ok(read) = yaml::parse(&yaml::write(value)) {
                assert_eq!(&read, value, "a package has something else");
            }
        }
        serde_json::to_vec(&remote::provider(provider)).expect("a registration is JSON");
        let _ = remote::registration(&declarations, provider, remote::Identity::Own);
        for model in &provider.models {
            serde_json::to_vec(model).expect("a model is JSON");
            let _ = parameters::apply(&model.parameter_rules, &mut serde_json::Map::new());
            price::llm_usage(model.pricing.as_ref(), 1_000, 1_000_000);
            let _ = ModelProfile::of(model);
            let _ = EmbeddingProfile::of(model);
        }
    }
});
