//! Tools of an agent whose calls are answered by a function. Rounds, with their log, are tested by the plugin `agent`.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};

use super::*;
use crate::plugin::dify::{Backwards, Dify, DifyError, DifyFacts, Invoke, Responses};
use crate::plugin::{ModelSelector, SelectedTool};
use crate::protocol::{Payload, PromptMessage, ToolCall};

/// Answers a call with one response, an error, or never.
struct Answering(fn(&Value) -> Option<Result<Value, &'static str>>);

impl Backwards for Answering {
    fn call(&self, invoke: Invoke) -> BoxFuture<'_, Result<Responses, DifyError>> {
        let request: Value = serde_json::from_str(invoke.request.get()).unwrap();
        let responses = match (self.0)(&request) {
            None => stream::pending().boxed(),
            Some(Err(text)) => stream::iter([Err(DifyError::of_text(text))]).boxed(),
            Some(Ok(response)) => stream::iter([Ok(payload(&response))]).boxed(),
        };
        async move { Ok(responses) }.boxed()
    }
}

fn payload(value: &Value) -> Payload {
    let line = value.to_string().into_bytes();
    let place = 0..line.len();
    Payload::new(line, place)
}

fn dify(answer: fn(&Value) -> Option<Result<Value, &'static str>>) -> Dify {
    Dify::new(Arc::new(Answering(answer)), DifyFacts::default())
}

fn tool(name: &str, provider: &str) -> SelectedTool {
    serde_json::from_value(json!({"identity": {"name": name, "provider": provider}, "provider_type": "builtin",
        "runtime_parameters": {"fixed": 1}}))
    .unwrap()
}

/// Answers with the request itself.
fn echo(request: &Value) -> Option<Result<Value, &'static str>> {
    Some(Ok(json!({"type": "json", "message": {"json_object": request}, "meta": null})))
}

#[test]
fn every_tool_has_a_name_of_its_own() {
    let selected = || ["a", "b", "a", "a_2", "a"].iter().map(|name| tool(name, "p")).collect();
    let names = |set: &ToolSet| set.names().map(str::to_owned).collect::<Vec<_>>();
    let all = ToolSet::new(&dify(echo), selected());
    assert_eq!(names(&all), ["a", "b", "a_2", "a_2_2", "a_3"]);
    assert_eq!(all.prompt_tools().len(), 5);
    let only = |allowed: &[&str]| {
        let allowed: Vec<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        names(&ToolSet::new(&dify(echo), selected()).only(&allowed))
    };
    assert_eq!(only(&["b"]), ["b"]);
    assert_eq!(only(&["a_3", "b"]), ["b", "a_3"]);
    assert_eq!(only(&["c"]).len(), 0);
    assert_eq!(only(&[]).len(), 5);
}

#[tokio::test]
async fn a_call_has_the_models_arguments_and_the_users_values() {
    let tools = ToolSet::new(&dify(echo), vec![tool("a", "p"), tool("a", "q")]);
    let call = ToolCall::function("1", "a_2", r#"{"query": "x", "fixed": 2}"#);
    let result = tools.call(&call).await;
    let request: Value = serde_json::from_str(&result.text).unwrap();
    assert_eq!((&request["provider"], &request["tool"]), (&json!("q"), &json!("a")));
    assert_eq!(request["tool_parameters"], json!({"query": "x", "fixed": 1}));
    assert_eq!(json!(result.arguments), request["tool_parameters"]);
    assert!(!result.is_error);
    assert_eq!(result.message().tool_call_id.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_text_for_the_model() {
    let failing = |request: &Value| match request["tool_parameters"]["how"].as_str() {
        Some("error") => Some(Err("the quota is used up")),
        _ => None,
    };
    let mut tools = ToolSet::new(&dify(failing), vec![tool("a", "p")]);
    tools.set_timeout(std::time::Duration::from_secs(7));
    let rows = [
        ("b", "{}", "There is no tool `b`. The tools are `a`."),
        ("a", "{", "The arguments for `a` are not a JSON object: the text ends too early. Call it again."),
        ("a", "[]", "The arguments for `a` are not a JSON object: found an array. Call it again."),
        ("a", r#"{"how": "error"}"#, "The tool `a` failed: the quota is used up"),
        ("a", r#"{"how": "never"}"#, "The tool `a` did not finish within 7 s, and was given up."),
        ("a", "null", "The tool `a` did not finish within 7 s, and was given up."),
    ];
    for (name, arguments, expected) in rows {
        let result = tools.call(&ToolCall::function("1", name, arguments)).await;
        assert_eq!((result.text.as_str(), result.is_error), (expected, true));
    }
    assert_eq!(
        ToolSet::new(&dify(echo), Vec::new()).call(&ToolCall::function("1", "b", "")).await.text,
        "There is no tool `b`, and no other tool."
    );
}

#[tokio::test]
async fn a_model_is_called_as_the_user_selected_it() {
    let answer =
        |request: &Value| Some(Ok(json!({"model": "m", "delta": {"message": {"content": request.to_string()}}})));
    let selector = |features: Value, max_tokens: u64| -> ModelSelector {
        serde_json::from_value(
            json!({"provider": "p", "model": "m", "completion_params": {"stop": "END", "max_tokens": max_tokens},
            "entity": {"features": features, "model_properties": {"context_size": 100}}}),
        )
        .unwrap()
    };
    let rows = [
        (json!(["stream-tool-call"]), 10, true, json!({"max_tokens": 10})),
        (json!([]), 90, false, json!({"max_tokens": 70})),
        (json!([]), 100, false, json!({"max_tokens": 100})),
    ];
    for (features, max_tokens, is_streamed, parameters) in rows {
        let model = Model::new(&dify(answer), selector(features, max_tokens)).stop("Observation:").stop("END");
        let offered = vec![crate::protocol::Tool::new("a", "", Map::new())];
        let prompt = [PromptMessage::user("x".repeat(90))];
        let text = model.stream(&prompt, offered).await.unwrap().whole().await.unwrap().text();
        let request: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(request["stop"], json!(["END", "Observation:"]));
        assert_eq!((&request["stream"], &request["completion_params"]), (&json!(is_streamed), &parameters));
        let text = model.stream(&prompt, Vec::new()).await.unwrap().whole().await.unwrap().text();
        assert!(text.contains("\"stream\":true"), "{text}");
    }
}
