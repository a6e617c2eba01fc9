//! Declarations of every kind of plugin but models: right ones load and are registered as the daemon's entities, wrong ones
//! are named with file, path and what is allowed.

use std::process::Command;

use crate::support::{kind_packages, written};
use dify_plugin::declare::remote::{self, Identity};
use dify_plugin::declare::{self, Declarations, Problem, Severity};
use serde_json::{Value, json};
use tempfile::TempDir;

const KINDS: [&str; 4] = ["tools", "agent_strategies", "datasources", "triggers"];

/// File, text, its replacement.
type Change<'a> = (&'a str, &'a str, &'a str);

fn package(kind: &str, changes: &[Change<'_>]) -> TempDir {
    let files = kind_packages::files(kind);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    written::directory(&files, changes)
}

fn problems(kind: &str, changes: &[Change<'_>]) -> Vec<Problem> {
    declare::check(package(kind, changes).path())
}

fn load(kind: &str) -> Declarations {
    declare::load(package(kind, &[]).path()).unwrap()
}

/// Asserts that a change makes one problem of a severity: the beginning of how it is shown.
fn assert_problem(severity: Severity, (kind, file, from, to, expected): (&str, &str, &str, &str, &str)) {
    let problems = problems(kind, &[(file, from, to)]);
    let is_expected = |problem: &&Problem| {
        let shown = problem.to_string();
        problem.severity == severity && shown.trim_start_matches("warning: ").starts_with(expected)
    };
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.iter().filter(is_expected).count(), 1, "{to} in {file}: {shown:#?}");
    let has_errors = problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(has_errors, severity == Severity::Error, "{to} in {file}: {shown:#?}");
}

#[test]
fn right_packages_have_no_problem() {
    for kind in KINDS {
        assert_eq!(problems(kind, &[]), [], "{kind}");
    }
}

#[test]
fn check_counts_what_a_package_declares() {
    for (kind, expected) in [
        ("tools", "1 tools, 2 endpoints: no problems found\n"),
        ("agent_strategies", "1 strategies: no problems found\n"),
        ("datasources", "1 datasources: no problems found\n"),
        ("triggers", "1 events: no problems found\n"),
    ] {
        let directory = package(kind, &[]);
        let output =
            Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime")).arg("check").arg(directory.path()).output();
        let output = output.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
        assert!(output.status.success());
    }
}

/// Kind, file, text, its replacement, the beginning of the error.
const WRONG: &[(&str, &str, &str, &str, &str)] = &[
    // What one package may hold.
    ("tools", "manifest.yaml", "  endpoints: [", "  triggers: [", "manifest.yaml: plugins: tools can be in no package"),
    (
        "tools",
        "manifest.yaml",
        "tools: [",
        "tools: [tools/forecast.yaml, ",
        "manifest.yaml: plugins.tools: lists 2 files",
    ),
    ("triggers", "manifest.yaml", "[provider/acme.yaml]", "[gone.yaml]", "gone.yaml: does not exist"),
    (
        "tools",
        "provider/acme.yaml",
        "- tools/forecast.yaml",
        "- tools/gone.yaml",
        "provider/acme.yaml: tools[0]: tools/gone.yaml does not exist",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "- tools/forecast.yaml",
        "- ../forecast.yaml",
        "provider/acme.yaml: tools[0]: ../forecast.yaml must be a path inside the package",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "- tools/forecast.yaml",
        "- 7",
        "provider/acme.yaml: tools[0]: must be the path of a file, found 7",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "tools:\n  - tools/forecast.yaml",
        "tools: tools/forecast.yaml",
        "provider/acme.yaml: tools: must be a list of paths",
    ),
    // What an older Dify cannot read.
    (
        "datasources",
        "manifest.yaml",
        "1.10.0",
        "1.8.0",
        "manifest.yaml: plugins.datasources: `datasources` can be read by Dify 1.9.0",
    ),
    (
        "triggers",
        "manifest.yaml",
        "1.10.0",
        "1.9.0",
        "manifest.yaml: plugins.triggers: `triggers` can be read by Dify 1.10.0",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "type: number",
        "type: date",
        "tools/forecast.yaml: parameters[1].type: must be one of string",
    ),
    // Permissions.
    (
        "tools",
        "manifest.yaml",
        "endpoint: {enabled: true}",
        "endpoint: {enabled: false}",
        "manifest.yaml: resource.permission.endpoint.enabled: must be true",
    ),
    (
        "tools",
        "manifest.yaml",
        "endpoint: {enabled: true}",
        "app: {enabled: true}",
        "manifest.yaml: resource.permission.endpoint.enabled: must be true",
    ),
    (
        "tools",
        "manifest.yaml",
        "llm: true",
        "llm: some",
        "manifest.yaml: resource.permission.model.llm: must be true or false, found \"some\"",
    ),
    (
        "tools",
        "manifest.yaml",
        "size: 1048576",
        "size: 1",
        "manifest.yaml: resource.permission.storage.size: must be 1024 to",
    ),
    // Identities and tags.
    (
        "tools",
        "provider/acme.yaml",
        "  name: acme",
        "  name: Acme",
        "provider/acme.yaml: identity.name: must be of the characters a-z, 0-9",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "  author: acme",
        "  author: \"\"",
        "provider/acme.yaml: identity.author: must not be empty",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "icon: icon.svg",
        "icon: gone.svg",
        "provider/acme.yaml: identity.icon: _assets/gone.svg does not exist",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "icon: icon.svg",
        "icon: icon.svg\n  icon_dark: ../icon.svg",
        "provider/acme.yaml: identity.icon_dark: _assets/../icon.svg must be a path inside",
    ),
    (
        "triggers",
        "provider/acme.yaml",
        "  icon: icon.svg\n",
        "",
        "provider/acme.yaml: identity.icon: is required but missing",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "tags: [utilities]",
        "tags: [agent]",
        "provider/acme.yaml: identity.tags[0]: must be one of search",
    ),
    (
        "datasources",
        "provider/acme.yaml",
        "icon: icon.svg",
        "icon: icon.svg\n  tags: [trigger]",
        "provider/acme.yaml: identity.tags[0]: must be one of search",
    ),
    (
        "triggers",
        "provider/acme.yaml",
        "icon: icon.svg",
        "icon: icon.svg\n  tags: [webhooks]",
        "provider/acme.yaml: identity.tags[0]: must be one of search",
    ),
    (
        "agent_strategies",
        "provider/acme.yaml",
        "  description: {en_US: Plans}\n",
        "",
        "provider/acme.yaml: identity.description: is required but missing",
    ),
    (
        "datasources",
        "provider/acme.yaml",
        "  description: {en_US: Files of Acme}\n",
        "",
        "provider/acme.yaml: identity.description: is required but missing",
    ),
    (
        "datasources",
        "datasources/drive.yaml",
        "icon: icon.svg",
        "icon: gone.svg",
        "datasources/drive.yaml: identity.icon: _assets/gone.svg does not exist",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "name: forecast",
        "name: fore cast",
        "tools/forecast.yaml: identity.name: must be of the characters a-z, A-Z",
    ),
    (
        "triggers",
        "events/push.yaml",
        "name: push",
        "name: pu/sh",
        "events/push.yaml: identity.name: must be of the characters",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "  label: {en_US: Forecast, zh_Hans: 预报}",
        "  label: {zh_Hans: 预报}",
        "tools/forecast.yaml: identity.label.en_US: must be a string of 1 to 1023",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "  llm: Tells the weather of a place.\n",
        "",
        "tools/forecast.yaml: description.llm: is required but missing",
    ),
    (
        "triggers",
        "events/push.yaml",
        "description: {en_US: Something was pushed}\n",
        "",
        "events/push.yaml: description: is required but missing",
    ),
    // Fields of forms.
    (
        "tools",
        "provider/acme.yaml",
        "type: secret-input",
        "type: password",
        "provider/acme.yaml: credentials_for_provider.api_key.type: must be one of secret-input",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "    label: {en_US: Key}\n",
        "",
        "provider/acme.yaml: credentials_for_provider.api_key.label: is required but missing",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "      - {value: eu, label: {en_US: Europe}}\n      - {value: us, label: {en_US: America}}\n",
        "      []\n",
        "provider/acme.yaml: credentials_for_provider.region.options: a select field needs",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "default: eu",
        "default: [eu]",
        "provider/acme.yaml: credentials_for_provider.region.default: must be a string, a number or a boolean; found",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "required: true",
        "required: often",
        "provider/acme.yaml: credentials_for_provider.api_key.required: must be true or false",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "required: true",
        "scope: all",
        "provider/acme.yaml: credentials_for_provider.api_key.scope: is allowed for app-selector and model-selector only",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "client_schema:\n    - {",
        "client_schema:\n    client: {",
        "provider/acme.yaml: oauth_schema.client_schema: must be a list",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "  credentials_schema:\n    - {",
        "  other:\n    - {",
        "provider/acme.yaml: oauth_schema.credentials_schema: is required but missing",
    ),
    (
        "triggers",
        "provider/acme.yaml",
        "    client_schema:\n      - {name: client_id, type: text-input, label: {en_US: Client}}\n",
        "",
        "provider/acme.yaml: subscription_constructor.oauth_schema.client_schema: is required but missing",
    ),
    (
        "tools",
        "endpoints/acme.yaml",
        "settings:\n",
        "settings: null\nother:\n",
        "endpoints/acme.yaml: settings: is required but missing",
    ),
    (
        "tools",
        "endpoints/acme.yaml",
        "scope: chat",
        "scope: chat&workflow",
        "endpoints/acme.yaml: settings[1].scope: must be one of all, chat, workflow, completion",
    ),
    (
        "tools",
        "endpoints/acme.yaml",
        "type: app-selector\n    scope: chat",
        "type: model-selector\n    scope: tool-call&llm",
        "endpoints/acme.yaml: settings[1].scope: must be one of llm",
    ),
    (
        "tools",
        "endpoints/acme.yaml",
        "type: app-selector\n    scope: chat",
        "type: model-selector\n    scope: document",
        "endpoints/acme.yaml: settings[1].scope: must be one of llm",
    ),
    (
        "tools",
        "endpoints/acme.yaml",
        "  - name: app\n",
        "  -\n",
        "endpoints/acme.yaml: settings[1].name: is required but missing",
    ),
    (
        "datasources",
        "provider/acme.yaml",
        "    label: {en_US: Token}\n",
        "",
        "provider/acme.yaml: credentials_schema[0].label: is required but missing",
    ),
    (
        "triggers",
        "provider/acme.yaml",
        "type: secret-input",
        "type: string",
        "provider/acme.yaml: subscription_schema[0].type: must be one of secret-input",
    ),
    (
        "triggers",
        "provider/acme.yaml",
        "    access_token:\n      type: secret-input",
        "    access_token:\n      type: token",
        "provider/acme.yaml: subscription_constructor.credentials_schema.access_token.type: must be",
    ),
    // Endpoints.
    (
        "tools",
        "endpoints/hook.yaml",
        "method: POST",
        "method: PATCH",
        "endpoints/hook.yaml: method: must be one of HEAD, GET, POST, PUT, DELETE, OPTIONS, found \"PATCH\"",
    ),
    ("tools", "endpoints/hook.yaml", "path: /hook/<id>\n", "", "endpoints/hook.yaml: path: is required but missing"),
    (
        "tools",
        "endpoints/acme.yaml",
        "method: GET, ",
        "",
        "endpoints/acme.yaml: endpoints[1].method: must be one of HEAD",
    ),
    (
        "tools",
        "endpoints/acme.yaml",
        "hidden: true",
        "hidden: maybe",
        "endpoints/acme.yaml: endpoints[1].hidden: must be true or false",
    ),
    // Parameters of tools.
    (
        "tools",
        "tools/forecast.yaml",
        "- name: place",
        "- name: \"\"",
        "tools/forecast.yaml: parameters[0].name: must not be empty",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "type: string",
        "type: text",
        "tools/forecast.yaml: parameters[0].type: must be one of string, number",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "type: string",
        "type: array[tools]",
        "tools/forecast.yaml: parameters[0].type: must be one of string, number",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "type: string",
        "type: date-range",
        "tools/forecast.yaml: parameters[0].type: must be one of string, number",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "type: string",
        "type: dynamic-tree-select",
        "tools/forecast.yaml: parameters[0].type: must be one of string, number",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "form: llm",
        "form: model",
        "tools/forecast.yaml: parameters[0].form: must be one of llm, form, schema",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "    human_description: {en_US: Where}\n",
        "",
        "tools/forecast.yaml: parameters[0].human_description: is required but missing",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "type: string",
        "type: string\n    multiple: true",
        "tools/forecast.yaml: parameters[0].multiple: is allowed for select, dynamic-select and checkbox only, found string",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "type: string",
        "type: string\n    scope: all",
        "tools/forecast.yaml: parameters[0].scope: is allowed for app-selector, model-selector, any only",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "scope: tool-call&llm",
        "scope: all",
        "tools/forecast.yaml: parameters[3].scope: must be one of llm",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "min: 1",
        "min: 11",
        "tools/forecast.yaml: parameters[1].min: 11 is greater than max 10",
    ),
    ("tools", "tools/forecast.yaml", "min: 1", "min: one", "tools/forecast.yaml: parameters[1].min: must be a number"),
    (
        "tools",
        "tools/forecast.yaml",
        "precision: 0",
        "precision: 0.5",
        "tools/forecast.yaml: parameters[1].precision: must be an integer",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "{value: metric, label",
        "{label",
        "tools/forecast.yaml: parameters[2].options[0].value: must be a string, found nothing",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "parameters:\n  - name: place",
        "parameters:\n  place:\n    name: place",
        "tools/forecast.yaml: is not YAML",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "output_schema:\n  type: object",
        "output_schema: []\nother:\n  type: object",
        "tools/forecast.yaml: output_schema: must be an object",
    ),
    // Parameters of the other kinds.
    (
        "agent_strategies",
        "strategies/plan.yaml",
        "type: number",
        "type: object",
        "strategies/plan.yaml: parameters[4].type: must be one of string",
    ),
    (
        "agent_strategies",
        "strategies/plan.yaml",
        "type: number",
        "type: array",
        "strategies/plan.yaml: parameters[4].type: must be one of string",
    ),
    (
        "agent_strategies",
        "strategies/plan.yaml",
        "default: 3",
        "default: [3]",
        "strategies/plan.yaml: parameters[4].default: must be a string, a number or a boolean",
    ),
    (
        "agent_strategies",
        "strategies/plan.yaml",
        "type: prompt_instruction",
        "type: poem",
        "strategies/plan.yaml: parameters[2].auto_generate.type: must be one of prompt_instruction",
    ),
    (
        "agent_strategies",
        "strategies/plan.yaml",
        "[history-messages]",
        "[history]",
        "strategies/plan.yaml: features[0]: must be one of history-messages",
    ),
    (
        "datasources",
        "datasources/drive.yaml",
        "type: number",
        "type: file",
        "datasources/drive.yaml: parameters[0].type: must be one of string, number, boolean, select, secret-input",
    ),
    (
        "datasources",
        "datasources/drive.yaml",
        "type: number",
        "type: files",
        "datasources/drive.yaml: parameters[0].type: must be one of string",
    ),
    (
        "datasources",
        "datasources/drive.yaml",
        "type: number",
        "type: number\n    scope: all",
        "datasources/drive.yaml: parameters[0].scope: is not allowed for datasources",
    ),
    (
        "datasources",
        "datasources/drive.yaml",
        "    description: {en_US: How deep}\n",
        "",
        "datasources/drive.yaml: parameters[0].description: is required but missing",
    ),
    (
        "datasources",
        "provider/acme.yaml",
        "online_drive",
        "local_file",
        "provider/acme.yaml: provider_type: must be one of website_crawl, online_document, online_drive",
    ),
    (
        "datasources",
        "provider/acme.yaml",
        "provider_type: online_drive\n",
        "",
        "provider/acme.yaml: provider_type: is required but missing",
    ),
    (
        "triggers",
        "events/push.yaml",
        "type: checkbox",
        "type: secret-input",
        "events/push.yaml: parameters[1].type: must be one of string",
    ),
    (
        "triggers",
        "events/push.yaml",
        "type: checkbox",
        "type: checkbox\n    default: {a: 1}",
        "events/push.yaml: parameters[1].default: must be text, a number, true, false or a list",
    ),
    (
        "triggers",
        "provider/acme.yaml",
        "type: dynamic-select",
        "type: secret-input",
        "provider/acme.yaml: subscription_constructor.parameters[0].type: must be one of string",
    ),
];

#[test]
fn each_wrong_declaration_is_named() {
    for case in WRONG {
        assert_problem(Severity::Error, *case);
    }
}

/// Kind, file, text, its replacement, the beginning of the warning.
const ODD: &[(&str, &str, &str, &str, &str)] = &[
    (
        "agent_strategies",
        "provider/acme.yaml",
        "strategies: [strategies/plan.yaml]",
        "",
        "provider/acme.yaml: strategies: lists nothing",
    ),
    (
        "tools",
        "manifest.yaml",
        "storage: {",
        "network: {enabled: true}\n    storage: {",
        "manifest.yaml: resource.permission.network: is unknown and gives nothing; allowed are tool, model",
    ),
    (
        "tools",
        "manifest.yaml",
        "llm: true",
        "llm: false",
        "manifest.yaml: resource.permission.model: names no type of model",
    ),
    (
        "tools",
        "manifest.yaml",
        "model: {enabled: true, ",
        "model: {enabled: false, ",
        "manifest.yaml: resource.permission.model: gives nothing without `enabled: true`",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "tools:\n",
        "credentials_schema: [{name: a, type: text-input, label: {en_US: A}}]\ntools:\n",
        "provider/acme.yaml: credentials_for_provider: has no effect beside credentials_schema",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "{value: eu",
        "{show_on: [{variable: api_key, value: a}], value: eu",
        "provider/acme.yaml: credentials_for_provider.region.options[0].show_on: is left out by the daemon",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "default: eu",
        "default: eu\n    show_on: [{variable: api_key, value: a}]",
        "provider/acme.yaml: credentials_for_provider.region.show_on: is left out by the daemon",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "default: eu",
        "default: asia",
        "provider/acme.yaml: credentials_for_provider.region.default: `asia` is none of the options eu, us",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "{value: eu",
        "{value: 1",
        "provider/acme.yaml: credentials_for_provider.region.options[0].value: should be a quoted string",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "access_token, type: secret-input",
        "access_token, type: text-input",
        "provider/acme.yaml: oauth_schema.credentials_schema: names no secret-input",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "- tools/forecast.yaml",
        "- tools/forecast.yaml\n  - tools/forecast.yaml",
        "tools/forecast.yaml: identity.name: `forecast` is declared more than once",
    ),
    (
        "tools",
        "provider/acme.yaml",
        "- tools/forecast.yaml",
        "- {identity: {author: a, name: b, label: {en_US: B}}, description: {human: {en_US: B}, llm: B}}",
        "provider/acme.yaml: tools[0]: is written out here; the Python SDK takes only the path",
    ),
    ("tools", "provider/acme.yaml", "  - tools/forecast.yaml", "  []", "provider/acme.yaml: tools: lists nothing"),
    (
        "tools",
        "tools/forecast.yaml",
        "form: llm",
        "form: llm\n    placeholder: {en_US: Riga}",
        "tools/forecast.yaml: parameters[0].placeholder: is left out by the daemon",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "form: llm",
        "form: llm\n    input_schema: {}",
        "tools/forecast.yaml: parameters[0].input_schema: is left out by the daemon",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "default: [metric]",
        "default: metric",
        "tools/forecast.yaml: parameters[2].default: should be a list, because several values",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "default: [metric]",
        "default: [nautical]",
        "tools/forecast.yaml: parameters[2].default: `nautical` is none of the options metric, imperial",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "type: string",
        "type: checkbox\n    multiple: true",
        "tools/forecast.yaml: parameters[0].multiple: is refused by the Python SDK for checkbox",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "scope: tool-call&llm",
        "scope: thinking&llm",
        "tools/forecast.yaml: parameters[3].scope: must be one of llm",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "value: metric",
        "value: \"\"",
        "tools/forecast.yaml: parameters[2].options[0].value: is empty; remote debugging refuses",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "    temperature:",
        "    text:",
        "tools/forecast.yaml: output_schema.properties.text: is an output that every tool has",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "v1/file.json",
        "v1/image.json",
        "tools/forecast.yaml: output_schema.properties.map.$ref: `https://dify.ai/schemas/v1/image.json` is none",
    ),
    ("tools", "endpoints/hook.yaml", "path: /hook", "path: hook", "endpoints/hook.yaml: path: should start with `/`"),
    (
        "agent_strategies",
        "strategies/plan.yaml",
        "name: tools",
        "name: helpers",
        "strategies/plan.yaml: parameters[1].name: should be `tools`",
    ),
    (
        "agent_strategies",
        "manifest.yaml",
        "version: 0.0.2",
        "version: 0.0.1",
        "manifest.yaml: meta.version: should be 0.0.2",
    ),
    (
        "triggers",
        "provider/acme.yaml",
        "icon: icon.svg",
        "icon: icon.svg\n  tags: [utilities]",
        "provider/acme.yaml: identity.tags: is refused by the Python SDK for triggers",
    ),
    (
        "triggers",
        "provider/acme.yaml",
        "subscription_constructor:",
        "oauth_schema: {}\nsubscription_constructor:",
        "provider/acme.yaml: oauth_schema: has no effect here",
    ),
    (
        "tools",
        "tools/forecast.yaml",
        "{value: metric",
        "{show_on: [{variable: model, value: a}], value: metric",
        "tools/forecast.yaml: parameters[2].options[0].show_on: is left out by the daemon, so it has no effect",
    ),
    (
        "triggers",
        "events/push.yaml",
        "type: select",
        "type: select\n    show_on: [{variable: draft, value: a}]",
        "events/push.yaml: parameters[0].show_on: is left out by the daemon, so it has no effect",
    ),
    (
        "triggers",
        "events/push.yaml",
        "type: checkbox",
        "type: string\n    multiple: true",
        "events/push.yaml: parameters[1].multiple: has no effect for string",
    ),
];

#[test]
fn what_dify_takes_otherwise_than_it_is_written_is_a_warning() {
    for case in ODD {
        assert_problem(Severity::Warning, *case);
    }
}

#[test]
fn a_problem_has_the_line_of_its_field_or_of_what_should_hold_it() {
    for (kind, file, from, to, line) in [
        ("tools", "tools/forecast.yaml", "type: number", "type: date", 17),
        ("tools", "tools/forecast.yaml", "    human_description: {en_US: Where}\n", "", 9),
        ("tools", "provider/acme.yaml", "type: secret-input", "type: password", 9),
        ("tools", "manifest.yaml", "size: 1048576", "size: 1", 14),
        ("datasources", "provider/acme.yaml", "provider_type: online_drive\n", "", 0),
        ("triggers", "events/push.yaml", "name: push", "name: pu/sh", 1),
    ] {
        let problems = problems(kind, &[(file, from, to)]);
        let lines: Vec<usize> = problems.iter().map(|problem| problem.line.unwrap_or_default()).collect();
        assert_eq!(lines, [line], "{problems:?}");
        assert!(line == 0 || problems[0].to_string().ends_with(&format!(" (line {line})")), "{problems:?}");
    }
}

#[test]
fn manifest_tags_that_the_provider_takes_over_are_held_to_its_rules() {
    let own = ("provider/acme.yaml", "  tags: [utilities]\n", "");
    for (tag, provider, expected) in [
        ("agent", Some(own), Some("manifest.yaml: tags[0]: `agent` is taken over by the provider")),
        ("trigger", Some(own), Some("manifest.yaml: tags[0]: `trigger` is taken over")),
        ("agent", None, None),
        ("rag", Some(own), None),
    ] {
        let tags = format!("tags: [{tag}]");
        let changes: Vec<Change<'_>> =
            [("manifest.yaml", "tags: [weather]", tags.as_str())].into_iter().chain(provider).collect();
        let shown: Vec<String> = problems("tools", &changes).iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), usize::from(expected.is_some()), "{tag}: {shown:?}");
        assert!(expected.is_none_or(|expected| shown[0].starts_with(expected)), "{tag}: {shown:?}");
    }
}

#[test]
fn a_member_that_an_older_dify_reads_over_is_a_warning() {
    let without = ("manifest.yaml", "  minimum_dify_version: 1.10.0\n", "");
    let types = [("tools/forecast.yaml", "multiple: true\n    default: [metric]", "default: metric")];
    let changes: Vec<Change<'_>> = [without].into_iter().chain(types).collect();
    let shown: Vec<String> = problems("tools", &changes).iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(
        shown[0].starts_with("warning: provider/acme.yaml: oauth_schema: is used by Dify 1.7.1 and later"),
        "{shown:?}"
    );
}

/// Kind, file, text, its replacement: other spellings of the same.
const SAME: &[(&str, &str, &str, &str)] = &[
    ("tools", "provider/acme.yaml", "required: yes", "required: true"),
    ("tools", "provider/acme.yaml", "credentials_for_provider:", "credentials_for_provider: &form\n"),
    ("tools", "provider/acme.yaml", "tools:\n", "credentials_schema: []\ntools:\n"),
    ("tools", "provider/acme.yaml", "tools:\n", "credentials_schema: null\ntools:\n"),
    ("tools", "tools/forecast.yaml", "required: true", "required: on\n    default: null"),
    ("datasources", "provider/acme.yaml", "  - name: token\n    type", "  token:\n    type"),
    ("triggers", "provider/acme.yaml", "  - name: webhook_secret\n    type", "  webhook_secret:\n    type"),
    ("triggers", "provider/acme.yaml", "    access_token:\n      type", "    - name: access_token\n      type"),
];

#[test]
fn what_is_spelled_otherwise_is_registered_alike() {
    for (kind, file, from, to) in SAME {
        let directory = package(kind, &[(file, from, to)]);
        let problems = declare::check(directory.path());
        assert_eq!(problems, [], "{to}");
        let declared = declare::load(directory.path()).unwrap();
        assert_eq!(declared.kinds, load(kind).kinds, "{to}");
    }
    let null = ("datasources/drive.yaml", "parameters:\n", "parameters: null\nformer:\n");
    let declared = declare::load(package("datasources", &[null]).path()).unwrap();
    assert_eq!(declared.kinds.events()[0].1[0]["datasources"][0]["parameters"], json!([]));
}

fn i18n(text: &str) -> Value {
    json!({"en_US": text, "zh_Hans": text, "pt_BR": text, "ja_JP": text})
}

/// The data of a kind's registration.
fn registered(kind: &str, event: &str) -> Value {
    let events = load(kind).kinds.events();
    let data = events.into_iter().find(|(name, _)| *name == event).unwrap().1;
    assert_eq!(data.as_array().unwrap().len(), 1, "one provider");
    data[0].clone()
}

#[test]
fn a_tool_provider_is_registered_as_the_daemon_reads_it() {
    let provider = registered("tools", "tool_declaration");
    assert_eq!(
        provider["identity"],
        json!({
            "author": "acme", "name": "acme", "label": i18n("Acme"), "description": i18n("Weather of Acme"),
            "icon": "icon.svg", "tags": ["utilities"],
        }),
    );
    assert_eq!(
        provider["credentials_schema"],
        json!([
            {
                "name": "api_key", "type": "secret-input", "required": true, "multiple": false, "label": i18n("Key"),
                "help": i18n("Where keys are made"), "url": "https://acme.example/keys",
            },
            {
                "name": "region", "type": "select", "required": true, "multiple": false, "default": "eu",
                "label": i18n("Region"),
                "options": [{"value": "eu", "label": i18n("Europe")}, {"value": "us", "label": i18n("America")}],
            },
        ]),
    );
    assert_eq!(provider["oauth_schema"]["client_schema"][0]["name"], "client_id");
    let tool = &provider["tools"][0];
    assert_eq!(
        tool["description"],
        json!({"human": i18n("Tells the weather"), "llm": "Tells the weather of a place."})
    );
    assert_eq!(tool["has_runtime_parameters"], false);
    assert_eq!(tool["identity"]["label"]["zh_Hans"], "预报");
    assert_eq!(
        tool["parameters"][1],
        json!({
            "name": "days", "type": "number", "form": "form", "required": false, "default": 3, "min": 1.0, "max": 10.0,
            "precision": 0, "label": i18n("Days"), "human_description": i18n("How many"),
        }),
    );
    assert_eq!(tool["parameters"][2]["multiple"], true);
    assert_eq!(tool["output_schema"]["properties"]["temperature"], json!({"type": "number"}));
}

#[test]
fn the_other_kinds_are_registered_as_the_daemon_reads_them() {
    let group = registered("tools", "endpoint_declaration");
    assert_eq!(
        group["endpoints"],
        json!([
            {"path": "/hook/<id>", "method": "POST", "hidden": false},
            {"path": "/health", "method": "GET", "hidden": true},
        ]),
    );
    assert_eq!(group["settings"][1]["scope"], "chat");

    let provider = registered("agent_strategies", "agent_strategy_declaration");
    let strategy = &provider["strategies"][0];
    assert_eq!(strategy["description"], i18n("Plans first"));
    assert_eq!(strategy["features"], json!(["history-messages"]));
    assert_eq!(strategy["parameters"][1]["type"], "array[tools]");
    assert_eq!(strategy["parameters"][2]["auto_generate"], json!({"type": "prompt_instruction"}));
    assert_eq!(strategy["parameters"][2]["template"], json!({"enabled": true}));

    let provider = registered("datasources", "datasource_declaration");
    assert_eq!(provider["provider_type"], "online_drive");
    assert_eq!(provider["datasources"][0]["identity"]["icon"], "icon.svg");
    assert_eq!(provider["datasources"][0]["parameters"][0]["description"], i18n("How deep"));

    let provider = registered("triggers", "trigger_declaration");
    assert_eq!(provider["identity"]["description"], i18n("About Acme"));
    assert_eq!(provider["subscription_schema"][0]["name"], "webhook_secret");
    assert_eq!(provider["subscription_constructor"]["credentials_schema"][0]["name"], "access_token");
    assert_eq!(provider["events"][0]["parameters"][0]["default"], json!(["main"]));
}

#[test]
fn one_connection_registers_all_kinds_of_a_package() {
    let declarations = package("tools", &[]);
    let declarations = declare::load(declarations.path()).map(|loaded| {
        let registration = remote::kinds_registration(&loaded, Identity::Own).unwrap();
        assert_eq!(registration.plugin_id(), "acme/acme-debug");
        assert_eq!(registration.assets, [("icon.svg".to_owned(), b"<svg/>".to_vec())]);
        registration
    });
    let lines = String::from_utf8(declarations.unwrap().lines("key")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    let expected =
        ["handshake", "manifest_declaration", "tool_declaration", "endpoint_declaration", "asset_chunk", "end"];
    assert_eq!(events, expected);
    assert_eq!(lines[1]["data"]["label"]["en_US"], "Acme (debug)");
    assert_eq!(lines[2]["data"][0]["identity"]["label"]["ja_JP"], "Acme (debug)");
    assert_eq!(lines[2]["data"][0]["identity"]["name"], "acme");
}

#[test]
fn an_empty_option_is_left_out_of_the_registration() {
    let change = ("tools/forecast.yaml", "value: metric", "value: \"\"");
    let declared = declare::load(package("tools", &[change]).path()).unwrap();
    let tool = declared.kinds.tool.as_ref().and_then(|provider| provider.tool("forecast")).unwrap();
    assert_eq!(tool.parameters[2].options.len(), 2, "a call may have it");
    let options = &declared.kinds.events()[0].1[0]["tools"][0]["parameters"][2]["options"];
    assert_eq!(*options, json!([{"value": "imperial", "label": i18n("Imperial")}]));
}
