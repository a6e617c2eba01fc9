//! Files change while the page is open: a mistake appears with its place in the YAML, and goes when it is corrected. No reload by hand.

use serde_json::json;

use crate::page::Tester;
use crate::workbench::{Workbench, copied, root};

pub const CASES: &[crate::Case] = &[
    ("a_mistake_appears_with_its_line_and_goes", a_mistake_appears_with_its_line_and_goes),
    ("a_new_field_appears_without_losing_what_is_typed", a_new_field_appears_without_losing_what_is_typed),
];

fn a_mistake_appears_with_its_line_and_goes(tester: &Tester) {
    let plugin = copied(&root().join("tests/data/workbench/every-setting"));
    let workbench = Workbench::start(&tester.runtime, plugin.path());
    let page = tester.show(workbench);
    page.view("problems");
    let errors =
        "[...document.querySelectorAll('[data-problem]')].filter(problem => problem.dataset.severity === 'error')";
    page.driver.until(&format!("{errors}.length === 0"), json!([]));
    let file = plugin.path().join("endpoints/settings.yaml");
    let good = std::fs::read_to_string(&file).unwrap();
    let wrong = good.replace("name: place\n    type: select", "name: place\n    type: selekt");
    assert_ne!(good, wrong);
    let line = 1 + wrong.lines().position(|line| line.contains("selekt")).unwrap();
    std::fs::write(&file, &wrong).unwrap();
    page.driver.until(
        &format!("{errors}.some(problem => problem.dataset.line === args[0] && problem.innerText.includes('settings.yaml') && problem.innerText.includes('selekt'))"),
        json!([line.to_string()]),
    );
    // The source line is shown, and what was meant.
    let shown = page.driver.text("[data-problem]");
    assert!(shown.contains("type: selekt") && shown.contains("select"), "{shown}");
    // A file that is no YAML is a problem, too, and not the end of the page.
    std::fs::write(&file, "settings: [\n").unwrap();
    page.driver.until(&format!("{errors}.some(problem => !problem.innerText.includes('selekt'))"), json!([]));
    std::fs::write(&file, &good).unwrap();
    page.driver.until(&format!("{errors}.length === 0"), json!([]));
    page.end();
}

fn a_new_field_appears_without_losing_what_is_typed(tester: &Tester) {
    let plugin = copied(&root().join("tests/data/workbench/every-setting"));
    let workbench = Workbench::start(&tester.runtime, plugin.path());
    let page = tester.show(workbench);
    page.open_provider("endpoint", "endpoint");
    let css = "[data-provider=endpoint]";
    page.driver.fill(&format!("{css} [data-form=settings] [data-variable=word] input"), "typed before");
    let file = plugin.path().join("endpoints/settings.yaml");
    let settings = std::fs::read_to_string(&file).unwrap();
    let added = settings.replace(
        "endpoints:\n",
        "  - {name: added_later, type: text-input, label: {en_US: Added later}}\nendpoints:\n",
    );
    assert_ne!(settings, added);
    std::fs::write(&file, added).unwrap();
    page.driver.element(&format!("{css} [data-form=settings] [data-variable=added_later]"));
    let typed = page.driver.script(
        "return document.querySelector(arguments[0]).value",
        json!([format!("{css} [data-form=settings] [data-variable=word] input")]),
    );
    assert_eq!(typed, "typed before");
    page.end();
}
