//! Texts of declarations that are not there in English and Chinese.

use serde_json::Value;

/// Keys whose texts a page shows.
const SHOWN: [&str; 5] = ["label", "help", "placeholder", "title", "description"];

/// Adds the texts below a value that lack one of the languages.
pub fn untranslated(value: &Value, path: &str, wrong: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, member) in map {
                let path = format!("{path}.{key}");
                if SHOWN.contains(&key.as_str()) && member.get("url").is_none() {
                    let blank = |language: &&&str| {
                        member.get(**language).and_then(Value::as_str).is_none_or(|text| text.trim().is_empty())
                    };
                    wrong.extend(
                        ["en_US", "zh_Hans"].iter().filter(blank).map(|language| format!("{path}: {language}")),
                    );
                }
                untranslated(member, &path, wrong);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| untranslated(item, &format!("{path}[{index}]"), wrong));
        }
        _ => {}
    }
}
