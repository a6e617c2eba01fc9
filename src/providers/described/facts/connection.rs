//! Facts about the connection: base URL, credential, paths, wire names. What it is not: the connection itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::super::template::Template;
use super::custom::OneOrMany;

/// Root of the API.
#[derive(Clone, Debug, PartialEq)]
pub enum BaseUrl {
    /// A template.
    Template(Template),
    /// A choice by the value of a credential.
    Choice(BaseUrlChoice),
}

/// A choice of the base URL.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BaseUrlChoice {
    /// The credential whose value decides.
    pub by: String,
    /// Base URLs by value.
    pub when: BTreeMap<String, Template>,
    /// Base URL for any other value. Without it, another value is an error.
    #[serde(rename = "else", default)]
    pub other: Option<Template>,
}

/// Where the API key comes from and where it is sent.
#[derive(Clone, Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// The credential with the key, or several of which the first that is filled in is used. Default: `api_key`. No key is sent if it
    /// is blank.
    pub credential: Option<OneOrMany>,
    /// Where the key is sent.
    #[serde(rename = "in")]
    pub place: AuthPlace,
    /// Name of the header or of the query parameter.
    pub name: Option<String>,
    /// A key that is sent if the credential is blank, for servers that want any.
    pub fixed: Option<String>,
}

/// Where the API key is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthPlace {
    /// `Authorization: Bearer KEY`
    #[default]
    Bearer,
    /// A header with the key alone; `name` is required.
    Header,
    /// A query parameter; `name` is required.
    Query,
    /// Nowhere.
    None,
}

/// Paths by what is called, as templates: below the base URL, or absolute URLs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// Chat models. Default: `chat/completions`.
    pub llm: Option<Template>,
    /// Completion models. Default: `completions`.
    pub completion: Option<Template>,
    /// Text embedding models. Default: `embeddings`.
    pub text_embedding: Option<Template>,
    /// Rerank models. Default: `rerank`.
    pub rerank: Option<Template>,
    /// Speech-to-text models. Default: `audio/transcriptions`.
    pub speech2text: Option<Template>,
    /// Text-to-speech models. Default: `audio/speech`.
    pub tts: Option<Template>,
    /// Moderation models. Default: `moderations`.
    pub moderation: Option<Template>,
    /// The list of models. Default: `models`.
    pub models: Option<Template>,
}

impl Paths {
    /// Returns the keys that have a path, with the path.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &Template)> {
        [
            ("llm", &self.llm),
            ("completion", &self.completion),
            ("text_embedding", &self.text_embedding),
            ("rerank", &self.rerank),
            ("speech2text", &self.speech2text),
            ("tts", &self.tts),
            ("moderation", &self.moderation),
            ("models", &self.models),
        ]
        .into_iter()
        .filter_map(|(key, path)| path.as_ref().map(|path| (key, path)))
    }
}

/// Name of a model in requests.
#[derive(Clone, Debug, PartialEq)]
pub enum WireName {
    /// A template in which `{model}` is Dify's name.
    Template(Template),
    /// From Dify's names to those of the API; a name that is not in it stays as it is.
    Map(BTreeMap<String, String>),
}

/// Reads a text as a template, or a map as something else; a message of an untagged enum would not say what is wrong.
macro_rules! text_or_map {
    ($type:ty, $expecting:literal, $text:path, $map:path, $inner:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Found;
                impl<'de> Visitor<'de> for Found {
                    type Value = $type;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        formatter.write_str($expecting)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                        Template::parse(text).map($text).map_err(E::custom)
                    }

                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                        <$inner>::deserialize(MapAccessDeserializer::new(map)).map($map)
                    }
                }
                deserializer.deserialize_any(Found)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let (text, map) = (generator.subschema_for::<Template>(), generator.subschema_for::<$inner>());
                schemars::json_schema!({ "anyOf": [text, map] })
            }
        }
    };
}

text_or_map!(
    BaseUrl,
    "a URL, in which `{credential}` is replaced by a credential, or a map with `by`, `when` and `else`",
    BaseUrl::Template,
    BaseUrl::Choice,
    BaseUrlChoice
);
text_or_map!(
    WireName,
    "a name, in which `{model}` is replaced by Dify's name, or a map from Dify's names",
    WireName::Template,
    WireName::Map,
    BTreeMap<String, String>
);
