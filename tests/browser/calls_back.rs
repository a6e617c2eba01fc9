//! Calls back into Dify of plugins of each kind: answered by the script, by an answer that is typed into the page, and by an error
//! that is typed. The plugins are those of the conformance suite, each of which makes one call to a language model.

use serde_json::{Value, json};

use crate::page::{Page, Tester};
use crate::workbench::{conformance, root};

pub const CASES: &[crate::Case] = &[
    ("a_tool_calls_back", |tester| calls_back(tester, &TOOL)),
    ("an_endpoint_calls_back", |tester| calls_back(tester, &ENDPOINT)),
    ("an_agent_strategy_calls_back", |tester| calls_back(tester, &AGENT)),
    ("a_datasource_calls_back", |tester| calls_back(tester, &DATASOURCE)),
    ("a_trigger_calls_back", |tester| calls_back(tester, &TRIGGER)),
    ("a_stop_leaves_no_call_back_open", a_stop_leaves_no_call_back_open),
];

/// A kind of plugin, and what is typed so that it calls back.
struct Caller {
    /// Of the conformance suite.
    plugin: &'static str,
    kind: &'static str,
    provider: &'static str,
    /// Key of its credentials.
    key: &'static str,
    /// Fields by selector.
    typed: &'static [(&'static str, &'static str)],
    run: &'static str,
}

const STEPS: (&str, &str) = ("[data-variable=steps] textarea", r#"[{"do": "call", "name": "llm_whole"}]"#);

const TOOL: Caller = Caller {
    plugin: "tools",
    kind: "tool",
    provider: "conformance_tools",
    key: "tool/conformance_tools",
    typed: &[STEPS],
    run: "run",
};

const ENDPOINT: Caller = Caller {
    kind: "endpoint",
    provider: "endpoint",
    key: "endpoint",
    typed: &[("[data-part=path]", "/call?name=llm_whole")],
    ..TOOL
};

const AGENT: Caller =
    Caller { plugin: "agent", kind: "agent-strategy", provider: "conformance_agent", key: "", ..TOOL };

const DATASOURCE: Caller = Caller {
    plugin: "crawl",
    kind: "datasource",
    provider: "conformance_crawl",
    key: "datasource/conformance_crawl",
    typed: &[("[data-variable=url] input", "call:llm_whole")],
    run: "run",
};

const TRIGGER: Caller = Caller {
    plugin: "trigger",
    kind: "trigger",
    provider: "conformance_trigger",
    key: "trigger/conformance_trigger",
    typed: &[("[data-part-name=push] [data-variable=branch] input", "call:llm_whole")],
    run: "run-event",
};

/// The page with all that a caller needs, or none without the example.
fn open<'t>(tester: &'t Tester, caller: &Caller) -> Option<Page<'t>> {
    let example = conformance()?;
    let directory = root().join("tests/conformance/plugins").join(caller.plugin);
    let page = tester.open_command(&directory, &example);
    if !caller.key.is_empty() {
        page.store_credentials(caller.key, &json!({"api_key": "good-key", "token": "a-token-0123456789"}));
    }
    page.try_provider(caller.kind, caller.provider);
    page.unfold("try");
    if caller.kind == "endpoint" {
        page.select("[data-view=try] [data-part=method]", "GET");
    }
    for (css, text) in caller.typed {
        page.driver.fill(&format!("[data-view=try] {css}"), text);
    }
    Some(page)
}

/// Where the call of a caller is drawn: the last one of the view.
const CALL: &str = "[...document.querySelectorAll('[data-view=try] [data-call]')].at(-1)";

fn run(page: &Page<'_>, caller: &Caller, answers: &str) {
    // The choice beside the button that runs.
    let choose = "const [run, answers] = arguments;
        const select = document.querySelector(`[data-view=try] .actions:has([data-action=${run}]) [data-action=answers]`);
        select.value = answers;
        select.dispatchEvent(new Event('change', {bubbles: true}));
        return select.value";
    assert_eq!(page.driver.script(choose, json!([caller.run, answers])), answers);
    page.driver.click(&format!("[data-view=try] [data-action={}]", caller.run));
}

/// Waits for the end of the call, and for a text in its answer.
fn ended(page: &Page<'_>, state: &str, text: &str) {
    // What is folded counts, too.
    let holds = format!("{CALL}.dataset.state === args[0] && {CALL}.textContent.includes(args[1])");
    page.driver.until(&holds, json!([state, text]));
}

fn answer_of_a_model(text: &str) -> Value {
    let usage = json!({
        "prompt_tokens": 1, "prompt_unit_price": "0", "prompt_price_unit": "0", "prompt_price": "0", "completion_tokens": 1,
        "completion_unit_price": "0", "completion_price_unit": "0", "completion_price": "0", "total_tokens": 2,
        "total_price": "0", "currency": "USD", "latency": 0.1,
    });
    json!([{
        "model": "acme-1", "prompt_messages": [], "system_fingerprint": null,
        "delta": {"index": 0, "usage": usage, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text, "name": "", "tool_calls": []}},
    }])
}

fn calls_back(tester: &Tester, caller: &Caller) {
    let Some(page) = open(tester, caller) else { return };
    run(&page, caller, "scripted");
    ended(&page, "ended", "This is an answer of the workbench's script.");
    page.driver.element("[data-view=try] [data-callback][data-type=llm][data-state=scripted]");
    run(&page, caller, "typed");
    let open = "[data-view=try] [data-callback][data-type=llm][data-state=open]";
    page.driver.element(open);
    // What is called for can be read, and an answer is there to begin from.
    assert!(page.driver.text(open).contains("acme-1"));
    let proposed = page.driver.script("return document.querySelector('[data-part=answer-json]').value", json!([]));
    assert!(proposed.as_str().unwrap().contains("This is an answer typed by hand."), "{proposed}");
    page.driver.fill("[data-view=try] [data-part=answer-json]", &answer_of_a_model("Typed by the author.").to_string());
    page.driver.click("[data-view=try] [data-action=answer]");
    ended(&page, "ended", "Typed by the author.");
    page.driver.element("[data-view=try] [data-callback][data-state=answered]");
    run(&page, caller, "typed");
    page.driver.element(open);
    page.driver.fill("[data-view=try] [data-part=answer-error]", "permission denied by the author");
    page.driver.click("[data-view=try] [data-action=answer]");
    // An endpoint answers with its error.
    let state = if caller.kind == "endpoint" { "ended" } else { "failed" };
    if caller.kind == "endpoint" {
        page.driver.until(&format!("['ended', 'failed'].includes({CALL}.dataset.state)"), json!([]));
    } else {
        ended(&page, state, "permission denied by the author");
    }
    // Each answer is a frame of the session.
    page.view("happened");
    page.driver.click("[data-session]");
    page.driver.element("[data-lane=frames] [data-frame-kind=callback]");
    page.driver.element("[data-lane=frames] [data-frame-kind=answer][data-direction=in]");
    page.end();
}

/// A page on which a call back waits for its answer.
pub fn waiting(tester: &Tester) -> Option<Page<'_>> {
    let page = open(tester, &TRIGGER)?;
    run(&page, &TRIGGER, "typed");
    page.driver.element("[data-view=try] [data-callback][data-state=open] [data-action=answer]");
    Some(page)
}

fn a_stop_leaves_no_call_back_open(tester: &Tester) {
    let Some(page) = waiting(tester) else { return };
    page.driver.click("[data-view=try] [data-action=stop]");
    page.driver.element("[data-view=try] [data-callback][data-state=ended]");
    assert!(!page.driver.has("[data-view=try] [data-action=answer]"));
    page.end();
}
