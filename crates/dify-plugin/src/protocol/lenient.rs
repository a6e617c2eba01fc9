//! Deserializers for what the daemon really sends: null for an absent list or object, `""` and `0` for an absent value;
//! and for the counts of careless upstreams.
//!
//! Nothing here is used when writing: what we send is strict.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// `null` becomes the default of the type.
pub fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// What cannot be read becomes the default of the type: for members that only inform.
pub fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + DeserializeOwned,
{
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

/// Hexadecimal on the wire, bytes here; `null` is none.
pub fn hex_bytes<'de, D>(deserializer: D) -> Result<Vec<u8>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?.unwrap_or_default();
    hex::decode(text.as_ref()).map_err(|error| serde::de::Error::custom(format!("not hexadecimal: {error}")))
}

/// `null` and `""` become `None`.
pub fn empty_string_as_none<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// `null` and `0` become `None`; whole floats are accepted (`3.0` is `3`).
pub fn zero_as_none<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
where
    D: Deserializer<'de>,
{
    let number = Option::<f64>::deserialize(deserializer)?;
    match number {
        None => Ok(None),
        Some(value) if value < 0.0 || value.fract() != 0.0 => {
            Err(serde::de::Error::custom(format!("expected a whole number, found {value}")))
        }
        Some(value) => Ok(Some(value as u64).filter(|whole| *whole != 0)),
    }
}

/// A length of time in seconds. What is no number of seconds above 0 is none, whatever it is.
pub fn seconds<'de, D>(deserializer: D) -> Result<Option<Duration>, D::Error>
where
    D: Deserializer<'de>,
{
    // As it was written: a number beyond all range is no error here.
    let written = Box::<RawValue>::deserialize(deserializer)?;
    let seconds = written.get().parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    Ok(seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
}

/// Most that a count may say, so that no sum of counts overflows.
const MAX_COUNT: f64 = (1u64 << 53) as f64;

/// A count that an upstream tells: number or text; null, negative and unreadable counts are missing ones.
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

/// `null` and `0.0` become `None`.
pub fn zero_float_as_none<'de, D>(deserializer: D) -> Result<Option<f64>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(Option::<f64>::deserialize(deserializer)?.filter(|value| *value != 0.0))
}

/// An object; `null` is an empty one; a string holding a JSON object is read too.
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

/// Why a text cannot be read, without the value that was found there: it may be a secret in the wrong place.
pub fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match (text.find(" \""), text.rfind('"')) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &text[..from], &text[to + 1..]),
        _ => text,
    }
}

/// Reads JSON. A text that was cut within an emoji fails nothing; the error says where it is, without what was found there.
pub fn read<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    let strictly = |json: &str| serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json));
    strictly(json).or_else(|error| {
        let whole = replace_halves(json).and_then(|whole| strictly(&whole).ok());
        whole.ok_or_else(|| format!("`{}`: {}", error.path(), reason(error.inner())))
    })
}

/// JSON in which each half of a surrogate pair without its other half is U+FFFD; `None` when there is none.
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
            // Another escape: the mark behind the backslash is part of it.
            _ => at += 1 + json.get(at + 1..)?.chars().next().map_or(0, char::len_utf8),
        }
    }
    out.push_str(&json[copied..]);
    (copied > 0).then_some(out)
}

/// The JSON type of a value, in words for an error message.
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
    fn halves_of_characters_are_replaced() {
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
    fn counts_are_taken_as_they_come() {
        for (told, expected) in [
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
            assert_eq!(count(&told).unwrap(), expected, "{told}");
        }
    }
}
