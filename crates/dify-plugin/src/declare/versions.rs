//! Which Dify version can read what: the names of every closed set, each with the first version that knows it.
//!
//! A Dify version rejects more than the model or the field when it finds an unknown name: it rejects the upload, or its
//! complete list of providers. `minimum_dify_version` prevents no installation, so a package must not contain what that
//! version cannot read. Fields are not listed: the daemon and the Dify API ignore unknown ones. This module reads no
//! files and reports no problems.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::manifest::Manifest;

/// A released version of Dify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DifyVersion(
    /// Major, minor, patch.
    pub [u16; 3],
);

impl DifyVersion {
    /// The first version that runs plugins.
    pub const OLDEST: Self = Self([1, 0, 0]);

    /// A version that reads everything.
    pub const NEWEST: Self = Self([u16::MAX; 3]);
}

impl fmt::Display for DifyVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(formatter, "{major}.{minor}.{patch}")
    }
}

/// A string that is not a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a version of Dify like 1.3.0")]
pub struct NoVersion;

impl FromStr for DifyVersion {
    type Err = NoVersion;

    /// Parses three numbers, with a suffix (`-rc1`) that is ignored.
    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let numbers = text.split_once('-').map_or(text, |(numbers, _)| numbers);
        let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse().map_err(|_| NoVersion),
            false => Err(NoVersion),
        };
        let parts: Vec<u16> = numbers.split('.').map(number).collect::<Result<_, _>>()?;
        Ok(Self(parts.try_into().map_err(|_| NoVersion)?))
    }
}

/// A closed set of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `features` of a model.
    Feature,
    /// `model_type` of a model, `supported_model_types` of a provider.
    ModelType,
    /// Keys of `model_properties`.
    Property,
    /// `type` of a parameter rule.
    ParameterType,
    /// `use_template` of a parameter rule.
    Template,
    /// `type` of a credential field.
    FieldType,
    /// `configurate_methods` of a provider, `fetch_from` of a model.
    Method,
    /// `tags` of a manifest.
    Tag,
    /// Keys of `plugins` in a manifest: what a plugin extends.
    Extension,
    /// `identity.tags` of a provider of tools, agent strategies or datasources.
    ProviderTag,
    /// `type` of a tool's parameter.
    ToolParameterType,
    /// `type` of an agent strategy's parameter.
    AgentParameterType,
    /// `type` of a datasource's parameter.
    DatasourceParameterType,
    /// `type` of a parameter of an event or a subscription.
    EventParameterType,
    /// `form` of a tool's parameter.
    ParameterForm,
    /// `auto_generate.type` of a parameter.
    AutoGenerate,
    /// `type` of a field that users or administrators fill in.
    ConfigFieldType,
    /// `scope` of an app selector.
    AppScope,
    /// `scope` of a field that selects a model.
    ModelScope,
    /// Parts of the `scope` of a parameter that selects a model.
    ParameterModelScope,
    /// Parts of the `scope` of a parameter that takes any value.
    AnyScope,
    /// `features` of an agent strategy.
    AgentFeature,
    /// `provider_type` of a datasource provider.
    DatasourceType,
    /// Members that an older Dify ignores: the package works there with fewer features.
    Member,
    /// `meta.runner.language` of a manifest.
    Language,
    /// `meta.arch` of a manifest.
    Arch,
}

/// Names of a set that were added in the same version of Dify.
#[derive(Debug)]
pub struct Known {
    /// Set.
    pub kind: Kind,
    /// The first version that knows them.
    pub since: DifyVersion,
    /// Names, in the order in which they are displayed.
    pub names: &'static [&'static str],
    /// Source of this information.
    pub source: &'static str,
}

const V1_0: DifyVersion = DifyVersion::OLDEST;
const API_1_0: &str = "langgenius/dify 1.0.0: api/core/model_runtime/entities/";
const DAEMON_1_0: &str = "dify-plugin-daemon 0.0.3, which Dify 1.0.0 starts: pkg/entities/";

const DAEMON_ANY: &str = "dify-plugin-daemon 0.0.10: pkg/entities/plugin_entities/config.go; langgenius/dify #18558";
const API_SCOPES: &str =
    "langgenius/dify: api/core/entities/parameter_entities.py (ModelSelectorScope, one without `&`)";

/// Model types of a selector in every Dify version.
const MODEL_SCOPES: &[&str] = &["llm", "text-embedding", "rerank", "tts", "speech2text", "moderation", "vision"];

/// The table. No Dify version knows a name that is missing.
pub const TABLE: &[Known] = &[
    Known {
        kind: Kind::Feature,
        since: V1_0,
        names: &[
            "tool-call",
            "multi-tool-call",
            "agent-thought",
            "vision",
            "stream-tool-call",
            "document",
            "video",
            "audio",
        ],
        source: API_1_0,
    },
    Known {
        kind: Kind::Feature,
        since: DifyVersion([1, 3, 0]),
        names: &["structured-output"],
        source: "langgenius/dify #17877 (release 1.3.0), #40501 (1.2.0 refuses the upload)",
    },
    Known {
        kind: Kind::Feature,
        since: DifyVersion([1, 15, 0]),
        names: &["polling"],
        source: "langgenius/graphon 0.5.1 (0.4.0 does not have it); dify-official-plugins: models/volcengine_maas/manifest.yaml",
    },
    Known {
        kind: Kind::ModelType,
        since: V1_0,
        names: &["llm", "text-embedding", "rerank", "speech2text", "moderation", "tts"],
        source: API_1_0,
    },
    Known {
        kind: Kind::Property,
        since: V1_0,
        names: &[
            "mode",
            "context_size",
            "max_chunks",
            "file_upload_limit",
            "supported_file_extensions",
            "max_characters_per_chunk",
            "default_voice",
            "voices",
            "word_limit",
            "audio_type",
            "max_workers",
        ],
        source: API_1_0,
    },
    Known {
        kind: Kind::ParameterType,
        since: V1_0,
        names: &["float", "int", "string", "boolean", "text"],
        source: API_1_0,
    },
    Known { kind: Kind::Template, since: V1_0, names: &super::template::NAMES, source: DAEMON_1_0 },
    Known {
        kind: Kind::FieldType,
        since: V1_0,
        names: &["text-input", "secret-input", "select", "radio", "switch"],
        source: API_1_0,
    },
    Known { kind: Kind::Method, since: V1_0, names: &["predefined-model", "customizable-model"], source: API_1_0 },
    Known {
        kind: Kind::Tag,
        since: V1_0,
        names: &[
            "search",
            "image",
            "videos",
            "weather",
            "finance",
            "design",
            "travel",
            "social",
            "news",
            "medical",
            "productivity",
            "education",
            "business",
            "entertainment",
            "utilities",
            "agent",
            "other",
        ],
        source: DAEMON_1_0,
    },
    Known {
        kind: Kind::Tag,
        since: DifyVersion([1, 9, 0]),
        names: &["rag"],
        source: "dify-plugin-daemon 0.3.0: pkg/entities/manifest_entities/tags.go",
    },
    Known {
        kind: Kind::Tag,
        since: DifyVersion([1, 10, 0]),
        names: &["trigger"],
        source: "dify-plugin-daemon 0.4.0: pkg/entities/manifest_entities/tags.go",
    },
    Known {
        kind: Kind::Extension,
        since: V1_0,
        names: &["tools", "models", "endpoints", "agent_strategies"],
        source: DAEMON_1_0,
    },
    Known {
        kind: Kind::Extension,
        since: DifyVersion([1, 9, 0]),
        names: &["datasources"],
        source: "dify-plugin-daemon 0.3.0: pkg/entities/plugin_entities/plugin_declaration.go",
    },
    Known {
        kind: Kind::Extension,
        since: DifyVersion([1, 10, 0]),
        names: &["triggers"],
        source: "dify-plugin-daemon 0.4.0: pkg/entities/plugin_entities/plugin_declaration.go",
    },
    Known {
        kind: Kind::ProviderTag,
        since: V1_0,
        names: &[
            "search",
            "image",
            "videos",
            "weather",
            "finance",
            "design",
            "travel",
            "social",
            "news",
            "medical",
            "productivity",
            "education",
            "business",
            "entertainment",
            "utilities",
            "other",
        ],
        source: "langgenius/dify: api/core/tools/entities/tool_entities.py (ToolLabelEnum, without agent and trigger)",
    },
    Known {
        kind: Kind::ProviderTag,
        since: DifyVersion([1, 9, 0]),
        names: &["rag"],
        source: "dify-plugin-daemon 0.3.0: pkg/entities/manifest_entities/tags.go",
    },
    Known {
        kind: Kind::ToolParameterType,
        since: V1_0,
        names: &[
            "string",
            "number",
            "boolean",
            "select",
            "secret-input",
            "file",
            "files",
            "app-selector",
            "model-selector",
        ],
        source: DAEMON_1_0,
    },
    Known { kind: Kind::ToolParameterType, since: DifyVersion([1, 4, 0]), names: &["any"], source: DAEMON_ANY },
    Known {
        kind: Kind::ToolParameterType,
        since: DifyVersion([1, 6, 0]),
        names: &["dynamic-select", "array", "object"],
        source: "dify-plugin-daemon 0.1.3 (dynamic-select), langgenius/dify #21425; 1.6.0 added the types of MCP",
    },
    Known {
        kind: Kind::ToolParameterType,
        since: DifyVersion([1, 10, 0]),
        names: &["checkbox"],
        source: "dify-plugin-daemon 0.4.0: pkg/entities/plugin_entities/tool_declaration.go",
    },
    Known {
        kind: Kind::AgentParameterType,
        since: V1_0,
        names: &[
            "string",
            "number",
            "boolean",
            "select",
            "secret-input",
            "file",
            "files",
            "app-selector",
            "model-selector",
            "array[tools]",
        ],
        source: DAEMON_1_0,
    },
    Known { kind: Kind::AgentParameterType, since: DifyVersion([1, 4, 0]), names: &["any"], source: DAEMON_ANY },
    Known {
        kind: Kind::DatasourceParameterType,
        since: DifyVersion([1, 9, 0]),
        names: &["string", "number", "boolean", "select", "secret-input"],
        source: "dify-plugin-daemon 0.3.0: pkg/entities/plugin_entities/datasource_declaration.go",
    },
    Known {
        kind: Kind::EventParameterType,
        since: DifyVersion([1, 10, 0]),
        names: &[
            "string",
            "number",
            "boolean",
            "select",
            "file",
            "files",
            "model-selector",
            "app-selector",
            "object",
            "array",
            "dynamic-select",
            "checkbox",
        ],
        source: "dify-plugin-daemon 0.4.0: pkg/entities/plugin_entities/trigger_declaration.go",
    },
    Known { kind: Kind::ParameterForm, since: V1_0, names: &["llm", "form", "schema"], source: DAEMON_1_0 },
    Known { kind: Kind::AutoGenerate, since: V1_0, names: &["prompt_instruction"], source: DAEMON_1_0 },
    Known {
        kind: Kind::ConfigFieldType,
        since: V1_0,
        names: &["secret-input", "text-input", "select", "boolean", "app-selector", "model-selector", "array[tools]"],
        source: DAEMON_1_0,
    },
    Known { kind: Kind::AppScope, since: V1_0, names: &["all", "chat", "workflow", "completion"], source: DAEMON_1_0 },
    Known { kind: Kind::ModelScope, since: V1_0, names: MODEL_SCOPES, source: API_SCOPES },
    Known { kind: Kind::ParameterModelScope, since: V1_0, names: MODEL_SCOPES, source: DAEMON_1_0 },
    Known { kind: Kind::ParameterModelScope, since: V1_0, names: &["document", "tool-call"], source: DAEMON_1_0 },
    Known {
        kind: Kind::AnyScope,
        since: V1_0,
        names: &["string", "number", "object", "array[number]", "array[string]", "array[object]", "array[file]"],
        source: DAEMON_ANY,
    },
    Known {
        kind: Kind::AgentFeature,
        since: V1_0,
        names: &["history-messages"],
        source: "langgenius/dify: api/core/agent/plugin_entities.py (AgentFeature)",
    },
    Known {
        kind: Kind::DatasourceType,
        since: DifyVersion([1, 9, 0]),
        names: &["website_crawl", "online_document", "online_drive"],
        source: "dify-plugin-daemon 0.3.0: pkg/entities/plugin_entities/datasource_declaration.go",
    },
    Known {
        kind: Kind::Member,
        since: DifyVersion([1, 7, 1]),
        names: &["oauth_schema"],
        source: "docs.dify.ai: plugin OAuth; dify-official-plugins: tools/*/manifest.yaml",
    },
    Known { kind: Kind::Language, since: V1_0, names: &["python"], source: DAEMON_1_0 },
    Known { kind: Kind::Arch, since: V1_0, names: &["amd64", "arm64"], source: DAEMON_1_0 },
];

/// Returns the names of a set, oldest first.
pub fn names(kind: Kind) -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(move |known| known.kind == kind).flat_map(|known| known.names.iter().copied())
}

/// Returns the first Dify version that knows a name of a set.
pub fn since(kind: Kind, name: &str) -> Option<DifyVersion> {
    TABLE.iter().find(|known| known.kind == kind && known.names.contains(&name)).map(|known| known.since)
}

/// Optional features of a model: an older Dify uses the model without them.
const OPTIONAL: [&str; 1] = ["structured-output"];

/// Removes the features of a model that a Dify version cannot read. One that the model requires is an error: its name.
pub fn suit(model: &mut Map<String, Value>, version: DifyVersion) -> Result<bool, String> {
    let Some(Value::Array(features)) = model.get_mut("features") else { return Ok(false) };
    let is_newer = |feature: &Value| {
        feature.as_str().and_then(|name| since(Kind::Feature, name)).is_some_and(|since| since > version)
    };
    let needed = features.iter().filter(|feature| is_newer(feature)).filter_map(Value::as_str);
    if let Some(name) = needed.clone().find(|name| !OPTIONAL.contains(name)) {
        return Err(name.to_owned());
    }
    let before = features.len();
    features.retain(|feature| !is_newer(feature));
    Ok(features.len() != before)
}

/// The Dify version that a package is for, and where it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimum {
    /// The oldest version that must be able to read the package.
    pub version: DifyVersion,
    /// Whether the package declares it; otherwise it is the oldest version of all.
    pub is_named: bool,
    /// Where it is, or would be, declared: file and field.
    pub place: (String, &'static str),
}

impl Minimum {
    /// Reads the version of a manifest.
    pub fn of_manifest(manifest: &Map<String, Value>) -> Self {
        let named = manifest.get("meta").and_then(|meta| meta.get("minimum_dify_version"));
        Self::new(named, "manifest.yaml", "meta.minimum_dify_version")
    }

    /// Reads the version of a provider's package: its own, or else the manifest's.
    pub fn of_package(manifest: &Manifest, provider: &Map<String, Value>, file: &str) -> Self {
        let own = provider.get("package").and_then(|package| package.get("minimum_dify_version"));
        match own.filter(|own| manifest.provider_files().len() > 1 && !own.is_null()) {
            Some(own) => Self::new(Some(own), file, "package.minimum_dify_version"),
            None => Self::of_manifest(&manifest.0),
        }
    }

    /// Raises the version, so that nothing is too new for the package.
    #[must_use]
    pub fn at_least(self, version: DifyVersion) -> Self {
        Self { version: self.version.max(version), ..self }
    }

    /// An invalid version is reported by the rules and ignored here.
    fn new(named: Option<&Value>, file: &str, field: &'static str) -> Self {
        let version = named.and_then(Value::as_str).and_then(|text| text.parse().ok());
        Self {
            version: version.unwrap_or(DifyVersion::OLDEST).max(DifyVersion::OLDEST),
            is_named: version.is_some(),
            place: (file.to_owned(), field),
        }
    }

    /// Describes how an older Dify, which the package is for, works without this member, which it ignores.
    pub fn ignores(&self, member: &str) -> Option<String> {
        let since = since(Kind::Member, member).filter(|since| *since > self.version)?;
        let (file, field) = &self.place;
        let held = if self.is_named { "is for older ones, too" } else { "names none" };
        Some(format!(
            "is used by Dify {since} and later, and this package {held}; write {since} as `{field}` of {file}"
        ))
    }

    /// Returns why a name cannot be in the package, and what to do; `None` if it can.
    pub fn refuses(&self, kind: Kind, name: &str) -> Option<String> {
        let since = since(kind, name).filter(|since| *since > self.version)?;
        let held = match self.is_named {
            true => format!("this package is for Dify {} and later", self.version),
            false => {
                format!("this package names no Dify, so it must suit {}, the first that runs plugins", self.version)
            }
        };
        let (file, field) = &self.place;
        Some(format!(
            "`{name}` can be read by Dify {since} and later only, and {held}: an older one refuses all that the package \
             declares, or its whole list of providers. Write {since} as `{field}` of {file}, or move what needs `{name}` to a \
             provider file of its own"
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_numbers_in_order() {
        for (text, version) in [
            ("1.3.0", Ok(DifyVersion([1, 3, 0]))),
            ("1.15.0-rc1", Ok(DifyVersion([1, 15, 0]))),
            ("0.15.3", Ok(DifyVersion([0, 15, 3]))),
            ("1.3", Err(NoVersion)),
            ("1.3.0.1", Err(NoVersion)),
            ("1.3.x", Err(NoVersion)),
            ("1.+3.0", Err(NoVersion)),
            ("1.99999.0", Err(NoVersion)),
            ("latest", Err(NoVersion)),
            ("", Err(NoVersion)),
        ] {
            assert_eq!(text.parse(), version, "{text}");
        }
        assert!(DifyVersion([1, 9, 2]) < DifyVersion([1, 15, 0]));
        assert_eq!(DifyVersion([1, 15, 0]).to_string(), "1.15.0");
    }

    #[test]
    fn lists_each_name_once() {
        for known in TABLE {
            for name in known.names {
                let places = TABLE.iter().filter(|other| other.kind == known.kind && other.names.contains(name));
                assert_eq!(places.count(), 1, "{name}");
            }
        }
    }

    #[test]
    fn a_model_is_suited_to_an_older_dify_or_needs_a_newer_one() {
        let suited = |features: Value, version: [u16; 3]| {
            let mut model = json!({"model": "m", "features": features}).as_object().unwrap().clone();
            suit(&mut model, DifyVersion(version)).map(|changed| (changed, model["features"].clone()))
        };
        let both = json!(["vision", "structured-output"]);
        assert_eq!(suited(both.clone(), [1, 2, 9]), Ok((true, json!(["vision"]))));
        assert_eq!(suited(both.clone(), [1, 3, 0]), Ok((false, both)));
        assert_eq!(suited(json!(["structured-output", "polling"]), [1, 3, 0]), Err("polling".to_owned()));
        assert_eq!(suited(json!(["polling"]), [1, 15, 0]), Ok((false, json!(["polling"]))));
        assert_eq!(suited(json!(null), [1, 0, 0]), Ok((false, json!(null))));
    }

    #[test]
    fn lists_every_feature() {
        for name in names(Kind::Feature) {
            let feature: crate::declare::ModelFeature = serde_json::from_value(json!(name)).unwrap();
            assert_eq!(json!(feature), name);
            assert_eq!(Some(feature.since()), since(Kind::Feature, name));
        }
    }

    #[test]
    fn a_package_says_its_own_version_where_there_are_several() {
        let manifest = |files: &[&str], version: Value| {
            let value = json!({"meta": {"minimum_dify_version": version}, "plugins": {"models": files}});
            Manifest(value.as_object().unwrap().clone())
        };
        let provider =
            |version: Value| json!({"package": {"minimum_dify_version": version}}).as_object().unwrap().clone();
        for (files, root, own, expected, field) in [
            (&["a", "b"][..], json!("1.3.0"), json!("1.15.0"), "1.15.0", "package.minimum_dify_version"),
            (&["a", "b"], json!("1.3.0"), json!(null), "1.3.0", "meta.minimum_dify_version"),
            (&["a"], json!("1.3.0"), json!("1.15.0"), "1.3.0", "meta.minimum_dify_version"),
            (&["a"], json!(null), json!(null), "1.0.0", "meta.minimum_dify_version"),
            (&["a"], json!(1.15), json!(null), "1.0.0", "meta.minimum_dify_version"),
            (&["a"], json!("0.15.3"), json!(null), "1.0.0", "meta.minimum_dify_version"),
        ] {
            let minimum = Minimum::of_package(&manifest(files, root), &provider(own), "a");
            assert_eq!((minimum.version.to_string().as_str(), minimum.place.1), (expected, field));
        }
    }
}
