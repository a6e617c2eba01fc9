//! Parameters of every kind on their path from a request to the type of the code, with the declarations that `declare` writes
//! for it. The casts of single values are tested in the library.

use dify_plugin::declare::code;
use dify_plugin::prelude::*;
use dify_plugin::testing::{Failure, Host};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
enum Unit {
    Metric,
    Imperial,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[allow(dead_code)]
struct Values {
    #[serde(default = "three")]
    count: u32,
    ratio: Option<f64>,
    flag: Option<bool>,
    unit: Option<Unit>,
    text: Option<String>,
}

fn three() -> u32 {
    3
}

struct Echo;

impl Tool for Echo {
    const NAME: &'static str = "echo";
    type Parameters = Values;

    async fn invoke(&self, _: Call, values: Values, out: &mut Messages) -> Result<(), PluginError> {
        out.text(format!("{values:?}")).await
    }
}

#[derive(Deserialize, JsonSchema)]
struct Login {
    password: Secret,
}

struct Leak;

impl Tool for Leak {
    const NAME: &'static str = "leak";
    type Parameters = Login;

    async fn invoke(&self, _: Call, login: Login, _: &mut Messages) -> Result<(), PluginError> {
        Err(PluginError::bad_request(format!("the service rejects {}", login.password.expose())))
    }
}

impl ToolProvider for Echo {
    const NAME: &'static str = "echo";

    fn tools(&self) -> Tools {
        Tools::new().tool(Echo).tool(Leak)
    }
}

impl AgentStrategy for Echo {
    const NAME: &'static str = "echo";
    type Parameters = Values;

    async fn run(&self, _: Call, values: Values, out: &mut AgentMessages) -> Result<AgentUsage, PluginError> {
        out.text(format!("{values:?}")).await?;
        Ok(AgentUsage::default())
    }
}

impl WebsiteCrawl for Echo {
    const NAME: &'static str = "echo";
    type Parameters = Values;

    async fn crawl(&self, _: Call, values: Values, out: &mut Crawl) -> Result<(), PluginError> {
        out.page(
            serde_json::from_value(json!({"source_url": "", "title": "", "description": "",
            "content": format!("{values:?}")}))
            .unwrap(),
        );
        Ok(())
    }
}

impl DatasourceProvider for Echo {
    const NAME: &'static str = "echo";

    fn datasources(&self) -> Datasources {
        Datasources::new().website_crawl(Echo)
    }

    async fn validate(&self, _: Call) -> Result<(), PluginError> {
        Ok(())
    }
}

impl Event for Echo {
    const NAME: &'static str = "echo";
    type Parameters = Values;

    async fn on_event(&self, _: Call, incoming: Incoming<Values>) -> Result<EventOutcome, PluginError> {
        EventOutcome::start(json!({"text": format!("{:?}", incoming.parameters)}))
    }
}

impl TriggerProvider for Echo {
    const NAME: &'static str = "echo";

    fn events(&self) -> Events {
        Events::new().event(Echo)
    }

    async fn dispatch(
        &self,
        _: Call,
        _: Subscription,
        _: dify_plugin::http::Request<dify_plugin::bytes::Bytes>,
    ) -> Result<Dispatch, PluginError> {
        Err(PluginError::not_found("no such path"))
    }
}

/// Each kind: its plugin, the action, the member with the parameters, and where the text of the response is.
fn kinds() -> [(Plugin, &'static str, &'static str, &'static str, &'static str); 4] {
    [
        (Plugin::new().tool_provider(Echo), "tool", "invoke_tool", "tool_parameters", "/message/text"),
        (
            Plugin::new().agent_strategies(AgentStrategies::new("echo").strategy(Echo)),
            "agent_strategy",
            "invoke_agent_strategy",
            "agent_strategy_params",
            "/message/text",
        ),
        (
            Plugin::new().datasource_provider(Echo),
            "datasource",
            "invoke_website_datasource_get_crawl",
            "datasource_parameters",
            "/result/web_info_list/0/content",
        ),
        (Plugin::new().trigger_provider(Echo), "trigger", "invoke_trigger_event", "parameters", "/variables/text"),
    ]
}

const MANIFEST: &str = "\
version: 0.0.1
type: plugin
author: acme
name: echo
label: {en_US: Echo}
description: {en_US: Echoes}
created_at: 2026-01-01T00:00:00Z
icon: icon.svg
resource: {memory: 1048576, permission: {}}
plugins: {}
meta: {version: 0.0.2, arch: [amd64, arm64], runner: {language: python, version: \"3.12\", entrypoint: main}}
";

/// Serves a plugin with the declarations of its code.
fn connect(plugin: Plugin) -> Host {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("_assets")).unwrap();
    std::fs::write(directory.path().join("_assets/icon.svg"), "<svg/>").unwrap();
    std::fs::write(directory.path().join("manifest.yaml"), MANIFEST).unwrap();
    for change in code::update(directory.path(), &plugin.code(), false).unwrap() {
        let path = directory.path().join(&change.file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &change.text).unwrap();
    }
    Host::load(directory.path(), plugin).unwrap()
}

async fn request(
    host: &Host,
    kind: &str,
    action: &str,
    member: &str,
    values: &Value,
) -> (Vec<Value>, Result<(), Failure>) {
    let data = json!({
        "type": kind, "action": action, "user_id": "user",
        "provider": "echo", "agent_strategy_provider": "echo", "tool": "echo", "agent_strategy": "echo",
        "datasource": "echo", "event": "echo", "credentials": {}, member: values,
        "subscription": {"endpoint": "https://d", "properties": {}},
        "raw_http_request": hex::encode("POST / HTTP/1.1\r\n\r\n"),
    });
    host.request(data).start().finish().await
}

#[tokio::test]
async fn parameters_of_every_kind_are_read_as_python_would_read_them() {
    let none = "Values { count: 3, ratio: None, flag: None, unit: None, text: None }";
    for (plugin, kind, action, member, pointer) in kinds() {
        let host = connect(plugin);
        for (values, expected) in [
            (json!({}), none),
            (json!({"count": null, "ratio": null, "flag": null, "unit": null, "text": null}), none),
            (json!({"count": "", "ratio": "", "flag": "", "unit": ""}), none),
            (
                json!({"count": "7", "ratio": "0.5", "flag": "yes", "unit": "metric", "text": 12, "unknown": []}),
                "Values { count: 7, ratio: Some(0.5), flag: Some(true), unit: Some(Metric), text: Some(\"12\") }",
            ),
            (
                json!({"count": 7.0, "ratio": 2, "flag": 0, "text": ""}),
                "Values { count: 7, ratio: Some(2.0), flag: Some(false), unit: None, text: Some(\"\") }",
            ),
        ] {
            let (items, ending) = request(&host, kind, action, member, &values).await;
            let text = items.first().and_then(|item| item.pointer(pointer)).cloned();
            assert_eq!(text, Some(json!(expected)), "{kind}: {values}: {ending:?}");
        }
        for (values, name) in [(json!({"count": "many"}), "`count`"), (json!({"unit": "kelvin"}), "`unit`")] {
            let failure = request(&host, kind, action, member, &values).await.1.unwrap_err();
            assert!(failure.message.contains(&format!("parameter {name}")), "{kind}: {values}: {failure}");
        }
    }
}

#[tokio::test]
async fn a_secret_parameter_is_redacted_from_errors() {
    let host = connect(Plugin::new().tool_provider(Echo));
    let message = host.tool("leak").parameter("password", "correct-horse-battery").await.unwrap_err().message;
    assert!(message.starts_with("the service rejects") && !message.contains("correct-horse"), "{message}");
}
