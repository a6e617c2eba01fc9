//! Deserializers for what the daemon actually sends: null for an absent array or object, `""` and `0` for an absent
//! value; and for the counts of careless servers.
//!
//! Only for reading: what the plugin sends is strict.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Deserializes `null` to the default of the type.
pub fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Deserializes a malformed value to the default of the type: for members that are informational only.
pub fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + DeserializeOwned,
{
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

/// A string, borrowed where it needs no unescaping.
#[derive(Default, Deserialize)]
pub(super) struct Borrowed<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Decodes hexadecimal to bytes; `null` is empty.
pub fn hex_bytes<'de, D>(deserializer: D) -> Result<Vec<u8>, D::Error>
where
    D: Deserializer<'de>,
{
    let Borrowed(text) = Option::deserialize(deserializer)?.unwrap_or_default();
    hex::decode(text.as_ref()).map_err(|error| serde::de::Error::custom(format!("not valid hexadecimal: {error}")))
}

/// Deserializes `null` and `""` to `None`.
pub fn empty_string_as_none<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Deserializes `null` and `0` to `None`; floats without a fraction are accepted (`3.0` is `3`).
pub fn zero_as_none<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    let number = Option::<f64>::deserialize(deserializer)?;
    match number {
        None => Ok(None),
        Some(value) if value < 0.0 || value.fract() != 0.0 => {
            Err(serde::de::Error::custom(format!("expected an integer, found {value}")))
        }
        Some(value) => Ok(Some(value as u64).filter(|whole| *whole != 0)),
    }
}

/// Deserializes a duration in seconds. Anything but a number above 0 is `None`.
pub fn seconds<'de, D>(deserializer: D) -> Result<Option<Duration>, D::Error>
where
    D: Deserializer<'de>,
{
    // Deserialized as raw JSON: a number out of range is no error here.
    let written = Box::<RawValue>::deserialize(deserializer)?;
    let seconds = written.get().parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
}

/// Maximum value of a count, so that sums of counts do not overflow.
const MAX_COUNT: f64 = (1u64 << 53) as f64;

/// Deserializes a count from a number or a string; null, negative and malformed counts are `None`.
pub fn count<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    let number = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(number.filter(|number| *number >= 0.0).map(|number| number.min(MAX_COUNT) as u64))
}

/// Deserializes `null` and `0.0` to `None`.
pub fn zero_float_as_none<'de, D>(deserializer: D) -> Result<Option<f64>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(Option::<f64>::deserialize(deserializer)?.filter(|value| *value != 0.0))
}

/// Deserializes an object; `null` is an empty one; a string that contains a JSON object is parsed too.
pub fn object_or_json_text<'de, D>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error>
where
    D: Deserializer<'de>,
{
    match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => serde_json::from_str(&text).map(Some).map_err(serde::de::Error::custom),
        Some(other) => Err(serde::de::Error::custom(format!("expected an object, found {}", kind_of(&other)))),
    }
}

/// Returns why a text cannot be parsed, without the value that was found: it may be a secret in the wrong field.
pub fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match (text.find(" \""), text.rfind('"')) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &text[..from], &text[to + 1..]),
        _ => text,
    }
}

/// Parses JSON. A string that was truncated within an emoji is accepted; errors contain the path, without the value
/// that was found.
pub fn read<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    // The path is looked for only once there is an error.
    if let Ok(value) = serde_json::from_str(json) {
        return Ok(value);
    }
    let strictly = |json: &str| serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json));
    strictly(json).or_else(|error| {
        let whole = replace_halves(json).and_then(|whole| strictly(&whole).ok());
        whole.ok_or_else(|| format!("`{}`: {}", error.path(), reason(error.inner())))
    })
}

/// Replaces each half of a surrogate pair without its other half with U+FFFD; returns `None` if there is none.
pub fn replace_halves(json: &str) -> Option<String> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = json.get(at..)?.find('\\') {
        at += found;
        match unit(at) {
            Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => {
                out.push_str(&json[copied..at]);
                out.push('\u{FFFD}');
                at += 6;
                copied = at;
            }
            // Another escape: skip the character after the backslash.
            _ => at += 1 + json.get(at + 1..)?.chars().next().map_or(0, char::len_utf8),
        }
    }
    out.push_str(&json[copied..]);
    (copied > 0).then_some(out)
}

/// Returns the JSON type of a value, for error messages.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replaces_halves_of_characters() {
        for (text, expected) in [
            (r#""a\ud83d b""#, Some("a\u{FFFD} b")),
            (r#""\ude00""#, Some("\u{FFFD}")),
            (r#""\ud83d\ud83d\ude00""#, Some("\u{FFFD}\u{1F600}")),
            (r#""\ud83d\n\uDE00é""#, Some("\u{FFFD}\n\u{FFFD}é")),
            (r#""\ud83d\ude00""#, None),
            (r#""\\ud83d""#, None),
            (r#""plain é\u00e9\"""#, None),
            (r#""\"#, None),
            (r#""\u"#, None),
            (r#""\é\ud8"#, None),
        ] {
            let read = replace_halves(text).map(|text| serde_json::from_str::<String>(&text).unwrap());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn accepts_counts_in_any_form() {
        for (value, expected) in [
            (json!(3), Some(3)),
            (json!(3.0), Some(3)),
            (json!("3"), Some(3)),
            (json!(u64::MAX), Some(1 << 53)),
            (json!(1e300), Some(1 << 53)),
            (json!(-1), None),
            (json!(null), None),
            (json!("many"), None),
            (json!([3]), None),
        ] {
            assert_eq!(count(&value).unwrap(), expected, "{value}");
        }
    }
}
