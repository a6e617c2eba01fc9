//! Plugins of every kind against directories: what `check` finds, and what `declare` makes of the files.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::*;
use crate::declare::Severity;
use crate::declare::code::FileChange;
use crate::declare::permission::Permission;
use crate::plugin::{
    AgentMessages, AgentStrategies, AgentStrategy, AgentUsage, AppSelector, Body, Call, Crawl, DatasourceProvider,
    Datasources, Dispatch, DynamicSelect, Endpoint, Event, EventOutcome, Events, File, Incoming, Messages,
    ModelSelector, PluginError, Secret, SelectedTool, Subscription, Tool, ToolProvider, Tools, TriggerProvider,
    WebsiteCrawl,
};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
enum Unit {
    /// Degrees Celsius
    Metric,
    Imperial,
}

/// The weather of the next days.
#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Ask {
    /// A city.
    place: String,
    /// How many days.
    #[schemars(range(min = 1, max = 7))]
    days: Option<u8>,
    unit: Option<Unit>,
}

/// Every type of parameter.
#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Everything {
    text: String,
    number: Option<f64>,
    #[serde(default)]
    flag: bool,
    units: Vec<Unit>,
    secret: Option<Secret>,
    file: Option<File>,
    files: Option<Vec<File>>,
    model: Option<ModelSelector>,
    app: Option<AppSelector>,
    choice: Option<DynamicSelect>,
    tags: Option<Vec<String>>,
    object: Option<Map<String, Value>>,
    any: Option<Value>,
    #[schemars(extend("x-dify-form" = "form"))]
    fixed: Option<u32>,
}

struct Part;

impl Tool for Part {
    const NAME: &'static str = "forecast";
    type Parameters = Ask;

    async fn invoke(&self, _: Call, _: Ask, _: &mut Messages) -> Result<(), PluginError> {
        Ok(())
    }
}

struct All;

impl Tool for All {
    const NAME: &'static str = "all";
    type Parameters = Everything;

    async fn invoke(&self, _: Call, _: Everything, _: &mut Messages) -> Result<(), PluginError> {
        Ok(())
    }
}

struct Weather(Tools);

impl ToolProvider for Weather {
    const NAME: &'static str = "weather";

    fn tools(&self) -> Tools {
        self.0.clone()
    }
}

struct Hook;

impl Endpoint for Hook {
    async fn handle(&self, _: Call, _: http::Request<bytes::Bytes>) -> Result<http::Response<Body>, PluginError> {
        Err(PluginError::not_found("no such path"))
    }
}

/// Thinks.
#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Thought {
    #[schemars(extend("x-dify-scope" = "tool-call&llm"))]
    model: ModelSelector,
    tools: Option<Vec<SelectedTool>>,
    /// What is asked.
    query: String,
    context: Option<Vec<String>>,
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 50))]
    maximum_iterations: u32,
}

fn five() -> u32 {
    5
}

struct Thinker;

impl AgentStrategy for Thinker {
    const NAME: &'static str = "think";
    type Parameters = Thought;

    async fn run(&self, _: Call, _: Thought, _: &mut AgentMessages) -> Result<AgentUsage, PluginError> {
        Ok(AgentUsage::default())
    }
}

/// Crawls a site.
#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Site {
    url: String,
    #[serde(default)]
    limit: u32,
    unit: Option<Unit>,
}

struct Crawler;

impl WebsiteCrawl for Crawler {
    const NAME: &'static str = "site";
    type Parameters = Site;

    async fn crawl(&self, _: Call, _: Site, _: &mut Crawl) -> Result<(), PluginError> {
        Ok(())
    }
}

struct Sources;

impl DatasourceProvider for Sources {
    const NAME: &'static str = "sources";

    fn datasources(&self) -> Datasources {
        Datasources::new().website_crawl(Crawler)
    }

    async fn validate(&self, _: Call) -> Result<(), PluginError> {
        Ok(())
    }
}

/// Something was pushed.
#[derive(Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Filter {
    branch: Option<String>,
    tags: Option<Vec<String>>,
    unit: Option<Vec<Unit>>,
}

struct Push;

impl Event for Push {
    const NAME: &'static str = "push";
    type Parameters = Filter;

    async fn on_event(&self, _: Call, _: Incoming<Filter>) -> Result<EventOutcome, PluginError> {
        Ok(EventOutcome::Ignore)
    }
}

struct Forge;

impl TriggerProvider for Forge {
    const NAME: &'static str = "forge";

    fn events(&self) -> Events {
        Events::new().event(Push)
    }

    async fn dispatch(
        &self,
        _: Call,
        _: Subscription,
        _: http::Request<bytes::Bytes>,
    ) -> Result<Dispatch, PluginError> {
        Err(PluginError::not_found("no such path"))
    }
}

fn weather() -> Plugin {
    Plugin::new().tool_provider(Weather(Tools::new().tool(Part)))
}

fn kinds() -> Vec<(&'static str, Plugin)> {
    vec![
        ("tools", Plugin::new().tool_provider(Weather(Tools::new().tool(Part).tool(All))).needs(Permission::Storage)),
        ("endpoints", weather().endpoint(Hook).needs(Permission::Llm)),
        ("agents", Plugin::new().agent_strategies(AgentStrategies::new("thinker").strategy(Thinker))),
        ("datasources", Plugin::new().datasource_provider(Sources)),
        ("triggers", Plugin::new().trigger_provider(Forge)),
    ]
}

const MANIFEST: &str = "\
# The manifest.
version: 0.0.1
type: plugin
author: acme
name: weather
label: {en_US: Weather, zh_Hans: 天气}
description:
  en_US: Forecasts
created_at: 2026-01-01T00:00:00Z
icon: icon.svg
tags: [weather]
resource:
  memory: 1048576
  permission: {}
plugins: {}
meta:
  version: 0.0.2
  arch: [amd64, arm64]
  runner: {language: python, version: \"3.12\", entrypoint: main}
privacy: PRIVACY.md
";

const FORECAST: &str = "\
# A forecast.
identity:
  name: forecast
  author: acme
  label: {en_US: Forecast, zh_Hans: 预报}
description:
  human: {en_US: The weather}
  llm: The weather of a place.
parameters:
  # Where.
  - name: place # a city
    type: string
    required: true
    form: llm
    label:
      en_US: Place
      zh_Hans: 地点
    human_description: {en_US: A city}
    llm_description: A city.
  - {name: days, type: number, min: 1, max: 7, form: llm, label: {en_US: Days}, human_description: {en_US: Days}}
  - name: unit
    type: select
    options:
      - value: metric
        label: {en_US: Metric, zh_Hans: 公制}
      - value: imperial
        label: {en_US: Imperial}
    form: form
    label: {en_US: Unit}
    human_description: {en_US: Unit}
";

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in
        [("manifest.yaml", MANIFEST), ("_assets/icon.svg", "<svg/>"), ("PRIVACY.md", "None.")].iter().chain(files)
    {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

/// A directory with the weather tool, whose file has this text.
fn with_forecast(forecast: &str) -> tempfile::TempDir {
    let manifest = MANIFEST.replace("plugins: {}", "plugins:\n  tools:\n    - provider/weather.yaml");
    let manifest = manifest.replace("  version: 0.0.2\n", "  version: 0.0.2\n  minimum_dify_version: 1.10.0\n");
    let provider = "\
identity: {author: acme, name: weather, label: {en_US: Weather}, description: {en_US: W}, icon: icon.svg}
tools:
  - tools/forecast.yaml
";
    directory(&[("manifest.yaml", &manifest), ("provider/weather.yaml", provider), ("tools/forecast.yaml", forecast)])
}

fn update(directory: &Path, plugin: &Plugin) -> Vec<FileChange> {
    let changes = code::update(directory, &plugin.code(), false).unwrap();
    for change in &changes {
        let path = directory.join(&change.file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &change.text).unwrap();
    }
    changes
}

fn errors(problems: Vec<Problem>) -> Vec<String> {
    let errors = problems.into_iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(|problem| problem.to_string()).collect()
}

#[test]
fn what_is_missing_is_written_for_every_kind_and_passes_the_check() {
    for (name, plugin) in kinds() {
        let directory = directory(&[]);
        assert!(!errors(plugin.check(directory.path())).is_empty(), "{name}");
        let changes = update(directory.path(), &plugin);
        assert!(changes.iter().any(|change| change.is_new), "{name}");
        let texts: String = changes.iter().map(|change| format!("{}:\n{}\n", change.file, change.text)).collect();
        let problems: Vec<String> = plugin.check(directory.path()).iter().map(ToString::to_string).collect();
        assert_eq!(problems, [""; 0], "{name}: {texts}");
        assert_eq!(update(directory.path(), &plugin), [], "{name}: {texts}");
        let declared = declare::load(directory.path()).unwrap();
        assert_eq!(plugin.differences(&declared.kinds), [""; 0], "{name}");
        let manifest = fs::read_to_string(directory.path().join("manifest.yaml")).unwrap();
        assert!(manifest.starts_with("# The manifest.\n") && manifest.contains("zh_Hans: 天气"), "{manifest}");
    }
}

#[test]
fn a_new_parameter_has_its_texts_from_the_code() {
    let directory = directory(&[]);
    update(directory.path(), &weather());
    let text = fs::read_to_string(directory.path().join("tools/forecast.yaml")).unwrap();
    let expected = "\
identity:
  author: acme
  name: forecast
  label:
    en_US: Forecast
description:
  human:
    en_US: The weather of the next days.
  llm: The weather of the next days.
parameters:
  - name: place
    type: string
    required: true
    form: llm
    label:
      en_US: Place
    human_description:
      en_US: A city.
    llm_description: A city.
  - name: days
    type: number
    required: false
    min: 1
    max: 7
    form: llm
    label:
      en_US: Days
    human_description:
      en_US: How many days.
    llm_description: How many days.
  - name: unit
    type: select
    required: false
    options:
      - value: metric
        label:
          en_US: Degrees Celsius
      - value: imperial
        label:
          en_US: Imperial
    form: llm
    label:
      en_US: Unit
    human_description:
      en_US: Unit
    llm_description: Unit
";
    // The order of options is that of the schema.
    assert_eq!(sorted_options(&text), sorted_options(expected));
}

fn sorted_options(text: &str) -> Value {
    let mut value = crate::declare::yaml::parse(text).unwrap();
    let options = value["parameters"][2]["options"].as_array_mut().unwrap();
    options.sort_by_key(|option| option["value"].to_string());
    value
}

#[test]
fn every_difference_of_a_list_is_named() {
    let plugin = Plugin::new().tool_provider(Weather(Tools::new().tool(Part)));
    let head = FORECAST.split("parameters:").next().unwrap();
    let directory = with_forecast(&format!("{head}parameters: []\n"));
    let found = errors(plugin.check(directory.path()));
    let named: Vec<bool> =
        ["place", "days", "unit"].map(|name| found.iter().any(|problem| problem.contains(&format!("`{name}`")))).into();
    assert_eq!(named, [true; 3], "{found:?}");
    // Parameters that Dify asks the plugin for while it runs are not missing.
    let directory = with_forecast(&format!("{head}parameters: []\nhas_runtime_parameters: true\n"));
    assert_eq!(errors(plugin.check(directory.path())), [""; 0]);
    assert_eq!(update(directory.path(), &plugin), []);
}

/// Each row: what is changed in the file, where the problem is, and what it says.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    ("    type: string\n", "    type: number\n", "parameters[0].type", "the code reads type `string`, found `number`"),
    ("    type: string\n", "    type: file\n", "parameters[0].type", "found `file`"),
    ("    type: string\n", "    type: strng\n", "parameters[0].type", "must be one of"),
    ("    type: string\n", "    type: boolean\n    default: true\n", "parameters[0].type", "found `boolean`"),
    ("    required: true\n", "", "parameters[0].required", "the code requires it"),
    ("    required: true\n", "    required: false\n", "parameters[0].required", "the code requires it"),
    ("name: days, ", "name: days, required: true, ", "parameters[1].required", "the code does not require it"),
    ("name: days, ", "name: dayz, ", "parameters", "the code reads parameter `days` (`number`), which is not declared"),
    ("name: days, ", "name: dayz, ", "parameters[1]", "the code does not read parameter `dayz`"),
    ("min: 1, ", "", "parameters[1].min", "the least value of the code is 1, found none"),
    ("min: 1, ", "min: 0, ", "parameters[1].min", "the least value of the code is 1, found 0"),
    ("max: 7, ", "max: 8.5, ", "parameters[1].max", "the largest value of the code is 7, found 8.5"),
    ("max: 7, ", "max: 7, default: many, ", "parameters[1].default", "the code cannot read the default"),
    (
        "      - value: metric\n",
        "      - value: kelvin\n",
        "parameters[2].options",
        "option `metric` of the code is missing",
    ),
    ("      - value: metric\n", "      - value: kelvin\n", "parameters[2].options[0]", "does not know option `kelvin`"),
    ("    options:\n", "    multiple: true\n    options:\n", "parameters[2].multiple", "the code reads one value"),
    ("    type: select\n", "    type: string\n", "parameters[2].type", "the code reads type `select`"),
    ("    options:\n", "    default: kelvin\n    options:\n", "parameters[2].default", "cannot read the default"),
    (
        "  - {name: days",
        "  - {name: place, type: string, form: llm, label: {en_US: P}, human_description: {en_US: P}}\n  - {name: days",
        "parameters[1]",
        "parameter `place` is declared a second time",
    ),
];

#[test]
fn a_difference_is_named_with_its_line_and_removed_by_an_update() {
    let plugin = weather();
    assert_eq!(errors(plugin.check(with_forecast(FORECAST).path())), [""; 0]);
    for (before, after, path, message) in DIFFERENCES {
        assert_eq!(FORECAST.matches(before).count(), 1, "{before}");
        let text = FORECAST.replacen(before, after, 1);
        let directory = with_forecast(&text);
        let problems = plugin.check(directory.path());
        let found = problems.iter().find(|problem| problem.path == *path && problem.message.contains(message));
        let found = found.unwrap_or_else(|| panic!("{after}: {message}: {problems:?}"));
        assert_eq!((found.file.as_str(), found.severity), ("tools/forecast.yaml", Severity::Error));
        assert!(found.line.is_some(), "{found:?}");
        update(directory.path(), &plugin);
        assert_eq!(errors(plugin.check(directory.path())), [""; 0], "{after}");
        assert_eq!(update(directory.path(), &plugin), [], "{after}");
        let text = fs::read_to_string(directory.path().join("tools/forecast.yaml")).unwrap();
        assert!(text.contains("# A forecast.") && text.contains("zh_Hans: 地点"), "{text}");
    }
}

#[test]
fn what_the_code_can_read_is_no_difference() {
    let plugin = weather();
    for (before, after) in [
        ("    type: string\n", "    type: secret-input\n"),
        ("    type: string\n", "    type: dynamic-select\n"),
        ("    type: string\n", "    type: select\n    options: [{value: riga, label: {en_US: Riga}}]\n"),
        ("    required: true\n", "    default: Riga\n"),
        ("name: days, ", "name: days, default: 3, "),
        ("name: days, ", "name: days, required: false, "),
        ("    options:\n", "    default: metric\n    options:\n"),
        ("    form: form\n", "    form: llm\n"),
        ("  # Where.\n", ""),
    ] {
        let directory = with_forecast(&FORECAST.replacen(before, after, 1));
        assert_eq!(errors(plugin.check(directory.path())), [""; 0], "{after}");
        assert_eq!(update(directory.path(), &plugin), [], "{after}");
    }
    // A narrower range is a choice of the file; it is named, and an update writes the range of the code.
    let directory = with_forecast(&FORECAST.replacen("max: 7", "max: 5", 1));
    let problems = plugin.check(directory.path());
    assert_eq!(
        problems.iter().map(|problem| problem.severity).collect::<Vec<_>>(),
        [Severity::Warning],
        "{problems:?}"
    );
    assert!(update(directory.path(), &plugin)[0].text.contains("max: 7"));
}

#[test]
fn an_update_changes_nothing_else() {
    let text = FORECAST
        .replacen("    type: string\n", "    type:   number   # why\n", 1)
        .replacen("      - value: imperial\n        label: {en_US: Imperial}\n", "", 1)
        .replacen("max: 7", "max: 9", 1);
    let directory = with_forecast(&text);
    let changes = update(directory.path(), &weather());
    // Options without a comment come first in a schema.
    let options = "    options:\n";
    let imperial = format!("{options}      - value: imperial\n        label:\n          en_US: Imperial\n");
    let expected = FORECAST
        .replacen("    type: string\n", "    type:   string   # why\n", 1)
        .replacen("      - value: imperial\n        label: {en_US: Imperial}\n", "", 1)
        .replacen(options, &imperial, 1);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].text, expected);
    assert_eq!(
        changes[0].changes,
        [
            "parameter `place`: `type` is now `string`",
            "parameter `days`: `max` is now 7",
            "parameter `unit`: option `imperial` added",
        ]
    );
}

#[test]
fn what_the_code_does_not_have_is_removed_or_kept() {
    let other = "  - {name: city, type: string, form: llm, label: {en_US: City}, human_description: {en_US: City}}\n";
    let directory = with_forecast(&format!("{FORECAST}{other}"));
    let provider = directory.path().join("provider/weather.yaml");
    let listed = fs::read_to_string(&provider).unwrap();
    fs::write(&provider, format!("{listed}  - tools/old.yaml # old\n")).unwrap();
    let old = FORECAST.replacen("name: forecast", "name: old", 1);
    fs::write(directory.path().join("tools/old.yaml"), old).unwrap();
    let plugin = weather();
    assert_eq!(errors(plugin.check(directory.path())).len(), 2);
    assert_eq!(code::update(directory.path(), &plugin.code(), true).unwrap(), []);
    let changes = update(directory.path(), &plugin);
    let printed: Vec<&str> = changes.iter().flat_map(|change| change.changes.iter().map(String::as_str)).collect();
    assert_eq!(
        printed,
        ["tool `old` is no longer listed; tools/old.yaml itself stays", "parameter `city` removed, with its texts",]
    );
    assert_eq!(fs::read_to_string(&provider).unwrap(), listed);
    assert!(directory.path().join("tools/old.yaml").exists());
    // A kind without code is no longer listed in the manifest.
    let changes = update(directory.path(), &Plugin::new().trigger_provider(Forge));
    let manifest = changes.iter().find(|change| change.file == "manifest.yaml").unwrap();
    assert!(!manifest.text.contains("provider/weather.yaml") && manifest.text.contains("provider/forge.yaml"));
}

#[test]
fn what_cannot_be_declared_is_an_error_and_nothing_is_written() {
    #[derive(Deserialize, JsonSchema)]
    #[allow(dead_code)]
    struct Odd {
        file: Option<File>,
    }
    struct OddCrawler;
    impl WebsiteCrawl for OddCrawler {
        const NAME: &'static str = "site";
        type Parameters = Odd;

        async fn crawl(&self, _: Call, _: Odd, _: &mut Crawl) -> Result<(), PluginError> {
            Ok(())
        }
    }
    struct OddSources;
    impl DatasourceProvider for OddSources {
        const NAME: &'static str = "sources";

        fn datasources(&self) -> Datasources {
            Datasources::new().website_crawl(OddCrawler)
        }

        async fn validate(&self, _: Call) -> Result<(), PluginError> {
            Ok(())
        }
    }
    let odd = Plugin::new().datasource_provider(OddSources);
    let failure =
        |directory: &Path, plugin: &Plugin| code::update(directory, &plugin.code(), false).unwrap_err().to_string();
    assert!(failure(directory(&[]).path(), &odd).contains("as `file`, a type that Dify has not for datasources"));
    let empty = tempfile::tempdir().unwrap();
    assert!(failure(empty.path(), &weather()).contains("manifest.yaml: does not exist"));
    let broken = with_forecast("a: [");
    assert!(failure(broken.path(), &weather()).contains("tools/forecast.yaml: is not YAML"));
    let taken = directory(&[("tools/forecast.yaml", "identity: {name: other}\n")]);
    assert!(failure(taken.path(), &weather()).contains("does not declare it"));
    let alias = FORECAST.replacen("  - {name: days, ", "  - &x {name: days, required: true, ", 1) + "extra: *x\n";
    assert!(failure(with_forecast(&alias).path(), &weather()).contains("cannot be edited in place"));
}

#[test]
fn a_plugin_without_code_is_not_compared() {
    let directory = with_forecast(&FORECAST.replace("string", "number"));
    assert_eq!(errors(Plugin::new().check(directory.path())), [""; 0]);
}

/// A parameter as an author may have written it.
fn written() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec!["place", "days", "unit", "city", "text", "units", "tags", "fixed"]);
    let types = prop::sample::select(vec![
        "string",
        "number",
        "select",
        "file",
        "boolean",
        "array",
        "any",
        "model-selector",
        "wrong",
    ]);
    let options = prop::collection::vec(prop::sample::select(vec!["metric", "imperial", "kelvin"]), 0..3);
    let number = || prop::option::of(-3..400i32);
    (names, types, options, any::<[bool; 4]>(), number(), number()).prop_map(
        |(name, kind, options, flags, min, max)| {
            let mut parameter = json!({"name": name, "type": kind, "label": {"en_US": name, "zh_Hans": "标"}});
            let members = parameter.as_object_mut().unwrap();
            let options: Vec<Value> =
                options.iter().map(|value| json!({"value": value, "label": {"en_US": value}})).collect();
            for (is_there, key, value) in [
                (flags[0], "required", json!(flags[1])),
                (flags[2], "multiple", json!(flags[3])),
                (!options.is_empty(), "options", json!(options)),
                (min.is_some(), "min", json!(min)),
                (max.is_some(), "max", json!(max)),
                (flags[1], "default", json!("metric")),
                (flags[3], "scope", json!("llm")),
                (true, "human_description", json!({"en_US": "Kept: this"})),
                (true, "form", json!("llm")),
            ] {
                if is_there {
                    members.insert(key.to_owned(), value);
                }
            }
            parameter
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn an_update_leaves_no_difference_and_a_second_one_changes_nothing(
        parameters in prop::collection::vec(written(), 0..6), is_flow: bool, comment: bool,
    ) {
        let plugin = Plugin::new().tool_provider(Weather(Tools::new().tool(Part).tool(All)));
        let list = match is_flow {
            true => format!("parameters: {}\n", json!(parameters)),
            false => crate::declare::yaml::write_plain(&json!({"parameters": parameters})),
        };
        let head = FORECAST.split("parameters:").next().unwrap();
        let text = if comment { format!("{head}# before\n{list}# after\n") } else { format!("{head}{list}") };
        let directory = with_forecast(&text);
        update(directory.path(), &plugin);
        let second = code::update(directory.path(), &plugin.code(), false).unwrap();
        prop_assert_eq!(second, vec![]);
        prop_assert_eq!(code::check(directory.path(), &plugin.code()), vec![]);
        let written = fs::read_to_string(directory.path().join("tools/forecast.yaml")).unwrap();
        prop_assert!(written.starts_with(head) && (!comment || written.contains("# after")), "{}", written);
    }
}
