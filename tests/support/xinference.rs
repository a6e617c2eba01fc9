//! A mock Xinference server with recorded responses: it validates requests like the real one, and fails on request.
#![allow(clippy::result_large_err)] // the error is the response to send

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

/// What goes wrong with the next inference request.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// Responds with this status, content type and body; with `Retry-After` if given.
    Respond(u16, &'static str, String, Option<&'static str>),
    /// Breaks the connection after this many bytes of the recorded response.
    Cut(usize),
    /// Does not respond.
    Hang,
}

/// A received request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

pub struct Server {
    pub url: String,
    pub state: Arc<Shared>,
}

#[derive(Default)]
pub struct Shared {
    seen: Mutex<Vec<Seen>>,
    models: Mutex<BTreeMap<String, Value>>,
    troubles: Mutex<VecDeque<Trouble>>,
    loading: Mutex<Vec<String>>,
    key: Option<String>,
    tokens: Mutex<Vec<String>>,
    failures: Mutex<usize>,
    max_texts: usize,
}

pub fn recorded(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/xinference/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

impl Server {
    /// Starts a server with the recorded models, without authentication.
    pub async fn start() -> Self {
        Self::start_with(Shared { max_texts: 1000, ..Shared::default() }).await
    }

    /// Starts a server that requires this key, or a token of user `anna` with password `right`.
    pub async fn start_with_key(key: &str) -> Self {
        Self::start_with(Shared { key: Some(key.to_owned()), max_texts: 1000, ..Shared::default() }).await
    }

    /// Starts a server that rejects embedding requests with more texts.
    pub async fn start_with_limit(max_texts: usize) -> Self {
        Self::start_with(Shared { max_texts, ..Shared::default() }).await
    }

    async fn start_with(shared: Shared) -> Self {
        let state = Arc::new(shared);
        for (uid, name) in [
            ("minilm", "model_embedding.body"),
            ("rerank", "model_rerank.body"),
            ("tiny-gen", "model_llm_generate.body"),
            ("chat-inline", "model_chat-inline.body"),
            ("chat-reason", "model_chat-reason.body"),
            ("asr", "model_audio_asr.body"),
        ] {
            state.models.lock().unwrap().insert(uid.to_owned(), serde_json::from_slice(&recorded(name)).unwrap());
        }
        let speaker = |family: &str| json!({"model_type": "audio", "model_family": family, "model_name": family, "model_ability": ["text2audio"]});
        for (uid, model) in
            [("kokoro", speaker("Kokoro")), ("melo", speaker("MeloTTS")), ("cosy", speaker("CosyVoice"))]
        {
            state.models.lock().unwrap().insert(uid.to_owned(), model);
        }
        let router = Router::new()
            .route("/token", post(token))
            .route("/v1/models", get(list_models))
            .route("/v1/models/{uid}", get(describe))
            .route("/v1/chat/completions", post(chat))
            .route("/v1/completions", post(completion))
            .route("/v1/embeddings", post(embeddings))
            .route("/v1/rerank", post(rerank))
            .route("/v1/audio/transcriptions", post(transcribe))
            .route("/v1/audio/translations", post(transcribe))
            .route("/v1/audio/speech", post(speak))
            .fallback(|| async { detail(404, "Not Found") })
            .with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub fn set_model(&self, uid: &str, description: Value) {
        self.state.models.lock().unwrap().insert(uid.to_owned(), description);
    }

    pub fn stop_model(&self, uid: &str) {
        self.state.models.lock().unwrap().remove(uid);
    }

    pub fn set_loading(&self, uid: &str) {
        self.state.loading.lock().unwrap().push(uid.to_owned());
    }

    pub fn trouble(&self, trouble: Trouble) {
        self.state.troubles.lock().unwrap().push_back(trouble);
    }

    pub fn end_tokens(&self) {
        self.state.tokens.lock().unwrap().clear();
    }

    /// Returns the requests to a path so far.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.state.seen.lock().unwrap().iter().filter(|seen| seen.path.starts_with(path)).cloned().collect()
    }
}

type App = State<Arc<Shared>>;

fn detail(status: u16, text: &str) -> Response {
    json_answer(status, json!({ "detail": text }).to_string().into_bytes())
}

fn json_answer(status: u16, body: Vec<u8>) -> Response {
    (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn events(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], body).into_response()
}

impl Shared {
    fn allow(&self, headers: &HeaderMap) -> Result<(), Response> {
        let Some(key) = &self.key else { return Ok(()) };
        let mut failures = self.failures.lock().unwrap();
        if *failures >= 10 {
            return Err(json_answer(429, recorded("auth_banned_ip.body")));
        }
        let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let given = given.strip_prefix("Bearer ").unwrap_or_default();
        if given == key || self.tokens.lock().unwrap().iter().any(|token| token == given) {
            return Ok(());
        }
        // A request without a credential is rejected, but only a wrong one counts.
        *failures += usize::from(!given.is_empty());
        Err(json_answer(401, recorded("auth_none_chat.body")))
    }

    /// Records the request, checks its credential, applies trouble, and returns the model info.
    async fn enter(&self, path: &str, headers: &HeaderMap, body: &Value) -> Result<Value, Response> {
        let seen = Seen { path: path.to_owned(), headers: headers.clone(), body: body.clone() };
        self.seen.lock().unwrap().push(seen);
        self.allow(headers)?;
        let trouble = self.troubles.lock().unwrap().pop_front();
        match trouble {
            Some(Trouble::Respond(status, content_type, body, wait)) => {
                let mut answer = (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, content_type)], body)
                    .into_response();
                if let Some(wait) = wait {
                    answer.headers_mut().insert("retry-after", wait.parse().unwrap());
                }
                return Err(answer);
            }
            Some(Trouble::Cut(bytes)) => return Err(cut(bytes)),
            Some(Trouble::Hang) => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
            }
            None => {}
        }
        let uid = body["model"].as_str().unwrap_or_else(|| panic!("{path}: no model in {body}"));
        if self.loading.lock().unwrap().iter().any(|loading| loading == uid) {
            let mut answer = json_answer(503, recorded("completion_loading.body"));
            answer.headers_mut().insert("retry-after", "30".parse().unwrap());
            return Err(answer);
        }
        self.models
            .lock()
            .unwrap()
            .get(uid)
            .cloned()
            .ok_or_else(|| json_answer(404, recorded("chat_unknown_model.body")))
    }
}

/// Returns part of a recorded stream, then breaks the connection.
fn cut(bytes: usize) -> Response {
    let mut body = recorded("chat-inline_think_stream.body");
    body.truncate(bytes);
    let pieces = futures_util::stream::iter([Ok(Bytes::from(body)), Err(std::io::Error::other("cut"))]);
    let slow = futures_util::StreamExt::then(pieces, |piece| async {
        if piece.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        piece
    });
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(slow)).into_response()
}

async fn token(State(state): App, body: Bytes) -> Response {
    let login: Value = serde_json::from_slice(&body).unwrap();
    state.seen.lock().unwrap().push(Seen { path: "/token".to_owned(), headers: HeaderMap::new(), body: login.clone() });
    if login["username"] != "anna" || login["password"] != "right" {
        *state.failures.lock().unwrap() += 1;
        return json_answer(401, recorded("auth_token_bad.body"));
    }
    let mut tokens = state.tokens.lock().unwrap();
    let number = state.seen.lock().unwrap().len();
    tokens.push(format!("token-{number}"));
    let answer = json!({"access_token": tokens.last(), "refresh_token": "r", "token_type": "bearer"});
    json_answer(200, answer.to_string().into_bytes())
}

async fn list_models(State(state): App, headers: HeaderMap) -> Response {
    if let Err(answer) = state.allow(&headers) {
        return answer;
    }
    let models = state.models.lock().unwrap();
    let data: Vec<Value> = models
        .iter()
        .map(|(uid, model)| {
            let mut model = model.clone();
            model["id"] = json!(uid);
            model
        })
        .collect();
    json_answer(200, json!({"object": "list", "data": data}).to_string().into_bytes())
}

async fn describe(State(state): App, Path(uid): Path<String>, headers: HeaderMap) -> Response {
    let seen = Seen { path: format!("/v1/models/{uid}"), headers: headers.clone(), body: Value::Null };
    state.seen.lock().unwrap().push(seen);
    if let Err(answer) = state.allow(&headers) {
        return answer;
    }
    if state.loading.lock().unwrap().contains(&uid) {
        let mut answer = json_answer(503, recorded("model_loading.body"));
        answer.headers_mut().insert("retry-after", "30".parse().unwrap());
        return answer;
    }
    match state.models.lock().unwrap().get(&uid) {
        Some(model) => json_answer(200, model.to_string().into_bytes()),
        None => json_answer(400, recorded("model_unknown.body")),
    }
}

fn has(model: &Value, ability: &str) -> bool {
    model["model_ability"].as_array().is_some_and(|all| all.iter().any(|own| own == ability))
}

async fn chat(State(state): App, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let model = match state.enter("/v1/chat/completions", &headers, &body).await {
        Ok(model) => model,
        Err(answer) => return answer,
    };
    let stream = body["stream"] == true;
    if !has(&model, "chat") {
        return if stream {
            events(recorded("chat_on_generate_model_stream.body"))
        } else {
            detail(500, "The chat completion request failed.")
        };
    }
    let messages = body["messages"].as_array().unwrap();
    if messages.is_empty() {
        return json_answer(400, recorded("chat_empty_messages.body"));
    }
    check_messages(messages);
    check_parameters(&body);
    let tools = body["tools"].as_array().is_some_and(|tools| !tools.is_empty());
    if tools && !has(&model, "tools") {
        return json_answer(400, recorded("chat_tools_unsupported.body"));
    }
    let launch = if body["model"] == "chat-reason" { "chat-reason" } else { "chat-inline" };
    let think = if body["chat_template_kwargs"]["enable_thinking"] == true { "think_" } else { "" };
    if messages.last().unwrap()["role"] == "tool" {
        return json_answer(200, recorded("chat-inline_tool_results_sync.body"));
    }
    if model["model_engine"] == "vLLM" && tools && stream {
        let lines = String::from_utf8(recorded("conv_tools_parallel.jsonl")).unwrap();
        let chunks: String = lines.lines().map(|line| format!("data: {line}\r\n\r\n")).collect();
        return events((chunks + "data: [DONE]\r\n\r\n").into_bytes());
    }
    let tools = if tools { "tools_" } else { "" };
    let form = if stream { "stream" } else { "sync" };
    let recording = recorded(&format!("{launch}_{think}{tools}{form}.body"));
    if stream { events(recording) } else { json_answer(200, recording) }
}

/// Checks what the validation of the real server would reject.
fn check_messages(messages: &[Value]) {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        let role = message["role"].as_str().unwrap();
        assert!(["system", "user", "assistant", "tool"].contains(&role), "{message}");
        assert!(message["content"].is_string() || message["content"].is_array(), "{message}");
        assert!(message.get("function_call").is_none(), "the older format is never sent: {message}");
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            assert!(call["type"] == "function" && call["function"]["arguments"].is_string(), "{call}");
            open.push(call["id"].as_str().unwrap());
        }
        if role == "tool" {
            assert!(open.contains(&message["tool_call_id"].as_str().unwrap()), "a result without a call: {message}");
        }
        for part in message["content"].as_array().into_iter().flatten() {
            let kind = part["type"].as_str().unwrap();
            assert!(
                ["text", "image_url", "video_url", "audio_url"].contains(&kind),
                "the server does not support {kind} parts"
            );
        }
    }
}

fn check_parameters(body: &Value) {
    let within = |name: &str, low: f64, high: f64| {
        if let Some(value) = body.get(name) {
            let value = value.as_f64().unwrap();
            assert!((low..=high).contains(&value), "{name} = {value}");
        }
    };
    within("temperature", 0.0, 2.0);
    within("top_p", 0.0, 1.0);
    within("max_tokens", 1.0, 1e9);
    for unknown in ["think", "json_schema", "extra_headers"] {
        assert!(body.get(unknown).is_none(), "`{unknown}` is not a field of the server");
    }
    if body["stream"] == true {
        assert_eq!(body["stream_options"]["include_usage"], true);
    }
}

async fn completion(State(state): App, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let model = match state.enter("/v1/completions", &headers, &body).await {
        Ok(model) => model,
        Err(answer) => return answer,
    };
    assert!(body["prompt"].is_string() && body.get("messages").is_none(), "{body}");
    if !has(&model, "generate") {
        return detail(500, "[address=127.0.0.1:1, pid=1] no generate");
    }
    match body["stream"] == true {
        true => events(recorded("completion_stream_usage.body")),
        false => json_answer(200, recorded("completion_sync.body")),
    }
}

/// Returns the embedding of a text: its length and its first byte, so that the order can be checked.
pub fn vector(text: &str) -> [f32; 2] {
    [text.len() as f32, f32::from(text.bytes().next().unwrap_or_default())]
}

async fn embeddings(State(state): App, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let model = match state.enter("/v1/embeddings", &headers, &body).await {
        Ok(model) => model,
        Err(answer) => return answer,
    };
    if model["model_type"] != "embedding" {
        return json_answer(500, recorded("emb_on_llm.body"));
    }
    let inputs = body["input"].as_array().unwrap();
    if inputs.len() > state.max_texts {
        return (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large").into_response();
    }
    let text =
        |input: &Value| input.as_str().or(input["text"].as_str()).or(input["image"].as_str()).unwrap().to_owned();
    // In reverse order: a client must use the index.
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .rev()
        .map(|(index, input)| json!({"index": index, "object": "embedding", "embedding": vector(&text(input))}))
        .collect();
    let usage = json!({"prompt_tokens": inputs.len(), "total_tokens": inputs.len()});
    json_answer(
        200,
        json!({"object": "list", "model": body["model"], "data": data, "usage": usage}).to_string().into_bytes(),
    )
}

async fn rerank(State(state): App, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let model = match state.enter("/v1/rerank", &headers, &body).await {
        Ok(model) => model,
        Err(answer) => return answer,
    };
    assert_eq!(model["model_type"], "rerank");
    assert_ne!(body["top_n"], 0, "zero means none on the server");
    let mut results: Vec<Value> = body["documents"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(index, document)| {
            let text = document.as_str().or(document["text"].as_str()).or(document["image"].as_str()).unwrap();
            json!({"index": index, "relevance_score": text.parse::<f64>().unwrap_or(-1.0), "document": null})
        })
        .collect();
    results.sort_by(|left, right| {
        right["relevance_score"].as_f64().unwrap().total_cmp(&left["relevance_score"].as_f64().unwrap())
    });
    if let Some(top) = body["top_n"].as_u64() {
        results.truncate(top as usize);
    }
    json_answer(200, json!({"id": "r", "results": results, "meta": {"tokens": null}}).to_string().into_bytes())
}

/// Responds with what it received: `path model language file-name media-type length`.
async fn transcribe(State(state): App, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let headers = request.headers().clone();
    let Ok(mut form) = Multipart::from_request(request, &()).await else {
        return json_answer(422, recorded("transcription_missing_file.body"));
    };
    let mut fields = json!({});
    while let Some(field) = form.next_field().await.unwrap() {
        let name = field.name().unwrap().to_owned();
        let file = field.file_name().map(str::to_owned);
        let kind = field.content_type().map(str::to_owned);
        let bytes = field.bytes().await.unwrap();
        fields[name] = match file {
            Some(file) => json!(format!("{file} {} {}", kind.unwrap(), bytes.len())),
            None => json!(String::from_utf8(bytes.to_vec()).unwrap()),
        };
    }
    if let Err(answer) = state.enter(&path, &headers, &fields).await {
        return answer;
    }
    assert_eq!(fields["response_format"], "json", "the safe format");
    let text = format!("{path} {} {}", fields["language"], fields["file"].as_str().unwrap());
    json_answer(200, json!({ "text": text }).to_string().into_bytes())
}

async fn speak(State(state): App, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let model = match state.enter("/v1/audio/speech", &headers, &body).await {
        Ok(model) => model,
        Err(answer) => return answer,
    };
    let family = model["model_family"].as_str().unwrap_or_default();
    let stream = body["stream"] == true;
    if stream && family != "CosyVoice" {
        return detail(500, &format!("[address=127.0.0.1:1, pid=1] {family} does not support stream mode."));
    }
    let voice = body["voice"].as_str().unwrap_or("none");
    if family == "MeloTTS" && !["none", "EN-US", "EN-BR"].contains(&voice) {
        return detail(
            500,
            &format!(
                "[address=127.0.0.1:1, pid=1] Invalid voice: {voice}, available speakers: {{'EN-US': 0, 'EN-BR': 1}}"
            ),
        );
    }
    let audio = format!("<{voice}|{}|{}>", body["response_format"].as_str().unwrap(), body["input"].as_str().unwrap());
    let kind = if stream { "application/octet-stream" } else { "audio/mpeg" };
    ([(header::CONTENT_TYPE, kind)], audio).into_response()
}
