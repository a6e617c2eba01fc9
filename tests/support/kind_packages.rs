//! A right package of every kind of plugin but models, written for the tests: files and their texts.

pub type File = (&'static str, &'static str);

const ICON: File = ("_assets/icon.svg", "<svg/>");

/// Tools and endpoints in one package.
pub const TOOL: &[File] = &[
    ICON,
    (
        "manifest.yaml",
        r#"version: 0.1.0
type: plugin
author: acme
name: acme
label: {en_US: Acme}
description: {en_US: Weather of Acme}
icon: icon.svg
tags: [weather]
resource:
  memory: 1048576
  permission:
    endpoint: {enabled: true}
    model: {enabled: true, llm: true}
    storage: {enabled: true, size: 1048576}
plugins:
  tools: [provider/acme.yaml]
  endpoints: [endpoints/acme.yaml]
meta:
  version: 0.0.2
  minimum_dify_version: 1.10.0
  arch: [amd64]
  runner: {language: python, version: "3.12", entrypoint: main}
created_at: 2026-01-31T00:00:00Z
"#,
    ),
    (
        "provider/acme.yaml",
        r#"identity:
  author: acme
  name: acme
  label: {en_US: Acme}
  icon: icon.svg
  tags: [utilities]
credentials_for_provider:
  api_key:
    type: secret-input
    required: true
    label: {en_US: Key}
    help: {en_US: Where keys are made}
    url: https://acme.example/keys
  region:
    type: select
    required: yes
    default: eu
    label: {en_US: Region}
    options:
      - {value: eu, label: {en_US: Europe}}
      - {value: us, label: {en_US: America}}
oauth_schema:
  client_schema:
    - {name: client_id, type: text-input, required: true, label: {en_US: Client}}
  credentials_schema:
    - {name: access_token, type: secret-input, label: {en_US: Token}}
tools:
  - tools/forecast.yaml
extra: {python: {source: provider/acme.py}}
"#,
    ),
    (
        "tools/forecast.yaml",
        r#"identity:
  author: acme
  name: forecast
  label: {en_US: Forecast, zh_Hans: 预报}
description:
  human: {en_US: Tells the weather}
  llm: Tells the weather of a place.
parameters:
  - name: place
    type: string
    form: llm
    required: true
    label: {en_US: Place}
    human_description: {en_US: Where}
    llm_description: Name of a place.
  - name: days
    type: number
    form: form
    default: 3
    min: 1
    max: 10
    precision: 0
    label: {en_US: Days}
    human_description: {en_US: How many}
  - name: units
    type: select
    form: form
    multiple: true
    default: [metric]
    label: {en_US: Units}
    human_description: {en_US: In which units}
    options:
      - {value: metric, label: {en_US: Metric}}
      - {value: imperial, label: {en_US: Imperial}}
  - name: model
    type: model-selector
    form: form
    scope: tool-call&llm
    label: {en_US: Model}
    human_description: {en_US: Which model}
output_schema:
  type: object
  properties:
    temperature: {type: number}
    map: {$ref: https://dify.ai/schemas/v1/file.json}
"#,
    ),
    (
        "endpoints/acme.yaml",
        r#"settings:
  - name: api_key
    type: secret-input
    required: true
    label: {en_US: Key}
  - name: app
    type: app-selector
    scope: chat
    label: {en_US: App}
endpoints:
  - endpoints/hook.yaml
  - {path: /health, method: GET, hidden: true}
"#,
    ),
    ("endpoints/hook.yaml", "path: /hook/<id>\nmethod: POST\n"),
];

const MANIFEST_HEAD: &str = r#"version: 0.1.0
type: plugin
author: acme
name: acme
label: {en_US: Acme}
description: {en_US: About Acme}
icon: icon.svg
resource: {memory: 1048576, permission: {}}
meta:
  version: 0.0.2
  minimum_dify_version: 1.10.0
  arch: [amd64]
  runner: {language: python, version: "3.12", entrypoint: main}
created_at: 2026-01-31T00:00:00Z
"#;

/// The manifest of a package that holds this file of a kind.
fn manifest(kind: &str) -> String {
    format!("{MANIFEST_HEAD}plugins: {{{kind}: [provider/acme.yaml]}}\n")
}

const AGENT: &[File] = &[
    ICON,
    (
        "provider/acme.yaml",
        r#"identity:
  author: acme
  name: acme
  label: {en_US: Acme}
  description: {en_US: Plans}
  icon: icon.svg
strategies: [strategies/plan.yaml]
"#,
    ),
    (
        "strategies/plan.yaml",
        r#"identity: {author: acme, name: plan, label: {en_US: Plan}}
description: {en_US: Plans first}
features: [history-messages]
parameters:
  - name: model
    type: model-selector
    scope: tool-call&llm
    required: true
    label: {en_US: Model}
  - name: tools
    type: array[tools]
    required: true
    label: {en_US: Tools}
  - name: instruction
    type: string
    required: true
    label: {en_US: Instruction}
    help: {en_US: What to do}
    auto_generate: {type: prompt_instruction}
    template: {enabled: true}
  - name: context
    type: any
    scope: array[object]
    label: {en_US: Context}
  - name: rounds
    type: number
    default: 3
    min: 1
    max: 50
    label: {en_US: Rounds}
"#,
    ),
];

const DATASOURCE: &[File] = &[
    ICON,
    (
        "provider/acme.yaml",
        r#"identity:
  author: acme
  name: acme
  label: {en_US: Acme}
  description: {en_US: Files of Acme}
  icon: icon.svg
provider_type: online_drive
credentials_schema:
  - name: token
    type: secret-input
    required: true
    label: {en_US: Token}
oauth_schema:
  client_schema:
    - {name: client_id, type: text-input, label: {en_US: Client}}
  credentials_schema:
    - {name: access_token, type: secret-input, label: {en_US: Token}}
datasources: [datasources/drive.yaml]
"#,
    ),
    (
        "datasources/drive.yaml",
        r#"identity: {author: acme, name: drive, label: {en_US: Drive}, icon: icon.svg}
description: {en_US: Files}
parameters:
  - name: depth
    type: number
    default: 2
    label: {en_US: Depth}
    description: {en_US: How deep}
output_schema:
  type: object
  properties:
    file: {$ref: https://dify.ai/schemas/v1/file.json}
"#,
    ),
];

const TRIGGER: &[File] = &[
    ICON,
    (
        "provider/acme.yaml",
        r#"identity:
  author: acme
  name: acme
  label: {en_US: Acme}
  icon: icon.svg
subscription_schema:
  - name: webhook_secret
    type: secret-input
    label: {en_US: Secret}
subscription_constructor:
  parameters:
    - name: repository
      type: dynamic-select
      required: true
      label: {en_US: Repository}
  credentials_schema:
    access_token:
      type: secret-input
      required: true
      label: {en_US: Token}
  oauth_schema:
    client_schema:
      - {name: client_id, type: text-input, label: {en_US: Client}}
    credentials_schema:
      - {name: access_token, type: secret-input, label: {en_US: Token}}
events: [events/push.yaml]
"#,
    ),
    (
        "events/push.yaml",
        r#"identity: {author: acme, name: push, label: {en_US: Push}}
description: {en_US: Something was pushed}
parameters:
  - name: branches
    type: select
    multiple: true
    default: [main]
    label: {en_US: Branches}
    description: {en_US: Which branches}
    options:
      - {value: main, label: {en_US: Main}}
  - name: draft
    type: checkbox
    label: {en_US: Draft}
output_schema:
  type: object
  properties:
    commit: {type: string}
"#,
    ),
];

/// The files of a package by the key of its kind in a manifest.
pub fn files(kind: &str) -> Vec<(&'static str, String)> {
    let files = match kind {
        "tools" => return TOOL.iter().map(|(path, text)| (*path, (*text).to_owned())).collect(),
        "agent_strategies" => AGENT,
        "datasources" => DATASOURCE,
        "triggers" => TRIGGER,
        other => panic!("no package of {other}"),
    };
    let manifest = [("manifest.yaml", manifest(kind))];
    files.iter().map(|(path, text)| (*path, (*text).to_owned())).chain(manifest).collect()
}
