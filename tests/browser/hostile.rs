//! Answers of a hostile or careless model: markup, links and images in Markdown, and 50 MB. All of it is text on the page.

use std::time::Duration;

use serde_json::json;

use crate::calls::{chat, chat_page};
use crate::page::Tester;

pub const CASES: &[crate::Case] = &[
    ("hostile_answers_are_text", hostile_answers_are_text),
    ("an_answer_of_50_megabytes_leaves_the_page_usable", an_answer_of_50_megabytes_leaves_the_page_usable),
];

fn hostile_answers_are_text(tester: &Tester) {
    let (page, _upstream) = chat_page(tester);
    chat(&page, "hostile", "ended");
    page.driver
        .until("document.querySelector('[data-part=answer]').innerText.includes('end of hostile text')", json!([]));
    let found = page.driver.script(
        "const answer = document.querySelector('[data-part=answer]');
         const all = [...answer.querySelectorAll('*')];
         return {
           hurt: window.hurt ?? null,
           elements: [...new Set(all.map(element => element.localName))],
           handlers: all.flatMap(element => [...element.attributes]).filter(attribute => attribute.name.startsWith('on')).map(attribute => attribute.name),
           links: [...answer.querySelectorAll('a')].map(link => [link.getAttribute('href'), link.rel, link.target]),
           images: [...answer.querySelectorAll('img,video,audio,source,object,embed,svg image')].map(image => image.outerHTML),
           text: answer.innerText,
         }",
        json!([]),
    );
    assert_eq!(found["hurt"], json!(null));
    let forbidden = ["script", "iframe", "object", "embed", "style", "link", "form", "base", "meta"];
    for element in found["elements"].as_array().unwrap() {
        assert!(!forbidden.contains(&element.as_str().unwrap()), "{element} in the answer");
    }
    assert_eq!(found["handlers"], json!([]));
    assert_eq!(found["images"], json!([]), "images of answers are not loaded");
    for link in found["links"].as_array().unwrap() {
        let (address, rel) = (link[0].as_str().unwrap_or_default(), link[1].as_str().unwrap_or_default());
        assert!(address.starts_with("https://") || address.starts_with("http://"), "a link to {address}");
        assert!(rel.contains("noopener") && rel.contains("noreferrer"), "{link}");
    }
    let text = found["text"].as_str().unwrap();
    for shown in ["<script>window.hurt", "onerror=", "<svg onload", "<iframe srcdoc", "<b onclick"] {
        assert!(text.contains(shown), "not shown as text: {shown}\n{text}");
    }
    // What happened shows the same text, escaped as well.
    page.view("happened");
    page.driver.click("[data-session]");
    page.driver.element("[data-lane=frames] [data-frame]");
    assert_eq!(page.driver.script("return window.hurt ?? null", json!([])), json!(null));
    page.end();
}

fn an_answer_of_50_megabytes_leaves_the_page_usable(tester: &Tester) {
    let (page, _upstream) = chat_page(tester);
    // A development build looks for secrets at half a megabyte a second, so that only CI sends all of it.
    let required = std::env::var_os("DIFY_BROWSER_TESTS").is_some_and(|value| value == "required");
    let megabytes = if required { 50 } else { 8 };
    chat(&page, &format!("huge {}", megabytes * 1024 * 1024), "running");
    let ended = "document.querySelector('[data-view=try] [data-call][data-state=ended]')";
    page.driver.until_within(Duration::from_secs(600), ended, json!([]));
    // It answers clicks and keys within a second or two: the page is not drawing 50 MB.
    let waited = page.driver.script_later(
        "const start = performance.now(); requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)))",
        json!([]),
    );
    assert!(waited.as_f64().unwrap() < 3_000.0, "two frames took {waited} ms");
    let shown = page.driver.script("return document.body.innerText.length", json!([]));
    assert!(shown.as_u64().unwrap() < 3_000_000, "{shown} characters are drawn");
    assert!(page.driver.script("return document.querySelectorAll('b').length", json!([])).as_u64().unwrap() < 20);
    page.view("happened");
    page.view("try");
    page.end();
}
