//! Calls of the view "Try it" against an upstream on loopback, and what "See what happened" shows of them.

use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::json;

use crate::page::{Page, Tester};
use crate::upstream::{KEY, Upstream};
use crate::workbench::{conformance, root};

pub const CASES: &[crate::Case] = &[
    ("an_answer_is_streamed", an_answer_is_streamed),
    ("a_stop_reaches_the_upstream", a_stop_reaches_the_upstream),
    ("a_wrong_key_is_reported_at_validation", a_wrong_key_is_reported_at_validation),
    ("an_image_is_sent", an_image_is_sent),
    ("a_tool_call_is_answered_by_hand", a_tool_call_is_answered_by_hand),
    ("a_recording_is_saved_and_opened", a_recording_is_saved_and_opened),
    ("a_tool_of_any_command_runs", a_tool_of_any_command_runs),
];

const PROVIDER: &str = "openai_api_compatible";
pub const MODEL: &str = "small-chat";

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// "Try it" with a language model whose credentials are stored.
pub fn chat_page(tester: &Tester) -> (Page<'_>, Upstream) {
    let upstream = Upstream::start(&tester.runtime);
    let page = tester.open(root());
    let credentials = json!({
        "endpoint_url": upstream.url, "api_key": KEY, "vision_support": "support", "function_calling_type": "tool_call",
        "stream_function_calling": "supported", "agent_thought_support": "supported", "context_size": "200000",
    });
    page.store_credentials(&format!("model/{PROVIDER}/llm/{MODEL}"), &credentials);
    page.try_model(PROVIDER, "llm", MODEL);
    (page, upstream)
}

/// Asks the model, and waits for the state of this call.
pub fn chat(page: &Page<'_>, prompt: &str, state: &str) {
    // A model that is polled has no answer while it runs.
    let turn = if state == "running" { "user" } else { "assistant" };
    let turns = format!("document.querySelectorAll('[data-view=try] [data-turn={turn}]').length");
    let before = page.driver.script(&format!("return {turns}"), json!([]));
    page.driver.fill("[data-view=try] [data-part=prompt]", prompt);
    page.driver.click("[data-view=try] [data-action=run]");
    let last = "[...document.querySelectorAll('[data-view=try] [data-call]')].at(-1)?.dataset.state";
    page.driver.until(&format!("{turns} > args[0] && {last} === args[1]"), json!([before, state]));
}

fn an_answer_is_streamed(tester: &Tester) {
    let (page, upstream) = chat_page(tester);
    chat(&page, "hello", "ended");
    let shown = page.driver.script(
        "const answer = [...document.querySelectorAll('[data-part=answer]')].at(-1);
         return {text: answer.innerText, bold: answer.querySelector('strong')?.innerText, code: answer.querySelector('code')?.innerText,
                 heading: Boolean(answer.querySelector('[role=heading]'))}",
        json!([]),
    );
    assert!(shown["text"].as_str().unwrap().contains("The answer is bold"), "{shown}");
    assert_eq!(
        (&shown["bold"], &shown["code"], &shown["heading"]),
        (&json!("bold"), &json!("code"), &json!(true)),
        "{shown}"
    );
    assert_eq!(upstream.bodies().len(), 1);
    // Tokens as the upstream counted them.
    let view = page.driver.text("main[data-view=try]");
    assert!(view.contains("12 + 34 tokens"), "no usage: {view}");
    // A second message brings the first ones with it.
    chat(&page, "again", "ended");
    page.driver.until("document.querySelectorAll('[data-turn=assistant]').length === 2", json!([]));
    page.driver.element("[data-view=try] [data-call][data-state=ended]");
    let bodies = upstream.bodies();
    assert_eq!(bodies.last().unwrap()["messages"].as_array().unwrap().len(), 3, "{bodies:#?}");
    // Both are in "See what happened", with frames and exchanges.
    page.view("happened");
    page.driver.until("document.querySelectorAll('[data-session]').length >= 2", json!([]));
    page.driver.click("[data-session]");
    page.driver.element("[data-lane=frames] [data-frame]");
    page.driver.element("[data-part=timeline] [data-part=first-token]");
    // The newest one has used the connection of the one before.
    page.driver.click("[data-lane=exchanges] [data-exchange]");
    page.driver.element("[data-part=exchange-detail] [data-part=reused]");
    let whole = page.driver.script("return document.documentElement.innerHTML", json!([]));
    assert!(!whole.as_str().unwrap().contains(KEY), "the key is on the page");
    page.end();
}

fn a_stop_reaches_the_upstream(tester: &Tester) {
    let (page, upstream) = chat_page(tester);
    chat(&page, "wait", "running");
    page.driver.until(
        "[...document.querySelectorAll('[data-part=answer]')].at(-1).innerText.includes('one moment')",
        json!([]),
    );
    // The exchange is there while it goes on.
    page.view("happened");
    page.driver.element("[data-lane=exchanges] [data-exchange][data-open=true]");
    page.view("try");
    page.driver.click("[data-view=try] [data-action=stop]");
    page.driver.element("[data-view=try] [data-call][data-state=cancelled]");
    let start = Instant::now();
    while upstream.left() == 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "the upstream still sends");
        std::thread::sleep(Duration::from_millis(10));
    }
    page.view("happened");
    page.driver.element("[data-session][data-state=cancelled]");
    page.end();
}

fn a_wrong_key_is_reported_at_validation(tester: &Tester) {
    let upstream = Upstream::start(&tester.runtime);
    let page = tester.open(root());
    page.try_model(PROVIDER, "llm", MODEL);
    page.unfold("try");
    let field =
        |variable: &str| format!("[data-view=try] [data-form=model_credentials] [data-variable={variable}] input");
    page.driver.fill(&field("endpoint_url"), &upstream.url);
    page.driver.fill(&field("api_key"), "sk-wrong-0123456789-and-long-enough");
    page.driver.click("[data-view=try] [data-action=validate]");
    page.driver.element("[data-view=try] [data-part=validation][data-state=failed]");
    let shown = page.driver.text("[data-view=try] [data-part=validation]");
    assert!(shown.contains("401") || shown.to_lowercase().contains("key"), "{shown}");
    assert!(!shown.contains("sk-wrong-0123456789-and-long-enough"), "{shown}");
    page.driver.fill(&field("api_key"), KEY);
    page.driver.click("[data-view=try] [data-action=validate]");
    page.driver.element("[data-view=try] [data-part=validation][data-state=ended]");
    page.end();
}

fn an_image_is_sent(tester: &Tester) {
    let (page, upstream) = chat_page(tester);
    let file = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
    std::fs::write(file.path(), base64::engine::general_purpose::STANDARD.decode(PIXEL).unwrap()).unwrap();
    page.driver.attach("[data-view=try] input[type=file][data-part=file]", file.path());
    page.driver.element("[data-view=try] [data-part=attached]");
    chat(&page, "look", "ended");
    page.driver.until(
        "[...document.querySelectorAll('[data-part=answer]')].at(-1).innerText.includes('an image came')",
        json!([]),
    );
    let sent = upstream.bodies().last().unwrap().to_string();
    assert!(sent.contains(PIXEL), "{sent}");
    page.end();
}

fn a_tool_call_is_answered_by_hand(tester: &Tester) {
    let (page, upstream) = chat_page(tester);
    page.unfold("try");
    let tools = json!([{
        "name": "weather", "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }]);
    page.driver.fill("[data-view=try] [data-part=tools]", &tools.to_string());
    chat(&page, "tool please", "ended");
    page.driver.element("[data-view=try] [data-tool-call]");
    let shown = page.driver.text("[data-view=try] [data-tool-call]");
    assert!(shown.contains("weather") && shown.contains("Riga"), "{shown}");
    page.driver.fill("[data-view=try] [data-part=tool-answer]", "sunny");
    page.driver.click("[data-view=try] [data-action=answer-tools]");
    page.driver.until(
        "[...document.querySelectorAll('[data-part=answer]')].at(-1).innerText.includes('The answer is')",
        json!([]),
    );
    let sent = upstream.bodies().last().unwrap().to_string();
    assert!(sent.contains("sunny"), "{sent}");
    page.end();
}

fn a_recording_is_saved_and_opened(tester: &Tester) {
    let (page, _upstream) = chat_page(tester);
    chat(&page, "hello", "ended");
    page.view("happened");
    page.driver.click("[data-session]");
    page.driver.element("[data-lane=frames] [data-frame]");
    let directory = tempfile::tempdir().unwrap();
    page.driver.devtools(
        "Browser.setDownloadBehavior",
        json!({"behavior": "allow", "downloadPath": directory.path(), "eventsEnabled": false}),
    );
    page.driver.click("[data-action=save-recording]");
    let start = Instant::now();
    let saved = loop {
        let mut files = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        if let Some(file) = files.find(|file| file.extension().is_some_and(|extension| extension == "json")) {
            break file;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "nothing was saved");
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = std::fs::read_to_string(&saved).unwrap();
    assert!(text.contains("The answer is") && !text.contains(KEY), "{text}");
    let before = page.driver.script("return document.querySelectorAll('[data-session]').length", json!([]));
    page.driver.attach(
        "main [data-action=open-recording] input[type=file], main input[type=file][data-action=open-recording]",
        &saved,
    );
    page.driver.until("document.querySelectorAll('[data-session]').length === args[0] + 1", json!([before]));
    page.driver.click("[data-session][data-state=opened]");
    page.driver.until("document.querySelector('[data-lane=frames] [data-frame]')", json!([]));
    page.driver.element("[data-lane=exchanges] [data-exchange]");
    page.end();
}

fn a_tool_of_any_command_runs(tester: &Tester) {
    let Some(example) = conformance() else { return };
    let page = tester.open_command(&root().join("tests/conformance/plugins/tools"), &example);
    page.driver.element("[data-target=command][data-state=ready]");
    page.store_credentials("tool/conformance_tools", &json!({"api_key": "right", "region": "eu"}));
    page.try_provider("tool", "conformance_tools");
    page.unfold("try");
    page.driver.fill(
        "[data-view=try] [data-form=inputs] [data-variable=steps] textarea",
        r#"[{"do": "text", "text": "a text of the tool"}]"#,
    );
    page.driver.click("[data-view=try] [data-action=run]");
    page.driver
        .element("[data-view=try] [data-call][data-state=ended], [data-view=try] [data-call][data-state=failed]");
    let shown = page.driver.text("[data-view=try] [data-call]");
    assert!(shown.contains("a text of the tool"), "{shown}");
    page.end();
}
