//! Complete sessions with the AI Gateway provider against a mock gateway that verifies every credential by its own
//! rules.

use std::collections::HashSet;

use crate::support::{aigateway as gateway, aigateway_rules as rules, aigateway_setup as setup, harness, own_log};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway::{ANSWER, AUDIO, Protection, Reply};
use harness::Outcome;
use own_log::{is_own_process, log};
use rules::{HmacRules, JwtRules, KeyPlace, Raw, hmac_verdict, jwt_verdict};
use serde_json::{Value, json};
use setup::{API_KEY, MODEL_TYPES, Method, Setup, hmac, jwt_oct, key, methods, wav};

fn check_answer(model_type: &str, outcome: &Outcome, case: &str) {
    match model_type {
        "llm" => {
            assert_eq!(outcome.text(), ANSWER.concat(), "{case}");
            assert_eq!(
                (outcome.finish_reason(), &outcome.usage()["total_tokens"]),
                (Some("stop"), &json!(7)),
                "{case}"
            );
            assert!(outcome.items.iter().all(|item| item["model"] == "qwen-max"), "{case}");
        }
        "text-embedding" => assert_eq!(outcome.item()["embeddings"], json!([[3.0, 0.5], [5.0, 0.5]]), "{case}"),
        "rerank" => assert_eq!(
            outcome.item()["docs"],
            json!([{"index": 1, "text": "three", "score": 0.05}, {"index": 0, "text": "one", "score": 0.03}]),
            "{case}"
        ),
        "tts" => assert_eq!(audio(outcome), AUDIO, "{case}"),
        _ => assert_eq!(outcome.item()["result"], "Spoken words.", "{case}"),
    }
}

fn audio(outcome: &Outcome) -> Vec<u8> {
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    outcome.items.iter().flat_map(|item| hex::decode(item["result"].as_str().unwrap()).unwrap()).collect()
}

#[test]
fn rules_accept_every_recorded_request() {
    let vectors: Value = serde_json::from_str(include_str!("../data/aigateway/hmac.json")).unwrap();
    let mut checked = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let (gateway, request) = (&vector["gateway"], &vector["request"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let consumers = gateway["consumers"].as_array().unwrap();
        let rules = HmacRules {
            consumers: consumers.iter().map(|consumer| (text(&consumer["key"]), text(&consumer["secret"]))).collect(),
            allowed: gateway["allow"].is_null(),
            window: gateway["date_offset_s"].as_u64(),
            strict: false,
        };
        let raw = Raw {
            method: text(&request["method"]),
            target: text(&request["path"]),
            headers: request["headers"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            body: match request["body_base64"].as_str() {
                Some(body) => STANDARD.decode(body).unwrap(),
                None => vec![b'a'; request["body_len"].as_u64().unwrap() as usize],
            },
        };
        let verdict = hmac_verdict(&rules, gateway["now_ms"].as_i64().unwrap(), &raw);
        let expected = &vector["verifier"];
        assert_eq!(json!(verdict.status), expected["status"], "{} {verdict:?}", vector["id"]);
        assert_eq!(json!(verdict.body), expected["body"], "{}", vector["id"]);
        assert_eq!(json!(verdict.explanation), expected["x_ca_error_message"], "{}", vector["id"]);
        checked += 1;
    }
    assert_eq!(checked, 49);
}

#[test]
fn rules_accept_every_recorded_token() {
    let vectors: Value = serde_json::from_str(include_str!("../data/aigateway/jwt.json")).unwrap();
    let now = vectors["clock_s"].as_f64().unwrap();
    let rules = |keys: &Value, allowed: bool| JwtRules {
        keys: keys.clone(),
        claims: vec![("uid".to_owned(), "dify-consumer-1".to_owned()), ("iss".to_owned(), "dify".to_owned())],
        allowed,
        header: "authorization".to_owned(),
        prefix: "Bearer ".to_owned(),
    };
    let raw = |value: String| Raw { headers: vec![("authorization".to_owned(), value)], ..Raw::default() };
    for vector in vectors["positive"].as_array().unwrap() {
        let token = raw(format!("Bearer {}", vector["token"].as_str().unwrap()));
        let verdict = jwt_verdict(&rules(&vector["gateway_jwks"], true), now, &token);
        assert_eq!(verdict.status, 200, "{} {verdict:?}", vector["id"]);
    }
    for vector in vectors["negative"].as_array().unwrap() {
        let expected = &vector["expect"];
        let place = vector["sent_as"].as_str().unwrap().split_once(": ").unwrap().1;
        let token = vector["token"].as_str().map_or(raw(String::new()), |token| raw(format!("{place}{token}")));
        let verdict = jwt_verdict(&rules(&vector["gateway"]["jwks"], expected["status"] != 403), now, &token);
        assert_eq!(
            (json!(verdict.status), json!(verdict.body)),
            (expected["status"].clone(), expected["body"].clone()),
            "{}",
            vector["id"]
        );
        assert_eq!(
            json!(verdict.explanation.contains("invalid_token")),
            expected["www_authenticate_has_invalid_token"],
            "{}",
            vector["id"]
        );
    }
}

#[tokio::test]
async fn authenticates_every_model_type_with_every_method() {
    for method in methods() {
        let setup = Setup::of(&method).await;
        for model_type in MODEL_TYPES {
            for stream in [true, false] {
                let case = format!("{} {model_type} stream {stream}", method.name);
                check_answer(model_type, &setup.use_model(model_type, stream).await, &case);
            }
            assert_eq!(setup.validate(model_type).await.item()["result"], true, "{} {model_type}", method.name);
        }
        assert_eq!(setup.gateway.seen().len(), 15, "{}: one request per action", method.name);
        for raw in setup.gateway.seen() {
            assert!(raw.target.starts_with("/base/v1/") && raw.target.contains("?b=2&a=%E4%B8%AD"), "{}", raw.target);
            let has_digest = !raw.header("content-md5").is_empty();
            assert_eq!(has_digest, method.name == "hmac, digest on", "{}", method.name);
        }
    }
}

#[tokio::test]
async fn retries_with_a_new_nonce_and_the_same_token() {
    for method in [hmac("on"), jwt_oct()] {
        let setup = Setup::of(&method).await;
        for model_type in MODEL_TYPES {
            setup.gateway.script(Reply::new(503, "text/plain", "no healthy upstream"));
            check_answer(model_type, &setup.use_model(model_type, true).await, model_type);
        }
        let seen = setup.gateway.seen();
        assert_eq!(seen.len(), 10);
        let different = |name: &str| seen.iter().map(|raw| raw.header(name)).collect::<HashSet<_>>().len();
        assert_eq!(seen[8].body, seen[9].body, "the form is sent as it was");
        match method.name.starts_with("hmac") {
            true => assert_eq!((different("x-ca-nonce"), different("x-ca-signature")), (10, 10)),
            false => assert_eq!(different("authorization"), 1),
        }
    }
}

#[tokio::test]
async fn signs_query_strings_as_the_gateway_decodes_them() {
    let mut setup = Setup::of(&hmac("on")).await;
    let root = setup.gateway.url.clone();
    for query in [
        "",
        "?",
        "?&",
        "?a=1&a=2&B=3&flag",
        "?x=%E4%B8%AD+y%2B&e=&=v",
        "?a=1&&b=2&",
        "?a=b=c&%61=2",
        "?q=ä b&Z=1&a=~!*'()",
    ] {
        setup = setup.with(&[("endpoint_url", &format!("{root}/Base%20Path/ü/v1{query}"))]);
        check_answer("llm", &setup.use_model("llm", true).await, query);
    }
}

#[tokio::test]
async fn renews_an_expired_token_once() {
    let setup = Setup::of(&jwt_oct()).await;
    let expired = || Reply::new(401, "text/plain", "Jwt is expired");
    setup.gateway.script(expired());
    check_answer("llm", &setup.use_model("llm", true).await, "renewed");
    check_answer("tts", &setup.use_model("tts", true).await, "cached");
    let tokens: Vec<String> = setup.gateway.seen().iter().map(|raw| raw.header("authorization").to_owned()).collect();
    assert!(tokens.len() == 3 && tokens[0] != tokens[1] && tokens[1] == tokens[2]);
    setup.gateway.script(expired());
    setup.gateway.script(expired().header("date", "Thu, 09 Oct 2025 08:53:20 GMT"));
    let outcome = setup.use_model("llm", true).await;
    let (kind, message) = outcome.failure();
    assert_eq!((kind, setup.gateway.seen().len()), ("InvokeAuthorizationError", 5));
    assert!(message.contains("Jwt is expired") && message.contains("ahead of the gateway's"), "{message}");
}

#[tokio::test]
async fn concurrent_requests_share_a_token() {
    let setup = Setup::of(&jwt_oct()).await;
    let calls = MODEL_TYPES.iter().cycle().take(20).map(|model_type| setup.use_model(model_type, true));
    for outcome in futures_util::future::join_all(calls).await {
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
    }
    let tokens: HashSet<String> =
        setup.gateway.seen().iter().map(|raw| raw.header("authorization").to_owned()).collect();
    assert_eq!(tokens.len(), 1);
}

#[tokio::test]
async fn rejects_redirects() {
    for method in methods() {
        let setup = Setup::of(&method).await;
        let elsewhere = format!("{}/elsewhere", setup.gateway.url);
        setup.gateway.script(Reply::new(307, "text/plain", "").header("location", &elsewhere));
        let outcome = setup.use_model("llm", true).await;
        assert!(outcome.failure().1.contains("redirects to"), "{:?}", outcome.error);
        assert_eq!(setup.gateway.seen().len(), 1, "{}", method.name);
    }
}

/// Blanks may be part of a secret; a line break at its end is copied by mistake.
#[tokio::test]
async fn keeps_blanks_around_a_secret() {
    for (stored, known) in [(" with blanks ", " with blanks "), ("copied\r\n", "copied"), (" both \n", " both ")] {
        let mut method = hmac("on");
        if let Protection::Hmac(rules) = &mut method.protection {
            rules.consumers[0].1 = known.to_owned();
        }
        for (name, value) in &mut method.form {
            if *name == "hmac_secret_key" {
                *value = stored.to_owned();
            }
        }
        let setup = Setup::of(&method).await;
        assert!(!setup.ask(true, json!({})).await.text().is_empty(), "{stored:?}");
    }
}

#[tokio::test]
async fn explains_rejected_credentials() {
    let changed = |method: Method, change: &dyn Fn(&mut Protection)| {
        let mut method = method;
        change(&mut method.protection);
        method
    };
    let not_allowed = |protection: &mut Protection| match protection {
        Protection::Hmac(rules) => rules.allowed = false,
        Protection::Jwt(rules) => rules.allowed = false,
        Protection::Key(rules) => rules.allowed = false,
    };
    let bearer = || key("bearer", KeyPlace::Header("authorization", "Bearer "));
    let cases = [
        (
            changed(hmac("on"), &|protection| {
                if let Protection::Hmac(rules) = protection {
                    rules.consumers[0].0 = "other".to_owned()
                }
            }),
            "Invalid Key",
        ),
        (
            changed(hmac("on"), &|protection| {
                if let Protection::Hmac(rules) = protection {
                    rules.consumers[0].1 = "other".to_owned()
                }
            }),
            "`hmac_secret_key` does not belong to this access key",
        ),
        (changed(hmac("on"), &not_allowed), "not authorized for the route"),
        (
            changed(jwt_oct(), &|protection| {
                if let Protection::Jwt(rules) = protection {
                    rules.claims[0].1 = "other".to_owned()
                }
            }),
            "Jwt verification fails",
        ),
        (
            changed(jwt_oct(), &|protection| {
                if let Protection::Jwt(rules) = protection {
                    rules.header = "x-token".to_owned()
                }
            }),
            "`jwt_header_name`",
        ),
        (changed(jwt_oct(), &not_allowed), "not authorized for the route"),
        (
            changed(bearer(), &|protection| {
                if let Protection::Key(rules) = protection {
                    rules.key = "other".to_owned()
                }
            }),
            "rejected the API key",
        ),
        (changed(bearer(), &not_allowed), "not authorized for the route"),
    ];
    for (method, expected) in cases {
        let setup = Setup::of(&method).await;
        for model_type in MODEL_TYPES {
            let outcome = setup.use_model(model_type, true).await;
            let (kind, message) = outcome.failure();
            assert_eq!(kind, "InvokeAuthorizationError", "{message}");
            assert!(message.contains(expected), "{message}");
            let outcome = setup.validate(model_type).await;
            let (kind, message) = outcome.failure();
            assert_eq!(kind, "CredentialsValidateFailedError");
            let part = if expected.contains("authorized") {
                "the consumer is not authorized"
            } else {
                "the credential was rejected"
            };
            assert!(message.contains(part) && message.contains(expected), "{message}");
        }
        assert_eq!(setup.gateway.seen().len(), 10, "a rejected credential is not retried");
    }
}

#[tokio::test]
async fn explains_errors_of_the_gateway() {
    let plain = |status: u16, body: &str| Reply::new(status, "text/plain", body);
    let cases = [
        (
            plain(429, "Too many requests").header("x-tokenratelimit-reset", "70"),
            "InvokeRateLimitError",
            "resets in 70 s",
        ),
        (plain(403, "Request denied by ai quota check, No quota left"), "InvokeRateLimitError", "No quota left"),
        (plain(404, ""), "InvokeBadRequestError", "no such route or model"),
        (plain(413, "Payload Too Large"), "InvokeBadRequestError", "connection buffer"),
        (plain(500, "unsupported API name"), "InvokeServerUnavailableError", "unsupported API name"),
        (
            Reply::new(
                400,
                "application/json",
                r#"{"code":"InvalidParameter","message":"url error","request_id":"d-7"}"#,
            ),
            "InvokeBadRequestError",
            "url error (request ID req-1)",
        ),
    ];
    let setup = Setup::of(&jwt_oct()).await;
    for (reply, kind, words) in cases {
        for model_type in MODEL_TYPES {
            setup.gateway.script(reply.clone());
            let outcome = setup.use_model(model_type, true).await;
            assert_eq!(outcome.failure().0, kind, "{model_type} {:?}", outcome.error);
            assert!(outcome.failure().1.contains(words), "{model_type} {:?}", outcome.error);
        }
    }
    for (status, body, expected) in [
        (404, "", "the path is wrong"),
        (404, "{\"error\":{\"message\":\"model x not found\"}}", "the model name is wrong"),
        (403, "No quota left", "the credential is valid"),
        (500, "boom", "the service behind the gateway failed"),
    ] {
        setup.gateway.script(plain(status, body));
        let outcome = setup.validate("llm").await;
        assert!(outcome.failure().1.contains(expected), "{:?}", outcome.error);
    }
    let setup = Setup::of(&jwt_oct()).await.with(&[("endpoint_url", "http://127.0.0.1:1/v1"), ("max_retries", "0")]);
    assert!(setup.validate("rerank").await.failure().1.contains("the endpoint is wrong or unreachable"));
}

#[tokio::test]
async fn maps_responses_of_every_form() {
    let object =
        json!({"code": 403, "denyMessage": "Not here.", "blockedDetails": [{"type": "politics", "level": "high"}]});
    let guard = |part: &str| {
        json!({"model": "from-security-guard", "choices": [{"index": 0, part: {"role": "assistant",
        "content": object.to_string()}, "finish_reason": "stop"}]})
    };
    let chunk = |text: &str| format!("data:{}\n\n", json!({"choices": [{"index": 0, "delta": {"content": text}}]}));
    let json = |status: u16, value: &Value| Reply::new(status, "application/json", value.to_string());
    let events = |text: String| Reply::new(200, "text/event-stream", text);
    let whole = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Plain"}, "finish_reason": "stop"}]});
    let reason = "Not here. (content moderation: politics (high))";
    let cases = [
        (json(200, &whole), "Plain".to_owned(), "stop"),
        (events(format!("data:{whole}\n\ndata:[DONE]")), "Plain".to_owned(), "stop"),
        (json(200, &guard("message")), reason.to_owned(), "content_filter"),
        (events(format!("data:{}\n\ndata: [DONE]", guard("delta"))), reason.to_owned(), "content_filter"),
        (
            events(format!("{}data:{}\n\ndata: [DONE]", chunk("So far: "), guard("delta"))),
            format!("So far: {reason}"),
            "content_filter",
        ),
        (json(200, &object), reason.to_owned(), "content_filter"),
        (json(403, &object), reason.to_owned(), "content_filter"),
    ];
    let setup = Setup::of(&hmac("on")).await;
    for (reply, text, finish) in cases {
        for stream in [true, false] {
            setup.gateway.script(reply.clone());
            let outcome = setup.ask(stream, json!({})).await;
            assert_eq!((outcome.text(), outcome.finish_reason()), (text.clone(), Some(finish)), "{reply:?}");
            outcome.usage();
        }
    }
    for (reply, words) in [
        (
            events(format!("{}data: {}\n\n", chunk("So far"), json!({"error": {"message": "broken inside"}}))),
            "broken inside",
        ),
        (Reply { cut: true, ..events(chunk("So far")) }, ""),
        (events(chunk("So far")), "without a finish reason"),
    ] {
        setup.gateway.script(reply);
        let outcome = setup.ask(true, json!({})).await;
        assert!(outcome.failure().1.contains(words), "{:?}", outcome.error);
        assert_eq!(outcome.items[0]["delta"]["message"]["content"], "So far", "earlier text is delivered");
    }
}

#[tokio::test]
async fn sends_parameters_in_the_form_of_the_model() {
    let setup = Setup::of(&hmac("on")).await;
    let parameters = json!({"temperature": 0.5, "top_p": 0.9, "top_k": 20, "max_tokens": 99, "frequency_penalty": 0.1,
        "presence_penalty": 0.2, "repetition_penalty": 1.1, "seed": 7, "enable_search": true});
    setup.ask(true, json!({"model_parameters": parameters, "stop": ["three"]})).await.text();
    let body = setup.gateway.last_json();
    for (name, value) in parameters.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name}");
    }
    assert_eq!(body["stop"], json!(["three"]));
    assert_eq!((&body["model"], &body["user"]), (&json!("qwen-max"), &json!("user-1")));
    assert_eq!(body["stream_options"], json!({"include_usage": true}));

    // A parameter that was enabled without a value is not sent, whatever its type.
    let unset = json!({"temperature": "", "max_tokens": "", "response_format": "", "json_schema": "",
        "enable_thinking": "", "reasoning_format": "", "seed": null});
    setup.ask(true, json!({ "model_parameters": unset })).await.text();
    let body = setup.gateway.last_json();
    assert!(unset.as_object().unwrap().keys().all(|name| body.get(name).is_none()), "{body}");

    // Form, parameter, then the expected `enable_thinking` and `chat_template_kwargs`.
    let off = json!({"enable_thinking": false, "thinking": false});
    let cases = [
        ("not_supported", "both", json!(true), Value::Null, Value::Null),
        ("supported", "enable_thinking", json!(false), json!(false), Value::Null),
        ("supported", "chat_template_kwargs", json!(false), Value::Null, off.clone()),
        ("supported", "both", json!(false), json!(false), off),
        ("supported", "both", Value::Null, Value::Null, Value::Null),
        ("only_thinking_supported", "enable_thinking", Value::Null, json!(true), Value::Null),
        ("only_thinking_supported", "none", Value::Null, Value::Null, Value::Null),
    ];
    for (support, place, asked, top, template) in cases {
        let setup =
            Setup::of(&jwt_oct()).await.with(&[("agent_though_support", support), ("thinking_parameter", place)]);
        setup.ask(false, json!({"model_parameters": {"enable_thinking": asked}})).await.text();
        let body = setup.gateway.last_json();
        assert_eq!((&body["enable_thinking"], &body["chat_template_kwargs"]), (&top, &template), "{support} {place}");
    }
}

#[tokio::test]
async fn uses_one_structured_output_mechanism_unless_both_are_selected() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    for (support, format, in_prompt) in [
        ("supported", json!("json_schema"), false),
        ("json_object", json!("json_object"), true),
        ("both", json!("json_schema"), true),
        ("not_supported", Value::Null, true),
    ] {
        let setup = Setup::of(&jwt_oct()).await.with(&[("structured_output_support", support)]);
        let parameters = json!({"response_format": "json_schema", "json_schema": schema.to_string()});
        setup.ask(false, json!({"model_parameters": parameters})).await.text();
        let body = setup.gateway.last_json();
        assert_eq!(body["response_format"]["type"], format, "{support}");
        assert_eq!(body["messages"][0]["role"] == "system", in_prompt, "{support} {body}");
        assert!(body.get("json_schema").is_none());
    }
}

#[tokio::test]
async fn maps_tools_media_and_thoughts_in_both_directions() {
    let tools = json!([{"name": "weather", "description": "d", "parameters": {"type": "object", "properties": {}}}]);
    for (kind, member) in [("tool_call", "tools"), ("function_call", "functions"), ("no_call", "")] {
        let setup = Setup::of(&hmac("on")).await.with(&[("function_calling_type", kind)]);
        let call = json!({"name": "weather", "arguments": "{}"});
        let message = if kind == "function_call" {
            json!({"content": null, "function_call": call})
        } else {
            json!({"content": null, "tool_calls": [{"id": "c1", "type": "function", "function": call}]})
        };
        let reason = if kind == "no_call" { "stop" } else { "tool_calls" };
        let response = json!({"choices": [{"index": 0, "message": message, "finish_reason": reason}]});
        setup.gateway.script(Reply::new(200, "application/json", response.to_string()));
        let outcome = setup.ask(true, json!({"tools": tools})).await;
        assert_eq!(outcome.tool_calls().len(), usize::from(kind != "no_call"), "{kind} {outcome:?}");
        let body = setup.gateway.last_json();
        for name in ["tools", "functions"] {
            assert_eq!(body.get(name).is_some(), name == member, "{kind} {name}");
        }
    }
    let setup = Setup::of(&hmac("on")).await.with(&[
        ("vision_support", "support"),
        ("audio_support", "support"),
        ("document_support", "support"),
    ]);
    let part = |kind: &str, mime: &str, format: &str| {
        json!({"type": kind, "data": "", "format": format, "mime_type": mime,
        "url": "", "base64_data": "QUJD", "filename": "f", "detail": "low"})
    };
    let parts = json!([
        part("image", "image/png", "png"),
        part("audio", "audio/wav", "wav"),
        part("document", "application/pdf", "pdf")
    ]);
    setup.ask(false, json!({"prompt_messages": [{"role": "user", "content": parts}]})).await.text();
    let content = setup.gateway.last_json()["messages"][0]["content"].clone();
    let kinds: Vec<&str> = content.as_array().unwrap().iter().map(|part| part["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["image_url", "input_audio", "file"]);
    let setup = Setup::of(&hmac("on")).await;
    let outcome = setup.ask(false, json!({"prompt_messages": [{"role": "user", "content": parts}]})).await;
    assert_eq!((outcome.failure().0, setup.gateway.seen().len()), ("InvokeBadRequestError", 0));
    let thought = json!({"choices": [{"index": 0, "message": {"content": "42", "reasoning_content": "Hm."}, "finish_reason": "stop"}]});
    setup.gateway.script(Reply::new(200, "application/json", thought.to_string()));
    assert_eq!(setup.ask(false, json!({})).await.text(), "<think>\nHm.\n</think>42");
    let setup = setup.with(&[("mode", "completion")]);
    assert_eq!(setup.ask(false, json!({})).await.text(), ANSWER.concat());
    assert!(setup.gateway.seen().last().unwrap().target.starts_with("/base/v1/completions?"));
}

#[tokio::test]
async fn embeds_texts_in_batches_with_prefix_and_dimensions() {
    let fields = [("max_chunks", "10"), ("dimensions", "256"), ("document_prefix", "doc:"), ("query_prefix", "ask:")];
    let setup = Setup::of(&hmac("on")).await.with(&fields);
    let texts: Vec<String> = (0..25).map(|number| "x".repeat(number + 1)).collect();
    let outcome = setup.call("invoke_text_embedding", json!({"texts": texts, "input_type": "query"})).await;
    let vectors = outcome.item()["embeddings"].as_array().unwrap().clone();
    let lengths: Vec<f64> = vectors.iter().map(|vector| vector[0].as_f64().unwrap() - 5.0).collect();
    assert_eq!(lengths, (1..=25).map(f64::from).collect::<Vec<_>>(), "in the order of the texts");
    assert_eq!(outcome.item()["usage"]["total_tokens"], 15);
    let seen = setup.gateway.seen();
    assert_eq!(seen.len(), 3);
    for raw in seen {
        let body: Value = serde_json::from_slice(&raw.body).unwrap();
        assert_eq!(body["dimensions"], 256);
        assert!(body["input"].as_array().unwrap().iter().all(|text| text.as_str().unwrap().starts_with("ask: ")));
    }
}

#[tokio::test]
async fn ranks_documents_by_raw_scores_in_every_protocol() {
    for (protocol, path) in [
        ("reranks", "/base/v1/reranks?"),
        ("rerank", "/base/v1/rerank?"),
        ("dashscope", "/base/v1/api/v1/services/rerank/text-rerank/text-rerank?"),
    ] {
        let setup = Setup::of(&hmac("on")).await.with(&[("rerank_protocol", protocol)]);
        let request = json!({"query": "q", "docs": ["1", "4444", "333"], "score_threshold": 0.03, "top_n": 2});
        let outcome = setup.call("invoke_rerank", request).await;
        let scores: Vec<f64> =
            outcome.item()["docs"].as_array().unwrap().iter().map(|doc| doc["score"].as_f64().unwrap()).collect();
        assert_eq!(scores, [0.04, 0.03], "{protocol}");
        assert!(setup.gateway.seen()[0].target.starts_with(path));
        let single = json!({"query": "q", "docs": ["only"], "score_threshold": 0, "top_n": 0});
        assert_eq!(setup.call("invoke_rerank", single).await.item()["docs"][0]["score"], 0.04);
    }
}

#[tokio::test]
async fn splits_long_text_at_sentences_for_speech() {
    let setup = Setup::of(&hmac("on")).await.with(&[("word_limit", "20"), ("voices", "alloy, Cherry=cherry-1")]);
    let text = "The first sentence. And the second. A third one here.";
    let outcome = setup.call("invoke_tts", json!({"content_text": text, "voice": "", "tenant_id": "t"})).await;
    assert_eq!(audio(&outcome), AUDIO.repeat(3));
    let inputs: Vec<String> = setup
        .gateway
        .seen()
        .iter()
        .map(|raw| serde_json::from_slice::<Value>(&raw.body).unwrap()["input"].as_str().unwrap().trim().to_owned())
        .collect();
    assert_eq!(inputs, ["The first sentence.", "And the second.", "A third one here."]);
    let voices = setup.call("get_tts_model_voices", json!({"language": ""})).await;
    assert_eq!(
        voices.item()["voices"],
        json!([{"name": "alloy", "value": "alloy"}, {"name": "Cherry", "value": "cherry-1"}])
    );
}

#[tokio::test]
async fn rejects_invalid_input_before_a_request() {
    let setup = Setup::of(&hmac("on")).await.with(&[("file_upload_limit", "1")]);
    let voice = setup.call("invoke_tts", json!({"content_text": "Hi.", "voice": "nova", "tenant_id": "t"})).await;
    assert!(voice.failure().1.contains("unknown voice `nova`; available voices: alloy"), "{:?}", voice.error);
    let large = setup.call("invoke_speech2text", json!({"file": hex::encode(wav(1024 * 1024))})).await;
    assert!(large.failure().1.contains("at most 1048576 bytes"), "{:?}", large.error);
    let noise = setup.call("invoke_speech2text", json!({"file": hex::encode(b"not an audio file")})).await;
    assert!(noise.failure().1.contains("unknown audio format"), "{:?}", noise.error);
    let silent = setup.call("invoke_tts", json!({"content_text": " ", "voice": "", "tenant_id": "t"})).await;
    assert!(silent.failure().1.contains("no text"), "{:?}", silent.error);
    assert!(setup.gateway.seen().is_empty());
    let short = r#"{"kty":"oct","k":"c2hvcnQ"}"#;
    for (field, value, expected) in [
        ("jwt_jwks", "{\"keys\":", "`jwt_jwks`: not a JWK"),
        ("jwt_jwks", short, "`jwt_jwks`: the key is too short: 40 bits; HS256 requires at least 256"),
        (
            "jwt_algorithm",
            "RS256",
            "`jwt_jwks`: key `k-1` is symmetric (kty oct), but RS256 requires a key of type RSA",
        ),
        ("jwt_expiration", "604801", "`jwt_expiration` must be"),
    ] {
        let setup = Setup::of(&jwt_oct()).await.with(&[(field, value)]);
        let outcome = setup.validate("rerank").await;
        assert!(outcome.failure().1.contains(expected), "{:?}", outcome.error);
        assert!(setup.gateway.seen().is_empty(), "{field}");
    }
    for (field, value, expected) in [
        ("endpoint_url", "gateway.example/v1", "`endpoint_url` has no scheme"),
        ("endpoint_url", "https://gateway.example/v1?a=%zz", "`endpoint_url` contains a `%`"),
        ("extra_headers", "{\"X-A\": \"b\\r\\nX-C: d\"}", "`extra_headers`"),
        ("context_size", "many", "`context_size` must be an integer"),
        ("max_chunks", "0", "`max_chunks` must be an integer"),
        ("dimensions", "x", "`dimensions` must be an integer"),
        ("rerank_protocol", "soap", "`rerank_protocol` must be"),
        ("audio_type", "midi", "`audio_type`"),
        ("context_size", "-5", "“Context size (tokens)” `context_size` must be an integer"),
        ("context_size", "99999999999999999999", "`context_size` must be an integer"),
        ("max_tokens_to_sample", "x", "`max_tokens_to_sample` must be an integer"),
        ("word_limit", "0", "`word_limit` must be an integer"),
        ("file_upload_limit", "1.5", "`file_upload_limit` must be an integer"),
        ("voices", " , ", "`voices` contains no voice"),
        ("input_price", "cheap", "`input_price`"),
        ("output_price", "-1", "`output_price`"),
        ("input_price", "79228162514264337593543950335", "`input_price`"),
        ("unit", "0", "`unit`"),
        ("unit", "1000", "`unit`"),
        ("idle_timeout", "soon", "`idle_timeout`"),
        ("max_retries", "many", "`max_retries`"),
        ("tls_ca", "x", "`tls_ca`"),
        ("endpoint_path", "https://h/x", "`endpoint_path`"),
    ] {
        let model_type = match field {
            "max_chunks" | "dimensions" => "text-embedding",
            "rerank_protocol" => "rerank",
            "audio_type" | "voices" | "word_limit" => "tts",
            "file_upload_limit" => "speech2text",
            _ => "llm",
        };
        let setup = Setup::of(&hmac("on")).await.with(&[(field, value)]);
        let outcome = setup.validate(model_type).await;
        assert!(outcome.failure().1.contains(expected), "{:?}", outcome.error);
        assert!(setup.gateway.seen().is_empty(), "{field}");
    }
}

#[tokio::test]
async fn builds_the_schema_from_the_form() {
    let fields = [
        ("display_name", "My model"),
        ("context_size", "32000"),
        ("max_tokens_to_sample", "8000"),
        ("function_calling_type", "tool_call"),
        ("stream_function_calling", "supported"),
        ("vision_support", "support"),
        ("agent_though_support", "supported"),
        ("structured_output_support", "supported"),
        ("voices", "alloy, Cherry=cherry-1"),
        ("input_price", "2.4"),
        ("currency", "RMB"),
    ];
    let setup = Setup::of(&hmac("on")).await.with(&fields);
    let schema = async |model_type: &str| {
        setup.call("get_ai_model_schemas", json!({"model_type": model_type})).await.item()["model_schema"].clone()
    };
    let llm = schema("llm").await;
    assert_eq!(llm["label"]["en_US"], "My model");
    assert_eq!(llm["model_properties"], json!({"mode": "chat", "context_size": 32000}));
    assert_eq!(
        llm["features"],
        json!(["multi-tool-call", "stream-tool-call", "agent-thought", "vision", "structured-output"])
    );
    assert_eq!(llm["pricing"]["currency"], "RMB");
    let rules: Vec<&str> =
        llm["parameter_rules"].as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    for name in [
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "frequency_penalty",
        "presence_penalty",
        "seed",
        "repetition_penalty",
        "response_format",
        "json_schema",
        "enable_thinking",
        "reasoning_format",
        "reasoning_effort",
        "thinking_budget",
        "enable_search",
    ] {
        assert!(rules.contains(&name), "{name}");
    }
    // Dify's form starts with the minimum if a number has no default.
    for rule in llm["parameter_rules"].as_array().unwrap() {
        let is_number = rule["type"] == "int" || rule["type"] == "float";
        assert!(!is_number || rule["default"].is_number(), "{rule}");
    }
    assert!(!rules.contains(&"stop"), "Dify has a separate field for it");
    assert_eq!(schema("text-embedding").await["model_properties"]["max_chunks"], 10);
    let tts = schema("tts").await["model_properties"].clone();
    assert_eq!((&tts["default_voice"], &tts["voices"][1]["mode"]), (&json!("alloy"), &json!("cherry-1")));
    assert_eq!(schema("speech2text").await["model_properties"]["file_upload_limit"], 25);
    assert_eq!(schema("rerank").await["model_properties"]["context_size"], 32000);
}

/// The current form has the same meaning as the former one, and stored credentials keep their meaning.
#[tokio::test]
async fn the_current_form_has_the_meaning_of_the_former_one() {
    let same =
        [("context_size", "32000"), ("input_price", "2.4"), ("output_price", "7"), ("vision_support", "support")];
    let old = [
        ("function_calling_type", "tool_call"),
        ("stream_function_calling", "supported"),
        ("display_name", "My model"),
        ("currency", "RMB"),
        ("mode", "completion"),
        ("audio_support", "support"),
        ("video_support", "support"),
        ("document_support", "support"),
        ("language", "de"),
        ("word_limit", "300"),
        ("max_chunks", "25"),
        ("file_upload_limit", "40"),
        ("api_key_location", "header"),
        ("api_key_name", "X-API-Key"),
        ("stream_mode_auth", "not_use"),
        ("stream_mode_delimiter", "\\n\\n"),
    ];
    let settings = json!({"display_name": "My model", "currency": "RMB", "mode": "completion", "audio_support": "support",
        "video_support": "support", "document_support": "support", "language": "de", "word_limit": 300, "max_chunks": "25",
        "file_upload_limit": 40})
    .to_string();
    let new = [
        ("function_calling_type", "stream_tool_call"),
        ("api_key_name", "X-API-Key"),
        ("advanced", "on"),
        ("more_settings", settings.as_str()),
    ];
    let bare =
        || Method { form: vec![("api_key", API_KEY.to_owned())], ..key("header", KeyPlace::Header("x-api-key", "")) };
    let (old, new) = (Setup::of(&bare()).await.with(&old), Setup::of(&bare()).await.with(&new));
    let (old, new) = (old.with(&same), new.with(&same));
    for model_type in MODEL_TYPES {
        let schema = async |setup: &Setup| {
            setup.call("get_ai_model_schemas", json!({"model_type": model_type})).await.item()["model_schema"].clone()
        };
        assert_eq!(schema(&old).await, schema(&new).await, "{model_type}");
        for setup in [&old, &new] {
            assert_eq!(setup.validate(model_type).await.item()["result"], true, "{model_type}");
        }
    }
}

#[tokio::test]
async fn shows_no_secret_anywhere() {
    if !is_own_process("aigateway::shows_no_secret_anywhere") {
        return;
    }
    log();
    let mut shown = String::new();
    let mut canaries = Vec::new();
    for method in methods() {
        canaries.extend(method.canaries.clone());
        let setup = Setup::of(&method).await;
        for model_type in MODEL_TYPES {
            for reply in [
                None,
                Some(Reply::new(401, "text/plain", "Jwt is expired")),
                Some(Reply::new(500, "text/plain", "boom")),
                Some(Reply::new(302, "text/plain", "").header("location", "/else")),
            ] {
                reply.into_iter().for_each(|reply| setup.gateway.script(reply));
                shown.push_str(&format!("{:?}", setup.use_model(model_type, true).await));
                shown.push_str(&format!("{:?}", setup.validate(model_type).await));
            }
        }
        let unreachable =
            Setup::of(&method).await.with(&[("endpoint_url", "http://127.0.0.1:1/v1"), ("max_retries", "0")]);
        shown.push_str(&format!("{:?}", unreachable.validate("llm").await));
        for raw in setup.gateway.seen() {
            shown.push_str(&String::from_utf8_lossy(&raw.body));
            if !method.name.ends_with("query") {
                shown.push_str(&raw.target);
            }
            // The credential of a request is as secret as the key.
            for name in ["x-ca-signature", "authorization", "x-token", "x-api-key"] {
                let value = raw.header(name).rsplit(' ').next().unwrap();
                canaries.extend((!value.is_empty()).then(|| value.to_owned()));
            }
        }
    }
    let logged = String::from_utf8_lossy(&log().lock().unwrap()).into_owned();
    assert!(logged.contains("upstream responded"), "the log is being written");
    assert!(canaries.len() > 100);
    for canary in canaries {
        assert!(!shown.contains(&canary), "{canary} was shown");
        assert!(!logged.contains(&canary), "{canary} was logged");
    }
}

#[tokio::test]
async fn rejects_private_file_urls_before_a_request() {
    let setup = Setup::of(&jwt_oct()).await.with(&[("vision_support", "support")]);
    let ask = |url: &str| {
        let image = json!({"type": "image", "url": url, "format": "png", "mime_type": "image/png"});
        setup.ask(true, json!({"prompt_messages": [{"role": "user", "content": [image]}]}))
    };
    for (url, words) in [
        ("file:///etc/passwd", "unsupported URL scheme: file"),
        ("gopher://h/x", "unsupported URL scheme: gopher"),
        ("http://127.0.0.1/x", "private host 127.0.0.1"),
        ("http://[::1]/x", "private host ::1"),
        ("http://2130706433/", "private host 127.0.0.1"),
        ("http://api:5001/files/x", "“Dify files URL” `file_url`"),
        ("/files/abc/file-preview?sign=3", "FILES_URL"),
    ] {
        let outcome = ask(url).await;
        assert!(outcome.failure().1.contains(words), "{url}: {:?}", outcome.error);
        assert!(setup.gateway.seen().is_empty(), "{url}");
    }
    ask("https://example.com/a.png").await.text();
    assert_eq!(setup.gateway.last_json()["messages"][0]["content"][0]["image_url"]["url"], "https://example.com/a.png");
    let validated = setup.with(&[("file_url", "x")]).validate("llm").await;
    assert!(validated.failure().1.contains("`file_url` must be a URL"), "{:?}", validated.error);
}

#[tokio::test]
async fn validates_a_model_in_the_form_that_it_accepts() {
    let refusal = |message: &str| {
        Reply::new(400, "application/json", json!({"error": {"message": message, "type": "x"}}).to_string())
    };
    for message in [
        "This model only support stream mode, please enable the stream parameter to access the model. ",
        "parameter.enable_thinking must be set to false for non-streaming calls",
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 10 instead.",
    ] {
        let setup = Setup::of(&jwt_oct()).await;
        setup.gateway.script(refusal(message));
        assert_eq!(setup.validate("llm").await.item()["result"], true, "{message}");
        let body = setup.gateway.last_json();
        let limit = if message.contains("16") { 16 } else { 10 };
        assert_eq!((&body["stream"], &body["max_tokens"]), (&json!(limit == 10), &json!(limit)), "{message}");
    }
}
