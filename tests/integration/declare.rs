//! Wrong declarations: each is named with file, path, what was found and what is allowed. And our own are right.

use std::path::Path;
use std::process::Command;

use crate::support::{model_package, written};
use dify_plugin::declare::{self, Problem, Severity, remote};
use tempfile::TempDir;

fn plugin(changes: &[(&str, &str, &str)]) -> TempDir {
    written::directory(model_package::FILES, changes)
}

fn problems(changes: &[(&str, &str, &str)]) -> Vec<Problem> {
    declare::check(plugin(changes).path())
}

/// File, text, its replacement, the beginning of the problem.
const WRONG: &[(&str, &str, &str, &str)] = &[
    ("manifest.yaml", "version: 0.1.0", "version: 0.1", "manifest.yaml: version: must be a version such as"),
    (
        "manifest.yaml",
        "author: acme",
        "author: Acme",
        "manifest.yaml: author: must consist of 1 to 64 characters from a-z",
    ),
    ("manifest.yaml", "type: plugin", "type: bundle", "manifest.yaml: type: must be one of plugin, found \"bundle\""),
    ("manifest.yaml", "icon: icon.svg", "icon: gone.svg", "manifest.yaml: icon: _assets/gone.svg does not exist"),
    (
        "manifest.yaml",
        "memory: 1048576",
        "memory: 0",
        "manifest.yaml: resource.memory: must be a nonzero number of bytes",
    ),
    (
        "manifest.yaml",
        "permission: {}",
        "permission: {storage: {enabled: true, size: 0}}",
        "manifest.yaml: resource.permission.storage.size: must be 1024 to",
    ),
    ("manifest.yaml", "- amd64", "- riscv", "manifest.yaml: meta.arch[0]: must be one of amd64, arm64"),
    (
        "manifest.yaml",
        "language: python",
        "language: rust",
        "manifest.yaml: meta.runner.language: must be one of python",
    ),
    (
        "manifest.yaml",
        "2026-01-31T00:00:00Z",
        "\"2026-01-31T00:00:00\"",
        "manifest.yaml: created_at: must be a timestamp with a time zone",
    ),
    ("manifest.yaml", "created_at:", "tags: [fun]\ncreated_at:", "manifest.yaml: tags[0]: must be one of search"),
    ("manifest.yaml", "created_at:", "repo: \"\"\ncreated_at:", "manifest.yaml: repo: must be a URL"),
    (
        "manifest.yaml",
        "  models:\n",
        "  tools: [a.yaml]\n  models:\n",
        "manifest.yaml: plugins: a model plugin cannot contain other plugin types",
    ),
    ("manifest.yaml", "provider/acme.yaml", "provider/none.yaml", "provider/none.yaml: does not exist"),
    ("manifest.yaml", "provider/acme.yaml", "../acme.yaml", "../acme.yaml: must be a path inside the package"),
    ("provider/acme.yaml", "- llm", "- chat", "provider/acme.yaml: supported_model_types[0]: must be one of llm"),
    (
        "provider/acme.yaml",
        "predefined-model",
        "fetch-from-remote",
        "provider/acme.yaml: configurate_methods[0]: must be one of",
    ),
    (
        "provider/acme.yaml",
        "secret-input",
        "password",
        "provider/acme.yaml: provider_credential_schema.credential_form_schemas[0].type: must be one of",
    ),
    (
        "provider/acme.yaml",
        "        - value: eu\n          label:\n            en_US: Europe\n",
        "        []\n",
        "provider/acme.yaml: provider_credential_schema.credential_form_schemas[1].options: a select or radio",
    ),
    (
        "provider/acme.yaml",
        "  en_US: icon.svg",
        "  en_US: icon.svg\n  zh_Hans: gone.svg",
        "provider/acme.yaml: icon_small.zh_Hans: _assets/gone.svg does not exist",
    ),
    (
        "provider/acme.yaml",
        "  llm:\n",
        "  text-embedding:\n",
        "provider/acme.yaml: models.text-embedding: is not a known model type and would be ignored",
    ),
    (
        "provider/acme.yaml",
        "_position.yaml",
        "_order.yaml",
        "provider/acme.yaml: models.llm.position: models/llm/_order.yaml does not exist",
    ),
    (
        "models/llm/acme-1.yaml",
        "model_type: llm",
        "model_type: text2img",
        "models/llm/acme-1.yaml: model_type: must be one of",
    ),
    ("models/llm/acme-1.yaml", "- vision", "- sight", "models/llm/acme-1.yaml: features[0]: must be one of tool-call"),
    (
        "models/llm/acme-1.yaml",
        "mode: chat",
        "modus: chat",
        "models/llm/acme-1.yaml: model_properties.modus: is unknown",
    ),
    (
        "models/llm/acme-1.yaml",
        "use_template: temperature",
        "use_template: heat",
        "models/llm/acme-1.yaml: parameter_rules[0].use_template: must be one of",
    ),
    (
        "models/llm/acme-1.yaml",
        "type: string",
        "type: str",
        "models/llm/acme-1.yaml: parameter_rules[1].type: must be one of",
    ),
    (
        "models/llm/acme-1.yaml",
        "type: string",
        "type: string\n    default: [a]",
        "models/llm/acme-1.yaml: parameter_rules[1].default: must be a number, a string",
    ),
    (
        "models/llm/acme-1.yaml",
        "type: string",
        "type: string\n    min: 2\n    max: 1",
        "models/llm/acme-1.yaml: parameter_rules[1].min: 2 is greater than max 1",
    ),
    (
        "models/llm/acme-1.yaml",
        "input: \"0.1\"",
        "input: cheap",
        "models/llm/acme-1.yaml: pricing.input: must be a decimal number",
    ),
    (
        "models/llm/acme-1.yaml",
        "input: \"0.1\"",
        "input: \"0.1\"\n  cached: cheap",
        "models/llm/acme-1.yaml: pricing.cached: must be a decimal number, found \"cheap\"",
    ),
    (
        "models/llm/acme-1.yaml",
        "input: \"0.1\"",
        "input: \"0.1\"\n  tiered_pricing: [{max_tokens: 9, input: 1}, {max_tokens: 9.5, input: x}]",
        "models/llm/acme-1.yaml: pricing.tiered_pricing[1].input: must be a decimal number, found \"x\"",
    ),
    (
        "models/llm/acme-1.yaml",
        "input: \"0.1\"",
        "input: \"0.1\"\n  tiered_pricing: [{max_tokens: many, input: 1}]",
        "models/llm/acme-1.yaml: pricing.tiered_pricing[0].max_tokens: must be a number of tokens, found \"many\"",
    ),
    ("models/llm/acme-1.yaml", "model: acme-1\n", "", "models/llm/acme-1.yaml: model: is required but missing"),
    ("models/llm/acme-1.yaml", "label:\n", "label: [\n", "models/llm/acme-1.yaml: is not YAML"),
    (
        "manifest.yaml",
        "author: acme",
        "author: other\nauthor: acme",
        "manifest.yaml: author: is here a second time; the daemon refuses the file (line",
    ),
    (
        "provider/acme.yaml",
        "      required: true",
        "      required: true\n      type: text-input",
        "provider/acme.yaml: provider_credential_schema.credential_form_schemas[0].type: is here a second time",
    ),
    (
        "models/llm/acme-1.yaml",
        "  mode: chat",
        "  mode: chat\n  \"mode\": chat",
        "models/llm/acme-1.yaml: model_properties.mode: is here a second time",
    ),
    (
        "manifest.yaml",
        "created_at:",
        "tags: [rag]\ncreated_at:",
        "manifest.yaml: tags[0]: `rag` can be read by Dify 1.9.0 and later only, and this package names no Dify",
    ),
    (
        "manifest.yaml",
        "  models:\n",
        "  triggers: [a.yaml]\n  models:\n",
        "manifest.yaml: plugins.triggers: `triggers` can be read by Dify 1.10.0 and later only",
    ),
    (
        "manifest.yaml",
        "  arch:",
        "  minimum_dify_version: 1.15\n  arch:",
        "manifest.yaml: meta.minimum_dify_version: must be a version of Dify like 1.3.0, as text, found 1.15",
    ),
    (
        "models/llm/acme-1.yaml",
        "- vision",
        "- polling",
        "models/llm/acme-1.yaml: features[0]: `polling` can be read by Dify 1.15.0 and later only",
    ),
    (
        "models/llm/acme-1.yaml",
        "- vision",
        "- structured-output",
        "models/llm/acme-1.yaml: features[0]: `structured-output` can be read by Dify 1.3.0 and later only",
    ),
    (
        "provider/acme.yaml",
        "label:",
        "package: {tags: [rag], minimum_dify_version: latest}\nlabel:",
        "provider/acme.yaml: package.minimum_dify_version: must be a version of Dify",
    ),
];

#[test]
fn the_plain_plugin_is_right() {
    assert_eq!(problems(&[]), []);
}

#[test]
fn every_wrong_declaration_is_named() {
    for (file, from, to, expected) in WRONG {
        let found = problems(&[(file, from, to)]);
        let errors: Vec<String> =
            found.iter().filter(|problem| problem.severity == Severity::Error).map(ToString::to_string).collect();
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{file}: `{from}` → `{to}`: {errors:?}");
    }
}

/// A package must not contain what the Dify that it names cannot read: that one would refuse its whole list of providers.
#[test]
fn each_package_is_held_to_the_dify_that_it_names() {
    let names =
        |version: &str| ("manifest.yaml", "  arch:".to_owned(), format!("  minimum_dify_version: {version}\n  arch:"));
    let own = |version: &str| {
        // Two providers: each has a package of its own.
        let package = format!("package: {{minimum_dify_version: {version}}}\nprovider: acme");
        ("provider/acme.yaml", "provider: acme".to_owned(), package)
    };
    let second = (
        "manifest.yaml",
        "    - provider/acme.yaml\n".to_owned(),
        "    - provider/acme.yaml\n    - provider/b.yaml\n".to_owned(),
    );
    let feature = |name: &str| ("models/llm/acme-1.yaml", "- vision".to_owned(), format!("- {name}"));
    for (changes, expected) in [
        (
            vec![names("1.2.9"), feature("structured-output")],
            Some("Write 1.3.0 as `meta.minimum_dify_version` of manifest.yaml"),
        ),
        (vec![names("1.3.0"), feature("structured-output")], None),
        (vec![names("1.9.0"), feature("polling")], Some("this package is for Dify 1.9.0 and later")),
        (vec![names("1.14.2"), feature("polling")], Some("Write 1.15.0 as")),
        (vec![names("1.15.0"), feature("polling")], None),
        (vec![names("2.0.0-rc1"), feature("polling")], None),
        (vec![names("1.3.0"), feature("audio")], None),
        (vec![names("1.3.0"), own("1.15.0"), second.clone(), feature("polling")], None),
        (
            vec![names("1.15.0"), own("1.14.0"), second.clone(), feature("polling")],
            Some("`package.minimum_dify_version` of provider/acme.yaml"),
        ),
        // With one provider the manifest is that of the package.
        (
            vec![names("1.14.0"), own("1.15.0"), feature("polling")],
            Some("`meta.minimum_dify_version` of manifest.yaml"),
        ),
    ] {
        let borrowed: Vec<(&str, &str, &str)> =
            changes.iter().map(|(file, from, to)| (*file, from.as_str(), to.as_str())).collect();
        let directory = plugin(&borrowed);
        let file = |name: &str| directory.path().join(name);
        std::fs::write(
            file("provider/b.yaml"),
            model_package::PROVIDER.replacen("acme", "b", 1).replace("models/llm", "other"),
        )
        .unwrap();
        std::fs::create_dir(file("other")).unwrap();
        std::fs::write(file("other/b.yaml"), model_package::MODEL).unwrap();
        std::fs::write(file("other/_position.yaml"), "- acme-1").unwrap();
        let found = declare::check(directory.path());
        let errors: Vec<String> =
            found.iter().filter(|problem| problem.severity == Severity::Error).map(ToString::to_string).collect();
        match expected {
            Some(expected) => assert!(errors.iter().any(|error| error.contains(expected)), "{borrowed:?}: {errors:?}"),
            None => assert!(errors.is_empty(), "{borrowed:?}: {errors:?}"),
        }
    }
    let early = problems(&[("manifest.yaml", "  arch:", "  minimum_dify_version: 0.15.3\n  arch:")]);
    assert_eq!(early.len(), 1, "{early:?}");
    assert!(early[0].severity == Severity::Warning && early[0].message.contains("runs no plugins"), "{early:?}");
}

#[test]
fn reports_all_problems_and_fails() {
    let changes: Vec<_> = [0, 1, 14, 22].map(|index: usize| (WRONG[index].0, WRONG[index].1, WRONG[index].2)).to_vec();
    let directory = plugin(&changes);
    let output =
        Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime")).arg("check").arg(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let shown = String::from_utf8(output.stdout).unwrap();
    for expected in [
        "error[D016]: `version` must be a version such as 1.2.3, found 0.1\n --> manifest.yaml:1:10\n",
        "error[D015]: `author` must consist of 1 to 64 characters",
        "error[D012]: `features[0]` is none of the allowed names, found \"sight\"\n --> models/llm/acme-1.yaml:6:5\n",
        "error[D012]: `supported_model_types[0]` must be one of llm, text-embedding, rerank",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(
        shown.trim_end().ends_with("\n4 errors, 1 warning; for more about a code, run `check --explain D016`"),
        "{shown}"
    );
    assert!(declare::load(directory.path()).is_err());
}

#[test]
fn what_dify_forgives_is_a_warning() {
    let cases = [
        ("models/llm/_position.yaml", "- acme-1", "- acme-1\n- acme-2", "no model `acme-2` is declared"),
        ("provider/acme.yaml", "models/llm/*.yaml", "models/none/*.yaml", "matches no model files"),
    ];
    for (file, from, to, expected) in cases {
        let found = problems(&[(file, from, to)]);
        assert!(found.iter().all(|problem| problem.severity == Severity::Warning), "{found:?}");
        assert!(found.iter().any(|problem| problem.message.contains(expected)), "{found:?}");
    }
}

#[test]
fn prices_by_length_that_are_never_used_are_a_warning() {
    for (tiers, expected) in [
        (
            "[{max_tokens: 9, input: 1}, {max_tokens: 9, input: 2}]",
            "[1].max_tokens: must be larger than that of the one before",
        ),
        ("[{input: 1}, {max_tokens: 9, input: 2}]", "[1]: is never used: the one before has no max_tokens"),
        ("[{max_tokens: 9, input: 1}, {input: 2}]", ""),
    ] {
        let to = format!("input: \"0.1\"\n  tiered_pricing: {tiers}");
        let found = problems(&[("models/llm/acme-1.yaml", "input: \"0.1\"", &to)]);
        let expected = format!("warning: models/llm/acme-1.yaml: pricing.tiered_pricing{expected}");
        let is_named = found.iter().any(|problem| problem.to_string().starts_with(&expected));
        assert_eq!(
            (is_named, found.len()),
            (!expected.ends_with("pricing"), usize::from(is_named)),
            "{tiers}: {found:?}"
        );
    }
}

#[test]
fn what_dify_draws_otherwise_is_a_warning() {
    let field = "    - variable: region\n";
    let again =
        format!("    - variable: api_key\n      label: {{en_US: Express key}}\n      type: secret-input\n{field}");
    let member = |text: &str| format!("      type: secret-input\n{text}");
    let cases: &[(&str, &str, &str)] = &[
        (field, &again, "[1].variable: `api_key` appears twice in this form; Dify draws each with the label"),
        ("      type: secret-input\n", &member("      help: {en_US: Look there}\n"), "[0].help: is not shown by Dify"),
        ("      type: secret-input\n", &member("      url: https://a\n"), "[0].url: is not shown by Dify"),
        ("      type: secret-input\n", &member("      tooltip: {en_US: a}\n"), "[0].tooltip: is not shown by Dify"),
        ("      type: secret-input\n", &member("      default: a\n"), "[0].default: of a secret may be stored"),
        ("      type: secret-input\n", "      type: switch\n", "[0].type: is drawn by Dify without a control"),
        (
            "      type: secret-input\n",
            &member("      placeholder: {en_US: one, two}\n"),
            "[0].placeholder.two: is not a language; expected one of en_US",
        ),
        (
            "      type: secret-input\n",
            &member("      show_on: [{variable: regoin, value: eu}]\n"),
            "[0].show_on[0]: never holds: this form has no field `regoin`",
        ),
        (
            "      type: secret-input\n",
            &member("      show_on: [{variable: region, value: us}]\n"),
            "[0].show_on[0]: never holds: `us` is not an option of `region`",
        ),
        (
            "      type: secret-input\n",
            &member("      show_on: [{variable: __model_type, value: llm}]\n"),
            "[0].show_on[0]: never holds: only `model_credential_schema` has a model",
        ),
        (
            "        - value: eu\n",
            "        - value: eu\n          show_on: [{variable: api, value: eu}]\n",
            "[1].options[0].show_on[0]: never holds: this form has no field `api`",
        ),
    ];
    let place = "provider/acme.yaml: provider_credential_schema.credential_form_schemas";
    for (from, to, expected) in cases {
        let found = problems(&[("provider/acme.yaml", from, to)]);
        assert!(found.iter().all(|problem| problem.severity == Severity::Warning), "{to}: {found:?}");
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|problem| problem.contains(&format!("{place}{expected}"))), "{to}: {found:?}");
    }
    let region = "      show_on: [{variable: region, value: eu}]\n";
    assert_eq!(problems(&[("provider/acme.yaml", "      type: secret-input\n", &member(region))]), []);
}

#[test]
fn habits_of_authors_are_read() {
    for (file, from, to) in [
        ("manifest.yaml", "version: 0.1.0", "\u{feff}version: 0.1.0"),
        ("manifest.yaml", "created_at: 2026-01-31T00:00:00Z", "created_at: 2026-01-31"),
        ("provider/acme.yaml", "required: true", "required: yes"),
        ("models/llm/acme-1.yaml", "label:\n  en_US: Acme 1\n", ""),
        ("models/llm/acme-1.yaml", "input: \"0.1\"", "input: 1e-1"),
    ] {
        let directory = plugin(&[(file, from, to)]);
        assert!(declare::load(directory.path()).is_ok(), "{to}: {:?}", declare::check(directory.path()));
    }
}

#[test]
fn templates_labels_and_positions_are_filled_in() {
    let directory = plugin(&[]);
    std::fs::write(directory.path().join("models/llm/a-2.yaml"), model_package::MODEL.replace("acme-1", "acme-2"))
        .unwrap();
    std::fs::write(directory.path().join("models/llm/_position.yaml"), "- acme-2\n- acme-1\n").unwrap();
    let loaded = declare::load(directory.path()).unwrap();
    let names: Vec<&str> = loaded.providers[0].models.iter().map(|model| model.model.as_str()).collect();
    assert_eq!(names, ["acme-2", "acme-1"]);
    let rule = loaded.providers[0].models[0].rule("temperature").unwrap();
    assert_eq!((rule.min, rule.max, rule.precision), (Some(0.0), Some(1.0), Some(2)));
    assert_eq!(rule.label.en_us, "Temperature");
    let sent = remote::provider(&loaded.providers[0]);
    assert_eq!(sent["models"].as_array().unwrap().len(), 2);
    assert_eq!(sent["position"]["llm"], serde_json::json!(["acme-2", "acme-1"]));
    assert_eq!(sent["label"]["ja_JP"], "Acme");
    assert_eq!(sent["models"][0]["label"]["zh_Hans"], "Acme 1");
}

#[test]
fn our_own_declarations_have_no_errors_and_one_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let errors: Vec<Problem> =
        declare::check(root).into_iter().filter(|problem| problem.severity == Severity::Error).collect();
    assert_eq!(errors, []);
    let loaded = declare::load(root).unwrap();
    assert_eq!(loaded.manifest.text("version"), env!("CARGO_PKG_VERSION"));
    let mut names = Vec::new();
    for provider in &loaded.providers {
        let manifest = loaded.manifest.derive(&provider.declaration, &provider.file);
        names.push(manifest.text("name").to_owned());
        assert_eq!(manifest.provider_files(), std::slice::from_ref(&provider.file));
        let registration = remote::registration(&loaded, provider, remote::Identity::Own).unwrap();
        assert!(registration.assets.iter().all(|(_, bytes)| !bytes.is_empty()));
    }
    names.dedup();
    assert_eq!(names.len(), 5);
}
