//! The host for tests of plugins: each call of Dify, each kind of call back, and what fails a test.

use std::path::Path;
use std::time::Duration;

use crate::support::sample_plugins;
use dify_plugin::prelude::*;
use dify_plugin::protocol::backwards::InvokeType;
use dify_plugin::testing::{Answer, Failure, Host};
use http::Request;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

fn weather_directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plugins/weather")
}

#[tokio::test]
async fn calls_tools_and_endpoints() {
    let host = Host::load(weather_directory(), sample_plugins::weather()).unwrap();
    let outputs = host.tool("forecast").parameter("place", "Riga").credential("api_key", "k").await.unwrap();
    // `days` has a default in the declaration.
    assert_eq!(outputs.text(), "Sunny in Riga for 2 (user-1)");
    assert_eq!(outputs.json(), [json!({"place": "Riga", "key": 1})]);
    assert_eq!(outputs.variable("temperature"), Some(&json!(21)));
    let outputs = host.tool("odd").parameters(json!({"deed": "blob"})).await.unwrap();
    let file = &outputs.files()[0];
    assert_eq!(
        (file.name.as_deref(), file.mime_type.as_str(), file.bytes.len()),
        (Some("x.txt"), "text/plain", 20_000)
    );

    let failure = host.tool("odd").parameter("deed", "error").await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.is_of_dify()), ("ValueError", false));
    host.validate().credential("api_key", "good-key").await.unwrap();
    let failure = host.validate().credentials(json!({"api_key": "bad"})).await.unwrap_err();
    assert_eq!(failure.kind, "ToolProviderCredentialValidationError");
    assert_eq!(host.options("forecast", "place").await.unwrap()[0].value, "riga");
    assert_eq!(host.runtime_parameters("forecast").await.unwrap().len(), 1);

    let request = Request::post("/echo?b=1").body("hi").unwrap();
    let response = host.endpoint(request).setting("token", "t").await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["x-a"]), (200, &"1, 2".parse().unwrap()));
    assert_eq!(&response.body()[..], b"POST /echo?b=1 t hi");
    let response = host.endpoint(Request::get("/stream").body("").unwrap()).await.unwrap();
    assert_eq!(response.body().len(), 5 * 9);
}

#[tokio::test]
async fn calls_agents_datasources_triggers_and_oauth() {
    let host = Host::new(sample_plugins::agent());
    let outputs = host.agent("think").parameter("query", "Why?").tool_credential("weather", "id-1").await.unwrap();
    assert_eq!(outputs.text(), "Why? by id-1");
    assert_eq!(outputs.json(), [json!({"data": 1})]);
    assert_eq!((outputs.logs().len(), outputs.log("ROUND 1").is_some()), (1, true));
    assert_eq!(outputs.usage().unwrap()["total_tokens"], 7);

    let host = Host::new(sample_plugins::sources());
    let crawled = host.crawl("site").parameter("url", "https://x").await.unwrap();
    assert_eq!((crawled.pages.len(), crawled.progress), (2, vec![(0, 2), (1, 2), (2, 2), (2, 2)]));
    assert_eq!(host.pages("notes").await.unwrap()[0].pages[0].page_name, "Page");
    let content = host.page_content("notes", "w", "p", "page").await.unwrap();
    assert_eq!(content.variable("content"), Some(&json!("text of p")));
    let listings = host.browse("drive", "").parameter("bucket", "b").await.unwrap();
    assert_eq!((listings[0].bucket.as_deref(), listings[0].files[0].name.as_str()), (Some("b"), "a.txt"));
    let file = &host.download("drive", "3000").await.unwrap().files()[0].clone();
    assert_eq!((file.name.as_deref(), file.bytes.len()), (Some("a.txt"), 3000));
    assert_eq!(host.validate().await.unwrap_err().kind, "DatasourceCredentialValidationError");

    let host = Host::new(sample_plugins::triggers());
    let properties = json!({"secret": "s3cret-value", "id": "7"}).as_object().unwrap().clone();
    let subscription = Subscription::new("https://d", properties);
    let request = || Request::post("/").body("body").unwrap();
    let dispatched = host.dispatch(subscription.clone(), request()).await.unwrap();
    assert_eq!((dispatched.events, dispatched.user.as_str()), (vec!["push".to_owned()], "octocat"));
    assert_eq!(&dispatched.response.body()[..], b"ok");
    for (branch, starts) in [("main", true), ("other", false)] {
        let event = host.event("push", subscription.clone(), request()).parameter("branch", branch);
        let outcome = event.payload(dispatched.payload.clone().into()).await.unwrap();
        assert_eq!(outcome != EventOutcome::Ignore, starts, "{branch}");
    }
    let made = host.subscribe("https://d/t").parameter("repo", "r").await.unwrap();
    assert_eq!((made.endpoint.as_str(), made.property("id")), ("https://d/t", Some("7")));
    host.unsubscribe(made.clone()).await.unwrap();
    assert_eq!(host.refresh_subscription(made).await.unwrap_err().kind, "SubscriptionError");

    let url = host.authorization_url("https://d/cb").system_credential("client_id", "c").await.unwrap();
    assert_eq!(url, "https://x/authorize?client=c&to=https://d/cb");
    let made = host.exchange_code("https://d/cb", Request::get("/cb?code=1").body("").unwrap()).await.unwrap();
    assert_eq!(made.credentials["access_token"], "code=1");
    let renewed = host.refresh_credentials("https://d/cb").credential("access_token", "a").await.unwrap();
    assert_eq!(renewed.credentials["access_token"], "a-renewed");
}

/// The provider of the declarations, with another type of parameter.
struct Moved;

impl ToolProvider for Moved {
    const NAME: &'static str = "weather";

    fn tools(&self) -> Tools {
        Tools::new().tool(Forecast)
    }
}

struct Forecast;

#[derive(Deserialize, JsonSchema)]
struct Place {
    #[serde(rename = "place")]
    _place: Vec<u32>,
}

impl Tool for Forecast {
    const NAME: &'static str = "forecast";
    type Parameters = Place;

    async fn invoke(&self, _: Call, _: Place, _: &mut Messages) -> Result<(), PluginError> {
        Ok(())
    }
}

/// Calls Dify back as its parameter says.
struct Caller;

impl ToolProvider for Caller {
    const NAME: &'static str = "caller";

    fn tools(&self) -> Tools {
        Tools::new().tool(Back)
    }
}

struct Back;

#[derive(Deserialize, JsonSchema)]
struct Deed {
    deed: String,
}

impl Tool for Back {
    const NAME: &'static str = "back";
    type Parameters = Deed;

    async fn invoke(&self, call: Call, deed: Deed, out: &mut Messages) -> Result<(), PluginError> {
        let text = called(&call.dify, &deed.deed).await?;
        out.text(text).await
    }
}

async fn called(dify: &Dify, deed: &str) -> Result<String, PluginError> {
    let model = ModelConfig::new("acme/models/acme", "acme-1");
    Ok(match deed {
        "llm" => dify.llm(&model).user("hi").whole().await?.text(),
        "stream" => {
            let mut chunks = dify.llm(&model).user("hi").stream().await?;
            let mut parts = Vec::new();
            while let Some(chunk) = chunks.next().await {
                parts.push(chunk?.text());
            }
            parts.join("|")
        }
        "tool" => {
            let messages = dify.tool(ToolType::Builtin, "p", "t").parameter("x", 1).whole().await?;
            messages.iter().filter_map(|message| message.as_text()).collect()
        }
        "chat" => {
            let events = dify.app("app-1").chat("hello").whole().await?;
            format!("{events:?}")
        }
        "set" => dify.storage().set("key", "value").await.map(|()| "set".to_owned())?,
        "get" => format!("{:?}", dify.storage().get("key").await?),
        "upload" => {
            let file = dify.files().upload("ä b.pdf", "application/pdf", &b"bytes"[..]).await?;
            format!("{} {} {} {}", file.id, file.name, file.size, file.extension)
        }
        "moderation" => dify.moderation(&model, "text").await?.to_string(),
        _ => return Err(PluginError::bad_request("unknown deed")),
    })
}

fn caller() -> Host {
    Host::new(Plugin::new().tool_provider(Caller))
}

async fn deed(host: &Host, deed: &str) -> Result<String, Failure> {
    host.tool("back").parameter("deed", deed).await.map(|outputs| outputs.text().to_owned())
}

#[tokio::test]
async fn closures_answer_calls_back() {
    let host = caller()
        .on_llm(|call| match call.prompt().as_str() {
            "hi" => Answer::texts(["Hello", " you"]).every(Duration::from_millis(1)),
            other => Answer::error(format!("unexpected prompt {other}")),
        })
        .on_tool(|call| format!("{} with {}", call.text("tool"), call.request["tool_parameters"]))
        .on_app(|call| format!("{} to you", call.text("query")))
        .on(InvokeType::Moderation, |_| Answer::data(json!({"result": true})));
    for (name, expected) in [
        ("llm", "Hello you"),
        ("stream", "Hello| you"),
        ("tool", "t with {\"x\":1}"),
        ("moderation", "true"),
        ("get", "None"),
        ("set", "set"),
        ("get", "Some(b\"value\")"),
    ] {
        assert_eq!(deed(&host, name).await.unwrap(), expected, "{name}");
    }
    assert!(deed(&host, "chat").await.unwrap().contains("hello to you"));
    assert_eq!(host.stored("key").as_deref(), Some(&b"value"[..]));
    host.store("key", "other");
    assert_eq!(deed(&host, "get").await.unwrap(), "Some(b\"other\")");
    let types: Vec<&str> = host.calls().iter().map(|call| call.invoke_type.as_str()).collect();
    assert_eq!(types.len(), 9);
    assert_eq!(&types[..3], ["llm", "llm", "tool"]);
}

#[tokio::test]
async fn uploads_are_accepted() {
    let host = caller();
    assert_eq!(deed(&host, "upload").await.unwrap(), "file-1 ä b.pdf 5 pdf");
    assert_eq!(deed(&host, "upload").await.unwrap(), "file-2 ä b.pdf 5 pdf");
    let uploads = host.uploads();
    assert_eq!(
        (uploads.len(), uploads[0].mime_type.as_str(), &uploads[0].bytes[..]),
        (2, "application/pdf", &b"bytes"[..])
    );
    let host = caller().on_upload(|_| Answer::data(json!({"url": "/files/relative"})));
    assert!(deed(&host, "upload").await.unwrap_err().message.contains("FILES_URL"));
}

#[tokio::test]
async fn a_call_back_without_a_closure_names_the_closure() {
    let host = caller();
    for (name, closure) in
        [("llm", "`.on_llm("), ("tool", "`.on_tool("), ("chat", "`.on_app("), ("moderation", "`.on_moderation(")]
    {
        let failure = deed(&host, name).await.unwrap_err();
        assert!(failure.message.contains(closure), "{failure}");
    }
}

#[tokio::test]
async fn a_permission_that_dify_denies_fails_the_call() {
    let host = caller().on_llm(|_| "never called").deny(Permission::Llm).deny(Permission::Storage);
    for (name, permission) in [("llm", "`model.llm`"), ("set", "`storage`")] {
        let failure = deed(&host, name).await.unwrap_err();
        assert!(failure.message.contains(permission), "{failure}");
    }
    assert!(host.calls().is_empty());
}

#[tokio::test]
async fn declarations_and_code_that_differ_fail() {
    for (plugin, expected) in [
        (sample_plugins::agent(), "the plugin has code for strategies, but the manifest lists no file of them"),
        (Plugin::new(), "no code for"),
        (sample_plugins::weather().needs(Permission::Llm), "llm: true"),
        (sample_plugins::weather().tool_provider(Moved), "`place`"),
    ] {
        let failure = Host::load(weather_directory(), plugin).err().unwrap();
        assert!(failure.is_of_dify() && failure.message.contains(expected), "{failure}");
    }
    let failure = Host::load("/nowhere", Plugin::new()).err().unwrap();
    assert!(failure.message.contains("manifest.yaml"), "{failure}");
}

#[tokio::test]
async fn a_session_is_read_as_it_comes_and_can_be_cancelled() {
    let host = Host::new(sample_plugins::sources());
    let mut session = host.crawl("site").parameter("url", "u").start();
    let first = session.next().await.unwrap().unwrap();
    assert_eq!((session.id(), &first["result"]["status"]), ("session-1", &json!("processing")));
    let (items, ending) = session.finish().await;
    assert_eq!((items.len(), ending), (3, Ok(())));

    let host = caller().on_llm(|_| Answer::never());
    let mut session = host.tool("back").parameter("deed", "llm").start();
    while host.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    session.cancel();
    // A cancelled session has an end and no error.
    assert_eq!(session.next().await, None);
    assert_eq!(session.next().await, None);
}

#[tokio::test]
async fn any_request_can_be_made() {
    let host = Host::new(sample_plugins::weather());
    let request = json!({"type": "tool", "action": "invoke_tool", "provider": "weather", "tool": "nothing",
        "tool_parameters": {}, "credentials": {}});
    let failure = host.request(request).await.unwrap_err();
    assert_eq!(failure.message, "unknown tool `nothing`; this plugin has forecast, odd");
    let items = host.request(json!({"type": "tool", "action": "validate_tool_credentials", "provider": "weather",
        "credentials": {"api_key": "good-key"}}));
    assert_eq!(items.await.unwrap(), [json!({"result": true})]);
}
