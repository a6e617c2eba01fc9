//! Tests of connections: facts and credentials, and the URL, headers and credential that follow from them.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::*;
use dify_plugin::protocol::Credentials;

/// What a request to an action has: URL and headers; or the error.
fn sent(
    facts: Value,
    credentials: &[(&str, &str)],
    action: Action,
) -> Result<(String, BTreeMap<String, String>), String> {
    let facts: ModelFacts = serde_json::from_value(facts).unwrap();
    let credentials = Credentials::from_pairs(credentials.iter().copied());
    let none = BTreeMap::new();
    let mut values = CallValues::new(&credentials, "org/m 1", &none);
    let wire = wire_name(&facts, &values).map_err(|error| error.message)?;
    values.model = &wire;
    let endpoint = endpoint(&facts, &values).map_err(|error| error.message)?;
    let (mut url, mut headers) = (endpoint.url(action), HeaderMap::new());
    let (method, body, network) = (Method::POST, Bytes::new(), NetworkSettings::default());
    let attempt = Attempt::new(&method, &mut url, &mut headers, &body, &network);
    futures_util::FutureExt::now_or_never(endpoint.auth.authorize(attempt)).unwrap().map_err(|error| error.message)?;
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    Ok((url.to_string(), headers))
}

#[test]
fn builds_urls() {
    let with = |more: Value| {
        let mut facts = json!({"base_url": "https://h/v1"});
        facts.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        facts
    };
    let choice = json!({"base_url": {"by": "intl", "when": {"true": "https://intl/v1"}, "else": "https://cn/v1"}});
    let strict = json!({"base_url": {"by": "intl", "when": {"a": "https://a/v1", "b": "https://b/v1"}}});
    let form = json!({"base_url": "{endpoint_url|https://d/v1}"});
    let tail = json!({"base_url": "{endpoint_url}", "base_strip": ["v1-openai", "v1"], "base_suffix": "v1"});
    let host = json!({"base_url": "{endpoint_url}", "base_strip": ["*"], "base_suffix": "v1"});
    let azure = json!({
        "base_url": "{base}", "query": {"api-version": "{version}"},
        "paths": {"llm": "openai/deployments/{model}/chat/completions"}, "model": "{deployment|{model}}",
    });
    let url = "endpoint_url";
    for (facts, credentials, action, expected) in [
        (with(json!({})), &[][..], Action::Chat, "https://h/v1/chat/completions"),
        (with(json!({})), &[], Action::Models, "https://h/v1/models"),
        (with(json!({"paths": {"rerank": "reranking"}})), &[], Action::Rerank, "https://h/v1/reranking"),
        (with(json!({"paths": {"rerank": "/a/b?x=1"}})), &[], Action::Rerank, "https://h/v1/a/b?x=1"),
        (with(json!({"paths": {"rerank": "https://o/r"}})), &[], Action::Rerank, "https://o/r"),
        (with(json!({"paths": {"models": "a/{region|eu}"}})), &[("region", "us")], Action::Models, "https://h/v1/a/us"),
        (
            with(json!({"query": {"v": "1 2", "w": "{none}"}})),
            &[],
            Action::Embeddings,
            "https://h/v1/embeddings?v=1%202",
        ),
        (choice.clone(), &[("intl", "true")], Action::Chat, "https://intl/v1/chat/completions"),
        (choice.clone(), &[("intl", "false")], Action::Chat, "https://cn/v1/chat/completions"),
        (choice, &[], Action::Chat, "https://cn/v1/chat/completions"),
        (strict.clone(), &[("intl", "b")], Action::Chat, "https://b/v1/chat/completions"),
        (strict, &[("intl", "c")], Action::Chat, "`intl` must be one of: a, b"),
        (form.clone(), &[], Action::Chat, "https://d/v1/chat/completions"),
        (form.clone(), &[(url, " ")], Action::Chat, "https://d/v1/chat/completions"),
        (form.clone(), &[(url, "https://u?x=1")], Action::Chat, "https://u/chat/completions?x=1"),
        (form.clone(), &[(url, "https://u/v1/chat/completions")], Action::Chat, "https://u/v1/chat/completions"),
        (form.clone(), &[(url, "u:80/v1")], Action::Chat, "http://u/v1/chat/completions"),
        (form.clone(), &[(url, "u:80/v1"), ("api_key", "k")], Action::Chat, "`endpoint_url` has no scheme"),
        (form, &[(url, "ftp://u")], Action::Chat, "`endpoint_url` must start with"),
        (tail.clone(), &[(url, "https://u")], Action::Models, "https://u/v1/models"),
        (tail.clone(), &[(url, "https://u/v1/")], Action::Models, "https://u/v1/models"),
        (tail.clone(), &[(url, "https://u/v1-openai")], Action::Models, "https://u/v1/models"),
        (tail, &[], Action::Models, "`endpoint_url` is required"),
        (host, &[(url, "https://u:1/a/b?c=d")], Action::Models, "https://u:1/v1/models?c=d"),
        (
            azure.clone(),
            &[("base", "https://u"), ("version", "2024"), ("deployment", "d")],
            Action::Chat,
            "https://u/openai/deployments/d/chat/completions?api-version=2024",
        ),
        (azure, &[("base", "https://u")], Action::Chat, "https://u/openai/deployments/org/m%201/chat/completions"),
    ] {
        let found = sent(facts.clone(), credentials, action).map(|(url, _)| url);
        match found {
            Ok(url) => assert_eq!(url, expected, "{facts} {credentials:?}"),
            Err(error) => assert!(error.contains(expected), "{facts} {credentials:?}: {error}"),
        }
    }
}

#[test]
fn places_keys_and_headers() {
    let key = &[("api_key", "k")][..];
    for (more, credentials, expected) in [
        (json!({}), &[][..], json!({})),
        (json!({}), key, json!({"authorization": "Bearer k"})),
        (json!({"auth": {"credential": "other"}}), key, json!({})),
        (json!({"auth": {"credential": ["other", "api_key"]}}), key, json!({"authorization": "Bearer k"})),
        (json!({"auth": {"in": "header", "name": "Api-Key"}}), key, json!({"api-key": "k"})),
        (json!({"auth": {"in": "none"}}), key, json!({})),
        (json!({"auth": {"fixed": "f"}}), &[], json!({"authorization": "Bearer f"})),
        (json!({"auth": {"fixed": "f"}}), key, json!({"authorization": "Bearer k"})),
        (
            json!({"auth": {"in": {"by": "kind", "when": {"azure": "header"}, "else": "bearer"}, "name": "api-key"}}),
            &[("api_key", "k"), ("kind", "azure")],
            json!({"api-key": "k"}),
        ),
        (
            json!({"headers": {"X-Title": "Dify", "X-Org": "{org}", "X-App": "{app|none}"}}),
            &[],
            json!({"x-title": "Dify", "x-app": "none"}),
        ),
        (json!({"headers": {"X-Org": "{org}"}}), &[("org", "o")], json!({"x-org": "o"})),
        (
            json!({"headers": {"X-A": "1"}}),
            &[("api_key", "k"), ("extra_headers", r#"{"X-A":"2","Authorization":"x"}"#)],
            json!({"x-a": "2", "authorization": "Bearer k"}),
        ),
    ] {
        let mut facts = json!({"base_url": "https://h/v1"});
        facts.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (_, headers) = sent(facts, credentials, Action::Chat).unwrap();
        assert_eq!(json!(headers), expected, "{more} {credentials:?}");
    }
    let query = json!({"base_url": "https://h/v1", "auth": {"in": "query", "name": "key"}});
    assert_eq!(sent(query, key, Action::Chat).unwrap().0, "https://h/v1/chat/completions?key=k");
}

#[test]
fn rejects_headers_without_showing_values() {
    for (facts, credentials, expected) in [
        (json!({}), [("api_key", "sec\nret")], "`api_key` contains characters"),
        (json!({"headers": {"X-A": "{org}"}}), [("org", "sec\nret")], "`org` contains characters"),
        (json!({}), [("extra_headers", "secret")], "`extra_headers` is not a JSON object"),
    ] {
        let mut all = json!({"base_url": "https://h/v1"});
        all.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
        let error = sent(all, &credentials, Action::Chat).unwrap_err();
        assert!(error.contains(expected) && !error.contains("ret`"), "{error}");
    }
}

#[test]
fn maps_wire_names() {
    for (model, expected) in [
        (json!(null), "org/m 1"),
        (json!("x/{model}"), "x/org/m 1"),
        (json!("{name|{model}}"), "org/m 1"),
        (json!({"org/m 1": "M1"}), "M1"),
        (json!({"other": "M1"}), "org/m 1"),
    ] {
        let facts: ModelFacts = serde_json::from_value(json!({"model": model})).unwrap();
        let credentials = Credentials::default();
        let none = BTreeMap::new();
        assert_eq!(wire_name(&facts, &CallValues::new(&credentials, "org/m 1", &none)).unwrap(), expected);
    }
}
