//! The strategy `function_calling`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dify_plugin::protocol::backwards::InvokeType;
use dify_plugin::protocol::tool_message::LogStatus;
use dify_plugin::serde_json::{Value, json};
use dify_plugin::testing::{Answer, CallBack, Host};

use crate::support::{chunk, host, host_with, model, parameters, prompt, tool};

const STRATEGY: &str = "function_calling";

fn of_type(host: &Host, invoke_type: InvokeType) -> Vec<CallBack> {
    host.calls().into_iter().filter(|call| call.invoke_type == invoke_type).collect()
}

#[tokio::test]
async fn a_model_that_calls_no_tool_answers_in_one_round() {
    let host = host_with(vec![Answer::texts(["It is ", "42."])]);
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(outputs.text(), "It is 42.");
    let calls = host.calls();
    assert_eq!(prompt(&calls[0]), [("system".into(), "Be brief.".into()), ("user".into(), "What is new?".into())]);
    assert_eq!(calls[0].request["stream"], true);
    assert_eq!(calls[0].request["tools"][1]["name"], "weather");
    let labels: Vec<_> = outputs.logs().iter().map(|log| (log.label.as_str(), log.status)).collect();
    assert_eq!(labels, [("ROUND 1", LogStatus::Success), ("small Thought", LogStatus::Success)]);
    assert_eq!(outputs.logs()[1].parent_id.as_deref(), Some(outputs.logs()[0].id.as_str()));
}

#[tokio::test]
async fn a_tool_is_called_with_the_arguments_and_its_result_goes_to_the_model() {
    let host = host_with(vec![
        Answer::text("Let me see.").then(Answer::tool_call("weather", json!({"place": "Riga"}))),
        Answer::text("Sunny."),
    ])
    .on_tool(|call| {
        assert_eq!(call.text("tool_type"), "builtin");
        assert_eq!((call.text("provider"), call.text("tool")), ("acme/weather/weather", "weather"));
        Answer::text(format!("sunny in {}", call.request["tool_parameters"]["place"].as_str().unwrap()))
    });
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(outputs.text(), "Let me see.\nSunny.");

    let second = &of_type(&host, InvokeType::Llm)[1].request["prompt_messages"];
    let expected = json!([
        {"role": "system", "content": "Be brief.", "name": null},
        {"role": "user", "content": "What is new?", "name": null},
        {"role": "assistant", "content": "Let me see.", "name": null,
            "tool_calls": [{"id": "call-1", "type": "function",
                "function": {"name": "weather", "arguments": "{\"place\":\"Riga\"}"}}]},
        {"role": "tool", "content": "sunny in Riga", "name": "weather", "tool_call_id": "call-1"},
    ]);
    assert_eq!(second, &expected);

    let labels: Vec<_> = outputs.logs().iter().map(|log| log.label.as_str()).collect();
    assert_eq!(labels, ["ROUND 1", "small Thought", "CALL weather", "ROUND 2", "small Thought"]);
    let [round, thought, call, ..] = outputs.logs() else { panic!() };
    assert_eq!((&thought.parent_id, &call.parent_id), (&Some(round.id.clone()), &Some(round.id.clone())));
    let response = json!({"tool_call_id": "call-1", "tool_call_name": "weather", "tool_call_input": {"place": "Riga"},
        "tool_response": "sunny in Riga"});
    assert_eq!(json!(call.data), json!({"output": response}));
    assert_eq!(
        json!(thought.data),
        json!({"output": "Let me see.", "tool_name": "weather",
            "tool_input": [{"name": "weather", "args": {"place": "Riga"}}]})
    );
    assert_eq!(json!(round.data), json!({"output": {"llm_response": "Let me see.", "tool_responses": [response]}}));
    for (log, provider) in [(call, Some("acme/weather/weather")), (thought, Some("acme/models/acme")), (round, None)] {
        assert_eq!(log.metadata.get("provider").and_then(Value::as_str), provider, "{}", log.label);
        for member in ["started_at", "finished_at", "elapsed_time"] {
            assert!(log.metadata[member].is_number(), "{}: {member}", log.label);
        }
    }
    for log in [thought, round] {
        assert_eq!(log.metadata["total_tokens"], 15);
        assert_eq!(log.metadata["total_price"], "0.00002");
        assert_eq!(log.metadata["currency"], "USD");
    }
}

/// official#1564, dify#20485: the usage of all rounds, with exact prices.
#[tokio::test]
async fn the_usage_is_that_of_all_rounds() {
    let host = host_with(vec![Answer::tool_call("search", json!({"query": "a"})), Answer::text("Done.")])
        .on_tool(|_| Answer::text("b"));
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    let expected = json!({"total_tokens": 30, "total_price": "0.00004", "currency": "USD",
        "prompt_tokens": 20, "completion_tokens": 10, "prompt_price": "0.00002", "completion_price": "0.00002",
        "prompt_unit_price": "0.001", "prompt_price_unit": "0.001", "completion_unit_price": "0.002",
        "completion_price_unit": "0.001", "latency": 0.2});
    assert_eq!(json!(outputs.usage()), expected);
}

/// official#812: the calls of a round run at the same time; the results are in order.
#[tokio::test(start_paused = true)]
async fn the_calls_of_a_round_run_at_the_same_time_and_their_results_are_in_order() {
    let calls: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| chunk("", &[(name, "search", &format!("{{\"query\":\"{name}\"}}"))], Value::Null))
        .collect();
    let host = host_with(vec![Answer::stream(calls), Answer::text("Done.")]).on_tool(|call| {
        let query = call.request["tool_parameters"]["query"].as_str().unwrap();
        // The first takes longest.
        let seconds = [("a", 4), ("b", 3), ("c", 2), ("d", 1)].iter().find(|(name, _)| *name == query).unwrap().1;
        Answer::text(format!("result of {query}")).after(Duration::from_secs(seconds))
    });
    let started = tokio::time::Instant::now();
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 4);
    let messages = &of_type(&host, InvokeType::Llm)[1].request["prompt_messages"];
    let results: Vec<_> = messages.as_array().unwrap()[3..].iter().map(|message| message["content"].clone()).collect();
    assert_eq!(json!(results), json!(["result of a", "result of b", "result of c", "result of d"]));
    let elapsed: Vec<_> =
        outputs.logs()[2..6].iter().map(|log| log.metadata["elapsed_time"].as_f64().unwrap()).collect();
    assert_eq!(elapsed.iter().map(|seconds| seconds.round() as u64).collect::<Vec<_>>(), [4, 3, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn at_most_sixteen_calls_run_at_the_same_time() {
    let calls: Vec<_> =
        (0..40).map(|number| chunk("", &[(&format!("c{number}"), "search", "{}")], Value::Null)).collect();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = (running.clone(), most.clone());
    let host = host_with(vec![Answer::stream(calls), Answer::text("Done.")]).on_tool(move |_| {
        let now = seen.0.fetch_add(1, Ordering::SeqCst) + 1;
        seen.1.fetch_max(now, Ordering::SeqCst);
        let running = seen.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(999)).await;
            running.fetch_sub(1, Ordering::SeqCst);
        });
        Answer::text("r").after(Duration::from_secs(1))
    });
    let started = tokio::time::Instant::now();
    host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 16);
    assert_eq!(started.elapsed().as_secs(), 3);
}

/// official#3342: arguments arrive in fragments.
#[tokio::test]
async fn fragments_of_arguments_are_joined() {
    let fragments = [
        chunk("", &[("c1", "weather", "{\"pl")], Value::Null),
        chunk("", &[("c1", "", "ace\": ")], Value::Null),
        chunk("", &[("", "", "\"Riga\"}")], Value::Null),
        chunk("", &[("c2", "search", "")], Value::Null),
        chunk("", &[("c2", "", "{\"query\": \"news\"}")], Value::Null),
    ];
    let host = host_with(vec![Answer::stream(fragments), Answer::text("Done.")]).on_tool(|_| "fine");
    host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    let arguments: Vec<_> =
        of_type(&host, InvokeType::Tool).iter().map(|call| call.request["tool_parameters"].clone()).collect();
    assert_eq!(json!(arguments), json!([{"place": "Riga"}, {"query": "news"}]));
}

/// Several models' plugins use the name of a function as the ID of a call.
#[tokio::test]
async fn calls_with_the_same_id_are_separate_calls() {
    let calls = [
        chunk("", &[("weather", "weather", "{\"place\":\"Riga\"}")], Value::Null),
        chunk("", &[("weather", "weather", "{\"place\":\"Oslo\"}")], Value::Null),
    ];
    let host = host_with(vec![Answer::stream(calls), Answer::text("Done.")]).on_tool(|_| "fine");
    host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    let arguments: Vec<_> =
        of_type(&host, InvokeType::Tool).iter().map(|call| call.request["tool_parameters"].clone()).collect();
    assert_eq!(json!(arguments), json!([{"place": "Riga"}, {"place": "Oslo"}]));
    let messages = &of_type(&host, InvokeType::Llm)[1].request["prompt_messages"];
    assert_eq!((&messages[3]["tool_call_id"], &messages[4]["tool_call_id"]), (&json!("weather"), &json!("weather_2")));
}

/// What goes wrong with a call is for the model to read: the run goes on.
#[tokio::test]
async fn a_model_reads_what_went_wrong() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("nothing", "{}", &["no tool `nothing`", "`search`, `weather`"]),
        ("search", "{\"query\": \"cut of", &["arguments for `search`", "ends too early"]),
        ("search", "[1]", &["arguments for `search`", "array"]),
        ("search", "{}", &["`search` failed", "quota of search"]),
    ];
    for (name, arguments, expected) in rows {
        let host =
            host_with(vec![Answer::data(chunk("", &[("c", name, arguments)], Value::Null)), Answer::text("Sorry.")])
                .on_tool(|_| Answer::error("quota of search is used up"));
        let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
        assert_eq!(outputs.text(), "Sorry.");
        let messages = of_type(&host, InvokeType::Llm)[1].request["prompt_messages"].clone();
        let read = messages[3]["content"].as_str().unwrap();
        for part in *expected {
            assert!(read.contains(part), "{name} {arguments}: {read}");
        }
        // Servers read the arguments of earlier calls as JSON.
        let sent = messages[2]["tool_calls"][0]["function"]["arguments"].as_str().unwrap();
        assert!(dify_plugin::serde_json::from_str::<Value>(sent).unwrap().is_object(), "{sent}");
        let call = outputs.log(&format!("CALL {name}")).unwrap();
        assert_eq!(call.status, LogStatus::Error);
        assert_eq!(call.error.as_deref(), Some(read));
    }
}

/// official#587: with one iteration a tool is called, and the model answers with its result.
#[tokio::test]
async fn one_iteration_calls_a_tool_and_answers() {
    let host = host().on_tool(|_| "sunny").on_llm(|call| match &call.request["tools"] {
        Value::Null => Answer::text("It is sunny."),
        _ => Answer::tool_call("weather", json!({"place": "Riga"})),
    });
    let run = host.agent(STRATEGY).parameters(parameters()).parameter("maximum_iterations", 1);
    let outputs = run.await.unwrap();
    assert_eq!(outputs.text(), "It is sunny.");
    assert_eq!(host.calls().len(), 3);
    let last = &of_type(&host, InvokeType::Llm)[1];
    // No trace of tool calls, which several servers reject without tools, and no two messages of one author in a row.
    let prompt = prompt(last);
    let roles: Vec<_> = prompt.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    assert_eq!(prompt[2].1, "(I called the tool `weather` with {\"place\":\"Riga\"}.)");
    assert!(prompt[3].1.starts_with("Result of the tool `weather`:\nsunny\n\nThe maximum number of iterations (1)"));
    assert!(last.request["prompt_messages"].as_array().unwrap().iter().all(|message| message["tool_calls"].is_null()));
    assert!(outputs.log("ROUND 2").unwrap().data["reason"].as_str().unwrap().contains("(1) is reached"));
}

#[tokio::test]
async fn a_model_that_never_stops_calling_tools_is_stopped() {
    let host = host_with(vec![Answer::tool_call("search", json!({"query": "more"}))]).on_tool(|_| "more");
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!((of_type(&host, InvokeType::Llm).len(), of_type(&host, InvokeType::Tool).len()), (4, 3));
    assert_eq!(outputs.text(), "The model gave no answer. The maximum number of iterations (3) is reached.");
}

#[tokio::test]
async fn files_of_tools_go_to_the_user() {
    let stored = |kind: &str| {
        json!({"type": kind, "message": {"text": "/files/tools/1.png"},
            "meta": {"tool_file_id": "1", "mime_type": "image/png", "filename": "chart.png"}})
    };
    let messages = [
        json!({"type": "text", "message": {"text": "Here it is."}, "meta": null}),
        json!({"type": "json", "message": {"json_object": {"a": [1]}}, "meta": null}),
        stored("image_link"),
        stored("binary_link"),
        json!({"type": "link", "message": {"text": "https://example.com"}, "meta": null}),
        json!({"type": "variable", "message": {"variable_name": "v", "variable_value": 1, "stream": false}, "meta": null}),
    ];
    let host = host_with(vec![Answer::tool_call("search", json!({"query": "a"})), Answer::text("See above.")])
        .on_tool(move |_| Answer::stream(messages.clone()));
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(outputs.files().len(), 2);
    assert_eq!(outputs.text(), "See above.");
    let read = of_type(&host, InvokeType::Llm)[1].prompt();
    let expected = "Here it is.\n{\"a\":[1]}\nAn image (chart.png) was created and is already shown to the user.\n\
                    A file (chart.png) was created and is already shown to the user.\nLink for the user: https://example.com";
    assert_eq!(read, expected);
}

#[tokio::test]
async fn a_long_result_is_cut() {
    let host = host_with(vec![Answer::tool_call("search", json!({"query": "a"})), Answer::text("Long.")])
        .on_tool(|_| "x".repeat(1_000_000));
    host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    let read = of_type(&host, InvokeType::Llm)[1].prompt();
    assert!(read.len() < 263_000 && read.contains("737856 more bytes are left out"), "{}", &read[read.len() - 99..]);
}

/// dify#27796, dify#38360: thoughts are shown in closed blocks and are no part of the conversation.
#[tokio::test]
async fn thoughts_are_apart() {
    let host = host_with(vec![
        Answer::texts(["<thi", "nk>Which to", "ol?"]).then(Answer::tool_call("search", json!({"query": "a"}))),
        Answer::texts(["<think>Now <think>I</think> know", "</th", "ink>\n\nThe answer", " is < 5."]),
    ])
    .on_tool(|_| "found");
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(outputs.text(), "<think>Which tool?</think>\n<think>Now I know</think>\n\nThe answer is < 5.");
    let messages = &of_type(&host, InvokeType::Llm)[1].request["prompt_messages"];
    assert_eq!(messages[2]["content"], "");
    assert_eq!(outputs.logs()[1].data["thought"], "Which tool?");
}

#[tokio::test]
async fn history_and_files_are_sent() {
    let mut model = model();
    model["history_prompt_messages"] = json!([
        {"role": "user", "content": [{"type": "text", "data": "Look"}, {"type": "video", "url": "https://e/a", "filename": "a.mp4"}]},
        {"role": "assistant", "content": "I see."},
    ]);
    model["completion_params"] = json!({"temperature": 0.1, "stop": ["END"], "max_tokens": 7999});
    let file = |kind: &str, name: &str| json!({"dify_model_identity": "__dify__file__", "url": "https://e/b", "type": kind, "filename": name});
    let host = host_with(vec![Answer::text("Yes.")]);
    let run = host.agent(STRATEGY).parameters(parameters()).parameter("model", model);
    run.parameter("files", json!([null, file("document", "b.pdf")])).await.unwrap();
    let call = &host.calls()[0];
    let expected = [
        ("system", "Be brief."),
        ("user", "Look\n(The attached video `a.mp4` cannot be read by this model.)"),
        ("assistant", "I see."),
        ("user", "What is new?\n\n(The attached document `b.pdf` cannot be read by this model.)"),
    ];
    assert_eq!(prompt(call), expected.map(|(role, text)| (role.to_owned(), text.to_owned())));
    assert_eq!(call.request["stop"], json!(["END"]));
    assert_eq!(call.request["completion_params"], json!({"temperature": 0.1, "max_tokens": 7949}));
}

#[tokio::test]
async fn a_model_that_cannot_stream_tool_calls_is_not_streamed() {
    let mut model = model();
    model["entity"]["features"] = json!(["tool-call"]);
    let host = host_with(vec![Answer::tool_call("search", json!({})), Answer::text("Done.")]).on_tool(|_| "found");
    let run = host.agent(STRATEGY).parameters(parameters()).parameter("model", model);
    let outputs = run.parameter("maximum_iterations", 1).await.unwrap();
    assert_eq!(outputs.text(), "Done.");
    let streams: Vec<_> = of_type(&host, InvokeType::Llm).iter().map(|call| call.request["stream"].clone()).collect();
    assert_eq!(streams, [json!(false), json!(true)]);
}

#[tokio::test]
async fn tools_are_restricted_and_have_names_of_their_own() {
    let mut other = tool("search", &["query"]);
    other["identity"]["provider"] = json!("acme/other/other");
    other["credential_id"] = json!("cred-2");
    other["runtime_parameters"] = json!({"limit": 3});
    let tools = json!([tool("search", &["query"]), other, tool("weather", &["place"])]);
    let host = host_with(vec![Answer::tool_call("search_2", json!({"query": "a"})), Answer::text("Done.")])
        .on_tool(|_| "found");
    let run = host.agent(STRATEGY).parameters(parameters()).parameter("tools", tools);
    run.parameter("allowed_tools", json!(["search"])).await.unwrap();
    let offered = &host.calls()[0].request["tools"];
    let names: Vec<_> = offered.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["search", "search_2"]);
    let call = &of_type(&host, InvokeType::Tool)[0];
    assert_eq!(
        (call.text("provider"), call.text("tool"), call.text("credential_id")),
        ("acme/other/other", "search", "cred-2")
    );
    assert_eq!(call.request["tool_parameters"], json!({"query": "a", "limit": 3}));
}

#[tokio::test]
async fn a_context_becomes_citations() {
    let context =
        json!([{"content": "c", "title": "t", "metadata": {"position": 1, "dataset_name": "d", "score": 0.5}}]);
    let host = host_with(vec![Answer::text("Done.")]);
    let outputs = host.agent(STRATEGY).parameters(parameters()).parameter("context", context).await.unwrap();
    let sent = outputs.messages().iter().map(|message| json!(message));
    let sent: Vec<_> = sent.filter(|message| message["type"] == "retriever_resources").collect();
    let expected = json!([{"content": "c", "position": 1, "dataset_name": "d", "score": 0.5}]);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["message"]["retriever_resources"], expected);
    // The usage is last, where the node expects it.
    assert!(json!(outputs.messages().last())["message"]["json_object"]["execution_metadata"].is_object());
}

#[tokio::test]
async fn bad_input_is_named() {
    let rows = [
        ("maximum_iterations", json!(0), "`maximum_iterations` is 0"),
        ("maximum_iterations", json!("many"), "maximum_iterations"),
        ("allowed_tools", json!({"a": 1}), "`allowed_tools`"),
        ("files", json!([{"a": 1}]), "`files[0]`"),
        ("model", json!("small"), "model"),
        ("model", Value::Null, "model"),
        ("tools", json!([{"name": "a"}]), "tools[0]"),
    ];
    for (name, value, expected) in rows {
        let host = host_with(vec![Answer::text("Done.")]);
        let failure = host.agent(STRATEGY).parameters(parameters()).parameter(name, value.clone()).await.unwrap_err();
        assert!(failure.message.contains(expected), "{name} = {value}: {}", failure.message);
        assert!(host.calls().is_empty());
    }
    // What a node sends for fields that are empty, and numbers as text.
    for (name, value) in [("tools", Value::Null), ("instruction", Value::Null), ("maximum_iterations", json!("2"))] {
        let host = host_with(vec![Answer::text("Done.")]);
        let outputs = host.agent(STRATEGY).parameters(parameters()).parameter(name, value.clone()).await.unwrap();
        assert_eq!(outputs.text(), "Done.", "{name} = {value}");
    }
}
