//! Every other route: models, embeddings, rerank, audio, moderations, and HTTP itself.

use base64::Engine;
use dify_plugin::testing::Answer;
use serde_json::json;

use crate::support::{call, host, post, request, send, text};

#[tokio::test]
async fn models_are_listed_by_their_public_names() {
    let host = host();
    let (status, body) = send(&host, request("GET", "/v1/models", "")).await;
    let names: Vec<&str> = body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(
        (status, names),
        (200, vec!["chat", "embed", "speak", "listen", "judge", "app", "workflow", "small", "rank", "write"])
    );
    let (status, body) = send(&host, request("GET", "/v1/models/small", "")).await;
    assert_eq!(
        (status, body),
        (200, json!({"id": "small", "object": "model", "created": 0, "owned_by": "acme/models/acme"}))
    );
    let (status, body) = send(&host, request("GET", "/v1/models/other", "")).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("model_not_found")));
}

#[tokio::test]
async fn vectors_are_floats_or_base64() {
    let host = host().on_embedding(|call| {
        let texts = call.request["texts"].as_array().unwrap().len();
        let vectors: Vec<_> = (0..texts).map(|index| json!([index as f64, 0.5])).collect();
        Answer::data(json!({"model": "embed", "embeddings": vectors, "usage": {"tokens": 4, "total_tokens": 4}}))
    });
    let (status, body) = send(&host, post("/v1/embeddings", &json!({"model": "embed", "input": ["a", "b"]}))).await;
    assert_eq!((status, &body["data"][1]["embedding"], &body["model"]), (200, &json!([1.0, 0.5]), &json!("embed")));
    assert_eq!(body["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));
    let (_, body) =
        send(&host, post("/v1/embeddings", &json!({"model": "embed", "input": "a", "encoding_format": "base64"})))
            .await;
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(body["data"][0]["embedding"].as_str().unwrap()).unwrap();
    assert_eq!(bytes, [0f32.to_le_bytes(), 0.5f32.to_le_bytes()].concat());
    let (status, body) = send(&host, post("/v1/embeddings", &json!({"model": "embed", "input": [[1, 2]]}))).await;
    assert!(status == 400 && body["error"]["message"].as_str().unwrap().contains("check_embedding_ctx_length"));
}

#[tokio::test]
async fn documents_are_ranked() {
    let host = host().on_rerank(|call| {
        assert_eq!(
            (&call.request["query"], &call.request["docs"], &call.request["top_n"]),
            (&json!("q"), &json!(["a", "b"]), &json!(1))
        );
        Answer::data(json!({"model": "rank", "docs": [{"index": 1, "text": "b", "score": 0.9}]}))
    });
    let body =
        json!({"model": "rank", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": true});
    let (status, body) = send(&host, post("/v1/rerank", &body)).await;
    let results = json!([{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]);
    assert_eq!((status, &body["results"]), (200, &results));
}

#[tokio::test]
async fn speech_is_the_audio_of_the_model() {
    let host = host().on_tts(|call| {
        assert_eq!((call.text("content_text"), call.text("model")), ("Hello", "speak"));
        Answer::stream([json!({"result": "494433"}), json!({"result": "0405"})])
    });
    let response =
        call(&host, post("/v1/audio/speech", &json!({"model": "speak", "input": "Hello", "voice": "alloy"})))
            .await
            .unwrap();
    assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"ID3\x04\x05"[..]));
    assert_eq!(response.headers()["content-type"], "audio/mpeg");
    assert_eq!(host.calls()[0].text("voice"), "alloy");
    call(&host, post("/v1/audio/speech", &json!({"model": "speak", "input": "Hello"}))).await.unwrap();
    assert_eq!(host.calls()[1].text("voice"), "nova");
}

fn form(fields: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        let file = if *name == "file" { "; filename=\"a.wav\"" } else { "" };
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n")
    };
    fields.iter().map(part).collect::<String>() + "--b--\r\n"
}

#[tokio::test]
async fn recordings_are_transcribed() {
    let host = host().on_speech2text(|call| {
        assert_eq!(call.text("file"), "52494646");
        "Hello"
    });
    let upload = |fields: &[(&str, &str)]| {
        let mut request = request("POST", "/v1/audio/transcriptions", form(fields));
        request.headers_mut().insert("content-type", "multipart/form-data; boundary=b".parse().unwrap());
        request
    };
    let (status, body) =
        send(&host, upload(&[("file", "RIFF"), ("model", "listen"), ("language", "en"), ("temperature", "0")])).await;
    assert_eq!((status, body), (200, json!({"text": "Hello"})));
    let (status, body) =
        send(&host, upload(&[("file", "RIFF"), ("model", "listen"), ("response_format", "text")])).await;
    assert_eq!((status, body), (200, json!("Hello\n")));
    let fields = [("file", "RIFF"), ("model", "listen"), ("response_format", "verbose_json"), ("language", "en")];
    let (_, body) = send(&host, upload(&fields)).await;
    assert_eq!(body, json!({"task": "transcribe", "language": "en", "text": "Hello", "segments": []}));
    for (fields, param) in [
        (&[("model", "listen")][..], "file"),
        (&[("file", "RIFF")], "model"),
        (&[("file", "RIFF"), ("model", "listen"), ("response_format", "srt")], "response_format"),
        (&[("file", "RIFF"), ("model", "other")], "model"),
    ] {
        let (status, body) = send(&host, upload(fields)).await;
        assert!([400, 404].contains(&status) && body["error"]["param"] == *param, "{body}");
    }
    for content_type in ["application/json", "multipart/form-data", "multipart/form-data; boundary=other"] {
        let mut request = upload(&[("file", "RIFF"), ("model", "listen")]);
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        let (status, body) = send(&host, request).await;
        assert!(status == 400 && body["error"]["message"].as_str().unwrap().contains("form"), "{body}");
    }
}

#[tokio::test]
async fn a_dify_that_decodes_audio_twice_gets_it_encoded_twice() {
    for error in ["Odd-length string", "Non-hexadecimal digit found"] {
        let host = host().on_speech2text(move |call| match call.text("file") {
            "52494646" => Answer::error(format!("invoke speech2text model failed: request failed: {error}")),
            file => Answer::text(file),
        });
        let mut request = request("POST", "/v1/audio/transcriptions", form(&[("file", "RIFF"), ("model", "listen")]));
        request.headers_mut().insert("content-type", "multipart/form-data; boundary=b".parse().unwrap());
        let (status, body) = send(&host, request).await;
        assert_eq!((status, body), (200, json!({"text": "3532343934363436"})));
    }
}

#[tokio::test]
async fn texts_are_moderated() {
    let host = host().on_moderation(|call| Answer::data(json!({"result": call.text("text") == "bad"})));
    let (status, body) =
        send(&host, post("/v1/moderations", &json!({"model": "judge", "input": ["good", "bad", "fine"]}))).await;
    let flagged: Vec<bool> =
        body["results"].as_array().unwrap().iter().map(|result| result["flagged"].as_bool().unwrap()).collect();
    assert_eq!((status, flagged), (200, vec![false, true, false]));
}

#[tokio::test]
async fn what_does_not_exist_is_an_error_object() {
    let host = host();
    for (method, path, status) in [
        ("GET", "/", 404),
        ("POST", "/v1/images/generations", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/models/chat", 405),
    ] {
        let (found, body) = send(&host, request(method, path, "")).await;
        assert_eq!((found, &body["error"]["type"]), (status, &json!("invalid_request_error")), "{method} {path}");
    }
    // A client's first contact: no body, and the ID of the request in a header.
    let response = call(&host, request("HEAD", "/v1/models", "")).await.unwrap();
    assert_eq!((response.status().as_u16(), text(&response).as_str()), (200, ""));
    assert!(response.headers().contains_key("x-request-id"));
}
