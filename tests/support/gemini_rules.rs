//! What the Gemini API rejects in a request, by model. Errors name the problem.

use serde_json::{Map, Value};

#[path = "gemini_fields.rs"]
pub mod fields;

pub use fields::Surface;

/// Maximum bytes of all inline parts.
const MAX_INLINE_BYTES: usize = 24 * 1024 * 1024;

/// The documented value for calls without a known signature.
pub const BYPASS: &str = "skip_thought_signature_validator";

type Checked<T = ()> = Result<T, String>;

/// Returns the major and minor version of a model; an alias counts as the newest.
fn version(model: &str) -> (u32, u32) {
    if model.contains("gemma") {
        return (2, 0);
    }
    let word = model.split('-').find(|word| !matches!(*word, "gemini" | "nano" | "banana")).unwrap_or_default();
    let (major, minor) = word.split_once('.').unwrap_or((word, "0"));
    (major.parse().unwrap_or(3), minor.parse().unwrap_or(8))
}

/// Whether a model generates images; such models have separate version numbers.
fn draws(model: &str) -> bool {
    model.contains("image") || is_nano_banana(model)
}

fn is_nano_banana(model: &str) -> bool {
    model.contains("nano-banana")
}

fn is_lite_3_5(model: &str) -> bool {
    version(model) == (3, 5) && model.contains("lite")
}

fn without_sampling(model: &str) -> bool {
    version(model) >= (3, 6) || is_lite_3_5(model) || is_nano_banana(model)
}

/// Checks a request that was parsed by [`fields::read`]. Returns how often the bypass value replaced a signature.
pub fn check(model: &str, request: &Value, issued: &[String]) -> Checked<usize> {
    let map = request.as_object().ok_or("the request is no object")?;
    generation(model, map.get("generationConfig"), map.get("tools"))?;
    safety(map.get("safetySettings"))?;
    if map.contains_key("cachedContent")
        && ["systemInstruction", "tools", "toolConfig"].iter().any(|key| map.contains_key(*key))
    {
        return Err("cachedContent excludes systemInstruction, tools and toolConfig".to_owned());
    }
    tools(model, map)?;
    if let Some(system) = map.get("systemInstruction") {
        parts_of(system)?.iter().try_for_each(|part| self::part(part).map(drop))?;
    }
    let contents = map
        .get("contents")
        .and_then(Value::as_array)
        .filter(|contents| !contents.is_empty())
        .ok_or("contents is empty")?;
    if inline(request) > MAX_INLINE_BYTES {
        return Err("Request payload size exceeds the limit".to_owned());
    }
    conversation(model, contents)?;
    signatures(model, contents, issued)
}

fn inline(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(inline).sum(),
        Value::Object(map) => {
            let own = map.get("inlineData").and_then(|blob| blob["data"].as_str()).map_or(0, str::len);
            own + map.values().map(inline).sum::<usize>()
        }
        _ => 0,
    }
}

fn number(config: &Map<String, Value>, key: &str, low: f64, high: f64, whole: bool) -> Checked {
    match config.get(key) {
        None => Ok(()),
        Some(value) if whole && !value.is_i64() && !value.is_u64() => Err(format!("{key} must be an integer")),
        Some(value) => match value.as_f64() {
            Some(number) if (low..=high).contains(&number) => Ok(()),
            _ => Err(format!("{key} is out of range")),
        },
    }
}

fn generation(model: &str, config: Option<&Value>, tools: Option<&Value>) -> Checked {
    let Some(config) = config else { return Ok(()) };
    let config = config.as_object().filter(|config| !config.is_empty()).ok_or("generationConfig is empty")?;
    number(config, "temperature", 0.0, 2.0, false)?;
    number(config, "topP", 0.0, 1.0, false)?;
    number(config, "topK", 1.0, 1000.0, true)?;
    // A model that continues over several requests accepts the output limit of all of them.
    let longest = if version(model) >= (4, 0) { 1_048_576.0 } else { 65_536.0 };
    number(config, "maxOutputTokens", 1.0, longest, true)?;
    number(config, "seed", -2_147_483_648.0, 2_147_483_647.0, true)?;
    if without_sampling(model)
        && ["temperature", "topP", "topK", "presencePenalty", "frequencyPenalty"]
            .iter()
            .any(|key| config.contains_key(*key))
    {
        return Err(format!("{model} takes no sampling parameters"));
    }
    if let Some(stops) = config.get("stopSequences").and_then(Value::as_array)
        && (stops.len() > 5 || stops.iter().any(|stop| stop == ""))
    {
        return Err("stopSequences must be one to five texts".to_owned());
    }
    let schema = ["responseSchema", "responseJsonSchema"].iter().any(|key| config.contains_key(*key));
    if schema && config.get("responseMimeType").is_none_or(|kind| kind != "application/json") {
        return Err("a schema needs the media type application/json".to_owned());
    }
    if let Some(image) = config.get("imageConfig") {
        let wide = matches!(image["aspectRatio"].as_str(), Some("1:4" | "4:1" | "1:8" | "8:1"));
        let small = image["imageSize"] == "512";
        let takes_wide = model.contains("3.1-flash") || is_nano_banana(model);
        if !draws(model) || wide && !takes_wide || small && !model.contains("3.1-flash") {
            return Err(format!("{model} does not support this image config: {image}"));
        }
    }
    if draws(model) && config.get("maxOutputTokens").is_some_and(|limit| limit.as_u64() > Some(32_768)) {
        return Err("maxOutputTokens is out of range".to_owned());
    }
    if config.contains_key("responseMimeType") && version(model) < (3, 0) && tools.is_some() {
        return Err("JSON mode does not go with tools".to_owned());
    }
    thinking(model, config.get("thinkingConfig"))
}

fn thinking(model: &str, config: Option<&Value>) -> Checked {
    let Some(config) = config else { return Ok(()) };
    let config = config.as_object().filter(|config| !config.is_empty()).ok_or("thinkingConfig is empty")?;
    match (config.get("thinkingBudget"), config.get("thinkingLevel").and_then(Value::as_str)) {
        (Some(_), Some(_)) => Err("thinkingBudget and thinkingLevel together".to_owned()),
        (None, Some("MINIMAL" | "MEDIUM" | "HIGH")) if is_nano_banana(model) => Ok(()),
        (None, Some("XHIGH")) if model.contains("hydrogen") || model.contains("neon") => Ok(()),
        (None, Some(_)) if version(model) < (3, 0) => Err(format!("{model} takes no thinkingLevel")),
        (None, Some("MINIMAL")) if version(model) >= (3, 7) || model.contains("pro") => {
            Err(format!("{model} cannot think that little"))
        }
        (None, Some("MINIMAL" | "LOW" | "MEDIUM" | "HIGH") | None) => Ok(()),
        (None, Some(other)) => Err(format!("thinkingLevel {other}")),
        (Some(budget), None) => match (budget.as_i64(), model) {
            (Some(-1), _) => Ok(()),
            (Some(0), model) if model.contains("flash") => Ok(()),
            (Some(budget), model) if model.contains("pro") && (128..=32_768).contains(&budget) => Ok(()),
            (Some(budget), model) if model.contains("lite") && (512..=24_576).contains(&budget) => Ok(()),
            (Some(1..=24_576), model) if model.contains("flash") && !model.contains("lite") => Ok(()),
            _ => Err(format!("thinkingBudget {budget}")),
        },
    }
}

fn safety(settings: Option<&Value>) -> Checked {
    let mut seen = Vec::new();
    for setting in settings.and_then(Value::as_array).into_iter().flatten() {
        let category = setting["category"].as_str().unwrap_or_default();
        if seen.contains(&category) {
            return Err(format!("category {category} twice"));
        }
        seen.push(category);
    }
    Ok(())
}

fn tools(model: &str, request: &Map<String, Value>) -> Checked {
    let tools: Vec<&Map<String, Value>> =
        request.get("tools").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object).collect();
    let functions = tools.iter().any(|tool| tool.contains_key("functionDeclarations"));
    let own = tools.iter().any(|tool| !tool.contains_key("functionDeclarations"));
    let declarations = tools.iter().filter_map(|tool| tool.get("functionDeclarations")?.as_array()).flatten();
    let mut names = Vec::new();
    for declaration in declarations {
        let name = declaration["name"].as_str().unwrap_or_default();
        if name.is_empty() || name.len() > 64 || names.contains(&name) {
            return Err(format!("Invalid or duplicate function declaration found: {name}"));
        }
        names.push(name);
        if declaration.get("parametersJsonSchema").is_some_and(|schema| schema["type"] != "object")
            || declaration.get("parameters").is_some_and(|schema| schema["type"] != "OBJECT")
        {
            return Err(format!("the parameters of {name} must be an object"));
        }
    }
    let calling = request.get("toolConfig").map(|config| &config["functionCallingConfig"]);
    let allowed = calling.and_then(|calling| calling["allowedFunctionNames"].as_array());
    if allowed.is_some_and(|allowed| allowed.iter().any(|name| !names.contains(&name.as_str().unwrap_or_default()))) {
        return Err("allowed_function_names names an unknown function".to_owned());
    }
    if allowed.is_some()
        && calling.is_some_and(|calling| !matches!(calling["mode"].as_str(), Some("ANY" | "VALIDATED")))
    {
        return Err("allowed_function_names goes with ANY or VALIDATED".to_owned());
    }
    let combined = request.get("toolConfig").is_some_and(|config| config["includeServerSideToolInvocations"] == true);
    match (functions && own, combined) {
        (true, false) => Err("functions with Google's tools need includeServerSideToolInvocations".to_owned()),
        (true, true) if version(model) < (3, 0) => Err(format!("{model} does not combine tools")),
        _ => Ok(()),
    }
}

fn parts_of(content: &Value) -> Checked<&Vec<Value>> {
    content["parts"].as_array().filter(|parts| !parts.is_empty()).ok_or_else(|| "a content has no parts".to_owned())
}

/// Returns the type of data in a part.
fn part(part: &Value) -> Checked<&'static str> {
    let kind = *fields::DATA.iter().find(|key| part.get(**key).is_some()).ok_or("a part without data")?;
    match kind {
        "text" if part["text"] == "" && part.get("thoughtSignature").is_none() => Err("an empty text part".to_owned()),
        kind => Ok(kind),
    }
}

fn conversation(model: &str, contents: &[Value]) -> Checked {
    let mut open: Vec<(Option<&str>, &str)> = Vec::new();
    let mut last = "model";
    for content in contents {
        let role = content["role"].as_str().ok_or("Please use a valid role: user, model.")?;
        let mut answers = Vec::new();
        let mut calls = Vec::new();
        for item in parts_of(content)? {
            match part(item)? {
                "functionCall" => calls.push((
                    item["functionCall"]["id"].as_str(),
                    item["functionCall"]["name"].as_str().unwrap_or_default(),
                )),
                "functionResponse" => {
                    let response = &item["functionResponse"];
                    answers.push((response["id"].as_str(), response["name"].as_str().unwrap_or_default()));
                }
                _ => {}
            }
        }
        if answers != open {
            return Err(format!("the function responses {answers:?} do not match the calls {open:?}"));
        }
        if role == "model" && std::mem::replace(&mut last, "model") == "model" {
            return Err(
                "function call turn comes immediately after a user turn or after a function response turn".to_owned()
            );
        }
        if role == "user" && !calls.is_empty() || role == "model" && !answers.is_empty() {
            return Err(format!("role {role} neither calls nor answers that"));
        }
        last = role;
        open = calls;
    }
    if !open.is_empty() {
        return Err(format!("the calls {open:?} have no responses"));
    }
    let role =
        |content: Option<&Value>| content.and_then(|content| content["role"].as_str()).unwrap_or_default().to_owned();
    if without_sampling(model) && (role(contents.first()) != "user" || role(contents.last()) != "user") {
        return Err(format!("{model} wants the user's turn first and last"));
    }
    Ok(())
}

fn signatures(model: &str, contents: &[Value], issued: &[String]) -> Checked<usize> {
    let items = |content: &Value| content["parts"].as_array().cloned().unwrap_or_default();
    let ordinary = |content: &Value| {
        content["role"] == "user" && items(content).iter().any(|part| part.get("functionResponse").is_none())
    };
    let current = contents.iter().rposition(ordinary).unwrap_or(0);
    let mut bypasses = 0;
    for (index, content) in contents.iter().enumerate() {
        let mut first = true;
        for item in items(content) {
            let signature = item["thoughtSignature"].as_str();
            match signature {
                Some(BYPASS) => bypasses += 1,
                Some(signature) if !issued.iter().any(|known| known == signature) => {
                    return Err("Corrupted thought signature.".to_owned());
                }
                _ => {}
            }
            let is_call = item.get("functionCall").is_some();
            if is_call
                && std::mem::take(&mut first)
                && signature.is_none()
                && index > current
                && version(model) >= (3, 0)
            {
                return Err(format!(
                    "Function call `{}` is missing a thought_signature.",
                    item["functionCall"]["name"]
                ));
            }
        }
    }
    Ok(bypasses)
}
