//! Parameters of models by Dify's names, and what Dify's calls cannot do, which is rejected instead of ignored.

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::read::Texts;

/// Number of texts in `stop`.
const MAX_STOPS: usize = 16;

/// Those that the client sent; the model's plugin ignores what its model does not know.
#[derive(Debug, Default, PartialEq)]
pub struct Parameters(pub Map<String, Value>);

impl Parameters {
    pub fn set(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
    }
}

/// `n` and `best_of`: a call of Dify has one response.
pub fn check_choices(param: &str, count: Option<u64>) -> Result<(), ApiError> {
    match count {
        None | Some(1) => Ok(()),
        Some(0) => Err(ApiError::invalid(format!("`{param}` must be at least 1.")).with_param(param)),
        Some(_) => {
            let message = format!("`{param}` above 1 is not supported: send the request several times.");
            Err(ApiError::unsupported(param, message))
        }
    }
}

/// Dify does not report probabilities.
pub fn check_logprobs(logprobs: Option<bool>, top: Option<u64>) -> Result<(), ApiError> {
    let param = match (logprobs, top) {
        (Some(true), _) => "logprobs",
        (_, Some(1..)) => "top_logprobs",
        _ => return Ok(()),
    };
    Err(ApiError::unsupported(param, format!("`{param}` is not supported: Dify reports no probabilities.")))
}

/// The texts at which a model stops.
pub fn stops(stop: Option<Texts>) -> Result<Vec<String>, ApiError> {
    let mut stops = stop.map(|Texts(texts)| texts).unwrap_or_default();
    stops.retain(|text| !text.is_empty());
    if stops.len() > MAX_STOPS {
        return Err(ApiError::invalid(format!("`stop` has more than {MAX_STOPS} texts.")).with_param("stop"));
    }
    Ok(stops)
}
