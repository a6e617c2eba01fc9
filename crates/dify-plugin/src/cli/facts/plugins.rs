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
        Ok(facts) => match left_out(facts).as_slice() {
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
         ## Served natively\n\n| Plugin | Provider | Left out |\n|---|---|---|\n",
        known.len(),
        served.len()
    );
    for known in &served {
        let left = known.facts.map(left_out).unwrap_or_default();
        let left = if left.is_empty() { "nothing".to_owned() } else { left.join("<br>") };
        text.push_str(&format!("| {} | `{}` | {} |\n", cell(known.plugin), cell(known.provider), cell(&left)));
    }
    if !unserved.is_empty() {
        text.push_str("\n## Not served natively\n\n| Plugin | Provider | Reason |\n|---|---|---|\n");
    }
    for known in &unserved {
        let reason = known.facts.err().unwrap_or_default();
        text.push_str(&format!("| {} | `{}` | {} |\n", cell(known.plugin), cell(known.provider), cell(reason)));
    }
    text
}

/// What facts leave out: models or types, each with its reason.
fn left_out(facts: &str) -> Vec<String> {
    let facts = yaml::parse(facts).unwrap_or_default();
    let left = facts.get("left_out").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    left.iter().map(|(what, reason)| format!("{what}: {}", reason.as_str().unwrap_or_default())).collect()
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
