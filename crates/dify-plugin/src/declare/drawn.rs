//! What Dify's web page makes of a credential form that its daemon accepts: fields that are displayed incorrectly, or
//! texts that are not displayed. Warnings only; errors are in [`super::rules`].
//!
//! Source: `langgenius/dify: web/app/components/base/form/components/base/`,
//! `langgenius/graphon: src/graphon/model_runtime/entities/provider_entities.py`.

#[cfg(feature = "commands")]
mod credentials;
#[cfg(feature = "commands")]
mod field;
#[cfg(feature = "commands")]
mod models;
#[cfg(feature = "commands")]
mod parameters;
#[cfg(feature = "commands")]
mod parts;
#[cfg(feature = "commands")]
mod place;
#[cfg(test)]
#[cfg(feature = "workbench")]
mod tests;
pub(super) mod texts;
#[cfg(feature = "commands")]
mod view;

use serde_json::{Map, Value};

#[cfg(feature = "commands")]
pub(crate) use view::{view, warnings};

use super::codes::Code;

/// Languages of a text.
const LANGUAGES: [&str; 4] = ["en_US", "zh_Hans", "pt_BR", "ja_JP"];

/// Members of a field that no page of a model provider shows.
const NOT_SHOWN: [&str; 3] = ["help", "url", "tooltip"];

/// What a field that repeats a variable takes from the first one.
const DRAWN_FROM_FIRST: [&str; 5] = ["label", "placeholder", "options", "type", "required"];

/// Warns about fields that are not displayed as written. `all` are the fields of the form, `is_model` says that it is
/// the form of customizable models.
pub(super) fn notes(
    field: &Map<String, Value>,
    all: &[Value],
    index: usize,
    is_model: bool,
) -> Vec<(Code, String, String)> {
    let mut notes = Vec::new();
    let mut note = |code: Code, place: &str, message: String| notes.push((code, place.to_owned(), message));
    let text = |key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default();
    let variable = text("variable");
    let first = all[..index].iter().find(|other| other.get("variable").and_then(Value::as_str) == Some(variable));
    let differs = |first: &Value| DRAWN_FROM_FIRST.iter().any(|key| first.get(*key) != field.get(*key));
    if first.is_some_and(differs) {
        let message =
            "appears twice in this form; Dify draws each with the label, placeholder and options of the first";
        note(Code::SameVariable, "variable", format!("`{variable}` {message}"));
    }
    for key in NOT_SHOWN.into_iter().filter(|key| field.get(*key).is_some_and(|value| !value.is_null())) {
        note(Code::HiddenHelp, key, "is not shown by Dify; say it in `label`, `placeholder` or an option".to_owned());
    }
    match text("type") {
        "switch" => note(Code::Switch, "type", "is drawn by Dify without a control; use select".to_owned()),
        "secret-input" if !text("default").is_empty() => {
            note(
                Code::SecretDefault,
                "default",
                "of a secret may be stored by Dify as `[__HIDDEN__]`; leave it out".to_owned(),
            );
        }
        _ => {}
    }
    for key in ["label", "placeholder"] {
        unknown_languages(field.get(key), key, &mut note);
    }
    conditions(field, "", all, is_model, &mut note);
    let options = field.get("options").and_then(Value::as_array).into_iter().flatten().enumerate();
    for (number, option) in options {
        let Some(option) = option.as_object() else { continue };
        unknown_languages(option.get("label"), &format!("options[{number}].label"), &mut note);
        conditions(option, &format!("options[{number}]."), all, is_model, &mut note);
    }
    notes
}

/// The field that a note is about, too: the first one of the variable, or the one that a condition names.
pub(super) fn related(field: &Map<String, Value>, all: &[Value], code: Code, place: &str) -> Option<(usize, String)> {
    let (variable, what) = match code {
        Code::SameVariable => (field.get("variable")?.as_str()?, "the first field of"),
        Code::NeverShown => {
            let start = place.rfind("show_on[")?;
            let condition: usize = place[start..].strip_prefix("show_on[")?.strip_suffix(']')?.parse().ok()?;
            let options =
                |rest: &str| -> Option<usize> { rest.strip_prefix("options[")?.split_once(']')?.0.parse().ok() };
            let owner = match options(place) {
                Some(option) => field.get("options")?.get(option)?.get("show_on")?,
                None => field.get("show_on")?,
            };
            (owner.get(condition)?.get("variable")?.as_str()?, "the field of")
        }
        _ => return None,
    };
    let is_it = |other: &Value| other.get("variable").and_then(Value::as_str) == Some(variable);
    Some((all.iter().position(is_it)?, format!("{what} `{variable}`")))
}

/// A comma in a line of YAML such as `{en_US: a, b}` makes a language of the text after it.
fn unknown_languages(texts: Option<&Value>, place: &str, note: &mut impl FnMut(Code, &str, String)) {
    for key in texts.and_then(Value::as_object).into_iter().flat_map(Map::keys) {
        if !LANGUAGES.contains(&key.as_str()) {
            note(
                Code::UnknownLanguage,
                &format!("{place}.{key}"),
                format!("is not a language; expected one of {}", LANGUAGES.join(", ")),
            );
        }
    }
}

/// Conditions that are never true.
fn conditions(
    owner: &Map<String, Value>,
    prefix: &str,
    all: &[Value],
    is_model: bool,
    note: &mut impl FnMut(Code, &str, String),
) {
    for (number, condition) in owner.get("show_on").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let member = |key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default();
        let (variable, value) = (member("variable"), member("value"));
        let place = format!("{prefix}show_on[{number}]");
        let mut others = all.iter().filter(|other| other.get("variable").and_then(Value::as_str) == Some(variable));
        let choices: Vec<&Value> =
            others.clone().filter_map(|other| other.get("options")?.as_array()).flatten().collect();
        if matches!(variable, "__model_type" | "__model_name") && is_model {
            continue;
        }
        if matches!(variable, "__model_type" | "__model_name") {
            note(
                Code::ModelTypeCondition,
                &place,
                "never holds: only `model_credential_schema` has a model".to_owned(),
            );
        } else if others.next().is_none() {
            note(Code::NeverShown, &place, format!("never holds: this form has no field `{variable}`"));
        } else if !choices.is_empty()
            && !choices.iter().any(|choice| choice.get("value").and_then(Value::as_str) == Some(value))
        {
            note(Code::NeverShown, &place, format!("never holds: `{value}` is not an option of `{variable}`"));
        }
    }
}
