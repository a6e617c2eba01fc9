//! The facts about a provider whose API is OpenAI-compatible: the `openai:` block of a provider's YAML file, or a file of
//! its own beside it. Every key is documented here; the table of keys in the documentation is made from these types. What it
//! is not: the options of the wire dialect, which the dialect defines (`chat`, `embedding` …).

mod connection;
mod custom;
mod validate;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::block::Block;
use super::template::Template;
use crate::dialect::openai::embeddings::EmbeddingForm;
use crate::dialect::openai::moderation::ModerationForm;
use crate::dialect::openai::options::ChatOptions;
use crate::dialect::openai::rerank::RerankForm;
use crate::dialect::openai::speech_responses::{SpeechForm, TranscriptionForm};

pub use connection::{Auth, AuthPlace, BaseUrl, Paths, WireName};
pub use custom::{Custom, CustomRule, OneOrMany};
pub use validate::{Validate, ValidateCall};

/// Defines a struct with the keys that the facts of a provider and of a model have in common, and some of its own.
macro_rules! facts {
    ($(#[$attribute:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// Root of the API: a template, or a choice by the value of a credential. The paths follow it.
            pub base_url: Option<BaseUrl>,
            /// Appended to the path of the base URL unless it ends with it, as `v1`.
            pub base_suffix: Option<String>,
            /// Removed from the end of the base URL's path before `base_suffix` is appended.
            pub base_strip: Vec<String>,
            /// Where the API key comes from and where it is sent.
            pub auth: Block<Auth>,
            /// Headers of every request, as templates. A header whose credential is blank is left out.
            pub headers: BTreeMap<String, Template>,
            /// Query parameters of every request, as templates. A parameter whose credential is blank is left out.
            pub query: BTreeMap<String, Template>,
            /// Paths below the base URL, or absolute URLs.
            pub paths: Paths,
            /// Name of the model in requests: a template, or a map from Dify's name. Default: Dify's name.
            pub model: Option<WireName>,
            /// Chat and completion models.
            pub chat: Block<ChatOptions>,
            /// Text embedding models.
            pub embedding: Block<EmbeddingForm>,
            /// Rerank models.
            pub rerank: Block<RerankForm>,
            /// Text-to-speech models.
            pub tts: Block<SpeechForm>,
            /// Speech-to-text models.
            pub speech2text: Block<TranscriptionForm>,
            /// Moderation models.
            pub moderation: Block<ModerationForm>,
            $($own)*
        }
    };
}

facts! {
    /// The facts about a provider.
    Facts {
        /// The `provider` that the facts are about, in a file of its own; it must be that of the declaration.
        pub provider: Option<String>,
        /// Base URLs that are tried in turn when provider credentials are validated and the credential of `base_url` is blank.
        /// The first that works is stored in that credential.
        pub base_try: Vec<String>,
        /// How provider credentials are validated. Default: by the list of models.
        pub validate: Validate,
        /// The schema of models that users add.
        pub custom: Block<Custom>,
        /// Kinds of errors by HTTP status (`402`) or by the error's code or a word of its message (`insufficient_quota`).
        pub errors: BTreeMap<String, ErrorClass>,
        /// Facts about some models, by a pattern for their names in which `*` is any text and `?` any character. Later entries win over
        /// earlier ones and exact names over patterns; maps are merged, everything else is replaced.
        pub models: ModelBlocks,
        /// What is not served, by a pattern for names of models or by a model type, with the reason.
        pub left_out: Ordered<String>,
        /// Values of credentials that are not served, by credential and value, with the reason. A form that selects one is rejected.
        pub refuse: BTreeMap<String, BTreeMap<String, String>>,
        /// Former names of credentials: from the old name to the one that is read. A stored form may have either.
        pub former_fields: BTreeMap<String, String>,
    }
}

facts! {
    /// The facts about a model: those of its provider, with everything that is different for the model.
    ModelFacts {}
}

/// Kind of an error, which decides what Dify does: rotate keys, retry, or report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The request is at fault.
    BadRequest,
    /// The credential is at fault.
    Authorization,
    /// The credential is exhausted for now; another one may work.
    RateLimit,
    /// The server is at fault.
    ServerUnavailable,
    /// The connection is at fault.
    Connection,
}

impl ErrorClass {
    /// Returns the kind of error.
    pub fn kind(self) -> dify_plugin::error::ErrorKind {
        use dify_plugin::error::ErrorKind;
        match self {
            Self::BadRequest => ErrorKind::BadRequest,
            Self::Authorization => ErrorKind::Authorization,
            Self::RateLimit => ErrorKind::RateLimit,
            Self::ServerUnavailable => ErrorKind::ServerUnavailable,
            Self::Connection => ErrorKind::Connection,
        }
    }
}

/// A map in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
        map.into_iter()
            .map(|(key, value)| match serde_json::from_value(value) {
                Ok(value) => Ok((key, value)),
                Err(error) => Err(serde::de::Error::custom(format!("`{key}`: {error}"))),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Ordered<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Map_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<String, T>::json_schema(generator)
    }
}

/// The blocks of some models as JSON, by pattern; they are merged before they are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelBlocks(pub Vec<(String, Map<String, Value>)>);

impl<'de> Deserialize<'de> for ModelBlocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ordered::<Map<String, Value>>::deserialize(deserializer).map(|blocks| Self(blocks.0))
    }
}

impl JsonSchema for ModelBlocks {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ModelBlocks".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        BTreeMap::<String, ModelFacts>::json_schema(generator)
    }
}

/// Keys of the provider's facts that a model's block cannot have.
pub const PROVIDER_KEYS: [&str; 9] =
    ["provider", "base_try", "validate", "custom", "errors", "models", "left_out", "refuse", "former_fields"];

/// Returns the JSON Schema of the facts.
pub fn schema() -> Value {
    schemars::schema_for!(Facts).to_value()
}
