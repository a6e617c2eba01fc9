//! Parses the body of a request: an error names the member that is wrong, as OpenAI's `param` does.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::error::ApiError;

/// Parses JSON. Members that the type does not have are ignored.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::invalid("The body of the request is not a JSON object."));
    }
    let deserializer = &mut serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut *deserializer).map_err(|error| {
        let path = Some(error.path().to_string()).filter(|path| path != ".");
        let reason = error.into_inner();
        match path {
            Some(path) if reason.is_data() => {
                ApiError::invalid(format!("`{path}` is not valid: {reason}")).with_param(path)
            }
            _ => ApiError::invalid(format!("The body of the request is not valid: {reason}")),
        }
    })?;
    deserializer.end().map_err(|error| ApiError::invalid(format!("The body of the request is not valid: {error}")))?;
    Ok(value)
}

/// A text, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts(pub Vec<String>);

/// By a type of its own, so that a long text is not copied first, and the error says what is expected.
impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Texts;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a string or an array of strings")
            }

            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = sequence.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A required member that may be missing, so that the error is OpenAI's.
pub fn required<T>(value: Option<T>, param: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::invalid(format!("Missing required parameter: `{param}`.")).with_param(param))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(default)]
        input: Option<Texts>,
        #[serde(default)]
        rows: Vec<Row>,
    }

    #[derive(Debug, Deserialize)]
    struct Row {
        #[serde(rename = "size")]
        _size: u64,
    }

    #[test]
    fn errors_name_the_member() {
        for (body, param, part) in [
            (r#"{"rows": [{"size": 1}, {"size": "x"}]}"#, Some("rows[1].size"), "expected u64"),
            (r#"{"rows": [{}]}"#, Some("rows[0]"), "missing field `size`"),
            (r#"{"input": 5}"#, Some("input"), "a string or an array of strings"),
            (r#"{"input": [5]}"#, Some("input[0]"), "expected a string"),
            ("{", None, "EOF"),
            ("{} {}", None, "trailing"),
            ("", None, "not a JSON object"),
            ("[]", None, "not a JSON object"),
        ] {
            let error = json::<Body>(body.as_bytes()).unwrap_err();
            assert_eq!(error.param.as_deref(), param, "{body}: {error:?}");
            assert!(error.message.contains(part), "{body}: {}", error.message);
        }
        let body: Body = json(br#"{"input": ["a", "b"], "unknown": {"x": [1]}}"#).unwrap();
        assert_eq!((body.input, body.rows.len()), (Some(Texts(vec!["a".into(), "b".into()])), 0));
    }
}
