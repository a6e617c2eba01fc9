//! What a model takes, beyond what Dify's declaration can say: read from the `gemini` key of the model's YAML, or from the
//! family that its name or the user names. Facts that Google changes live in that data, not here.

use serde::Deserialize;
use serde_json::Value;

use crate::declare::ModelSchema;

/// Which of Google's services is spoken to; they refuse each other's fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Surface {
    /// The Gemini developer API.
    #[default]
    Developer,
    /// Vertex AI in a project and location.
    Vertex,
    /// Vertex AI with a key and without a project.
    VertexExpress,
}

impl Surface {
    /// Either form of Vertex AI.
    pub fn is_vertex(self) -> bool {
        !matches!(self, Self::Developer)
    }
}

/// How thinking is controlled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// Not at all; no field is sent.
    None,
    /// `thinkingBudget`.
    Budget,
    /// `thinkingLevel`.
    #[default]
    Level,
}

/// Tokens of the smallest explicit cache. A service that wants more says so, and is not asked again for a while.
const SMALLEST_CACHE: u64 = 1024;

/// What a model takes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelProfile {
    /// How thinking is controlled.
    pub thinking: Thinking,
    /// Whether thinking can be switched off (budget 0).
    pub thinking_off: bool,
    /// Smallest budget other than 0 (off) and -1 (the model decides).
    pub smallest_budget: i64,
    /// Whether temperature, top-P, top-K and penalties are sent.
    pub sampling: bool,
    /// `TEXT`, `IMAGE`, `AUDIO`; empty sends nothing.
    pub response_modalities: Vec<String>,
    /// Whether the model takes a system instruction; else its text stands before the first of the user's.
    pub system_instruction: bool,
    /// Whether a final model turn is refused.
    pub refuses_prefill: bool,
    /// Whether a call must come back with its signature.
    pub needs_signatures: bool,
    /// Whether functions and Google's own tools go together.
    pub combines_tools: bool,
    /// Whether a JSON schema and tools go together.
    pub combines_schema: bool,
    /// Whether full JSON Schemas are understood; else they are reduced to the OpenAPI subset.
    pub full_schemas: bool,
    /// Whether call ids go back to the server.
    pub sends_call_ids: bool,
    /// Whether an answer may go on over several requests (long decode), and think long before it begins.
    pub long_decode: bool,
    /// Whether the model reads Office files as they are.
    pub office_files: bool,
    /// Tokens that an explicit cache must have at least; nothing where the model has none.
    pub cache_minimum: Option<u64>,
    /// Prices beyond input and output.
    pub price: super::price::PriceDetails,
    /// Said in place of a call when the model is gone.
    pub retired: Option<String>,
}

impl Default for ModelProfile {
    fn default() -> Self {
        Self {
            thinking: Thinking::Level,
            thinking_off: false,
            smallest_budget: 1,
            sampling: true,
            response_modalities: Vec::new(),
            system_instruction: true,
            refuses_prefill: false,
            needs_signatures: true,
            combines_tools: true,
            combines_schema: true,
            full_schemas: true,
            sends_call_ids: true,
            long_decode: false,
            office_files: false,
            cache_minimum: None,
            price: super::price::PriceDetails::default(),
            retired: None,
        }
    }
}

impl ModelProfile {
    /// The profile in a model's YAML, or the one of the family that its name tells.
    pub fn of(model: &ModelSchema) -> Result<Self, serde_json::Error> {
        match model.extra.get("gemini") {
            Some(Value::Null) | None => Ok(Self::of_family(Family::of_model(&model.model))),
            Some(value) => match value.get("family").and_then(Value::as_str).and_then(Family::by_name) {
                Some(family) => Ok(Self::of_family(family)),
                None => {
                    let mut profile = ModelProfile::deserialize(value)?;
                    let is_gemini_4 = Family::of_model(&model.model) == Family::Gemini4;
                    profile.long_decode |= is_gemini_4;
                    profile.office_files |= is_gemini_4;
                    Ok(profile)
                }
            },
        }
    }

    /// Whether pictures of the model must come back with a signature.
    pub fn signs_pictures(&self) -> bool {
        self.needs_signatures && self.response_modalities.iter().any(|modality| modality == "IMAGE")
    }

    /// The profile of a family.
    pub fn of_family(family: Family) -> Self {
        let base = Self::default();
        let cache_minimum = Some(SMALLEST_CACHE);
        match family {
            Family::Gemini4 => {
                Self { sampling: false, refuses_prefill: true, long_decode: true, office_files: true, ..base }
            }
            Family::Gemini3NoSampling => Self { sampling: false, refuses_prefill: true, cache_minimum, ..base },
            Family::Gemini3 => Self { cache_minimum, ..base },
            Family::Gemini25Pro => {
                Self { thinking: Thinking::Budget, smallest_budget: 128, cache_minimum, ..Self::older() }
            }
            Family::Gemini25Flash => {
                Self { thinking: Thinking::Budget, thinking_off: true, cache_minimum, ..Self::older() }
            }
            Family::Gemini2 => Self { thinking: Thinking::None, full_schemas: false, ..Self::older() },
            Family::Image => Self {
                thinking: Thinking::None,
                response_modalities: vec!["TEXT".to_owned(), "IMAGE".to_owned()],
                ..base
            },
            Family::Gemma => Self { thinking: Thinking::None, system_instruction: false, ..Self::older() },
            Family::Tts => Self {
                thinking: Thinking::None,
                sampling: true,
                response_modalities: vec!["AUDIO".to_owned()],
                ..Self::older()
            },
        }
    }

    fn older() -> Self {
        Self {
            needs_signatures: false,
            combines_tools: false,
            combines_schema: false,
            sends_call_ids: false,
            ..Self::default()
        }
    }
}

/// Models that take the same parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Gemini 4.
    Gemini4,
    /// 3.5 Flash-Lite and 3.6 on: no sampling parameters.
    Gemini3NoSampling,
    /// 3 to 3.5.
    Gemini3,
    /// 2.5 Pro.
    Gemini25Pro,
    /// 2.5 Flash and Flash-Lite.
    Gemini25Flash,
    /// 2.0 and before, and other models.
    Gemini2,
    /// Gemma: open models, with a numbering of their own.
    Gemma,
    /// Models that draw.
    Image,
    /// Models that speak.
    Tts,
}

impl Family {
    /// All families.
    const ALL: [Self; 9] = [
        Self::Gemini4,
        Self::Gemini3NoSampling,
        Self::Gemini3,
        Self::Gemini25Pro,
        Self::Gemini25Flash,
        Self::Gemini2,
        Self::Gemma,
        Self::Image,
        Self::Tts,
    ];

    /// Its name in the credential form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gemini4 => "gemini-4",
            Self::Gemini3NoSampling => "gemini-3.6",
            Self::Gemini3 => "gemini-3",
            Self::Gemini25Pro => "gemini-2.5-pro",
            Self::Gemini25Flash => "gemini-2.5-flash",
            Self::Gemini2 => "gemini-2",
            Self::Gemma => "gemma",
            Self::Image => "image",
            Self::Tts => "tts",
        }
    }

    /// The family by its name in the credential form.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// The version that a Gemini model's id tells (`gemini-3.8-flash` is 3.8); other models have numberings of their own.
    pub fn version_of(id: &str) -> Option<(u32, u32)> {
        let name = id.rsplit('/').next().unwrap_or(id).to_ascii_lowercase();
        let mut words = name.split(['-', '@']).skip_while(|word| *word != "gemini");
        words.nth(1).and_then(version)
    }

    /// The family that a model id tells, by comparing version numbers.
    pub fn of_model(id: &str) -> Self {
        let name = id.rsplit('/').next().unwrap_or(id).to_ascii_lowercase();
        let words: Vec<&str> = name.split(['-', '@']).collect();
        let is_gemini = words.contains(&"gemini");
        if name.starts_with("nano-banana") || (is_gemini && words.contains(&"image")) {
            return Self::Image;
        }
        if is_gemini && words.contains(&"tts") {
            return Self::Tts;
        }
        if words.iter().any(|word| word.starts_with("gemma")) {
            return Self::Gemma;
        }
        match Self::version_of(&name) {
            Some((major, _)) if major >= 4 => Self::Gemini4,
            Some((3, minor)) if minor >= 6 || (minor == 5 && words.contains(&"lite")) => Self::Gemini3NoSampling,
            Some((3, _)) => Self::Gemini3,
            Some((2, 5)) if words.contains(&"pro") => Self::Gemini25Pro,
            Some((2, 5)) => Self::Gemini25Flash,
            Some(_) => Self::Gemini2,
            // Aliases (`gemini-flash-latest`) follow the newest models.
            None if is_gemini => Self::Gemini3NoSampling,
            None => Self::Gemini2,
        }
    }
}

fn version(word: &str) -> Option<(u32, u32)> {
    let (major, minor) = word.split_once('.').unwrap_or((word, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_told_by_version_not_by_prefix() {
        for (id, family) in [
            ("gemini-4-argon", Family::Gemini4),
            ("gemini-10.2-x", Family::Gemini4),
            ("gemini-3.8-flash", Family::Gemini3NoSampling),
            ("gemini-3.5-flash-lite", Family::Gemini3NoSampling),
            ("gemini-3.5-flash", Family::Gemini3),
            ("gemini-3-flash-preview", Family::Gemini3),
            ("models/gemini-2.5-pro", Family::Gemini25Pro),
            ("gemini-2.5-flash-lite", Family::Gemini25Flash),
            ("gemini-2.0-flash", Family::Gemini2),
            ("gemini-3-pro-image", Family::Image),
            ("gemini-3.8-flash-tts", Family::Tts),
            ("gemini-flash-latest", Family::Gemini3NoSampling),
            ("vertex-gemini-2.5-pro", Family::Gemini25Pro),
            ("gemma-3-27b-it", Family::Gemma),
            ("models/gemma-3-12b-it", Family::Gemma),
            ("gemma-4-31b-it", Family::Gemma),
            ("learnlm-3-image", Family::Gemini2),
            ("my-3.5-model", Family::Gemini2),
            ("projects/p/locations/l/endpoints/123", Family::Gemini2),
        ] {
            assert_eq!(Family::of_model(id), family, "{id}");
        }
    }
}
