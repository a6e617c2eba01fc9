//! Values of parameters in the types that their declaration names, by the rules of the Dify API. Dify has cast those of tools
//! already; a call at the terminal and another plugin's call through Dify have not. The types of the code come afterwards.
//!
//! Source: `langgenius/dify: api/core/plugin/entities/parameters.py` (`cast_parameter_value`).

use serde_json::{Map, Number, Value};

use super::PluginError;
use crate::declare::parameter::{Parameter, ParameterKind};
use crate::protocol::lenient::kind_of;

/// Casts the values of a tool's parameters, fills in defaults, and names what is missing or not offered. Values that are
/// not declared stay as they are.
pub(crate) fn cast(declared: &[Parameter], values: &mut Map<String, Value>) -> Result<(), PluginError> {
    for parameter in declared {
        let name = &parameter.name;
        let Some(value) = take_or_default(parameter, values) else {
            if parameter.required {
                return Err(PluginError::bad_request(format!("parameter `{name}` is required but missing")));
            }
            continue;
        };
        let value = cast_value(parameter.kind, value)
            .map_err(|reason| PluginError::bad_request(format!("parameter `{name}` {reason}")))?;
        check_options(parameter, &value)?;
        values.insert(name.clone(), value);
    }
    Ok(())
}

/// Casts the values of an agent strategy, a datasource, an event or a subscription, and fills in defaults. Dify and the
/// Python SDK check nothing here, so what cannot be cast stays as it is: the code may read it, or names it.
pub(crate) fn cast_leniently(declared: &[Parameter], values: &mut Map<String, Value>) {
    for parameter in declared {
        let Some(value) = take_or_default(parameter, values) else { continue };
        let value = cast_value(parameter.kind, value.clone()).unwrap_or(value);
        values.insert(parameter.name.clone(), value);
    }
}

/// The value of a parameter, or its default; what an empty field of a form sends is absent.
fn take_or_default(parameter: &Parameter, values: &mut Map<String, Value>) -> Option<Value> {
    let is_text = matches!(parameter.kind, ParameterKind::String | ParameterKind::SecretInput);
    let given = values.shift_remove(&parameter.name).filter(|value| !value.is_null() && (is_text || value != ""));
    given.or_else(|| parameter.default.clone().filter(|default| !default.is_null()))
}

pub(super) fn cast_value(kind: ParameterKind, value: Value) -> Result<Value, String> {
    Ok(match kind {
        ParameterKind::String
        | ParameterKind::SecretInput
        | ParameterKind::Select
        | ParameterKind::DynamicSelect
        | ParameterKind::Checkbox => match value {
            Value::Bool(_) | Value::Number(_) => Value::String(value.to_string()),
            value => value,
        },
        ParameterKind::Number => match value {
            Value::Number(_) => value,
            Value::String(text) => Value::Number(number(&text).ok_or("must be a number")?),
            other => return Err(format!("must be a number, found {}", kind_of(&other))),
        },
        ParameterKind::Boolean => Value::Bool(match &value {
            Value::Bool(value) => *value,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => !["false", "no", "n", "0", ""].contains(&text.trim().to_lowercase().as_str()),
            Value::Array(list) => !list.is_empty(),
            Value::Object(members) => !members.is_empty(),
            Value::Null => false,
        }),
        ParameterKind::File => match value {
            Value::Array(mut files) if files.len() == 1 => files.remove(0),
            Value::Array(files) => return Err(format!("must be one file, found {}", files.len())),
            value => value,
        },
        ParameterKind::Files => match value {
            Value::Array(_) => value,
            file => Value::Array(vec![file]),
        },
        ParameterKind::AppSelector | ParameterKind::ModelSelector => match value {
            Value::Object(_) => value,
            other => return Err(format!("must be an object, found {}", kind_of(&other))),
        },
        ParameterKind::Array => match value {
            Value::Array(_) => value,
            Value::String(text) => match serde_json::from_str(&text) {
                Ok(list @ Value::Array(_)) => list,
                _ => Value::Array(vec![Value::String(text)]),
            },
            other => Value::Array(vec![other]),
        },
        ParameterKind::Object => match value {
            Value::Object(_) => value,
            Value::String(text) => match serde_json::from_str(&text) {
                Ok(object @ Value::Object(_)) => object,
                _ => return Err("must be an object or its JSON".to_owned()),
            },
            other => return Err(format!("must be an object, found {}", kind_of(&other))),
        },
        ParameterKind::ToolsSelector | ParameterKind::Any | ParameterKind::Date | ParameterKind::DateRange => value,
    })
}

/// An integer, or a decimal number.
fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    text.parse::<i64>().ok().map(Number::from).or_else(|| Number::from_f64(text.parse().ok()?))
}

fn check_options(parameter: &Parameter, value: &Value) -> Result<(), PluginError> {
    if parameter.kind != ParameterKind::Select || parameter.options.is_empty() {
        return Ok(());
    }
    let is_offered = |value: &Value| parameter.options.iter().any(|option| value == &option.value);
    let all = match value {
        Value::Array(values) => values.iter().all(is_offered),
        value => is_offered(value),
    };
    if all {
        return Ok(());
    }
    let offered: Vec<&str> = parameter.options.iter().map(|option| option.value.as_str()).collect();
    let message = format!("parameter `{}` is not one of its options", parameter.name);
    Err(PluginError::bad_request(message).with_hint(format!("Expected one of {}.", offered.join(", "))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parameter(kind: &str, more: Value) -> Parameter {
        let mut declared = json!({"name": "p", "label": {"en_US": "P"}, "type": kind});
        declared.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(declared).unwrap()
    }

    #[test]
    fn other_kinds_are_cast_where_it_is_possible() {
        let absent = Value::Null;
        for (kind, more, value, expected) in [
            ("number", json!({"required": true}), json!("5"), json!(5)),
            ("number", json!({"required": true}), json!(""), absent.clone()),
            ("number", json!({"default": 3}), json!(null), json!(3)),
            ("number", json!({}), json!("many"), json!("many")),
            ("boolean", json!({"default": true}), json!(""), json!(true)),
            ("boolean", json!({}), json!("no"), json!(false)),
            ("string", json!({"required": true, "default": "d"}), json!(null), json!("d")),
            ("string", json!({}), json!(7), json!("7")),
            ("select", json!({"options": [{"value": "a", "label": {"en_US": "A"}}]}), json!("b"), json!("b")),
            ("file", json!({}), json!([]), json!([])),
            ("model-selector", json!({}), json!("m"), json!("m")),
            ("array[tools]", json!({}), json!([{"identity": {}}]), json!([{"identity": {}}])),
            ("any", json!({}), json!(""), absent),
        ] {
            let mut values = Map::from_iter([("p".to_owned(), value.clone()), ("other".to_owned(), json!(""))]);
            cast_leniently(&[parameter(kind, more)], &mut values);
            assert_eq!(values.get("p").cloned().unwrap_or_default(), expected, "{kind}: {value}");
            assert_eq!(values["other"], "", "what is not declared stays");
        }
    }

    #[test]
    fn values_are_cast_as_the_dify_api_does() {
        let options =
            json!({"options": [{"value": "a", "label": {"en_US": "A"}}, {"value": "1", "label": {"en_US": "1"}}]});
        let none = json!({});
        let absent = Some(Value::Null);
        for (kind, more, value, expected) in [
            ("string", &none, json!("x"), Some(json!("x"))),
            ("string", &none, json!(5), Some(json!("5"))),
            ("string", &none, json!(""), Some(json!(""))),
            ("string", &none, json!(null), absent.clone()),
            ("number", &none, json!("5"), Some(json!(5))),
            ("number", &none, json!(" 5.5 "), Some(json!(5.5))),
            ("number", &none, json!(""), absent.clone()),
            ("number", &json!({"default": 3}), json!(""), Some(json!(3))),
            ("number", &none, json!("many"), None),
            ("number", &none, json!([]), None),
            ("number", &json!({"required": true}), json!(null), None),
            ("boolean", &none, json!("Yes"), Some(json!(true))),
            ("boolean", &none, json!("n"), Some(json!(false))),
            ("boolean", &none, json!(0), Some(json!(false))),
            ("boolean", &none, json!("anything"), Some(json!(true))),
            ("select", &options, json!("a"), Some(json!("a"))),
            ("select", &options, json!(1), Some(json!("1"))),
            ("select", &options, json!("b"), None),
            ("select", &options, json!(["a", "1"]), Some(json!(["a", "1"]))),
            ("select", &options, json!(["a", "b"]), None),
            ("file", &none, json!([{"url": "u"}]), Some(json!({"url": "u"}))),
            ("file", &none, json!([]), None),
            ("files", &none, json!({"url": "u"}), Some(json!([{"url": "u"}]))),
            ("array", &none, json!("[1]"), Some(json!([1]))),
            ("array", &none, json!("x"), Some(json!(["x"]))),
            ("array", &none, json!(5), Some(json!([5]))),
            ("object", &none, json!("{\"a\": 1}"), Some(json!({"a": 1}))),
            ("object", &none, json!("x"), None),
            ("model-selector", &none, json!("x"), None),
            ("any", &none, json!([null]), Some(json!([null]))),
        ] {
            let mut values = Map::from_iter([("p".to_owned(), value.clone()), ("other".to_owned(), json!(null))]);
            let outcome = cast(&[parameter(kind, more.clone())], &mut values);
            match expected {
                Some(expected) => {
                    assert!(outcome.is_ok(), "{kind}: {value}: {outcome:?}");
                    assert_eq!(values.get("p").cloned().unwrap_or_default(), expected, "{kind}: {value}");
                    assert!(values.contains_key("other"), "what is not declared stays");
                }
                None => assert!(outcome.unwrap_err().message.contains("parameter `p`"), "{kind}: {value}"),
            }
        }
    }
}
