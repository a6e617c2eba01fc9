//! Models of each type in "Try it", against upstreams on loopback: vectors, ranks, speech in both directions, moderation, tokens,
//! schemas, structured output, and tasks that are polled.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dify_plugin_gemini::wav;
use serde_json::{Value, json};

use crate::calls::{MODEL, chat, chat_page};
use crate::compatible_upstream::Upstream;
use crate::described_plugin::{Yaml, directory, model};
use crate::gemini::{Gemini, KEY};
use crate::page::{Page, Tester};
use crate::workbench::{Workbench, root};

pub const CASES: &[crate::Case] = &[
    ("credentials_of_a_file_are_used_and_masked", credentials_of_a_file_are_used_and_masked),
    ("thinking_is_folded_when_it_ends", thinking_is_folded_when_it_ends),
    ("embeddings_are_drawn_and_tokens_counted", embeddings_are_drawn_and_tokens_counted),
    ("documents_are_ranked", documents_are_ranked),
    ("a_text_is_moderated", a_text_is_moderated),
    ("speech_plays", speech_plays),
    ("an_audio_file_is_transcribed", an_audio_file_is_transcribed),
    ("a_recording_of_the_microphone_is_transcribed", a_recording_of_the_microphone_is_transcribed),
    (
        "the_schema_of_a_customizable_model_makes_its_parameters",
        the_schema_of_a_customizable_model_makes_its_parameters,
    ),
    ("structured_output_is_drawn", structured_output_is_drawn),
    ("a_task_is_polled_until_it_ends", a_task_is_polled_until_it_ends),
    ("a_stop_ends_the_polling", a_stop_ends_the_polling),
];

/// "Try it" with a provider that has a model of each type.
pub struct Described<'t> {
    pub page: Page<'t>,
    pub upstream: Upstream,
    _plugin: tempfile::TempDir,
}

impl<'t> Described<'t> {
    pub fn open(tester: &'t Tester) -> Self {
        let described = Self::open_with(tester, &[]);
        described.page.store_credentials("model/described", &json!({"api_key": "k-0123456789"}));
        described
    }

    /// Without credentials, but for those of the command line.
    fn open_with(tester: &'t Tester, options: &[&str]) -> Self {
        let upstream = tester.runtime.block_on(Upstream::start());
        let types = ["llm", "text-embedding", "rerank", "tts", "speech2text", "moderation"];
        let rules = json!({"parameter_rules": [{"name": "temperature", "use_template": "temperature"}]});
        let audio = json!({"model_properties": {"file_upload_limit": 1, "supported_file_extensions": "mp3,wav,webm"}});
        let of_type = |model_type: &'static str| match model_type {
            "llm" => (model_type, model(model_type, "m-llm", rules.clone())),
            "speech2text" => (model_type, model(model_type, "m-speech2text", audio.clone())),
            _ => (model_type, model(model_type, &format!("m-{model_type}"), json!({}))),
        };
        let mut models: Vec<(&str, Value)> = types.into_iter().map(of_type).collect();
        models.push(("llm", model("llm", "m-other", rules.clone())));
        let facts = json!({"base_url": format!("{}/v1", upstream.url)});
        let plugin = directory(&Yaml { types: &types, facts, models, ..Yaml::default() });
        let page = tester.show(Workbench::start_with(&tester.runtime, plugin.path(), options, &[]));
        Self { page, upstream, _plugin: plugin }
    }

    /// Chooses the model of a type.
    pub fn choose(&self, model_type: &str) {
        self.page.go(&["try", "model", "described", model_type, &format!("m-{model_type}")]);
        self.page.driver.element(&format!("[data-view=try] [data-column='1'][data-model='m-{model_type}']"));
    }

    /// Runs, and waits for the end.
    fn run(&self) {
        self.page.driver.click("[data-view=try] [data-action=run]");
        self.page.driver.element("[data-view=try] [data-call][data-state=ended]");
    }

    /// What was sent to a path.
    fn sent(&self, path: &str) -> Vec<Value> {
        let seen = self.upstream.take().into_iter().filter(|seen| seen.target.ends_with(path));
        seen.map(|seen| seen.body).collect()
    }
}

/// The cells of a table's rows.
fn rows(page: &Page<'_>) -> Value {
    let read = "return [...document.querySelectorAll('[data-view=try] [data-part=answer] tbody tr')]
        .map(row => [...row.cells].map(cell => cell.innerText.trim()))";
    page.driver.script(read, json!([]))
}

fn credentials_of_a_file_are_used_and_masked(tester: &Tester) {
    const SECRET: &str = "the-key-of-the-file-0123456789";
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), json!({"api_key": SECRET}).to_string()).unwrap();
    let options = ["--credentials", file.path().to_str().unwrap(), "--provider", "described"];
    let described = Described::open_with(tester, &options);
    let page = &described.page;
    described.choose("moderation");
    page.unfold("try");
    let field =
        "return document.querySelector('[data-view=try] [data-form=credentials] [data-variable=api_key] input').value";
    assert_eq!(page.driver.script(field, json!([])), "the-ke************89");
    described.run();
    let seen = described.upstream.take();
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {SECRET}"));
    page.view("happened");
    page.driver.click("[data-session]");
    page.driver.element("[data-lane=exchanges] [data-exchange]");
    let whole = page.driver.script("return document.documentElement.outerHTML", json!([]));
    assert!(!whole.as_str().unwrap().contains(SECRET), "the key is on the page");
    described.page.end();
}

fn thinking_is_folded_when_it_ends(tester: &Tester) {
    let (page, _upstream) = chat_page(tester);
    page.driver.fill("[data-view=try] [data-part=prompt]", "Which rivers?");
    page.driver.click("[data-view=try] [data-action=run]");
    // Open only while the model thinks, so that there may be no time to find it again.
    page.driver.until("document.querySelector('details[data-part=thinking][data-state=running][open]')", json!([]));
    page.driver.element("[data-view=try] [data-call][data-state=ended]");
    page.driver.element("[data-view=try] details[data-part=thinking][data-state=ended]:not([open])");
    let shown = page.driver.text("[data-view=try] [data-turn=assistant] [data-part=answer]");
    assert!(shown.starts_with("Thought(") && shown.contains("Two cities, two rivers"), "{shown}");
    assert!(!shown.contains("The user asks") && !shown.contains("think>"), "{shown}");
    page.end();
}

fn embeddings_are_drawn_and_tokens_counted(tester: &Tester) {
    let described = Described::open(tester);
    let page = &described.page;
    described.choose("text-embedding");
    page.driver.fill("[data-view=try] [data-part=prompt]", "one\nthree");
    described.run();
    let found = rows(page);
    let texts: Vec<&Value> = found.as_array().unwrap().iter().map(|row| &row[0]).collect();
    assert_eq!(texts, [&json!("one"), &json!("three")], "{found}");
    // The upstream's vectors are [3, 1] and [5, 1].
    assert_eq!(
        (&found[0][1], &found[0][2], &found[1][2]),
        (&json!("2"), &json!("1.0000"), &json!("0.9923")),
        "{found}"
    );
    assert_eq!(
        page.driver.script("return document.querySelectorAll('[data-part=answer] svg.bars').length", json!([])),
        2
    );
    assert_eq!(described.sent("/embeddings")[0]["input"], json!(["one", "three"]));
    page.driver.click("[data-view=try] [data-action=count-tokens]");
    let count = page.driver.text("[data-view=try] [data-part=token-count]");
    let numbers: Value = serde_json::from_str(count.trim_end_matches(" tokens")).unwrap();
    assert!(numbers.as_array().unwrap().iter().all(|number| number.as_u64().unwrap() > 0), "{count}");
    described.page.end();
}

fn documents_are_ranked(tester: &Tester) {
    let described = Described::open(tester);
    let page = &described.page;
    described.choose("rerank");
    page.driver.fill("[data-view=try] [data-part=prompt]", "Which?");
    page.driver.fill("[data-view=try] [data-part=documents]", "first\nsecond");
    described.run();
    assert_eq!(rows(page), json!([["0.9000", "1", "first"], ["0.8000", "2", "second"]]));
    let sent = described.sent("/rerank");
    assert_eq!((&sent[0]["query"], &sent[0]["documents"]), (&json!("Which?"), &json!(["first", "second"])));
    described.page.end();
}

fn a_text_is_moderated(tester: &Tester) {
    let described = Described::open(tester);
    let page = &described.page;
    described.choose("moderation");
    for (text, verdict) in [("fine", "Safe."), ("bad", "Unsafe")] {
        page.driver.fill("[data-view=try] [data-part=prompt]", text);
        page.driver.click("[data-view=try] [data-action=run]");
        let shown = "document.querySelector('[data-view=try] [data-call][data-state=ended] [data-part=answer]').innerText.startsWith(args[0])";
        page.driver.until(shown, json!([verdict]));
    }
    described.page.end();
}

/// A player, once it has played to its end: its duration.
fn played(page: &Page<'_>, css: &str) -> f64 {
    page.driver.element(css);
    let play = "const audio = document.querySelector(arguments[0]);
        audio.muted = true;
        audio.onended = () => done(audio.duration);
        audio.onerror = () => done(`error ${audio.error?.code}`);
        audio.play().catch(error => done(String(error)));
        setTimeout(() => done('it does not end'), 20000);";
    let found = page.driver.script_later(play, json!([css]));
    found.as_f64().unwrap_or_else(|| panic!("the audio does not play: {found}"))
}

fn speech_plays(tester: &Tester) {
    let described = Described::open(tester);
    let page = &described.page;
    described.choose("tts");
    described.upstream.script(200, json!({"audio": {"data": STANDARD.encode(wav::silence())}}));
    page.select("[data-view=try] [data-action=voice]", "a");
    page.driver.fill("[data-view=try] [data-part=prompt]", "Hello");
    described.run();
    let duration = played(page, "[data-view=try] [data-part=audio][data-container=WAV] audio");
    assert!((0.9..1.1).contains(&duration), "{duration} s");
    // Dify's client plays MP3 only.
    page.driver.element("[data-view=try] [data-part=audio-warning]");
    let sent = described.sent("/audio/speech");
    assert_eq!((&sent[0]["input"], &sent[0]["voice"]), (&json!("Hello"), &json!("a")));
    page.driver.click("[data-view=try] [data-action=voices]");
    page.driver.until(
        "[...document.querySelector('[data-action=voice]').options].map(one => one.value).sort().join() === 'a,b'",
        json!([]),
    );
    described.page.end();
}

fn an_audio_file_is_transcribed(tester: &Tester) {
    let described = Described::open(tester);
    let page = &described.page;
    described.choose("speech2text");
    let file = tempfile::Builder::new().suffix(".wav").tempfile().unwrap();
    std::fs::write(file.path(), wav::silence()).unwrap();
    page.driver.attach("[data-view=try] input[type=file][data-part=file]", file.path());
    described.run();
    // A page may play after the first click.
    let duration = played(page, "[data-view=try] [data-part=recorded][data-container=WAV] audio");
    assert!((0.9..1.1).contains(&duration), "{duration} s");
    assert_eq!(page.driver.text("[data-view=try] [data-part=answer]").trim(), "Hello");
    // The form's file counts its bytes as text.
    assert!(described.sent("/audio/transcriptions")[0]["file"].as_u64().unwrap() >= 32_000);
    described.page.end();
}

/// The browser's microphone is a device that beeps.
fn a_recording_of_the_microphone_is_transcribed(tester: &Tester) {
    let described = Described::open(tester);
    let page = &described.page;
    described.choose("speech2text");
    page.driver.click("[data-view=try] [data-action=record]");
    page.driver.element("[data-view=try] [data-action=end-recording][data-state=recording]");
    std::thread::sleep(Duration::from_millis(700));
    page.driver.click("[data-view=try] [data-action=end-recording]");
    page.driver.element("[data-view=try] [data-part=recorded][data-container=WebM] audio");
    described.run();
    assert_eq!(page.driver.text("[data-view=try] [data-part=answer]").trim(), "Hello");
    let bytes = described.sent("/audio/transcriptions")[0]["file"].as_u64().unwrap();
    assert!(bytes > 500, "{bytes} bytes");
    // The microphone is free again.
    page.driver.element("[data-view=try] [data-action=record]");
    described.page.end();
}

fn the_schema_of_a_customizable_model_makes_its_parameters(tester: &Tester) {
    let (page, upstream) = chat_page(tester);
    page.unfold("try");
    assert!(!page.driver.has("[data-view=try] [data-form=parameters]"));
    page.driver.click("[data-view=try] [data-action=schema]");
    page.driver.element("[data-view=try] div[data-part=schema][data-state=ended]");
    let switch = "[data-view=try] [data-form=parameters] [data-variable=temperature] [data-part=switch]";
    page.driver.click(switch);
    page.driver.fill("[data-view=try] [data-form=parameters] [data-variable=temperature] input[type=number]", "0.5");
    chat(&page, "hello", "ended");
    assert_eq!(upstream.bodies()[0]["temperature"], 0.5, "{MODEL}");
    page.driver.click("[data-view=try] [data-action=count-tokens]");
    let count = page.driver.text("[data-view=try] [data-part=token-count]");
    assert!(count.trim_end_matches(" tokens").parse::<u64>().is_ok_and(|count| count > 0), "{count}");
    page.end();
}

fn structured_output_is_drawn(tester: &Tester) {
    let (page, upstream) = chat_page(tester);
    page.unfold("try");
    let schema =
        json!({"type": "object", "properties": {"year_of_birth": {"type": "integer"}}, "required": ["year_of_birth"]});
    page.driver.fill("[data-view=try] textarea[data-part=schema]", &schema.to_string());
    chat(&page, "structured", "ended");
    let shown = page.driver.text("[data-view=try] [data-part=structured][data-state=ready]");
    assert!(shown.contains("year_of_birth") && shown.contains("1984"), "{shown}");
    let sent = upstream.bodies().last().unwrap().to_string();
    assert!(sent.contains("year_of_birth"), "the schema was not sent: {sent}");
    // An answer that is not an object is marked.
    chat(&page, "hello", "ended");
    page.driver.element("[data-view=try] [data-part=structured][data-state=error]");
    page.end();
}

const AGENT: &str = "deep-research-preview-04-2026";

/// "Try it" with a model that is polled, as its declaration says.
fn agent_page(tester: &Tester) -> (Page<'_>, Gemini) {
    let gemini = Gemini::start(&tester.runtime);
    let page = tester.open(root());
    let credentials = json!({"google_api_key": KEY, "google_base_url": gemini.url});
    page.store_credentials("model/gemini-agents", &credentials);
    page.go(&["try", "model", "gemini-agents", "llm", AGENT]);
    page.driver
        .element(&format!("[data-view=try] [data-column='1'][data-model='{AGENT}'] [data-action=polling]:checked"));
    chat(&page, "Why is the sky blue?", "running");
    page.driver.element("[data-view=try] [data-part=polling][data-state=waiting][data-checks='0']");
    (page, gemini)
}

fn a_task_is_polled_until_it_ends(tester: &Tester) {
    let (page, gemini) = agent_page(tester);
    let started = &gemini.seen("/interactions")[0];
    assert_eq!((&started["agent"], &started["input"]), (&json!(AGENT), &json!("Why is the sky blue?")));
    page.driver.click("[data-view=try] [data-action=check-now]");
    page.driver.element("[data-view=try] [data-part=polling][data-state=waiting][data-checks='1']");
    page.driver.click("[data-view=try] [data-action=check-now]");
    page.driver.element("[data-view=try] [data-call][data-state=ended]");
    let answer = "[data-view=try] [data-turn=assistant] [data-part=answer]";
    assert!(page.driver.text(answer).contains("It scatters light."));
    page.driver.element(&format!("{answer} img[data-part=image]"));
    assert!(page.driver.text("[data-view=try]").contains("20 + 7 tokens"));
    // Each check is a session of its own.
    page.view("happened");
    let actions = "[...document.querySelectorAll('[data-session]')].map(row => row.querySelector('strong').innerText).sort().join()";
    page.driver.until(&format!("{actions} === args[0]"), json!(["check_polling,check_polling,start_polling"]));
    page.end();
}

fn a_stop_ends_the_polling(tester: &Tester) {
    let (page, gemini) = agent_page(tester);
    page.driver.click("[data-view=try] [data-action=stop]");
    page.driver.element("[data-view=try] [data-call][data-state=cancelled]");
    assert!(!page.driver.has("[data-view=try] [data-part=polling]"));
    assert_eq!(gemini.seen("/interactions").len(), 1, "checked after the stop");
    page.end();
}
