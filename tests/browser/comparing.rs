//! Two columns of a chat, side by side: two models, and one model with two sets of parameters.

use serde_json::{Value, json};

use crate::calls::chat;
use crate::models::Described;
use crate::page::{Page, Tester};

pub const CASES: &[crate::Case] = &[
    ("two_models_are_compared", two_models_are_compared),
    ("two_sets_of_parameters_are_compared", two_sets_of_parameters_are_compared),
];

/// A chat with two columns of one model.
fn two_columns(tester: &Tester) -> Described<'_> {
    let described = Described::open(tester);
    described.choose("llm");
    described.page.driver.click("[data-view=try] [data-action=compare]");
    described.page.driver.element("[data-view=try] [data-column='2'][data-model='m-llm']");
    described
}

/// Asks both, and waits until both have answered. Returns what was sent, by the order of the columns' models.
fn asked(described: &Described<'_>) -> Vec<Value> {
    let page: &Page<'_> = &described.page;
    chat(page, "Hi", "ended");
    page.driver.until(
        "document.querySelectorAll('[data-column][data-state=ended] [data-turn=assistant]').length === 2",
        json!([]),
    );
    page.driver.element("[data-view=try] [data-part=comparison] [data-metric=duration]");
    let mut bodies: Vec<Value> = described.upstream.take().into_iter().map(|seen| seen.body).collect();
    bodies.sort_by_key(|body| (body["model"].to_string(), body["temperature"].to_string()));
    bodies
}

fn two_models_are_compared(tester: &Tester) {
    let described = two_columns(tester);
    let other = json!(["described", "m-other"]).to_string();
    described.page.select("[data-view=try] [data-column='2'] [data-action=model]", &other);
    described.page.driver.element("[data-view=try] [data-column='2'][data-model='m-other']");
    let bodies = asked(&described);
    let models: Vec<&Value> = bodies.iter().map(|body| &body["model"]).collect();
    assert_eq!(models, [&json!("m-llm"), &json!("m-other")]);
    let titles = described.page.driver.text("[data-view=try] [data-part=comparison]");
    assert!(titles.contains("m-llm") && titles.contains("m-other"), "{titles}");
    let tokens = described.page.driver.text("[data-view=try] [data-part=comparison] [data-metric=tokens]");
    assert_eq!(tokens.split_whitespace().collect::<Vec<_>>(), ["Completion", "tokens", "2", "2"]);
    described.page.driver.click("[data-view=try] [data-action=remove-column]");
    described.page.driver.until("!document.querySelector('[data-column=\"2\"], [data-part=comparison]')", json!([]));
    described.page.end();
}

fn two_sets_of_parameters_are_compared(tester: &Tester) {
    let described = two_columns(tester);
    described.page.unfold("try");
    let field = "[data-view=try] [data-column='2'] [data-form=parameters] [data-variable=temperature]";
    described.page.driver.click(&format!("{field} [data-part=switch]"));
    described.page.driver.fill(&format!("{field} input[type=number]"), "0.9");
    let bodies = asked(&described);
    let sets: Vec<Option<f64>> = bodies.iter().map(|body| body["temperature"].as_f64()).collect();
    assert_eq!(sets, [Some(0.9), None], "{bodies:?}");
    described.page.end();
}
