//! The command line of the executable, as an author uses it.

use std::process::Output;

use dify_plugin::serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::google::{API_KEY, Google};
use crate::google_api::tools::IMAGE;

/// Runs the executable with an input. Nothing of the environment reaches it.
async fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gemini-tools"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    child.wait_with_output().await.unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn credentials(google: &Google) -> [String; 2] {
    [format!("google_base_url={}", google.url), format!("google_api_key={API_KEY}")]
}

#[tokio::test]
async fn try_calls_a_tool() {
    let google = Google::start().await;
    let [url, key] = credentials(&google);
    let sign_in = ["--credential", url.as_str(), "--credential", key.as_str()];
    let query = "query=What is the capital of Latvia?";
    let output = run(&[&["try", "search", "--param", query][..], &sign_in].concat(), "").await;
    let text = printed(&output);
    assert!(text.starts_with("Riga is the capital of Latvia.[1][2] It is old."), "{text}");
    assert!(text.contains("[1] [latvia.example](https://vertexaisearch.example/1)"), "{text}");

    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let arguments = ["try", "create_image", "--param", "prompt=A cat", "--out", out];
    printed(&run(&[&arguments[..], &sign_in].concat(), "").await);
    assert_eq!(std::fs::read(directory.path().join("image-1.png")).unwrap(), IMAGE);

    let arguments = ["try", "speak", "--options", "voice"];
    let voices = printed(&run(&[&arguments[..], &sign_in].concat(), "").await);
    assert!(voices.starts_with("Zephyr  Zephyr (bright)\n"), "{voices}");

    let output = run(&[&["try", "search"][..], &sign_in].concat(), "").await;
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("`query`") && !message.contains(API_KEY), "{message}");
}

#[tokio::test]
async fn invoke_runs_a_request_of_dify() {
    let google = Google::start().await;
    let request = json!({"provider": "gemini-tools", "tool": "maps", "tool_parameters": {"query": "Cafés?"},
        "credentials": {"google_base_url": google.url, "google_api_key": API_KEY}});
    let output = run(&["invoke", "invoke_tool"], &request.to_string()).await;
    let text = printed(&output);
    let types: Vec<String> = text
        .lines()
        .map(|line| dify_plugin::serde_json::from_str::<dify_plugin::serde_json::Value>(line).unwrap())
        .map(|item| item["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(types, ["text", "variable", "variable", "json"]);
}

#[tokio::test]
async fn check_finds_no_problem() {
    let output = run(&["check"], "").await;
    let text = printed(&output);
    assert!(!text.contains("warning") && !text.contains("error"), "{text}");
}
