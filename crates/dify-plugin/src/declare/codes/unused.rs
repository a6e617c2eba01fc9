//! What Dify or this runtime reads over, or what another side would refuse: explanations of the codes from `W030` on.

use super::{Code, Explanation, new};

const ENTITIES: &str = "dify-plugin-daemon: pkg/entities/plugin_entities/*_declaration.go";
const SDK: &str = "langgenius/dify-plugin-sdks: python/dify_plugin/entities/";
const SHARED: &str = "docs/shared-blocks.md: the rules of blocks";

pub(super) const TABLE: &[Explanation] = &[
    new(
        Code::OptionalEnglish,
        "an optional text without its English form",
        "Without a text of 1 to 1023 characters under `en_US` the whole text is dropped, in all languages.",
        "placeholder:\n  zh_Hans: 输入密钥   # en_US is missing",
        ENTITIES,
    ),
    new(
        Code::Unquoted,
        "a number or a boolean where text is expected",
        "YAML reads `on`, `1` or `1.0` without quotes as a boolean or a number. This runtime makes text of it; other readers may make \
         another one, or refuse it. Put it into quotes.",
        "options:\n  - value: 1.0   # \"1.0\"",
        ENTITIES,
    ),
    new(
        Code::RepeatedName,
        "a name that is declared twice",
        "Of two parameters, fields, parts or models with the same name one hides the other. Remove or rename one.",
        "parameters:\n  - name: query\n  - name: query   # another name",
        "this runtime: declare/rules/parameter.rs, declare/load.rs",
    ),
    new(
        Code::NoEffect,
        "a member without effect",
        "The daemon leaves this member out, so that Dify never gets it, or another member makes it void. A condition (`show_on`) is left \
         out of parameters, settings and their options; only fields of credentials of model providers have it.",
        "parameters:\n  - name: query\n    placeholder: {en_US: Words}   # left out for tools",
        ENTITIES,
    ),
    new(
        Code::UnknownPermission,
        "a permission that gives nothing",
        "The daemon ignores what it does not know below `resource.permission`, and a permission for models needs both `enabled: \
         true` and a type of model.",
        "resource:\n  permission:\n    model:\n      enabled: true   # and llm: true",
        "dify-plugin-daemon: pkg/entities/plugin_entities/plugin_declaration.go",
    ),
    new(
        Code::NoModelFiles,
        "a pattern that matches no model files",
        "No file of the package matches the pattern, so it adds no model. `*` matches within one directory.",
        "models:\n  llm:\n    predefined: [models/llm/*.yml]   # the files end in .yaml",
        "dify-plugin-daemon: pkg/plugin_packager/decoder/helper.go",
    ),
    new(
        Code::NoSuchModel,
        "a position of a model that does not exist",
        "The file of positions lists models in the order in which they are shown. No model of this name is declared.",
        "- acme-1\n- acme-l   # acme-1?",
        "dify-plugin-daemon: pkg/entities/plugin_entities/model_declaration.go",
    ),
    new(
        Code::UnlistedType,
        "a model of a type that its provider does not list",
        "Dify asks a provider only for the types of its `supported_model_types`; the model is not offered.",
        "supported_model_types: [llm]   # and text-embedding",
        "langgenius/graphon: src/graphon/model_runtime/entities/provider_entities.py",
    ),
    new(
        Code::Nothing,
        "a list that lists nothing",
        "A provider without parts, or a choice without options, can be installed, and users find nothing in it.",
        "tools: []",
        ENTITIES,
    ),
    new(
        Code::DefaultNoOption,
        "a default that is none of the options",
        "The form shows no choice at first, or a value that users cannot choose again once they have changed it.",
        "type: select\ndefault: us\noptions: [{value: eu}]   # eu",
        ENTITIES,
    ),
    new(
        Code::NoLabel,
        "a parameter without a label",
        "Users see the technical name of the parameter, in every language. A label with `en_US` is enough.",
        "name: top_k\ntype: int   # and label: {en_US: Top K}",
        "dify-plugin-daemon: pkg/entities/plugin_entities/model_declaration.go",
    ),
    new(
        Code::RemoteLimit,
        "more than remote debugging or an endpoint takes",
        "The debugging port and the setup of an endpoint have narrower limits than a package: 32 fields of a form, 64 settings, no \
         empty value of an option. Remote debugging leaves the rest out.",
        "options:\n  - value: \"\"   # left out while debugging",
        "dify-plugin-daemon: internal/core/debugging_runtime, internal/service/setup_endpoint.go",
    ),
    new(
        Code::PythonSdk,
        "something that the Python SDK refuses",
        "No executable meets this rule, and Dify takes the declaration. A plugin in Python could not be started with it.",
        "endpoints:\n  - path: hook   # /hook\n    method: POST",
        SDK,
    ),
    new(
        Code::OpenOauth,
        "OAuth credentials that are stored as plain text",
        "Dify encrypts fields of the type secret-input. What OAuth returns under another type is stored as it is.",
        "oauth_schema:\n  client_schema: []\n  credentials_schema:\n    - {name: access_token, type: text-input}   # secret-input",
        "langgenius/dify: api/core/plugin/impl/oauth.py",
    ),
    new(
        Code::OldMeta,
        "a format of the manifest without tools of MCP servers",
        "Dify gives agent strategies tools of MCP servers only if the manifest's `meta.version` is above 0.0.1.",
        "meta:\n  version: 0.0.1   # 0.0.2",
        "langgenius/dify: api/core/workflow/nodes/agent/",
    ),
    new(
        Code::ToolsName,
        "tools in a parameter that is not called tools",
        "Dify sends the credentials of the chosen tools only in the parameter `tools`.",
        "parameters:\n  - name: my_tools   # tools\n    type: array[tools]",
        "langgenius/dify: api/core/workflow/nodes/agent/",
    ),
    new(
        Code::OutputSchema,
        "a schema of outputs that Dify does not use",
        "The schema is an object whose `properties` are the variables. `text`, `files` and `json` are outputs of every tool, and a \
         reference is to one of Dify's own schemas.",
        "output_schema:\n  type: object\n  properties:\n    text: {type: string}   # another name",
        "langgenius/dify: api/core/schemas/builtin/schemas/v1/",
    ),
    new(
        Code::NoSubscription,
        "a trigger without a button to subscribe",
        "Without `subscription_constructor` Dify 1.10.0 shows no button. An empty object is enough.",
        "subscription_constructor: {}   # not: left out",
        "langgenius/dify: api/core/trigger/entities/",
    ),
    new(
        Code::OldDifyIgnores,
        "something that an older Dify ignores",
        "The package says that it runs from `minimum_dify_version` on, and that version reads over this member: it works there with \
         fewer features.",
        "meta: {minimum_dify_version: 1.0.0}\noauth_schema: {client_schema: [], credentials_schema: []}",
        "dify-plugin-daemon: the entities of each release",
    ),
    new(
        Code::TooOld,
        "a Dify without plugins",
        "No Dify before 1.0.0 runs plugins, so the version excludes nothing.",
        "meta:\n  minimum_dify_version: 0.15.0   # 1.0.0",
        "langgenius/dify: release 1.0.0",
    ),
    new(
        Code::PriceTier,
        "a price that is never used",
        "Prices by the length of the input are in the order of their `max_tokens`, each larger than the one before; only the last \
         has none. Dify itself does not read them.",
        "tiered_pricing:\n  - {input: \"1\"}   # max_tokens\n  - {input: \"2\"}",
        "this runtime: declare/price.rs",
    ),
    new(
        Code::NeededForPackage,
        "a file that a package needs",
        "The privacy policy or the page of a provider is named, but is not there yet. `package` needs it.",
        "privacy: PRIVACY.md   # write it before packaging",
        "langgenius/dify-plugins: README.md, what a plugin must contain",
    ),
    new(
        Code::UnknownLanguage,
        "a text in something that is no language",
        "A text has the keys en_US, zh_Hans, pt_BR and ja_JP. A comma in a text without quotes makes a key of what follows it.",
        "label: {en_US: Fast, cheap}   # \"Fast, cheap\"",
        "dify-plugin-daemon: pkg/entities/plugin_entities/basic_type.go",
    ),
    new(
        Code::UnknownScope,
        "a part of a scope that is unknown",
        "Parts of a scope are joined by `&`. The daemon takes the scope if it knows one of them; the unknown ones offer nothing.",
        "type: model-selector\nscope: llm&imge   # llm",
        "dify-plugin-daemon: pkg/entities/plugin_entities/config.go",
    ),
    new(
        Code::UnusedBlock,
        "a shared block that nothing refers to",
        "No file of the providers that list this shared file uses the block. Remove it.",
        "sampling:   # no `use: sampling` anywhere\n  - {name: temperature}",
        SHARED,
    ),
    new(
        Code::SameAsBlock,
        "a member that changes nothing in a shared block",
        "What is written beside `use:` replaces members of the block. This one has the same value there, or removes nothing.",
        "- use: temperature   # a block with `max: 2`\n  max: 2",
        SHARED,
    ),
    new(
        Code::UnusedFacts,
        "facts that are not used",
        "Code comes before facts, a file of facts before a block in the provider's file, and one dialect before another. A file of a \
         dialect that this executable does not have is not read.",
        "extra:\n  openai: {}   # beside provider/acme.openai.yaml",
        "docs/provider-file.md: the facts of a provider",
    ),
    new(
        Code::OddFacts,
        "facts that are probably not as meant",
        "The dialect serves the provider, and does so differently than the declaration suggests.",
        "extra:\n  openai: {}",
        "docs/provider-file.md: every key",
    ),
    new(
        Code::SparePermission,
        "a permission that the code does not need",
        "Users see every permission before they install a plugin. The code does not say that it needs this one.",
        "resource:\n  permission:\n    app: {enabled: true}   # no call to apps",
        "dify-plugin-daemon: pkg/entities/plugin_entities/plugin_declaration.go",
    ),
    new(
        Code::OddDifference,
        "a declaration that differs from the code without harm",
        "The plugin works, but users see another range, default or form than the code has. `declare` changes the files.",
        "parameters:\n  - name: count\n    type: number\n    max: 100   # the code takes 50",
        "docs/write-a-tool.md: parameters come from the code",
    ),
];
