//! What the server reports about a model. Every field is optional, because each server version omits some.
//!
//! `model_type` takes precedence over abilities, and abilities over the name of the model family.
//! Source: `xorbitsai/inference: xinference/model/{llm,embedding,rerank,audio}/core.py`.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use dify_plugin::codec::json::{first, fit, or_default};
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::{Credentials, ModelType};

/// Engines that parse tool calls in streams and enforce a schema.
const STRONG_ENGINES: [&str; 4] = ["vllm", "sglang", "mlx", "llama.cpp"];

/// Engines that support guided decoding.
const GUIDED_ENGINES: [&str; 2] = ["vllm", "sglang"];

/// Maximum number of abilities that are examined.
const MAX_ABILITIES: usize = 256;

/// A model as `GET /v1/models/{uid}` returns it, or an entry of `GET /v1/models`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct ModelInfo {
    /// `LLM`, `embedding`, `rerank`, `audio`, `image`, `video`.
    #[serde(default, deserialize_with = "fit")]
    pub(super) model_type: Option<String>,
    #[serde(default, deserialize_with = "fit")]
    pub(super) model_name: Option<String>,
    #[serde(default, deserialize_with = "fit")]
    pub(super) model_family: Option<String>,
    #[serde(default, deserialize_with = "fit")]
    pub(super) model_engine: Option<String>,
    #[serde(default, deserialize_with = "first::<MAX_ABILITIES, _, _>")]
    pub(super) model_ability: Vec<String>,
    #[serde(default, deserialize_with = "positive_integer")]
    pub(super) context_length: Option<u64>,
    /// Maximum input of an embedding model in tokens.
    #[serde(default, deserialize_with = "positive_integer")]
    pub(super) max_tokens: Option<u64>,
    /// Dimensions of the embeddings.
    #[serde(default, deserialize_with = "positive_integer")]
    pub(super) dimensions: Option<u64>,
    /// Whether the template rejects a system message that is not the first message.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) strict_system_first: bool,
}

/// Deserializes a number greater than 0, given as a number or a string; any other value becomes `None`.
fn positive_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = match Option::<Value>::deserialize(deserializer)? {
        Some(Value::Number(number)) => number.as_f64().map(|number| number as u64),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(number.filter(|number| *number > 0))
}

impl ModelInfo {
    /// Returns what older installations stored in the credentials, for a server that cannot be queried.
    pub(super) fn assumed(credentials: &Credentials) -> Self {
        let mut model_ability = Vec::new();
        match credentials.get("completion_type") {
            Some("completion") => model_ability.push("generate".to_owned()),
            _ => model_ability.push("chat".to_owned()),
        }
        for (field, ability) in [("support_function_call", "tools"), ("support_vision", "vision")] {
            if credentials.flag(field, false) {
                model_ability.push(ability.to_owned());
            }
        }
        Self {
            model_ability,
            max_tokens: credentials.get("max_tokens").and_then(|text| text.parse().ok()),
            model_family: credentials.get("audio_model_name").map(str::to_owned),
            ..Self::default()
        }
    }

    /// Whether the server reported this, as opposed to an assumption.
    pub(super) fn is_reported(&self) -> bool {
        self.model_type.is_some()
    }

    pub(super) fn has(&self, ability: &str) -> bool {
        self.model_ability.iter().any(|own| own == ability)
    }

    /// Returns the name of the model family, or else of the model.
    pub(super) fn family(&self) -> &str {
        self.model_family.as_deref().or(self.model_name.as_deref()).unwrap_or("unknown")
    }

    /// Whether the model can be used as this type.
    pub(super) fn serves(&self, model_type: ModelType) -> bool {
        let kind = self.model_type.as_deref().map(str::to_ascii_lowercase);
        match (kind.as_deref(), model_type) {
            (Some("llm"), ModelType::Llm) => self.has("chat") || self.has("generate") || self.model_ability.is_empty(),
            (Some("embedding"), ModelType::TextEmbedding) | (Some("rerank"), ModelType::Rerank) => true,
            (Some("audio"), ModelType::Speech2text) => self.supports_transcription(),
            (Some("audio"), ModelType::Tts) => self.supports_tts(),
            (None, ModelType::Llm) => self.has("chat") || self.has("generate"),
            (None, _) => self.model_ability.is_empty(),
            _ => false,
        }
    }

    /// Lists Dify's model types for which this model can be used.
    pub(super) fn types(&self) -> String {
        let kinds: Vec<_> =
            ModelType::ALL.into_iter().filter(|kind| self.serves(*kind)).map(ModelType::as_str).collect();
        match (kinds.as_slice(), &self.model_type) {
            ([], Some(own)) => format!("{own} (not supported by Dify)"),
            ([], None) => "unknown".to_owned(),
            (kinds, _) => kinds.join(" or "),
        }
    }

    /// Returns the error of a request for another model type.
    pub(super) fn mismatch(&self, uid: &str, wanted: ModelType) -> InvokeError {
        InvokeError::bad_request(format!("model `{uid}` has type {}, expected {}", self.types(), wanted.as_str()))
    }

    fn supports_transcription(&self) -> bool {
        self.has("audio2text") || (!self.supports_tts() && !self.has("speaker_embedding") && !self.has("text2music"))
    }

    fn supports_tts(&self) -> bool {
        const SPEAKING: [&str; 8] =
            ["chattts", "cosyvoice", "fishaudio", "kokoro", "melotts", "f5-tts", "megatts", "tts"];
        let by_ability = self.model_ability.iter().any(|own| own.starts_with("text2audio") || own == "text-to-audio");
        let family = self.family().to_ascii_lowercase();
        by_ability || (self.model_ability.is_empty() && SPEAKING.iter().any(|name| family.contains(name)))
    }

    /// Whether the model uses chat mode. A model that supports both modes uses chat.
    pub(super) fn chats(&self) -> bool {
        self.has("chat") || !self.has("generate")
    }

    pub(super) fn calls_tools(&self) -> bool {
        self.has("tools")
    }

    /// Whether thinking can be switched on and off.
    pub(super) fn is_hybrid(&self) -> bool {
        self.has("hybrid")
    }

    pub(super) fn reasons(&self) -> bool {
        self.has("reasoning") || self.is_hybrid()
    }

    /// Whether thinking cannot be switched off.
    pub(super) fn always_thinks(&self) -> bool {
        self.has("reasoning") && !self.is_hybrid()
    }

    pub(super) fn sees(&self) -> bool {
        self.has("vision") || self.has("omni")
    }

    /// Whether the model accepts videos. Only some vision models list this ability.
    pub(super) fn supports_video_input(&self) -> bool {
        self.has("video") || self.has("omni")
    }

    pub(super) fn supports_audio_input(&self) -> bool {
        self.has("audio") || self.has("omni")
    }

    /// Whether an embedding or rerank model accepts images.
    pub(super) fn supports_image_input(&self) -> bool {
        self.model_ability.iter().any(|own| matches!(own.as_str(), "embed_vision" | "rerank_vision" | "vision"))
    }

    fn engine_is(&self, engines: &[&str]) -> bool {
        let own = self.model_engine.as_deref().unwrap_or_default().to_ascii_lowercase();
        engines.iter().any(|engine| own == *engine || (*engine == "llama.cpp" && own == "llama_cpp"))
    }

    /// Whether the server parses tool calls in streams and enforces schemas.
    pub(super) fn has_strong_engine(&self) -> bool {
        self.engine_is(&STRONG_ENGINES)
    }

    pub(super) fn has_guided_decoding(&self) -> bool {
        self.engine_is(&GUIDED_ENGINES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> ModelInfo {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn derives_types_from_type_ability_and_family() {
        let cases = [
            (r#"{"model_type":"LLM","model_ability":["chat","tools"]}"#, "llm"),
            (r#"{"model_type":"LLM","model_ability":["generate"]}"#, "llm"),
            (r#"{"model_type":"embedding"}"#, "text-embedding"),
            (r#"{"model_type":"embedding","model_ability":["embed"]}"#, "text-embedding"),
            (r#"{"model_type":"rerank","model_ability":null}"#, "rerank"),
            (r#"{"model_type":"audio","model_ability":["audio2text"],"model_family":"whisper"}"#, "speech2text"),
            (
                r#"{"model_type":"audio","model_ability":["text2audio","text2audio_zero_shot"],"model_family":"Kokoro"}"#,
                "tts",
            ),
            (r#"{"model_type":"audio","model_family":"CosyVoice"}"#, "tts"),
            (r#"{"model_type":"audio","model_family":"whisper"}"#, "speech2text"),
            (r#"{"model_type":"audio","model_ability":["speaker_embedding"]}"#, "audio (not supported by Dify)"),
            (r#"{"model_type":"image"}"#, "image (not supported by Dify)"),
        ];
        for (json, kinds) in cases {
            assert_eq!(read(json).types(), kinds, "{json}");
        }
    }

    #[test]
    fn ignores_odd_members() {
        for (odd, abilities) in [
            (r#""model_ability":"chat""#, &["chat"][..]),
            (r#""model_ability":["chat",null,{},"tools"]"#, &["chat", "tools"]),
            (r#""model_ability":{"chat":true}"#, &[]),
            (r#""model_family":{"model_name":"qwen3"},"model_ability":["chat"]"#, &["chat"]),
            (r#""model_engine":7,"model_name":[],"strict_system_first":"yes","model_ability":["chat"]"#, &["chat"]),
        ] {
            let description = read(&format!(r#"{{"model_type":"LLM","context_length":4096,{odd}}}"#));
            assert_eq!(description.model_ability, abilities, "{odd}");
            assert_eq!((description.context_length, description.is_reported()), (Some(4096), true), "{odd}");
        }
    }

    #[test]
    fn reads_numbers_of_any_type() {
        for (json, expected) in [
            (r#"{"context_length":4096}"#, Some(4096)),
            (r#"{"context_length":"4096"}"#, Some(4096)),
            (r#"{"context_length":4096.0}"#, Some(4096)),
            (r#"{"context_length":-1}"#, None),
            (r#"{"context_length":null}"#, None),
            (r#"{"context_length":[]}"#, None),
        ] {
            assert_eq!(read(json).context_length, expected, "{json}");
        }
    }

    #[test]
    fn reads_fields_of_old_installations() {
        let credentials = Credentials::from_pairs([
            ("completion_type", "chat"),
            ("support_function_call", "True"),
            ("support_vision", "false"),
        ]);
        let assumed = ModelInfo::assumed(&credentials);
        assert!(assumed.chats() && assumed.calls_tools() && !assumed.sees());
        assert!(!ModelInfo::assumed(&Credentials::from_pairs([("completion_type", "completion")])).chats());
    }
}
