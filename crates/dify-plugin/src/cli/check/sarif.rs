//! Problems as a document of SARIF 2.1.0, which code scanning of GitHub and others read.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::cli::program::Program;
use crate::declare::Code;
use crate::declare::diagnostic::{Diagnostic, Suggestion};
use crate::declare::source::Position;

/// Where the format is described.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// What stays as it is in the path of a URI.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// A path as a relative URI.
pub(super) fn uri(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// The document.
pub(super) fn document(diagnostics: &[Diagnostic], program: &Program, uri: &dyn Fn(&str) -> String) -> Value {
    let mut codes: Vec<Code> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let results: Vec<Value> = diagnostics.iter().map(|diagnostic| result(diagnostic, &codes, uri)).collect();
    let version = if program.version.is_empty() { env!("CARGO_PKG_VERSION") } else { program.version };
    let driver = json!({
        "name": program.name,
        "version": version,
        "rules": codes.iter().copied().map(rule).collect::<Vec<_>>(),
    });
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    })
}

fn rule(code: Code) -> Value {
    let level = code.severity().word();
    let Some(explanation) = code.explanation() else { return json!({"id": code.text()}) };
    let help = format!("{}\n\nExample:\n\n{}\n\nSource: {}", explanation.text, explanation.example, explanation.source);
    let markdown =
        format!("{}\n\n```yaml\n{}\n```\n\nSource: {}", explanation.text, explanation.example, explanation.source);
    json!({
        "id": code.text(),
        "name": format!("{code:?}"),
        "shortDescription": {"text": explanation.title},
        "fullDescription": {"text": explanation.text},
        "help": {"text": help, "markdown": markdown},
        "defaultConfiguration": {"level": level},
    })
}

fn result(diagnostic: &Diagnostic, codes: &[Code], uri: &dyn Fn(&str) -> String) -> Value {
    let help = diagnostic.help.as_ref().map_or_else(String::new, |help| format!("\n{help}"));
    let artifact = json!({"uri": uri(&diagnostic.file)});
    let mut result = json!({
        "ruleId": diagnostic.code.text(),
        "ruleIndex": codes.iter().position(|code| *code == diagnostic.code),
        "level": diagnostic.severity.word(),
        "message": {"text": format!("{}{help}", diagnostic.headline())},
        "locations": [{
            "physicalLocation": {"artifactLocation": artifact, "region": region(diagnostic.start, diagnostic.end)},
        }],
    });
    if !diagnostic.related.is_empty() {
        let related = diagnostic.related.iter().enumerate().map(|(id, place)| {
            json!({
                "id": id,
                "message": {"text": place.message},
                "physicalLocation": {
                    "artifactLocation": {"uri": uri(&place.file)},
                    "region": region(place.start, place.end),
                },
            })
        });
        result["relatedLocations"] = related.collect();
    }
    if let Some(Suggestion { replacement, start, end_column }) = &diagnostic.suggestion {
        let end = Position { line: start.line, column: *end_column };
        let replaced = json!({"deletedRegion": region(*start, end), "insertedContent": {"text": replacement}});
        result["fixes"] = json!([{
            "description": {"text": format!("use `{replacement}`")},
            "artifactChanges": [{"artifactLocation": artifact, "replacements": [replaced]}],
        }]);
    }
    result
}

fn region(start: Position, end: Position) -> Value {
    json!({"startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column})
}
