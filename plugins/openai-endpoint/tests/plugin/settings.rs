//! Keys, names, and settings that are wrong.

use serde_json::{Value, json};

use crate::support::{KEY, chat, host, post, request, settings};

async fn with(changes: Value, request: dify_plugin::http::Request<Vec<u8>>) -> (u16, Value) {
    let mut settings = settings();
    for (name, value) in changes.as_object().unwrap() {
        settings[name] = value.clone();
    }
    let host = host().on_llm(|_| "Hi");
    let response = host.endpoint(request).settings(settings).await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

fn with_key(key: &str, path: &str) -> dify_plugin::http::Request<Vec<u8>> {
    let mut request = request("GET", path, "");
    request.headers_mut().insert("authorization", key.parse().unwrap());
    request
}

#[tokio::test]
async fn only_known_keys_are_accepted() {
    let more = json!({"more_keys": "sk-second-0123456789; sk-third-0123456789 = small, app*"});
    for (header, status) in [
        (format!("Bearer {KEY}"), 200),
        (format!("bearer  {KEY} "), 200),
        ("Bearer sk-second-0123456789".into(), 200),
        ("Bearer sk-third-0123456789".into(), 200),
        (KEY.into(), 401),
        ("Bearer ".into(), 401),
        (format!("Bearer {KEY}x"), 401),
        (format!("Bearer {}", &KEY[..KEY.len() - 1]), 401),
        ("Basic c2stMDEyMzQ1Njc4OWFiY2RlZg==".into(), 401),
    ] {
        let (found, body) = with(more.clone(), with_key(&header, "/v1/models")).await;
        assert_eq!(found, status, "{header}");
        if status == 401 {
            assert_eq!(body["error"]["code"], "invalid_api_key");
        }
    }
}

#[tokio::test]
async fn a_key_with_names_sees_only_these() {
    let more = json!({"more_keys": "sk-third-0123456789 = small, app*"});
    let (_, body) = with(more.clone(), with_key("Bearer sk-third-0123456789", "/v1/models")).await;
    let names: Vec<&str> = body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["app", "small"]);
    for (model, status) in [("small", 200), ("chat", 404), ("nothing", 404)] {
        let mut request = post("/v1/chat/completions", &chat(json!({"model": model})));
        request.headers_mut().insert("authorization", "Bearer sk-third-0123456789".parse().unwrap());
        let (found, body) = with(more.clone(), request).await;
        assert_eq!(found, status, "{body}");
        if status == 404 {
            // The same text, whether the model exists or not.
            let message = format!("The model `{model}` does not exist, or your key may not use it.");
            assert_eq!(body["error"]["message"], message);
        }
    }
}

#[tokio::test]
async fn wrong_settings_name_field_entry_and_what_is_allowed() {
    let long = "sk-second-0123456789";
    for (changes, parts) in [
        (json!({"api_key": ""}), &["`api_key` is empty"][..]),
        (json!({"api_key": "short"}), &["`api_key`", "at least 16"]),
        (json!({"more_keys": format!("{long}; {KEY}")}), &["`more_keys`, entry 2", "twice"]),
        (json!({"more_keys": format!("{long}; abc")}), &["`more_keys`, entry 2", "at least 16"]),
        (json!({"more_keys": format!("{long} = ")}), &["`more_keys`, entry 1", "KEY = NAME"]),
        (json!({"more_keys": format!("{long} = smal")}), &["entry 1", "`smal`", "`small`"]),
        (json!({"more_keys": format!("{long}\u{e9}")}), &["entry 1", "ASCII"]),
        (json!({"more_models": "a = acme/x"}), &["`more_models`, entry 1", "AUTHOR/PLUGIN/PROVIDER/MODEL"]),
        (json!({"more_models": "a = b/c/d/e; b"}), &["`more_models`, entry 2", "NAME = "]),
        (json!({"more_models": "chat = b/c/d/e"}), &["entry 1", "`chat` is used twice"]),
        (json!({"more_models": "a b = b/c/d/e"}), &["entry 1", "`a b`", "letters"]),
        (json!({"more_apps": "a = agent:x"}), &["`more_apps`, entry 1", "chat:APP_ID"]),
        (json!({"more_apps": "a = chat:a/b"}), &["`more_apps`, entry 1"]),
        (json!({"more_apps": "app = chat:x"}), &["`more_apps`, entry 1", "twice"]),
        (json!({"chat_app": {"app_id": ""}}), &["`chat_app`", "choose an app"]),
        (json!({"llm": {"model": "x"}}), &["`llm`", "choose a model"]),
        (json!({"cors_origins": "a.example"}), &["`cors_origins`, entry 1", "https://app.example.com"]),
    ] {
        let (status, body) = with(changes.clone(), request("GET", "/v1/models", "")).await;
        assert_eq!((status, &body["error"]["code"]), (500, &json!("invalid_settings")), "{changes}: {body}");
        let message = body["error"]["message"].as_str().unwrap();
        for part in parts {
            assert!(message.contains(part), "{changes}: {message}");
        }
        assert!(!message.contains("0123456789"), "a key is in the message: {message}");
    }
}

#[tokio::test]
async fn lists_may_have_line_breaks_and_blanks() {
    let lists = json!({"more_models": "\n a = b/c/d/e/f ;\n;", "more_apps": null, "more_keys": "", "cors_origins": "*; https://a.example:8443"});
    let (status, body) = with(lists, request("GET", "/v1/models", "")).await;
    assert_eq!((status, &body["data"][7]["id"]), (200, &json!("a")));
}

#[tokio::test]
async fn web_pages_of_allowed_origins_may_call() {
    let origins = json!({"cors_origins": "https://a.example"});
    for (method, status) in [("OPTIONS", 204), ("GET", 200)] {
        let mut request = request(method, "/v1/models", "");
        request.headers_mut().insert("origin", "https://a.example".parse().unwrap());
        if method == "OPTIONS" {
            request.headers_mut().remove("authorization");
            request
                .headers_mut()
                .insert("access-control-request-headers", "authorization,x-stainless-os".parse().unwrap());
        }
        let mut settings = settings();
        settings["cors_origins"] = origins["cors_origins"].clone();
        let host = host();
        let response = host.endpoint(request).settings(settings).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["access-control-allow-origin"], "https://a.example");
        if method == "OPTIONS" {
            assert_eq!(response.headers()["access-control-allow-headers"], "authorization,x-stainless-os");
        }
    }
    let mut request = request("GET", "/v1/models", "");
    request.headers_mut().insert("origin", "https://b.example".parse().unwrap());
    let response = host().endpoint(request).settings(settings()).await.unwrap();
    assert!(!response.headers().contains_key("access-control-allow-origin"));
}
