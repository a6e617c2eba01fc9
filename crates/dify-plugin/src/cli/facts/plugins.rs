//! The list of published plugins: a line each for people, and the page of the documentation.

use serde_json::{Map, Value};

use crate::declare::yaml;
use crate::model::KnownPlugin;

/// A plugin in one line.
pub(super) fn line(known: &KnownPlugin) -> String {
    let name = match known.plugin == known.provider {
        true => known.plugin.to_owned(),
        false => format!("{} (provider {})", known.plugin, known.provider),
    };
    match known.facts {
        Ok(facts) => match left_out(facts, "").as_slice() {
            [] => format!("{name}: served natively"),
            left => format!("{name}: served natively but {}", left.join("; ")),
        },
        Err(reason) => format!("{name}: not served natively: {reason}"),
    }
}

/// The page of the documentation.
pub(super) fn page(known: &[&KnownPlugin]) -> String {
    let (served, unserved): (Vec<&KnownPlugin>, Vec<&KnownPlugin>) =
        known.iter().partition(|known| known.facts.is_ok());
    let mut text = format!(
        "# Published plugins that are served natively\n\n\
         <!-- Made by the command `facts --markdown`; a test keeps it equal to the output. -->\n\n\
         The executable knows {} published model plugins. It serves the declarations of {} of them natively, unchanged: see \
         [Take over a published plugin](take-over.md). What a plugin leaves out is named with the reason; `check --from DIR` \
         reports the same for the version of the plugin that you have.\n\n\
         ## Served natively\n\n| Plugin | Name | Provider | Models | Left out |\n|---|---|---|---|---|\n",
        known.len(),
        served.len()
    );
    for known in &served {
        let left = known.facts.map(|facts| left_out(facts, "`")).unwrap_or_default();
        let left = if left.is_empty() { "nothing".to_owned() } else { left.join("<br>") };
        text.push_str(&row(known, &left));
    }
    if !unserved.is_empty() {
        text.push_str(
            "\n## Not served natively\n\n| Plugin | Name | Provider | Models | Reason |\n|---|---|---|---|---|\n",
        );
    }
    for known in &unserved {
        let reason = known.facts.err().unwrap_or_default();
        text.push_str(&row(known, reason));
    }
    text
}

/// A row of a table, whose last cell differs.
fn row(known: &KnownPlugin, last: &str) -> String {
    let title = if known.title.is_empty() { known.plugin } else { known.title };
    format!(
        "| `{}` | {} | `{}` | {} | {} |\n",
        cell(known.plugin),
        cell(title),
        cell(known.provider),
        cell(known.models),
        cell(last)
    )
}

/// What facts leave out: models or types by reason, their names in quotation marks.
fn left_out(facts: &str, quote: &str) -> Vec<String> {
    let facts = yaml::parse(facts).unwrap_or_default();
    let left = facts.get("left_out").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    let mut by_reason: Vec<(String, Vec<String>)> = Vec::new();
    for (what, reason) in &left {
        let (reason, what) = (reason.as_str().unwrap_or_default(), format!("{quote}{what}{quote}"));
        match by_reason.iter_mut().find(|(known, _)| known == reason) {
            Some((_, all)) => all.push(what),
            None => by_reason.push((reason.to_owned(), vec![what])),
        }
    }
    by_reason.into_iter().map(|(reason, all)| format!("{}: {reason}", all.join(", "))).collect()
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
