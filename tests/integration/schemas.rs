//! The JSON Schemas of a plugin's files: the committed ones are those of the executable, they accept every file of this repository,
//! and they agree with `check` about files that were changed at random places, but for what a schema cannot express.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use dify_plugin::declare::kind::PluginKind;
use dify_plugin::declare::rules::Rules;
use dify_plugin::declare::schema::{SCHEMAS, Schema, files_of};
use dify_plugin::declare::versions::Minimum;
use dify_plugin::declare::{Problem, Severity};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(directory: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime")).current_dir(directory).args(arguments).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The files of a plugin that end in `.yaml`; directories that begin with a dot are for tools.
fn yaml_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.file_name().unwrap().to_string_lossy().starts_with('.') => {}
            true => yaml_files(&path, found),
            false if path.extension().is_some_and(|extension| extension == "yaml") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn new_names_the_schema_in_every_yaml_file() {
    let scratch = TempDir::new().unwrap();
    let mut names = BTreeSet::new();
    for directory in written(scratch.path()) {
        let mut files = Vec::new();
        yaml_files(&directory, &mut files);
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let first = text.lines().next().unwrap().strip_prefix("# yaml-language-server: $schema=");
            let first = first.unwrap_or_else(|| panic!("{}: no schema", file.display()));
            let schema = file.parent().unwrap().join(first).canonicalize();
            let schema = schema.unwrap_or_else(|error| panic!("{}: {first}: {error}", file.display()));
            assert_eq!(schema.parent().unwrap(), directory.canonicalize().unwrap().join(".dify/schemas"));
            names.insert(schema.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    let all: BTreeSet<String> = SCHEMAS.iter().map(|schema| schema.name.to_owned()).collect();
    assert_eq!(all.difference(&names).collect::<Vec<_>>(), ["position"]);
}

fn validators() -> BTreeMap<&'static str, Validator> {
    let validator = |schema: &Schema| (schema.name, jsonschema::draft7::new(&schema.build()).unwrap());
    SCHEMAS.iter().map(validator).collect()
}

#[test]
fn the_committed_schemas_are_those_of_the_command() {
    let mut committed = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("schemas")).unwrap() {
        committed.insert(entry.unwrap().file_name().to_string_lossy().into_owned());
    }
    let names: Vec<&str> = SCHEMAS.iter().map(|schema| schema.name).chain(["openai"]).collect();
    assert_eq!(committed, names.iter().map(|name| format!("{name}.json")).collect());
    let out = TempDir::new().unwrap();
    run(root(), &["schema", "--out", out.path().to_str().unwrap()]);
    let list = run(root(), &["schema"]);
    for name in names {
        let text = std::fs::read_to_string(root().join(format!("schemas/{name}.json"))).unwrap();
        assert_eq!(run(root(), &["schema", name]), text, "{name}: run `schema --out schemas`");
        assert_eq!(std::fs::read_to_string(out.path().join(format!("{name}.json"))).unwrap(), text);
        assert!(list.lines().any(|line| line.starts_with(&format!("{name} "))), "{list}");
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert!(jsonschema::draft7::meta::is_valid(&schema), "{name}");
        assert!(jsonschema::draft7::new(&schema).is_ok(), "{name}: a reference leads nowhere");
    }
}

fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml::from_str(text.trim_start_matches('\u{feff}'))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A plugin of each kind, written by `new`.
fn written(scratch: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (kind, more) in [
        ("tool", &[][..]),
        ("endpoint", &[]),
        ("agent-strategy", &[]),
        ("trigger", &[]),
        ("model", &[]),
        ("datasource", &["--type", "website-crawl"]),
        ("datasource", &["--type", "online-document"]),
        ("datasource", &["--type", "online-drive"]),
    ] {
        let name = format!("p{}", found.len());
        run(scratch, &[&["new", &name, "--kind", kind, "--author", "someone"], more].concat());
        found.push(scratch.join(name));
    }
    found
}

/// Every plugin of the repository, and one of each kind that `new` writes.
fn plugins(scratch: &Path) -> Vec<PathBuf> {
    let mut found = vec![root().to_owned()];
    for parent in ["catalog", "plugins"] {
        found.extend(std::fs::read_dir(root().join(parent)).unwrap().map(|entry| entry.unwrap().path()));
    }
    found.extend(written(scratch));
    found.retain(|directory| directory.join("manifest.yaml").is_file());
    found
}

#[test]
fn every_file_of_the_repository_is_valid() {
    let (scratch, mut validators) = (TempDir::new().unwrap(), validators());
    // With the block of the dialect.
    let text = std::fs::read_to_string(root().join("schemas/model-provider.json")).unwrap();
    let provider = jsonschema::draft7::new(&serde_json::from_str(&text).unwrap()).unwrap();
    for (block, is_valid) in [
        (json!({"chat": {"user": true}}), true),
        (json!({"chat": {"user": {"by": "key", "when": {"a": false}}}}), true),
        (json!({"chat": {"max_tokens": "{name|auto}"}}), true),
        (json!({"chat": {"max_tokens": "unknown"}}), false),
        (json!({"chat": {"user": 7}}), false),
        (json!({"chta": {}}), false),
        (json!({"custom": {"rules": [{"use": "rule"}]}}), true),
        (json!({"custom": {"rules": [{}]}}), false),
    ] {
        let document = json!({"provider": "a", "label": {"en_US": "A"}, "openai": block});
        let errors: Vec<String> = provider.iter_errors(&document).map(|error| error.to_string()).collect();
        assert_eq!(errors.is_empty(), is_valid, "{document}: {errors:?}");
    }
    validators.insert("model-provider", provider);
    let mut seen = BTreeSet::new();
    for directory in plugins(scratch.path()) {
        for file in files_of(&directory) {
            for path in file.paths(&directory) {
                let (schema, path) = (file.schema.name, directory.join(path));
                let value = yaml(&path);
                let problems: Vec<String> = validators[schema]
                    .iter_errors(&value)
                    .map(|error| format!("{}: {error}", error.instance_path))
                    .collect();
                assert!(problems.is_empty(), "{} as {schema}:\n{}", path.display(), problems.join("\n"));
                seen.insert(schema);
            }
        }
    }
    for Schema { name, .. } in SCHEMAS {
        assert!(seen.contains(name), "no file is a {name}");
    }
}

#[test]
fn facts_beside_a_provider_have_the_schema_of_the_block() {
    let read = |name: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(root().join(format!("schemas/{name}.json"))).unwrap()).unwrap()
    };
    let (facts, provider) = (read("openai"), read("model-provider"));
    assert_eq!(facts["properties"], provider["properties"]["openai"]["properties"]);
    let validator = jsonschema::draft7::new(&facts).unwrap();
    let mut files = Vec::new();
    yaml_files(&root().join("src/providers/described/official"), &mut files);
    assert!(files.len() > 40, "{files:?}");
    for file in files {
        let errors: Vec<String> = validator.iter_errors(&yaml(&file)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", file.display());
    }
    for (document, is_valid) in [
        (json!({"base_url": "https://api.acme.com/v1", "chat": {"user": true}}), true),
        (json!({"bas_url": "https://api.acme.com/v1"}), false),
        (json!({"chat": {"user": 7}}), false),
        (json!([]), false),
    ] {
        assert_eq!(validator.is_valid(&document), is_valid, "{document}");
    }
    // An editor uses it for the file beside the provider's file.
    let scratch = TempDir::new().unwrap();
    run(scratch.path(), &["new", "chats", "--kind", "model", "--author", "someone"]);
    std::fs::write(scratch.path().join("chats/provider/chats.openai.yaml"), "base_url: https://api.acme.com/v1\n")
        .unwrap();
    std::fs::write(scratch.path().join("chats/provider/other.openai.yaml"), "").unwrap();
    run(scratch.path(), &["schema", "--install", "chats"]);
    let settings = std::fs::read_to_string(scratch.path().join("chats/.vscode/settings.json")).unwrap();
    let settings: Value = serde_json::from_str(&settings).unwrap();
    assert_eq!(settings["yaml.schemas"]["./.dify/schemas/openai.json"], json!(["provider/chats.openai.yaml"]));
    assert!(scratch.path().join("chats/.dify/schemas/openai.json").is_file());
}

#[test]
fn install_adds_the_plugin_to_the_settings_of_an_editor() {
    let scratch = TempDir::new().unwrap();
    run(scratch.path(), &["new", "weather", "--kind", "tool", "--author", "someone"]);
    let (plugin, settings) = (scratch.path().join("weather"), scratch.path().join("weather/.vscode/settings.json"));
    let own = json!({"editor.tabSize": 2, "yaml.schemas": {"https://example.com/other.json": "other.yaml"}});
    std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
    std::fs::write(&settings, own.to_string()).unwrap();
    let expected = json!({"editor.tabSize": 2, "yaml.schemas": {
        "https://example.com/other.json": "other.yaml",
        "./.dify/schemas/manifest.json": ["manifest.yaml"],
        "./.dify/schemas/tool-provider.json": ["provider/weather.yaml"],
        "./.dify/schemas/tool.json": ["tools/forecast.yaml"],
    }});
    for _ in 0..2 {
        run(scratch.path(), &["schema", "--install", "weather"]);
        assert_eq!(serde_json::from_str::<Value>(&std::fs::read_to_string(&settings).unwrap()).unwrap(), expected);
    }
    assert!(plugin.join(".dify/schemas/manifest.json").is_file());
    // The order of models is no model, although the pattern of models matches it.
    run(scratch.path(), &["new", "chats", "--kind", "model", "--author", "someone"]);
    run(scratch.path(), &["schema", "--install", "chats"]);
    let of_models = std::fs::read_to_string(scratch.path().join("chats/.vscode/settings.json")).unwrap();
    let of_models: Value = serde_json::from_str(&of_models).unwrap();
    assert_eq!(
        of_models["yaml.schemas"]["./.dify/schemas/model.json"],
        json!(["models/llm/*.yaml", "!_position.yaml"])
    );
    // Nothing of the user's is lost.
    for kept in ["// mine\n{}", "[]", "{\"yaml.schemas\": []}"] {
        std::fs::write(&settings, kept).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"));
        let output = command.current_dir(&plugin).args(["schema", "--install"]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains("was not changed"), "{kept}: {errors}");
        assert_eq!(std::fs::read_to_string(&settings).unwrap(), kept);
    }
    let output = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime")).args(["schema", "manifst"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("did you mean `manifest`?"));
}

#[test]
fn the_manual_page_has_every_command_and_option() {
    let page = run(root(), &["man"]).replace('\\', "");
    let out = TempDir::new().unwrap();
    run(root(), &["man", "--out", out.path().to_str().unwrap()]);
    let help = run(root(), &["--help"]);
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands: Vec<&str> = commands.filter(|name| !name.is_empty() && *name != "help").collect();
    assert!(commands.len() > 15 && commands.contains(&"workbench") && commands.contains(&"schema"), "{commands:?}");
    let completions = run(root(), &["completions", "bash"]);
    for command in commands {
        assert!(page.contains(&format!("dify-plugin-runtime-{command}(1)")), "{command}");
        let own = out.path().join(format!("dify-plugin-runtime-{command}.1"));
        let own = std::fs::read_to_string(own).unwrap().replace('\\', "");
        assert!(completions.contains(command), "{command}");
        let help = run(root(), &[command, "--help"]);
        // What the list of options begins a line with.
        let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        for option in lines.filter_map(|line| line.split([' ', ',']).find(|word| word.starts_with("--"))) {
            assert!(own.contains(option) && page.contains(option), "{command}: {option}");
            assert!(completions.contains(option), "{command}: {option} is not completed");
        }
    }
}

/// The errors that `check` has for a document, without what depends on the version of Dify.
fn errors(schema: &str, document: &Map<String, Value>) -> Vec<Problem> {
    let newest = json!({"meta": {"minimum_dify_version": "99.0.0"}});
    let (minimum, mut problems) = (Minimum::of_manifest(newest.as_object().unwrap()), Vec::new());
    let mut rules = Rules::new("file.yaml", &minimum, &mut problems);
    let kind = |name: &str| match name {
        "tool-provider" | "tool" => PluginKind::Tool,
        "endpoint-group" | "endpoint" => PluginKind::Endpoint,
        "agent-provider" | "agent-strategy" => PluginKind::AgentStrategy,
        "datasource-provider" | "datasource" => PluginKind::Datasource,
        _ => PluginKind::Trigger,
    };
    match schema {
        "manifest" => rules.manifest(document),
        "model-provider" => rules.provider(document),
        "model" => rules.model(document),
        "endpoint-group" => rules.kind_provider(document, PluginKind::Endpoint),
        name if name.ends_with("-provider") => rules.kind_provider(document, kind(name)),
        name => rules.part(document, "", kind(name)),
    }
    problems.retain(|problem| problem.severity == Severity::Error);
    problems
}

/// The places in a document, as pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                found.push(place.clone());
                places(member, &place, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate().take(2) {
                let place = format!("{at}/{index}");
                found.push(place.clone());
                places(item, &place, found);
            }
        }
        _ => {}
    }
}

fn without(document: &Value, place: &str) -> Option<Value> {
    let mut document = document.clone();
    let (owner, name) = place.rsplit_once('/')?;
    document.pointer_mut(owner)?.as_object_mut()?.remove(&name.replace("~1", "/").replace("~0", "~"))?;
    Some(document)
}

/// Codes of errors that a schema does not know: they compare two values, parse one, or ask another file.
const BEYOND_A_SCHEMA: &[&str] = &[
    "Decimal",
    "Range",
    "Timestamp",
    "Version",
    "NoOptions",
    "DefaultNoOption",
    "Scope",
    "SeveralValues",
    "EndpointPermission",
    "Together",
];

#[test]
fn schemas_and_check_agree_about_changed_files() {
    let (scratch, validators) = (TempDir::new().unwrap(), validators());
    let mut documents: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for directory in plugins(scratch.path()) {
        for file in files_of(&directory) {
            for path in file.paths(&directory) {
                let of_name = documents.entry(file.schema.name).or_default();
                let value = yaml(&directory.join(path));
                if value.is_object() && of_name.len() < 4 && !value.to_string().contains("\"use\"") {
                    of_name.push(value);
                }
            }
        }
    }
    let values = [
        json!(7),
        json!(-1.5),
        json!(true),
        json!(""),
        json!("unknown"),
        json!("0.15.0"),
        json!("x".repeat(2000)),
        json!([]),
        json!([7]),
        json!({}),
        json!({"en_US": ""}),
        Value::Null,
    ];
    let (mut count, mut stricter, mut laxer) = (0, BTreeMap::new(), BTreeMap::new());
    for (name, documents) in documents.iter().filter(|(name, _)| **name != "position") {
        assert!(!documents.is_empty(), "{name}");
        for document in documents {
            let mut all = Vec::new();
            places(document, "", &mut all);
            for place in all {
                let changed = values.iter().filter_map(|value| {
                    let mut document = document.clone();
                    *document.pointer_mut(&place)? = value.clone();
                    Some((value.to_string(), document))
                });
                let removed = without(document, &place).map(|document| ("nothing".to_owned(), document));
                for (value, document) in changed.chain(removed) {
                    count += 1;
                    let problems = errors(name, document.as_object().unwrap());
                    let is_valid = validators[name].is_valid(&document);
                    let value: String = value.chars().take(20).collect();
                    let plain: String = place
                        .split('/')
                        .map(|step| if step.parse::<u32>().is_ok() { "0" } else { step })
                        .collect::<Vec<_>>()
                        .join("/");
                    match (is_valid, problems.first()) {
                        (false, None) => _ = stricter.entry(format!("{name}{plain}")).or_insert(value),
                        (true, Some(problem))
                            if !plain.ends_with("/scope")
                                && problems.iter().all(|problem| {
                                    !BEYOND_A_SCHEMA.contains(&format!("{:?}", problem.code).as_str())
                                }) =>
                        {
                            _ = laxer.entry(format!("{name}{plain}: {:?}", problem.code)).or_insert(value);
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    assert!(count > 5000, "{count}");
    let list = |found: &BTreeMap<String, String>| {
        found.iter().map(|(place, value)| format!("  {place} = {value}\n")).collect::<String>()
    };
    assert!(
        stricter.is_empty() && laxer.is_empty(),
        "a schema rejects what check accepts:\n{}check rejects what a schema accepts:\n{}",
        list(&stricter),
        list(&laxer)
    );
}
