//! Gemini's embeddings in complete sessions: task prefixes, batches, order, long texts, images, dimensions, the forms
//! of Vertex AI.

use crate::support::{google, google_api as api, google_setup as setup, harness};
use api::vector;
use google::{API_KEY, Google, refusal};
use harness::Outcome;
use serde_json::{Value, json};
use setup::{plugin, request, vertex};

/// The beginning of a one-pixel image.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ";
const JPEG: &str = "/9j/4AAQSkZJRgABAQEAYABgAAD/2wBDAAgGBgcGBQgHBwcJCQgK";

fn key(more: Value) -> Value {
    let mut credentials = json!({"google_api_key": API_KEY, "max_retries": "0"});
    credentials.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    credentials
}

async fn embed(google: &Google, model: &str, credentials: Value, texts: Value, purpose: &str) -> Outcome {
    let fields = json!({"model_type": "text-embedding", "texts": texts, "input_type": purpose});
    plugin().call(request(google, "invoke_text_embedding", model, credentials, fields)).await
}

#[tokio::test]
async fn model_names_of_the_official_plugin_work_or_name_a_successor() {
    let google = Google::start().await;
    let preview = embed(&google, "gemini-embedding-2-preview", key(json!({})), json!(["sky"]), "query").await;
    assert_eq!(preview.item()["embeddings"].as_array().unwrap().len(), 1);
    let sent = &google.seen("models/gemini-embedding-2-preview:batchEmbedContents")[0].body["requests"][0];
    assert_eq!(sent["content"]["parts"][0]["text"], "task: search result | query: sky");
    for model in ["text-embedding-004", "embedding-001"] {
        let gone = embed(&google, model, key(json!({})), json!(["sky"]), "query").await;
        let (kind, message) = gone.failure();
        assert_eq!(kind, "InvokeBadRequestError");
        assert!(message.contains("has been retired") && message.contains("gemini-embedding-001"), "{message}");
        assert!(google.seen(&format!("models/{model}:batchEmbedContents")).is_empty(), "a request was sent");
    }
}

#[tokio::test]
async fn texts_keep_their_order_in_batches_of_requests() {
    let google = Google::start().await;
    let texts: Vec<String> = (0..250).map(|number| format!("{}{number}", "x".repeat(number % 9 + 1))).collect();
    let outcome = embed(&google, "gemini-embedding-001", key(json!({})), json!(texts), "document").await;
    let expected: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, 4)).collect();
    assert_eq!(outcome.item()["embeddings"], json!(expected));
    let mut sizes: Vec<usize> = google
        .seen("models/gemini-embedding-001:batchEmbedContents")
        .iter()
        .map(|seen| seen.body["requests"].as_array().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100]);
    let usage = &outcome.item()["usage"];
    let tokens = usage["total_tokens"].as_u64().unwrap();
    assert!(tokens >= 250, "{usage}");
    assert_eq!((&usage["unit_price"], &usage["currency"]), (&json!("0.15"), &json!("USD")));
    let nothing = embed(&google, "gemini-embedding-001", key(json!({})), json!([]), "document").await;
    assert_eq!(nothing.item()["embeddings"], json!([]));
}

#[tokio::test]
async fn each_model_generation_gets_the_task_in_its_form() {
    let google = Google::start().await;
    let cases = [
        ("gemini-embedding-001", "document", json!("RETRIEVAL_DOCUMENT"), "Hi"),
        ("gemini-embedding-001", "query", json!("RETRIEVAL_QUERY"), "Hi"),
        ("gemini-embedding-2", "document", Value::Null, "title: none | text: Hi"),
        ("gemini-embedding-2", "query", Value::Null, "task: search result | query: Hi"),
    ];
    for (model, purpose, task, text) in cases {
        let outcome = embed(&google, model, key(json!({})), json!(["Hi"]), purpose).await;
        assert_eq!(outcome.item()["embeddings"], json!([vector(text, 4)]), "{model} {purpose}");
        let sent = google.seen(":batchEmbedContents").pop().unwrap().body["requests"][0].clone();
        assert_eq!((&sent["taskType"], &sent["content"]["parts"]), (&task, &json!([{"text": text}])), "{model}");
        assert_eq!(sent.get("outputDimensionality"), None);
    }
}

#[tokio::test]
async fn shortened_vectors_are_normalized() {
    let google = Google::start().await;
    for model in ["gemini-embedding-001", "gemini-embedding-2"] {
        let credentials = key(json!({"embedding_dimensions": "768"}));
        let outcome = embed(&google, model, credentials, json!(["Hello"]), "query").await;
        let vector: Vec<f64> = serde_json::from_value(outcome.item()["embeddings"][0].clone()).unwrap();
        assert_eq!(vector.len(), 768);
        let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        assert!((length - 1.0).abs() < 1e-5, "{model}: {length}");
    }
    for wrong in ["0", "4000", "1.5", "many"] {
        let credentials = key(json!({"embedding_dimensions": wrong}));
        let outcome = embed(&google, "gemini-embedding-2", credentials, json!(["Hello"]), "query").await;
        assert_eq!(outcome.failure().0, "CredentialsValidateFailedError");
        assert!(outcome.failure().1.contains("`embedding_dimensions`"), "{wrong}: {:?}", outcome.failure());
    }
}

#[tokio::test]
async fn long_texts_are_split_and_their_vectors_averaged() {
    let google = Google::start().await;
    let long = "Words of a long story. ".repeat(900);
    let outcome = embed(&google, "gemini-embedding-001", key(json!({})), json!(["a", long, "b"]), "document").await;
    let vectors: Vec<Vec<f64>> = serde_json::from_value(outcome.item()["embeddings"].clone()).unwrap();
    assert_eq!(vectors.len(), 3, "one vector per text");
    let length = vectors[1].iter().map(|value| value * value).sum::<f64>().sqrt();
    assert!((length - 1.0).abs() < 1e-5);
    assert_eq!((vectors[0][0], vectors[2][0]), (1.0, 1.0), "the other vectors are unchanged");
    let sent = google.seen(":batchEmbedContents")[0].body["requests"].as_array().unwrap().clone();
    let pieces: String = sent[1..sent.len() - 1]
        .iter()
        .map(|request| request["content"]["parts"][0]["text"].as_str().unwrap())
        .collect();
    assert!(sent.len() > 4 && pieces.trim_end() == long.trim_end(), "{} pieces", sent.len() - 2);
}

#[tokio::test]
async fn images_are_embedded() {
    let google = Google::start().await;
    let embed = |model: &'static str, documents: Value| {
        let fields = json!({"model_type": "text-embedding", "documents": documents, "input_type": "document"});
        request(&google, "invoke_multimodal_embedding", model, key(json!({})), fields)
    };
    let image = |content: &str| json!({"content": content, "content_type": "image"});
    let mut documents = vec![json!({"content": "Hi", "content_type": "text"}), image(PNG), image(JPEG)];
    documents.push(image(&format!("data:image/png;base64,{PNG}")));
    documents.extend((0..6).map(|_| image(PNG)));
    let outcome = plugin().call(embed("gemini-embedding-2", json!(documents))).await;
    let mut expected = vec![vector("title: none | text: Hi", 4)];
    expected.extend((0..9).map(|_| vector("#", 4)));
    assert_eq!(outcome.item()["embeddings"], json!(expected));
    assert_eq!(google.seen(":batchEmbedContents").len(), 2, "at most six images per request");
    let refused = [
        ("gemini-embedding-001", image(PNG), "does not support images"),
        ("gemini-embedding-2", image("R0lGODlhAQABAAAAACw="), "must be PNG or JPEG"),
        ("gemini-embedding-2", image("http://169.254.169.254/x.png"), "169.254.169.254"),
        ("gemini-embedding-2", json!({"content": " ", "content_type": "text"}), "text 1 of the request is empty"),
    ];
    for (model, document, expected) in refused {
        let outcome = plugin().call(embed(model, json!([document]))).await;
        let (kind, message) = outcome.failure();
        assert!(kind == "InvokeBadRequestError" && message.contains(expected), "{expected}: {kind} {message}");
    }
    assert_eq!(google.seen(":batchEmbedContents").len(), 2, "nothing was billed");
}

#[tokio::test]
async fn a_document_with_an_empty_paragraph_can_be_indexed() {
    let google = Google::start().await;
    let outcome =
        embed(&google, "gemini-embedding-2", key(json!({})), json!(["one", " \n", "three"]), "document").await;
    let expected: Vec<Vec<f32>> =
        ["one", ".", "three"].iter().map(|text| vector(&format!("title: none | text: {text}"), 4)).collect();
    assert_eq!(outcome.item()["embeddings"], json!(expected));
    let outcome = embed(&google, "gemini-embedding-2", key(json!({})), json!([" ", ""]), "document").await;
    assert!(outcome.failure().1.contains("text 1 of the request is empty"), "{:?}", outcome.failure());
}

#[tokio::test]
async fn vertex_ai_has_its_own_forms() {
    let google = Google::start().await;
    let texts = json!(["one", "three", "a"]);
    let cases = [
        ("gemini-embedding-001", "predict", 3, 9, ""),
        ("text-embedding-005", "predict", 1, 9, ""),
        ("gemini-embedding-2", "embedContent", 3, 15, "title: none | text: "),
    ];
    for (model, method, calls, tokens, prefix) in cases {
        let outcome = embed(&google, model, vertex(&google), texts.clone(), "document").await;
        let expected: Vec<Vec<f32>> =
            ["one", "three", "a"].iter().map(|text| vector(&format!("{prefix}{text}"), 4)).collect();
        assert_eq!(outcome.item()["embeddings"], json!(expected), "{model}");
        assert_eq!(outcome.item()["usage"]["total_tokens"], tokens, "{model}: as reported by the server");
        let path = format!("publishers/google/models/{model}:{method}");
        let seen = google.seen(&path);
        assert_eq!(seen.len(), calls, "{path}");
        if method == "predict" {
            assert_eq!(seen[0].body["instances"][0]["task_type"], "RETRIEVAL_DOCUMENT");
        }
    }
    let outcome = embed(&google, "text-embedding-005", key(json!({})), texts, "document").await;
    assert!(outcome.failure().1.contains("available on Vertex AI only"), "{:?}", outcome.failure());
}

#[tokio::test]
async fn counting_needs_no_request_and_errors_are_distinguished() {
    let google = Google::start().await;
    let fields = json!({"model_type": "text-embedding", "texts": ["one two", ""]});
    let counts = request(&google, "get_text_embedding_num_tokens", "gemini-embedding-2", key(json!({})), fields);
    assert_eq!(plugin().call(counts).await.item()["num_tokens"], json!([2, 0]));
    assert!(google.seen("").is_empty());
    let (status, body) = refusal(429, "RESOURCE_EXHAUSTED", "quota");
    google.reply(status, body);
    let outcome = embed(&google, "gemini-embedding-2", key(json!({})), json!(["a"]), "query").await;
    assert_eq!(outcome.failure().0, "InvokeRateLimitError");
    google.reply(200, json!({"embeddings": []}));
    let outcome = embed(&google, "gemini-embedding-2", key(json!({})), json!(["a"]), "query").await;
    assert!(outcome.failure().1.contains("requested 1 embeddings, received 0"), "{:?}", outcome.failure());
}

#[tokio::test]
async fn a_custom_model_is_validated_by_embedding_a_word() {
    let google = Google::start().await;
    for (model, result) in [("gemini-embedding-2-preview", true), ("my-embedding", true)] {
        let fields = json!({"model_type": "text-embedding"});
        let outcome =
            plugin().call(request(&google, "validate_model_credentials", model, key(json!({})), fields)).await;
        assert_eq!(outcome.item(), &json!({"result": result}), "{model}");
    }
    assert_eq!(google.seen(":batchEmbedContents").len(), 2);
    let fields = json!({"model_type": "text-embedding"});
    let schema = request(&google, "get_ai_model_schemas", "gemini-embedding-3", key(json!({})), fields);
    let schema = plugin().call(schema).await.item()["model_schema"].clone();
    assert_eq!((&schema["model_properties"]["context_size"], &schema["features"]), (&json!(8192), &json!(["vision"])));
}
