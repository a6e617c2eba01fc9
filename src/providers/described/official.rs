//! The plugins that others publish and whose facts ship with the executable, so that `--from` serves their declarations unchanged.
//! The facts and the list are files beside this one, taken from the plugins' own code. What it is not: code for any of them.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use dify_plugin::model::KnownPlugin;

/// The list of plugins.
const LIST: &str = include_str!("official.json");

macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("official/", $name, ".yaml")))),*] };
}

/// The facts by file, which has the name of the plugin's directory.
const FACTS: &[(&str, &str)] = files![
    "aihubmix",
    "ant_ling",
    "azure_ai_studio",
    "azure_openai",
    "baichuan",
    "chatglm",
    "cometapi",
    "deepseek",
    "deerapi",
    "fireworks",
    "funasr",
    "gitee_ai",
    "gmicloud",
    "gpustack",
    "groq",
    "huaweicloud_maas",
    "huaweicloud_maas_hk",
    "huggingface_tei",
    "jina",
    "lemonade",
    "llama_api",
    "localai",
    "longcat",
    "mimo",
    "mistralai",
    "mixedbread",
    "modelscope",
    "moonshot",
    "novita",
    "nvidia",
    "nvidia_nim",
    "openai",
    "openai_api_compatible",
    "openrouter",
    "perfxcloud",
    "regolo",
    "sambanova",
    "siliconflow",
    "stepfun",
    "togetherai",
    "upstage",
    "vessl_ai",
    "volcengine",
    "volcengine_maas",
    "voyage",
    "wenxin",
    "x",
    "yi",
    "zhinao",
    "zhipuai",
];

/// A plugin of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    plugin: String,
    /// File with the facts, if it is not that of the plugin's name.
    file: Option<String>,
    provider: String,
    title: String,
    /// Number of declared models by type.
    models: Map<String, Value>,
    /// Whether users can add models.
    #[serde(default)]
    custom: bool,
    /// Why it is not served.
    unserved: Option<String>,
}

/// Returns the plugins, served and not, in the order of the list.
pub fn known() -> &'static [KnownPlugin] {
    static KNOWN: LazyLock<Vec<KnownPlugin>> = LazyLock::new(|| read(LIST).unwrap_or_default());
    &KNOWN
}

/// Reads a list. Its texts live as long as the process, as the facts do.
fn read(list: &str) -> Result<Vec<KnownPlugin>, String> {
    let facts: HashMap<&str, &'static str> = FACTS.iter().copied().collect();
    let listed: Vec<Listed> = serde_json::from_str(list).map_err(|error| error.to_string())?;
    listed
        .into_iter()
        .map(|listed| {
            let file = listed.file.as_deref().unwrap_or(&listed.plugin);
            let facts = match (facts.get(file), listed.unserved) {
                (Some(facts), None) => Ok(*facts),
                (None, Some(reason)) => Err(leak(reason)),
                (Some(_), Some(_)) => {
                    return Err(format!("`{}` has facts and a reason not to be served", listed.plugin));
                }
                (None, None) => return Err(format!("`{}` has no facts", listed.plugin)),
            };
            let models = summary(&listed.models, listed.custom);
            let (plugin, provider) = (leak(listed.plugin), leak(listed.provider));
            let known = match facts {
                Ok(facts) => KnownPlugin::served(plugin, provider, facts),
                Err(reason) => KnownPlugin::unserved(plugin, provider, reason),
            };
            Ok(known.about(leak(listed.title), leak(models)))
        })
        .collect()
}

/// The models in words: `llm 3, tts 1, and models that users add`.
fn summary(models: &Map<String, Value>, custom: bool) -> String {
    let counted = models.iter().filter(|(_, number)| number.as_u64() != Some(0));
    let mut parts: Vec<String> = counted.map(|(model_type, number)| format!("{model_type} {number}")).collect();
    if custom {
        let types: Vec<&str> = models.keys().map(String::as_str).collect();
        parts.push(match parts.is_empty() {
            true => format!("those that users add ({})", types.join(", ")),
            false => "those that users add".to_owned(),
        });
    }
    parts.join(", ")
}

fn leak(text: String) -> &'static str {
    String::leak(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_is_in_the_list() {
        let known = read(LIST).unwrap();
        let served = known.iter().filter(|known| known.facts.is_ok()).count();
        assert_eq!(served, FACTS.len());
        let files: BTreeSet<String> = std::fs::read_dir("src/providers/described/official")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let embedded: BTreeSet<String> = FACTS.iter().map(|(name, _)| format!("{name}.yaml")).collect();
        assert_eq!(files, embedded);
        let pairs: BTreeSet<_> = known.iter().map(|known| (known.plugin, known.provider)).collect();
        assert_eq!(pairs.len(), known.len());
    }

    #[test]
    fn names_what_is_wrong_with_a_list() {
        for (list, expected) in [
            (r#"[{"plugin": "a", "provider": "a", "title": "A", "models": {}}]"#, "`a` has no facts"),
            (
                r#"[{"plugin": "groq", "provider": "groq", "title": "A", "models": {}, "unserved": "b"}]"#,
                "and a reason",
            ),
            (r#"[{"plugin": "a", "title": "A", "models": {}}]"#, "provider"),
        ] {
            let error = read(list).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn sums_models_up() {
        let models = serde_json::json!({"llm": 3, "tts": 0});
        for (custom, expected) in [(true, "llm 3, those that users add"), (false, "llm 3")] {
            assert_eq!(summary(models.as_object().unwrap(), custom), expected);
        }
        let none = serde_json::json!({"llm": 0, "tts": 0});
        assert_eq!(summary(none.as_object().unwrap(), true), "those that users add (llm, tts)");
    }
}
