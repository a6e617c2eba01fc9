//! The plugins that others publish, served from their facts: the requests that their own code sends to the upstream and the
//! answers that it gives to Dify were recorded, and ours are compared with them. What differs on purpose is listed in
//! `support/intended_*.rs`; every other difference fails, and so does an entry of the list that no longer occurs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use crate::support::{harness, intended, normal_form, replayed, vectors};
use dify_plugin::declare;
use dify_plugin::runtime::described;
use dify_plugin_runtime::providers::described::OpenAi;
use harness::{Outcome, Plugin};
use intended::{Compared, intended};
use normal_form::{Difference, differences};
use replayed::Replayed;
use serde_json::{Value, json};
use vectors::Vector;

#[derive(Default)]
struct Report {
    cases: usize,
    left_out: usize,
    equal: usize,
    failures: Vec<String>,
    occurred: BTreeSet<&'static str>,
}

async fn compare(vector: Vector) -> Option<Report> {
    let upstream = Replayed::start().await;
    let (plugin, left_out) = plugin(&vector, &upstream)?;
    let (mut report, mut stored) = (Report::default(), HashMap::new());
    for case in vector.cases() {
        if left_out.iter().any(|name| case["model"] == *name) {
            report.left_out += 1;
            continue;
        }
        upstream.script(vector.answers(case));
        let recorded = vector.credentials(case);
        let validates = case["action"].as_str().is_some_and(|action| action.starts_with("validate"));
        let credentials = stored.get(&recorded.to_string()).filter(|_| !validates).unwrap_or(recorded);
        let outcome = plugin.call(vector.request(case, credentials, &upstream.url)).await;
        if let Some(changed) = outcome.items.first().and_then(|item| item["credentials"].as_object()) {
            // Dify stores what a validation changes.
            let mut all = recorded.clone();
            all.as_object_mut().unwrap().extend(changed.clone());
            stored.insert(recorded.to_string(), all);
        }
        report.cases += 1;
        let ours = upstream.moved_back(&answer(case, outcome));
        let mut found = Vec::new();
        let requests = case["requests"].as_array().unwrap();
        let (requests, sent) = (normal_form::requests(case, requests), normal_form::requests(case, &upstream.seen()));
        differences("requests", &requests, &sent, &mut found);
        normal_form::answers(&case["answer"], &ours, &mut found);
        let compared = Compared { plugin: &vector.plugin, case, sent: &sent, answer: &ours };
        if found.is_empty() {
            report.equal += 1;
        }
        for difference in found {
            match intended(&compared, &difference) {
                Some(name) => drop(report.occurred.insert(name)),
                None => report.failures.push(shown(&vector.plugin, case, &difference)),
            }
        }
    }
    Some(report)
}

fn plugin(vector: &Vector, upstream: &Replayed) -> Option<(Plugin, Vec<String>)> {
    let directory = vector.directory(&vector.facts()?, &upstream.url);
    let declarations =
        declare::load(directory.path()).unwrap_or_else(|problems| panic!("{}: {problems}", vector.plugin));
    let described = described::providers(&declarations, &[], &[&OpenAi]);
    let provider = described.providers.into_iter().next();
    let provider = provider.unwrap_or_else(|| panic!("{}: {}", vector.plugin, described.problems));
    let left_out = provider.left_out.into_iter().filter_map(|part| part.model).collect();
    let loaded = declarations.providers.into_iter().next().unwrap();
    Some((Plugin::of(vec![(loaded.declaration, loaded.models, provider.provider)]), left_out))
}

/// What Dify got, in the form of the recordings.
fn answer(case: &Value, outcome: Outcome) -> Value {
    if let Some(error) = &outcome.error {
        return json!({"error": error["error_type"], "message": error["message"]});
    }
    let first = outcome.items.first().cloned().unwrap_or_default();
    match case["action"].as_str().unwrap() {
        "invoke_llm" => {
            let calls = outcome.tool_calls();
            let mut answer = json!({"text": outcome.text()});
            if !calls.is_empty() {
                let call = |call: &Value| json!({"id": call["id"], "name": call["function"]["name"], "arguments": call["function"]["arguments"]});
                answer["calls"] = calls.iter().map(call).collect();
            }
            if let Some(reason) = outcome.finish_reason() {
                answer["finish_reason"] = json!(reason);
            }
            let usage = outcome.usage();
            answer["usage"] = json!([usage["prompt_tokens"], usage["completion_tokens"]]);
            answer["price"] = json!([usage["total_price"], usage["currency"]]);
            answer
        }
        "invoke_tts" => {
            let audio = outcome.items.iter().flat_map(|item| hex::decode(item["result"].as_str().unwrap()).unwrap());
            json!({"audio": String::from_utf8_lossy(&audio.collect::<Vec<u8>>())})
        }
        "invoke_text_embedding" => {
            let usage = &first["usage"];
            json!({"embeddings": first["embeddings"], "usage": [usage["total_tokens"]], "price": [usage["total_price"], usage["currency"]]})
        }
        "invoke_rerank" => json!({"docs": first["docs"]}),
        "get_ai_model_schemas" => schema(&first["model_schema"]),
        _ => first,
    }
}

fn schema(schema: &Value) -> Value {
    if schema.is_null() {
        return json!({"schema": null});
    }
    let mut rules: Vec<&str> =
        schema["parameter_rules"].as_array().into_iter().flatten().filter_map(|rule| rule["name"].as_str()).collect();
    rules.sort_unstable();
    let pricing = match &schema["pricing"] {
        Value::Null => Value::Null,
        price => json!([price["input"], price["output"], price["unit"], price["currency"]]),
    };
    json!({"schema": {"features": schema["features"], "rules": rules, "properties": schema["model_properties"], "pricing": pricing}})
}

fn shown(plugin: &str, case: &Value, difference: &Difference) -> String {
    let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    format!(
        "{plugin} | {} | {} | recorded {} | ours {}",
        case["name"].as_str().unwrap(),
        difference.at,
        value(&difference.recorded),
        value(&difference.ours)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_are_those_of_the_recordings() {
    let only = std::env::var("DIFFERENTIAL").ok();
    let mut running = Vec::new();
    for vector in Vector::all() {
        if only.as_ref().is_none_or(|only| only.split(',').any(|name| name == vector.plugin)) {
            running.push((vector.plugin.clone(), tokio::spawn(compare(vector))));
        }
    }
    let (mut table, mut failures, mut occurred) = (String::new(), Vec::new(), BTreeMap::<&str, Vec<String>>::new());
    for (plugin, running) in running {
        let report = match running.await {
            Ok(Some(report)) => report,
            Ok(None) => {
                failures.push(format!("{plugin} | no facts"));
                continue;
            }
            Err(error) => {
                failures.push(format!("{plugin} | panic | {error}"));
                continue;
            }
        };
        let Report { cases, equal, left_out, failures: unintended, .. } = &report;
        let differing = cases - equal;
        writeln!(table, "{plugin}: {cases} cases, {equal} equal, {differing} differ, {left_out} left out, {} unintended differences", unintended.len()).unwrap();
        failures.extend(report.failures);
        for name in report.occurred {
            occurred.entry(name).or_default().push(plugin.clone());
        }
    }
    println!("{table}");
    if only.is_none() {
        for entry in intended::all() {
            if !occurred.contains_key(entry.name) {
                let (name, reason) = (entry.name, entry.reason);
                failures.push(format!("`{name}` is listed as an intended difference, but does not occur: {reason}"));
            }
        }
    }
    for (name, plugins) in &occurred {
        println!("intended `{name}`: {}", plugins.join(", "));
    }
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}
