//! Providers that their YAML describes, served like any plugin: base URL, key, headers, every model type, validation,
//! models of users, facts about some models, error classes. The upstream judges every request.

use crate::support::{compatible_upstream, described_plugin};
use compatible_upstream::Upstream;
use described_plugin::{Yaml, call, model, problems, serve};
use dify_plugin::testing::Host;
use serde_json::{Value, json};

fn asked(stream: bool) -> Value {
    json!({
        "model_type": "llm", "model": "m-chat", "model_parameters": {}, "stream": stream,
        "prompt_messages": [{"role": "user", "content": "Hi"}],
    })
}

/// Text of a chat response.
async fn chat(host: &Host, credentials: &Value) -> Result<String, (String, String)> {
    let items = call(host, "invoke_llm", credentials, asked(true)).await?;
    Ok(items.iter().filter_map(|item| item["delta"]["message"]["content"].as_str()).collect())
}

fn with(facts: Value, more: &Value) -> Value {
    let mut facts = facts;
    facts.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    facts
}

#[tokio::test]
async fn requests_go_where_the_facts_say() {
    let upstream = Upstream::start().await;
    let url = upstream.url.as_str();
    let chosen = json!({"by": "region", "when": {"a": format!("{url}/a/v1")}, "else": format!("{url}/b/v1")});
    for (facts, credentials, target, header) in [
        (
            json!({"base_url": format!("{url}/v1")}),
            json!({"api_key": "k"}),
            "/v1/chat/completions",
            Some(("authorization", "Bearer k")),
        ),
        (json!({"base_url": format!("{url}/v1")}), json!({}), "/v1/chat/completions", None),
        (
            json!({"base_url": "{endpoint_url}"}),
            json!({"endpoint_url": format!("{url}/x/v1/chat/completions")}),
            "/x/v1/chat/completions",
            None,
        ),
        (json!({"base_url": chosen}), json!({"region": "a"}), "/a/v1/chat/completions", None),
        (json!({"base_url": chosen}), json!({"region": "z"}), "/b/v1/chat/completions", None),
        (
            json!({"base_url": "{endpoint_url}", "base_suffix": "v1"}),
            json!({"endpoint_url": url}),
            "/v1/chat/completions",
            None,
        ),
        (
            json!({"base_url": url, "auth": {"in": "header", "name": "Api-Key"}, "query": {"api-version": "{region}"},
                "paths": {"llm": "deployments/{model}/chat/completions"}}),
            json!({"api_key": "k", "region": "2024"}),
            "/deployments/m-chat/chat/completions?api-version=2024",
            Some(("api-key", "k")),
        ),
        (
            json!({"base_url": url, "auth": {"in": "query", "name": "key"}, "headers": {"X-Title": "Dify", "X-Region": "{region}"}}),
            json!({"api_key": "k"}),
            "/chat/completions?key=k",
            Some(("x-title", "Dify")),
        ),
        (
            json!({"base_url": url}),
            json!({"extra_headers": {"X-Team": "t"}, "mode": "completion", "openai_api_key": "old", "max_tokens_to_sample": "1"}),
            "/chat/completions",
            Some(("x-team", "t")),
        ),
    ] {
        let fields = [("api_key", "secret-input"), ("endpoint_url", "text-input"), ("region", "text-input")];
        let host = serve(&Yaml { facts: facts.clone(), fields: &fields, ..Yaml::default() });
        assert_eq!(chat(&host, &credentials).await.unwrap(), "Hello", "{facts}");
        let seen = upstream.one();
        assert_eq!(seen.target, format!("POST {target}"), "{facts}");
        let found = header.map(|(name, _)| seen.headers.get(name).map(String::as_str));
        assert_eq!(found, header.map(|(_, value)| Some(value)), "{facts}: {seen:?}");
        assert!(header.is_some() || !seen.headers.contains_key("authorization"), "{seen:?}");
        assert!(!seen.headers.contains_key("x-region"), "a header without its credential: {seen:?}");
    }
}

/// Every model type once: action, model, more fields of the request, what is sent, and a part of the response.
#[tokio::test]
async fn serves_every_model_type() {
    let upstream = Upstream::start().await;
    let types = ["llm", "text-embedding", "rerank", "tts", "speech2text", "moderation"];
    let models = types.iter().map(|kind| (*kind, model(kind, &format!("m-{kind}"), json!({})))).collect();
    let facts = json!({
        "base_url": format!("{}/v1", upstream.url), "model": "wire/{model}", "paths": {"rerank": "reranking"},
        "embedding": {"user": true, "prefix": {"query": "q:"}, "body": {"dimensions": "{dimensions}", "x": "{none_of|7}"}},
        "rerank": {"top_n": "top_k"}, "tts": {"body": {"speed": 2}}, "speech2text": {"language": "{language}"},
    });
    let fields = [("api_key", "secret-input"), ("dimensions", "text-input"), ("none_of", "text-input")];
    let host = serve(&Yaml { types: &types, facts, models, fields: &fields, ..Yaml::default() });
    let credentials = json!({"api_key": "k", "dimensions": "256", "language": "1"});
    let cases = [
        (
            "invoke_llm",
            "llm",
            with(asked(false), &json!({"model": "m-llm"})),
            vec![("/chat/completions", json!({"model": "wire/m-llm", "stream": false}))],
            "Hello",
        ),
        (
            "invoke_text_embedding",
            "text-embedding",
            json!({"texts": ["a", "bb", ""], "input_type": "query"}),
            vec![
                ("/embeddings", json!({"input": ["q: a", "q: bb"], "user": "user-1", "dimensions": 256, "x": 7})),
                ("/embeddings", json!({"input": ["q: "]})),
            ],
            "\"tokens\":9",
        ),
        (
            "invoke_rerank",
            "rerank",
            json!({"query": "q", "docs": ["a", "b", "c"], "top_n": 2}),
            vec![("/reranking", json!({"query": "q", "documents": ["a", "b", "c"], "top_k": 2}))],
            "\"index\":1",
        ),
        (
            "invoke_tts",
            "tts",
            json!({"content_text": "Hi", "voice": "a", "tenant_id": ""}),
            vec![("/audio/speech", json!({"voice": "a", "input": "Hi", "speed": 2, "response_format": "mp3"}))],
            "result",
        ),
        (
            "invoke_speech2text",
            "speech2text",
            json!({"file": hex(b"RIFF\0\0\0\0WAVEfmt ")}),
            vec![("/audio/transcriptions", json!({"model": "wire/m-speech2text", "language": "1"}))],
            "Hello",
        ),
        (
            "invoke_moderation",
            "moderation",
            json!({"text": "something very long and bad enough for two"}),
            vec![("/moderations", json!({"model": "wire/m-moderation"})), ("/moderations", json!({}))],
            "true",
        ),
    ];
    for (action, kind, fields, expected, part) in cases {
        let request = with(json!({"model_type": kind, "model": format!("m-{kind}")}), &fields);
        let items =
            call(&host, action, &credentials, request).await.unwrap_or_else(|error| panic!("{action}: {error:?}"));
        assert!(json!(items).to_string().contains(part), "{action}: {items:?}");
        let seen = upstream.take();
        let expected = &expected[..seen.len().min(expected.len())];
        assert!(!seen.is_empty() && seen.len() == expected.len(), "{action}: {seen:#?}");
        for (seen, (path, members)) in seen.iter().zip(expected) {
            assert!(seen.target.ends_with(&format!("/v1{path}")), "{action}: {seen:?}");
            for (name, value) in members.as_object().unwrap() {
                if name != "input" || kind == "text-embedding" || kind == "tts" {
                    assert_eq!(&seen.body[name], value, "{action} {name}: {seen:?}");
                }
            }
        }
    }
    let voices = json!({"model_type": "tts", "model": "m-tts", "language": "zh-Hans"});
    let items = call(&host, "get_tts_model_voices", &credentials, voices).await.unwrap();
    assert_eq!(items[0]["voices"], json!([{"name": "B", "value": "b"}]));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn validates_as_the_facts_say() {
    let upstream = Upstream::start().await;
    let types = ["llm", "text-embedding"];
    let models = || {
        vec![("llm", model("llm", "m-chat", json!({}))), ("text-embedding", model("text-embedding", "m-e", json!({})))]
    };
    let url = format!("{}/v1", upstream.url);
    for (validate, credentials, target, body) in [
        (json!(null), json!({}), Some("GET /v1/models"), json!({})),
        (json!("models"), json!({}), Some("GET /v1/models"), json!({})),
        (json!("none"), json!({}), None, json!({})),
        (json!({"get": "account/me"}), json!({}), Some("GET /v1/account/me"), json!({})),
        (
            json!({"get": format!("{}/other/account/me", upstream.url)}),
            json!({}),
            Some("GET /other/account/me"),
            json!({}),
        ),
        (
            json!({"llm": "m-chat"}),
            json!({}),
            Some("POST /v1/chat/completions"),
            json!({"model": "m-chat", "max_tokens": 5, "user": null, "stream": false}),
        ),
        (
            json!({"llm": "m-chat", "max_tokens": 7, "stream": true}),
            json!({}),
            Some("POST /v1/chat/completions"),
            json!({"max_tokens": 7, "stream": true}),
        ),
        (
            json!({"llm": "m-chat"}),
            json!({"validate_model": "m-new"}),
            Some("POST /v1/chat/completions"),
            json!({"model": "m-new"}),
        ),
        (
            json!({"text_embedding": "m-e"}),
            json!({}),
            Some("POST /v1/embeddings"),
            json!({"model": "m-e", "input": ["ping"]}),
        ),
    ] {
        let mut facts = json!({"base_url": url, "validate": validate});
        if validate.is_null() {
            facts.as_object_mut().unwrap().shift_remove("validate");
        }
        let host = serve(&Yaml { types: &types, facts, models: models(), ..Yaml::default() });
        let credentials = with(json!({"api_key": "k"}), &credentials);
        let items = call(&host, "validate_provider_credentials", &credentials, json!({})).await.unwrap();
        assert_eq!(items, [json!({"result": true})], "{validate}");
        let seen = upstream.take();
        assert_eq!(seen.first().map(|seen| seen.target.as_str()), target, "{validate}");
        for (name, value) in body.as_object().unwrap() {
            assert_eq!(&seen[0].body[name], value, "{validate} {name}");
        }
        if target.is_none() {
            continue;
        }
        upstream.script(401, json!({"error": {"message": "bad key"}}));
        let (kind, message) = call(&host, "validate_provider_credentials", &credentials, json!({})).await.unwrap_err();
        assert_eq!(kind, "CredentialsValidateFailedError");
        assert!(message.contains("the credential was rejected") && message.contains("bad key"), "{message}");
        upstream.take();
    }
}

/// A server that answers anything with success is not accepted, and a floor of the output limit is learned.
#[tokio::test]
async fn validation_is_not_deceived() {
    let upstream = Upstream::start().await;
    let host = serve(&Yaml { facts: json!({"base_url": upstream.url}), ..Yaml::default() });
    upstream.script(200, json!({"hello": "world"}));
    let (_, message) = call(&host, "validate_provider_credentials", &json!({}), json!({})).await.unwrap_err();
    assert!(message.contains("no list of models"), "{message}");
    upstream.take();
    let facts = json!({"base_url": upstream.url, "validate": {"llm": "m-chat"}});
    let host = serve(&Yaml { facts, ..Yaml::default() });
    for refusal in [
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16",
        "thinking is required: budget_tokens must be positive",
    ] {
        upstream.script(400, json!({"error": {"message": refusal}}));
        call(&host, "validate_provider_credentials", &json!({}), json!({})).await.unwrap();
        let last = upstream.take().pop().unwrap().body;
        let learned = last["max_tokens"] == 16 || last["thinking"] == json!({"type": "disabled"});
        assert!(learned, "{refusal}: {last}");
    }
}

/// A value for a parameter that the user did not set belongs to calls, not to the validation.
#[tokio::test]
async fn validation_sends_no_values_of_unset_parameters() {
    let upstream = Upstream::start().await;
    let chat_facts = json!({"parameters": {"thinking": {"unset": true, "as": "switch"}}});
    let facts = json!({"base_url": upstream.url, "validate": {"llm": "m-chat"}, "chat": chat_facts});
    let host = serve(&Yaml { facts, ..Yaml::default() });
    call(&host, "validate_provider_credentials", &json!({}), json!({})).await.unwrap();
    assert_eq!(upstream.one().body.get("thinking"), None);
    chat(&host, &json!({})).await.unwrap();
    assert_eq!(upstream.one().body["thinking"], json!({"type": "enabled"}));
}

#[tokio::test]
async fn hands_back_the_address_that_works() {
    let upstream = Upstream::start().await;
    let (first, second) = (format!("{}/first/v1", upstream.url), format!("{}/second/v1", upstream.url));
    let facts = json!({
        "base_url": format!("{{endpoint_url|{second}}}"), "base_try": [first, second], "validate": {"llm": "m-chat"},
    });
    let fields = [("api_key", "secret-input"), ("endpoint_url", "text-input")];
    let host = serve(&Yaml { facts, fields: &fields, ..Yaml::default() });
    upstream.script(401, json!({"error": {"message": "not here"}}));
    let items = call(&host, "validate_provider_credentials", &json!({"api_key": "k"}), json!({})).await.unwrap();
    assert_eq!(items, [json!({"result": true, "credentials": {"endpoint_url": second}})]);
    let targets: Vec<String> = upstream.take().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["POST /first/v1/chat/completions", "POST /second/v1/chat/completions"]);
    // A filled-in address is the only one.
    let own = json!({"api_key": "k", "endpoint_url": format!("{}/own/v1", upstream.url)});
    let items = call(&host, "validate_provider_credentials", &own, json!({})).await.unwrap();
    assert_eq!(items, [json!({"result": true})]);
    assert_eq!(upstream.one().target, "POST /own/v1/chat/completions");
    for _ in 0..2 {
        upstream.script(401, json!({"error": {"message": "nowhere"}}));
    }
    assert!(call(&host, "validate_provider_credentials", &json!({}), json!({})).await.is_err());
}

#[tokio::test]
async fn models_of_users_follow_their_form() {
    let upstream = Upstream::start().await;
    let types = ["llm", "text-embedding", "rerank", "tts", "speech2text"];
    let facts = json!({
        "base_url": "{endpoint_url}", "model": "{endpoint_model_name|{model}}",
        "former_fields": {"agent_though_support": "agent_thought_support"},
        "custom": {"defaults": {"context_size": 9000}, "features": ["structured-output"]},
    });
    let fields = [("api_key", "secret-input"), ("endpoint_url", "text-input"), ("voices", "text-input")];
    let methods = ["customizable-model"];
    let host = serve(&Yaml { types: &types, methods: &methods, facts, fields: &fields, models: Vec::new() });
    let credentials = json!({
        "endpoint_url": format!("{}/v1", upstream.url), "api_key": "", "endpoint_model_name": "wire",
        "function_calling_type": "tool_call", "agent_though_support": "supported", "voices": "Nova=n, m", "mode": "chat",
        "input_price": "1", "max_chunks": "3",
    });
    for (kind, expected) in [
        ("llm", json!({"mode": "chat", "context_size": 9000})),
        ("text-embedding", json!({"context_size": 9000, "max_chunks": 3})),
        ("rerank", json!({"context_size": 9000})),
        ("speech2text", json!({"file_upload_limit": 25})),
        ("tts", json!({"default_voice": "n", "audio_type": "mp3"})),
    ] {
        let request = json!({"model_type": kind, "model": "own"});
        let items = call(&host, "get_ai_model_schemas", &credentials, request.clone()).await.unwrap();
        let schema = &items[0]["model_schema"];
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&schema["model_properties"][name], value, "{kind} {schema}");
        }
        if kind == "llm" {
            assert_eq!(schema["features"], json!(["multi-tool-call", "agent-thought", "structured-output"]));
            assert_eq!(schema["pricing"]["currency"], "USD");
        }
        call(&host, "validate_model_credentials", &credentials, request)
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        let seen = upstream.one();
        assert_eq!(seen.body["model"], "wire", "{kind}");
        assert!(!seen.headers.contains_key("authorization"));
    }
    let completion = with(credentials, &json!({"mode": "completion"}));
    let request = with(asked(true), &json!({"model": "own"}));
    call(&host, "invoke_llm", &completion, request).await.unwrap();
    assert_eq!(upstream.one().target, "POST /v1/completions");
}

/// The form of a model that a user added decides about tools, and about what is not served.
#[tokio::test]
async fn forms_select_tools_and_are_rejected() {
    let upstream = Upstream::start().await;
    let facts =
        json!({"base_url": format!("{}/v1", upstream.url), "refuse": {"protocol": {"other": "has an API of its own"}}});
    let fields = [("api_key", "secret-input"), ("function_calling_type", "text-input"), ("protocol", "text-input")];
    let yaml = Yaml { methods: &["customizable-model"], facts, fields: &fields, models: Vec::new(), ..Yaml::default() };
    let host = serve(&yaml);
    let tools = json!({"tools": [{"name": "f", "description": "d", "parameters": {}}]});
    for (calls, member) in [("tool_call", Some("tools")), ("function_call", Some("functions")), ("no_call", None)] {
        let request = with(asked(true), &tools);
        call(&host, "invoke_llm", &json!({"function_calling_type": calls}), request).await.unwrap();
        let body = upstream.one().body;
        let found = ["tools", "functions"].into_iter().find(|name| body.get(name).is_some());
        assert_eq!(found, member, "{calls}: {body}");
    }
    let refused = call(&host, "invoke_llm", &json!({"protocol": "other"}), asked(true)).await.unwrap_err();
    assert!(refused.1.contains("has an API of its own"), "{refused:?}");
    assert!(upstream.take().is_empty());
}

#[tokio::test]
async fn facts_about_some_models_win() {
    let upstream = Upstream::start().await;
    let facts = json!({
        "base_url": format!("{}/v1", upstream.url), "headers": {"X-A": "provider", "X-B": "provider"},
        "models": {
            "m-special": {"headers": {"X-A": "exact"}},
            "m-*": {"headers": {"X-A": "glob", "X-C": "glob"}, "paths": {"llm": "other/chat/completions"}},
        },
    });
    let own = json!({"openai": {"headers": {"X-B": "own"}}});
    let models = vec![
        ("llm", model("llm", "m-chat", json!({}))),
        ("llm", model("llm", "m-special", own)),
        ("llm", model("llm", "plain", json!({}))),
    ];
    let host = serve(&Yaml { facts, models, ..Yaml::default() });
    for (name, target, headers) in [
        ("m-chat", "/v1/other/chat/completions", ["glob", "provider", "glob"]),
        ("m-special", "/v1/other/chat/completions", ["exact", "own", "glob"]),
        ("plain", "/v1/chat/completions", ["provider", "provider", ""]),
    ] {
        call(&host, "invoke_llm", &json!({}), with(asked(true), &json!({"model": name}))).await.unwrap();
        let seen = upstream.one();
        assert_eq!(seen.target, format!("POST {target}"), "{name}");
        let found = ["x-a", "x-b", "x-c"].map(|header| seen.headers.get(header).map_or("", String::as_str));
        assert_eq!(found, headers, "{name}");
    }
}

#[tokio::test]
async fn errors_have_the_class_of_the_facts() {
    let upstream = Upstream::start().await;
    let facts =
        json!({"base_url": upstream.url, "errors": {"402": "rate_limit", "insufficient_funds": "authorization"}});
    let host = serve(&Yaml { facts, ..Yaml::default() });
    for (status, body, expected) in [
        (402, json!({"error": {"message": "pay"}}), "InvokeRateLimitError"),
        (402, json!({"error": {"message": "pay", "code": "insufficient_funds"}}), "InvokeAuthorizationError"),
        (400, json!({"error": {"message": "no"}}), "InvokeBadRequestError"),
        (401, json!({"error": {"message": "no"}}), "InvokeAuthorizationError"),
        (500, json!({"error": {"message": "no"}}), "InvokeServerUnavailableError"),
    ] {
        upstream.script(status, body.clone());
        let (kind, message) = chat(&host, &json!({"api_key": "secret-key"})).await.unwrap_err();
        assert_eq!(kind, expected, "{status} {body}");
        assert!(!message.contains("secret-key"), "{message}");
        upstream.take();
    }
}

#[test]
fn facts_without_fault_have_no_problems() {
    let facts = json!({
        "provider": "described", "base_url": "https://api.example.com/v1", "auth": {"credential": "api_key"},
        "validate": {"llm": "m-chat"}, "models": {"m-*": {"headers": {"X": "1"}}}, "left_out": {"m-chat": "needs code"},
    });
    let found = problems(&Yaml { facts, ..Yaml::default() });
    let about_facts: Vec<_> = found.iter().filter(|problem| problem.path.starts_with("openai")).collect();
    assert!(about_facts.is_empty(), "{about_facts:?}");
}

/// Each fault is named once, with its place.
#[test]
fn names_what_is_wrong_with_facts() {
    for (facts, path, words) in [
        (json!({}), "base_url", "is missing"),
        (json!({"base_ulr": "https://h"}), "base_ulr", "did you mean `base_url`?"),
        (json!({"base_url": "not a url"}), "base_url", "is not a URL"),
        (json!({"base_url": "ftp://h"}), "base_url", "must start with https://"),
        (json!({"base_url": "{endpoint_ulr}/v1"}), "base_url", "names `endpoint_ulr`"),
        (json!({"base_url": "{endpoint_url"}), "base_url", "without its `}`"),
        (json!({"base_url": 7.5}), "base_url", "a URL"),
        (json!({"base_url": {"by": "region", "when": {"a": "x"}}}), "base_url.when.a", "is not a URL"),
        (json!({"base_url": {"by": "regoin", "when": {}}}), "base_url.by", "did you mean `region`?"),
        (json!({"base_url": "https://h", "base_try": ["https://a"]}), "base_try", "fixed `base_url`"),
        (json!({"base_url": "{endpoint_url|https://h}", "base_try": ["a"]}), "base_try.0", "is not a URL"),
        (json!({"provider": "other"}), "provider", "is `other`"),
        (json!({"auth": {"credential": "token"}}), "auth.credential", "which no form of this provider has"),
        (json!({"auth": {"in": "header"}}), "auth.name", "is missing"),
        (json!({"auth": {"in": "cookie"}}), "auth.in", "unknown variant"),
        (json!({"auth": {"plcae": 1}}), "auth.plcae", "unknown key"),
        (json!({"headers": {"X Y": "1"}}), "headers.X Y", "not a valid header name"),
        (json!({"headers": {"X": "{regoin}"}}), "headers.X", "did you mean `region`?"),
        (json!({"paths": {"rerank": "r"}}), "paths.rerank", "which the provider does not have"),
        (json!({"paths": {"chat": "r"}}), "paths.chat", "expected one of"),
        (json!({"embedding": {"batch": 0}}), "embedding.batch", "nonzero"),
        (json!({"embedding": {"btach": 1}}), "embedding.btach", "did you mean `batch`?"),
        (json!({"embedding": {"batch": {"by": "region", "when": {"a": "x"}}}}), "embedding.batch", "invalid type"),
        (json!({"embedding": {"batch": "{regoin}"}}), "embedding.batch", "did you mean `region`?"),
        (json!({"models": {"x-*": {}}}), "models.x-*", "matches no model"),
        (json!({"models": {"m-chta": {}}}), "models.m-chta", "did you mean `m-chat`?"),
        (json!({"models": {"m-*": {"headres": {}}}}), "models.m-*.headres", "did you mean `headers`?"),
        (json!({"models": {"m-*": {"headers": 1}}}), "models.m-*.headers", "invalid type"),
        (json!({"models": {"m-*": {"validate": "none"}}}), "models.m-*.validate", "unknown key"),
        (json!({"validate": "never"}), "validate", "`models`, `none`"),
        (json!({"validate": {"llm": "a", "get": "b"}}), "validate", "it names 2"),
        (json!({"validate": {"rerank": "a"}}), "validate.rerank", "which the provider does not have"),
        (json!({"validate": {"llm": "m-other"}}), "validate.llm", "not among the provider's models"),
        (json!({"custom": {"features": []}}), "custom", "users cannot add models"),
        (json!({"custom": {"features": ["seeing"]}}), "custom.features[0]", "unknown variant"),
        (json!({"chat": {"parameters": {"x": {"to": false, "only": [1]}}}}), "chat.parameters.x.to", "nothing is sent"),
        (json!({"chat": {"parameters": {"x": {"as": "tool"}}}}), "chat.parameters.x.as", "no `tool` to send"),
        (json!({"chat": {"parameters": {"x": {"tool": {}}}}}), "chat.parameters.x.tool", "without `as: tool`"),
        (json!({"chat": {"rules": [{"when": {"a": 1}}]}}), "chat.rules.0", "neither drops nor sets"),
        (
            json!({"models": {"m-*": {"chat": {"parameters": {"x": {"by": "region", "when": {"a": {"as": "tool"}}}}}}}}),
            "models.m-*.chat.parameters.x.as",
            "no `tool` to send",
        ),
        (json!({"models": {"m-*": {"headers": {"X": "{regoin}"}}}}), "models.m-*.headers.X", "did you mean `region`?"),
        (json!({"validate": "none"}), "validate", "wrong credentials are accepted"),
        (json!({"refuse": {"regoin": {"x": "y"}}}), "refuse.regoin", "did you mean `region`?"),
        (json!({"refuse": {"region": {"x": ""}}}), "refuse.region.x", "needs a reason"),
        (json!({"errors": {"402": "money"}}), "errors.402", "unknown variant"),
        (json!({"left_out": {"x": "because"}}), "left_out.x", "neither a model type nor a model"),
        (json!({"left_out": {"m-chat": ""}}), "left_out.m-chat", "needs a reason"),
    ] {
        let facts = match facts.get("base_url").is_some() || facts.get("base_ulr").is_some() || facts == json!({}) {
            true => facts,
            false => with(json!({"base_url": "https://h/v1"}), &facts),
        };
        let fields = [("api_key", "secret-input"), ("endpoint_url", "text-input"), ("region", "text-input")];
        let found = problems(&Yaml { facts: facts.clone(), fields: &fields, ..Yaml::default() });
        let at = format!("openai.{path}");
        let is_it = |path: &str, message: &str| path == at && message.contains(words);
        assert!(found.iter().any(|problem| is_it(&problem.path, &problem.message)), "{facts}: {found:#?}");
        let named = found.iter().find(|problem| is_it(&problem.path, &problem.message)).unwrap();
        assert!(named.file.ends_with("provider/described.yaml"), "{named:?}");
    }
    let models = vec![("llm", model("llm", "m-chat", json!({"openai": {"chta": {}}})))];
    let found = problems(&Yaml { facts: json!({"base_url": "https://h"}), models, ..Yaml::default() });
    let own = found.iter().find(|problem| problem.path == "openai.chta").unwrap_or_else(|| panic!("{found:#?}"));
    assert!(own.file.ends_with("models/llm/m0.yaml") && own.message.contains("did you mean `chat`?"), "{own:?}");
}
