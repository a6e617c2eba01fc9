//! The JSON Schema of a block for editors: that of the facts, in which any value may depend on credentials or take over a shared
//! block. It is not for the table of keys, nor for unknown keys, which read the schema of the facts itself.

use serde_json::{Map, Value, json};

use super::facts;

/// Name of the definition of a value that is known later.
const LATER: &str = "Later";

/// Members whose value is a map of schemas by name, not a schema.
const MAPS: [&str; 3] = ["properties", "$defs", "definitions"];

/// Returns the schema.
pub fn editor_schema() -> Value {
    let mut schema = facts::schema();
    open(&mut schema);
    schema["$defs"][LATER] = json!({"anyOf": [
        {"type": "string", "pattern": "\\{", "description": "a text with the value of a credential"},
        {"type": "object", "required": ["by"], "description": "a choice by the value of a credential"},
        {"type": "object", "required": ["use"], "description": "a shared block"},
    ]});
    schema
}

/// Allows every value within a schema to be known later.
fn open(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    for (name, member) in members {
        match member {
            Value::Object(inner) if MAPS.contains(&name.as_str()) => {
                let are_values = name == "properties";
                inner.values_mut().for_each(|schema| if are_values { open_value(schema) } else { open(schema) });
            }
            Value::Object(_) if name == "additionalProperties" || name == "items" => open_value(member),
            Value::Array(alternatives) if ["anyOf", "oneOf", "allOf"].contains(&name.as_str()) => {
                alternatives.iter_mut().for_each(open);
            }
            _ => {}
        }
    }
}

/// The same for one value. Its description stays outside, because draft 7 ignores what is beside a reference.
fn open_value(schema: &mut Value) {
    open(schema);
    let mut whole = Map::new();
    if let Some(description) = schema.as_object_mut().and_then(|members| members.remove("description")) {
        whole.insert("description".to_owned(), description);
    }
    whole.insert("anyOf".to_owned(), json!([schema.take(), {"$ref": format!("#/$defs/{LATER}")}]));
    *schema = Value::Object(whole);
}
