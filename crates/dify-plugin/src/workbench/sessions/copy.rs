//! A session as commands for a shell. Secrets are not in them: where one was, a variable is.

use serde_json::{Map, Value};

use super::opened::HIDDEN;

/// The command `invoke` that makes the same call.
pub(super) fn invoke(program: &str, action: &str, request: &Value) -> String {
    let mut request = request.as_object().cloned().unwrap_or_default();
    let mut options = String::new();
    for member in ["credentials", "settings"] {
        let Some(Value::Object(fields)) = request.get_mut(member) else { continue };
        let hidden: Vec<String> = fields
            .iter()
            .filter(|(_, value)| value.as_str().is_some_and(|text| text.contains(HIDDEN)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in hidden {
            match member {
                "credentials" => {
                    fields.remove(&name);
                    options += &format!(" --credential {}=\"${}\"", quoted(&name), variable(&name));
                }
                _ => drop(fields.insert(name.clone(), format!("${}", variable(&name)).into())),
            }
        }
    }
    request.remove("action");
    let body = serde_json::to_string_pretty(&Value::Object(request)).unwrap_or_default();
    format!("{program} invoke {}{options} - <<'JSON'\n{body}\nJSON", quoted(action))
}

/// The same request to the upstream with curl.
pub(super) fn curl(exchange: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut command =
        format!("curl -sS -N -X {} {}", quoted(&text(&exchange["method"])), quoted(&text(&exchange["url"])));
    for header in exchange["request"]["headers"].as_array().into_iter().flatten() {
        let (name, value) = (text(&header[0]), text(&header[1]));
        if matches!(name.as_str(), "content-length" | "host" | "accept-encoding") {
            continue;
        }
        let value = match value.contains(HIDDEN) {
            true => format!("\"{}: {}\"", escaped(&name), with_variable(&value, &variable(&name))),
            false => quoted(&format!("{name}: {value}")),
        };
        command += &format!(" \\\n  -H {value}");
    }
    let body = text(&exchange["request"]["body"]);
    if !body.is_empty() {
        command += &format!(" \\\n  --data-binary {}", quoted(&body));
    }
    command
}

/// A value in double quotes, with the variable where the secret was.
fn with_variable(value: &str, variable: &str) -> String {
    value.split(HIDDEN).map(escaped).collect::<Vec<_>>().join(&format!("${variable}"))
}

/// A text within double quotes.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut whole, character| {
        if matches!(character, '"' | '\\' | '$' | '`') {
            whole.push('\\');
        }
        whole.push(character);
        whole
    })
}

/// A word of a shell, whatever it contains.
fn quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@%+,".contains(character);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// The name of a variable for a field or a header.
fn variable(name: &str) -> String {
    let plain = name
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character.to_ascii_uppercase() } else { '_' });
    let plain: String = plain.collect();
    if plain.starts_with(|first: char| first.is_ascii_digit()) { format!("_{plain}") } else { plain }
}

/// The headers of a recorded message as pairs.
pub(super) fn pairs(headers: &Value) -> Value {
    let headers: &Map<String, Value> = match headers {
        Value::Object(headers) => headers,
        _ => return Value::Array(Vec::new()),
    };
    headers.iter().map(|(name, value)| Value::Array(vec![name.as_str().into(), value.clone()])).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn commands_name_variables_where_secrets_were() {
        let request = json!({"type": "model", "action": "invoke_llm", "provider": "p", "credentials": {"api_key": "***", "url": "http://h"},
            "prompt_messages": [{"role": "user", "content": "it's $HOME `x`"}]});
        let command = invoke("runtime", "invoke_llm", &request);
        assert!(
            command.starts_with("runtime invoke invoke_llm --credential api_key=\"$API_KEY\" - <<'JSON'\n{"),
            "{command}"
        );
        assert!(
            command.contains("it's $HOME `x`") && command.ends_with("}\nJSON") && !command.contains("***"),
            "{command}"
        );
        let exchange = json!({"method": "POST", "url": "http://h/v1?a=1&b='", "request": {"body": "{\"a\":\"'\"}", "headers": [
            ["authorization", "Bearer ***"], ["content-type", "application/json"], ["content-length", "3"], ["x-$a", "b"]]}});
        let command = curl(&exchange);
        assert_eq!(
            command,
            "curl -sS -N -X POST 'http://h/v1?a=1&b='\\''' \\\n  -H \"authorization: Bearer $AUTHORIZATION\" \\\n  \
             -H 'content-type: application/json' \\\n  -H 'x-$a: b' \\\n  --data-binary '{\"a\":\"'\\''\"}'"
        );
    }
}
