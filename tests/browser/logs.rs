//! What a command logs, in "See what happened": the lines of its standard error and the `log` lines of the protocol, all of them as
//! text, each linked to the session that ran.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::page::Tester;
use crate::workbench::{conformance, root};

pub const CASES: &[crate::Case] = &[("what_a_command_logs_is_drawn", what_a_command_logs_is_drawn)];

fn what_a_command_logs_is_drawn(tester: &Tester) {
    let Some(example) = conformance() else { return };
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("plugin.sh");
    let text = format!(
        "#!/bin/sh\n\
         echo '<b>written</b> to standard error' >&2\n\
         echo '{{\"event\":\"log\",\"session_id\":null,\"data\":{{\"level\":\"ERROR\",\"message\":\"a line of the protocol\",\"timestamp\":1}}}}'\n\
         exec {}\n",
        example.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let page = tester.open_command(&root().join("tests/conformance/plugins/tools"), &script);
    page.view("happened");
    page.driver.click("[data-tab=log]");
    assert!(page.driver.text("[data-part=log]").contains("has logged nothing"));
    page.store_credentials("tool/conformance_tools", &json!({"api_key": "good-key"}));
    page.try_provider("tool", "conformance_tools");
    page.unfold("try");
    page.driver.fill("[data-view=try] [data-variable=steps] textarea", r#"[{"do": "text", "text": "done"}]"#);
    page.driver.click("[data-view=try] [data-action=run]");
    page.driver.element("[data-view=try] [data-call][data-state=ended]");
    let lines = "[...document.querySelectorAll(`[data-part=${args[0]}] [data-log-line]`)].map(line => line.dataset.level).sort().join() === 'error,stderr'";
    page.view("happened");
    page.driver.until(lines, json!(["log"]));
    let shown = page.driver.text("[data-part=log]");
    assert!(shown.contains("<b>written</b> to standard error") && shown.contains("a line of the protocol"), "{shown}");
    // Also after a reload; and the session that ran is one click away.
    page.driver.refresh();
    page.ready();
    page.driver.click("[data-tab=log]");
    page.driver.until(lines, json!(["log"]));
    page.driver.fill("[data-action=filter-log]", "level:error");
    page.driver.until("document.querySelectorAll('[data-part=log] [data-log-line]').length === 1", json!([]));
    page.driver.click("[data-part=log] [data-action=log-session]");
    page.driver.until(lines, json!(["session-log"]));
    // One that began later has none of them.
    page.driver.click("[data-session]:first-of-type");
    page.driver
        .until("document.querySelector('[data-session-detail] h2').innerText.startsWith('invoke_tool')", json!([]));
    assert!(!page.driver.has("[data-part=session-log]"));
    page.end();
}
