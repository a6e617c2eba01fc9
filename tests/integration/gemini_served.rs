//! Google responds with another model than the requested one: routed models, aliases. The price is that of the model
//! that responded.

use crate::support::{google, google_setup as setup, harness};
use google::{API_KEY, Google};
use harness::Plugin;
use serde_json::{Value, json};
use setup::{plugin, request};

/// A response of a model version, with the usage of a long prompt that was partly cached.
fn answer(version: &Value, prompt: u64, tier: &str) -> Value {
    json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": prompt, "cachedContentTokenCount": 100, "candidatesTokenCount": 1000,
            "totalTokenCount": prompt + 1000, "serviceTier": tier},
        "modelVersion": version,
    })
}

async fn price(plugin: &Plugin, google: &Google, asked: &str, fields: &Value, answer: Value) -> String {
    google.reply_to(":streamGenerateContent", 200, answer);
    let mut credentials = json!({"google_api_key": API_KEY});
    credentials.as_object_mut().unwrap().extend(fields["credentials"].as_object().cloned().unwrap_or_default());
    let stream = fields["stream"].as_bool().unwrap_or(true);
    let fields = json!({"model_type": "llm", "stream": stream, "prompt_messages": [{"role": "user", "content": "Hi"}]});
    let outcome = plugin.call(request(google, "invoke_llm", asked, credentials, fields)).await;
    outcome.usage()["total_price"].as_str().unwrap_or_else(|| panic!("{asked}: {outcome:?}")).to_owned()
}

#[tokio::test]
async fn a_routed_request_has_the_price_of_the_model_that_responded() {
    let google = Google::start().await;
    let plugin = plugin();
    let none = json!({});
    for (asked, version, costs) in [
        ("gemini-3.5-flash", json!("gemini-3.6-flash"), "gemini-3.6-flash"),
        ("gemini-2.5-pro", json!("gemini-3.8-flash"), "gemini-3.8-flash"),
        ("gemini-2.5-flash", json!("models/gemini-3.5-flash-lite-001"), "gemini-3.5-flash-lite"),
        ("gemini-2.5-flash", json!("publishers/google/models/gemini-3.5-flash-lite"), "gemini-3.5-flash-lite"),
        ("gemini-flash-latest", json!("gemini-3.1-pro-preview"), "gemini-3.1-pro-preview"),
        ("gemini-pro-latest", json!("gemini-4-argon"), "gemini-4-argon"),
        ("gemini-3.8-flash-002", json!("gemini-3.1-pro-preview"), "gemini-3.1-pro-preview"),
        // The same model, an unknown one, one without a price, and an invalid name.
        ("gemini-3.5-flash", json!("gemini-3.5-flash-002"), "gemini-3.5-flash"),
        ("gemini-3.1-pro-preview", json!("gemini-9-x"), "gemini-3.1-pro-preview"),
        ("gemini-3.1-pro-preview", json!("gemini-1.5-pro"), "gemini-3.1-pro-preview"),
        ("gemini-3.1-pro-preview", json!(" "), "gemini-3.1-pro-preview"),
        ("gemini-3.1-pro-preview", json!({"name": "gemini-3.8-flash"}), "gemini-3.1-pro-preview"),
        // An alias has the long-context prices of its target, whatever the response reports.
        ("gemini-pro-latest", json!(null), "gemini-3.1-pro-preview"),
    ] {
        for (prompt, tier) in [(1000, "standard"), (1000, "flex"), (300_000, "standard"), (300_000, "priority")] {
            let direct = price(&plugin, &google, costs, &none, answer(&Value::Null, prompt, tier)).await;
            for stream in [true, false] {
                let fields = json!({ "stream": stream });
                let found = price(&plugin, &google, asked, &fields, answer(&version, prompt, tier)).await;
                assert_eq!(found, direct, "{asked} answered by {version}: {prompt} at {tier}");
            }
        }
    }
}

#[tokio::test]
async fn prices_of_the_form_apply_whichever_model_responds() {
    let google = Google::start().await;
    let plugin = plugin();
    let fields = json!({"credentials": {"input_price": "1", "output_price": "2"}});
    let answer = answer(&json!("gemini-3.1-pro-preview"), 1000, "standard");
    assert_eq!(price(&plugin, &google, "gemini-3.8-flash-002", &fields, answer).await, "0.0030000");
}

#[tokio::test]
async fn embeddings_have_the_price_of_the_model_that_responded() {
    let google = Google::start().await;
    let plugin = plugin();
    for (version, price) in [(json!("gemini-embedding-2"), "0.0002000"), (json!(7), "0.0001500")] {
        let body = json!({"embeddings": [{"values": [1.0, 0.0]}], "usageMetadata": {"promptTokenCount": 1000},
            "modelVersion": version});
        google.reply_to(":batchEmbedContents", 200, body);
        let fields = json!({"model_type": "text-embedding", "texts": ["a"]});
        let key = json!({"google_api_key": API_KEY});
        let asked = request(&google, "invoke_text_embedding", "gemini-embedding-001", key, fields);
        let outcome = plugin.call(asked).await;
        assert_eq!(outcome.item()["usage"]["total_price"], json!(price), "{version}: {outcome:?}");
    }
}
