//! Images and files into a model and out of it, and those that a tool returns.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::calls::chat;
use crate::gemini::{Gemini, KEY, PIXEL};
use crate::page::{Page, Tester};
use crate::workbench::{conformance, root};

pub const CASES: &[crate::Case] = &[
    ("files_go_to_a_model_and_an_image_comes_back", files_go_to_a_model_and_an_image_comes_back),
    ("files_of_a_tool_are_shown_or_saved", files_of_a_tool_are_shown_or_saved),
];

const MODEL: &str = "gemini-3.1-flash-image";

/// The size of an image as it is drawn; it has none before it is decoded.
fn drawn_size(page: &Page<'_>, css: &str) {
    page.driver.until("document.querySelector(args[0]).naturalWidth === 1", json!([css]));
}

fn files_go_to_a_model_and_an_image_comes_back(tester: &Tester) {
    let gemini = Gemini::start(&tester.runtime);
    let page = tester.open(root());
    page.store_credentials("model/google", &json!({"google_api_key": KEY, "google_base_url": gemini.url}));
    page.go(&["try", "model", "google", "llm", MODEL]);
    page.driver.element(&format!("[data-view=try] [data-column='1'][data-model='{MODEL}']"));
    for (suffix, bytes) in [(".png", STANDARD.decode(PIXEL).unwrap()), (".pdf", b"%PDF-1.4 a document".to_vec())] {
        let file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        page.driver.attach("[data-view=try] .composer input[type=file][data-part=file]", file.path());
        page.driver.element(&format!("[data-view=try] .composer [data-part=attached][data-file$='{suffix}']"));
    }
    chat(&page, "Draw it", "ended");
    let sent = &gemini.seen(":streamGenerateContent")[0]["contents"][0]["parts"];
    let files: Vec<&Value> = sent.as_array().unwrap().iter().map(|part| &part["inlineData"]["mimeType"]).collect();
    assert!(files.contains(&&json!("image/png")) && files.contains(&&json!("application/pdf")), "{sent}");
    // The image of the user, and that of the model.
    drawn_size(&page, "[data-view=try] [data-turn=user] img[data-part=image]");
    drawn_size(&page, "[data-view=try] [data-turn=assistant] [data-part=answer] img[data-part=image]");
    // The answer's image goes back in the next turn.
    chat(&page, "And now?", "ended");
    page.driver.until("document.querySelectorAll('[data-turn=assistant]').length === 2", json!([]));
    let sent = gemini.seen(":streamGenerateContent").pop().unwrap()["contents"].to_string();
    assert_eq!(sent.matches(PIXEL).count(), 2, "{sent}");
    page.end();
}

fn files_of_a_tool_are_shown_or_saved(tester: &Tester) {
    let Some(example) = conformance() else { return };
    let page = tester.open_command(&root().join("tests/conformance/plugins/tools"), &example);
    page.store_credentials("tool/conformance_tools", &json!({"api_key": "good-key"}));
    page.try_provider("tool", "conformance_tools");
    page.unfold("try");
    let image =
        json!({"type": "blob", "message": {"blob": PIXEL}, "meta": {"mime_type": "image/png", "filename": "dot.png"}});
    let steps = json!([
        {"do": "forward", "message": image},
        {"do": "blob", "bytes": 300, "mime_type": "application/pdf", "filename": "report.pdf"},
        {"do": "link", "url": "https://example.com/a"},
    ]);
    page.driver.fill("[data-view=try] [data-variable=steps] textarea", &steps.to_string());
    page.driver.click("[data-view=try] [data-action=run]");
    page.driver.element("[data-view=try] [data-call][data-state=ended]");
    drawn_size(&page, "[data-view=try] [data-message=blob] img[data-part=image]");
    let shown = page.driver.text("[data-view=try] [data-call]");
    assert!(shown.contains("report.pdf (300 B)") && shown.contains("https://example.com/a"), "{shown}");
    // A file is saved, and never opened.
    let saved = "const link = [...document.querySelectorAll('[data-part=download]')].find(link => link.download === 'report.pdf');
        return link.href.startsWith('blob:') && !link.target";
    assert_eq!(page.driver.script(saved, json!([])), true);
    page.end();
}
