//! What every model's declaration keeps, whether a file or a provider's code makes it: one table of rules.

use dify_plugin::declare::{ModelFeature, ModelSchema, ParameterRule, ParameterType};
use dify_plugin::protocol::ModelType;
use serde_json::Value;

/// What of a schema breaks a rule.
type Rule = fn(&ModelSchema) -> Vec<String>;

const RULES: &[(&str, Rule)] = &[
    ("structured output is a feature exactly where a schema can be given", structured_output),
    ("only language models call functions, think or answer by a schema", features_of_type),
    ("no parameter is there twice", names),
    ("every text is there in English and Chinese", texts),
    ("a range begins before it ends", ranges),
    ("a number has a default, as the page would make its minimum one", numbers),
    ("a default is a value that the rule takes", defaults),
    ("choices differ and are not blank", options),
    ("a price has no negative part", prices),
];

/// Everything that a declaration breaks.
pub fn broken(schema: &ModelSchema) -> Vec<String> {
    let id = &schema.model;
    RULES
        .iter()
        .flat_map(|(name, rule)| rule(schema).into_iter().map(move |what| format!("{id}: {name}: {what}")))
        .collect()
}

/// graphon 0.8 goes by an explicit list of features alone; a rule without the feature is never used.
fn structured_output(schema: &ModelSchema) -> Vec<String> {
    let chooses = |rule: &ParameterRule| rule.options.iter().any(|option| option == "json_schema");
    let has = schema.has(ModelFeature::StructuredOutput);
    let rule = schema.rule("json_schema").is_some();
    let choice = schema.rule("response_format").is_none_or(|format| chooses(format) == has);
    let mut wrong = Vec::new();
    if rule != has {
        wrong.push(format!("feature {has}, rule `json_schema` {rule}"));
    }
    if !choice {
        wrong.push(format!("feature {has}, choice `json_schema` of `response_format` {}", !has));
    }
    wrong
}

fn features_of_type(schema: &ModelSchema) -> Vec<String> {
    let of_any = [ModelFeature::Vision, ModelFeature::Audio, ModelFeature::Video, ModelFeature::Document];
    let odd = |feature: &&ModelFeature| schema.model_type != ModelType::Llm && !of_any.contains(feature);
    let mut wrong: Vec<String> = schema.features.iter().filter(odd).map(|feature| format!("{feature:?}")).collect();
    if schema.has(ModelFeature::StreamToolCall)
        && !(schema.has(ModelFeature::ToolCall) || schema.has(ModelFeature::MultiToolCall))
    {
        wrong.push("StreamToolCall without calls".to_owned());
    }
    wrong
}

fn names(schema: &ModelSchema) -> Vec<String> {
    let rules = &schema.parameter_rules;
    let twice = |(index, rule): (usize, &ParameterRule)| {
        rules[..index].iter().any(|other| other.name == rule.name).then(|| rule.name.clone())
    };
    rules.iter().enumerate().filter_map(twice).collect()
}

fn texts(schema: &ModelSchema) -> Vec<String> {
    let of_rules = schema.parameter_rules.iter().flat_map(|rule| {
        std::iter::once((rule.name.as_str(), &rule.label))
            .chain(rule.help.as_ref().map(|help| (rule.name.as_str(), help)))
    });
    let all = std::iter::once(("label", &schema.label)).chain(of_rules);
    all.filter(|(_, text)| {
        text.en_us.trim().is_empty() || text.zh_hans.as_deref().is_none_or(|chinese| chinese.trim().is_empty())
    })
    .map(|(name, _)| name.to_owned())
    .collect()
}

fn each(schema: &ModelSchema, wrong: impl Fn(&ParameterRule) -> Option<String>) -> Vec<String> {
    let named = |rule: &ParameterRule| wrong(rule).map(|what| format!("`{}` {what}", rule.name));
    schema.parameter_rules.iter().filter_map(named).collect()
}

fn ranges(schema: &ModelSchema) -> Vec<String> {
    each(schema, |rule| match (rule.min, rule.max) {
        (Some(min), Some(max)) if min > max => Some(format!("{min} to {max}")),
        _ if !is_number(rule) && (rule.min.is_some() || rule.max.is_some() || rule.precision.is_some()) => {
            Some("is no number".to_owned())
        }
        _ => None,
    })
}

fn is_number(rule: &ParameterRule) -> bool {
    matches!(rule.kind, ParameterType::Int | ParameterType::Float)
}

fn numbers(schema: &ModelSchema) -> Vec<String> {
    each(schema, |rule| {
        (is_number(rule) && rule.default.is_none()).then(|| format!("gets {:?}", rule.min.unwrap_or(0.0)))
    })
}

fn defaults(schema: &ModelSchema) -> Vec<String> {
    each(schema, |rule| {
        let default = rule.default.as_ref()?;
        let fits = match rule.kind {
            ParameterType::Int | ParameterType::Float => default.as_f64().is_some_and(|number| {
                let places = if rule.kind == ParameterType::Int { 0 } else { rule.precision.unwrap_or(9) as i32 };
                let scaled = number * 10_f64.powi(places);
                (scaled - scaled.round()).abs() < 1e-6
                    && rule.min.is_none_or(|min| number >= min)
                    && rule.max.is_none_or(|max| number <= max)
            }),
            ParameterType::Boolean => default.is_boolean(),
            ParameterType::Text => default.is_string(),
            _ => default
                .as_str()
                .is_some_and(|text| rule.options.is_empty() || rule.options.iter().any(|option| option == text)),
        };
        (!fits).then(|| default.to_string())
    })
}

fn options(schema: &ModelSchema) -> Vec<String> {
    each(schema, |rule| {
        let bad = |(index, option): (usize, &String)| {
            option.trim().is_empty() || option.trim() != option || rule.options[..index].contains(option)
        };
        let wrong = rule.options.iter().enumerate().any(bad);
        (wrong || (!rule.options.is_empty() && rule.kind != ParameterType::String)).then(|| rule.options.join(", "))
    })
}

fn prices(schema: &ModelSchema) -> Vec<String> {
    let Some(price) = &schema.pricing else { return Vec::new() };
    let parts = [Some(price.input), price.output, Some(price.unit)];
    parts
        .into_iter()
        .flatten()
        .filter(|part| part.is_sign_negative() && !part.is_zero())
        .map(|part| part.to_string())
        .collect()
}

/// The schema of an answer of `get_ai_model_schemas`.
pub fn typed(answer: &Value) -> ModelSchema {
    serde_json::from_value(answer["model_schema"].clone()).unwrap()
}
