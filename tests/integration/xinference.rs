//! Complete sessions with the Xinference provider against a mock server that returns recorded responses.

use crate::support::{forms, harness, xinference as server};
use dify_plugin_runtime::providers;
use harness::{Outcome, Plugin};
use serde_json::{Value, json};
use server::{Server, Trouble, vector};

fn plugin() -> Plugin {
    let provider =
        providers::all(Default::default()).into_iter().find(|provider| provider.name() == "xinference").unwrap();
    Plugin::of(vec![(forms::declaration("xinference"), Vec::new(), provider)])
}

/// Builds a request with `server_url`, `model_uid` and further fields of the credential form.
fn request(server: &Server, action: &str, uid: &str, credentials: Value, fields: Value) -> Value {
    let mut all = json!({"server_url": server.url, "model_uid": uid, "max_retries": "0"});
    all.as_object_mut().unwrap().extend(credentials.as_object().unwrap().clone());
    let mut request = json!({"action": action, "provider": "xinference", "model": "mine", "credentials": all});
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}

fn ask(server: &Server, uid: &str, prompt: &str, fields: Value) -> Value {
    let mut all = json!({"prompt_messages": [{"role": "user", "content": prompt}]});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request(server, "invoke_llm", uid, json!({}), all)
}

fn tools() -> Value {
    json!([{"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}])
}

async fn validate(server: &Server, uid: &str, kind: &str, credentials: Value) -> Outcome {
    plugin().call(request(server, "validate_model_credentials", uid, credentials, json!({"model_type": kind}))).await
}

/// Checks that the error message contains all of these words.
fn check_failure(outcome: &Outcome, kind: &str, words: &[&str]) {
    let (found, message) = outcome.failure();
    assert_eq!(found, kind, "{message}");
    for word in words {
        assert!(message.contains(word), "`{word}` is missing: {message}");
    }
    for secret in ["xf-secret", "right", "hunter2"] {
        assert!(!message.contains(secret), "a secret is shown: {message}");
    }
}

const HELLO: &str = "Hello! 你好 👋 How can I help?";

#[tokio::test]
async fn streaming_and_blocking_responses_are_equal() {
    let server = Server::start().await;
    let plugin = plugin();
    for stream in [true, false] {
        for (uid, parameters, text) in [
            ("chat-inline", json!({}), HELLO.to_owned()),
            (
                "chat-inline",
                json!({"enable_thinking": true, "temperature": 1.5}),
                format!("<think>\nThe user says hi.\n</think>\n\n{HELLO}"),
            ),
            (
                "chat-reason",
                json!({"enable_thinking": true}),
                format!("<think>\nThe user says hi.\n</think>\n\n{HELLO}"),
            ),
            ("chat-reason", json!({"enable_thinking": false}), HELLO.to_owned()),
        ] {
            let outcome =
                plugin.call(ask(&server, uid, "Hi", json!({"stream": stream, "model_parameters": parameters}))).await;
            assert_eq!(outcome.text(), text, "{uid} {parameters} {stream}");
            assert_eq!(outcome.finish_reason(), Some("stop"));
            assert!(outcome.usage()["completion_tokens"].as_u64().unwrap() > 5);
        }
    }
    let sent = &server.seen("/v1/chat/completions")[1].body;
    assert_eq!(sent["chat_template_kwargs"], json!({"enable_thinking": true, "thinking": true}));
    assert_eq!(
        (&sent["enable_thinking"], &sent["model"], &sent["user"]),
        (&json!(true), &json!("chat-inline"), &json!("user-1"))
    );
    let plain = &server.seen("/v1/chat/completions")[0].body;
    assert!(plain.get("max_tokens").is_none() && plain.get("temperature").is_none(), "only what the user set is sent");
    assert_eq!(server.seen("/v1/models/chat-inline").len(), 1, "queried once, used by four requests");
}

#[tokio::test]
async fn reads_tool_calls_of_every_engine() {
    let server = Server::start().await;
    let mut vllm: Value = serde_json::from_slice(&server::recorded("model_chat-inline.body")).unwrap();
    vllm["model_engine"] = json!("vLLM");
    server.set_model("vllm", vllm);
    for (uid, stream) in [("chat-inline", true), ("chat-inline", false), ("vllm", true)] {
        let outcome = plugin().call(ask(&server, uid, "Weather?", json!({"stream": stream, "tools": tools()}))).await;
        let calls = outcome.tool_calls();
        let cities: Vec<Value> = calls
            .iter()
            .map(|call| {
                serde_json::from_str::<Value>(call["function"]["arguments"].as_str().unwrap()).unwrap()["city"].clone()
            })
            .collect();
        assert_eq!(cities, ["Paris", "London"], "{uid} {stream}");
        assert_eq!(outcome.finish_reason(), Some("tool_calls"));
        assert_ne!(calls[0]["id"], calls[1]["id"]);
    }
    let history = json!({"stream": false, "tools": tools(), "prompt_messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "<think>\nhm\n</think>", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"}},
            {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"London\"}"}}]},
        {"role": "tool", "content": "sunny", "tool_call_id": "call_1", "name": "get_weather"},
        {"role": "tool", "content": "rain", "tool_call_id": "call_2", "name": "get_weather"},
    ]});
    assert!(!plugin().call(ask(&server, "chat-inline", "", history)).await.text().is_empty());
    let outcome = plugin().call(ask(&server, "tiny-gen", "Weather?", json!({"tools": tools()}))).await;
    check_failure(&outcome, "InvokeBadRequestError", &["tiny-gen", "tools"]);
}

#[tokio::test]
async fn supports_completion_mode_media_and_schemas() {
    let server = Server::start().await;
    for stream in [true, false] {
        let outcome = plugin()
            .call(ask(&server, "tiny-gen", "Once", json!({"stream": stream, "model_parameters": {"max_tokens": 5}})))
            .await;
        assert!(!outcome.text().is_empty());
        assert!(outcome.usage()["prompt_tokens"].as_u64().unwrap() > 0);
    }
    assert_eq!(server.seen("/v1/completions")[0].body["prompt"], "Once");
    let image = json!([{"type": "text", "data": "?"}, {"type": "image", "format": "png", "mime_type": "image/png", "base64_data": "AA==", "url": "http://10.0.0.1/files/a"}]);
    let with_image = json!({"prompt_messages": [{"role": "user", "content": image}]});
    let outcome = plugin().call(ask(&server, "chat-inline", "", with_image.clone())).await;
    check_failure(&outcome, "InvokeBadRequestError", &["does not support image input"]);
    let mut vision: Value = serde_json::from_slice(&server::recorded("model_chat-inline.body")).unwrap();
    vision["model_ability"] = json!(["chat", "vision"]);
    server.set_model("vision", vision);
    plugin().call(ask(&server, "vision", "", with_image)).await.text();
    let sent = &server.seen("/v1/chat/completions").pop().unwrap().body;
    assert_eq!(
        sent["messages"][0]["content"][1]["image_url"]["url"], "data:image/png;base64,AA==",
        "the server cannot reach Dify's files"
    );
    let files = axum::Router::new().route("/files/a.png", axum::routing::get(|| async { "abc" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dify = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, files).await });
    for address in ["/files/a.png".to_owned(), format!("{dify}/files/a.png")] {
        let part = json!({"type": "image", "format": "png", "mime_type": "image/png", "url": address});
        let fields = json!({"prompt_messages": [{"role": "user", "content": [part]}]});
        plugin().call(request(&server, "invoke_llm", "vision", json!({"file_url": dify}), fields)).await.text();
        let sent = &server.seen("/v1/chat/completions").pop().unwrap().body;
        assert_eq!(sent["messages"][0]["content"][0]["image_url"]["url"], "data:image/png;base64,YWJj", "{address}");
    }
    let schema = json!({"json_schema": {"type": "object", "title": "only this"}});
    plugin().call(ask(&server, "chat-inline", "Give me JSON", schema)).await.text();
    let sent = &server.seen("/v1/chat/completions").pop().unwrap().body;
    assert!(
        sent["messages"][0]["content"].as_str().unwrap().contains("only this") && sent.get("response_format").is_none(),
        "transformers enforces nothing"
    );
}

#[tokio::test]
async fn keeps_the_order_of_embeddings_in_batches() {
    let server = Server::start_with_limit(10).await;
    let texts: Vec<String> = (0..95).map(|number| format!("{} {}", "x".repeat(number % 7), number)).collect();
    let embed = |credentials: Value, texts: Value| {
        request(&server, "invoke_text_embedding", "minilm", credentials, json!({"texts": texts}))
    };
    let outcome = plugin().call(embed(json!({"max_chunks": "10"}), json!(texts))).await;
    let expected: Vec<[f32; 2]> = texts.iter().map(|text| vector(text)).collect();
    assert_eq!(outcome.item()["embeddings"], json!(expected));
    assert!(outcome.item()["usage"]["total_tokens"].as_u64().unwrap() > 0);
    assert_eq!(server.seen("/v1/embeddings").len(), 10);
    assert_eq!(plugin().call(embed(json!({}), json!([]))).await.item()["embeddings"], json!([]));
    assert_eq!(plugin().call(embed(json!({}), json!([""]))).await.item()["embeddings"].as_array().unwrap().len(), 1);
    let long = "word ".repeat(5000);
    plugin().call(embed(json!({}), json!([long]))).await;
    let sent = server.seen("/v1/embeddings").pop().unwrap().body["input"][0].as_str().unwrap().len();
    assert!((500..5000).contains(&sent), "truncated near the model's 256 tokens: {sent}");
    let outcome = plugin().call(embed(json!({"max_chunks": "95"}), json!(texts))).await;
    check_failure(&outcome, "InvokeBadRequestError", &["413", "fewer texts"]);
    let counts =
        request(&server, "get_text_embedding_num_tokens", "minilm", json!({}), json!({"texts": ["one two", ""]}));
    assert_eq!(plugin().call(counts).await.item()["num_tokens"], json!([2, 0]));
}

#[tokio::test]
async fn embeds_and_ranks_images_if_the_model_supports_them() {
    let server = Server::start().await;
    server.set_model(
        "clip",
        json!({"model_type": "embedding", "model_ability": ["embed", "embed_vision"], "dimensions": 2}),
    );
    server.set_model("vranker", json!({"model_type": "rerank", "model_ability": ["rerank", "rerank_vision"]}));
    let documents =
        json!([{"content": "a text", "content_type": "text"}, {"content": "/9j/AA==", "content_type": "image"}]);
    let embed = request(&server, "invoke_multimodal_embedding", "clip", json!({}), json!({"documents": documents}));
    let expected = [vector("a text"), vector("data:image/jpeg;base64,/9j/AA==")];
    assert_eq!(plugin().call(embed).await.item()["embeddings"], json!(expected));
    let rank = request(
        &server,
        "invoke_multimodal_rerank",
        "vranker",
        json!({}),
        json!({"query": {"content": "q", "content_type": "text"}, "docs": [{"content": "0.2", "content_type": "text"}, {"content": "0.9", "content_type": "text"}]}),
    );
    assert_eq!(plugin().call(rank).await.item()["docs"][0]["index"], 1);
}

#[tokio::test]
async fn ranks_documents_by_raw_scores() {
    let server = Server::start().await;
    let rank = |credentials: Value, fields: Value| {
        let mut all = json!({"query": "q", "docs": ["0.1", "0.9", "-3", "0.5"]});
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        request(&server, "invoke_rerank", "rerank", credentials, all)
    };
    let cases = [
        (json!({}), json!({}), vec![1, 3, 0, 2]),
        (json!({}), json!({"top_n": 2}), vec![1, 3]),
        (json!({}), json!({"top_n": 0}), vec![1, 3, 0, 2]),
        (json!({}), json!({"score_threshold": 0.5}), vec![1, 3]),
        (json!({"rerank_batch_size": "2"}), json!({"top_n": 3}), vec![1, 3, 0]),
        (json!({"rerank_normalize": "true"}), json!({"score_threshold": 0.6}), vec![1, 3]),
        (json!({}), json!({"docs": []}), vec![]),
    ];
    for (credentials, fields, expected) in cases {
        let outcome = plugin().call(rank(credentials.clone(), fields.clone())).await;
        let docs = outcome.item()["docs"].as_array().unwrap().clone();
        let order: Vec<u64> = docs.iter().map(|document| document["index"].as_u64().unwrap()).collect();
        assert_eq!(order, expected, "{credentials} {fields}");
        for document in docs {
            let texts = ["0.1", "0.9", "-3", "0.5"];
            assert_eq!(document["text"], texts[document["index"].as_u64().unwrap() as usize]);
        }
    }
}

#[tokio::test]
async fn sends_audio_files_with_name_and_language() {
    let server = Server::start().await;
    let hear = |credentials: Value, bytes: &[u8]| {
        request(&server, "invoke_speech2text", "asr", credentials, json!({"file": hex::encode(bytes)}))
    };
    let heard = |credentials: Value, bytes: &'static [u8]| {
        let call = hear(credentials, bytes);
        async move { plugin().call(call).await.item()["result"].as_str().unwrap().to_owned() }
    };
    assert_eq!(heard(json!({}), b"RIFF\0\0\0\0WAVE").await, "/v1/audio/transcriptions null audio.wav audio/wav 12");
    assert_eq!(
        heard(json!({"language": "de"}), b"OggS").await,
        "/v1/audio/transcriptions \"de\" audio.ogg audio/ogg 4"
    );
    assert_eq!(
        heard(json!({"speech_task": "translate"}), b"ID3\x04").await,
        "/v1/audio/translations null audio.mp3 audio/mpeg 4"
    );
    check_failure(
        &plugin().call(hear(json!({}), b"%PDF-1.7")).await,
        "InvokeBadRequestError",
        &["unknown audio format", "wav"],
    );
    check_failure(&plugin().call(hear(json!({}), b"")).await, "InvokeBadRequestError", &["empty"]);
}

#[tokio::test]
async fn streams_speech_if_the_engine_does() {
    let server = Server::start().await;
    let speak = |uid: &str, voice: &str, text: &str, credentials: Value| {
        let call = request(&server, "invoke_tts", uid, credentials, json!({"content_text": text, "voice": voice}));
        async move {
            let outcome = plugin().call(call).await;
            assert!(outcome.error.is_none(), "{:?}", outcome.error);
            let bytes: Vec<u8> =
                outcome.items.iter().flat_map(|item| hex::decode(item["result"].as_str().unwrap()).unwrap()).collect();
            String::from_utf8(bytes).unwrap()
        }
    };
    assert_eq!(speak("kokoro", "af_bella", "Hi.", json!({})).await, "<af_bella|mp3|Hi.>");
    assert_eq!(speak("melo", "default", "Hi.", json!({"audio_type": "wav"})).await, "<none|wav|Hi.>");
    assert_eq!(speak("cosy", "中文女", "Hi.", json!({})).await, "<中文女|mp3|Hi.>");
    let streams: Vec<Value> = server.seen("/v1/audio/speech").iter().map(|seen| seen.body["stream"].clone()).collect();
    assert_eq!(streams, [json!(false), json!(false), json!(true)]);
    server
        .set_model("voxcpm", json!({"model_type": "audio", "model_family": "VoxCPM", "model_ability": ["text2audio"]}));
    assert_eq!(speak("voxcpm", "", "Hi.", json!({})).await, "<none|mp3|Hi.>", "retried without streaming");
    let long = "A sentence of some words. ".repeat(400);
    let spoken = speak("kokoro", "", &long, json!({})).await;
    let heard: String = spoken.split('>').filter_map(|piece| piece.rsplit('|').next()).collect();
    assert_eq!(heard.trim(), long.trim(), "in order, in segments");
    assert!(spoken.matches('<').count() > 2);
    let empty = request(&server, "invoke_tts", "kokoro", json!({}), json!({"content_text": "  ", "voice": ""}));
    check_failure(&plugin().call(empty).await, "InvokeBadRequestError", &["no text"]);
}

#[tokio::test]
async fn lists_the_voices_of_the_server() {
    let server = Server::start().await;
    let voices = |uid: &str, credentials: Value, language: Value| {
        let call = request(&server, "get_tts_model_voices", uid, credentials, json!({"language": language}));
        async move {
            let outcome = plugin().call(call).await;
            let list = outcome.item()["voices"].as_array().unwrap().clone();
            list.iter().map(|voice| voice["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(voices("melo", json!({}), Value::Null).await, ["EN-US", "EN-BR"]);
    assert_eq!(voices("melo", json!({"voices": "a,b"}), Value::Null).await, ["a", "b"]);
    assert!(voices("kokoro", json!({}), json!("zh-Hans")).await.iter().all(|voice| voice.starts_with('z')));
    assert_eq!(voices("cosy", json!({}), Value::Null).await, ["default"]);
}

#[tokio::test]
async fn validation_names_what_is_wrong() {
    let server = Server::start().await;
    for (uid, kind) in [
        ("chat-inline", "llm"),
        ("tiny-gen", "llm"),
        ("minilm", "text-embedding"),
        ("rerank", "rerank"),
        ("asr", "speech2text"),
        ("kokoro", "tts"),
        ("cosy", "tts"),
    ] {
        assert_eq!(validate(&server, uid, kind, json!({})).await.item()["result"], true, "{uid}");
    }
    const WRONG: &str = "CredentialsValidateFailedError";
    check_failure(
        &validate(&server, "nope", "llm", json!({})).await,
        WRONG,
        &["no model with the UID `nope`", "chat-inline", "tiny-gen"],
    );
    check_failure(&validate(&server, "nope", "rerank", json!({})).await, WRONG, &["Running rerank models: rerank."]);
    check_failure(
        &validate(&server, "minilm", "llm", json!({})).await,
        WRONG,
        &["`minilm` has type text-embedding, expected llm", "chat-inline"],
    );
    check_failure(&validate(&server, "asr", "tts", json!({})).await, WRONG, &["speech2text, expected tts", "kokoro"]);
    check_failure(&validate(&server, "org/name", "llm", json!({})).await, WRONG, &["`model_uid`", "org/name"]);
    check_failure(&validate(&server, "odd ?#ü%", "llm", json!({})).await, WRONG, &["odd ?#ü%"]);
    server.set_loading("chat-reason");
    check_failure(
        &validate(&server, "chat-reason", "llm", json!({})).await,
        WRONG,
        &["still loading", "retry after 30 s"],
    );
    server.trouble(Trouble::Respond(
        500,
        "text/plain",
        "Internal Server Error: [address=1:2, pid=3] actor died".to_owned(),
        None,
    ));
    check_failure(&validate(&server, "chat-inline", "llm", json!({})).await, WRONG, &["replica died", "actor died"]);
    for (address, words) in [
        ("http://127.0.0.1:1", ["cannot connect", "container"]),
        ("http://no-such-host.invalid", ["no-such-host.invalid", "cannot resolve"]),
        ("ftp://host", ["`server_url`", "http://"]),
    ] {
        check_failure(&validate(&server, "m", "llm", json!({"server_url": address})).await, WRONG, &words);
    }
    let tls = server.url.replace("http://", "https://");
    check_failure(&validate(&server, "m", "llm", json!({"server_url": tls})).await, WRONG, &["does not speak TLS"]);
    let below = format!("{}/somewhere", server.url);
    check_failure(
        &validate(&server, "m", "llm", json!({"server_url": below})).await,
        WRONG,
        &["does not respond like a Xinference server"],
    );
}

#[tokio::test]
async fn tries_a_wrong_key_once_and_sends_no_placeholder() {
    let server = Server::start_with_key("xf-secret").await;
    const WRONG: &str = "CredentialsValidateFailedError";
    assert_eq!(
        validate(&server, "chat-inline", "llm", json!({"api_key": "xf-secret", "max_retries": "3"})).await.item()["result"],
        true
    );
    check_failure(
        &validate(&server, "chat-inline", "llm", json!({})).await,
        WRONG,
        &["Could not validate credentials", "`api_key`"],
    );
    let before = server.seen("/v1/models").len();
    check_failure(
        &validate(&server, "chat-inline", "llm", json!({"api_key": "wrong", "max_retries": "3"})).await,
        WRONG,
        &["`api_key`"],
    );
    assert_eq!(server.seen("/v1/models").len(), before + 1, "a rejected key is not retried");
    assert!(
        server
            .seen("/v1/models")
            .iter()
            .all(|seen| seen.headers.get("authorization").is_none_or(|value| !value.is_empty()))
    );
    let outcome = plugin()
        .call(request(
            &server,
            "invoke_llm",
            "chat-inline",
            json!({"api_key": "wrong"}),
            json!({"prompt_messages": [{"role": "user", "content": "Hi"}]}),
        ))
        .await;
    assert_eq!(outcome.failure().0, "InvokeAuthorizationError");
    let headers = json!({"api_key": "xf-secret", "extra_headers": "{\"X-Team\": \"hunter2\"}"});
    validate(&server, "chat-inline", "llm", headers).await.item();
    assert_eq!(server.seen("/v1/models").pop().unwrap().headers["x-team"], "hunter2");
    let evil = json!({"extra_headers": "{\"X-Team\": \"hunter2\\r\\nX-Evil: 1\"}"});
    check_failure(&validate(&server, "chat-inline", "llm", evil).await, WRONG, &["extra_headers"]);
}

#[tokio::test]
async fn shares_and_renews_a_login() {
    let server = Server::start_with_key("xf-secret").await;
    let login = json!({"username": "anna", "password": "right"});
    let plugin = plugin();
    let call = request(
        &server,
        "invoke_llm",
        "chat-inline",
        login.clone(),
        json!({"prompt_messages": [{"role": "user", "content": "Hi"}]}),
    );
    for _ in 0..3 {
        assert_eq!(plugin.call(call.clone()).await.text(), HELLO);
    }
    assert_eq!(server.seen("/token").len(), 1);
    server.end_tokens();
    assert_eq!(plugin.call(call).await.text(), HELLO, "a token that expired early is renewed");
    assert_eq!(server.seen("/token").len(), 2);
    let wrong = validate(&server, "chat-inline", "llm", json!({"username": "anna", "password": "wrong"})).await;
    check_failure(&wrong, "CredentialsValidateFailedError", &["login failed", "Incorrect username or password"]);
    assert_eq!(server.seen("/token").len(), 3, "a rejected password is not retried");
}

#[tokio::test]
async fn concurrent_requests_share_one_query_and_one_login() {
    let server = Server::start_with_key("xf-secret").await;
    let plugin = plugin();
    let mut connection = plugin.connect();
    let login = json!({"username": "anna", "password": "right"});
    let prompt = json!({"prompt_messages": [{"role": "user", "content": "Hi"}]});
    for number in 0..20 {
        let call = request(&server, "invoke_llm", "chat-inline", login.clone(), prompt.clone());
        connection.request(&format!("s{number}"), call).await;
    }
    let mut ended = 0;
    while ended < 20 {
        let line = connection.next().await.unwrap();
        assert_ne!(line["data"]["type"], "error", "{line}");
        ended += usize::from(line["data"]["type"] == "end");
    }
    assert_eq!(server.seen("/v1/chat/completions").len(), 20);
    assert_eq!((server.seen("/v1/models/").len(), server.seen("/token").len()), (1, 1));
}

#[tokio::test]
async fn notices_a_changed_model_and_keeps_a_known_one() {
    let server = Server::start().await;
    let plugin = plugin();
    let schema = |credentials: Value| {
        request(&server, "get_ai_model_schemas", "chat-inline", credentials, json!({"model_type": "llm"}))
    };
    let features = |outcome: &Outcome| outcome.item()["model_schema"]["features"].clone();
    assert_eq!(
        features(&plugin.call(schema(json!({}))).await),
        json!(["tool-call", "multi-tool-call", "agent-thought"])
    );
    server.set_model(
        "chat-inline",
        json!({"model_type": "LLM", "model_ability": ["chat", "vision"], "context_length": 100_000}),
    );
    assert_eq!(features(&plugin.call(schema(json!({}))).await).as_array().unwrap().len(), 3, "cached");
    server.trouble(Trouble::Respond(404, "application/json", "{\"detail\":\"gone\"}".to_owned(), None));
    plugin.call(ask(&server, "chat-inline", "Hi", json!({}))).await.failure();
    let changed = plugin.call(schema(json!({}))).await;
    assert_eq!(features(&changed), json!(["vision"]));
    assert_eq!(changed.item()["model_schema"]["model_properties"]["context_size"], 100_000);
    // A known model stays known while its server does not respond.
    server.set_loading("chat-inline");
    server.trouble(Trouble::Respond(503, "application/json", "{\"detail\":\"loading\"}".to_owned(), None));
    plugin.call(ask(&server, "chat-inline", "Hi", json!({}))).await.failure();
    assert_eq!(features(&plugin.call(schema(json!({}))).await), json!(["vision"]));
}

#[tokio::test]
async fn unknown_abilities_fail_the_schema_but_not_requests() {
    let server = Server::start().await;
    let describe = |uid: &str, credentials: Value| {
        request(&server, "get_ai_model_schemas", uid, credentials, json!({"model_type": "llm"}))
    };
    let parameters = json!({"model_parameters": {"max_tokens": 8000, "temperature": 3, "enable_thinking": true}});
    // A server that does not respond, also with what an older installation stored.
    let stored =
        json!({"server_url": "http://127.0.0.1:1", "completion_type": "chat", "support_function_call": "true"});
    let silent = plugin().call(describe("chat-inline", stored)).await;
    check_failure(&silent, "InvokeConnectionError", &["the abilities of model `chat-inline` are unknown"]);
    let mut down = ask(&server, "chat-inline", "Hi", parameters.clone());
    down["credentials"]["server_url"] = json!("http://127.0.0.1:1");
    check_failure(&plugin().call(down).await, "InvokeConnectionError", &["cannot connect"]);
    server.set_loading("chat-reason");
    check_failure(
        &plugin().call(describe("chat-reason", json!({}))).await,
        "InvokeServerUnavailableError",
        &["loading"],
    );
    let loading = plugin().call(ask(&server, "chat-reason", "Hi", parameters.clone())).await;
    assert_eq!(loading.failure().0, "InvokeServerUnavailableError", "{:?}", loading.error);
    // Responses that describe nothing.
    for nothing in
        [json!({}), json!([]), json!(null), json!("Xinference"), json!({"detail": "gone"}), json!({"error": {}})]
    {
        server.set_model("nothing", nothing.clone());
        let outcome = plugin().call(describe("nothing", json!({}))).await;
        assert_eq!(outcome.failure().0, "InvokeServerUnavailableError", "{nothing}: {:?}", outcome.error);
    }
    // A length that the server does not report does not limit a request.
    server.set_model("chat-inline", json!({"model_type": "LLM", "model_ability": ["chat"]}));
    let long = json!({"model_parameters": {"max_tokens": 8000}});
    assert_eq!(plugin().call(ask(&server, "chat-inline", "Hi", long)).await.text(), HELLO);
}

#[tokio::test]
async fn does_not_immediately_retry_a_rejected_login_or_key() {
    let server = Server::start_with_key("xf-secret").await;
    let prompt = json!({"prompt_messages": [{"role": "user", "content": "Hi"}]});
    let call = |credentials: Value| request(&server, "invoke_llm", "chat-inline", credentials, prompt.clone());
    let provider = plugin();
    let wrong = json!({"username": "anna", "password": "hunter2", "max_retries": "3"});
    for _ in 0..4 {
        check_failure(&provider.call(call(wrong.clone())).await, "InvokeAuthorizationError", &["login failed"]);
    }
    assert_eq!(server.seen("/token").len(), 1);
    let right = json!({"username": "anna", "password": "right"});
    assert_eq!(provider.call(call(right)).await.text(), HELLO, "another password is another login");
    // Saving the form retries once.
    let form = request(&server, "validate_model_credentials", "chat-inline", wrong, json!({"model_type": "llm"}));
    check_failure(&provider.call(form).await, "CredentialsValidateFailedError", &["login failed"]);
    assert_eq!(server.seen("/token").len(), 3);
    let before = server.seen("/v1/").len();
    let outcome = provider.call(call(json!({"api_key": "wrong", "max_retries": "3"}))).await;
    check_failure(&outcome, "InvokeAuthorizationError", &["Could not validate credentials"]);
    assert_eq!(
        server.seen("/v1/").len(),
        before + 1,
        "a wrong key is one of the ten failures that ban a client address"
    );
}

#[tokio::test]
async fn tolerates_split_surrogates() {
    let server = Server::start().await;
    let mut data = ask(&server, "chat-inline", "MARK", json!({}));
    (data["user_id"], data["type"]) = (json!("u"), json!("model"));
    let line = json!({"session_id": "s", "event": "request", "data": data}).to_string();
    let plugin = plugin();
    let mut connection = plugin.connect();
    connection.send(&line.replace("MARK", r"a\ud83d b")).await;
    assert_eq!(connection.outcome("s").await.text(), HELLO);
    let sent = server.seen("/v1/chat/completions").pop().unwrap().body;
    assert_eq!(sent["messages"][0]["content"], "a\u{FFFD} b");
}

#[tokio::test]
async fn maps_errors_of_the_server() {
    let server = Server::start().await;
    let html = "<html><head><title>502 Bad Gateway</title></head></html>".to_owned();
    let cases = [
        (
            400,
            "application/json",
            "{\"detail\":\"[address=1:2, pid=3] bad prompt\"}",
            "InvokeBadRequestError",
            "bad prompt",
        ),
        (401, "application/json", "{\"detail\":\"API key has expired\"}", "InvokeAuthorizationError", "expired"),
        (
            403,
            "application/json",
            "{\"detail\":\"API key does not have access to model: m\"}",
            "InvokeAuthorizationError",
            "access",
        ),
        (413, "text/plain", "Request Entity Too Large", "InvokeBadRequestError", "Too Large"),
        (429, "application/json", "{\"detail\":\"Rate limit reached\"}", "InvokeRateLimitError", "Rate limit"),
        (
            500,
            "application/json",
            "{\"detail\":\"[address=1:2, pid=3] out of memory\"}",
            "InvokeServerUnavailableError",
            "out of memory",
        ),
        (502, "text/html", html.as_str(), "InvokeServerUnavailableError", "502 Bad Gateway"),
        (
            503,
            "application/json",
            "{\"error\":{\"message\":\"no runtime\",\"type\":\"router\"}}",
            "InvokeServerUnavailableError",
            "no runtime",
        ),
        (200, "text/html", html.as_str(), "InvokeServerUnavailableError", "web page or a proxy"),
        (
            200,
            "text/event-stream",
            "data: {\"error\": \"[address=1:2, pid=3] actor died\"}\r\n\r\n",
            "InvokeServerUnavailableError",
            "actor died",
        ),
        (200, "text/event-stream", "", "InvokeServerUnavailableError", "without a response"),
    ];
    for (status, content_type, body, kind, words) in cases {
        server.trouble(Trouble::Respond(status, content_type, body.to_owned(), None));
        let outcome = plugin().call(ask(&server, "chat-inline", "Hi", json!({}))).await;
        check_failure(&outcome, kind, &[words]);
        let (_, message) = outcome.failure();
        assert!(!message.contains("address="), "{message}");
    }
    assert_eq!(server.seen("/v1/chat/completions").len(), cases.len(), "none was retried");
    check_failure(
        &plugin().call(ask(&server, "minilm", "Hi", json!({}))).await,
        "InvokeBadRequestError",
        &["`minilm` has type text-embedding, expected llm"],
    );
}

#[tokio::test]
async fn a_broken_connection_ends_one_session_only() {
    let server = Server::start().await;
    let plugin = plugin();
    let mut connection = plugin.connect();
    server.trouble(Trouble::Cut(900));
    connection.request("broken", ask(&server, "chat-inline", "Hi", json!({}))).await;
    let broken = connection.outcome("broken").await;
    assert_eq!(broken.failure().0, "InvokeConnectionError");
    assert!(!broken.items.is_empty(), "earlier text is delivered");
    assert_eq!(server.seen("/v1/chat/completions").len(), 1, "no retry after the first byte");
    connection.request("whole", ask(&server, "chat-inline", "Hi", json!({}))).await;
    assert_eq!(connection.outcome("whole").await.text(), HELLO);
}

#[tokio::test]
async fn timeouts_and_retries_follow_the_credentials() {
    let server = Server::start().await;
    let call = |credentials: Value| {
        request(
            &server,
            "invoke_llm",
            "chat-inline",
            credentials,
            json!({"prompt_messages": [{"role": "user", "content": "Hi"}]}),
        )
    };
    server.trouble(Trouble::Hang);
    check_failure(&plugin().call(call(json!({"invoke_timeout": "0.5"}))).await, "InvokeConnectionError", &["0.5 s"]);
    for _ in 0..2 {
        server.trouble(Trouble::Respond(503, "application/json", "{\"detail\":\"busy\"}".to_owned(), Some("0")));
    }
    assert_eq!(plugin().call(call(json!({"max_retries": "2"}))).await.text(), HELLO);
    let before = server.seen("/v1/chat/completions").len();
    server.trouble(Trouble::Respond(500, "application/json", "{\"detail\":\"boom\"}".to_owned(), None));
    plugin().call(call(json!({"max_retries": "3"}))).await.failure();
    server.trouble(Trouble::Respond(503, "application/json", "{\"detail\":\"loading\"}".to_owned(), Some("30")));
    plugin().call(call(json!({"max_retries": "3"}))).await.failure();
    assert_eq!(
        server.seen("/v1/chat/completions").len(),
        before + 2,
        "neither a deterministic failure nor a long wait is retried"
    );
}

#[tokio::test]
async fn leaves_out_and_remembers_rejected_members() {
    let server = Server::start().await;
    let no = "{\"detail\":\"stream_options is not supported\"}".to_owned();
    server.trouble(Trouble::Respond(400, "application/json", no, None));
    server.trouble(Trouble::Respond(
        200,
        "application/json",
        String::from_utf8(server::recorded("chat-inline_sync.body")).unwrap(),
        None,
    ));
    let outcome = plugin().call(ask(&server, "chat-inline", "Hi", json!({}))).await;
    assert_eq!(outcome.text(), HELLO, "a plain document instead of a stream");
    let sent: Vec<bool> =
        server.seen("/v1/chat/completions").iter().map(|seen| seen.body.get("stream_options").is_some()).collect();
    assert_eq!(sent, [true, false]);
}

/// Thoughts without an opening tag are shown immediately if they are known to be thoughts. A response that is
/// interrupted
/// within them shows them as thoughts before its error.
#[tokio::test]
async fn shows_thoughts_without_an_opening_tag_immediately() {
    let server = Server::start().await;
    let plugin = plugin();
    let model = |uid: &str, family: &str, abilities: Value| {
        let description = json!({"model_type": "LLM", "model_name": family, "model_family": family,
            "model_ability": abilities, "model_engine": "vLLM", "context_length": 8192});
        server.set_model(uid, description);
    };
    let (always, hybrid) = (json!(["chat", "reasoning"]), json!(["chat", "reasoning", "hybrid"]));
    model("always", "QwQ-32B", always.clone());
    model("known", "qwen3.5", hybrid.clone());
    model("learnt", "of my own", hybrid.clone());
    model("default", "glm-4.7", hybrid);
    model("plain", "QwQ-32B", always);
    let say = async |uid: &str, parameters: Value, text: &str, reason: Value| {
        let events = [json!({"content": text}), json!({})].map(|delta| {
            let reason = if delta == json!({}) { reason.clone() } else { Value::Null };
            format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}))
        });
        server.trouble(Trouble::Respond(200, "text/event-stream", events.concat(), None));
        plugin.call(ask(&server, uid, "Hi", json!({"stream": true, "model_parameters": parameters}))).await
    };
    let (on, unset) = (json!({"enable_thinking": true}), json!({}));
    let (whole, thoughts) = ("hm, well</think>Hello", "<think>\nhm, well\n</think>");
    for (uid, parameters, before) in [
        ("always", &unset, None),
        ("known", &on, None),
        ("learnt", &on, Some(whole)),
        ("default", &unset, Some(whole)),
        ("default", &json!({"think": true}), None),
    ] {
        if let Some(text) = before {
            let first = say(uid, parameters.clone(), text, json!("stop")).await;
            assert_eq!(first.text(), format!("{thoughts}Hello"), "{uid}");
        }
        let broken = say(uid, parameters.clone(), "hm, well", Value::Null).await;
        let shown: String =
            broken.items.iter().filter_map(|item| item["delta"]["message"]["content"].as_str()).collect();
        assert_eq!((shown.as_str(), broken.error.is_some()), (thoughts, true), "{uid} {parameters}");
    }
    // A response without thoughts is shown as the response, completely.
    let response = say("plain", unset.clone(), "Hello", json!("stop")).await;
    assert_eq!(response.text(), "<think>\nHello\n</think>Hello");
    model("other", "glm-4.7", json!(["chat", "reasoning", "hybrid"]));
    for _ in 0..2 {
        assert_eq!(say("other", unset.clone(), "Hello", json!("stop")).await.text(), "Hello");
    }
}

#[tokio::test]
async fn counts_tokens_without_the_server() {
    let server = Server::start().await;
    server.stop_model("chat-inline");
    let count = request(
        &server,
        "get_llm_num_tokens",
        "chat-inline",
        json!({}),
        json!({"prompt_messages": [{"role": "user", "content": "How are you today?"}]}),
    );
    let tokens = plugin().call(count).await.item()["num_tokens"].as_u64().unwrap();
    assert!((5..20).contains(&tokens), "{tokens}");
}
