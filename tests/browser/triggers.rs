//! A trigger from its subscription to an event: the plugin creates the subscription from what its form asks for, a request to its
//! address names the events, and an event starts a workflow. A secret of the subscription stays out of what is shown.

use serde_json::json;

use crate::page::Tester;
use crate::workbench::{conformance, root};

pub const CASES: &[crate::Case] =
    &[("a_subscription_is_created_and_an_event_arrives", a_subscription_is_created_and_an_event_arrives)];

/// The secret that is typed, and that of the subscription that the plugin created.
const SECRETS: [&str; 2] = ["the-secret-of-the-hook-0123456789", "secret of the hook 7"];

fn a_subscription_is_created_and_an_event_arrives(tester: &Tester) {
    let Some(example) = conformance() else { return };
    let page = tester.open_command(&root().join("tests/conformance/plugins/trigger"), &example);
    page.store_credentials("trigger/conformance_trigger", &json!({"api_key": "good-key"}));
    page.try_provider("trigger", "conformance_trigger");
    page.unfold("try");
    let panel = "[data-view=try] [data-part=subscription]";
    let repository = format!("{panel} [data-form=subscription_parameters] [data-variable=repository] select");
    // Its options come from the plugin.
    page.driver.element(&format!("{repository}[data-state=ready]"));
    page.select(&repository, "acme/weather");
    page.driver.click(&format!("{panel} [data-action=subscribe]"));
    page.driver.element(&format!("{panel} [data-call][data-state=ended]"));
    let shown = page.driver.text(panel);
    assert!(shown.contains("hook_id") && shown.contains("1900000000"), "{shown}");
    assert!(shown.contains("********") && !shown.contains(SECRETS[1]), "{shown}");
    // The plugin gets the secret that it has made itself, then the one that is typed.
    page.driver.fill("[data-view=try] [data-form=request] [data-part=prompt]", "pushed");
    for secret in [None, Some(SECRETS[0])] {
        if let Some(secret) = secret {
            page.driver.fill(&format!("{panel} [data-form=subscription] [data-variable=secret] input"), secret);
        }
        page.driver.click("[data-view=try] .part > .actions [data-action=run]");
        assert_eq!(page.driver.text("[data-view=try] [data-part=events]"), "Events: push");
    }
    page.driver.click(&format!("{panel} [data-action=refresh]"));
    page.driver.until("document.querySelector(args[0]).innerText.includes('1950000000')", json!([panel]));
    assert!(page.driver.text("[data-view=try] [data-part=response]").contains("202"));
    page.driver.click("[data-view=try] [data-part-name=push][data-named=true] [data-action=run-event]");
    page.driver.element("[data-view=try] [data-part-name=push] [data-call][data-state=ended]");
    let started = page.driver.text("[data-view=try] [data-part-name=push] [data-call]");
    assert!(started.contains("pushed") && started.contains("6"), "{started}");
    for session in page.workbench.api("GET", "/api/sessions", None).as_array().unwrap() {
        let id = session["id"].as_str().unwrap();
        for part in ["", "/copy", "/recording"] {
            let whole = page.workbench.api("GET", &format!("/api/sessions/{id}{part}"), None).to_string();
            assert!(SECRETS.iter().all(|secret| !whole.contains(secret)), "{id}{part}: {whole}");
        }
    }
    page.end();
}
