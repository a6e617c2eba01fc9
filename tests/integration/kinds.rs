//! Plugins of every kind but models, served over a connection: each action's result items and errors as Dify takes them.

use crate::support::sample_plugins;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin::runtime::{Registry, ServeOptions};
use dify_plugin::testing::{Failure, Host, Invocation};
use serde_json::{Value, json};

/// What a session sent.
#[derive(Debug)]
struct Session {
    items: Vec<Value>,
    ending: Result<(), Failure>,
}

impl Session {
    async fn of(call: Invocation<'_, Vec<Value>>) -> Self {
        let (items, ending) = call.start().finish().await;
        Self { items, ending }
    }

    /// The one item of a session that went well.
    fn one(self) -> Value {
        assert!(self.ending.is_ok() && self.items.len() == 1, "{self:?}");
        self.items.into_iter().next().unwrap()
    }

    /// Type and text of the error.
    fn failure(&self) -> (&str, &str) {
        let failure = self.ending.as_ref().unwrap_err();
        (&failure.kind, &failure.message)
    }
}

fn invocation<'h>(host: &'h Host, access_type: &str, action: &str, fields: Value) -> Invocation<'h, Vec<Value>> {
    let mut data = json!({"type": access_type, "action": action, "user_id": "user"});
    data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    host.request(data)
}

async fn request(host: &Host, access_type: &str, action: &str, fields: Value) -> Session {
    Session::of(invocation(host, access_type, action, fields)).await
}

fn http_request(text: &str) -> String {
    hex::encode(text.replace('\n', "\r\n"))
}

fn body(item: &Value) -> String {
    String::from_utf8(hex::decode(item["result"].as_str().unwrap_or_default()).unwrap()).unwrap()
}

fn tool(tool: &str, parameters: Value) -> Value {
    json!({"provider": "weather", "tool": tool, "tool_parameters": parameters, "credential_type": "api-key",
        "credentials": {"api_key": "good-key"}})
}

#[tokio::test]
async fn a_tool_sends_its_messages() {
    let plugin = Host::new(sample_plugins::weather());
    let text = |text: &str| json!({"type": "text", "message": {"text": text}, "meta": null});
    for (parameters, expected) in [
        (json!({"place": "Riga", "days": 3}), "Sunny in Riga for 3 (user)"),
        (json!({"place": "Riga", "days": null}), "Sunny in Riga for 1 (user)"),
        // What was not filled in may come as an empty string.
        (json!({"place": "Riga", "days": ""}), "Sunny in Riga for 1 (user)"),
    ] {
        let session = request(&plugin, "tool", "invoke_tool", tool("forecast", parameters)).await;
        let expected = [
            text(expected),
            json!({"type": "json", "message": {"json_object": {"place": "Riga", "key": 8}}, "meta": null}),
            json!({"type": "variable", "meta": null,
                "message": {"variable_name": "temperature", "variable_value": 21, "stream": false}}),
        ];
        assert_eq!(session.items, expected);
    }
    let long_name = json!({"provider": "author/plugin/weather", "tool": "forecast", "tool_parameters": {"place": "x"}});
    assert_eq!(request(&plugin, "tool", "invoke_tool", long_name).await.items.len(), 3);
}

#[tokio::test]
async fn a_failed_tool_names_what_went_wrong_and_no_secret() {
    let plugin = Host::new(sample_plugins::weather());
    for (fields, kind, expected) in [
        (tool("forecast", json!({})), "ValueError", "missing field `place`"),
        (tool("forecast", json!({"place": "x", "days": "many"})), "ValueError", "cannot read parameter `days`"),
        (tool("nothing", json!({})), "ValueError", "unknown tool `nothing`; this plugin has forecast, odd"),
        (json!({"provider": "p", "tool": "t"}), "ValueError", "unknown tool provider `p`; this plugin has weather"),
        (tool("odd", json!({"deed": "error"})), "ValueError", "Try another."),
        (tool("odd", json!({"deed": "panic"})), "RuntimeError", "log"),
        (tool("odd", json!({"deed": "long"})), "ValueError", "PLUGIN_RUNTIME_MAX_BUFFER_SIZE"),
        (tool("odd", json!({"deed": "reserved"})), "RuntimeError", "`files` is an output of every node"),
    ] {
        let session = request(&plugin, "tool", "invoke_tool", fields).await;
        let (found, message) = session.failure();
        assert!(found == kind && message.contains(expected), "{found}: {message}");
        assert!(!message.contains("good-key") && !message.contains("[weather]"), "{message}");
    }
    let session = request(&plugin, "tool", "invoke_tool", tool("odd", json!({"deed": "error"}))).await;
    assert_eq!(session.items[0]["message"]["text"], "before");
}

#[tokio::test]
async fn a_file_of_a_tool_is_sent_in_chunks_that_join_to_it() {
    let plugin = Host::new(sample_plugins::weather());
    let session = request(&plugin, "tool", "invoke_tool", tool("odd", json!({"deed": "blob"}))).await;
    let (mut bytes, count) = (Vec::new(), session.items.len());
    for (number, item) in session.items.iter().enumerate() {
        let chunk = &item["message"];
        assert_eq!((&item["type"], &item["meta"]["filename"]), (&json!("blob_chunk"), &json!("x.txt")));
        assert_eq!((&chunk["sequence"], &chunk["total_length"]), (&json!(number), &json!(20_000)));
        assert_eq!(chunk["end"], number + 1 == count);
        let part = STANDARD.decode(chunk["blob"].as_str().unwrap()).unwrap();
        assert!(part.len() <= 8192 && (chunk["end"] == false || part.is_empty()));
        bytes.extend(part);
    }
    assert_eq!(bytes, vec![b'x'; 20_000]);
}

#[tokio::test]
async fn credentials_are_checked_and_the_reason_is_shown() {
    let plugin = Host::new(sample_plugins::weather());
    for (key, expected) in [("good-key", None), ("bad-key-1", Some("the service rejects")), ("", Some("required"))] {
        let fields = json!({"provider": "weather", "credentials": {"api_key": key}});
        let session = request(&plugin, "tool", "validate_tool_credentials", fields).await;
        match expected {
            None => assert_eq!(session.one(), json!({"result": true})),
            Some(expected) => {
                let (kind, message) = session.failure();
                assert_eq!(kind, "ToolProviderCredentialValidationError");
                assert!(message.contains(expected) && !message.contains("bad-key-1"), "{message}");
            }
        }
    }
    let sources = Host::new(sample_plugins::sources());
    let fields = json!({"provider": "sources", "credentials": {}});
    let session = request(&sources, "datasource", "validate_datasource_credentials", fields).await;
    assert_eq!(session.failure(), ("DatasourceCredentialValidationError", "the service is down"));
}

#[tokio::test]
async fn options_and_runtime_parameters_are_fetched() {
    let plugin = Host::new(sample_plugins::weather());
    let fields = json!({"provider": "weather", "provider_action": "forecast", "parameter": "place", "credentials": {}});
    let options = request(&plugin, "dynamic_parameter", "fetch_parameter_options", fields).await.one();
    let expected = json!({"options": [
        {"value": "riga", "label": {"en_US": "Riga"}, "icon": "https://x/i.png"},
        {"value": "place", "label": {"en_US": "place"}},
    ]});
    assert_eq!(options, expected);
    let runtime = request(&plugin, "tool", "get_tool_runtime_parameters", tool("forecast", json!({}))).await.one();
    assert_eq!(runtime, json!({"parameters": [{"name": "place", "type": "string"}]}));
    let fields = json!({"provider": "weather", "provider_action": "odd", "parameter": "place", "credentials": {}});
    let session = request(&plugin, "dynamic_parameter", "fetch_parameter_options", fields).await;
    assert_eq!(session.failure().0, "NotImplementedError");
    let triggers = Host::new(sample_plugins::triggers());
    let fields = json!({"provider": "forge", "provider_action": "provider", "parameter": "repo", "credentials": {}});
    let options = request(&triggers, "dynamic_parameter", "fetch_parameter_options", fields).await.one();
    assert_eq!(options["options"][0]["value"], "subscription");
}

#[tokio::test]
async fn an_endpoint_answers_requests() {
    let plugin = Host::new(sample_plugins::weather());
    let call = async |text: &str| {
        let fields = json!({"raw_http_request": http_request(text), "settings": {"token": "t"}});
        request(&plugin, "endpoint", "invoke_endpoint", fields).await
    };
    let item = call("POST /echo?b=1 HTTP/1.1\nHost: x\nContent-Length: 2\n\nhi").await.one();
    assert_eq!((&item["status"], &item["headers"]["x-a"]), (&json!(200), &json!("1, 2")));
    assert_eq!(body(&item), "POST /echo?b=1 t hi");
    let item = call("HEAD /echo HTTP/1.1\n\n").await.one();
    assert_eq!((&item["status"], item.get("result")), (&json!(200), None));
    for (path, status, text) in [
        ("/denied", 401, "wrong token\n"),
        ("/nothing", 404, "no such path\n"),
        ("/broken", 500, "Internal Server Error\n"),
    ] {
        let item = call(&format!("GET {path} HTTP/1.1\n\n")).await.one();
        assert_eq!((item["status"].as_u64(), body(&item).as_str()), (Some(status), text), "{path}");
    }
    let item = call("nonsense").await.one();
    assert_eq!(item["status"], 400);
    let session = call("GET /stream HTTP/1.1\n\n").await;
    assert!(session.items.len() > 1 && session.items[0]["status"] == 200, "{session:?}");
    let whole: String = session.items.iter().map(body).collect();
    assert_eq!(whole, "data: 0\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n");
}

#[tokio::test]
async fn an_agent_sends_its_usage_last() {
    let plugin = Host::new(sample_plugins::agent());
    let fields = json!({"agent_strategy_provider": "thinker", "agent_strategy": "think",
        "agent_strategy_params": {"query": "Why?", "old": null}});
    let call = invocation(&plugin, "agent_strategy", "invoke_agent_strategy", fields);
    let session = Session::of(call.tool_credential("weather", "id-1")).await;
    let types: Vec<&str> = session.items.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["log", "text", "json", "log", "json"]);
    assert_eq!(session.items[1]["message"]["text"], "Why? by id-1");
    let usage = json!({"execution_metadata": {"total_tokens": 7, "total_price": "0.01", "currency": "USD"}});
    assert_eq!(session.items[4]["message"]["json_object"], usage);
    assert_eq!(session.items[0]["message"]["id"], session.items[3]["message"]["id"]);
}

fn datasource(name: &str, more: Value) -> Value {
    let mut fields = json!({"provider": "sources", "datasource": name, "credentials": {}});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fields
}

#[tokio::test]
async fn datasources_of_every_type_are_served() {
    let plugin = Host::new(sample_plugins::sources());
    let fields = datasource("site", json!({"datasource_parameters": {"url": "https://x"}}));
    let session = request(&plugin, "datasource", "invoke_website_datasource_get_crawl", fields).await;
    let states: Vec<(&str, u64)> = session
        .items
        .iter()
        .map(|item| (item["result"]["status"].as_str().unwrap(), item["result"]["completed"].as_u64().unwrap()))
        .collect();
    assert_eq!(states, [("processing", 0), ("processing", 1), ("processing", 2), ("completed", 2)]);
    assert_eq!(session.items[3]["result"]["web_info_list"][1]["source_url"], "https://x/1");

    let fields = datasource("notes", json!({"datasource_parameters": {}}));
    let pages = request(&plugin, "datasource", "invoke_online_document_datasource_get_pages", fields).await.one();
    assert_eq!(pages["result"][0]["pages"][0]["page_name"], "Page");
    let fields = datasource("notes", json!({"page": {"workspace_id": "w", "page_id": "p", "type": "page"}}));
    let session = request(&plugin, "datasource", "invoke_online_document_datasource_get_page_content", fields).await;
    let variables: Vec<(&str, &Value)> = session
        .items
        .iter()
        .map(|item| (item["message"]["variable_name"].as_str().unwrap(), &item["message"]["variable_value"]))
        .collect();
    let (text, title, workspace, page) = (json!("text of p"), json!("Page"), json!("w"), json!("p"));
    assert_eq!(variables, [("content", &text), ("title", &title), ("workspace_id", &workspace), ("page_id", &page)]);

    let fields = datasource("drive", json!({"request": {"bucket": "b", "prefix": "", "max_keys": 20}}));
    let listing = request(&plugin, "datasource", "invoke_online_drive_browse_files", fields).await.one();
    let file = json!({"id": "1", "name": "a.txt", "size": 0, "type": "file"});
    let expected = json!({"bucket": "b", "files": [file], "is_truncated": false, "next_page_parameters": null});
    assert_eq!(listing, json!({"result": [expected]}));
    let session =
        request(&plugin, "datasource", "invoke_online_drive_browse_files", datasource("notes", json!({"request": {}})))
            .await;
    assert_eq!(session.failure(), ("ValueError", "datasource `notes` is no online drive"));
}

#[tokio::test]
async fn a_file_of_a_drive_is_one_line_or_an_error_that_names_the_limit() {
    let options = ServeOptions::default().with_max_line_bytes(200_000);
    let plugin = Host::new(sample_plugins::sources()).serve_options(options);
    for (bytes, fits) in [(0, true), (1, true), (100_001, true), (149_000, true), (150_000, false)] {
        let fields = datasource("drive", json!({"request": {"id": bytes.to_string()}}));
        let session = request(&plugin, "datasource", "invoke_online_drive_download_file", fields).await;
        if fits {
            let item = session.one();
            let file = STANDARD.decode(item["message"]["blob"].as_str().unwrap()).unwrap();
            assert_eq!((file.len(), &item["type"]), (bytes, &json!("blob")));
            assert_eq!(item["meta"], json!({"file_name": "a.txt", "mime_type": "text/plain"}));
        } else {
            let (_, message) = session.failure();
            assert!(message.contains("PLUGIN_RUNTIME_MAX_BUFFER_SIZE") && session.items.is_empty(), "{message}");
        }
    }
}

fn trigger(more: Value) -> Value {
    let mut fields = json!({"provider": "forge", "credentials": {}, "credential_type": "unauthorized",
        "subscription": {"expires_at": -1, "endpoint": "https://d", "properties": {"secret": "s3cret-value", "id": "7"}},
        "raw_http_request": http_request("POST / HTTP/1.1\nX: 1\n\nbody")});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    fields
}

#[tokio::test]
async fn a_trigger_dispatches_requests_and_events() {
    let plugin = Host::new(sample_plugins::triggers());
    let dispatched = request(&plugin, "trigger", "dispatch_trigger_event", trigger(json!({}))).await.one();
    // An event that Dify does not know would fail the whole request.
    assert_eq!((&dispatched["events"], &dispatched["user_id"]), (&json!(["push"]), &json!("octocat")));
    let response = hex::decode(dispatched["response"].as_str().unwrap()).unwrap();
    assert_eq!(response, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    for (parameters, expected) in [
        (json!({"branch": "main"}), json!({"variables": {"length": 4}, "cancelled": false})),
        (json!({"branch": "other"}), json!({"variables": {}, "cancelled": true})),
        (json!(null), json!({"variables": {"length": 4}, "cancelled": false})),
    ] {
        let fields = trigger(json!({"event": "push", "parameters": parameters, "payload": dispatched["payload"]}));
        assert_eq!(request(&plugin, "trigger", "invoke_trigger_event", fields).await.one(), expected);
    }
    let unsigned = trigger(json!({"subscription": {"properties": {}}}));
    let session = request(&plugin, "trigger", "dispatch_trigger_event", unsigned).await;
    assert_eq!(session.failure(), ("TriggerValidationError", "wrong signature"));
    let session = request(&plugin, "trigger", "invoke_trigger_event", trigger(json!({"event": "nothing"}))).await;
    assert_eq!(session.failure(), ("TriggerInvokeError", "unknown event `nothing`; this plugin has push"));
}

#[tokio::test]
async fn subscriptions_are_made_and_ended() {
    let plugin = Host::new(sample_plugins::triggers());
    let fields = trigger(json!({"endpoint": "https://d/t", "parameters": {"repo": "r"}}));
    let made = request(&plugin, "trigger", "subscribe_trigger", fields).await.one();
    let expected =
        json!({"expires_at": -1, "endpoint": "https://d/t", "parameters": {"repo": "r"}, "properties": {"id": "7"}});
    assert_eq!(made, json!({"subscription": expected}));
    let ended = request(&plugin, "trigger", "unsubscribe_trigger", trigger(json!({}))).await.one();
    assert_eq!(ended, json!({"subscription": {"success": true, "message": null}}));
    let fields = trigger(json!({"subscription": {"properties": {}}}));
    let session = request(&plugin, "trigger", "unsubscribe_trigger", fields).await;
    assert_eq!(session.failure(), ("UnsubscribeError", "no such hook"));
    for (action, kind) in [
        ("refresh_trigger", "SubscriptionError"),
        ("validate_trigger_credentials", "TriggerProviderCredentialValidationError"),
    ] {
        let session = request(&plugin, "trigger", action, trigger(json!({}))).await;
        assert_eq!(session.failure().0, kind);
    }
}

#[tokio::test]
async fn oauth_serves_the_provider_that_has_it() {
    for (plugin, provider, kind) in [
        (sample_plugins::weather(), "weather", "ToolProviderOAuthError"),
        (sample_plugins::sources(), "sources", "DatasourceOAuthError"),
        (sample_plugins::triggers(), "forge", "TriggerProviderOAuthError"),
    ] {
        let plugin = Host::new(plugin);
        let access =
            json!({"provider": provider, "redirect_uri": "https://d/cb", "system_credentials": {"client_id": "c"}});
        let call = async |action: &str, more: Value| {
            let mut fields = access.clone();
            fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            request(&plugin, "oauth", action, fields).await
        };
        let url = call("get_authorization_url", json!({})).await.one();
        assert_eq!(url, json!({"authorization_url": "https://x/authorize?client=c&to=https://d/cb"}));
        let callback = http_request("GET /cb?code=1 HTTP/1.1\n\n");
        let made = call("get_credentials", json!({"raw_http_request": callback})).await.one();
        assert_eq!(made, json!({"metadata": {}, "credentials": {"access_token": "code=1"}, "expires_at": -1}));
        let renewed = call("refresh_credentials", json!({"credentials": {"access_token": "a"}})).await.one();
        assert_eq!(renewed, json!({"credentials": {"access_token": "a-renewed"}, "expires_at": 1_900_000_000}));
        let session = call("get_credentials", json!({"raw_http_request": http_request("GET /cb HTTP/1.1\n\n")})).await;
        assert_eq!(session.failure(), (kind, "the callback has no code"));
    }
}

#[tokio::test]
async fn a_kind_without_code_is_named() {
    let plugin = Host::new(dify_plugin::plugin::Plugin::new());
    let raw = http_request("GET / HTTP/1.1\n\n");
    for (access_type, action, fields, expected) in [
        ("tool", "invoke_tool", tool("forecast", json!({})), "the plugin has no tools"),
        ("endpoint", "invoke_endpoint", json!({"raw_http_request": raw}), "the plugin has no endpoints"),
        (
            "agent_strategy",
            "invoke_agent_strategy",
            json!({"agent_strategy_provider": "a", "agent_strategy": "b"}),
            "the plugin has no agent strategies",
        ),
        ("datasource", "validate_datasource_credentials", json!({"provider": "p"}), "the plugin has no datasources"),
        ("trigger", "dispatch_trigger_event", trigger(json!({})), "the plugin has no triggers"),
        (
            "dynamic_parameter",
            "fetch_parameter_options",
            json!({"provider": "p", "provider_action": "a", "parameter": "x"}),
            "the plugin has no parameters with options",
        ),
    ] {
        let session = request(&plugin, access_type, action, fields).await;
        assert_eq!(session.failure().1, expected, "{action}");
    }
}

fn declared() -> dify_plugin::declare::Declarations {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plugins/weather");
    dify_plugin::declare::load(&directory).unwrap()
}

#[tokio::test]
async fn parameters_are_cast_to_the_types_of_the_declaration() {
    let registry = Registry::new(Vec::new(), Vec::new()).unwrap();
    let registry = registry.with_declared_plugin(declared().kinds, sample_plugins::weather()).unwrap();
    let plugin = Host::of(registry);
    for (parameters, expected) in [
        (json!({"place": "Riga", "days": "3"}), "Sunny in Riga for 3 (user)"),
        (json!({"place": 5, "days": ""}), "Sunny in 5 for 2 (user)"),
        (json!({"place": "Riga"}), "Sunny in Riga for 2 (user)"),
    ] {
        let session = request(&plugin, "tool", "invoke_tool", tool("forecast", parameters)).await;
        assert_eq!(session.items[0]["message"]["text"], expected);
    }
    for (name, parameters, expected) in [
        ("forecast", json!({"days": 1}), "parameter `place` is required but missing"),
        ("forecast", json!({"place": "x", "days": "many"}), "parameter `days` must be a number"),
        ("odd", json!({"deed": "panic"}), "parameter `deed` is not one of its options"),
    ] {
        let session = request(&plugin, "tool", "invoke_tool", tool(name, parameters)).await;
        assert!(session.failure().1.starts_with(expected), "{session:?}");
    }
}

#[test]
fn declarations_and_code_must_agree() {
    let kinds = declared().kinds;
    assert_eq!(sample_plugins::weather().differences(&kinds), [] as [String; 0]);
    let mut fewer = kinds.clone();
    fewer.endpoint = None;
    fewer.tool.as_mut().unwrap().tools.remove(0);
    fewer.tool.as_mut().unwrap().identity.name = "other".to_owned();
    assert_eq!(
        sample_plugins::weather().differences(&fewer),
        [
            "provider `other` is declared, but the code is for provider `weather`",
            "the plugin has code for tool `forecast`, but does not declare it",
            "the plugin has code for endpoints, but declares none",
        ]
    );
    let differences = sample_plugins::agent().differences(&kinds);
    assert_eq!(
        differences,
        [
            "provider `weather` is declared, but the plugin has no code for it",
            "the plugin has code for provider `thinker`, but declares no agent strategy",
            "endpoints are declared, but the plugin has no code for them",
        ]
    );
    let registry = Registry::new(Vec::new(), Vec::new()).unwrap();
    assert!(registry.with_declared_plugin(kinds, sample_plugins::agent()).is_err());
}
