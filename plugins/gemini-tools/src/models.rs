//! The models that each tool can use, as choices of a parameter: those that the Gemini Developer API lists for the key,
//! or else a built-in list, because Vertex AI does not list what a project can use.

use std::time::Duration;

use dify_plugin::error::ErrorKind;
use dify_plugin::prelude::*;
use dify_plugin::protocol::lenient;
use dify_plugin::serde_json::Value;
use dify_plugin::upstream::RetryPolicy;
use dify_plugin_gemini::Surface;
use dify_plugin_gemini::generate::read_json;
use dify_plugin_gemini::speech::VOICES;
use serde::Deserialize;

use crate::service::Account;

/// Name of the parameter in every tool.
pub const MODEL: &str = "model";

/// How long the form waits for the list of models before it shows the built-in list.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum bytes of the list.
const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;

/// Parts of the names of models that answer neither with text nor with images nor with speech of a given text.
const OTHERS: [&str; 13] = [
    "embedding",
    "transcribe",
    "live",
    "native-audio",
    "robotics",
    "computer-use",
    "omni",
    "deep-research",
    "decision",
    "learnlm",
    "aqa",
    "veo",
    "lyria",
];

/// What a model is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Answers, also with Google's tools.
    Answers,
    /// Images.
    Images,
    /// Speech.
    Speech,
}

impl Use {
    /// The built-in models, the default first. Source: Gemini API, "Models", as of 26 November 2026.
    fn built_in(self) -> &'static [&'static str] {
        match self {
            Self::Answers => &[
                "gemini-3.8-flash",
                "gemini-4-hydrogen",
                "gemini-4-carbon",
                "gemini-4-neon",
                "gemini-4-argon",
                "gemini-3.6-flash",
                "gemini-3.5-flash-lite",
                "gemini-3.1-pro-preview",
            ],
            Self::Images => &["gemini-nano-banana-2.1", "gemini-3-pro-image", "gemini-3.1-flash-lite-image"],
            Self::Speech => &["gemini-3.8-flash-tts", "gemini-3.8-flash-lite-tts"],
        }
    }

    /// The model of a call that names none.
    pub fn default_model(self) -> &'static str {
        self.built_in()[0]
    }

    /// Returns the model that a parameter names, or else the default.
    pub fn model(self, parameter: Option<DynamicSelect>) -> String {
        let named = parameter.map(|named| named.0.trim().to_owned()).filter(|named| !named.is_empty());
        named.unwrap_or_else(|| self.default_model().to_owned())
    }

    /// What a model is used for, by its name.
    fn of(model: &str) -> Option<Self> {
        match model {
            _ if !model.starts_with("gemini-") => None,
            _ if OTHERS.iter().any(|other| model.contains(other)) => None,
            _ if model.contains("-tts") => Some(Self::Speech),
            _ if model.contains("image") || model.contains("banana") => Some(Self::Images),
            _ => Some(Self::Answers),
        }
    }
}

/// Returns the choices of a parameter: models, or the voices of speech.
pub async fn choices(account: &Account<'_>, parameter: &str, purpose: Use) -> Result<Vec<Choice>, PluginError> {
    match (parameter, purpose) {
        (MODEL, _) => models(account, purpose).await,
        ("voice" | "second_voice", Use::Speech) => {
            Ok(VOICES.iter().map(|(name, manner)| Choice::new(*name, format!("{name} ({manner})"))).collect())
        }
        _ => Err(PluginError::bad_request(format!("parameter `{parameter}` has no choices"))),
    }
}

async fn models(account: &Account<'_>, purpose: Use) -> Result<Vec<Choice>, PluginError> {
    let built_in = || purpose.built_in().iter().map(|name| Choice::new(*name, *name)).collect();
    if account.connection.surface != Surface::Developer {
        return Ok(built_in());
    }
    match tokio::time::timeout(LIST_TIMEOUT, list(account)).await {
        Ok(Ok(listed)) => {
            let mut found: Vec<_> = listed.into_iter().filter(|model| Use::of(model.id()) == Some(purpose)).collect();
            if found.is_empty() {
                return Ok(built_in());
            }
            // The built-in order first, then the newest versions.
            let rank = |model: &Listed| purpose.built_in().iter().position(|name| *name == model.id());
            found.sort_by(|one, other| {
                let (one_rank, other_rank) = (rank(one).unwrap_or(usize::MAX), rank(other).unwrap_or(usize::MAX));
                one_rank.cmp(&other_rank).then_with(|| other.id().cmp(one.id()))
            });
            Ok(found.iter().map(|model| Choice::new(model.id(), model.label())).collect())
        }
        // The form shows why it has no choices.
        Ok(Err(error)) if error.kind == ErrorKind::Authorization => Err(error),
        Ok(Err(error)) => {
            tracing::warn!(error = error.log_summary(), "cannot list the models; showing the built-in list");
            Ok(built_in())
        }
        Err(_) => {
            tracing::warn!("listing the models takes too long; showing the built-in list");
            Ok(built_in())
        }
    }
}

/// A model as the service lists it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Listed {
    name: String,
    display_name: String,
    supported_generation_methods: Vec<String>,
}

impl Listed {
    fn id(&self) -> &str {
        self.name.strip_prefix("models/").unwrap_or(&self.name)
    }

    fn label(&self) -> &str {
        if self.display_name.is_empty() { self.id() } else { &self.display_name }
    }
}

async fn list(account: &Account<'_>) -> Result<Vec<Listed>, PluginError> {
    let mut url = account.connection.url("models")?;
    url.set_query(Some("pageSize=1000"));
    let request = account.connection.get(url).with_retry(RetryPolicy::never());
    let listed = read_json(account.call.upstream().send(&request).await?, MAX_LIST_BYTES).await?;
    let models = listed.get("models").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let read = models.iter().map(|model| {
        Listed::deserialize(model).map_err(|error| {
            PluginError::server_unavailable(format!("cannot parse the list of models: {}", lenient::reason(&error)))
        })
    });
    let models: Vec<Listed> = read.collect::<Result<_, _>>()?;
    Ok(models
        .into_iter()
        .filter(|model| model.supported_generation_methods.iter().any(|it| it == "generateContent"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_model_shows_its_use() {
        for (model, purpose) in [
            ("gemini-3.8-flash", Some(Use::Answers)),
            ("gemini-4-neon", Some(Use::Answers)),
            ("gemini-nano-banana-2.1", Some(Use::Images)),
            ("gemini-3-pro-image", Some(Use::Images)),
            ("gemini-3.8-flash-tts", Some(Use::Speech)),
            ("gemini-3.5-transcribe", None),
            ("gemini-embedding-2", None),
            ("gemini-3.8-live", None),
            ("gemma-3-27b-it", None),
            ("veo-4", None),
        ] {
            assert_eq!(Use::of(model), purpose, "{model}");
        }
        for purpose in [Use::Answers, Use::Images, Use::Speech] {
            assert!(purpose.built_in().iter().all(|model| Use::of(model) == Some(purpose)), "{purpose:?}");
        }
    }

    #[test]
    fn a_call_without_a_model_uses_the_default() {
        let named = |name: &str| Some(DynamicSelect(name.to_owned()));
        assert_eq!(Use::Answers.model(None), "gemini-3.8-flash");
        assert_eq!(Use::Images.model(named(" ")), "gemini-nano-banana-2.1");
        assert_eq!(Use::Speech.model(named(" gemini-x ")), "gemini-x");
    }
}
