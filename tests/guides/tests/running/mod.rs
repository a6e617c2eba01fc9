//! Runs the functions of the guides in a plugin, with a Dify that answers. What needs a server is compiled only.

use dify_plugin::bytes::Bytes;
use dify_plugin::http::{Request, Response};
use dify_plugin::prelude::*;
use dify_plugin::testing::{Answer, Host, Outputs};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::{
    calls_back_answer, calls_back_ask, calls_back_compare, calls_back_count, calls_back_models, calls_back_rate,
    calls_back_read_report, calls_back_route, calls_back_search, calls_back_translate, write_a_tool_report,
    write_an_endpoint_authorize,
};

struct Provider;

impl ToolProvider for Provider {
    const NAME: &'static str = "guides";

    fn tools(&self) -> Tools {
        Tools::new().tool(Run)
    }
}

/// Runs a function by its name.
struct Run;

#[derive(Deserialize, JsonSchema)]
struct Parameters {
    function: String,
}

impl Tool for Run {
    const NAME: &'static str = "run";
    type Parameters = Parameters;

    async fn invoke(&self, call: Call, parameters: Parameters, out: &mut Messages) -> Result<(), PluginError> {
        let model = ModelConfig::new("acme/models/acme", "small");
        let text = match parameters.function.as_str() {
            "translate" => calls_back_translate::translate(&call, &model, "Hello").await?,
            "explain" => return calls_back_translate::explain(&call, &model, "rain", out).await,
            "rate" => return out.json(calls_back_rate::rate(&call, &model, "Great!").await?).await,
            "models" => return calls_back_models::models(&call, Bytes::from_static(b"audio")).await,
            "search" => return calls_back_search::search(&call, "Riga", out).await,
            "ask" => return calls_back_ask::ask(&call, "chat", "workflow").await,
            "read_report" => calls_back_read_report::read_report(&call, "chat", b"PDF".to_vec()).await?,
            "route" => return calls_back_route::route(&call, &model, "Rain in Riga").await,
            "count" => calls_back_count::count(&call).await?.to_string(),
            "compare" => calls_back_compare::compare(&call, &[model.clone(), model], "Why?").await?.join(" "),
            "answer" => {
                let busy = ModelConfig::new("acme/models/acme", "busy");
                calls_back_answer::answer(&call, &busy, &model, "Why?").await?
            }
            "report" => return write_a_tool_report::report(out, b"a,b\n").await,
            "essay" => return write_a_tool_report::essay(out).await,
            other => panic!("{other}"),
        };
        out.text(text).await
    }
}

/// Responds to those who know the token.
struct Gate;

impl Endpoint for Gate {
    async fn handle(&self, call: Call, request: Request<Bytes>) -> Result<Response<Body>, PluginError> {
        write_an_endpoint_authorize::authorize(&call, &request)?;
        Ok(Response::new(Body::from("open")))
    }
}

fn host() -> Host {
    Host::new(Plugin::new().tool_provider(Provider).endpoint(Gate))
        .on_llm(|call| match call.text("model") {
            "busy" => Answer::error("invoke llm model failed: rate limit"),
            _ => Answer::texts([call.prompt(), "!".to_owned()]),
        })
        .on_structured_output(|_| r#"{"stars": 5}"#)
        .on_embedding(|_| Answer::data(json!({"model": "m", "embeddings": [[0.1], [0.2]], "usage": {"tokens": 2}})))
        .on_rerank(|_| Answer::data(json!({"model": "m", "docs": [{"index": 0, "text": "Riga", "score": 0.9}]})))
        .on_tts(|_| "speech")
        .on_speech2text(|_| "Good morning")
        .on_moderation(|_| Answer::data(json!({"result": false})))
        .on_tool(|call| format!("found {}", call.request["tool_parameters"]["query"]))
        .on_app(|call| match call.text("app_id") {
            "workflow" => Answer::data(json!({"data": {"outputs": {"text": "done"}}})),
            _ => Answer::texts(["Sunny", "."]),
        })
        .on_parameter_extractor(|_| Answer::data(json!({"outputs": {"city": "Riga"}})))
        .on_question_classifier(|_| Answer::data(json!({"outputs": {"class_name": "weather"}})))
}

async fn run(host: &Host, function: &str) -> Outputs {
    let outputs = host.tool("run").parameter("function", function).user("u").await;
    outputs.unwrap_or_else(|failure| panic!("{function}: {failure}"))
}

#[tokio::test]
async fn functions_of_the_guides_do_what_the_guides_say() {
    let host = host();
    for (function, text) in [
        ("translate", "Hello!"),
        ("explain", "rain!"),
        ("search", "found \"Riga\""),
        ("count", "1"),
        ("count", "2"),
        ("compare", "Why?! Why?!"),
        ("answer", "Why?!"),
    ] {
        assert_eq!(run(&host, function).await.text(), text, "{function}");
    }
    assert_eq!(run(&host, "rate").await.json(), [json!({"stars": 5})]);
    assert_eq!(host.stored("count-u").as_deref(), Some(&b"2"[..]));
    assert_eq!(run(&host, "read_report").await.text(), "Sunny.");
    let [upload] = &host.uploads()[..] else { panic!("{:?}", host.uploads()) };
    assert_eq!((upload.name.as_deref(), &upload.bytes[..]), (Some("report.pdf"), &b"PDF"[..]));
    for function in ["models", "ask", "route"] {
        run(&host, function).await;
    }
    let report = run(&host, "report").await;
    let files: Vec<_> = report.files().iter().map(|file| (file.name.as_deref(), &*file.mime_type)).collect();
    assert_eq!(files, [(Some("report.csv"), "text/csv")]);
    assert_eq!(run(&host, "essay").await.variable("draft"), Some(&json!("It was sunny. It stayed so.")));
}

#[tokio::test]
async fn only_the_token_of_the_setting_is_accepted() {
    for (header, status) in [
        ("Bearer secret", 200),
        ("Bearer secre", 401),
        ("Bearer secrets", 401),
        ("Bearer ", 401),
        ("bearer secret", 401),
        ("secret", 401),
        ("", 401),
    ] {
        let request = Request::get("/").header("authorization", header).body("").unwrap();
        let response = host().endpoint(request).setting("token", "secret").await.unwrap();
        assert_eq!(response.status(), status, "{header}");
    }
}
