//! Results are delivered completely: before errors, in lines that the daemon accepts, and with error types that Dify
//! knows.

use std::sync::Arc;
use std::time::Duration;

use crate::support::harness;
use dify_plugin::declare::{ModelSchema, ProviderDeclaration};
use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::model::{CallContext, Chunks, Provider, ResultFuture};
use dify_plugin::protocol::{
    ContentPart, FinishReason, LlmDelta, LlmRequest, LlmUsage, MediaPart, ModelRequest, ModelType, ToolCall,
};
use dify_plugin::runtime::ServeOptions;
use dify_plugin::transport::line_queue::line_below;
use futures_util::{StreamExt, stream};
use harness::{Outcome, Plugin};
use serde_json::{Value, json};

/// A fifth of the line limit of these daemons. The limit is low, so that long lines are generated quickly.
const FIFTH: usize = 100 * 1024;

/// Maximum line length in bytes for these daemons.
const MAX_LINE_BYTES: usize = line_below(5 * FIFTH);

/// Error types that Dify's API handles.
const KNOWN: [&str; 7] = [
    "InvokeConnectionError",
    "InvokeServerUnavailableError",
    "InvokeRateLimitError",
    "InvokeAuthorizationError",
    "InvokeBadRequestError",
    "CredentialsValidateFailedError",
    "PluginLLMPollingUnsupportedError",
];

type Script = Arc<dyn Fn() -> Vec<Result<LlmDelta, InvokeError>> + Send + Sync>;

/// Provider that returns the given deltas.
struct Scripted(Script);

impl Provider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn invoke_llm(&self, _context: CallContext, request: LlmRequest) -> Chunks<LlmDelta> {
        if request.prompt_messages.last().is_some_and(|message| message.content.text() == "flood") {
            return stream::repeat_with(|| Ok(LlmDelta::text("x".repeat(1000)))).boxed();
        }
        let scripted = stream::iter((self.0)());
        match request.prompt_messages.last().map(|message| message.content.text()).as_deref() {
            Some("panic") => scripted.chain(stream::once(async { panic!("by script") })).boxed(),
            _ => scripted.boxed(),
        }
    }

    fn model_schema(&self, _context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        Box::pin(async move { Ok(ModelSchema::customizable(request.target.model, request.model_type)) })
    }
}

fn plugin(script: impl Fn() -> Vec<Result<LlmDelta, InvokeError>> + Send + Sync + 'static) -> Plugin {
    let declaration: ProviderDeclaration = serde_json::from_value(json!({
        "provider": "scripted", "label": {"en_US": "Scripted"}, "supported_model_types": ["llm"],
        "configurate_methods": ["customizable-model"],
    }))
    .unwrap();
    let models = vec![ModelSchema::customizable("m", ModelType::Llm)];
    let options = ServeOptions::default().with_max_line_bytes(MAX_LINE_BYTES);
    Plugin::of(vec![(declaration, models, Arc::new(Scripted(Arc::new(script))))]).with_options(options)
}

fn llm(prompt: &str, stream: bool) -> Value {
    json!({"action": "invoke_llm", "provider": "scripted", "model": "m", "model_type": "llm", "credentials": {},
        "model_parameters": {}, "prompt_messages": [{"role": "user", "content": prompt}], "stream": stream})
}

fn image(bytes: usize) -> LlmDelta {
    let media = MediaPart::base64("A".repeat(bytes)).with_mime_type("image/png").with_detail("high");
    LlmDelta::parts(vec![ContentPart::Image(media)])
}

fn last() -> LlmDelta {
    let mut usage = LlmUsage::default();
    (usage.prompt_tokens, usage.currency) = (3, "USD".to_owned());
    LlmDelta::end(FinishReason::Stop, usage)
}

/// Returns all text, in either form, and the number of images.
fn content_of(outcome: &Outcome) -> (String, usize) {
    let (mut text, mut images) = (String::new(), 0);
    for item in &outcome.items {
        match &item["delta"]["message"]["content"] {
            Value::String(more) => text.push_str(more),
            Value::Array(parts) => parts.iter().for_each(|part| match part["type"].as_str() {
                Some("text") => text.push_str(part["data"].as_str().unwrap()),
                _ => images += 1,
            }),
            other => panic!("{other}"),
        }
    }
    (text, images)
}

fn fits(outcome: &Outcome, limit: usize) {
    for item in &outcome.items {
        assert!(item.to_string().len() <= limit, "a line of {} bytes", item.to_string().len());
    }
}

#[tokio::test]
async fn delivers_text_before_an_error_to_a_slow_daemon() {
    let parts = || (0..10).map(|part| Ok(LlmDelta::text(format!("part{part} "))));
    for prompt in ["fail", "panic"] {
        let plugin = plugin(move || match prompt {
            "fail" => parts().chain([Err(InvokeError::connection("cut"))]).collect(),
            _ => parts().collect(),
        });
        let mut connection = plugin.connect();
        // Fills the pipe and the queue, which are not read for a while.
        connection.request("flood", llm("flood", true)).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        connection.request("a", llm(prompt, true)).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let outcome = connection.outcome("a").await;
        assert_eq!(content_of(&outcome).0, "part0 part1 part2 part3 part4 part5 part6 part7 part8 part9 ", "{prompt}");
        assert!(outcome.error.is_some(), "{prompt}");
    }
}

#[tokio::test]
async fn splits_responses_of_any_size_into_lines() {
    type Case = (&'static str, fn() -> Vec<LlmDelta>, usize, usize, usize);
    let cases: [Case; 6] = [
        ("two images", || vec![image(3 * FIFTH), image(3 * FIFTH)], 0, 2, 2),
        (
            "text around images",
            || vec![LlmDelta::text("a"), image(4 * FIFTH), LlmDelta::text("b"), image(4 * FIFTH)],
            2,
            2,
            2,
        ),
        (
            "control characters",
            || vec![LlmDelta::text("\u{1}".repeat(FIFTH)), LlmDelta::text("\u{1}".repeat(FIFTH))],
            2 * FIFTH,
            0,
            4,
        ),
        ("one long text", || vec![LlmDelta::text("\"".repeat(6 * FIFTH))], 6 * FIFTH, 0, 3),
        ("many words", || (0..20_000).map(|_| LlmDelta::text("word ")).collect(), 100_000, 0, 1),
        (
            "words after an image",
            || [image(FIFTH)].into_iter().chain((0..8000).map(|_| LlmDelta::text("w "))).collect(),
            16_000,
            1,
            1,
        ),
    ];
    for (name, deltas, bytes, images, items) in cases {
        for stream in [true, false] {
            let plugin = plugin(move || deltas().into_iter().chain([last()]).map(Ok).collect());
            let outcome = plugin.call(llm("go", stream)).await;
            assert!(outcome.error.is_none(), "{name}: {:?}", outcome.error);
            let (text, seen) = content_of(&outcome);
            assert_eq!((text.len(), seen), (bytes, images), "{name}");
            assert!(stream || outcome.items.len() == items, "{name}: {} items", outcome.items.len());
            fits(&outcome, MAX_LINE_BYTES);
            assert_eq!(outcome.usage()["prompt_tokens"], 3, "{name}");
            let indexes: Vec<u64> = outcome.items.iter().map(|item| item["delta"]["index"].as_u64().unwrap()).collect();
            assert_eq!(indexes, (0..indexes.len() as u64).collect::<Vec<_>>(), "{name}");
        }
    }
}

#[tokio::test]
async fn an_oversize_image_does_not_affect_the_rest_or_the_usage() {
    for stream in [true, false] {
        let plugin = plugin(|| {
            [LlmDelta::text("before "), image(6 * FIFTH), image(FIFTH), LlmDelta::text("after"), last()]
                .map(Ok)
                .to_vec()
        });
        let outcome = plugin.call(llm("go", stream)).await;
        assert_eq!(content_of(&outcome), ("before after".to_owned(), 1));
        assert_eq!(outcome.items.iter().filter(|item| !item["delta"]["usage"].is_null()).count(), 1);
        let (kind, message) = outcome.failure();
        assert_eq!(kind, "InvokeBadRequestError");
        for word in ["image", "`resolution`", "PLUGIN_STDIO_MAX_BUFFER_SIZE"] {
            assert!(message.contains(word), "{message}");
        }
        let wide = ServeOptions::default().with_max_line_bytes(20 * FIFTH);
        let outcome = plugin.with_options(wide).call(llm("go", stream)).await;
        assert!(outcome.error.is_none());
        assert_eq!(content_of(&outcome), ("before after".to_owned(), 2));
    }
}

#[tokio::test]
async fn respects_a_low_line_limit() {
    let limit = 32 * 1024;
    for stream in [true, false] {
        let plugin = plugin(|| vec![Ok(LlmDelta::text("ä".repeat(FIFTH))), Ok(last())]);
        let options = ServeOptions::default().with_max_line_bytes(limit);
        let outcome = plugin.with_options(options).call(llm("go", stream)).await;
        assert_eq!(content_of(&outcome).0.len(), 2 * FIFTH);
        fits(&outcome, limit);
    }
}

#[tokio::test]
async fn oversize_private_data_and_metadata_never_fail_the_response() {
    let long = || "s".repeat(6 * FIFTH);
    type Change = fn(&mut LlmDelta, String);
    let changes: [Change; 4] = [
        |delta, long| delta.opaque_body = Some(json!({"signature": long})),
        |delta, long| delta.system_fingerprint = Some(long),
        |delta, long| delta.finish_reason = Some(FinishReason::Other(long)),
        |delta, long| {
            delta.tool_calls = vec![ToolCall::function("id", "f", format!("{{\"a\":\"{long}\"}}"))];
            delta.opaque_body = Some(json!(long));
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        for stream in [true, false] {
            let plugin = plugin(move || {
                let mut end = last();
                change(&mut end, long());
                vec![Ok(LlmDelta::text("text")), Ok(end)]
            });
            let outcome = plugin.call(llm("go", stream)).await;
            assert!(outcome.error.is_none(), "{number}: {:?}", outcome.error);
            assert_eq!(content_of(&outcome).0, "text", "{number}");
            assert_eq!(outcome.usage()["prompt_tokens"], 3, "{number}");
            fits(&outcome, MAX_LINE_BYTES);
            let arguments: String = outcome
                .tool_calls()
                .iter()
                .map(|call| call["function"]["arguments"].as_str().unwrap().to_owned())
                .collect();
            assert!(arguments.is_empty() || arguments.len() == 6 * FIFTH + 8, "{number}");
        }
    }
}

#[tokio::test]
async fn a_blocking_response_buffers_at_most_one_line() {
    // The response is infinite and continues only while the daemon reads.
    let plugin = plugin(|| (0..60).map(|_| Ok(LlmDelta::text("x".repeat(FIFTH)))).collect());
    let mut connection = plugin.connect();
    connection.request("a", llm("flood", false)).await;
    for _ in 0..20 {
        let line = loop {
            let line = connection.next().await.unwrap();
            if line["event"] == "session" {
                break line;
            }
        };
        assert_eq!(line["data"]["type"], "stream");
    }
}

#[tokio::test]
async fn limits_the_length_of_every_error_line() {
    let long = || "ä\u{1}".repeat(2 * FIFTH);
    let mut full =
        InvokeError::bad_request(format!("beginning {}", long())).with_code(long()).with_hint("The suggested fix.");
    full.request_id = Some(long());
    let errors = [full, InvokeError::rate_limit(long()).with_hint(long())];
    for error in errors {
        let plugin = plugin(move || vec![Err(error.clone())]);
        let outcome = plugin.call(llm("go", true)).await;
        let payload = outcome.error.unwrap();
        assert!(payload.to_string().len() < 64 * 1024, "{} bytes", payload.to_string().len());
        let message = payload["message"].as_str().unwrap();
        assert!(message.contains("more bytes are left out"), "{message}");
        assert_eq!(message, payload["args"]["description"].as_str().unwrap());
        if message.contains("beginning") {
            assert!(message.ends_with("The suggested fix."), "the hint follows a truncated text: {message}");
        }
    }
    let plugin = plugin(Vec::new);
    for (field, value) in [("provider", long()), ("action", long()), ("type", long())] {
        let mut request = llm("go", true);
        request[field] = json!(value);
        let error = plugin.call(request).await.error.unwrap();
        assert!(error.to_string().len() < 64 * 1024, "{field}: {} bytes", error.to_string().len());
    }
    // Every item contains the model name, so no item fits.
    let mut request = llm("go", true);
    request["model"] = json!(long());
    assert!(plugin.call(request).await.items.is_empty());
}

#[test]
fn every_error_type_is_known_to_dify() {
    for kind in [
        ErrorKind::Connection,
        ErrorKind::ServerUnavailable,
        ErrorKind::RateLimit,
        ErrorKind::Authorization,
        ErrorKind::BadRequest,
        ErrorKind::CredentialsValidateFailed,
        ErrorKind::PollingUnsupported,
        ErrorKind::Internal,
    ] {
        assert!(KNOWN.contains(&kind.error_type()), "{kind:?}: {}", kind.error_type());
    }
}
