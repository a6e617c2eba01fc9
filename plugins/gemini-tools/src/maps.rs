//! The tool `maps`: an answer from Google Maps with the places that it is based on.

use std::sync::Arc;

use dify_plugin::prelude::*;
use dify_plugin::serde_json::{Value, json};
use dify_plugin_gemini::wire::Part;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::models::{self, Use};
use crate::output::{given, require};
use crate::service::{Service, question};
use crate::sources::Sourced;

/// Serves `tools/maps.yaml`.
pub struct Maps(pub Arc<Service>);

#[derive(Deserialize, JsonSchema)]
pub struct Parameters {
    /// Question about places
    query: String,
    /// Where: a place, or coordinates such as 56.95, 24.11
    place: Option<String>,
    /// Language code of the places, such as de
    language: Option<String>,
    /// Model that answers
    model: Option<DynamicSelect>,
}

impl Tool for Maps {
    const NAME: &'static str = "maps";
    type Parameters = Parameters;

    async fn invoke(&self, call: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
        let query = require("query", &parameters.query)?;
        let place = given(parameters.place.as_deref()).map(Place::read).transpose()?;
        let language = given(parameters.language.as_deref()).map(language).transpose()?;
        let model = Use::Answers.model(parameters.model);
        let account = self.0.account(&call)?;
        let prompt = match &place {
            Some(Place::Named(name)) => format!("{query}\n\nPlace: {name}"),
            _ => query.to_owned(),
        };
        let mut request = question(vec![Part::text(prompt)]);
        request.tools.push(json!({"googleMaps": {}}));
        request.tool_config = retrieval(place.as_ref(), language);
        let sourced = Sourced::ask(&account, &model, request).await?;
        sourced.send(out, &["answer", "sources"]).await
    }

    async fn options(&self, call: Call, parameter: &str) -> Result<Vec<Choice>, PluginError> {
        models::choices(&self.0.account(&call)?, parameter, Use::Answers).await
    }
}

/// Where to look.
#[derive(Debug, PartialEq)]
enum Place {
    /// Latitude and longitude in degrees.
    At(f64, f64),
    /// In words.
    Named(String),
}

impl Place {
    /// Reads coordinates, or else words.
    fn read(text: &str) -> Result<Self, PluginError> {
        let numbers: Option<Vec<f64>> =
            text.split([',', ' ', ';']).filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some([latitude, longitude]) if latitude.abs() <= 90.0 && longitude.abs() <= 180.0 => {
                Ok(Self::At(*latitude, *longitude))
            }
            Some(_) => Err(PluginError::bad_request(format!(
                "parameter `place` must be a place or a latitude and a longitude such as 56.95, 24.11, found `{text}`"
            ))),
            None => Ok(Self::Named(text.to_owned())),
        }
    }
}

fn language(code: &str) -> Result<&str, PluginError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match code.len() <= 35 && code.bytes().all(legal) {
        true => Ok(code),
        false => Err(PluginError::bad_request(format!(
            "parameter `language` must be a language code such as de or zh-CN, found `{code}`"
        ))),
    }
}

fn retrieval(place: Option<&Place>, language: Option<&str>) -> Option<Value> {
    let mut config = json!({});
    if let Some(Place::At(latitude, longitude)) = place {
        config["latLng"] = json!({"latitude": latitude, "longitude": longitude});
    }
    if let Some(code) = language {
        config["languageCode"] = json!(code);
    }
    (config != json!({})).then(|| json!({"retrievalConfig": config}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_coordinates_or_words() {
        for (text, place) in [
            ("56.95, 24.11", Place::At(56.95, 24.11)),
            ("-33.9 151.2", Place::At(-33.9, 151.2)),
            ("Riga, Old Town", Place::Named("Riga, Old Town".to_owned())),
            ("10 Downing Street", Place::Named("10 Downing Street".to_owned())),
        ] {
            assert_eq!(Place::read(text).unwrap(), place, "{text}");
        }
        for wrong in ["91, 0", "0, 181", "56.95", "1, 2, 3"] {
            assert!(Place::read(wrong).unwrap_err().message.contains("`place`"), "{wrong}");
        }
    }
}
