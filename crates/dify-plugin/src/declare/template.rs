//! The eight parameter templates of Dify: defaults for rules with `use_template`.
//!
//! Source: `dify-plugin-daemon: pkg/entities/plugin_entities/model_declaration.go`, `dify-plugin-sdks: src/dify_plugin/entities/model/schema.py`.

use serde_json::{Map, Value, json};

/// Names of all templates.
pub const NAMES: [&str; 8] = [
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "max_tokens",
    "response_format",
    "json_schema",
];

/// Fills in the keys that a rule omits; returns false if the template is unknown.
pub fn fill(rule: &mut Map<String, Value>) -> bool {
    let Some(name) = rule.get("use_template").and_then(Value::as_str) else { return true };
    let Some(Value::Object(template)) = template(name) else { return false };
    for (key, value) in template {
        if rule.get(&key).is_none_or(Value::is_null) {
            rule.insert(key, value);
        }
    }
    true
}

fn template(name: &str) -> Option<Value> {
    let float = |default: f64, label: [&str; 2], help: [&str; 2]| json!({"type": "float", "default": default, "min": 0.0, "max": 1.0, "precision": 2, "label": both(label), "help": both(help)});
    Some(match name {
        "temperature" => float(
            0.0,
            ["Temperature", "温度"],
            [
                "Controls randomness. Lower values make responses more predictable, higher values more varied.",
                "随机性：数值越低越确定，越高越多样。",
            ],
        ),
        "top_p" => float(
            1.0,
            ["Top P", "Top P"],
            [
                "Considers only the most likely tokens whose probabilities add up to this value.",
                "仅考虑累计概率达到该值的候选词。",
            ],
        ),
        "top_k" => json!({
            "type": "int", "default": 50, "min": 1, "max": 100, "precision": 0,
            "label": both(["Top K", "Top K"]),
            "help": both(["Considers only this many of the most likely tokens at each step.", "仅考虑概率最高的若干候选词。"]),
        }),
        "presence_penalty" => float(
            0.0,
            ["Presence Penalty", "存在惩罚"],
            ["Penalizes tokens that have already appeared in the text.", "降低已出现词语再次出现的概率。"],
        ),
        "frequency_penalty" => float(
            0.0,
            ["Frequency Penalty", "频率惩罚"],
            [
                "Penalizes tokens in proportion to how often they have already appeared.",
                "词语出现越多，再次出现的概率越低。",
            ],
        ),
        "max_tokens" => json!({
            "type": "int", "default": 64, "min": 1, "max": 2048, "precision": 0,
            "label": both(["Max Tokens", "最大标记"]),
            "help": both(["Maximum number of tokens to generate.", "回答的最大标记数。"]),
        }),
        "response_format" => json!({
            "type": "string", "options": ["JSON", "XML"],
            "label": both(["Response Format", "回复格式"]),
            "help": both(["Format of the response.", "回答必须采用的格式。"]),
        }),
        "json_schema" => json!({
            "type": "text",
            "label": both(["JSON Schema", "JSON Schema"]),
            "help": both(["JSON Schema that the response must conform to.", "回答必须遵循的模式。"]),
        }),
        _ => return None,
    })
}

fn both([english, chinese]: [&str; 2]) -> Value {
    json!({"en_US": english, "zh_Hans": chinese})
}
