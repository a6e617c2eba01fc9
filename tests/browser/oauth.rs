//! OAuth of providers: the address to authorize at, the exchange of the callback, the renewal. The tokens stay in the server, and the
//! plugin gets them as those of a sign-in.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::page::{Page, Tester};
use crate::workbench::{conformance, root};

pub const CASES: &[crate::Case] = &[
    ("a_tool_signs_in", |tester| signs_in(tester, "tools", "tool", "conformance_tools")),
    ("a_datasource_signs_in", |tester| signs_in(tester, "documents", "datasource", "conformance_documents")),
    ("a_trigger_signs_in", |tester| signs_in(tester, "trigger", "trigger", "conformance_trigger")),
];

/// The token that the plugin makes of the callback.
const TOKEN: &str = "token of code=the-code-of-the-callback&state=s";

fn signs_in(tester: &Tester, plugin: &str, kind: &str, provider: &str) {
    let Some(example) = conformance() else { return };
    let page = tester.open_command(&root().join("tests/conformance/plugins").join(plugin), &example);
    page.try_provider(kind, provider);
    page.unfold("try");
    let panel = "[data-view=try] [data-part=oauth]";
    page.driver.fill(&format!("{panel} [data-form=oauth] [data-variable=client_id] input"), "client-of-the-author");
    page.driver.click(&format!("{panel} [data-action=authorize]"));
    page.driver.until(
        "document.querySelector(args[0]).innerText.includes(args[1])",
        json!([
            panel,
            "https://example.com/authorize?client_id=client-of-the-author&redirect_uri=http://localhost/callback"
        ]),
    );
    page.driver.fill(
        &format!("{panel} [data-part=callback]"),
        "http://localhost/callback?code=the-code-of-the-callback&state=s",
    );
    page.driver.click(&format!("{panel} [data-action=exchange]"));
    page.driver.until(
        "document.querySelector(args[0]).textContent.includes('The credentials are kept in the server.')",
        json!([panel]),
    );
    kept_as(&page, &format!("{kind}/{provider}"), "token ************=s");
    // Renewed with the token that was kept.
    page.driver.click(&format!("{panel} [data-action=renew]"));
    kept_as(&page, &format!("{kind}/{provider}"), "token ************ed");
    // No page and no session has the token, nor has what the browser stores.
    let page_text = page.driver.script(
        "return document.documentElement.outerHTML + JSON.stringify({...localStorage, ...sessionStorage})",
        json!([]),
    );
    assert!(!page_text.as_str().unwrap().contains(TOKEN), "the token is on the page");
    // A call with them is one of a sign-in.
    page.workbench.api("POST", "/api/calls", Some(validation(kind, provider)));
    let sessions = page.workbench.api("GET", "/api/sessions", None);
    let mut types = Vec::new();
    for session in sessions.as_array().unwrap() {
        let whole = page.workbench.api("GET", &format!("/api/sessions/{}", session["id"].as_str().unwrap()), None);
        assert!(!whole.to_string().contains(TOKEN), "{whole:#}");
        types.push((session["action"].clone(), whole["request"]["credential_type"].clone()));
    }
    assert_eq!(types[0], (json!(format!("validate_{kind}_credentials")), json!("oauth2")), "{types:?}");
    page.end();
}

/// Waits until a token is kept that has this mask.
fn kept_as(page: &Page<'_>, key: &str, mask: &str) {
    let start = Instant::now();
    loop {
        let kept = page.workbench.api("GET", "/api/credentials", None);
        if kept[key]["values"]["access_token"] == mask {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{kept}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A call with the kept credentials, as the page makes it.
fn validation(kind: &str, provider: &str) -> Value {
    json!({
        "action": format!("validate_{kind}_credentials"), "type": kind, "credentials": format!("{kind}/{provider}"),
        "data": {"provider": provider, "credential_type": "api-key"},
    })
}
