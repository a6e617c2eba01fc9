//! What the APIs of the providers forbid, and the requests that their facts make.

use serde_json::{Value, json};

use super::compatible_server::{KEY, Rule, Seen, Server};
use super::listed::{call, listed};

/// The rules of the providers' APIs.
pub fn rules() -> Vec<(&'static str, Rule)> {
    vec![
        ("api.deepseek.com", history_of_one_role),
        ("api.deepseek.com", thoughts_of_calls),
        ("api.deepseek.com", |body| (!body["tool_choice"].is_null()).then_some("tool_choice is not supported")),
        ("api.moonshot.cn", history_of_one_role),
        ("api.moonshot.cn", |body| {
            let fixed = body["model"].as_str().is_some_and(|model| model.starts_with("kimi-k3"));
            (fixed && !body["temperature"].is_null()).then_some("invalid temperature: only 1 is allowed for this model")
        }),
        ("api.siliconflow.cn", history_of_one_role),
        ("openrouter.ai", |body| {
            let flat = ["enable_thinking", "reasoning_effort", "reasoning_budget", "exclude_reasoning_tokens"];
            flat.iter().any(|name| !body[name].is_null()).then_some("unknown parameter of reasoning")
        }),
    ]
}

fn history_of_one_role(body: &Value) -> Option<&'static str> {
    let roles: Vec<&str> = body["messages"].as_array()?.iter().filter_map(|message| message["role"].as_str()).collect();
    let repeated = roles.windows(2).any(|pair| pair[0] == pair[1] && pair[0] != "tool");
    repeated.then_some("two messages of one role in a row")
}

fn thoughts_of_calls(body: &Value) -> Option<&'static str> {
    let mut answers = body["messages"].as_array()?.iter().filter(|message| message["role"] == "assistant");
    answers
        .any(|message| message["reasoning_content"].as_str().is_none())
        .then_some("the reasoning_content in the thinking mode must be passed back")
}

/// A conversation with two user messages in a row, an empty answer, and a tool call with thoughts.
fn history() -> Value {
    let tool = json!({"id": "call-0", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A"},
        {"role": "user", "content": "B"},
        {"role": "assistant", "content": "<think>\nHm\n</think>", "tool_calls": [tool]},
        {"role": "tool", "content": "1", "tool_call_id": "call-0", "name": "f"},
        {"role": "assistant", "content": "C", "tool_calls": []},
        {"role": "user", "content": "D"},
    ])
}

/// One case: provider, model, credentials, fields of the request, and members of the body; `null`: not there.
struct Case {
    name: &'static str,
    provider: &'static str,
    model: &'static str,
    credentials: Value,
    fields: Value,
    expected: Value,
}

fn case(
    name: &'static str,
    of: (&'static str, &'static str),
    credentials: Value,
    fields: Value,
    expected: Value,
) -> Case {
    Case { name, provider: of.0, model: of.1, credentials, fields, expected }
}

fn parameters(parameters: Value) -> Value {
    json!({ "model_parameters": parameters })
}

fn cases() -> Vec<Case> {
    let generic = ("openai_api_compatible", "m");
    let none = || json!({});
    let tools =
        || json!({"tools": [{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}]});
    vec![
        case(
            "thinking is on unless it is turned off, and excludes sampling",
            ("deepseek", "deepseek-flash"),
            none(),
            parameters(json!({"temperature": 0.5, "top_p": 0.5, "reasoning_effort": "max", "max_tokens": 9})),
            json!({"thinking": {"type": "enabled"}, "temperature": null, "top_p": null, "reasoning_effort": "max",
                "max_tokens": 9, "user_id": "user-1", "user": null}),
        ),
        case(
            "thinking off keeps sampling and drops the effort",
            ("deepseek", "deepseek-v4-pro"),
            none(),
            parameters(json!({"temperature": 0.5, "thinking": false, "reasoning_effort": "max"})),
            json!({"thinking": {"type": "disabled"}, "temperature": 0.5, "reasoning_effort": null}),
        ),
        case(
            "messages of one role are merged",
            ("deepseek", "deepseek-flash"),
            none(),
            json!({"prompt_messages": history()}),
            json!({"messages": {"1": {"role": "user", "content": "A\n\nB"}, "2": {"reasoning_content": "Hm"},
                "4": {"role": "assistant", "reasoning_content": ""}}}),
        ),
        case(
            "a switch becomes an object, the user's ID is short",
            ("moonshot", "kimi-k2.6"),
            none(),
            json!({"model_parameters": {"thinking": false}, "prompt_messages": history()}),
            json!({"thinking": {"type": "disabled"}, "user": "user-1", "messages": {"1": {"content": "A\n\nB"}}}),
        ),
        case(
            "models that always think get their thoughts back",
            ("moonshot", "kimi-k3.1-pro"),
            none(),
            json!({"model_parameters": {"reasoning_effort": "low"}, "prompt_messages": history()}),
            json!({"reasoning_effort": "low", "thinking": null,
                "messages": {"2": {"reasoning_content": "Hm"}, "4": {"reasoning_content": ""}}}),
        ),
        case(
            "tools are sent to models that declare them",
            ("groq", "openai/gpt-oss-120b"),
            none(),
            tools(),
            json!({"tools": {"0": {"type": "function", "function": {"name": "f"}}}, "model": "openai/gpt-oss-120b"}),
        ),
        case(
            "reasoning is an object, data collection is allowed",
            ("openrouter", "anthropic/claude-opus-5.5"),
            none(),
            parameters(json!({"enable_thinking": true, "reasoning_effort": "high", "exclude_reasoning_tokens": false})),
            json!({"reasoning": {"enabled": true, "effort": "high", "exclude": false},
                "provider": {"data_collection": "allow"}}),
        ),
        case(
            "the switch of thinking is a member of its own",
            ("siliconflow", "deepseek-ai/DeepSeek-V3.2"),
            none(),
            json!({"model_parameters": {"enable_thinking": true}, "prompt_messages": history()}),
            json!({"enable_thinking": true, "thinking": null, "user": null, "messages": {"1": {"content": "A\nB"}}}),
        ),
        case(
            "a template has the switch",
            ("local", "m"),
            json!({"server_kind": "vllm", "agent_thought_support": "supported"}),
            parameters(json!({"enable_thinking": false})),
            json!({"chat_template_kwargs": {"enable_thinking": false}, "reasoning_effort": null}),
        ),
        case(
            "an effort is the switch",
            ("local", "m"),
            json!({"server_kind": "ollama", "agent_thought_support": "supported"}),
            parameters(json!({"enable_thinking": false})),
            json!({"chat_template_kwargs": null, "enable_thinking": null, "reasoning_effort": "none"}),
        ),
        case(
            "nothing beyond OpenAI in strict mode",
            generic,
            json!({"function_calling_type": "tool_call", "max_tokens_to_sample": "9"}),
            json!({"tools": tools()["tools"], "model_parameters": {"max_tokens": 9}, "stop": ["x"]}),
            json!({"model": "m", "max_tokens": 9, "stop": ["x"], "user": "user-1", "stream_options": {"include_usage": true},
                "tools": {"0": {"function": {"name": "f"}}}, "thinking": null, "enable_thinking": null,
                "chat_template_kwargs": null}),
        ),
        case(
            "the switch in all places, by its former name",
            generic,
            json!({"agent_though_support": "supported", "compatibility_mode": "extended"}),
            parameters(json!({"enable_thinking": true, "reasoning_effort": "low"})),
            json!({"thinking": {"type": "enabled"}, "enable_thinking": true, "reasoning_effort": "low",
                "chat_template_kwargs": {"enable_thinking": true}}),
        ),
        case(
            "models that always think, names, no user, no usage",
            generic,
            json!({"agent_thought_support": "only_thinking_supported", "compatibility_mode": "extended",
                "endpoint_model_name": "wire", "user_identity_support": "no_support", "stream_include_usage": "disabled",
                "token_param_name": "max_completion_tokens"}),
            parameters(json!({"max_tokens": 9})),
            json!({"thinking": {"type": "enabled"}, "model": "wire", "user": null, "stream_options": null,
                "max_tokens": null, "max_completion_tokens": 9}),
        ),
        case(
            "web search is a tool",
            generic,
            json!({"web_search_support": "tool_standard"}),
            parameters(json!({"web_search": true})),
            json!({"web_search": null, "tools": {"0": {"type": "web_search", "web_search": {"enable": true}}}}),
        ),
        case(
            "a schema is sent and in the system message",
            generic,
            json!({"structured_output_support": "supported"}),
            parameters(json!({"response_format": "json_schema", "json_schema": "{\"type\": \"object\"}"})),
            json!({"response_format": {"type": "json_schema"}, "messages": {"0": {"role": "system"}}}),
        ),
    ]
}

/// What differs: every expected member, by name or by index; `null` is a member that is not there.
fn differences(found: &Value, expected: &Value, path: &str) -> Vec<String> {
    let Some(members) = expected.as_object() else {
        return if found == expected { Vec::new() } else { vec![format!("{path}: {found}, not {expected}")] };
    };
    let of = |name: &str| match name.parse::<usize>() {
        Ok(index) if found.is_array() => &found[index],
        _ => &found[name],
    };
    members.iter().flat_map(|(name, member)| differences(of(name), member, &format!("{path}.{name}"))).collect()
}

#[tokio::test]
async fn requests_follow_the_facts() {
    let mut wrong = Vec::new();
    for case in cases() {
        let listed = listed(case.provider);
        let server = Server::start(rules(), &[]).await;
        let plugin = listed.plugin(&server);
        let mut credentials = listed.credentials(&server, KEY);
        credentials.as_object_mut().unwrap().extend(case.credentials.as_object().unwrap().clone());
        let outcome = call(&plugin, case.provider, "llm", case.model, &credentials, case.fields).await;
        let seen = server.take();
        match (&outcome.error, seen.last()) {
            (None, Some(Seen { body, .. })) => {
                wrong.extend(differences(body, &case.expected, case.name));
            }
            (error, _) => wrong.push(format!("{}: {error:?}", case.name)),
        }
    }
    super::check(&wrong);
}

#[tokio::test]
async fn a_key_finds_its_site() {
    let listed = listed("moonshot");
    let server = Server::start(Vec::new(), &["api.moonshot.ai"]).await;
    let plugin = listed.plugin(&server);
    let request = json!({"action": "validate_provider_credentials", "provider": "moonshot",
        "credentials": listed.credentials(&server, KEY)});
    let outcome = plugin.call(request).await;
    let site = server.instead_of("https://api.moonshot.cn/v1");
    assert_eq!(outcome.item()["credentials"]["endpoint_url"], json!(site));
    let hosts: Vec<String> = server.take().into_iter().map(|seen| seen.host).collect();
    assert_eq!(hosts, ["api.moonshot.ai", "api.moonshot.cn"]);
}

#[tokio::test]
async fn credentials_choose_hosts_headers_and_forms() {
    let server = Server::start(Vec::new(), &[]).await;
    let mut credentials = listed("siliconflow").credentials(&server, KEY);
    credentials["use_international_endpoint"] = json!("true");
    let siliconflow = listed("siliconflow").plugin(&server);
    call(&siliconflow, "siliconflow", "rerank", "BAAI/bge-reranker-v2-m3", &credentials, json!({})).await.item();
    let seen = server.take();
    assert_eq!((seen[0].host.as_str(), seen[0].path.as_str()), ("api.siliconflow.com", "/v1/rerank"));

    let openrouter = listed("openrouter").plugin(&server);
    let credentials = listed("openrouter").credentials(&server, KEY);
    call(&openrouter, "openrouter", "llm", "openrouter/auto", &credentials, json!({})).await.text();
    let seen = server.take();
    assert_eq!(seen[0].path, "/api/v1/chat/completions");
    assert_eq!(
        (&seen[0].headers["http-referer"], &seen[0].headers["x-title"]),
        (&"https://dify.ai/".parse().unwrap(), &"Dify".parse().unwrap())
    );

    // A bare list of rankings, and a base URL without a version.
    let local = listed("local").plugin(&server);
    let credentials = json!({"server_url": server.instead_of("https://sglang.example"), "server_kind": "sglang",
        "api_key": KEY});
    let outcome = call(&local, "local", "rerank", "m", &credentials, json!({})).await;
    assert_eq!(outcome.item()["docs"][0]["score"], 0.9);
    assert_eq!(server.take()[0].path, "/v1/rerank");
}
