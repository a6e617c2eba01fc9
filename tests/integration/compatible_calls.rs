//! Calls of models other than language models at a compatible upstream: what is sent by a form, in which requests, and
//! what is made of the responses.

use std::sync::Arc;

use crate::support::scripted;
use dify_plugin::protocol::MultimodalContent;
use dify_plugin::upstream::{NoAuthorization, RetryPolicy, Upstream};
use dify_plugin_runtime::dialect::openai::BaseUrl;
use dify_plugin_runtime::dialect::wav::silence;
use dify_plugin_runtime::providers::compatible::audio::{self, SpeechCall, TranscriptionCall};
use dify_plugin_runtime::providers::compatible::embeddings::{self, EmbeddingCall};
use dify_plugin_runtime::providers::compatible::moderation::{self, ModerationCall};
use dify_plugin_runtime::providers::compatible::rerank::{self, RerankCall};
use dify_plugin_runtime::providers::compatible::{Action, Endpoint};
use futures_util::StreamExt;
use scripted::{Scripted, Step, answer};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn form<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn responses(bodies: &[Value]) -> Vec<Vec<Step>> {
    bodies.iter().map(|body| answer("200 OK", "content-type: application/json\r\n", &body.to_string())).collect()
}

fn endpoint(server: &Scripted) -> Endpoint {
    let base = BaseUrl::parse(&format!("{}/v1", server.url), "url").unwrap();
    Endpoint { retry: RetryPolicy::never(), ..Endpoint::new(base, Arc::new(NoAuthorization)) }
}

/// Path and body of each request.
fn sent(server: &Scripted) -> Vec<(String, Value)> {
    let parts = |request: String| {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let path = head.split(' ').nth(1).unwrap().to_owned();
        (path, serde_json::from_str(body).unwrap_or_else(|_| body.into()))
    };
    server.requests().into_iter().map(parts).collect()
}

#[tokio::test]
async fn every_action_has_its_path_or_its_own_url() {
    let server = Scripted::start(responses(&[json!({})])).await;
    let mut endpoint = endpoint(&server);
    let url = |endpoint: &Endpoint, action| endpoint.url(action).to_string().replace(&server.url, "");
    for (action, path) in [
        (Action::Chat, "/v1/chat/completions"),
        (Action::Completion, "/v1/completions"),
        (Action::Embeddings, "/v1/embeddings"),
        (Action::Rerank, "/v1/rerank"),
        (Action::Speech, "/v1/audio/speech"),
        (Action::Transcription, "/v1/audio/transcriptions"),
        (Action::Translation, "/v1/audio/translations"),
        (Action::Moderation, "/v1/moderations"),
        (Action::Models, "/v1/models"),
    ] {
        assert_eq!(url(&endpoint, action), path);
    }
    endpoint.urls.insert(Action::Rerank, "https://other.example/rank".parse().unwrap());
    assert_eq!(url(&endpoint, Action::Rerank), "https://other.example/rank");
    assert_eq!(url(&endpoint, Action::Chat), "/v1/chat/completions");
    let endpoint = endpoint.with_only_path("own/path");
    assert!(Action::ALL.into_iter().all(|action| url(&endpoint, action) == "/v1/own/path"));
}

/// Texts and images of vLLM's form are sent differently, and their embeddings come back in the order of the inputs.
#[tokio::test]
async fn images_in_messages_keep_their_place_among_texts() {
    let vector = |number: f32| json!({"data": [{"embedding": [number]}], "usage": {"total_tokens": 5}});
    let texts = json!({"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}], "usage": {"total_tokens": 7}});
    let server = Scripted::start(responses(&[texts, vector(10.0), vector(20.0)])).await;
    let call = EmbeddingCall {
        model: "m".to_owned(),
        form: form(json!({"multimodal": "messages", "parallel": 1, "prefix": {"document": "passage:"}})),
        context_size: Some(100),
        ..EmbeddingCall::default()
    };
    let inputs = vec![
        MultimodalContent::image("/9j/first"),
        MultimodalContent::text("a"),
        MultimodalContent::text("b"),
        MultimodalContent::image("https://example.com/second.png"),
    ];
    let found = embeddings::contents(&Upstream::new(), &endpoint(&server), &call, inputs).await.unwrap();
    assert_eq!(found.vectors, [[10.0], [1.0], [2.0], [20.0]]);
    assert_eq!(found.counted, Some(17));
    let sent = sent(&server);
    assert_eq!(sent[0].1, json!({"model": "m", "input": ["passage: a", "passage: b"]}));
    for ((_, body), url) in sent[1..].iter().zip(["data:image/jpeg;base64,/9j/first", "https://example.com/second.png"])
    {
        assert_eq!(body["messages"][1]["content"][0]["image_url"]["url"], url);
        assert_eq!((&body["continue_final_message"], &body["input"]), (&json!(true), &Value::Null));
    }
    // Without a form for images there is an error and no request.
    let server = Scripted::start(responses(&[json!({})])).await;
    let call = EmbeddingCall::default();
    let inputs = vec![MultimodalContent::text("a"), MultimodalContent::image("/9j/first")];
    let error = embeddings::contents(&Upstream::new(), &endpoint(&server), &call, inputs).await.unwrap_err();
    assert!(error.message.contains("of texts only"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn texts_are_cut_and_sent_as_the_form_says() {
    let one = json!({"data": [{"embedding": [1.0]}]});
    for (of, expected) in [
        (json!({"input": "single", "parallel": 1}), vec![json!("one two three "), json!("."), json!("c")]),
        (json!({"batch": 1, "parallel": 1}), vec![json!(["one two three "]), json!(["."]), json!(["c"])]),
        (
            json!({"batch": 1, "parallel": 1, "cut": false}),
            vec![json!(["one two three four five six"]), json!(["."]), json!(["c"])],
        ),
    ] {
        let server = Scripted::start(responses(std::slice::from_ref(&one))).await;
        let call = EmbeddingCall {
            form: form(of.clone()),
            max_chunks: Some(8),
            context_size: Some(3),
            ..EmbeddingCall::default()
        };
        let texts = ["one two three four five six", " ", "c"].map(str::to_owned).to_vec();
        let found = embeddings::texts(&Upstream::new(), &endpoint(&server), &call, texts).await.unwrap();
        assert_eq!((found.vectors.len(), found.counted), (3, None), "{of}");
        assert!(found.tokens() > 0);
        let inputs: Vec<Value> = sent(&server).into_iter().map(|(_, body)| body["input"].clone()).collect();
        assert_eq!(inputs, expected, "{of}");
    }
}

#[tokio::test]
async fn rankings_in_batches_are_one_ranking() {
    let first = json!({"rankings": [{"index": 2, "logit": 0.0}, {"index": 1, "logit": 2.0}]});
    let second = json!({"rankings": [{"index": 1, "logit": 1.0}]});
    let server = Scripted::start(responses(&[first, second])).await;
    let call = RerankCall {
        model: "m".to_owned(),
        form: form(json!({
            "batch": 2, "query": "object", "documents": "passages", "objects": true, "top_n": "top_k",
            "results": "rankings", "score": "logit", "scores": "sigmoid", "first_index": 1,
        })),
        threshold: Some(0.6),
        top_n: Some(2),
    };
    let texts = ["a", "b", "c"].map(str::to_owned).to_vec();
    let ranked = rerank::texts(&Upstream::new(), &endpoint(&server), &call, "q".to_owned(), texts).await.unwrap();
    let found: Vec<(usize, &str)> = ranked.iter().map(|ranked| (ranked.index, ranked.text.as_str())).collect();
    assert_eq!(found, [(0, "a"), (2, "c")]);
    let sent = sent(&server);
    let body = json!({"model": "m", "query": {"text": "q"}, "passages": [{"text": "a"}, {"text": "b"}], "top_k": 2});
    assert_eq!(sent[0], ("/v1/rerank".to_owned(), body));
    assert_eq!(sent[1].1, json!({"model": "m", "query": {"text": "q"}, "passages": [{"text": "c"}], "top_k": 1}));
}

#[tokio::test]
async fn moderation_ends_with_the_first_unsafe_segment() {
    let verdict = |flagged: &[bool]| json!({"results": flagged.iter().map(|flagged| json!({"flagged": flagged})).collect::<Vec<_>>()});
    let text = "One. Two. Three. Four. Five. Six.";
    for (answers, expected, requests) in [
        (vec![verdict(&[false, false])], Ok(false), 3),
        (vec![verdict(&[false, false]), verdict(&[false, true]), verdict(&[false, false])], Ok(true), 2),
        (vec![verdict(&[false])], Err("1 results for 2 texts"), 1),
        (vec![json!({"error": {"message": "no such model"}})], Err("no such model"), 1),
    ] {
        let server = Scripted::start(responses(&answers)).await;
        let call = ModerationCall {
            model: "m".to_owned(),
            form: form(json!({"batch": 2})),
            max_characters: Some(7),
            max_chunks: Some(9),
        };
        let found = moderation::is_unsafe(&Upstream::new(), &endpoint(&server), &call, text).await;
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(*found, expected),
            (Err(error), Err(words)) => assert!(error.message.contains(words), "{error}"),
            _ => panic!("{answers:?}: {found:?}"),
        }
        let sent = sent(&server);
        assert_eq!(sent.len(), requests, "{answers:?}");
        assert_eq!(sent[0].0, "/v1/moderations");
        assert_eq!(sent[0].1["input"].as_array().unwrap().len(), 2);
    }
    let server = Scripted::start(responses(&[json!({})])).await;
    let blank = moderation::is_unsafe(&Upstream::new(), &endpoint(&server), &ModerationCall::default(), " \n").await;
    assert!(!blank.unwrap() && server.requests().is_empty());
}

#[tokio::test]
async fn transcriptions_send_the_fields_of_the_form() {
    let server = Scripted::start(responses(&[json!({"text": "Hello"})])).await;
    let call = TranscriptionCall {
        model: "m".to_owned(),
        form: form(json!({"language": "de", "fields": {"chunking_strategy": "auto"}})),
        file_upload_limit: Some(1),
        translate: false,
    };
    let (upstream, endpoint) = (Upstream::new(), endpoint(&server));
    assert_eq!(audio::transcribe(&upstream, &endpoint, &call, silence()).await.unwrap(), "Hello");
    let request = server.requests().remove(0);
    assert!(request.starts_with("POST /v1/audio/transcriptions "));
    for field in ["\"model\"\r\n\r\nm\r\n", "\"language\"\r\n\r\nde\r\n", "\"chunking_strategy\"\r\n\r\nauto\r\n"] {
        assert!(request.contains(field), "{field}: {request}");
    }
    assert!(!request.contains("response_format") && !request.contains("\"prompt\""), "{request}");
    let large = vec![b'x'; 1024 * 1024 + 1];
    let error = audio::transcribe(&upstream, &endpoint, &call, large.clone()).await.unwrap_err();
    assert!(error.message.contains("at most 1048576 bytes"), "{error}");
    // The form's own limit wins; what is no audio is still an error.
    let call = TranscriptionCall { form: form(json!({"longest_file": 2})), ..call };
    let error = audio::transcribe(&upstream, &endpoint, &call, large).await.unwrap_err();
    assert!(!error.message.contains("at most"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn speech_follows_the_form_before_the_model() {
    for (of, expected) in [
        (json!({}), json!({"model": "m", "input": "One. Two.", "voice": "v", "response_format": "wav"})),
        (
            json!({"voice": false, "format": "mp3"}),
            json!({"model": "m", "input": "One. Two.", "response_format": "mp3"}),
        ),
        (
            json!({"voice": "w", "stream": false, "body": {"speed": 2}}),
            json!({"model": "m", "input": "One. Two.", "voice": "w", "response_format": "wav", "stream": false, "speed": 2}),
        ),
    ] {
        let server = Scripted::start(vec![answer("200 OK", "content-type: audio/mpeg\r\n", "ID3\u{4}audio")]).await;
        let call = SpeechCall {
            model: "m".to_owned(),
            form: form(of.clone()),
            voice: Some("v".to_owned()),
            audio_type: Some("wav".to_owned()),
            word_limit: Some(100),
        };
        let mut audio = audio::speak(Upstream::new(), endpoint(&server), call, "One. Two.".to_owned());
        while let Some(chunk) = audio.next().await {
            chunk.unwrap();
        }
        assert_eq!(sent(&server), [("/v1/audio/speech".to_owned(), expected)], "{of}");
    }
}
