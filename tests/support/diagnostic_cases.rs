//! One wrong package for each code of `check`, as data.

use std::path::Path;

use dify_plugin::declare::permission::Permission;
use dify_plugin::declare::{Code, Problem, Problems, code};
use dify_plugin::plugin::{Call, Messages, Plugin, Tool, ToolProvider, Tools};
use schemars::JsonSchema;
use serde::Deserialize;
use tempfile::TempDir;

use super::{kind_packages, model_package};

/// File, a text in it, and the replacement of its first occurrence; without a text, a new file.
pub type Change<'a> = (&'a str, &'a str, &'a str);

/// A wrong package.
pub struct Case {
    /// The code that it has.
    pub code: Code,
    /// The package that is changed: `models`, or the key of another kind.
    pub package: &'static str,
    /// The changes.
    pub changes: &'static [Change<'static>],
}

const MODEL: &str = "models/llm/acme-1.yaml";
const PROVIDER: &str = "provider/acme.yaml";
const MANIFEST: &str = "manifest.yaml";
const FORECAST: &str = "tools/forecast.yaml";

macro_rules! cases {
    ($($code:ident $package:literal: $($change:expr),+;)*) => {
        /// The wrong packages.
        pub const CASES: &[Case] =
            &[$(Case { code: Code::$code, package: $package, changes: &[$($change),+] },)*];
    };
}

cases! {
    OldDify "models": (MODEL, "- vision", "- polling");
    NeededList "tools": (PROVIDER, "client_schema:", "client_fields:");
    InheritedTag "tools": (PROVIDER, "  tags: [utilities]\n", ""), (MANIFEST, "tags: [weather]", "tags: [weather, agent]");
    ProviderName "tools": (PROVIDER, "  name: acme", "  name: Acme");
    SeveralValues "tools": (FORECAST, "    type: string\n", "    type: string\n    multiple: true\n");
    EndpointPermission "tools": (MANIFEST, "endpoint: {enabled: true}", "endpoint: {enabled: false}");
    Unreadable "models": (MANIFEST, "provider/acme.yaml", "provider/none.yaml");
    NotYaml "models": (PROVIDER, "provider: acme", "provider: \"acme");
    NotYaml "models": (MODEL, "model_type: llm\n", "model_type llm\n");
    NotYaml "models": (MODEL, "  mode: chat", "\tmode: chat");
    RepeatedKey "models": (PROVIDER, "      required: true", "      required: true\n      type: text-input");
    RepeatedKey "models": (MANIFEST, "icon: icon.svg", "icon: icon.svg\nauthor: second\nauthor: third");
    MissingFile "models": (MANIFEST, "icon: icon.svg", "icon: gone.svg");
    SeveralFiles "tools": (MANIFEST, "tools: [provider/acme.yaml]", "tools: [provider/acme.yaml, provider/acme.yaml]");
    Missing "models": (MODEL, "model: acme-1\n", "");
    Missing "models": (PROVIDER, "      label:\n        en_US: Key\n", "");
    Missing "models": (MANIFEST, "    language: python\n", "");
    Missing "tools": (FORECAST, "parameters:\n", "x: &at {name: at, type: string, form: llm, label: {en_US: At}}\nparameters:\n  - *at\n");
    WrongType "models": (PROVIDER, "label:\n  en_US: Acme\n", "label: Acme\n");
    NotAllowed "models": (PROVIDER, "type: secret-input", "type: secret_input");
    NotAllowed "models": (MODEL, "context_size:", "contextSize:");
    NotAllowed "tools": (FORECAST, "parameters:\n",
        "x: &at\n  name: at\n  type: strong\n  form: llm\n  label: {en_US: At}\n  human_description: {en_US: At}\nparameters:\n  - *at\n");
    NotAllowed "models": (MODEL, "  - vision", "  - 顶\n  - \"visoin\"");
    Length "models": (MODEL, "model: acme-1", "model: ''");
    TooMany "models": (PROVIDER, "      required: true",
        "      required: true\n      show_on: [{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}]");
    Identifier "models": (MANIFEST, "author: acme", "author: Acme Ltd");
    Version "models": (MANIFEST, "version: 0.1.0", "version: 0.1");
    Timestamp "models": (MANIFEST, "2026-01-31T00:00:00Z", "\"2026-01-31T00:00:00\"");
    Address "models": (MANIFEST, "created_at:", "repo: acme\ncreated_at:");
    Decimal "models": (MODEL, "input: \"0.1\"", "input: cheap");
    Range "models": (MODEL, "type: string", "type: string\n    min: 2\n    max: 1");
    Together "models": (MANIFEST, "  models:\n", "  tools: [a.yaml]\n  models:\n");
    NoOptions "models": (PROVIDER, "        - value: eu\n          label:\n            en_US: Europe\n", "        []\n");
    PlainDefault "models": (MODEL, "type: string", "type: string\n    default: [a]");
    Scope "tools": (FORECAST, "    type: number\n", "    type: number\n    scope: llm\n");
    English "models": (PROVIDER, "en_US: Key", "zh_Hans: Key");
    Memory "models": (MANIFEST, "memory: 1048576", "memory: 0");
    Pattern "models": (PROVIDER, "models/llm/*.yaml", "../*.yaml");
    Limits "models": (MODEL, "- vision",
        "- [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
    RepeatedProvider "models": (MANIFEST, "- provider/acme.yaml", "- provider/acme.yaml\n    - provider/again.yaml"),
        ("provider/again.yaml", "", model_package::PROVIDER);
    UnreadModels "models": (PROVIDER, "  llm:\n", "  text-embedding:\n");
    BlockForm "models": (MODEL, "parameter_rules:\n", "parameter_rules:\n  - use: [sampling]\n");
    UnknownBlock "models": (PROVIDER, "label:", "shared: [shared.yaml]\nlabel:"),
        (MODEL, "parameter_rules:\n", "parameter_rules:\n  - use: smapling\n"),
        ("shared.yaml", "", "sampling:\n  - {name: seed, type: int, label: {en_US: Seed}}\n");
    RepeatedBlock "models": (PROVIDER, "label:", "shared: [one.yaml, two.yaml]\nlabel:"),
        ("one.yaml", "", "sampling: []\n"), ("two.yaml", "", "sampling: []\n");
    BlockLimits "models": (PROVIDER, "label:", "shared: [shared.yaml]\nlabel:"),
        (MODEL, "parameter_rules:\n", "parameter_rules:\n  - use: a\n"),
        ("shared.yaml", "", "a: {use: b}\nb: {use: a}\n");
    Difference "tools": (FORECAST, "name: place", "name: plaec");
    NeededPermission "tools": (MANIFEST, "    storage: {enabled: true, size: 1048576}\n", "");
    Unserved "models": (MANIFEST, "author: acme", "author: acme");
    WrongFacts "models": (PROVIDER, "label:", "openai:\n  bas_url: https://acme.test\nlabel:");
    UnownedFacts "models": ("provider/acm.openai.yaml", "", "base_url: https://acme.test\n");
    NotEditable "tools": (FORECAST, "parameters:\n", "x: &place {name: place, type: boolean}\nparameters:\n  - *place\n");
    Switch "models": (PROVIDER, "type: secret-input", "type: switch");
    SameVariable "models": (PROVIDER, "variable: region", "variable: api_key");
    SecretDefault "models": (PROVIDER, "type: secret-input", "type: secret-input\n      default: none");
    HiddenHelp "tools": (FORECAST, "    form: llm\n", "    form: llm\n    help: {en_US: Where}\n");
    HiddenHelp "agent_strategies": ("strategies/plan.yaml", "name: tools\n", "name: tools\n    tooltip: {en_US: Which}\n");
    HiddenHelp "triggers": (PROVIDER, "      label: {en_US: Repository}\n",
        "      label: {en_US: Repository}\n      description: {en_US: Which one}\n");
    HiddenHelp "tools": (PROVIDER, "    url: https://acme.example/keys\n", "");
    HiddenHelp "tools": ("endpoints/acme.yaml", "    scope: chat\n", "    scope: chat\n    tooltip: {en_US: Which one}\n");
    HiddenHelp "models": (PROVIDER, "type: secret-input", "type: secret-input\n      help: {en_US: Ask}");
    NeverShown "models": (PROVIDER, "      required: true", "      required: true\n      show_on: [{variable: region, value: ue}]");
    SameVariableDefaults "models":
        (PROVIDER, "    - variable: api_key", "    - {variable: region, label: {en_US: R}, type: text-input, default: us}\n    - variable: api_key"),
        (PROVIDER, "      required: false", "      required: false\n      default: eu");
    LengthAfterSave "models": (PROVIDER, "type: secret-input", "type: secret-input\n      max_length: 9");
    ModelTypeCondition "models": (PROVIDER, "      required: true", "      required: true\n      show_on: [{variable: __model_type, value: llm}]");
    HiddenRequired "models": (PROVIDER, "      required: true", "      required: true\n      show_on: [{variable: region, value: eu}]");
    NotDrawn "models": (PROVIDER, "label:", "background: '#fff'\nlabel:");
    NoDarkIcon "models": (MANIFEST, "author: acme", "author: acme");
    PrecisionIgnored "models": (MODEL, "type: string", "type: float\n    min: 0\n    max: 2\n    precision: 2");
    NarrowSlider "models": (MODEL, "type: string", "type: float\n    min: 0\n    max: 0.05");
    NoSlider "models": (MODEL, "type: string", "type: int\n    min: 0");
    RawOptions "models": (MODEL, "      - a", "      - v1");
    OpenSecret "tools": (FORECAST, "    type: string\n", "    type: secret-input\n");
    RangeIgnored "tools": (FORECAST, "max: 10", "max: 11");
    UnsavableEndpoint "tools":
        ("endpoints/acme.yaml", "    type: app-selector\n    scope: chat\n", "    type: boolean\n    required: true\n");
    NoControl "agent_strategies": ("strategies/plan.yaml", "type: any\n    scope: array[object]", "type: files");
    LostText "models": (PROVIDER, "        en_US: Key", "        en_US: Key\n        ja_JP: Key");
    LostText "models": (MODEL, "      en_US: Style", "      en_US: Style\n      pt_BR: Estilo");
    LostText "tools": (FORECAST, "label: {en_US: Forecast, zh_Hans: 预报}", "label: {en_US: Forecast}"),
        (FORECAST, "  human: {en_US: Tells the weather}", "  human: {en_US: Tells the weather, zh_Hans: 天气}"),
        (FORECAST, "label: {en_US: Place}", "label: {en_US: Place, zh_Hans: 地点}");
    LostText "tools": ("endpoints/acme.yaml", "label: {en_US: Key}", "label: {en_US: Key, ja_JP: 鍵}"),
        (FORECAST, "zh_Hans: 预报", "zh_Hans: ''");
    OptionalEnglish "models": (PROVIDER, "      required: true", "      required: true\n      placeholder: {zh_Hans: x}");
    Unquoted "models": (PROVIDER, "- value: eu", "- value: 1.0");
    RepeatedName "models": (MODEL, "  - name: style", "  - name: temperature");
    NoEffect "tools": (FORECAST, "    form: llm\n", "    form: llm\n    placeholder: {en_US: Words}\n");
    UnknownPermission "models": (MANIFEST, "permission: {}", "permission: {modle: {enabled: true, llm: true}}");
    NoModelFiles "models": (PROVIDER, "models/llm/*.yaml", "models/llms/*.yaml");
    NoSuchModel "models": ("models/llm/_position.yaml", "- acme-1", "- acme-1\n- acme-l");
    UnlistedType "models": (PROVIDER, "  - llm\n", "  - rerank\n");
    Nothing "tools": (PROVIDER, "tools:\n  - tools/forecast.yaml", "tools: []");
    DefaultNoOption "tools": (PROVIDER, "default: eu", "default: ue");
    NoLabel "models": (MODEL, "    label:\n      en_US: Style\n", "");
    RemoteLimit "tools": (FORECAST, "{value: metric,", "{value: '',");
    PythonSdk "tools": ("endpoints/hook.yaml", "path: /hook", "path: hook");
    OpenOauth "tools": (PROVIDER, "name: access_token, type: secret-input", "name: access_token, type: text-input");
    OldMeta "agent_strategies": (MANIFEST, "version: 0.0.2", "version: 0.0.1");
    ToolsName "agent_strategies": ("strategies/plan.yaml", "name: tools", "name: my_tools");
    OutputSchema "tools": (FORECAST, "output_schema:\n  type: object", "output_schema:\n  type: array");
    NoSubscription "triggers": (PROVIDER, "subscription_constructor:", "constructor:");
    OldDifyIgnores "tools": (MANIFEST, "minimum_dify_version: 1.10.0", "minimum_dify_version: 1.0.0");
    TooOld "models": (MANIFEST, "  arch:", "  minimum_dify_version: 0.15.3\n  arch:");
    PriceTier "models": (MODEL, "input: \"0.1\"", "input: \"0.1\"\n  tiered_pricing: [{input: 1}, {max_tokens: 9, input: 2}]");
    NeededForPackage "models": (MANIFEST, "created_at:", "privacy: PRIVACY.md\ncreated_at:");
    UnknownLanguage "models": (PROVIDER, "        en_US: Key", "        en_US: Key\n        en: Key");
    UnknownScope "tools": (FORECAST, "scope: tool-call&llm", "scope: tool-call&lllm");
    UnusedBlock "models": (PROVIDER, "label:", "shared: [shared.yaml]\nlabel:"), ("shared.yaml", "", "sampling: []\n");
    SameAsBlock "models": (PROVIDER, "label:", "shared: [shared.yaml]\nlabel:"),
        (MODEL, "parameter_rules:\n", "parameter_rules:\n  - use: seed\n    type: int\n"),
        ("shared.yaml", "", "seed: {name: seed, type: int, label: {en_US: Seed}}\n");
    OddFacts "models": (PROVIDER, "label:", "openai:\n  base_url: https://acme.test/v1\n  chat: {}\n  validate: none\nlabel:");
    UnusedFacts "models": ("provider/acme.other.yaml", "", "a: 1\n");
    SparePermission "tools": (MANIFEST, "author: acme", "author: acme");
    OddDifference "tools": (FORECAST, "max: 10", "max: 5");
}

/// The directory of a case.
pub fn directory(case: &Case) -> TempDir {
    package(case.package, case.changes)
}

/// A package with changes.
pub fn package(kind: &str, changes: &[Change<'_>]) -> TempDir {
    let mut files: Vec<(String, String)> = match kind {
        "models" => model_package::FILES.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect(),
        kind => kind_packages::files(kind).into_iter().map(|(path, text)| (path.to_owned(), text)).collect(),
    };
    for (path, from, to) in changes {
        match files.iter_mut().find(|(known, _)| known == path) {
            Some((_, text)) => {
                assert!(text.contains(from), "{path} has no `{from}`");
                *text = text.replacen(from, to, 1);
            }
            None => files.push(((*path).to_owned(), (*to).to_owned())),
        }
    }
    let directory = TempDir::new().unwrap();
    for (path, text) in files {
        let file = directory.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    directory
}

/// The problems of codes that compare the files with code.
pub fn problems_of_code(directory: &Path, code: Code) -> Option<Vec<Problem>> {
    let plugin = Plugin::new().tool_provider(Acme).needs(Permission::Storage);
    match code {
        Code::Difference | Code::NeededPermission | Code::SparePermission | Code::OddDifference => {
            Some(plugin.check(directory))
        }
        Code::NotEditable => {
            let Err(Problems(problems)) = code::update(directory, &plugin.code(), false) else {
                return Some(Vec::new());
            };
            Some(problems)
        }
        _ => None,
    }
}

struct Acme;

impl ToolProvider for Acme {
    const NAME: &'static str = "acme";

    fn tools(&self) -> Tools {
        Tools::new().tool(Forecast)
    }
}

/// The parameters of the package's tool.
#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Ask {
    place: String,
    #[schemars(range(min = 1, max = 10))]
    days: Option<u8>,
}

struct Forecast;

impl Tool for Forecast {
    const NAME: &'static str = "forecast";
    type Parameters = Ask;

    async fn invoke(&self, _: Call, _: Ask, _: &mut Messages) -> Result<(), dify_plugin::plugin::PluginError> {
        Ok(())
    }
}
