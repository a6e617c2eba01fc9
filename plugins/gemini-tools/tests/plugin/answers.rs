//! Answers with sources: Google Search, Google Maps, pages.

use dify_plugin::serde_json::json;

use crate::google::Google;
use crate::google_api::tools::SUGGESTIONS;
use crate::setup::{host, tool};

#[tokio::test]
async fn a_search_returns_the_answer_with_its_sources() {
    let google = Google::start().await;
    let outputs = tool(&host(), &google, "search", json!({"query": "What is the capital of Latvia?"})).await.unwrap();
    assert_eq!(
        outputs.text(),
        "Riga is the capital of Latvia.[1][2] It is old.\n\nSources:\n[1] [latvia.example](https://vertexaisearch.example/1)\n\
         [2] [riga.example](https://vertexaisearch.example/2)\n\nSearch suggestions: [capital of Latvia]\
         (https://www.google.com/search?q=capital%20of%20Latvia)"
    );
    let sources = json!([
        {"number": 1, "type": "web", "title": "latvia.example", "uri": "https://vertexaisearch.example/1"},
        {"number": 2, "type": "web", "title": "riga.example", "uri": "https://vertexaisearch.example/2"},
    ]);
    for (name, value) in [
        ("answer", json!("Riga is the capital of Latvia. It is old.")),
        ("sources", sources.clone()),
        ("queries", json!(["capital of Latvia"])),
        ("search_suggestions", json!(SUGGESTIONS)),
    ] {
        assert_eq!(outputs.variable(name), Some(&value), "{name}");
    }
    let everything = &outputs.json()[0];
    assert_eq!(everything["sources"], sources);
    assert_eq!(everything["citations"], json!([{"text": "Riga is the capital of Latvia.", "sources": [1, 2]}]));
    assert_eq!((&everything["model"], &everything["finish_reason"]), (&json!("served-model"), &json!("stop")));
    let usage =
        json!({"prompt_tokens": 4, "tool_tokens": 0, "thought_tokens": 2, "output_tokens": 3, "total_tokens": 9});
    assert_eq!(everything["usage"], usage);
    let sent = google.seen(":generateContent").pop().unwrap();
    assert_eq!(sent.path, "/v1beta/models/gemini-3.8-flash:generateContent");
    assert_eq!((&sent.body["tools"], &sent.body["store"]), (&json!([{"googleSearch": {}}]), &json!(false)));
}

#[tokio::test]
async fn maps_answers_near_a_place() {
    let (google, host) = (Google::start().await, host());
    for (parameters, config, prompt) in [
        (json!({"query": "Open cafés?"}), json!(null), "Open cafés?"),
        (
            json!({"query": "Open cafés?", "place": "56.95, 24.11", "language": "de"}),
            json!({"retrievalConfig": {"latLng": {"latitude": 56.95, "longitude": 24.11}, "languageCode": "de"}}),
            "Open cafés?",
        ),
        (json!({"query": "Open cafés?", "place": "Old Riga"}), json!(null), "Open cafés?\n\nPlace: Old Riga"),
    ] {
        let outputs = tool(&host, &google, "maps", parameters).await.unwrap();
        let sent = google.seen(":generateContent").pop().unwrap().body;
        assert_eq!((&sent["tools"], &sent["toolConfig"]), (&json!([{"googleMaps": {}}]), &config));
        assert_eq!(sent["contents"][0]["parts"], json!([{ "text": prompt }]));
        let source = json!({"number": 1, "type": "maps", "title": "Café Riga", "uri": "https://maps.google.com/?cid=1",
            "place_id": "places/1"});
        assert_eq!(outputs.variable("sources"), Some(&json!([source])));
        assert!(outputs.text().ends_with("Sources:\n[1] [Café Riga](https://maps.google.com/?cid=1)"));
    }
}

#[tokio::test]
async fn pages_are_read_and_those_that_are_not_are_named() {
    let (google, host) = (Google::start().await, host());
    let urls = "https://a.example/good https://a.example/paywall";
    let outputs = tool(&host, &google, "read_pages", json!({"urls": urls, "question": "Hello?"})).await.unwrap();
    assert_eq!(outputs.text(), "The pages say hello.\n\nCould not read https://a.example/paywall (paywall)");
    let pages = json!([
        {"uri": "https://a.example/good", "status": "success"},
        {"uri": "https://a.example/paywall", "status": "paywall"},
    ]);
    assert_eq!(outputs.variable("pages"), Some(&pages));
    let sent = google.seen(":generateContent").pop().unwrap().body;
    assert_eq!(sent["contents"][0]["parts"][0]["text"], format!("Hello?\n\n{}", urls.replace(' ', "\n")));
    google.reply(200, json!({"candidates": [{"content": {"parts": [{"text": "Hello."}]}, "finishReason": "STOP"}]}));
    let outputs = tool(&host, &google, "read_pages", json!({"urls": "https://a.example/"})).await.unwrap();
    assert!(outputs.text().starts_with("Hello.\n\n[Google does not report that it read a page."), "{}", outputs.text());
    assert_eq!(outputs.variable("pages"), Some(&json!([])));
    let failure = tool(&host, &google, "read_pages", json!({"urls": "https://a.example/error"})).await.unwrap_err();
    assert!(failure.message.contains("https://a.example/error (error)"), "{}", failure.message);
}
