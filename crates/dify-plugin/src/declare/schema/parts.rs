//! The parts that schemas are made of: texts, names of closed sets, lists, objects. An optional member may be null, as in `check`.

use serde_json::{Map, Value, json};

use crate::declare::shared::KEY as SHARED_BLOCK;
use crate::declare::versions::{self, Kind};

/// Languages of a text.
const LANGUAGES: [&str; 3] = ["zh_Hans", "ja_JP", "pt_BR"];

/// A member of an object.
pub(super) struct Member {
    name: &'static str,
    schema: Value,
    is_required: bool,
}

/// A member that must be there.
pub(super) fn needed(name: &'static str, schema: Value) -> Member {
    Member { name, schema, is_required: true }
}

/// A member that may be missing or null.
pub(super) fn optional(name: &'static str, schema: Value) -> Member {
    Member { name, schema, is_required: false }
}

/// An object with these members and any others.
pub(super) fn object(members: Vec<Member>) -> Value {
    let required: Vec<&str> = members.iter().filter(|member| member.is_required).map(|member| member.name).collect();
    let properties = members.into_iter().map(|Member { name, schema, is_required }| {
        (name.to_owned(), if is_required { schema } else { nullable(schema) })
    });
    let properties: Map<String, Value> = properties.collect();
    let mut object = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        require(&mut object, json!({ "required": required }));
    }
    object
}

/// Adds a condition to an object that takes nothing over from a shared block, which may have what is missing.
pub(super) fn require(object: &mut Value, condition: Value) {
    object["if"] = json!({"not": {"required": [SHARED_BLOCK]}});
    object["then"] = condition;
}

/// A value that may be null.
fn nullable(mut schema: Value) -> Value {
    match schema.get_mut("type") {
        Some(Value::String(kind)) => {
            let kinds = json!([kind, "null"]);
            schema["type"] = kinds;
        }
        Some(Value::Array(kinds)) => kinds.push("null".into()),
        _ => {}
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
    schema
}

/// Adds what an editor shows.
pub(super) fn about(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}

/// A text that is not empty, of at most so many characters.
pub(super) fn text(longest: Option<usize>) -> Value {
    let mut text = optional_text(longest);
    text["minLength"] = 1.into();
    text
}

/// A text of at most so many characters.
pub(super) fn optional_text(longest: Option<usize>) -> Value {
    match longest {
        Some(longest) => json!({"type": "string", "maxLength": longest}),
        None => json!({"type": "string"}),
    }
}

/// A text in the languages of Dify. English is what every other language falls back to.
pub(super) fn i18n(is_required: bool) -> Value {
    // A number is read as its digits.
    let language = || json!({"maxLength": 1023});
    let mut properties = Map::new();
    let english = match is_required {
        true => json!({"type": "string", "minLength": 1, "maxLength": 1023}),
        // Without English an optional text is a warning.
        false => json!({}),
    };
    properties.insert("en_US".to_owned(), about(english, "English; shown where another language is missing"));
    for name in LANGUAGES {
        properties.insert(name.to_owned(), language());
    }
    let mut texts = json!({"type": "object", "properties": properties});
    if is_required {
        texts["required"] = json!(["en_US"]);
    }
    texts
}

/// A text of a model provider: Dify's browser gets two of the languages.
pub(super) fn model_i18n(is_required: bool) -> Value {
    about(i18n(is_required), "Dify shows en_US and zh_Hans; other languages never reach the browser")
}

/// A name of a closed set.
pub(super) fn one_of(kind: Kind) -> Value {
    json!({"type": "string", "enum": versions::names(kind).collect::<Vec<_>>()})
}

/// A list of names of a closed set.
pub(super) fn names(kind: Kind, most: Option<usize>) -> Value {
    list(one_of(kind), most)
}

/// A list.
pub(super) fn list(items: Value, most: Option<usize>) -> Value {
    let mut list = json!({"type": "array", "items": items});
    if let Some(most) = most {
        list["maxItems"] = most.into();
    }
    list
}

/// True or false. The daemon also knows the words of YAML before 1.2.
pub(super) fn flag() -> Value {
    json!({"type": ["boolean", "string"], "enum": [true, false, "y", "Y", "yes", "on", "n", "N", "no", "off"]})
}

/// One plain value: what the default of a field or a parameter may be.
pub(super) fn plain() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

/// A version such as 1.2.3.
pub(super) fn version() -> Value {
    json!({"type": "string", "pattern": "^[0-9]{1,4}\\.[0-9]{1,4}\\.[0-9]{1,4}(-[A-Za-z0-9_]{1,16})?$"})
}

/// A version of Dify.
pub(super) fn dify_version() -> Value {
    let version = json!({"type": "string", "pattern": "^[0-9]+\\.[0-9]+\\.[0-9]+(-.*)?$"});
    about(
        version,
        "the first version of Dify that can use it; it prevents no installation, but `check` names what is newer",
    )
}
