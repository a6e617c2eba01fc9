//! Blocks of YAML that are written once: what `check`, the loader, remote registration and packages make of them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::written;
use dify_plugin::declare::{self, Declarations, remote};
use dify_plugin::package::Target;
use dify_plugin::package::build::{self, Binary, Package};
use serde_json::Value;
use tempfile::TempDir;

const MANIFEST: &str = include_str!("../../manifest.yaml");

const PROVIDER: &str = "provider: acme
shared:
  - provider/_shared.yaml
  - models/llm/_shared.yaml
label: {en_US: Acme}
supported_model_types: [llm]
configurate_methods: [predefined-model]
provider_credential_schema:
  credential_form_schemas:
    - use: api_key
      label: {en_US: Acme key}
    - use: transport
models:
  llm:
    predefined:
      - models/llm/*.yaml
";

const FIELDS: &str = "api_key:
  variable: api_key
  label: {en_US: Key}
  type: secret-input
  required: true
transport:
  - {variable: proxy_url, label: {en_US: Proxy}, type: text-input, required: false}
  - {variable: timeout, label: {en_US: Timeout}, type: text-input, required: false, default: 'off'}
";

const RULES: &str = "chat:
  model_type: llm
  model_properties: {mode: chat, context_size: 4096}
temperature:
  name: temperature
  use_template: temperature
  min: 0
  max: 2
rules:
  - use: temperature
  - {name: seed, label: {en_US: Seed}, type: int, default: 0}
";

const MODEL: &str = "model: acme-1
use: chat
parameter_rules:
  - use: rules
  - use: temperature
    name: heat
    max: 1.5
acme: {kept: 'no'}
";

/// A plugin with shared blocks, changed here and there.
fn plugin(changes: &[(&str, &str, &str)]) -> TempDir {
    let is_ours = |line: &str| line.trim().starts_with("- provider/");
    let lines: Vec<&str> = MANIFEST.lines().filter(|line| !is_ours(line)).collect();
    let manifest = lines.join("\n").replace("  models:", "  models:\n    - provider/acme.yaml");
    let files = [
        ("manifest.yaml", manifest.as_str()),
        ("provider/acme.yaml", PROVIDER),
        ("provider/_shared.yaml", FIELDS),
        ("models/llm/_shared.yaml", RULES),
        ("models/llm/acme-1.yaml", MODEL),
        ("_assets/icon.svg", "<svg/>"),
        ("README.md", "# Acme\n"),
        ("PRIVACY.md", "Nothing is stored.\n"),
    ];
    written::directory(&files, changes)
}

fn package(declarations: &Declarations, provider: usize) -> Package {
    // The head of a static executable.
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18] = 62;
    let binary = Binary { target: Target::LinuxAmd64, path: "x".to_owned(), bytes };
    build::build(declarations, &declarations.providers[provider], &[binary], None).unwrap()
}

fn unpack(package: &Package) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (path, bytes) in &package.files {
        let file = directory.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
    directory
}

/// Every YAML file of a package by a parser that knows nothing of blocks.
fn yaml(package: &Package) -> BTreeMap<&str, Value> {
    let files = package.files.iter().filter(|(path, _)| path.ends_with(".yaml") && path.contains('/'));
    files.map(|(path, bytes)| (path.as_str(), serde_yaml::from_slice(bytes).unwrap())).collect()
}

#[test]
fn everyone_sees_the_blocks_written_out() {
    let directory = plugin(&[]);
    assert_eq!(declare::check(directory.path()), []);
    let declarations = declare::load(directory.path()).unwrap();
    let loaded = &declarations.providers[0];
    assert_eq!(loaded.models.len(), 1);
    let model = &loaded.models[0];
    assert_eq!(model.number_property("context_size"), Some(4096));
    let rules: Vec<_> = model.parameter_rules.iter().map(|rule| (rule.name.as_str(), rule.max)).collect();
    assert_eq!(rules, [("temperature", Some(2.0)), ("seed", None), ("heat", Some(1.5))]);

    let registered = remote::provider(loaded);
    let fields = registered["provider_credential_schema"]["credential_form_schemas"].as_array().unwrap();
    let labels: Vec<_> = fields.iter().map(|field| field["label"]["en_US"].as_str().unwrap()).collect();
    assert_eq!(labels, ["Acme key", "Proxy", "Timeout"]);
    assert!(registered.get("shared").is_none());

    let package = package(&declarations, 0);
    assert!(!package.files.keys().any(|path| path.contains("_shared")), "{:?}", package.files.keys());
    let files = yaml(&package);
    assert!(files["provider/acme.yaml"].get("shared").is_none());
    assert_eq!(files["models/llm/acme-1.yaml"]["parameter_rules"][2]["name"], "heat");
    // Words that some parsers take for truth values stay texts.
    let text = String::from_utf8(package.files["provider/acme.yaml"].clone()).unwrap();
    assert!(text.contains("default: \"off\""), "{text}");
    let again = declare::load(unpack(&package).path()).unwrap();
    assert_eq!(again.providers[0].models, loaded.models);
    assert_eq!(again.providers[0].declaration, loaded.declaration);
    assert!(again.providers[0].expanded.is_empty());
}

#[test]
fn our_own_packages_are_what_is_loaded_here() {
    let declarations = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    for (index, loaded) in declarations.providers.iter().enumerate() {
        let package = package(&declarations, index);
        for (path, contents) in yaml(&package) {
            assert!(!path.contains("_shared"), "{path}");
            assert!(!has_key(&contents, "use") && !has_key(&contents, "shared"), "{path}");
        }
        let again = declare::load(unpack(&package).path()).unwrap();
        assert_eq!(again.providers[0].models, loaded.models);
        assert_eq!(remote::provider(&again.providers[0]), remote::provider(loaded));
    }
}

fn has_key(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(map) => map.contains_key(key) || map.values().any(|value| has_key(value, key)),
        Value::Array(items) => items.iter().any(|value| has_key(value, key)),
        _ => false,
    }
}

/// File, text, its replacement, all problems.
const WRONG: &[(&str, &str, &str, &[&str])] = &[
    (
        "models/llm/acme-1.yaml",
        "- use: rules",
        "- use: rule",
        &[
            "models/llm/acme-1.yaml: parameter_rules[0].use: shared block `rule` is unknown: there is none in \
             provider/_shared.yaml, models/llm/_shared.yaml",
            "warning: models/llm/_shared.yaml: rules: is used nowhere",
        ],
    ),
    (
        "models/llm/acme-1.yaml",
        "    max: 1.5",
        "    max: -1",
        &["models/llm/acme-1.yaml: parameter_rules[1].min: 0 is greater than max -1 (shared block `temperature` of \
           models/llm/_shared.yaml)"],
    ),
    (
        "models/llm/_shared.yaml",
        "type: int",
        "type: number",
        &["models/llm/acme-1.yaml: parameter_rules[0].type: must be one of float, int, string, boolean, text, found \
           \"number\" (shared block `rules` of models/llm/_shared.yaml)"],
    ),
    (
        "models/llm/acme-1.yaml",
        "    max: 1.5",
        "    max: 2",
        &["warning: models/llm/acme-1.yaml: parameter_rules[1].max: changes nothing: shared block `temperature` has \
           the same value"],
    ),
    (
        "provider/_shared.yaml",
        "api_key:\n",
        "other: {}\napi_key:\n",
        &["warning: provider/_shared.yaml: other: is used nowhere"],
    ),
    (
        "provider/_shared.yaml",
        "api_key:\n",
        "chat: {}\napi_key:\n",
        &["models/llm/_shared.yaml: chat: block `chat` is defined in provider/_shared.yaml already"],
    ),
    (
        "models/llm/_shared.yaml",
        "temperature:\n",
        "chat: {}\ntemperature:\n",
        &["models/llm/_shared.yaml: chat: is here a second time; the daemon refuses the file"],
    ),
    (
        "models/llm/_shared.yaml",
        "  max: 2",
        "  use: temperature",
        &[
            "models/llm/_shared.yaml: temperature.use: blocks refer to each other in a circle: temperature → temperature",
        ],
    ),
    (
        "provider/acme.yaml",
        "  - models/llm/_shared.yaml",
        "  - models/llm/other.yaml",
        &["provider/acme.yaml: shared[1]: models/llm/other.yaml does not exist"],
    ),
    (
        "provider/acme.yaml",
        "shared:\n",
        "shared: x\nold:\n",
        &["provider/acme.yaml: shared: must be a list of files, found a string"],
    ),
    (
        "models/llm/acme-1.yaml",
        "use: chat\n",
        "use: rules\n",
        &["models/llm/acme-1.yaml: use: shared block `rules` is a list: nothing can be changed in it here"],
    ),
];

#[test]
fn what_is_wrong_is_named_with_file_and_place() {
    for (file, from, to, expected) in WRONG {
        let problems: Vec<String> =
            declare::check(plugin(&[(file, from, to)]).path()).iter().map(ToString::to_string).collect();
        for line in *expected {
            let is_line = |problem: &String| problem.split(" (line ").next() == Some(*line);
            assert!(problems.iter().any(is_line), "{file}: {to}\nexpected {line}\nfound {problems:#?}");
        }
    }
}
