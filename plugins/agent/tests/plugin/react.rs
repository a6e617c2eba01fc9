//! The strategy `ReAct`.

use dify_plugin::protocol::backwards::InvokeType;
use dify_plugin::protocol::tool_message::LogStatus;
use dify_plugin::serde_json::{Value, json};
use dify_plugin::testing::{Answer, CallBack, Host};

use crate::support::{host_with, model, parameters, prompt};

const STRATEGY: &str = "ReAct";
const SEARCH: &str = "Thought: I need it.\nAction: {\"action\": \"search\", \"action_input\": {\"query\": \"news\"}}";

fn of_type(host: &Host, invoke_type: InvokeType) -> Vec<CallBack> {
    host.calls().into_iter().filter(|call| call.invoke_type == invoke_type).collect()
}

#[tokio::test]
async fn a_tool_is_called_and_the_answer_comes_as_it_is_written() {
    let host = host_with(vec![
        Answer::texts([
            "Thought: I ne",
            "ed it.\nAct",
            "ion: {\"action\": \"search\", \"action_in",
            "put\": {\"query\": \"news\"}}",
        ]),
        Answer::texts(["Thought: I know.\nFinal", "Answer: Nothing", " is new."]),
    ])
    .on_tool(|call| {
        assert_eq!((call.text("tool"), &call.request["tool_parameters"]), ("search", &json!({"query": "news"})));
        Answer::text("nothing found")
    });
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(outputs.text(), "Nothing is new.");

    let calls = of_type(&host, InvokeType::Llm);
    assert_eq!(
        (calls.len(), &calls[0].request["stop"], &calls[0].request["stream"]),
        (2, &json!(["Observation:"]), &json!(true))
    );
    assert!(calls[0].request["tools"].is_null());
    let first = prompt(&calls[0]);
    for part in ["Be brief.", "\"name\":\"search\"", "search, weather", "FinalAnswer:"] {
        assert!(first[0].1.contains(part), "{part} is not in {}", first[0].1);
    }
    let second = prompt(&calls[1]);
    let expected = [
        ("user", "What is new?"),
        ("assistant", "Thought: I need it.\nAction: {\"action\":\"search\",\"action_input\":{\"query\":\"news\"}}"),
        ("user", "Observation: nothing found"),
    ];
    assert_eq!(second[1..], expected.map(|(role, text)| (role.to_owned(), text.to_owned())));

    let labels: Vec<_> = outputs.logs().iter().map(|log| log.label.as_str()).collect();
    assert_eq!(labels, ["ROUND 1", "small Thought", "CALL search", "ROUND 2", "small Thought"]);
    let [round, thought, ..] = outputs.logs() else { panic!() };
    assert_eq!(
        json!(thought.data),
        json!({"thought": "I need it.", "action": "search", "action_input": {"query": "news"}})
    );
    let shown = json!({"action_name": "search", "action_input": {"query": "news"}, "thought": "I need it.",
        "observation": "nothing found"});
    assert_eq!(json!(round.data), shown);
    assert_eq!(outputs.usage().unwrap()["total_price"], "0.00004");
}

#[tokio::test]
async fn a_model_that_follows_no_format_answers() {
    let host = host_with(vec![Answer::texts(["It is ", "<think>42?</think>42."])]);
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(outputs.text(), "It is 42.");
    assert_eq!(outputs.log("small Thought").unwrap().data["reasoning"], "42?");
    // A model that only thinks.
    let host = host_with(vec![Answer::text("<think>FinalAnswer: 42?")]);
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(outputs.text(), "The model gave no answer.");
}

/// An action that a model thinks of is none (official#3861), and think blocks hide no answer.
#[tokio::test]
async fn actions_within_thoughts_are_not_called() {
    let text = format!("<think>{SEARCH}</think>Thought: an example is {{\"action\": \"search\"}}.\nFinalAnswer: 42");
    let host = host_with(vec![Answer::text(text)]);
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(outputs.text(), "42");
    assert_eq!(host.calls().len(), 1);
}

/// official#3699: the model reads that its action could not be read, and tries again.
#[tokio::test]
async fn an_action_that_cannot_be_read_is_written_again() {
    let host = host_with(vec![
        Answer::text("Thought: a\nAction: {\"action\": \"search\", \"action_input\": {\"query\": \"cut"),
        Answer::text(SEARCH),
        Answer::text("FinalAnswer: 42"),
    ])
    .on_tool(|_| "found");
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(outputs.text(), "42");
    let second = prompt(&of_type(&host, InvokeType::Llm)[1]);
    assert!(second[3].1.starts_with("Observation: The action is not a complete JSON object."), "{}", second[3].1);
    assert!(outputs.logs()[1].data["error"].is_string());
}

#[tokio::test]
async fn a_model_reads_what_went_wrong() {
    let rows = [
        ("Action: fly\nAction Input: {}", "There is no tool `fly`. The tools are `search`, `weather`."),
        (SEARCH, "The tool `search` failed: no more queries"),
        ("Action: search\nAction Input: [1, 2", "The tool `search` failed: no more queries"),
    ];
    for (text, expected) in rows {
        let host = host_with(vec![Answer::text(text), Answer::text("FinalAnswer: Sorry.")])
            .on_tool(|_| Answer::error("no more queries"));
        let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
        assert_eq!(outputs.text(), "Sorry.");
        let read = prompt(&of_type(&host, InvokeType::Llm)[1])[3].1.clone();
        assert_eq!(read, format!("Observation: {expected}"), "{text}");
        let call = outputs.logs().iter().find(|log| log.label.starts_with("CALL")).unwrap();
        assert_eq!(call.status, LogStatus::Error);
    }
}

#[tokio::test]
async fn a_text_is_the_input_of_a_tool_with_one_parameter() {
    let host =
        host_with(vec![Answer::text("Action: weather\nAction Input: Riga"), Answer::text("FinalAnswer: Sunny.")])
            .on_tool(|_| "sunny");
    host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(of_type(&host, InvokeType::Tool)[0].request["tool_parameters"], json!({"place": "Riga"}));
}

#[tokio::test]
async fn after_the_last_iteration_the_model_answers() {
    let host = host_with(vec![Answer::text(SEARCH), Answer::text("FinalAnswer: Nothing.")]).on_tool(|_| "nothing");
    let run = host.agent(STRATEGY).parameters(parameters()).parameter("maximum_iterations", 1);
    assert_eq!(run.await.unwrap().text(), "Nothing.");
    let last = prompt(&of_type(&host, InvokeType::Llm)[1]);
    assert_eq!(last.len(), 4);
    assert!(last[3].1.starts_with("Observation: nothing\n\nThe maximum number of iterations (1)"), "{}", last[3].1);
    assert!(last[3].1.ends_with("Begin with `FinalAnswer:`."), "{}", last[3].1);

    // A model that wants a tool nevertheless: its thought is the answer.
    let host = host_with(vec![Answer::text(SEARCH)]).on_tool(|_| "nothing");
    let outputs = host.agent(STRATEGY).parameters(parameters()).await.unwrap();
    assert_eq!(outputs.text(), "I need it.");
    assert_eq!(of_type(&host, InvokeType::Tool).len(), 3);
}

#[tokio::test]
async fn the_history_and_the_users_stop_words_are_sent() {
    let mut model = model();
    model["history_prompt_messages"] =
        json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]);
    model["completion_params"] = json!({"stop": ["END"]});
    for (provider, stop) in [("acme/models/acme", json!(["END", "Observation:"])), ("a/wenxin/wenxin", json!(["END"]))]
    {
        model["provider"] = provider.into();
        let host = host_with(vec![Answer::text("FinalAnswer: 42")]);
        host.agent(STRATEGY).parameters(parameters()).parameter("model", model.clone()).await.unwrap();
        let call = &host.calls()[0];
        assert_eq!(call.request["stop"], stop);
        let texts: Vec<_> = prompt(call)[1..].iter().map(|(_, text)| text.clone()).collect();
        assert_eq!(texts, ["Hi", "Hello", "What is new?"]);
    }
}

#[tokio::test]
async fn bad_input_is_named() {
    for (name, value, expected) in
        [("maximum_iterations", json!(501), "`maximum_iterations` is 501"), ("model", Value::Null, "model")]
    {
        let host = host_with(vec![Answer::text("42")]);
        let failure = host.agent(STRATEGY).parameters(parameters()).parameter(name, value).await.unwrap_err();
        assert!(failure.message.contains(expected), "{}", failure.message);
    }
}
