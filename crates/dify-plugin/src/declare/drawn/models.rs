//! The list of models, and the panel of a model's parameters.
//!
//! Source: `langgenius/dify: web/app/components/header/account-setting/model-provider-page/`, above all `model-name/index.tsx`,
//! `utils.ts` and `model-parameter-modal/parameter-item.tsx`; order: `api/core/entities/provider_configuration.py`.

use serde_json::{Value, json};

use super::field::{Choice, Field, Form, both, maybe, two};
use super::place::Place;
use crate::declare::LoadedProvider;
use crate::declare::codes::Code;
use crate::declare::model::{ModelFeature, ModelSchema, ParameterRule, ParameterType};
use crate::protocol::ModelType;

/// The features that have a badge, in the order of the badges.
const BADGES: [(ModelFeature, &str); 4] = [
    (ModelFeature::Vision, "vision"),
    (ModelFeature::Document, "document"),
    (ModelFeature::Audio, "audio"),
    (ModelFeature::Video, "video"),
];

/// The word on the badge of a model type.
pub(super) fn badge(kind: ModelType) -> String {
    if kind == ModelType::TextEmbedding { "TEXT EMBEDDING".to_owned() } else { kind.as_str().to_uppercase() }
}

/// The indexes of a provider's models in the order of the list: by type, then by position.
pub(super) fn order(provider: &LoadedProvider) -> Vec<usize> {
    let mut order: Vec<usize> = (0..provider.models.len()).collect();
    order.sort_by_key(|index| provider.models[*index].model_type.as_str());
    order
}

/// One model of the list.
pub(super) fn model(model: &ModelSchema, presets: bool, place: &Place<'_>) -> Value {
    let fields: Vec<Field> = model
        .parameter_rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let mut field = parameter(rule);
            place.fill(&mut field, &format!("parameter_rules[{index}]"));
            field
        })
        .collect();
    let context = model.number_property("context_size");
    let voices = model.model_properties.get("voices").and_then(Value::as_array);
    let voices: Vec<Value> = voices
        .into_iter()
        .flatten()
        .map(|voice| {
            let name = voice["name"].as_str().unwrap_or_default();
            json!({"value": voice["mode"], "label": both([name, name]), "languages": voice["language"]})
        })
        .collect();
    json!({
        "name": model.model,
        "label": two(&model.label),
        "type": model.model_type.as_str(),
        "badge": badge(model.model_type),
        "mode": model.model_properties.get("mode").and_then(Value::as_str).map(str::to_uppercase),
        "context": context.map(size),
        "context_size": context,
        "features": BADGES.iter().filter(|(feature, _)| model.has(*feature)).map(|(_, word)| word).collect::<Vec<_>>(),
        "all_features": model.features,
        "deprecated": model.deprecated,
        "in_picker": !model.deprecated,
        "parameters": Form { engine: "parameter", fields },
        "presets": presets,
        "voices": voices,
        "pricing": model.pricing,
        "properties": model.model_properties,
        "file": place.file,
        "line": 1,
        "notes": place.notes("label", Vec::new()),
    })
}

/// Whole thousands with a K, as on the badge.
fn size(tokens: u64) -> String {
    if tokens < 1000 { tokens.to_string() } else { format!("{}K", tokens / 1000) }
}

fn parameter(rule: &ParameterRule) -> Field {
    let is_number = matches!(rule.kind, ParameterType::Int | ParameterType::Float);
    let has_range = rule.min.is_some() && rule.max.is_some();
    let control = match rule.kind {
        ParameterType::Int | ParameterType::Float if has_range => "slider",
        ParameterType::Int | ParameterType::Float => "number",
        ParameterType::String if rule.options.is_empty() => "text",
        ParameterType::String => "select",
        ParameterType::Boolean => "boolean",
        ParameterType::Text => "text-area",
    };
    let kind = json!(rule.kind);
    let mut field = Field {
        variable: rule.name.clone(),
        kind: kind.as_str().unwrap_or_default().to_owned(),
        control,
        label: two(&rule.label),
        help: maybe(rule.help.as_ref(), two),
        help_drawn_as: rule.help.is_some().then_some("icon"),
        default: json!(rule.default),
        options: rule
            .options
            .iter()
            .map(|value| Choice { value: value.clone(), label: both([value, value]), icon: None, show_on: Vec::new() })
            .collect(),
        min: rule.min,
        max: rule.max,
        step: step(rule, has_range),
        has_switch: !rule.required && rule.name != "stop",
        ..Field::default()
    };
    if is_number && !has_range && (rule.min.is_some() || rule.max.is_some()) {
        field.note(Code::NoSlider, "there is a slider only with both `min` and `max`");
    }
    if control == "slider" {
        let (low, high) = (rule.min.unwrap_or_default(), rule.max.unwrap_or_default());
        let step = field.step.unwrap_or(1.0);
        if rule.kind == ParameterType::Float && rule.precision.is_some_and(|precision| precision != 1) {
            field.note(Code::PrecisionIgnored, "the slider steps by 0.1, whatever the precision is");
        }
        if high - low < step {
            field.note(Code::NarrowSlider, format!("the slider steps by {step}, which is more than its range"));
        }
    }
    if !field.options.is_empty() {
        field.note(Code::RawOptions, "the values of the options are shown as they are, in no language");
    }
    field
}

/// The step of a slider, or of a box for numbers.
fn step(rule: &ParameterRule, slider: bool) -> Option<f64> {
    match (rule.kind, slider) {
        (ParameterType::Float, true) => Some(0.1),
        (ParameterType::Int, true) => Some(match rule.max.unwrap_or_default() {
            max if max < 100.0 => 1.0,
            max if max < 1000.0 => 10.0,
            _ => 100.0,
        }),
        (ParameterType::Int | ParameterType::Float, false) => {
            format!("0.{}", rule.precision.unwrap_or_default()).parse().ok()
        }
        _ => None,
    }
}
