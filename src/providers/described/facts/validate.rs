//! Facts about the validation of provider credentials. What it is not: the validation of a model, which is always the
//! smallest call of the model's type.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::template::Template;

/// How provider credentials are validated.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Validate {
    /// By the list of models, which must be an answer of the API.
    #[default]
    Models,
    /// Not at all.
    None,
    /// By a call.
    Call(Box<ValidateCall>),
}

/// A call that validates provider credentials. Exactly one of the model types or `get` is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ValidateCall {
    /// Smallest chat request to this model. The credential `validate_model`, which no form needs, names another one.
    pub llm: Option<Template>,
    /// Smallest embedding request to this model.
    pub text_embedding: Option<Template>,
    /// Smallest rerank request to this model.
    pub rerank: Option<Template>,
    /// Smallest speech request to this model.
    pub tts: Option<Template>,
    /// Smallest transcription by this model.
    pub speech2text: Option<Template>,
    /// Smallest moderation request to this model.
    pub moderation: Option<Template>,
    /// A `GET` request to this path below the base URL, or to this URL; any success is enough.
    pub get: Option<Template>,
    /// Output limit of the chat request, in tokens. Default: 5.
    pub max_tokens: Option<u64>,
    /// Whether the chat request streams.
    pub stream: bool,
}

impl<'de> Deserialize<'de> for Validate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Found;
        impl<'de> Visitor<'de> for Found {
            type Value = Validate;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("`models`, `none`, or a map such as `{llm: MODEL}` or `{get: PATH}`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Validate, E> {
                match text {
                    "models" => Ok(Validate::Models),
                    "none" => Ok(Validate::None),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Validate, A::Error> {
                ValidateCall::deserialize(MapAccessDeserializer::new(map)).map(Box::new).map(Validate::Call)
            }
        }
        deserializer.deserialize_any(Found)
    }
}

impl JsonSchema for Validate {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Validate".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let call = generator.subschema_for::<ValidateCall>();
        schemars::json_schema!({ "anyOf": [{ "enum": ["models", "none"] }, call] })
    }
}
