//! Time, size, cancellation and faults, of both strategies. Time is virtual.

use std::time::Duration;

use dify_plugin::protocol::backwards::InvokeType;
use dify_plugin::protocol::tool_message::LogStatus;
use dify_plugin::serde_json::{Value, json};
use dify_plugin::testing::{Answer, Host};

use crate::support::{chunk, host, host_with, model, parameters, prompt};

const BOTH: [&str; 2] = ["function_calling", "ReAct"];

/// A host whose model wants a tool as long as there may be one, in the words of both strategies.
fn host_that_searches() -> Host {
    host().on_llm(|call| {
        let messages = prompt(call);
        let closing = messages.last().unwrap().1.contains("Answer the query now");
        match (closing, call.request["tools"].is_null()) {
            (true, _) => Answer::text("FinalAnswer: What I know."),
            (false, true) => Answer::text("Action: {\"action\": \"search\", \"action_input\": {\"query\": \"a\"}}"),
            (false, false) => Answer::tool_call("search", json!({"query": "a"})),
        }
    })
}

/// dify#27660: a tool of more than 240 s is an observation that names the setting; the run goes on.
#[tokio::test(start_paused = true)]
async fn a_tool_that_takes_too_long_is_reported_to_the_model() {
    for strategy in BOTH {
        let host = host_that_searches().on_tool(|_| Answer::never());
        let run = host.agent(strategy).parameters(parameters()).parameter("maximum_iterations", 1);
        let outputs = run.await.unwrap();
        assert!(outputs.text().ends_with("What I know."), "{}", outputs.text());
        let call = outputs.log("CALL search").unwrap();
        let error = call.error.as_deref().unwrap();
        assert!(error.contains("240 s (DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT)"), "{error}");
        assert_eq!(call.metadata["elapsed_time"].as_f64().unwrap().round(), 240.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_takes_too_long_ends_the_run_with_the_name_of_the_setting() {
    for strategy in BOTH {
        let host = host().on_llm(|_| Answer::never());
        let session = host.agent(strategy).parameters(parameters()).start();
        let (items, ending) = session.finish().await;
        let failure = ending.unwrap_err();
        assert!(failure.message.contains("DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT"), "{}", failure.message);
        // dify#25257: the log shows where it failed.
        let errors = items.iter().filter(|item| item["message"]["status"] == "error");
        assert_eq!(
            errors.map(|item| item["message"]["label"].as_str().unwrap()).collect::<Vec<_>>(),
            ["small Thought", "ROUND 1"]
        );
    }
}

/// A run that comes near to 600 s calls no more tools and answers.
#[tokio::test(start_paused = true)]
async fn a_long_run_answers_before_dify_ends_it() {
    for strategy in BOTH {
        let host = host_that_searches().on_tool(|_| Answer::text("found").after(Duration::from_secs(100)));
        let started = tokio::time::Instant::now();
        let run = host.agent(strategy).parameters(parameters()).parameter("maximum_iterations", 100);
        let outputs = run.await.unwrap();
        assert!(outputs.text().ends_with("What I know."), "{}", outputs.text());
        assert_eq!(started.elapsed().as_secs(), 500);
        let reason = outputs.log("ROUND 6").unwrap().data["reason"].as_str().unwrap();
        assert!(reason.contains("PLUGIN_MAX_EXECUTION_TIMEOUT"), "{reason}");
    }
}

/// A tool that is called late is given up in time for an answer.
#[tokio::test(start_paused = true)]
async fn a_tool_is_given_up_when_the_run_would_not_end_in_time() {
    let host = host_that_searches().on_tool(|_| Answer::text("found").after(Duration::from_secs(200)));
    let run = host.agent("function_calling").parameters(parameters()).parameter("maximum_iterations", 100);
    let outputs = run.await.unwrap();
    assert!(outputs.text().ends_with("What I know."));
    let errors: Vec<_> = outputs.logs().iter().filter_map(|log| log.error.as_deref()).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("The tool `search` did not finish within "), "{}", errors[0]);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_slow_at_the_end_gets_a_clear_word() {
    // 239 s for each response: two rounds, and the third does not end in time.
    let host = host_with(vec![Answer::tool_call("search", json!({"query": "a"})).after(Duration::from_secs(239))])
        .on_tool(|_| "found");
    let failure = host.agent("function_calling").parameters(parameters()).await.unwrap_err();
    for part in ["580 s", "600 s", "PLUGIN_MAX_EXECUTION_TIMEOUT", "PLUGIN_DAEMON_TIMEOUT"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
}

/// A session that is cancelled calls nothing more: neither the tools that wait nor the model.
#[tokio::test(start_paused = true)]
async fn cancellation_stops_the_model_and_the_tools() {
    // In the response of the model.
    let host = host().on_llm(|_| Answer::texts(["Let me ", "think."]).every(Duration::from_secs(20)));
    let mut session = host.agent("function_calling").parameters(parameters()).start();
    while session.next().await.unwrap().unwrap()["type"] != "text" {}
    session.cancel();
    let (items, ending) = session.finish().await;
    assert!(ending.is_err() || items.iter().all(|item| item["type"] != "json"), "{items:?}");

    // In the tools of a round, of which most wait for their turn.
    let calls: Vec<_> = (0..40).map(|n| chunk("", &[(&format!("c{n}"), "search", "{}")], Value::Null)).collect();
    let host = host_with(vec![Answer::stream(calls)]).on_tool(|_| Answer::text("found").after(Duration::from_secs(30)));
    let mut session = host.agent("function_calling").parameters(parameters()).start();
    while session.next().await.unwrap().unwrap()["message"]["label"] != "CALL search" {}
    tokio::time::sleep(Duration::from_secs(1)).await;
    session.cancel();
    session.finish().await.1.ok();
    tokio::time::sleep(Duration::from_secs(300)).await;
    let count = |invoke_type| host.calls().iter().filter(|call| call.invoke_type == invoke_type).count();
    assert_eq!((count(InvokeType::Llm), count(InvokeType::Tool)), (1, 16));
}

/// dify#27714, dify#19489: a conversation that is longer than a line ended the plugin.
#[tokio::test]
async fn a_long_conversation_does_not_end_the_plugin() {
    let mut model = model();
    model["history_prompt_messages"] =
        json!([{"role": "user", "content": "x\n".repeat(1_500_000)}, {"role": "assistant", "content": "Long."}]);
    model["entity"] = Value::Null;
    for strategy in BOTH {
        let host = host_that_searches().on_tool(|_| "y".repeat(300_000));
        let run = host.agent(strategy).parameters(parameters()).parameter("model", model.clone());
        let outputs = run.parameter("maximum_iterations", 7).await.unwrap();
        assert!(outputs.text().ends_with("What I know."));
        let last = host.calls().into_iter().rfind(|call| call.invoke_type == InvokeType::Llm).unwrap();
        let prompt = prompt(&last);
        assert!(prompt[1].1.contains("left out"), "{}", &prompt[1].1[..99]);
        assert!(prompt.iter().any(|(_, text)| text == "What is new?"));
        assert!(!host.is_closed());
    }
}

#[tokio::test]
async fn a_query_that_no_line_can_carry_is_an_error_and_not_the_end() {
    let host = host_with(vec![Answer::text("FinalAnswer: 42")]);
    for strategy in BOTH {
        let run = host.agent(strategy).parameters(parameters()).parameter("query", "x".repeat(6 * 1024 * 1024));
        let failure = run.await.unwrap_err();
        assert!(failure.message.contains("MAX_BUFFER_SIZE"), "{}", failure.message);
        assert!(host.agent(strategy).parameters(parameters()).await.unwrap().text().ends_with("42"));
    }
}

/// A slow reader loses nothing: what a run shows is joined and paced.
#[tokio::test(start_paused = true)]
async fn a_slow_reader_loses_nothing() {
    let words: Vec<String> = (0..2_000).map(|number| format!("{number} ")).collect();
    let text = words.concat();
    let host = host_with(vec![Answer::texts(words)]).slow_reader(Duration::from_millis(5));
    let outputs = host.agent("function_calling").parameters(parameters()).await.unwrap();
    assert_eq!(outputs.text(), text);
    assert!(outputs.usage().is_some());
}

#[tokio::test]
async fn a_model_that_fails_ends_the_run_with_its_text() {
    for strategy in BOTH {
        let host = host().on_llm(|_| Answer::error("invoke llm model failed: the key is wrong"));
        let failure = host.agent(strategy).parameters(parameters()).await.unwrap_err();
        assert!(failure.message.contains("the key is wrong"), "{}", failure.message);
    }
    // A response that breaks off after text: the text is shown, the log says why.
    let host = host().on_llm(|_| Answer::text("It is").then(Answer::error("read llm model failed: gone")));
    let (items, ending) = host.agent("function_calling").parameters(parameters()).start().finish().await;
    assert!(ending.unwrap_err().message.contains("gone"));
    assert!(items.iter().any(|item| item["message"]["text"] == "It is"));
    assert!(items.iter().any(|item| item["message"]["status"] == json!(LogStatus::Error)));
}
