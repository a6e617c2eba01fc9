//! `POST /v1/embeddings`: vectors of texts, as numbers or as Base64 of 32-bit floats (little-endian), which the official Python
//! client requests by default. No I/O.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin::protocol::{EmbeddingInputType, EmbeddingResult};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::read::{Texts, required};

/// Number of texts of a request, as in OpenAI's API.
const MAX_TEXTS: usize = 2048;

/// The members that are read. All others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct EmbeddingRequest {
    pub model: Option<String>,
    input: Option<Value>,
    encoding_format: Option<String>,
    dimensions: Option<usize>,
    /// Beyond OpenAI's API: `document` (default) or `query`.
    input_type: Option<String>,
}

/// A request that is valid.
#[derive(Debug, PartialEq)]
pub struct EmbeddingCall {
    pub texts: Vec<String>,
    pub input_type: EmbeddingInputType,
    is_base64: bool,
    dimensions: Option<usize>,
}

impl EmbeddingRequest {
    pub fn into_call(self) -> Result<EmbeddingCall, ApiError> {
        let input = required(self.input.filter(|input| !input.is_null()), "input")?;
        let holds_numbers = |value: &Value| value.as_array().is_some_and(|items| items.iter().any(Value::is_number));
        if holds_numbers(&input) || input.as_array().is_some_and(|items| items.iter().any(holds_numbers)) {
            let message = "`input` contains tokens, which only the server that made them can read: send texts. In LangChain, set \
                           `check_embedding_ctx_length=False`.";
            return Err(ApiError::unsupported("input", message));
        }
        let Texts(texts) = serde_json::from_value(input)
            .map_err(|error| ApiError::invalid(format!("`input` is not valid: {error}")).with_param("input"))?;
        if texts.is_empty() || texts.iter().any(String::is_empty) {
            return Err(ApiError::invalid("`input` is empty, or one of its texts is.").with_param("input"));
        }
        if texts.len() > MAX_TEXTS {
            return Err(ApiError::invalid(format!("`input` has more than {MAX_TEXTS} texts.")).with_param("input"));
        }
        let is_base64 = match self.encoding_format.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(other) => {
                let message = format!("`encoding_format`: `{other}` is not `float` or `base64`.");
                return Err(ApiError::invalid(message).with_param("encoding_format"));
            }
        };
        let input_type = match self.input_type.as_deref() {
            Some("query" | "search_query") => EmbeddingInputType::Query,
            _ => EmbeddingInputType::Document,
        };
        Ok(EmbeddingCall { texts, input_type, is_base64, dimensions: self.dimensions })
    }
}

/// How the vectors are written, once they are there.
pub struct EmbeddingFormat {
    is_base64: bool,
    dimensions: Option<usize>,
    count: usize,
}

impl EmbeddingCall {
    pub fn format(&self) -> EmbeddingFormat {
        EmbeddingFormat { is_base64: self.is_base64, dimensions: self.dimensions, count: self.texts.len() }
    }
}

impl EmbeddingFormat {
    /// The response.
    pub fn write(&self, model: &str, result: &EmbeddingResult) -> Result<Value, ApiError> {
        let vectors = &result.embeddings;
        if vectors.len() != self.count {
            let message = format!("The model returned {} vectors for {} texts.", vectors.len(), self.count);
            return Err(ApiError::upstream(message));
        }
        if let Some(expected) = self.dimensions
            && let Some(other) = vectors.iter().map(Vec::len).find(|length| *length != expected)
        {
            let message =
                format!("`dimensions` is {expected}, but the model's vectors have {other}, which Dify cannot change.");
            return Err(ApiError::unsupported("dimensions", message));
        }
        let vector = |vector: &Vec<f32>| match self.is_base64 {
            true => STANDARD.encode(vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>()).into(),
            false => json!(vector),
        };
        let data = vectors
            .iter()
            .enumerate()
            .map(|(index, numbers)| json!({"object": "embedding", "index": index, "embedding": vector(numbers)}));
        let usage = &result.usage;
        Ok(json!({"object": "list", "model": model, "data": data.collect::<Vec<_>>(),
            "usage": {"prompt_tokens": usage.tokens, "total_tokens": usage.total_tokens}}))
    }
}

#[cfg(test)]
mod tests {
    use dify_plugin::protocol::EmbeddingUsage;

    use super::*;

    fn call(body: Value) -> Result<EmbeddingCall, ApiError> {
        crate::read::json::<EmbeddingRequest>(body.to_string().as_bytes())?.into_call()
    }

    #[test]
    fn vectors_are_numbers_or_base64() {
        let result = EmbeddingResult::new(vec![vec![1.0, -0.5]], EmbeddingUsage::default());
        for (body, expected) in [
            (json!({"input": "a"}), json!([1.0, -0.5])),
            (json!({"input": ["a"], "encoding_format": "float", "dimensions": 2}), json!([1.0, -0.5])),
            (json!({"input": "a", "encoding_format": "base64"}), json!("AACAPwAAAL8=")),
        ] {
            let response = call(body).unwrap().format().write("m", &result).unwrap();
            assert_eq!(response["data"][0]["embedding"], expected);
        }
        let format = call(json!({"input": "a", "dimensions": 3})).unwrap().format();
        assert_eq!(format.write("m", &result).unwrap_err().param.as_deref(), Some("dimensions"));
        let format = call(json!({"input": ["a", "b"]})).unwrap().format();
        assert_eq!(format.write("m", &result).unwrap_err().status.as_u16(), 502);
    }

    #[test]
    fn wrong_input_is_named() {
        for (body, part) in [
            (json!({}), "Missing required parameter: `input`"),
            (json!({"input": null}), "Missing"),
            (json!({"input": []}), "empty"),
            (json!({"input": ["a", ""]}), "empty"),
            (json!({"input": [1, 2]}), "check_embedding_ctx_length"),
            (json!({"input": [[1, 2]]}), "check_embedding_ctx_length"),
            (json!({"input": {"a": 1}}), "a string or an array of strings"),
            (json!({"input": vec!["a"; 2049]}), "more than 2048"),
            (json!({"input": "a", "encoding_format": "int8"}), "int8"),
            (json!({"input": "a", "dimensions": "x"}), "dimensions"),
        ] {
            let error = call(body.clone()).unwrap_err();
            assert!(error.message.contains(part), "{body}: {}", error.message);
            assert!(error.param.is_some(), "{body}");
        }
    }
}
