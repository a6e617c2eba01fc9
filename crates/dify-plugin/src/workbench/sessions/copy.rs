//! A session as commands for a shell. Secrets are not in them: where one was, a variable is.

use serde_json::{Map, Value};

use super::opened::HIDDEN;

/// The command `invoke` that makes the same call.
pub(super) fn invoke(program: &str, action: &str, request: &Value) -> String {
    let mut request = request.as_object().cloned().unwrap_or_default();
    let (mut options, mut settings) = (String::new(), Vec::new());
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
                _ => {
                    let place = format!("{HIDDEN}{}{HIDDEN}", variable(&name));
                    settings.push((place.clone(), format!("${{{}}}", variable(&name))));
                    fields.insert(name, place.into());
                }
            }
        }
    }
    request.remove("action");
    let mut body = serde_json::to_string_pretty(&Value::Object(request)).unwrap_or_default();
    let mut mark = "'JSON'";
    if !settings.is_empty() {
        // The shell fills in variables, and nothing else.
        body = settings.iter().fold(escaped(&body, "\\$`"), |body, (place, variable)| body.replace(place, variable));
        mark = "JSON";
    }
    format!("{program} invoke{options} -- {} - <<{mark}\n{body}\nJSON", quoted(action))
}

/// The same request to the upstream with curl.
pub(super) fn curl(exchange: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let word = |text: &str| match text.contains(HIDDEN) {
        true => format!("\"{}\"", with_variable(text, "SECRET")),
        false => quoted(text),
    };
    let (method, url) = (quoted(&text(&exchange["method"])), word(&text(&exchange["url"])));
    let mut command = format!("curl -sS -N --request={method} --url={url}");
    for header in exchange["request"]["headers"].as_array().into_iter().flatten() {
        let (name, value) = (text(&header[0]), text(&header[1]));
        if matches!(name.as_str(), "content-length" | "host" | "accept-encoding") {
            continue;
        }
        let value = match value.contains(HIDDEN) {
            true => format!("\"{}: {}\"", escaped(&name, DOUBLE_QUOTED), with_variable(&value, &variable(&name))),
            false => quoted(&format!("{name}: {value}")),
        };
        command += &format!(" \\\n  --header={value}");
    }
    let body = text(&exchange["request"]["body"]);
    if !body.is_empty() {
        // Unlike other options for data, this one reads no file that the text names.
        command += &format!(" \\\n  --data-raw={}", word(&body));
    }
    command
}

/// A value in double quotes, with the variable where the secret was.
fn with_variable(value: &str, variable: &str) -> String {
    let parts = value.split(HIDDEN).map(|part| escaped(part, DOUBLE_QUOTED));
    parts.collect::<Vec<_>>().join(&format!("${{{variable}}}"))
}

/// What a shell reads within double quotes.
const DOUBLE_QUOTED: &str = "\"\\$`";

/// A text with a backslash before each of these characters.
fn escaped(text: &str, special: &str) -> String {
    text.chars().fold(String::new(), |mut whole, character| {
        if special.contains(character) {
            whole.push('\\');
        }
        whole.push(character);
        whole
    })
}

/// A word of a shell, whatever it contains.
fn quoted(text: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=%+,".contains(character);
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
            command.starts_with("runtime invoke --credential api_key=\"$API_KEY\" -- invoke_llm - <<'JSON'\n{"),
            "{command}"
        );
        assert!(
            command.contains("it's $HOME `x`") && command.ends_with("}\nJSON") && !command.contains("***"),
            "{command}"
        );
        // In settings the shell fills in the variable, and nothing else.
        let request = json!({"type": "endpoint", "settings": {"api key": "***", "other": "$HOME"}, "text": "`x`"});
        let command = invoke("runtime", "invoke_endpoint", &request);
        assert!(command.contains("<<JSON\n") && command.contains("\"api key\": \"${API_KEY}\""), "{command}");
        assert!(command.contains("\\$HOME") && command.contains("\\`x\\`") && !command.contains("***"), "{command}");
        let exchange = json!({"method": "POST", "url": "http://h/v1?a=1&b='", "request": {"body": "{\"a\":\"'\"}", "headers": [
            ["authorization", "Bearer ***"], ["content-type", "application/json"], ["content-length", "3"], ["x-$a", "b"]]}});
        let command = curl(&exchange);
        assert_eq!(
            command,
            "curl -sS -N --request=POST --url='http://h/v1?a=1&b='\\''' \\\n  --header=\"authorization: Bearer ${AUTHORIZATION}\" \\\n  \
             --header='content-type: application/json' \\\n  --header='x-$a: b' \\\n  --data-raw='{\"a\":\"'\\''\"}'"
        );
    }

    #[test]
    fn a_hostile_recording_names_no_file_and_no_option() {
        let exchange = json!({"method": "-K/tmp/x", "url": "-K/tmp/x",
            "request": {"body": "@/etc/passwd", "headers": [["@/tmp/h", "v"]]}});
        let command = curl(&exchange);
        for part in ["--request=-K/tmp/x", "--url=-K/tmp/x", "--data-raw='@/etc/passwd'", "--header='@/tmp/h: v'"] {
            assert!(command.contains(part), "{part}: {command}");
        }
        let secret =
            json!({"method": "GET", "url": "http://h/?key=***&x=`id`", "request": {"body": "***$(id)", "headers": []}});
        let command = curl(&secret);
        assert!(command.contains("key=${SECRET}&x=\\`id\\`") && command.contains("\"${SECRET}\\$(id)\""), "{command}");
        assert!(invoke("runtime", "--help", &json!({})).starts_with("runtime invoke -- --help - <<'JSON'"));
    }
}
