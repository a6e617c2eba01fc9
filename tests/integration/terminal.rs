//! Runs the commands for users at the terminal.

use std::process::Output;

use crate::support::executable::run;
use serde_json::Value;

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn try_streams_a_response_and_prints_its_cost() {
    let output = run(&["try", "Why is the sky blue?", "--system", "Be brief.", "--param", "seed=7"], "", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("You asked: \"Why is the sky blue?\""), "{}", stdout(&output));
    let log = stderr(&output);
    for expected in
        ["the built-in mock server, not a real model", "first token after", "prompt +", "USD", "finish reason stop"]
    {
        assert!(log.contains(expected), "{expected}: {log}");
    }
}

#[test]
fn try_shows_raw_frames_on_request() {
    let output = run(&["try", "hi", "--json"], "", &[]);
    let frames: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(frames.len() > 3);
    assert!(frames.iter().all(|frame| frame["event"] == "session"));
    assert_eq!(frames.last().unwrap()["data"]["type"], "end");
}

#[test]
fn runs_on_a_system_without_certificates() {
    let nowhere = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    let output = run(&["try", "hi"], "", &nowhere);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn invoke_runs_any_action_from_standard_input() {
    let request =
        r#"{"provider": "google", "model": "my-own", "model_type": "llm", "credentials": {"google_api_key": "k"}}"#;
    let output = run(&["invoke", "get_ai_model_schemas"], request, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let item: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(item["model_schema"]["model"], "my-own");
}

#[test]
fn reports_errors_and_exits_with_1() {
    let invoke = r#"{"provider": "google", "model": "gemini-3.5-flash", "model_type": "llm"}"#;
    let cases: [(&[&str], &str, &str); 5] = [
        (
            &["try", "hi", "--provider", "unknown"],
            "",
            "the manifest lists ai-gateway, gemini-agents, google, openai_api_compatible, xinference",
        ),
        (
            &["try", "hi", "--param", "temperature=9", "--model", "gemini-3.5-flash"],
            "",
            "`temperature` must be at most 2",
        ),
        (&["try", "hi", "--image", "Cargo.toml"], "", "is not a supported image"),
        (&["invoke", "invoke_llm"], invoke, "`google_api_key`"),
        (&["invoke", "invoke_llm"], "[1]", "must contain an object"),
    ];
    for (arguments, input, expected) in cases {
        let output = run(arguments, input, &[]);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
    }
    let misspelled = run(&["try", "hi", "--param", "tempreature=1"], "", &[]);
    assert!(
        stderr(&misspelled).contains("has no parameter `tempreature`") && misspelled.status.success(),
        "{}",
        stderr(&misspelled)
    );
}

#[test]
fn does_not_print_secrets_of_a_credentials_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials.yaml");
    std::fs::write(&file, "google_api_key: \"s3cret-key\n").unwrap();
    let output = run(&["try", "hi", "--credentials", file.to_str().unwrap()], "", &[]);
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("is not valid JSON or YAML") && !stderr(&output).contains("s3cret"),
        "{}",
        stderr(&output)
    );
}
