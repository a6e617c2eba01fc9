//! Requests of every access type, in the form in which the daemon writes them, and what they are read as.

use dify_plugin::error::{ErrorKind, InvokeError};
use dify_plugin::protocol::Invocation;
use dify_plugin::protocol::access::CredentialType;
use dify_plugin::protocol::agent::AgentUsage;
use dify_plugin::protocol::datasource::DatasourceRequest;
use dify_plugin::protocol::endpoint::EndpointItem;
use dify_plugin::protocol::envelope::{ErrorPayload, Inbound};
use dify_plugin::protocol::oauth::{DATASOURCE_ERRORS, TRIGGER_ERRORS};
use dify_plugin::protocol::tool::ToolRequest;
use dify_plugin::protocol::tool_message::{Content, Message};
use dify_plugin::protocol::trigger::TriggerRequest;
use serde_json::{Value, json};

/// Every access type and action with the fields that the daemon writes: all of them, absent ones as null.
fn requests() -> Vec<(&'static str, &'static str, Value)> {
    let subscription =
        json!({"expires_at": 1.7e9, "endpoint": "https://d/t", "parameters": null, "properties": {"s": "k"}});
    let raw = hex::encode("GET / HTTP/1.1\r\n\r\n");
    vec![
        (
            "tool",
            "invoke_tool",
            json!({"provider": "p", "tool": "t", "tool_parameters": {"a": 1}, "credentials": {"k": "v"}, "credential_type": "api-key"}),
        ),
        ("tool", "validate_tool_credentials", json!({"provider": "p", "credentials": null})),
        ("tool", "get_tool_runtime_parameters", json!({"provider": "p", "tool": "t", "credentials": null})),
        (
            "agent_strategy",
            "invoke_agent_strategy",
            json!({"agent_strategy_provider": "p", "agent_strategy": "s", "agent_strategy_params": {"old": null}}),
        ),
        ("endpoint", "invoke_endpoint", json!({"raw_http_request": raw, "settings": null})),
        (
            "oauth",
            "get_authorization_url",
            json!({"provider": "p", "redirect_uri": "https://d/cb", "system_credentials": null}),
        ),
        (
            "oauth",
            "get_credentials",
            json!({"provider": "p", "redirect_uri": "https://d/cb", "system_credentials": {"id": "i"}, "raw_http_request": raw}),
        ),
        (
            "oauth",
            "refresh_credentials",
            json!({"provider": "p", "redirect_uri": "https://d/cb", "system_credentials": null, "credentials": {"t": "x"}}),
        ),
        ("datasource", "validate_datasource_credentials", json!({"provider": "p", "credentials": {}})),
        (
            "datasource",
            "invoke_website_datasource_get_crawl",
            json!({"provider": "p", "datasource": "d", "datasource_parameters": {}, "credentials": null}),
        ),
        (
            "datasource",
            "invoke_online_document_datasource_get_pages",
            json!({"provider": "p", "datasource": "d", "datasource_parameters": {}, "credentials": null}),
        ),
        (
            "datasource",
            "invoke_online_document_datasource_get_page_content",
            json!({"provider": "p", "datasource": "d", "page": {"workspace_id": "w", "page_id": "i", "type": "page"}, "credentials": null}),
        ),
        (
            "datasource",
            "invoke_online_drive_browse_files",
            json!({"provider": "p", "datasource": "d", "request": {"bucket": null, "prefix": "", "max_keys": 20, "next_page_parameters": null}, "credentials": null}),
        ),
        (
            "datasource",
            "invoke_online_drive_download_file",
            json!({"provider": "p", "datasource": "d", "request": {"bucket": "b", "id": "f"}, "credentials": null}),
        ),
        (
            "dynamic_parameter",
            "fetch_parameter_options",
            json!({"provider": "p", "provider_action": "t", "parameter": "x", "credentials": {}}),
        ),
        (
            "trigger",
            "validate_trigger_credentials",
            json!({"provider": "p", "credentials": {}, "credential_type": "api-key"}),
        ),
        (
            "trigger",
            "subscribe_trigger",
            json!({"provider": "p", "endpoint": "https://d/t", "parameters": null, "credentials": {}, "credential_type": "oauth2"}),
        ),
        (
            "trigger",
            "dispatch_trigger_event",
            json!({"provider": "p", "subscription": subscription, "raw_http_request": raw, "credentials": null, "credential_type": "unauthorized"}),
        ),
        (
            "trigger",
            "invoke_trigger_event",
            json!({"provider": "p", "event": "e", "raw_http_request": raw, "parameters": null, "subscription": subscription, "payload": null, "credentials": null}),
        ),
        ("trigger", "unsubscribe_trigger", json!({"provider": "p", "subscription": subscription, "credentials": {}})),
        ("trigger", "refresh_trigger", json!({"provider": "p", "subscription": subscription, "credentials": {}})),
        ("model", "validate_provider_credentials", json!({"provider": "p", "credentials": {}})),
    ]
}

fn data(access_type: &str, action: &str, fields: &Value) -> Value {
    let mut data = json!({"user_id": "u", "type": access_type, "action": action});
    data.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    data
}

fn parse(data: &Value) -> Invocation {
    Invocation::parse(&data.to_string()).unwrap_or_else(|error| panic!("{data}: {error}"))
}

#[test]
fn every_action_of_every_access_type_is_read() {
    for (access_type, action, fields) in requests() {
        let request = parse(&data(access_type, action, &fields));
        assert_eq!((request.access_type(), request.action()), (access_type, action));
        assert_eq!(request.provider(), if access_type == "endpoint" { "" } else { "p" }, "{action}");
    }
}

#[test]
fn no_action_needs_more_than_the_daemon_promises_nor_fails_on_more() {
    for (access_type, action, fields) in requests() {
        let mut more = data(access_type, action, &fields);
        let object = more.as_object_mut().unwrap();
        object.remove("user_id");
        object.insert("credential_type".to_owned(), json!(7));
        object.insert("newer".to_owned(), json!([null]));
        parse(&more);
        object_without_nulls(&mut more);
        parse(&more);
    }
}

fn object_without_nulls(value: &mut Value) {
    if let Value::Object(object) = value {
        object.retain(|_, value| !value.is_null());
        object.values_mut().for_each(object_without_nulls);
    }
}

#[test]
fn unknown_requests_are_named_with_what_there_is() {
    for (request, expected) in [
        (
            json!({"type": "robot", "action": "x"}),
            "unknown request type `robot`; expected one of model, tool, endpoint, agent_strategy",
        ),
        (
            json!({"type": "tool", "action": "x"}),
            "unknown action `x`; expected one of invoke_tool, validate_tool_credentials",
        ),
        (
            json!({"type": "tool", "action": "invoke_tool", "provider": "p"}),
            "cannot parse `invoke_tool`: field `.`: missing field `tool`",
        ),
        (json!({"type": "endpoint", "action": "invoke_endpoint", "raw_http_request": "xyz"}), "not valid hexadecimal"),
    ] {
        let error = Invocation::parse(&request.to_string()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn fields_have_their_values() {
    let by_action = |action: &str| {
        let (access_type, action, fields) = requests().into_iter().find(|(_, name, _)| *name == action).unwrap();
        parse(&data(access_type, action, &fields))
    };
    let Invocation::Tool(ToolRequest::Invoke(tool)) = by_action("invoke_tool") else { panic!() };
    assert_eq!((tool.tool.as_str(), &tool.tool_parameters["a"]), ("t", &json!(1)));
    assert_eq!(tool.access.credentials.get("k"), Some("v"));
    assert_eq!((tool.access.credential_type, tool.access.user_id.as_str()), (Some(CredentialType::ApiKey), "u"));
    let Invocation::Endpoint(endpoint) = by_action("invoke_endpoint") else { panic!() };
    assert_eq!(endpoint.invocation().raw_http_request, b"GET / HTTP/1.1\r\n\r\n");
    let Invocation::Trigger(TriggerRequest::Dispatch(dispatch)) = by_action("dispatch_trigger_event") else { panic!() };
    assert_eq!((dispatch.subscription.expires_at, dispatch.subscription.property("s")), (1_700_000_000, Some("k")));
    assert!(!format!("{dispatch:?}").contains("\"k\""), "a property is a secret");
    let Invocation::Datasource(DatasourceRequest::BrowseFiles(browse)) = by_action("invoke_online_drive_browse_files")
    else {
        panic!()
    };
    assert_eq!((browse.request.prefix.as_str(), browse.request.max_keys), ("", 20));
}

#[test]
fn messages_are_written_as_dify_reads_them_and_unknown_ones_are_kept() {
    for message in [
        json!({"type": "text", "message": {"text": "a"}, "meta": null}),
        json!({"type": "link", "message": {"text": "https://x"}, "meta": null}),
        json!({"type": "image", "message": {"text": "https://x"}, "meta": null}),
        json!({"type": "image_link", "message": {"text": "/files/tools/1.png"}, "meta": {"tool_file_id": "1"}}),
        json!({"type": "binary_link", "message": {"text": "/files/tools/1"}, "meta": {"tool_file_id": "1"}}),
        json!({"type": "json", "message": {"json_object": [1, {"a": null}]}, "meta": null}),
        json!({"type": "blob", "message": {"blob": "YQ=="}, "meta": {"mime_type": "text/plain"}}),
        json!({"type": "blob_chunk", "message": {"id": "1", "sequence": 0, "total_length": 1, "blob": "YQ==", "end": false}, "meta": null}),
        json!({"type": "variable", "message": {"variable_name": "n", "variable_value": null, "stream": false}, "meta": null}),
        json!({"type": "log", "message": {"id": "1", "label": "l", "parent_id": null, "error": null, "status": "start", "data": {}, "metadata": {}}, "meta": null}),
        json!({"type": "retriever_resources", "message": {"retriever_resources": [{"position": 1}], "context": "c"}, "meta": null}),
        json!({"type": "file", "message": {"file_marker": "x"}, "meta": null}),
        json!({"type": "newer", "message": [1], "meta": null}),
    ] {
        let read: Message =
            serde_json::from_value(message.clone()).unwrap_or_else(|error| panic!("{message}: {error}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), message);
        let is_known = !matches!(message["type"].as_str(), Some("file" | "newer"));
        assert_eq!(!matches!(read.content, Content::Other { .. }), is_known, "{message}");
    }
}

#[test]
fn results_have_the_members_that_dify_reads() {
    let usage = AgentUsage::new(3).with_price("0.1", "USD");
    assert_eq!(
        serde_json::to_value(usage.into_message()).unwrap()["message"]["json_object"],
        json!({"execution_metadata": {"total_tokens": 3, "total_price": "0.1", "currency": "USD"}})
    );
    assert_eq!(serde_json::to_value(EndpointItem::body(b"ok")).unwrap(), json!({"result": "6f6b"}));
}

#[test]
fn errors_have_the_names_that_dify_looks_for() {
    let rows = [
        ("invoke_tool", "ToolProviderCredentialValidationError", "ValueError", "RuntimeError"),
        (
            "validate_tool_credentials",
            "ToolProviderCredentialValidationError",
            "ToolProviderCredentialValidationError",
            "ToolProviderCredentialValidationError",
        ),
        (
            "validate_datasource_credentials",
            "DatasourceCredentialValidationError",
            "DatasourceCredentialValidationError",
            "DatasourceCredentialValidationError",
        ),
        (
            "validate_trigger_credentials",
            "TriggerProviderCredentialValidationError",
            "TriggerProviderCredentialValidationError",
            "TriggerProviderCredentialValidationError",
        ),
        ("dispatch_trigger_event", "TriggerValidationError", "TriggerDispatchError", "TriggerDispatchError"),
        ("subscribe_trigger", "SubscriptionError", "SubscriptionError", "SubscriptionError"),
        ("unsubscribe_trigger", "UnsubscribeError", "UnsubscribeError", "UnsubscribeError"),
        ("invoke_agent_strategy", "PermissionError", "ValueError", "RuntimeError"),
        ("get_credentials", "ToolProviderOAuthError", "ToolProviderOAuthError", "ToolProviderOAuthError"),
    ];
    for (action, credentials, bad_request, internal) in rows {
        let (access_type, action, fields) = requests().into_iter().find(|(_, name, _)| *name == action).unwrap();
        let names = parse(&data(access_type, action, &fields)).error_names().unwrap();
        let kinds = [ErrorKind::Authorization, ErrorKind::BadRequest, ErrorKind::Internal];
        assert_eq!(kinds.map(|kind| names.of(kind)), [credentials, bad_request, internal], "{action}");
        // No name of a model's error, which Dify would take for one of its load balancing.
        for kind in [ErrorKind::RateLimit, ErrorKind::Connection, ErrorKind::NotFound, ErrorKind::Unsupported] {
            assert!(!names.of(kind).starts_with("Invoke"), "{action}");
        }
    }
    assert_eq!(DATASOURCE_ERRORS.of(ErrorKind::Internal), "DatasourceOAuthError");
    assert_eq!(TRIGGER_ERRORS.of(ErrorKind::Internal), "TriggerProviderOAuthError");
    let error = InvokeError::not_found("no city `x`").with_hint("Check the spelling.");
    let payload = ErrorPayload::named(Default::default(), &error);
    assert_eq!((payload.error_type, payload.message.as_str()), ("ValueError", "no city `x`. Check the spelling."));
}

#[test]
fn the_origin_of_a_request_is_read_and_an_odd_one_costs_nothing() {
    let origin = |fields: Value| {
        let mut line = json!({"session_id": "s", "event": "request", "data": {}});
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        Inbound::parse(line.to_string().as_bytes()).unwrap().origin()
    };
    let whole = origin(json!({"app_id": "a", "conversation_id": "c", "message_id": "m", "endpoint_id": "e",
        "context": {"credentials": {"tool_credentials": {"p": "id"}}}}));
    let ids = [whole.app_id, whole.conversation_id, whole.message_id, whole.endpoint_id];
    assert_eq!(ids.map(|id| id.unwrap().to_string()), ["a", "c", "m", "e"]);
    assert_eq!(whole.context.unwrap()["credentials"]["tool_credentials"]["p"], "id");
    let odd = json!({"app_id": 5, "conversation_id": null, "message_id": {}, "endpoint_id": " ", "context": "x"});
    assert_eq!(origin(odd), origin(json!({})));
}
