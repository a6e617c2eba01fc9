//! Tools, agent strategies and endpoints: which control each type has in which component of Dify.

use serde_json::{Map, Value, json};

use super::{codes, declarations};
use crate::declare::KindDeclarations;

/// The view of a package of another kind.
fn kind_view(kinds: &Map<String, Value>) -> Value {
    let read = |key: &str| kinds.get(key).cloned().unwrap_or_default();
    let declared = KindDeclarations {
        tool: serde_json::from_value(read("tool")).unwrap(),
        endpoint: serde_json::from_value(read("endpoint")).unwrap(),
        agent_strategy: serde_json::from_value(read("agent")).unwrap(),
        ..KindDeclarations::default()
    };
    super::super::view(&declarations(&json!({"author": "a", "name": "n"}), declared), &[])
}

#[test]
fn parameters_of_nodes_have_the_control_of_their_type_and_engine() {
    // Type, then the controls in a tool's node, an agent strategy's node, and an agent app.
    let cases = [
        ("string", "text", "prompt", "text"),
        ("secret-input", "text", "password", "password"),
        ("number", "number", "number", "number"),
        ("boolean", "buttons", "boolean", "boolean"),
        ("select", "select", "select", "select"),
        ("dynamic-select", "dynamic-select", "none", "none"),
        ("checkbox", "checkboxes", "none", "none"),
        ("object", "json", "none", "none"),
        ("array", "json", "none", "none"),
        ("file", "file", "none", "none"),
        ("files", "files", "none", "none"),
        ("app-selector", "app", "app", "app"),
        ("model-selector", "model", "model", "model"),
        ("array[tools]", "none", "tools", "tools"),
        ("any", "none", "variable", "none"),
        ("date", "none", "none", "none"),
    ];
    for (kind, tool, agent, app) in cases {
        let parameter = json!({"name": "v", "label": {"en_US": "V"}, "type": kind, "form": "form", "required": true,
            "human_description": {"en_US": "H"}});
        let identity = json!({"author": "a", "name": "p", "label": {"en_US": "P"}, "description": {"en_US": "D"}, "icon": "i.svg"});
        let view = kind_view(
            json!({
                "tool": {"identity": identity, "tools": [{"identity": identity,
                    "description": {"human": {"en_US": "D"}, "llm": "D"}, "parameters": [parameter]}]},
                "agent": {"identity": identity, "strategies": [{"identity": identity, "description": {"en_US": "D"},
                    "parameters": [parameter]}]},
            })
            .as_object()
            .unwrap(),
        );
        let part = |kind: &str| {
            let providers = view["providers"].as_array().unwrap();
            providers.iter().find(|provider| provider["kind"] == kind).unwrap()["parts"][0].clone()
        };
        let node = part("tool");
        assert_eq!(node["settings"]["fields"][0]["control"], tool, "tool {kind}");
        assert_eq!(node["agent_form"]["fields"][0]["control"], app, "agent app {kind}");
        let strategy = part("agent-strategy");
        assert_eq!(strategy["inputs"]["fields"][0]["control"], agent, "agent {kind}");
        let field = &node["settings"]["fields"][0];
        let under = matches!(kind, "string" | "secret-input");
        assert_eq!(field["help_drawn_as"], if under { "under" } else { "icon" }, "{kind}");
        assert_eq!(codes(field).contains(&"W019"), tool == "none", "{kind}");
        assert_eq!(codes(field).contains(&"W016"), kind == "secret-input", "{kind}");
        let switches = matches!(kind, "number" | "boolean" | "select" | "object" | "array");
        assert_eq!(field["variable_switch"], switches, "{kind}");
    }
}

#[test]
fn settings_of_endpoints_are_drawn_by_the_older_engine() {
    let setting = |members: Value| {
        let mut field = json!({"name": "v", "label": {"en_US": "V"}});
        field.as_object_mut().unwrap().extend(members.as_object().cloned().unwrap());
        let kinds = json!({"endpoint": {"settings": [field], "endpoints": []}});
        let view = kind_view(kinds.as_object().unwrap());
        view["providers"][0]["settings"]["fields"].as_array().unwrap().clone()
    };
    let help = json!({"en_US": "H"});
    let cases = [
        (json!({"type": "text-input"}), "text", Value::Null, vec![]),
        (json!({"type": "secret-input", "help": help}), "password", json!("icon"), vec![]),
        (json!({"type": "select", "url": "https://a.example"}), "select", json!("link"), vec![]),
        (json!({"type": "boolean"}), "boolean", Value::Null, vec![]),
        (json!({"type": "boolean", "required": true}), "boolean", Value::Null, vec!["W018"]),
        (json!({"type": "app-selector"}), "app", Value::Null, vec![]),
        (json!({"type": "model-selector"}), "model", Value::Null, vec![]),
    ];
    for (members, control, help, notes) in cases {
        let fields = setting(members.clone());
        assert_eq!((&fields[0]["variable"], &fields[0]["required"]), (&json!("name"), &json!(true)));
        assert_eq!((&fields[1]["control"], &fields[1]["help_drawn_as"]), (&json!(control), &help), "{members}");
        assert_eq!(codes(&fields[1]), notes, "{members}");
    }
}

#[test]
fn credentials_of_tools_are_drawn_by_the_newer_engine() {
    let help = json!({"en_US": "H"});
    let cases = [
        (json!({"type": "text-input"}), "text", Value::Null, vec![]),
        (json!({"type": "secret-input", "help": help}), "password", Value::Null, vec!["W005"]),
        (json!({"type": "select", "help": help, "url": "https://a.example"}), "select", json!("link"), vec![]),
        (json!({"type": "boolean"}), "boolean", Value::Null, vec![]),
        (json!({"type": "app-selector"}), "none", Value::Null, vec!["W019"]),
        (json!({"type": "model-selector"}), "none", Value::Null, vec!["W019"]),
        (json!({"type": "array[tools]"}), "none", Value::Null, vec!["W019"]),
    ];
    for (members, control, drawn_as, notes) in cases {
        let mut field = json!({"name": "v", "label": {"en_US": "V", "ja_JP": "値"}});
        field.as_object_mut().unwrap().extend(members.as_object().cloned().unwrap());
        let identity = json!({"author": "a", "name": "p", "label": {"en_US": "P"}, "description": {"en_US": "D"}, "icon": "i.svg"});
        let kinds = json!({"tool": {"identity": identity, "credentials_schema": [field], "tools": []}});
        let view = kind_view(kinds.as_object().unwrap());
        let field = &view["providers"][0]["credentials"]["fields"][1];
        assert_eq!((&field["control"], &field["help_drawn_as"]), (&json!(control), &drawn_as), "{members}");
        assert_eq!(field["label"]["ja_JP"], "値", "four languages reach the browser");
        assert_eq!(codes(field), notes, "{members}");
    }
}
