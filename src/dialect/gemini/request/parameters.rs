//! Converts model parameters to `generationConfig`, safety settings and tools, according to the model's profile and the
//! fields of the service.
//!
//! Names are those of the official plugin; its former spellings are accepted. Parameters that a model rejects are not
//! sent.

use serde_json::{Map, Number, Value, json};

use super::json_schema::{self, Budget};
use super::tools;
use crate::dialect::gemini::models::profile::{ModelProfile, Surface, Thinking};
use crate::dialect::gemini::wire::{GenerateContentRequest, SafetySetting};
use dify_plugin::error::InvokeError;
pub use dify_plugin_gemini::safety::{SAFETY, THRESHOLDS};

/// Typed access to parameters; an invalid value is an error that names the parameter.
pub struct Parameters<'a>(pub &'a Map<String, Value>);

impl Parameters<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null() && *value != "")
    }

    /// Returns a number.
    pub fn number(&self, name: &str) -> Option<&Number> {
        self.get(name).and_then(Value::as_number)
    }

    /// Returns an integer.
    pub fn whole(&self, names: &[&str]) -> Option<i64> {
        let number = names.iter().find_map(|name| self.number(name))?;
        number.as_i64().or_else(|| number.as_f64().map(|float| float as i64))
    }

    /// Returns a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// Returns a boolean.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)
            .and_then(|value| value.as_bool().or_else(|| value.as_str().map(|text| text.eq_ignore_ascii_case("true"))))
    }
}

/// Adds everything except messages and functions to a request. `schema` is Dify's structured output switch.
pub fn apply(
    request: &mut GenerateContentRequest,
    parameters: &Parameters<'_>,
    profile: &ModelProfile,
    surface: Surface,
    schema: Option<&Map<String, Value>>,
) -> Result<(), InvokeError> {
    sampling(request, parameters, profile);
    thinking(request, parameters, profile)?;
    response_format(request, parameters, schema, profile)?;
    media(request, parameters, profile, surface)?;
    tools::fill(request, parameters, surface)?;
    let flex = parameters.flag("flex_inference").unwrap_or(false).then_some("flex");
    request.service_tier =
        flex.or_else(|| parameters.text("service_tier").filter(|tier| *tier != "standard")).map(str::to_owned);
    if let Some(labels) = parameters.text("labels") {
        request.labels = serde_json::from_str::<Map<String, Value>>(labels)
            .ok()
            .filter(|labels| labels.values().all(Value::is_string))
            .ok_or_else(|| InvokeError::bad_request("parameter `labels` must be a JSON object with string values"))?;
    }
    Ok(())
}

fn sampling(request: &mut GenerateContentRequest, parameters: &Parameters<'_>, profile: &ModelProfile) {
    let config = &mut request.generation_config;
    if profile.sampling {
        for (name, key) in [
            ("temperature", "temperature"),
            ("top_p", "topP"),
            ("presence_penalty", "presencePenalty"),
            ("frequency_penalty", "frequencyPenalty"),
        ] {
            if let Some(number) = parameters.number(name) {
                config.insert(key.to_owned(), number.clone().into());
            }
        }
        if let Some(top_k) = parameters.whole(&["top_k"]) {
            config.insert("topK".to_owned(), top_k.into());
        }
    }
    if let Some(limit) = parameters.whole(&["max_output_tokens", "max_tokens", "max_tokens_to_sample"]) {
        config.insert("maxOutputTokens".to_owned(), limit.into());
    }
    if let Some(seed) = parameters.whole(&["seed"]) {
        config.insert("seed".to_owned(), seed.into());
    }
}

fn thinking(
    request: &mut GenerateContentRequest,
    parameters: &Parameters<'_>,
    profile: &ModelProfile,
) -> Result<(), InvokeError> {
    let mut config = Map::new();
    if profile.thinking == Thinking::None {
        return Ok(());
    }
    if let Some(show) = parameters.flag("include_thoughts") {
        config.insert("includeThoughts".to_owned(), show.into());
    }
    match profile.thinking {
        Thinking::Level => {
            if let Some(level) =
                parameters.text("thinking_level").filter(|level| !level.eq_ignore_ascii_case("default"))
            {
                config.insert("thinkingLevel".to_owned(), level.to_ascii_uppercase().into());
            }
        }
        Thinking::Budget => {
            let budget = match (parameters.flag("thinking_mode"), parameters.whole(&["thinking_budget"])) {
                (Some(false), _) if profile.thinking_off => Some(0),
                (Some(false), _) => {
                    return Err(InvokeError::bad_request(
                        "parameter `thinking_mode`: thinking cannot be turned off for this model",
                    ));
                }
                (Some(true), Some(0) | None) => Some(-1),
                (None, Some(0)) if !profile.thinking_off => Some(-1),
                (_, budget) => budget,
            };
            if let Some(budget) = budget {
                if budget > 0 && budget < profile.min_budget {
                    return Err(InvokeError::bad_request(format!(
                        "parameter `thinking_budget` must be at least {} for this model, or -1 (the model decides), found {budget}",
                        profile.min_budget
                    )));
                }
                config.insert("thinkingBudget".to_owned(), budget.into());
            }
        }
        Thinking::None => {}
    }
    if !config.is_empty() {
        request.generation_config.insert("thinkingConfig".to_owned(), config.into());
    }
    Ok(())
}

/// Sets the JSON output: from Dify's switch, a schema parameter, or the plain format; `text` turns the parameter off.
fn response_format(
    request: &mut GenerateContentRequest,
    parameters: &Parameters<'_>,
    switch: Option<&Map<String, Value>>,
    profile: &ModelProfile,
) -> Result<(), InvokeError> {
    let format = parameters.text("response_format").map(str::to_ascii_lowercase);
    let schema = match (switch, parameters.text("json_schema")) {
        (Some(schema), _) => Some(json_schema::unwrap(schema.clone())),
        (None, Some(text)) if format.as_deref() != Some("text") => json_schema::from_text(text)?,
        (None, _) => None,
    };
    let config = &mut request.generation_config;
    if schema.is_some() || format.is_some_and(|format| format.contains("json")) {
        config.insert("responseMimeType".to_owned(), "application/json".into());
    }
    if let Some(schema) = schema.filter(|schema| !schema.is_empty()) {
        json_schema::check(&schema)?;
        let mut budget = Budget::default();
        let (key, mut value) = if profile.full_schemas {
            ("responseJsonSchema", json_schema::full(&schema, &mut budget))
        } else {
            let subset = json_schema::subset(&schema, &mut budget).map_err(|error| error.of("the response"))?;
            ("responseSchema", subset)
        };
        // Dify sends booleans as strings for models with such names.
        fix_booleans(&mut value);
        config.insert(key.to_owned(), value);
    }
    Ok(())
}

fn fix_booleans(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match (key.as_str(), value.as_str()) {
                    ("additionalProperties" | "nullable", Some("true" | "True")) => *value = true.into(),
                    ("additionalProperties" | "nullable", Some("false" | "False")) => *value = false.into(),
                    _ => fix_booleans(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(fix_booleans),
        _ => {}
    }
}

fn media(
    request: &mut GenerateContentRequest,
    parameters: &Parameters<'_>,
    profile: &ModelProfile,
    surface: Surface,
) -> Result<(), InvokeError> {
    let config = &mut request.generation_config;
    if let Some(level) = parameters.text("media_resolution").filter(|level| !level.eq_ignore_ascii_case("default")) {
        config.insert("mediaResolution".to_owned(), format!("MEDIA_RESOLUTION_{}", level.to_ascii_uppercase()).into());
    }
    if !profile.response_modalities.is_empty() {
        config.insert("responseModalities".to_owned(), json!(profile.response_modalities));
    }
    if profile.response_modalities.iter().any(|modality| modality == "IMAGE") {
        let mut image = Map::new();
        for (name, key) in [("aspect_ratio", "aspectRatio"), ("resolution", "imageSize")] {
            if let Some(value) = parameters.text(name).filter(|value| !value.eq_ignore_ascii_case("auto")) {
                image.insert(key.to_owned(), value.into());
            }
        }
        if let Some(who) = parameters.text("person_generation") {
            // Source: google-genai 3.6.1, `models.py`, `_ImageConfig_to_mldev` refuses it.
            tools::only_on_vertex("person_generation", surface)?;
            image.insert("personGeneration".to_owned(), who.to_ascii_uppercase().into());
        }
        if !image.is_empty() {
            config.insert("imageConfig".to_owned(), image.into());
        }
    }
    Ok(())
}

/// Returns the clip and frame rate of the videos in the prompt, as `videoMetadata`.
pub fn clip(parameters: &Parameters<'_>) -> Result<Option<Value>, InvokeError> {
    let mut clip = Map::new();
    for (name, key) in [("video_start", "startOffset"), ("video_end", "endOffset")] {
        if let Some(seconds) = parameters.number(name) {
            clip.insert(key.to_owned(), format!("{seconds}s").into());
        }
    }
    let seconds = |name: &str| parameters.number(name).and_then(Number::as_f64);
    if let Some(end) = seconds("video_end")
        && end <= seconds("video_start").unwrap_or(0.0)
    {
        return Err(InvokeError::bad_request("parameter `video_end` must be greater than `video_start`"));
    }
    if let Some(fps) = parameters.number("video_fps") {
        clip.insert("fps".to_owned(), fps.clone().into());
    }
    Ok((!clip.is_empty()).then_some(Value::Object(clip)))
}

/// Returns the thresholds by category: those of the parameters, but never less strict than the administrator's minimum.
pub fn safety(
    parameters: &Parameters<'_>,
    floor: impl Fn(&str) -> Option<String>,
) -> Result<Vec<SafetySetting>, InvokeError> {
    let mut settings = Vec::new();
    for (name, category) in SAFETY {
        let chosen = parameters.text(name).map(|text| threshold(name, text)).transpose()?.flatten();
        let of_credentials = |error: InvokeError| InvokeError::credentials(error.message);
        let least = floor(name).map(|text| threshold(&format!("{name}_floor"), &text).map_err(of_credentials));
        let least = least.transpose()?.flatten();
        if let Some(rank) = chosen.max(least) {
            settings.push(SafetySetting { category, threshold: THRESHOLDS[rank] });
        }
    }
    Ok(settings)
}

/// Returns the rank of a threshold; `Default` and the unspecified value count as unset.
fn threshold(name: &str, text: &str) -> Result<Option<usize>, InvokeError> {
    let word = text.trim().to_ascii_uppercase().replace([' ', '-'], "_");
    if matches!(word.as_str(), "" | "DEFAULT" | "UNSET" | "HARM_BLOCK_THRESHOLD_UNSPECIFIED") {
        return Ok(None);
    }
    THRESHOLDS.iter().position(|known| *known == word).map(Some).ok_or_else(|| {
        InvokeError::bad_request(format!("`{name}` must be one of {}, found `{text}`", THRESHOLDS.join(", ")))
    })
}
