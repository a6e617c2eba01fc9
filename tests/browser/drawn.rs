//! What the page draws, form by form, against the tables of what Dify draws (`tests/data/workbench/drawn`, made by
//! `tests/browser/drawn.py` from the YAML alone).

use serde_json::{Map, Value, json};

use crate::page::{Page, Tester};
use crate::workbench::root;

pub const CASES: &[crate::Case] = &[
    ("draws_the_providers_of_the_repository", |tester| compare(tester, "models")),
    ("draws_every_type_of_a_model_provider", |tester| compare(tester, "every-model-field")),
    ("draws_every_type_of_tools_and_endpoints", |tester| compare(tester, "every-setting")),
    ("draws_tools", |tester| compare(tester, "gemini-tools")),
    ("draws_tools_with_an_endpoint", |tester| compare(tester, "conformance-tools")),
    ("draws_endpoints", |tester| compare(tester, "openai-endpoint")),
    ("draws_agent_strategies", |tester| compare(tester, "agent")),
    ("draws_an_agent_strategy_of_another_plugin", |tester| compare(tester, "conformance-agent")),
    ("draws_a_website_crawl", |tester| compare(tester, "conformance-crawl")),
    ("draws_online_documents", |tester| compare(tester, "conformance-documents")),
    ("draws_an_online_drive", |tester| compare(tester, "conformance-drive")),
    ("draws_a_trigger", |tester| compare(tester, "conformance-trigger")),
    ("marks_what_dify_shows_otherwise", marks_what_dify_shows_otherwise),
];

const READ_FORM: &str = include_str!("read_form.js");

/// Where a form is, and how its rows are compared.
struct Place<'p> {
    /// For messages.
    title: String,
    css: String,
    form: &'p str,
    /// Agent strategies have labels in upper case.
    any_case: bool,
}

fn compare(tester: &Tester, name: &str) {
    let file = root().join("tests/data/workbench/drawn").join(format!("{name}.json"));
    let table: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let page = tester.open(&root().join(table["directory"].as_str().unwrap()));
    let mut differences = Vec::new();
    page.go(&["drawn", "card"]);
    let card = page.driver.text("main[data-view=drawn] [data-section=card]");
    for shown in [&table["label"]["en_US"], &table["name"], &table["organization"], &table["description"]["en_US"]] {
        let shown = shown.as_str().unwrap();
        if !card.contains(shown) {
            differences.push(format!("card: no `{shown}` in `{card}`"));
        }
    }
    for language in ["en_US", "zh_Hans"] {
        if language != "en_US" {
            if !page.driver.has("[data-action=language]") {
                continue;
            }
            page.select("[data-action=language]", language);
        }
        for provider in table["providers"].as_array().unwrap() {
            provider_of(&page, provider, language, &mut differences);
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    page.end();
}

fn text<'v>(value: &'v Value, language: &str) -> &'v str {
    value[language].as_str().or(value.as_str()).unwrap_or_default()
}

fn provider_of(page: &Page<'_>, provider: &Value, language: &str, differences: &mut Vec<String>) {
    let kind = provider["kind"].as_str().unwrap();
    let name = provider["name"].as_str().unwrap_or("endpoint");
    let css = format!("[data-provider='{name}'][data-kind='{kind}']");
    page.open_provider(kind, name);
    page.driver.element(&css);
    let any_case = kind == "agent-strategy";
    for (form, table) in provider["forms"].as_object().unwrap() {
        let place = Place { title: format!("{name} {form} {language}"), css: css.clone(), form, any_case };
        form_of(page, &place, table, language, differences);
    }
    for part in provider["parts"].as_array().into_iter().flatten() {
        let part_name = part["name"].as_str().unwrap();
        let css = page.open_part(kind, name, part_name);
        for (form, table) in part["forms"].as_object().unwrap() {
            // A tool is drawn in three places, each behind a tab.
            let (tab, form) = form.split_once(':').unwrap_or(("node", form));
            if kind == "tool" {
                page.driver.click(&format!("{css} [data-tab={tab}]"));
            }
            // Agents, datasources and events have one form, whatever it is called.
            let found = if form == "any" {
                let first = "const form = document.querySelector(arguments[0] + ' [data-form]'); return form && form.dataset.form";
                page.driver.element(&format!("{css} [data-form]"));
                page.driver.script(first, json!([css])).as_str().unwrap().to_owned()
            } else {
                form.to_owned()
            };
            let place = Place {
                title: format!("{name} {part_name} {tab} {form} {language}"),
                css: css.clone(),
                form: &found,
                any_case,
            };
            form_of(page, &place, table, language, differences);
        }
    }
    if kind == "model" {
        models_of(page, &css, provider, language, differences);
    }
    if kind == "endpoint" && language == "en_US" {
        let shown = page.driver.text(&css);
        for route in provider["routes"].as_array().unwrap() {
            let (method, path) = (route[0].as_str().unwrap(), route[1].as_str().unwrap());
            if !shown.contains(path) || !shown.contains(method) {
                differences.push(format!("endpoint: no {method} {path}"));
            }
        }
    }
}

/// The list of models with its badges, and every parameter panel.
fn models_of(page: &Page<'_>, css: &str, provider: &Value, language: &str, differences: &mut Vec<String>) {
    let name = provider["name"].as_str().unwrap();
    let expected = provider["models"].as_array().unwrap();
    if expected.is_empty() {
        return;
    }
    page.driver.element(&format!("{css} [data-row=model]"));
    let read = "return [...document.querySelectorAll(arguments[0] + ' [data-row=model]')].map(row => ({
        name: row.dataset.model,
        type: row.dataset.type,
        label: row.querySelector('[data-part=label]')?.textContent.trim() ?? row.innerText,
        badges: [...row.querySelectorAll('[data-badge]')].map(badge => badge.textContent.trim().toLowerCase()),
        deprecated: row.dataset.state === 'deprecated',
    }))";
    let found = page.driver.script(read, json!([css]));
    let found = found.as_array().unwrap();
    let names = |rows: &[Value]| rows.iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
    if found.len() != expected.len() {
        differences.push(format!("{name}: models {:?} instead of {:?}", names(found), names(expected)));
        return;
    }
    // Dify's order is that of types, then of positions; models without a position may come in any order.
    for (place, row) in expected.iter().enumerate() {
        let Some(at) = found.iter().position(|found| found["name"] == row["name"] && found["type"] == row["type"])
        else {
            differences.push(format!("{name}: no model {}", row["name"]));
            continue;
        };
        if row["placed"] == true && at != place {
            differences.push(format!("{name}: model {} is at {at}, not at {place}", row["name"]));
        }
        let found = &found[at];
        let badges: Vec<String> =
            row["badges"].as_array().unwrap().iter().map(|badge| badge.as_str().unwrap().to_lowercase()).collect();
        if found["badges"] != json!(badges) {
            differences.push(format!("{name} {}: badges {} instead of {badges:?}", row["name"], found["badges"]));
        }
        if found["label"] != text(&row["label"], language) {
            differences.push(format!(
                "{name} {}: label {} instead of {}",
                row["name"],
                found["label"],
                text(&row["label"], language)
            ));
        }
        if (found["deprecated"] == true) != (row["deprecated"] == true) {
            differences.push(format!("{name} {}: deprecated {}", row["name"], found["deprecated"]));
        }
        let Some(parameters) = row["parameters"].as_array() else { continue };
        let model = row["name"].as_str().unwrap();
        let css = page.open_model(name, row["type"].as_str().unwrap(), model);
        let rows: Vec<Value> =
            parameters.iter().map(|index| provider["parameters"][index.as_u64().unwrap() as usize].clone()).collect();
        let drawn: Vec<Value> = rows.iter().map(|row| row["variable"].clone()).collect();
        let table = json!({"rows": rows, "situations": [{"chosen": {}, "drawn": drawn}]});
        let place = Place { title: format!("{name} {model} {language}"), css, form: "parameters", any_case: false };
        form_of(page, &place, &table, language, differences);
    }
}

/// One form, in each situation that its conditions know.
fn form_of(page: &Page<'_>, place: &Place<'_>, table: &Value, language: &str, differences: &mut Vec<String>) {
    let situations = table["situations"].as_array().unwrap();
    // The values chosen in the first language are kept, so the others see the last situation only.
    let seen = if language == "en_US" { situations.as_slice() } else { &situations[situations.len() - 1..] };
    for (index, situation) in seen.iter().enumerate() {
        let arguments = json!([place.css, place.form, situation["chosen"], situation["drawn"]]);
        let found = page.driver.script_later(READ_FORM, arguments);
        let title = format!("{} {}", place.title, situation["chosen"]);
        let Some(found) = found.as_array() else {
            differences.push(format!("{title}: {found}"));
            continue;
        };
        let variables: Vec<&Value> = found.iter().map(|row| &row["variable"]).collect();
        if json!(variables) != situation["drawn"] {
            differences.push(format!("{title}: drawn {} instead of {}", json!(variables), situation["drawn"]));
            continue;
        }
        for found in found {
            let expected =
                table["rows"].as_array().unwrap().iter().find(|row| row["variable"] == found["variable"]).unwrap();
            let opened = index == 0 && language == "en_US";
            let initial = if opened { table.get("initial").and_then(Value::as_object) } else { None };
            row_of(&title, expected, found, language, place.any_case, initial, differences);
        }
    }
}

#[allow(clippy::too_many_arguments)]
fn row_of(
    title: &str,
    expected: &Value,
    found: &Value,
    language: &str,
    any_case: bool,
    initial: Option<&Map<String, Value>>,
    differences: &mut Vec<String>,
) {
    let variable = expected["variable"].as_str().unwrap();
    let mut differ = |what: &str, expected: &str, found: &str| {
        if expected != found {
            differences.push(format!("{title} `{variable}`: {what} `{found}` instead of `{expected}`"));
        }
    };
    let member = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    if expected["invisible"] == true || found["invisible"] == true {
        differ("invisible", &expected["invisible"].to_string(), &found["invisible"].to_string());
        return;
    }
    let control = expected["control"].as_str().unwrap();
    differ("control", control, &member("control"));
    let (label, drawn) = (text(&expected["label"], language), member("label"));
    if !(any_case && label.to_lowercase() == drawn.to_lowercase())
        && expected.get("label").is_some_and(|label| !label.is_null())
    {
        differ("label", label, &drawn);
    }
    if let Some(star) = expected.get("star") {
        differ("star", &star.to_string(), &found["star"].to_string());
    }
    if let Some(switch) = expected.get("switch") {
        differ("switch", &switch.to_string(), &found["switch"].to_string());
    }
    let empty = found["value"].as_str().is_none_or(str::is_empty);
    if let Some(placeholder) = expected.get("placeholder")
        && (empty || found["control"] != "select")
    {
        differ("placeholder", text(placeholder, language), &member("placeholder"));
    }
    if control == "password" {
        differ("masked", "true", &found["password"].to_string());
    }
    // The help of a template is worded by the code that fills it in.
    if control != "none"
        && expected.get("any_help").is_none()
        && expected.get("control").is_some()
        && expected.get("label").is_some()
    {
        differ("help", expected.get("help").map_or("", |help| text(help, language)), &member("help"));
    }
    if let Some(options) = expected["options"].as_array() {
        let expected: Vec<Value> =
            options.iter().map(|option| json!([option[0], text(&option[1], language)])).collect();
        differ("options", &json!(expected).to_string(), &found["options"].to_string());
    }
    for bound in ["min", "max", "step"] {
        if let (Some(expected), Some(found)) = (expected[bound].as_f64(), found[bound].as_f64()) {
            differ(bound, &expected.to_string(), &found.to_string());
        }
    }
    if let Some(initial) = initial {
        differ("first value", initial.get(variable).map_or("", |value| value.as_str().unwrap()), &member("value"));
    }
    if control == "slider"
        && let (Some(expected), Ok(found)) = (expected["initial"].as_f64(), member("value").parse::<f64>())
    {
        differ("first value", &expected.to_string(), &found.to_string());
    }
}

/// The notes of a page: field and code, each with its file and, where it is known, its line. Texts without a language, which are in
/// most fields of these files, are compared in the library's tests.
fn marks_what_dify_shows_otherwise(tester: &Tester) {
    let file = root().join("tests/data/workbench/notes.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let page = tester.open(&root().join(case["directory"].as_str().unwrap()));
        for place in case["places"].as_array().unwrap() {
            let address = place["address"].as_str().unwrap();
            let parts: Vec<&str> = address.split('/').collect();
            page.go(&parts);
            let css = format!("main[data-view=drawn] [data-kind='{}'][data-provider='{}']", parts[1], parts[2]);
            page.driver.element(&css);
            if let Some(open) = parts.get(4) {
                page.driver.element(&format!("{css} [data-part-name='{open}'], {css} .details[data-model='{open}']"));
            }
            page.driver.script_later(READ_FORM, json!([css, "credentials", place["chosen"], null]));
            let read = "return [...document.querySelectorAll('main[data-view=drawn] [data-provider] [data-code]:not([data-code=W020])')].map(note => {
                const field = note.closest('[data-variable], [data-invisible]');
                return [field?.dataset.variable ?? field?.dataset.invisible ?? '', note.dataset.code, /\\.yaml:\\d+/.test(note.innerText)];
            }).sort().map(([field, code, line]) => `${field} ${code}${line ? '' : ' without a line'}`)";
            let found = page.driver.script(read, json!([]));
            assert_eq!(found, place["notes"], "{address} of {}", case["directory"]);
        }
        page.end();
    }
}
