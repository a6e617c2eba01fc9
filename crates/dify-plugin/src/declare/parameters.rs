//! Validates model parameters by the model's rules, like the Python SDK: unknown parameters are removed, defaults of
//! required ones are filled in, and everything else is checked for type, precision, range and options.
//!
//! An empty string is no value: Dify's web page sends it for a choice that was enabled but not made.
//!
//! Source: `dify-plugin-sdks: src/dify_plugin/interfaces/model/large_language_model.py` (`_validate_and_filter_model_parameters`).

use serde_json::{Map, Number, Value};

use super::model::{ParameterRule, ParameterType};
use crate::error::InvokeError;

/// Validates and completes `parameters` in place; returns the names of unknown parameters, which are removed.
pub fn apply(rules: &[ParameterRule], parameters: &mut Map<String, Value>) -> Result<Vec<String>, InvokeError> {
    let mut given = std::mem::take(parameters);
    given.retain(|_, value| !is_unset(value));
    let mut used: Vec<&str> = Vec::new();
    for rule in rules {
        let value = match given.get(&rule.name) {
            Some(value) => value,
            None => match rule.use_template.as_deref().and_then(|template| given.get_key_value(template)) {
                Some((template, value)) => {
                    used.push(template);
                    value
                }
                None => match (&rule.default, rule.required) {
                    (_, false) => continue,
                    (Some(default), true) => {
                        parameters.insert(rule.name.clone(), default.clone());
                        continue;
                    }
                    (None, true) => return Err(refuse(rule, "is required but missing")),
                },
            },
        };
        used.push(&rule.name);
        parameters.insert(rule.name.clone(), check(rule, value)?);
    }
    Ok(given.keys().filter(|name| !used.contains(&name.as_str())).cloned().collect())
}

fn is_unset(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn check(rule: &ParameterRule, value: &Value) -> Result<Value, InvokeError> {
    match (rule.kind, value) {
        (ParameterType::Int, Value::Number(number)) => whole(rule, number).map(Value::Number),
        (ParameterType::Float, Value::Number(number)) => float(rule, number),
        (ParameterType::Boolean, Value::Bool(_)) | (ParameterType::Text, Value::String(_)) => Ok(value.clone()),
        (ParameterType::String, Value::String(text)) => {
            if rule.options.is_empty() || rule.options.contains(text) {
                Ok(value.clone())
            } else {
                Err(refuse(rule, &format!("must be one of {}, found `{text}`", rule.options.join(", "))))
            }
        }
        (kind, found) => {
            let expected = match kind {
                ParameterType::Int => "an integer",
                ParameterType::Float => "a number",
                ParameterType::Boolean => "true or false",
                ParameterType::String | ParameterType::Text => "a string",
            };
            Err(refuse(rule, &format!("must be {expected}, found {found}")))
        }
    }
}

/// The daemon writes `1.0` as `1` and may write `1` as `1.0`; both are integers.
fn whole(rule: &ParameterRule, number: &Number) -> Result<Number, InvokeError> {
    let value = number.as_f64().unwrap_or_default();
    if value.fract() != 0.0 {
        return Err(refuse(rule, &format!("must be an integer, found {number}")));
    }
    range(rule, value, number)?;
    Ok(if number.is_f64() { Number::from(value as i64) } else { number.clone() })
}

fn float(rule: &ParameterRule, number: &Number) -> Result<Value, InvokeError> {
    let value = number.as_f64().unwrap_or_default();
    if let Some(places) = rule.precision
        && round(value, places) != value
    {
        return Err(refuse(rule, &format!("must have at most {places} decimal places, found {number}")));
    }
    range(rule, value, number)?;
    Ok(Value::Number(number.clone()))
}

fn round(value: f64, places: u32) -> f64 {
    // Parsed from text, because the nearest decimal is what the user typed.
    format!("{value:.*}", places as usize).parse().unwrap_or(value)
}

fn range(rule: &ParameterRule, value: f64, number: &Number) -> Result<(), InvokeError> {
    match (rule.min, rule.max) {
        (Some(min), _) if value < min => Err(refuse(rule, &format!("must be at least {min}, found {number}"))),
        (_, Some(max)) if value > max => Err(refuse(rule, &format!("must be at most {max}, found {number}"))),
        _ => Ok(()),
    }
}

fn refuse(rule: &ParameterRule, what: &str) -> InvokeError {
    InvokeError::bad_request(format!("parameter `{}` {what}", rule.name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::declare::I18n;

    fn rule(name: &str, kind: ParameterType) -> ParameterRule {
        ParameterRule::new(name, I18n::same(name), kind)
    }

    fn rules() -> Vec<ParameterRule> {
        let mut limit = rule("max_output_tokens", ParameterType::Int).range(1.0, 100.0);
        limit.use_template = Some("max_tokens".to_owned());
        let mut mode = rule("mode", ParameterType::String).options(["a", "b"]).default_value("a");
        mode.required = true;
        vec![
            rule("temperature", ParameterType::Float).range(0.0, 2.0).precision(2),
            limit,
            mode,
            rule("flag", ParameterType::Boolean),
            rule("schema", ParameterType::Text),
        ]
    }

    #[test]
    fn accepts_valid_values_and_fills_in_defaults() {
        let cases = [
            (json!({}), json!({"mode": "a"})),
            (json!({"temperature": 1}), json!({"temperature": 1, "mode": "a"})),
            (json!({"temperature": 0.07, "mode": "b"}), json!({"temperature": 0.07, "mode": "b"})),
            (json!({"temperature": null}), json!({"mode": "a"})),
            (json!({"temperature": "", "max_tokens": " ", "mode": "", "flag": "", "schema": ""}), json!({"mode": "a"})),
            (json!({"max_output_tokens": 5.0}), json!({"max_output_tokens": 5, "mode": "a"})),
            (json!({"max_tokens": 7}), json!({"max_output_tokens": 7, "mode": "a"})),
            (json!({"flag": false, "schema": "{}"}), json!({"mode": "a", "flag": false, "schema": "{}"})),
        ];
        for (given, expected) in cases {
            let mut parameters = given.as_object().unwrap().clone();
            assert_eq!(apply(&rules(), &mut parameters).unwrap(), Vec::<String>::new(), "{given}");
            assert_eq!(Value::Object(parameters), expected, "{given}");
        }
    }

    #[test]
    fn explains_invalid_values() {
        let cases = [
            (json!({"temperature": 2.5}), "`temperature` must be at most 2, found 2.5"),
            (json!({"temperature": -1}), "`temperature` must be at least 0, found -1"),
            (json!({"temperature": 0.123}), "`temperature` must have at most 2 decimal places, found 0.123"),
            (json!({"temperature": "1"}), "`temperature` must be a number, found \"1\""),
            (json!({"max_output_tokens": 1.5}), "`max_output_tokens` must be an integer, found 1.5"),
            (json!({"mode": "c"}), "`mode` must be one of a, b, found `c`"),
            (json!({"flag": "true"}), "`flag` must be true or false, found \"true\""),
            (json!({"schema": {}}), "`schema` must be a string, found {}"),
        ];
        for (given, expected) in cases {
            let error = apply(&rules(), &mut given.as_object().unwrap().clone()).unwrap_err();
            assert_eq!(error.message, format!("parameter {expected}"), "{given}");
        }
    }

    #[test]
    fn reports_missing_required_parameters() {
        let mut needed = rule("voice", ParameterType::String);
        needed.required = true;
        let error = apply(&[needed], &mut Map::new()).unwrap_err();
        assert_eq!(error.message, "parameter `voice` is required but missing");
    }

    #[test]
    fn removes_and_reports_unknown_parameters() {
        let mut parameters = json!({"temperature": 1, "tempreature": 2}).as_object().unwrap().clone();
        assert_eq!(apply(&rules(), &mut parameters).unwrap(), ["tempreature"]);
        assert!(!parameters.contains_key("tempreature"));
    }
}
