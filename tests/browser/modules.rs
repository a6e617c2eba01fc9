//! The parts of the page that draw nothing, by cases: joining of streams, requests, answers, the lanes of a session. The cases are
//! in `modules/`, as bodies of functions in the page's own language; `same(name, found, expected)` compares as JSON.

use serde_json::json;

use crate::page::Tester;
use crate::workbench::root;

pub const CASES: &[crate::Case] = &[("modules_do_what_their_cases_expect", modules_do_what_their_cases_expect)];

const MODULES: &[(&str, &str)] = &[
    ("answers", include_str!("modules/answers.js")),
    ("requests", include_str!("modules/requests.js")),
    ("polling", include_str!("modules/polling.js")),
    ("answers_back", include_str!("modules/answers_back.js")),
    ("sessions", include_str!("modules/sessions.js")),
];

fn modules_do_what_their_cases_expect(tester: &Tester) {
    let page = tester.open(root());
    for (name, body) in MODULES {
        let script = format!(
            "const failed = []; let count = 0;
             const same = (name, found, expected) => {{
               count += 1;
               const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
               if (left !== right) failed.push(`${{name}}: found ${{left}}, expected ${{right}}`);
             }};
             (async () => {{ {body}
             }})().then(() => done({{failed, count}}), (error) => done({{failed: [String(error?.stack ?? error)], count}}));"
        );
        let found = page.driver.script_later(&script, json!([]));
        assert_eq!(found["failed"], json!([]), "{name}");
        assert!(found["count"].as_u64().is_some_and(|count| count > 30), "{name}: {found}");
    }
    page.end();
}
