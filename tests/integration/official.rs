//! The facts about published plugins that ship with the executable: each fits the forms and the models of its plugin
//! (`data/official_forms.json`), and the page that lists them is the output of the command.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use dify_plugin::declare::{ModelSchema, ProviderDeclaration};
use dify_plugin::model::{DeclaredProvider, Dialect, FactProblem, Served};
use dify_plugin::protocol::ModelType;
use dify_plugin_runtime::providers::described::OpenAi;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a plugin declares: names only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    plugin: String,
    provider: String,
    types: Vec<String>,
    methods: Vec<String>,
    provider_fields: Option<Vec<String>>,
    model_fields: Option<Vec<String>>,
    models: BTreeMap<ModelType, Vec<String>>,
}

impl Declared {
    fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../data/official_forms.json")).unwrap()
    }

    fn of(plugin: &str) -> Self {
        Self::all().into_iter().find(|declared| declared.plugin == plugin).unwrap()
    }

    fn declaration(&self) -> ProviderDeclaration {
        let fields = |names: &Vec<String>| -> Value {
            names.iter().map(|name| json!({"variable": name, "label": {"en_US": name}, "type": "text-input"})).collect()
        };
        let mut declaration = json!({
            "provider": self.provider, "label": {"en_US": self.provider},
            "supported_model_types": self.types, "configurate_methods": self.methods,
        });
        if let Some(names) = &self.provider_fields {
            declaration["provider_credential_schema"] = json!({"credential_form_schemas": fields(names)});
        }
        if let Some(names) = &self.model_fields {
            declaration["model_credential_schema"] =
                json!({"model": {"label": {"en_US": "Model"}}, "credential_form_schemas": fields(names)});
        }
        serde_json::from_value(declaration).unwrap()
    }

    fn models(&self) -> Vec<ModelSchema> {
        let all = self.models.iter().flat_map(|(model_type, names)| names.iter().map(|name| (*model_type, name)));
        all.map(|(model_type, name)| ModelSchema::customizable(name, model_type)).collect()
    }

    fn serve(&self, facts: &Value) -> Result<Served, Vec<FactProblem>> {
        OpenAi.provider(&DeclaredProvider::new(&self.declaration(), &self.models(), facts))
    }
}

fn facts(plugin: &str) -> Value {
    let known = OpenAi.known().iter().find(|known| known.plugin == plugin).unwrap();
    serde_yaml::from_str(known.facts.unwrap()).unwrap()
}

#[test]
fn all_published_plugins_are_listed() {
    let known = OpenAi.known();
    let served: Vec<&str> = known.iter().filter(|known| known.facts.is_ok()).map(|known| known.plugin).collect();
    assert_eq!((known.len(), served.len()), (70, 50));
    let mut declared: Vec<String> = Declared::all().into_iter().map(|declared| declared.plugin).collect();
    declared.sort_unstable();
    let mut sorted = served.clone();
    sorted.sort_unstable();
    assert_eq!(declared, sorted);
}

#[test]
fn facts_fit_the_declarations() {
    let mut wrong = Vec::new();
    for declared in Declared::all() {
        let name = &declared.plugin;
        match declared.serve(&facts(name)) {
            Ok(served) => {
                // Two plugins validate a key by a model that they no longer declare, and one does not validate at all.
                let odd = served.warnings.iter().filter(|problem| !problem.path.starts_with("validate"));
                wrong.extend(odd.map(|problem| format!("{name}: {}: {}", problem.path, problem.message)));
            }
            Err(problems) => {
                wrong.extend(problems.iter().map(|problem| format!("{name}: {}: {}", problem.path, problem.message)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn facts_leave_out_less_than_a_plugin_has() {
    for (plugin, left_out) in
        [("openai", 7), ("aihubmix", 41), ("voyage", 1), ("nvidia", 1), ("volcengine", 3), ("volcengine_maas", 1)]
    {
        let served = Declared::of(plugin).serve(&facts(plugin)).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(served.left_out.len(), left_out, "{plugin}: {:?}", served.left_out);
    }
    let number = |declared: &Declared| declared.models.values().map(Vec::len).sum::<usize>();
    for declared in Declared::all() {
        let served = declared.serve(&facts(&declared.plugin)).unwrap_or_else(|problems| panic!("{problems:?}"));
        let is_custom = declared.methods.iter().any(|method| method == "customizable-model");
        assert!(is_custom || served.left_out.len() < number(&declared), "{}", declared.plugin);
    }
}

#[test]
fn facts_about_another_form_are_rejected() {
    let set = |plugin: &str, pointer: &str, value: Value| {
        let mut facts = facts(plugin);
        *facts.pointer_mut(pointer).unwrap() = value;
        facts
    };
    for (plugin, facts, path) in [
        ("groq", set("groq", "/base_url", json!("{endpoint|https://h/v1}")), "base_url"),
        ("groq", set("groq", "/base_url", json!("h/v1")), "base_url"),
        ("groq", set("groq", "/provider", json!("deepseek")), "provider"),
        ("deepseek", set("deepseek", "/chat/parameters/thinking/as", json!("swich")), "chat.parameters.thinking.as"),
        ("regolo", set("regolo", "/models", json!({"gtp-oss*": {}})), "models.gtp-oss*"),
        ("voyage", set("voyage", "/left_out", json!({"voyages-*": "x"})), "left_out.voyages-*"),
    ] {
        let problems = Declared::of(plugin).serve(&facts).err().unwrap_or_default();
        let names = |problem: &FactProblem| !problem.path.is_empty() && path.starts_with(&problem.path);
        assert!(problems.iter().any(names), "{plugin} {path}: {problems:?}");
    }
}

#[test]
fn the_pages_are_the_output_of_the_command() {
    for (option, page) in [("--markdown", "docs/providers.md"), ("--keys", "docs/provider-file.md")] {
        let output = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime")).args(["facts", option]).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let written = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap_or_default();
        assert!(written == output, "{page} is not the output of `facts {option}`");
    }
}
