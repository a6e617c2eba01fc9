//! A right package of one model provider, written for the tests: files and their texts.

pub const MANIFEST: &str = r#"version: 0.1.0
type: plugin
author: acme
name: acme
label:
  en_US: Acme
description:
  en_US: Models of Acme
icon: icon.svg
resource:
  memory: 1048576
  permission: {}
plugins:
  models:
    - provider/acme.yaml
meta:
  version: 0.0.1
  arch:
    - amd64
  runner:
    language: python
    version: "3.12"
    entrypoint: main
created_at: 2026-01-31T00:00:00Z
"#;

pub const PROVIDER: &str = r#"provider: acme
label:
  en_US: Acme
icon_small:
  en_US: icon.svg
supported_model_types:
  - llm
configurate_methods:
  - predefined-model
provider_credential_schema:
  credential_form_schemas:
    - variable: api_key
      label:
        en_US: Key
      type: secret-input
      required: true
    - variable: region
      label:
        en_US: Region
      type: select
      required: false
      options:
        - value: eu
          label:
            en_US: Europe
models:
  llm:
    predefined:
      - models/llm/*.yaml
    position: models/llm/_position.yaml
"#;

pub const MODEL: &str = r#"model: acme-1
label:
  en_US: Acme 1
model_type: llm
features:
  - vision
model_properties:
  mode: chat
  context_size: 4096
parameter_rules:
  - name: temperature
    use_template: temperature
  - name: style
    label:
      en_US: Style
    type: string
    options:
      - a
pricing:
  input: "0.1"
  output: "0.2"
  unit: "0.000001"
  currency: USD
"#;

/// The files of the package.
pub const FILES: &[(&str, &str)] = &[
    ("manifest.yaml", MANIFEST),
    ("provider/acme.yaml", PROVIDER),
    ("models/llm/acme-1.yaml", MODEL),
    ("models/llm/_position.yaml", "- acme-1\n"),
    ("_assets/icon.svg", "<svg/>"),
];
