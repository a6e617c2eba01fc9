//! Properties of whole conversations: whatever a model answers, in whatever pieces, the answer is the same, Dify can hand
//! it back, and the next request says the same.

use std::path::Path;
use std::time::Duration;

use crate::support::{harness, scripted};
use dify_plugin::declare;
use dify_plugin_runtime::providers;
use harness::{Outcome, Plugin};
use proptest::prelude::*;
use scripted::{Scripted, Step, event_stream};
use serde_json::{Map, Value, json};

/// What a model says: thoughts first, then texts and calls in any order.
#[derive(Clone, Debug)]
enum Part {
    Text(String),
    /// Of letters that no text has.
    Thought(String),
    Call {
        name: String,
        arguments: Map<String, Value>,
        signature: Option<String>,
    },
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1.0e6..1.0e6).prop_map(|number: f64| json!((number * 8.0).round() / 8.0)),
        "[a-zß🌍\"\\\\/\n\u{1}{}\\[\\] ]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-zé\" ]{1,6}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_part() -> impl Strategy<Value = Part> {
    let arguments = prop::collection::btree_map("[a-z_]{1,6}", value(), 0..4);
    let call = ("tool_[abc]", arguments, prop::option::of("[A-Za-z0-9+/]{8,24}"));
    prop_oneof![
        3 => "[a-zA-ZäßΩ世界🌍\"\\\\{}:,.\n ]{1,40}".prop_map(Part::Text),
        2 => call.prop_map(|(name, arguments, signature)| Part::Call {
            name, arguments: arguments.into_iter().collect(), signature
        }),
    ]
}

/// A turn of a conversation: its parts, how texts are cut into events and bytes into pieces.
#[derive(Clone, Debug)]
struct Turn {
    parts: Vec<Part>,
    letters: usize,
    cuts: Vec<usize>,
    /// Whether the host keeps the private JSON of a message.
    keeps_opaque: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    let thought = prop::option::of("[♠♥ ]{1,9}♣".prop_map(Part::Thought));
    let cuts = prop::collection::vec(0..4000_usize, 0..5);
    (thought, prop::collection::vec(any_part(), 1..5), 1..9_usize, cuts, any::<bool>()).prop_map(
        |(thought, parts, letters, cuts, keeps_opaque)| {
            let parts = thought.into_iter().chain(parts).collect();
            Turn { parts, letters, cuts, keeps_opaque }
        },
    )
}

impl Turn {
    fn text(&self) -> String {
        self.parts
            .iter()
            .filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None })
            .collect()
    }

    /// Name, arguments and signature of each call.
    fn calls(&self) -> Vec<(String, Value, Option<String>)> {
        let call = |part: &Part| match part {
            Part::Text(_) | Part::Thought(_) => None,
            Part::Call { name, arguments, signature } => {
                Some((name.clone(), Value::Object(arguments.clone()), signature.clone()))
            }
        };
        self.parts.iter().filter_map(call).collect()
    }

    /// A text in fragments of some letters.
    fn fragments(&self, text: &str) -> Vec<String> {
        let letters: Vec<char> = text.chars().collect();
        letters.chunks(self.letters).map(|piece| piece.iter().collect()).collect()
    }

    /// Events as a stream whose bytes are cut.
    fn script(&self, events: &[Value]) -> Vec<Step> {
        self.pieces(&events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>())
    }

    /// A stream whose bytes are cut.
    fn pieces(&self, body: &str) -> Vec<Step> {
        let mut cuts: Vec<usize> = self.cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let mut steps = vec![event_stream()];
        for pair in cuts.windows(2) {
            steps.push(Step::Send(body.as_bytes()[pair[0]..pair[1]].to_vec()));
            // So that pieces arrive as such.
            steps.push(Step::Pause(Duration::from_millis(2)));
        }
        steps
    }

    /// The message that Dify keeps of an answer, and the results of its calls.
    fn history(&self, outcome: &Outcome) -> Vec<Value> {
        let mut calls: Vec<Value> = Vec::new();
        for call in outcome.tool_calls() {
            // Fragments of a call carry its id once.
            match calls.iter_mut().find(|known| known["id"] == call["id"] || call["id"] == "") {
                Some(known) => {
                    let arguments = format!(
                        "{}{}",
                        known["function"]["arguments"].as_str().unwrap(),
                        call["function"]["arguments"].as_str().unwrap()
                    );
                    known["function"]["arguments"] = json!(arguments);
                }
                None => calls.push(call),
            }
        }
        let opaque =
            outcome.items.iter().map(|item| &item["delta"]["message"]["opaque_body"]).rfind(|body| !body.is_null());
        let opaque = opaque.filter(|_| self.keeps_opaque).cloned().unwrap_or_default();
        let message = json!({"role": "assistant", "content": outcome.text(), "name": "", "tool_calls": calls, "opaque_body": opaque});
        let results = calls.iter().map(|call| {
            json!({"role": "tool", "content": format!("result of {}", call["id"]), "name": call["function"]["name"],
                "tool_call_id": call["id"]})
        });
        std::iter::once(message).chain(results).collect()
    }
}

/// A wire dialect: how a response is streamed, and how the next request contains it.
trait Dialect {
    const PROVIDER: &str;
    const MODEL: &str;
    fn credentials(url: &str) -> Value;
    fn events(turn: &Turn) -> Vec<Value>;
    fn check(turn: &Turn, body: &Value) -> Result<(), TestCaseError>;
}

/// A text without the breaks that stand around thoughts.
fn plain(text: &str) -> String {
    text.split_whitespace().collect()
}

/// An answer as it is read, without the thoughts that are shown in it.
fn without_thoughts(text: &str) -> String {
    let shown: String = text.split("<think>").map(|part| part.rsplit("</think>").next().unwrap()).collect();
    plain(&shown)
}

/// The declared provider of this name in a plugin.
fn plugin(name: &str) -> Plugin {
    let declared = declare::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let found = declared.providers.into_iter().find(|provider| provider.declaration.provider == name).unwrap();
    let code = providers::all(Default::default()).into_iter().find(|provider| provider.name() == name).unwrap();
    Plugin::of(vec![(found.declaration, found.models, code)])
}

async fn round_trip<D: Dialect>(turn: &Turn) -> Result<(), TestCaseError> {
    let plugin = plugin(D::PROVIDER);
    let script = turn.script(&D::events(turn));
    let upstream = Scripted::start(vec![script.clone(), script]).await;
    let tools: Vec<Value> = ["tool_a", "tool_b", "tool_c"]
        .map(|name| json!({"name": name, "description": "d", "parameters": {"type": "object", "properties": {}}}))
        .to_vec();
    let ask = |messages: Vec<Value>| {
        json!({"action": "invoke_llm", "provider": D::PROVIDER, "model": D::MODEL, "model_type": "llm", "stream": true,
            "credentials": D::credentials(&upstream.url), "prompt_messages": messages, "tools": tools})
    };
    let question = json!({"role": "user", "content": "Why?"});
    let outcome = plugin.call(ask(vec![question.clone()])).await;
    prop_assert_eq!(&outcome.error, &None);
    prop_assert_eq!(without_thoughts(&outcome.text()), plain(&turn.text()));
    let mut messages = vec![question];
    messages.extend(turn.history(&outcome));
    messages.push(json!({"role": "user", "content": "And then?"}));
    plugin.call(ask(messages)).await;
    let requests = upstream.requests();
    let body = requests[1].split_once("\r\n\r\n").unwrap().1;
    prop_assert!(!body.contains(['♠', '♥', '♣']), "a thought was sent back: {}", body);
    D::check(turn, &serde_json::from_str(body).unwrap())
}

struct Gemini;

impl Dialect for Gemini {
    const PROVIDER: &str = "google";
    const MODEL: &str = "gemini-2.5-flash";

    fn credentials(url: &str) -> Value {
        json!({"google_api_key": "k", "google_base_url": url, "max_retries": "0"})
    }

    fn events(turn: &Turn) -> Vec<Value> {
        let event = |part: Value| json!({"candidates": [{"content": {"role": "model", "parts": [part]}}]});
        let mut events = Vec::new();
        for part in &turn.parts {
            match part {
                Part::Text(text) => {
                    events.extend(turn.fragments(text).into_iter().map(|text| event(json!({ "text": text }))));
                }
                Part::Thought(text) => {
                    let thoughts = turn.fragments(text).into_iter();
                    events.extend(thoughts.map(|text| event(json!({"text": text, "thought": true}))));
                }
                Part::Call { name, arguments, signature } => {
                    let mut part = json!({"functionCall": {"name": name, "args": arguments}});
                    if let Some(signature) = signature {
                        part["thoughtSignature"] = json!(signature);
                    }
                    events.push(event(part));
                }
            }
        }
        events.push(json!({"candidates": [{"finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}}));
        events
    }

    fn check(turn: &Turn, body: &Value) -> Result<(), TestCaseError> {
        let contents = body["contents"].as_array().unwrap();
        let of = |role: &str| {
            let contents = contents.iter().filter(|content| content["role"] == role);
            contents.flat_map(|content| content["parts"].as_array().unwrap().clone()).collect::<Vec<Value>>()
        };
        let model = of("model");
        let text: String = model.iter().filter_map(|part| part["text"].as_str()).collect();
        prop_assert_eq!(plain(&text), plain(&turn.text()));
        let called: Vec<&Value> = model.iter().filter(|part| !part["functionCall"].is_null()).collect();
        let calls = turn.calls();
        prop_assert_eq!(called.len(), calls.len(), "{}", body);
        for (part, (name, arguments, signature)) in called.iter().zip(&calls) {
            prop_assert_eq!(&part["functionCall"]["name"], name);
            let sent =
                if part["functionCall"]["args"].is_null() { json!({}) } else { part["functionCall"]["args"].clone() };
            prop_assert_eq!(&sent, arguments);
            if let Some(signature) = signature {
                prop_assert_eq!(&part["thoughtSignature"], signature);
            }
        }
        let answered = of("user").into_iter().filter(|part| !part["functionResponse"].is_null());
        let answered: Vec<String> =
            answered.map(|part| part["functionResponse"]["name"].as_str().unwrap().to_owned()).collect();
        prop_assert_eq!(answered, calls.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>());
        Ok(())
    }
}

struct OpenAi;

impl Dialect for OpenAi {
    const PROVIDER: &str = "ai-gateway";
    const MODEL: &str = "m";

    fn credentials(url: &str) -> Value {
        json!({"auth_method": "api_key", "api_key": "k", "endpoint_url": format!("{url}/v1"), "max_retries": "0",
            "function_calling_type": "tool_call"})
    }

    fn events(turn: &Turn) -> Vec<Value> {
        let event = |delta: Value| json!({"choices": [{"index": 0, "delta": delta}]});
        let (mut events, mut index) = (vec![event(json!({"role": "assistant", "content": ""}))], 0);
        for part in &turn.parts {
            match part {
                Part::Text(text) => {
                    events.extend(turn.fragments(text).into_iter().map(|text| event(json!({ "content": text }))));
                }
                Part::Thought(text) => {
                    let thoughts = turn.fragments(text).into_iter();
                    events.extend(thoughts.map(|text| event(json!({ "reasoning_content": text }))));
                }
                Part::Call { name, arguments, .. } => {
                    let call = |function: Value| json!({"tool_calls": [{"index": index, "function": function}]});
                    let mut first = call(json!({"name": name, "arguments": ""}));
                    first["tool_calls"][0]["id"] = json!(format!("call-{index}"));
                    first["tool_calls"][0]["type"] = json!("function");
                    events.push(event(first));
                    let text = Value::Object(arguments.clone()).to_string();
                    events.extend(
                        turn.fragments(&text).into_iter().map(|text| event(call(json!({ "arguments": text })))),
                    );
                    index += 1;
                }
            }
        }
        let reason = if index > 0 { "tool_calls" } else { "stop" };
        events.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}));
        events
    }

    fn check(turn: &Turn, body: &Value) -> Result<(), TestCaseError> {
        let messages = body["messages"].as_array().unwrap();
        let answer = messages.iter().find(|message| message["role"] == "assistant").unwrap();
        prop_assert_eq!(plain(answer["content"].as_str().unwrap_or_default()), plain(&turn.text()));
        let none = Vec::new();
        let called = answer["tool_calls"].as_array().unwrap_or(&none);
        let calls = turn.calls();
        prop_assert_eq!(called.len(), calls.len(), "{}", body);
        for (number, (call, (name, arguments, _))) in called.iter().zip(&calls).enumerate() {
            prop_assert_eq!(&call["id"], &format!("call-{number}"));
            prop_assert_eq!(&call["function"]["name"], name);
            let sent: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
            prop_assert_eq!(&sent, arguments);
        }
        let answered: Vec<&Value> = messages
            .iter()
            .filter(|message| message["role"] == "tool")
            .map(|message| &message["tool_call_id"])
            .collect();
        prop_assert_eq!(answered, called.iter().map(|call| &call["id"]).collect::<Vec<_>>());
        Ok(())
    }
}

/// Streams of every kind, with the provider that reads them.
const STREAMS: &[(&str, &str)] = &[
    (
        "google",
        ": ping\r\n\r\ndata: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"überlegt 🤔\",\"thought\":true}]}}]}\r\n\r\n\
         data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Größe 世界\"}]},\"groundingMetadata\":{\"webSearchQueries\":\
         [\"a\"],\"groundingChunks\":[{\"web\":{\"uri\":\"https://a\",\"title\":\"A\"}}],\"groundingSupports\":[{\"segment\":\
         {\"endIndex\":7,\"text\":\"Größe\"},\"groundingChunkIndices\":[0]}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":\
         {\"promptTokenCount\":3,\"candidatesTokenCount\":2}}\r\n\r\n",
    ),
    (
        "google",
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"half\"}]}}]}\n\n\
         data: {\"error\":{\"code\":429,\"message\":\"slow down ü\",\"status\":\"RESOURCE_EXHAUSTED\"}}\n\n",
    ),
    ("google", "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"cut ü\"}]}}]}\n\ndata: {\"candid"),
    (
        "ai-gateway",
        "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"Hm ü\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\
         \"42 <tool_call>{}\"}}]}\n\ndata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\
         \"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
    ),
    (
        "ai-gateway",
        "data: {\"choices\":[{\"delta\":{\"content\":\"begun 世\"}}]}\r\n\r\ndata: {\"code\":403,\"denyMessage\":\"not here ü\",\
         \"blockedDetails\":[{\"type\":\"politics\",\"level\":\"high\"}]}\r\n\r\n",
    ),
    ("ai-gateway", "data: {\"choices\":[{\"text\":\"plain ü\",\"finish_reason\":\"stop\"}]}\n\n"),
    (
        "ai-gateway",
        "data: {\"choices\":[{\"delta\":{\"content\":\"half\"}}]}\n\ndata: {\"error\":{\"message\":\"boom ü\"}}\n\n",
    ),
    ("ai-gateway", "data: {\"choices\":[{\"delta\":{\"content\":\"ends early\"}}]}\n\n"),
    (
        "ai-gateway",
        "event: x\rid: 1\rdata: {\"choices\":[{\"delta\":\rdata: {\"content\":\"in two lines\"},\"finish_reason\":\"stop\"}]}\r\r",
    ),
];

/// What a caller hears of a stream that comes in these pieces.
async fn heard(provider: &str, body: &str, cuts: &[usize]) -> Value {
    let turn = Turn { parts: Vec::new(), letters: 1, cuts: cuts.to_vec(), keeps_opaque: false };
    let upstream = Scripted::start(vec![turn.pieces(body)]).await;
    let (model, credentials) = match provider {
        Gemini::PROVIDER => (Gemini::MODEL, Gemini::credentials(&upstream.url)),
        _ => (OpenAi::MODEL, OpenAi::credentials(&upstream.url)),
    };
    let outcome = plugin(provider)
        .call(json!({"action": "invoke_llm", "provider": provider, "model": model, "model_type": "llm", "stream": true,
            "credentials": credentials, "prompt_messages": [{"role": "user", "content": "Why?"}]}))
        .await;
    let text: String = outcome.items.iter().filter_map(|item| item["delta"]["message"]["content"].as_str()).collect();
    let usage =
        outcome.items.iter().map(|item| &item["delta"]["usage"]["total_tokens"]).rfind(|usage| !usage.is_null());
    let address = upstream.url.trim_start_matches("http://");
    let error = outcome.error.as_ref().map(|error| error.to_string().replace(address, "host"));
    json!({"text": text, "calls": outcome.tool_calls(), "reason": outcome.finish_reason(), "usage": usage, "error": error})
}

fn in_runtime(work: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn what_gemini_answers_comes_back_in_the_next_request(turn in turn()) {
        in_runtime(round_trip::<Gemini>(&turn))?;
    }

    #[test]
    fn what_a_compatible_server_answers_comes_back_in_the_next_request(turn in turn()) {
        in_runtime(round_trip::<OpenAi>(&turn))?;
    }

    #[test]
    fn any_split_of_a_stream_is_the_same_answer(which in 0..STREAMS.len(), cuts in prop::collection::vec(0..4000_usize, 0..8)) {
        let (provider, body) = STREAMS[which];
        in_runtime(async {
            prop_assert_eq!(heard(provider, body, &cuts).await, heard(provider, body, &[]).await);
            Ok(())
        })?;
    }
}
