//! Responses and requests of embedding models as tables.

use serde_json::{Value, json};

use super::*;
use dify_plugin::protocol::EmbeddingInputType;

fn read(json: &str, texts: usize) -> Result<(Vec<Vec<f32>>, Option<u64>), String> {
    EmbeddingResponse::read(json).and_then(|response| response.into_vectors(texts)).map_err(|error| error.message)
}

#[test]
fn returns_embeddings_in_the_order_of_the_texts() {
    let (vectors, tokens) = read(
        r#"{"data":[{"index":1,"embedding":[2.0]},{"index":0,"embedding":"AACAPw=="}],"usage":{"prompt_tokens":5,"total_tokens":7}}"#,
        2,
    )
    .unwrap();
    assert_eq!((vectors, tokens), (vec![vec![1.0], vec![2.0]], Some(7)));
    let same_index = r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}],"usage":""}"#;
    assert_eq!(read(same_index, 2).unwrap(), (vec![vec![1.0], vec![2.0]], None));
    let odd = r#"{"data":[{"index":"1","embedding":[1],"object":7},null,{"index":0.0,"embedding":[2]}],"data2":[{}]}"#;
    assert_eq!(read(odd, 2).unwrap().0, [[2.0], [1.0]]);
    assert_eq!(read(r#"{"data":[]}"#, 0).unwrap(), (vec![], None));
    assert_eq!(read(r#"{"data":[{"embedding":[1]}]}"#, 1).unwrap(), (vec![vec![1.0]], None));
}

#[test]
fn rejects_invalid_responses() {
    let cases = [
        (r#"{"data":[{"embedding":[1]}]}"#, 2, "1 embeddings for 2 texts"),
        (
            r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]},{"index":1,"embedding":[1]}]}"#,
            3,
            "text 0 twice",
        ),
        (r#"{"data":[{"embedding":[null]}]}"#, 1, "cannot read"),
        (r#"{"data":[{"embedding":[NaN]}]}"#, 1, "cannot read"),
        (r#"{"data":[{"embedding":"AADAfw=="}]}"#, 1, "not a number"),
        (r#"{"data":[{"embedding":[[1,2]]}]}"#, 1, "cannot read"),
        (r#"{"data":null}"#, 1, "no embeddings"),
        (r#"{"ok":true}"#, 1, "no embeddings"),
        (r#"[]"#, 1, "no embeddings"),
        (r#"{"data":[{"index":4,"embedding":[1]}]}"#, 1, "text 4, but only 1"),
        (r#"{"data":[{"embedding":[]}]}"#, 1, "is empty"),
        (r#"{"data":[{"embedding":{"12":0.5}}]}"#, 1, "sparse"),
        (r#"{"data":[{"embedding":"AAA="}]}"#, 1, "32-bit"),
    ];
    for (json, texts, expected) in cases {
        let error = read(json, texts).unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn limits_the_size_of_unrequested_embeddings() {
    let many = |piece: &str| format!(r#"{{"data":[{}{piece}]}}"#, format!("{piece},").repeat(200_000));
    let error = read(&many(r#"{"embedding":[0]}"#), 1).unwrap_err();
    assert!(error.contains("65536 embeddings for 1 texts"), "{error}");
    let long = format!(r#"{{"data":[{{"embedding":[0{}]}}]}}"#, ",0".repeat(MAX_DIMENSIONS));
    assert!(read(&long, 1).unwrap_err().contains("more than 65536 numbers"));
    assert_eq!((max_response_bytes(1), max_response_bytes(usize::MAX)), (2 << 20, 64 << 20));
}

fn form(value: Value) -> EmbeddingForm {
    serde_json::from_value(value).unwrap()
}

#[test]
fn requests_follow_the_form() {
    use EmbeddingInputType::{Document, Query};
    let task = json!({"input_type": {"field": "task", "query": "retrieval.query", "document": "retrieval.passage"}});
    for (of, purpose, expected) in [
        (json!({}), Query, json!({"model": "m", "input": ["a", "b"]})),
        (
            json!({"format": "float", "user": true}),
            Document,
            json!({"model": "m", "input": ["a", "b"], "encoding_format": "float", "user": "u"}),
        ),
        (
            json!({"format": "base64"}),
            Document,
            json!({"model": "m", "input": ["a", "b"], "encoding_format": "base64"}),
        ),
        (json!({"format": "not_set"}), Document, json!({"model": "m", "input": ["a", "b"]})),
        (task.clone(), Query, json!({"model": "m", "input": ["a", "b"], "task": "retrieval.query"})),
        (task, Document, json!({"model": "m", "input": ["a", "b"], "task": "retrieval.passage"})),
        (
            json!({"body": {"output_dimension": 8, "model": "other"}}),
            Document,
            json!({"model": "other", "input": ["a", "b"], "output_dimension": 8}),
        ),
    ] {
        let body = form(of.clone()).request("m", vec!["a".into(), "b".into()], Some("u"), purpose);
        assert_eq!(Value::Object(body), expected, "{of}");
    }
    let single = form(json!({"input": "single", "user": true}));
    let body = single.request("m", vec!["a".into()], Some(""), Document);
    assert_eq!(Value::Object(body), json!({"model": "m", "input": "a"}));
    assert_eq!(single.batch_size(Some(8)), 1);
    let objects = form(json!({"input": "objects"}));
    let body = objects.request("m", objects.inputs(vec!["a".to_owned(), "b".to_owned()]), None, Document);
    assert_eq!(Value::Object(body), json!({"model": "m", "input": [{"text": "a"}, {"text": "b"}]}));
    assert_eq!(objects.batch_size(Some(8)), 8);
    assert_eq!(single.inputs(vec!["a".to_owned()]), ["a"]);
}

#[test]
fn images_are_sent_in_messages() {
    let of = form(json!({"multimodal": "messages", "format": "float", "body": {"add_special_tokens": false}}));
    let body = of.image_request("m", "/9j/4AAQ".to_owned(), None, EmbeddingInputType::Document);
    let text = |text: &str| json!({"type": "text", "text": text});
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AAQ"}});
    assert_eq!(
        Value::Object(body),
        json!({
            "model": "m",
            "messages": [
                {"role": "system", "content": [text("Represent the user's input.")]},
                {"role": "user", "content": [image, text("")]},
                {"role": "assistant", "content": [text("")]},
            ],
            "encoding_format": "float",
            "add_special_tokens": false,
            "continue_final_message": true,
        })
    );
}

#[test]
fn forms_have_defaults_of_the_model_and_their_own() {
    let plain = form(json!({}));
    assert_eq!(plain, EmbeddingForm::default());
    assert_eq!((plain.batch_size(None), plain.batch_size(Some(3)), plain.batch_size(Some(0))), (16, 3, 1));
    assert_eq!(plain.parallel_requests(), 4);
    let own = form(json!({"batch": 5, "parallel": 1, "prefix": {"query": "search:", "document": ""}}));
    assert_eq!((own.batch_size(Some(3)), own.parallel_requests()), (5, 1));
    assert_eq!(own.prefixed("a".to_owned(), EmbeddingInputType::Query), "search: a");
    assert_eq!(own.prefixed("a".to_owned(), EmbeddingInputType::Document), "a");
    for (odd, words) in [
        (json!({"batches": 1}), "unknown field `batches`"),
        (json!({"batch": 0}), "nonzero"),
        (json!({"format": "int8"}), "unknown variant `int8`"),
        (json!({"input_type": {"field": "task"}}), "missing field `query`"),
        (json!({"prefix": {"queries": "x"}}), "unknown field `queries`"),
        (json!({"multimodal": "files"}), "unknown variant"),
    ] {
        let error = serde_json::from_value::<EmbeddingForm>(odd).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// An odd value of a member changes nothing, unless it is the index or the embedding: then there is an error, or the
/// order of the texts.
#[test]
fn odd_members_affect_only_themselves() {
    const ODD: [&str; 10] = ["null", "true", "-1", "0.5", "1e300", "\"\"", "\"x\"", "[]", "{}", "{\"a\":[{\"b\":1}]}"];
    let response = json!({"object": "list", "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}, "data": [
        {"object": "embedding", "index": 0, "embedding": [1.0, 2.0]},
        {"object": "embedding", "index": 1, "embedding": [3.0, 4.0]},
    ]});
    let good = vec![vec![1.0, 2.0], vec![3.0, 4.0]];
    for at in [
        "/object",
        "/model",
        "/usage",
        "/usage/prompt_tokens",
        "/usage/total_tokens",
        "/data/0/object",
        "/data/0/index",
        "/data/0/embedding",
        "/data/0/embedding/1",
        "/data/0",
        "/data",
    ] {
        for odd in ODD {
            let mut response = response.clone();
            *response.pointer_mut(at).unwrap() = json!("the place");
            let found = read(&response.to_string().replace("\"the place\"", odd), 2).map(|found| found.0);
            match at {
                "/data/0/embedding" | "/data" | "/data/0" => assert!(found.is_err(), "{at} as {odd}: {found:?}"),
                "/data/0/embedding/1" => match odd {
                    "-1" | "0.5" => assert_eq!(found.as_ref().map(|found| &found[1]), Ok(&good[1]), "{at} as {odd}"),
                    _ => assert!(found.is_err(), "{at} as {odd}: {found:?}"),
                },
                "/data/0/index" => {
                    assert!(found.as_ref().map_or(true, |found| found == &good), "{at} as {odd}: {found:?}")
                }
                _ => assert_eq!(found.as_ref(), Ok(&good), "{at} as {odd}"),
            }
        }
    }
}
