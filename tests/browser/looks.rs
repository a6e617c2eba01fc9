//! Use without a mouse, on a narrow screen, in both themes, by people who do not see it (axe-core), and under a fast stream. With
//! `WORKBENCH_SCREENSHOTS=DIRECTORY`, the case of that name writes images of the main views there.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::calls::{chat, chat_page};
use crate::calls_back;
use crate::driver::{ENTER, TAB};
use crate::page::{Page, Tester};
use crate::workbench::{Workbench, copied, found, root};

pub const CASES: &[crate::Case] = &[
    ("axe_finds_nothing_serious_in_forms", axe_finds_nothing_serious_in_forms),
    ("axe_finds_nothing_serious_in_calls", axe_finds_nothing_serious_in_calls),
    ("axe_finds_nothing_serious_in_calls_back_and_the_log", axe_finds_nothing_serious_in_calls_back_and_the_log),
    ("all_is_done_by_keyboard", all_is_done_by_keyboard),
    ("no_form_scrolls_sideways_at_360_pixels", no_form_scrolls_sideways_at_360_pixels),
    ("no_call_scrolls_sideways_at_360_pixels", no_call_scrolls_sideways_at_360_pixels),
    ("three_hundred_chunks_a_second_are_drawn", three_hundred_chunks_a_second_are_drawn),
    ("screenshots", screenshots),
];

/// Where `npm pack` was unpacked: not in the repository, because its licence and its size are its own.
fn axe() -> Option<String> {
    let known = std::env::var_os("AXE_CORE").map(PathBuf::from);
    let usual = root().join("target/axe-core/package/axe.min.js");
    std::fs::read_to_string(known.unwrap_or(usual)).ok()
}

/// axe-core, or none when it may be missing.
fn axe_or_skipped() -> Option<String> {
    let axe = axe();
    found(axe.is_some(), "no axe-core in target/axe-core").then_some(axe).flatten()
}

const THEMES: [&str; 2] = ["light", "dark"];

fn choose_theme(page: &Page<'_>, theme: &str) {
    page.select("[data-action=theme]", theme);
    page.driver.element(&format!("html[data-theme={theme}]"));
}

/// Plugins with every field that there is, and providers that are used.
const FORMS: &[(&str, &[(&str, &str)])] = &[
    (".", &[("model", "google"), ("model", "ai-gateway")]),
    ("tests/data/workbench/every-model-field", &[("model", "fields")]),
    ("tests/data/workbench/every-setting", &[("tool", "every_setting"), ("endpoint", "endpoint")]),
    ("tests/conformance/plugins/tools", &[("tool", "conformance_tools")]),
    ("tests/conformance/plugins/agent", &[("agent-strategy", "conformance_agent")]),
    ("tests/conformance/plugins/trigger", &[("trigger", "conformance_trigger")]),
];

fn axe_finds_nothing_serious_in_forms(tester: &Tester) {
    let Some(axe) = axe_or_skipped() else { return };
    let mut found = Vec::new();
    for (directory, providers) in FORMS {
        let page = tester.open(&root().join(directory));
        page.driver.script(&axe, json!([]));
        for theme in THEMES {
            choose_theme(&page, theme);
            for (kind, name) in *providers {
                page.open_provider(kind, name);
                axe_of(&page, &format!("{theme} {name}"), &mut found);
            }
            if *directory == "tests/data/workbench/every-model-field" {
                page.open_model("fields", "llm", "every-parameter");
                axe_of(&page, &format!("{theme} parameters"), &mut found);
            }
            page.view("problems");
            axe_of(&page, &format!("{theme} {directory} problems"), &mut found);
        }
        page.end();
    }
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

fn axe_finds_nothing_serious_in_calls(tester: &Tester) {
    let Some(axe) = axe_or_skipped() else { return };
    let page = page_after_a_call(tester);
    page.driver.script(&axe, json!([]));
    let mut found = Vec::new();
    for theme in THEMES {
        choose_theme(&page, theme);
        for view in ["try", "happened"] {
            page.view(view);
            axe_of(&page, &format!("{theme} {view}"), &mut found);
        }
    }
    page.end();
    assert!(found.is_empty(), "{} findings:\n{}", found.len(), found.join("\n"));
}

/// A trigger whose event waits for an answer, and what the command has logged; at the width of a telephone, too.
fn axe_finds_nothing_serious_in_calls_back_and_the_log(tester: &Tester) {
    let Some(axe) = axe_or_skipped() else { return };
    let Some(page) = calls_back::waiting(tester) else { return };
    page.driver.script(&axe, json!([]));
    let (mut found, mut too_wide) = (Vec::new(), Vec::new());
    for theme in THEMES {
        choose_theme(&page, theme);
        for address in [["try", "trigger"], ["happened", "log"]] {
            page.go(&address);
            page.driver.element(&format!("main[data-view={}]", address[0]));
            axe_of(&page, &format!("{theme} {address:?}"), &mut found);
            page.driver.size(360, 740);
            wide(&page, address[1], &mut too_wide);
            page.driver.size(1280, 900);
        }
    }
    page.end();
    assert!(found.is_empty() && too_wide.is_empty(), "{}\n{}", found.join("\n"), too_wide.join("\n"));
}

/// A chat, and the first session opened.
fn page_after_a_call(tester: &Tester) -> Page<'_> {
    let (page, _upstream) = chat_page(tester);
    chat(&page, "hello", "ended");
    page.view("happened");
    page.driver.click("[data-session]");
    page.driver.element("[data-lane=frames] [data-frame]");
    page
}

/// Findings that are serious or critical.
fn axe_of(page: &Page<'_>, title: &str, found: &mut Vec<String>) {
    let run = "axe.run(document, {resultTypes: ['violations']}).then(result => done(result.violations), error => done([{id: String(error), impact: 'critical', nodes: []}]))";
    let violations = page.driver.script_later(run, json!([]));
    for violation in violations.as_array().unwrap() {
        if !matches!(violation["impact"].as_str(), Some("serious" | "critical")) {
            continue;
        }
        let nodes: Vec<String> = violation["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .take(4)
            .map(|node| format!("    {} {}", node["target"], node["any"][0]["message"].as_str().unwrap_or_default()))
            .collect();
        found.push(format!("{title}: {} ({})\n{}", violation["id"], violation["impact"], nodes.join("\n")));
    }
}

/// What has the focus: its action, variable, part or name.
fn focused(page: &Page<'_>) -> Value {
    page.driver.script(
        "const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
         return {is: at.dataset.action ?? at.closest('[data-variable]')?.dataset.variable ?? at.dataset.part ?? at.className,
                 value: at.dataset.value ?? null, tag: at.localName,
                 visible: at === document.body || (style.outlineStyle !== 'none' && style.outlineWidth !== '0px') || style.boxShadow !== 'none',
                 inside: box.width > 0}",
        json!([]),
    )
}

/// Presses Tab until something has the focus; every stop must be visible.
fn tab_to(page: &Page<'_>, is: &str, value: Option<&str>) {
    for _ in 0..400 {
        page.driver.press(TAB);
        let at = focused(page);
        assert_eq!(at["visible"], true, "the focus is not visible: {at}");
        if at["is"] == is && value.is_none_or(|value| at["value"] == value) {
            return;
        }
    }
    page.driver.fail(&format!("Tab never reaches {is} {value:?}"));
}

fn all_is_done_by_keyboard(tester: &Tester) {
    let (page, upstream) = chat_page(tester);
    // To another view and back, through its links.
    page.driver.script("document.activeElement.blur(); window.scrollTo(0, 0)", json!([]));
    page.driver.open(&page.workbench.address.clone());
    page.ready();
    tab_to(&page, "view", Some("happened"));
    page.driver.press(ENTER);
    page.driver.element("main[data-view=happened]");
    page.driver.open(&page.workbench.address.clone());
    page.ready();
    page.try_model("openai_api_compatible", "llm", crate::calls::MODEL);
    // A prompt is typed and sent.
    page.driver.script("document.querySelector('main').focus()", json!([]));
    tab_to(&page, "prompt", None);
    page.driver.press("hello");
    tab_to(&page, "run", None);
    page.driver.press(ENTER);
    page.driver.element("[data-view=try] [data-call][data-state=ended]");
    assert_eq!(upstream.bodies().len(), 1);
    page.end();
}

/// Says what is wider than the window, unless it scrolls by itself.
fn wide(page: &Page<'_>, title: &str, found: &mut Vec<String>) {
    let measure = "const root = document.documentElement, limit = root.clientWidth;
        const scrolls = (element) => { for (let at = element.parentElement; at && at !== root; at = at.parentElement) { const style = getComputedStyle(at); if (/(auto|scroll|hidden|clip)/.test(style.overflowX)) return true; } return false; };
        return {wide: root.scrollWidth > limit, over: [...document.body.querySelectorAll('*')].filter(element => { const box = element.getBoundingClientRect(); return box.width > 0 && box.right > limit + 1 && !scrolls(element); }).slice(0, 5).map(element => element.localName + '.' + element.className + ' ' + Math.round(element.getBoundingClientRect().right))}";
    let measured = page.driver.script(measure, json!([]));
    if measured["wide"] == true {
        found.push(format!("{title}: {}", measured["over"]));
    }
}

fn no_form_scrolls_sideways_at_360_pixels(tester: &Tester) {
    let mut found = Vec::new();
    for (directory, providers) in FORMS {
        let page = tester.open(&root().join(directory));
        page.driver.size(360, 740);
        for (kind, name) in *providers {
            page.open_provider(kind, name);
            wide(&page, name, &mut found);
        }
        if *directory == "tests/data/workbench/every-model-field" {
            page.open_model("fields", "llm", "every-parameter");
            wide(&page, "parameters", &mut found);
        }
        page.view("problems");
        wide(&page, &format!("{directory} problems"), &mut found);
        page.end();
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn no_call_scrolls_sideways_at_360_pixels(tester: &Tester) {
    let page = page_after_a_call(tester);
    page.driver.size(360, 740);
    let mut found = Vec::new();
    for view in ["try", "happened"] {
        page.view(view);
        wide(&page, view, &mut found);
    }
    page.end();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn three_hundred_chunks_a_second_are_drawn(tester: &Tester) {
    let (page, _upstream) = chat_page(tester);
    page.driver.script(
        "window.gaps = []; let last = performance.now(); const frame = now => { gaps.push(now - last); last = now; if (!window.over) requestAnimationFrame(frame); }; requestAnimationFrame(frame)",
        json!([]),
    );
    chat(&page, "fast", "ended");
    let measured = page.driver.script(
        "window.over = true; const sorted = gaps.slice(2).sort((a, b) => a - b), at = share => sorted[Math.floor(sorted.length * share)];
         return {frames: sorted.length, median: at(0.5), p95: at(0.95), p99: at(0.99), longest: sorted.at(-1), above50: sorted.filter(gap => gap > 50).length}",
        json!([]),
    );
    println!("300 chunks/s for 3 s: {measured}");
    // The machine may be busy; a page that draws every chunk by itself is far beyond this.
    assert!(measured["median"].as_f64().unwrap() < 50.0, "{measured}");
    assert!(measured["longest"].as_f64().unwrap() < 2_000.0, "{measured}");
    page.driver.until(
        "[...document.querySelectorAll('[data-part=answer]')].at(-1).innerText.includes('end of the fast answer')",
        json!([]),
    );
    page.end();
}

/// Writes images of the main views; does nothing unless it is asked.
fn screenshots(tester: &Tester) {
    let Some(directory) = std::env::var_os("WORKBENCH_SCREENSHOTS") else { return };
    let directory = root().join(directory);
    std::fs::create_dir_all(&directory).unwrap();
    let (page, _upstream) = chat_page(tester);
    page.driver.size(1180, 760);
    chat(&page, "Which rivers flow through Riga and Vilnius?", "ended");
    page.driver.script(
        "document.querySelectorAll('[data-view=try] details').forEach(details => { details.open = false; })",
        json!([]),
    );
    let save = |name: &str| {
        page.driver.script("document.activeElement.blur()", json!([]));
        // Two frames later everything is where it stays.
        page.driver.script_later("requestAnimationFrame(() => requestAnimationFrame(done))", json!([]));
        std::fs::write(directory.join(format!("workbench-{name}.webp")), page.driver.image("webp")).unwrap();
    };
    choose_theme(&page, "light");
    page.view("try");
    page.driver.script("document.querySelector('[data-turn=user]').scrollIntoView({block: 'center'})", json!([]));
    save("try");
    page.open_provider("model", "ai-gateway");
    page.driver.script("document.querySelector('[data-form=model_credentials]').scrollIntoView({block: 'start'}); window.scrollBy(0, -330)", json!([]));
    save("drawn");
    choose_theme(&page, "dark");
    page.view("happened");
    page.driver.click("[data-session]");
    page.driver.click("[data-lane=exchanges] [data-exchange]");
    page.driver.script("window.scrollTo(0, 0)", json!([]));
    save("happened");
    page.end();

    // A plugin with mistakes.
    let plugin = copied(&root().join("tests/data/workbench/every-setting"));
    let file = plugin.path().join("endpoints/settings.yaml");
    let settings = std::fs::read_to_string(&file).unwrap();
    let settings =
        settings.replace("type: select\n", "type: selekt\n").replace("label: {en_US: Flag}", "labl: {en_US: Flag}");
    std::fs::write(&file, settings).unwrap();
    let page = tester.show(Workbench::start(&tester.runtime, plugin.path()));
    choose_theme(&page, "light");
    page.view("problems");
    page.driver.element("[data-problem]");
    let image = page.driver.image("webp");
    std::fs::write(directory.join("workbench-problems.webp"), image).unwrap();
    page.end();
}
