//! What Dify loses without a word, one test for each: a plugin of this library loses none of it, under the fault that causes the
//! loss. What each fault does to a plugin that breaks the rule is in `tests/integration/host_faults.rs`.

use std::time::Duration;

use dify_plugin::prelude::*;
use dify_plugin::testing::{Answer, Failure, Host, Outputs};
use http::Request;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

/// Between two items that a slow Dify reads.
const SLOW: Duration = Duration::from_millis(30);

#[derive(Deserialize, JsonSchema)]
struct Deed {
    deed: String,
}

struct Provider;

impl ToolProvider for Provider {
    const NAME: &'static str = "sends";

    fn tools(&self) -> Tools {
        Tools::new().tool(Sends)
    }
}

/// Sends what its parameter names.
struct Sends;

impl Tool for Sends {
    const NAME: &'static str = "send";
    type Parameters = Deed;

    async fn invoke(&self, call: Call, deed: Deed, out: &mut Messages) -> Result<(), PluginError> {
        send(&deed.deed, &call, out).await
    }
}

/// The same as an agent strategy.
struct Agent;

impl AgentStrategy for Agent {
    const NAME: &'static str = "send";
    type Parameters = Deed;

    async fn run(&self, call: Call, deed: Deed, out: &mut AgentMessages) -> Result<AgentUsage, PluginError> {
        let round = out.log("ROUND 1").start().await?;
        send(&deed.deed, &call, out).await?;
        round.finish(json!({})).await?;
        Ok(AgentUsage::new(7))
    }
}

async fn send(deed: &str, call: &Call, out: &mut Messages) -> Result<(), PluginError> {
    match deed {
        "tokens" => {
            for number in 0..3000 {
                out.text(format!("{number} ")).await?;
            }
            Ok(())
        }
        "variable" => {
            let mut writer = out.stream_variable("story")?;
            for number in 0..3000 {
                writer.write(format!("{number} ")).await?;
            }
            Ok(())
        }
        "objects" => {
            for number in 0..500 {
                out.json(json!({"number": number})).await?;
            }
            Ok(())
        }
        "file" => out.blob(bytes(3_000_000), BlobMeta::new("text/plain").with_filename("a.txt")).await,
        "empty" => out.blob(b"", BlobMeta::new("text/plain")).await,
        "json" => out.json(json!({"execution_metadata": {"total_tokens": 1}})).await,
        "long text" => out.text("x".repeat(6_000_000)).await,
        "long json" => out.json(json!({"x": "y".repeat(6_000_000)})).await,
        "long prompt" => {
            let model = ModelConfig::new("acme/models/acme", "acme-1");
            call.dify.llm(&model).user("x".repeat(6_000_000)).whole().await.map(drop).map_err(PluginError::from)
        }
        "large value" => Ok(call.dify.storage().set("key", vec![0; 3_000_000]).await?),
        "chunks" => {
            let model = ModelConfig::new("acme/models/acme", "acme-1");
            let mut chunks = call.dify.llm(&model).user("hi").stream().await?;
            // The plugin works on something else while the chunks come.
            sleep(Duration::from_secs(10)).await;
            while let Some(chunk) = chunks.next().await {
                out.text(chunk?.text()).await?;
            }
            Ok(())
        }
        name @ ("text" | "json " | "files") => out.variable(name.trim(), 1).await,
        "forward" => {
            let message = json!({"type": "file", "message": {}, "meta": {"file": {}}});
            let message: Message = serde_json::from_value(message).unwrap();
            out.forward(message).await
        }
        _ => Err(PluginError::bad_request("unknown deed")),
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|number| (number % 251) as u8).collect()
}

struct Hook;

impl Endpoint for Hook {
    async fn handle(&self, _: Call, request: http::Request<bytes::Bytes>) -> Result<http::Response<Body>, PluginError> {
        let (parts, pause) = match request.uri().path() {
            "/burst" => (200, 0),
            "/steady" => (400, 5),
            "/whole" => return Ok(http::Response::new(Body::from("whole"))),
            "/length" => return Ok(http::Response::new(Body::from(request.body().len().to_string()))),
            // The first part comes long before the rest, and the rest all together with the end.
            _ => (3, 0),
        };
        Ok(http::Response::new(Body::stream(async_stream::stream! {
            yield Ok(String::from("first "));
            if parts == 3 {
                sleep(Duration::from_millis(40)).await;
            }
            for number in 0..parts {
                yield Ok(format!("{number} "));
                sleep(Duration::from_millis(pause)).await;
            }
        })))
    }
}

fn plugin() -> Host {
    Host::new(Plugin::new().tool_provider(Provider).endpoint(Hook))
}

fn agents() -> Host {
    Host::new(Plugin::new().agent_strategies(AgentStrategies::new("sends").strategy(Agent)))
}

fn numbers(count: usize) -> String {
    (0..count).map(|number| format!("{number} ")).collect()
}

async fn tool_failure(host: &Host, deed: &str) -> Failure {
    host.tool("send").parameter("deed", deed).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_an_endpoint_body_when_the_end_comes_with_its_first_part() {
    let host = plugin().endpoint_race();
    for (path, expected) in [
        ("/burst", format!("first {}", numbers(200))),
        ("/late", "first 0 1 2 ".to_owned()),
        ("/steady", format!("first {}", numbers(400))),
        ("/whole", "whole".to_owned()),
    ] {
        let response = host.endpoint(Request::get(path).body("").unwrap()).await.unwrap();
        assert_eq!(response.body(), expected.as_bytes(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn parts_of_an_endpoint_body_beyond_a_queue_of_128() {
    let host = plugin().endpoint_race().slow_reader(SLOW);
    for (path, count) in [("/burst", 200), ("/steady", 400)] {
        let response = host.endpoint(Request::get(path).body("").unwrap()).await.unwrap();
        assert_eq!(response.body(), format!("first {}", numbers(count)).as_bytes(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_an_agent_beyond_a_queue_of_128() {
    let host = agents().slow_reader(Duration::from_millis(1));
    for (deed, check) in [
        ("tokens", Box::new(|outputs: &Outputs| outputs.text() == numbers(3000)) as Box<dyn Fn(&Outputs) -> bool>),
        ("variable", Box::new(|outputs| outputs.variable("story") == Some(&Value::from(numbers(3000))))),
        ("objects", Box::new(|outputs| outputs.json().len() == 500)),
        ("file", Box::new(|outputs| outputs.files()[0].bytes == bytes(3_000_000))),
    ] {
        let outputs = host.agent("send").parameter("deed", deed).await.unwrap();
        assert!(check(&outputs), "{deed}");
        assert_eq!(outputs.usage().unwrap()["total_tokens"], 7, "{deed}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_usage_of_an_agent_when_another_object_follows_it() {
    let outputs = agents().agent("send").parameter("deed", "json").await.unwrap();
    assert_eq!(outputs.usage().unwrap()["total_tokens"], 7);
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_tool_while_dify_reads_slowly() {
    let host = plugin().slow_reader(Duration::from_millis(1));
    let outputs = host.tool("send").parameter("deed", "tokens").await.unwrap();
    assert_eq!(outputs.text(), numbers(3000));
    // Joined, so that they do not fill the queue that all sessions of the process wait for.
    assert!(outputs.messages().len() < 100, "{}", outputs.messages().len());
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_the_last_chunk_of_a_file() {
    for (deed, length) in [("file", 3_000_000), ("empty", 0)] {
        let outputs = plugin().tool("send").parameter("deed", deed).await.unwrap();
        assert_eq!(outputs.files()[0].bytes, bytes(length), "{deed}");
        let outputs = agents().agent("send").parameter("deed", deed).await.unwrap();
        assert_eq!(outputs.files()[0].bytes, bytes(length), "{deed}");
    }
}

#[tokio::test(start_paused = true)]
async fn responses_of_dify_while_the_plugin_reads_none() {
    let host = plugin().on_llm(|_| Answer::texts((0..5000).map(|number| format!("{number} "))));
    let outputs = host.tool("send").parameter("deed", "chunks").await.unwrap();
    assert_eq!(outputs.text(), numbers(5000));
}

#[tokio::test(start_paused = true)]
async fn the_process_by_a_line_above_5_mib() {
    let host = plugin().on_llm(|_| "never called");
    assert_eq!(host.tool("send").parameter("deed", "long text").await.unwrap().text().len(), 6_000_000);
    for (deed, expected) in
        [("long json", "PLUGIN_RUNTIME_MAX_BUFFER_SIZE"), ("long prompt", "too large"), ("large value", "too large")]
    {
        let failure = tool_failure(&host, deed).await;
        assert!(!failure.is_of_dify() && failure.message.contains(expected), "{failure}");
    }
    assert!(host.calls().is_empty() && !host.is_closed());
}

#[tokio::test(start_paused = true)]
async fn outputs_that_a_variable_would_replace() {
    let host = plugin();
    for name in ["text", "json ", "files"] {
        let failure = tool_failure(&host, name).await;
        assert!(failure.message.contains("output of every node"), "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_type_file() {
    let failure = tool_failure(&plugin(), "forward").await;
    assert!(failure.message.contains("`file`") && !failure.is_of_dify(), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_request_body_above_10_mib() {
    let request = Request::post("/length").body(vec![b'x'; 10 * 1024 * 1024]).unwrap();
    // The daemon has dropped what came after.
    assert_eq!(plugin().endpoint(request).await.unwrap().status().as_u16(), 413);
}
