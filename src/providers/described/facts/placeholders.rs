//! Option types that the dialect does not define yet.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

macro_rules! placeholder {
    ($($name:ident),*) => { $(
        /// Options of the dialect.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Map<String, Value>);
    )* };
}

placeholder!(ChatOptions, EmbeddingForm, ModerationForm, RerankForm, TranscriptionForm, SpeechForm);
