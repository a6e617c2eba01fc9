//! Answers as they are written on the wire, and calls that have none.

use super::*;

fn answers(args: &[&str]) -> Answers {
    let answers = args.iter().map(|pair| (*pair).to_owned()).collect();
    AnswerArgs { answers, ..AnswerArgs::default() }.read().unwrap()
}

/// The data of the responses, or the error.
fn called(answers: &mut Answers, call_type: &str, request: Value) -> Result<Vec<Value>, String> {
    let request = request.as_object().unwrap().clone();
    answers.responses(&Invoke { invoke_type: call_type.to_owned(), request_id: "r".to_owned(), request })
}

#[test]
fn an_answer_becomes_the_responses_of_its_type() {
    let text = |text: &str| json!({"type": "text", "message": {"text": text}});
    for (call_type, answer, expected) in [
        ("tool", "sunny", vec![text("sunny")]),
        ("tool", "5", vec![text("5")]),
        ("tool", r#"["a", {"type": "json", "message": {}}]"#, vec![text("a"), json!({"type": "json", "message": {}})]),
        ("app", "hi", vec![json!({"event": "message", "answer": "hi", "conversation_id": "terminal"})]),
        ("app", r#"[{"event": "a"}, {"event": "b"}]"#, vec![json!({"event": "a"}), json!({"event": "b"})]),
        ("moderation", "true", vec![json!({"result": true})]),
        ("speech2text", "hello", vec![json!({"result": "hello"})]),
        ("tts", "ab", vec![json!({"result": "6162"})]),
        ("system_summary", "short", vec![json!({"summary": "short"})]),
        ("upload_file", "http://x/up", vec![json!({"url": "http://x/up"})]),
        ("fetch_app", r#"{"opening_statement": "hi"}"#, vec![json!({"opening_statement": "hi"})]),
        ("text_embedding", "[[0.5, 1]]", vec![json!({"model": "m", "embeddings": [[0.5, 1]], "usage": {}})]),
        ("rerank", r#"[{"index": 0}]"#, vec![json!({"model": "m", "docs": [{"index": 0}]})]),
        (
            "node_parameter_extractor",
            r#"{"city": "Riga"}"#,
            vec![json!({"process_data": {}, "inputs": {}, "outputs": {"city": "Riga"}})],
        ),
        ("node_question_classifier", r#"{"outputs": {"a": 1}}"#, vec![json!({"outputs": {"a": 1}})]),
    ] {
        let mut answers = answers(&[&format!("{call_type}={answer}")]);
        assert_eq!(called(&mut answers, call_type, json!({"model": "m"})).unwrap(), expected, "{call_type} {answer}");
    }
    let mut failing = answers(&[r#"tool={"error": "invoke tool failed: no"}"#]);
    assert_eq!(called(&mut failing, "tool", json!({})).unwrap_err(), "invoke tool failed: no");
}

#[test]
fn a_language_model_responds_with_text_tool_calls_or_an_object() {
    let called = |call_type: &str, answer: &str| {
        let mut answers = answers(&[&format!("llm={answer}")]);
        let mut responses = called(&mut answers, call_type, json!({"model": "m"})).unwrap();
        assert_eq!(responses.len(), 1);
        responses.remove(0)
    };
    let chunk = called("llm", "Because.");
    assert_eq!((&chunk["model"], &chunk["delta"]["message"]["content"]), (&json!("m"), &json!("Because.")));
    assert_eq!(chunk["delta"]["finish_reason"], "stop");
    let chunk =
        called("llm", r#"{"text": "I look.", "tool_calls": [{"name": "forecast", "arguments": {"place": "Riga"}}]}"#);
    let call = json!({"id": "call-1", "type": "function",
        "function": {"name": "forecast", "arguments": "{\"place\":\"Riga\"}"}});
    assert_eq!(chunk["delta"]["message"]["tool_calls"], json!([call]));
    assert_eq!(chunk["delta"]["finish_reason"], "tool_calls");
    assert_eq!(called("llm", r#"{"a": 1}"#)["delta"]["message"]["content"], r#"{"a":1}"#);
    for answer in [r#"{"a": 1}"#, r#""{\"a\": 1}""#, r#"{"structured_output": {"a": 1}}"#] {
        assert_eq!(called("llm_structured_output", answer)["structured_output"], json!({"a": 1}), "{answer}");
    }
    assert_eq!(called("llm", r#"{"delta": {"message": {}}}"#), json!({"delta": {"message": {}}}));
}

#[test]
fn answers_are_given_in_order_and_the_last_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("answers.yaml");
    std::fs::write(&file, "tool:\n  - two\n  - [three, four]\nmoderation: false\n").unwrap();
    let args = AnswerArgs { answers: vec!["tool=one".to_owned()], answers_file: Some(file), ..AnswerArgs::default() };
    let mut answers = args.read().unwrap();
    let lengths: Vec<usize> = (0..4).map(|_| called(&mut answers, "tool", json!({})).unwrap().len()).collect();
    assert_eq!(lengths, [1, 1, 2, 2]);
    assert_eq!(called(&mut answers, "moderation", json!({})).unwrap(), [json!({"result": false})]);
}

#[test]
fn a_call_without_an_answer_names_the_option() {
    let mut answers = answers(&[]);
    for (call_type, option) in
        [("llm", "--llm TEXT"), ("llm_structured_output", "--llm TEXT"), ("app", "--answer app=")]
    {
        let error = called(&mut answers, call_type, json!({})).unwrap_err();
        assert!(error.contains(option) && error.contains("--ask"), "{error}");
    }
    assert_eq!(answers.unanswered.len(), 3);
    assert_eq!(called(&mut answers, "encrypt", json!({})).unwrap_err(), "unsupported invoke type: encrypt");
    let unknown = AnswerArgs { answers: vec!["tols=x".to_owned()], ..AnswerArgs::default() }.read().unwrap_err();
    assert!(unknown.to_string().contains("did you mean `tool`?"), "{unknown}");
}

#[test]
fn the_storage_is_kept_while_the_command_runs() {
    let mut answers = answers(&[]);
    let mut storage = |opt: &str, key: &str, value: Value| {
        called(&mut answers, "storage", json!({"opt": opt, "key": key, "value": value})).map(|mut data| data.remove(0))
    };
    assert_eq!(storage("get", "k", json!(null)).unwrap_err(), MISSING_KEY);
    assert_eq!(storage("set", "k", json!("6162")).unwrap(), json!({"data": "ok"}));
    assert_eq!(storage("get", "k", json!(null)).unwrap(), json!({"data": "6162"}));
    assert_eq!(storage("exist", "k", json!(null)).unwrap()["data"], true);
    assert_eq!(storage("del", "k", json!(null)).unwrap()["data"], "ok");
    assert_eq!(storage("exist", "k", json!(null)).unwrap()["data"], false);
    assert!(storage("del", "k", json!(null)).is_err());
}
