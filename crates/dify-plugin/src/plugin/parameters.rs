//! From the values that Dify sends to an author's type. The values were cast by the Dify API already; what it sends for
//! something that was not filled in is read as absent.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::PluginError;

/// Reads the parameters of a tool, a strategy, a datasource or an event.
pub(crate) fn read<T: DeserializeOwned>(values: Map<String, Value>) -> Result<T, PluginError> {
    let is_blank = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
    let has_blanks = values.values().any(is_blank);
    if !has_blanks {
        return read_strictly(Value::Object(values));
    }
    read_strictly(Value::Object(values.clone())).or_else(|_| {
        let filled = values.into_iter().filter(|(_, value)| !is_blank(value)).collect();
        read_strictly(Value::Object(filled))
    })
}

fn read_strictly<T: DeserializeOwned>(values: Value) -> Result<T, PluginError> {
    serde_path_to_error::deserialize(values).map_err(|error| {
        let (path, reason) = (error.path().to_string(), crate::protocol::lenient::reason(error.inner()));
        PluginError::bad_request(match path.as_str() {
            "." | "" => format!("cannot read the parameters: {reason}"),
            path => format!("cannot read parameter `{path}`: {reason}"),
        })
    })
}
