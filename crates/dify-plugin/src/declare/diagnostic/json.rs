//! A diagnostic as a JSON object, for programs and for the workbench. Members are only ever added.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;

use super::{Diagnostic, RelatedPlace, Style, Suggestion, render};
use crate::declare::problem::Severity;

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let suggestion = self.suggestion.as_ref().map(|Suggestion { replacement, start, end_column }| {
            json!({"replacement": replacement, "line": start.line, "column": start.column, "end_column": end_column})
        });
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.code.text())?;
        map.serialize_entry("severity", self.severity.word())?;
        map.serialize_entry("message", &self.message)?;
        map.serialize_entry("file", &self.file)?;
        map.serialize_entry("path", &self.path)?;
        map.serialize_entry("variable", &self.variable)?;
        map.serialize_entry("line", &self.start.line)?;
        map.serialize_entry("column", &self.start.column)?;
        map.serialize_entry("end_line", &self.end.line)?;
        map.serialize_entry("end_column", &self.end.column)?;
        map.serialize_entry("help", &self.help)?;
        map.serialize_entry("suggestion", &suggestion)?;
        map.serialize_entry("related", &self.related)?;
        map.serialize_entry("advice", &self.code.is_advice())?;
        map.serialize_entry("rendered", &render(self, &[], Style::Plain))?;
        map.end()
    }
}

impl Serialize for RelatedPlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("message", &self.message)?;
        map.serialize_entry("file", &self.file)?;
        map.serialize_entry("line", &self.start.line)?;
        map.serialize_entry("column", &self.start.column)?;
        map.serialize_entry("end_line", &self.end.line)?;
        map.serialize_entry("end_column", &self.end.column)?;
        map.end()
    }
}
