//! Context caches of the strict Gemini mock: created, extended, dropped, and inserted before the contents of a request.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::Method;
use serde_json::{Map, Value, json};

/// Minimum number of tokens in a cache; the mock counts one per word.
pub const MIN_CACHE_TOKENS: usize = 1024;

/// The caches of one server, by number.
#[derive(Default)]
pub struct Caches(Mutex<Vec<Option<Map<String, Value>>>>, AtomicBool);

/// An error: status, status code, message.
pub type Refused = (u16, &'static str, String);

fn invalid(message: &str) -> Refused {
    (400, "INVALID_ARGUMENT", message.to_owned())
}

fn lost() -> Refused {
    (403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)".to_owned())
}

fn is_life(ttl: &Value) -> bool {
    ttl.as_str().and_then(|ttl| ttl.strip_suffix('s')).is_some_and(|ttl| ttl.parse::<u64>().is_ok_and(|ttl| ttl >= 60))
}

fn words(value: &Value) -> usize {
    match value {
        Value::String(text) => text.split_whitespace().count(),
        Value::Array(items) => items.iter().map(words).sum(),
        Value::Object(map) => map.values().map(words).sum(),
        _ => 0,
    }
}

impl Caches {
    /// Drops all caches.
    pub fn lose(&self) {
        self.0.lock().unwrap().iter_mut().for_each(|cache| *cache = None);
    }

    /// Drops each cache as soon as it is created.
    pub fn lose_every(&self) {
        self.1.store(true, Ordering::SeqCst);
    }

    /// Responds to a request below `cachedContents`.
    pub fn answer(&self, method: &Method, path: &str, query: Option<&str>, body: &Value) -> Result<Value, Refused> {
        let mut caches = self.0.lock().unwrap();
        let map = body.as_object().ok_or_else(|| invalid("no object"))?;
        if *method == Method::PATCH {
            let known = path.rsplit('/').next().and_then(|id| id.parse::<usize>().ok());
            let known = known.filter(|id| caches.get(*id).is_some_and(Option::is_some)).ok_or_else(lost)?;
            if query != Some("updateMask=ttl") || map.len() != 1 || !is_life(&map["ttl"]) {
                return Err(invalid("only the ttl can be changed"));
            }
            return Ok(json!({"name": format!("cachedContents/{known}")}));
        }
        if !map["model"].as_str().is_some_and(|model| model.starts_with("models/")) || !is_life(&map["ttl"]) {
            return Err(invalid("model or ttl are wrong"));
        }
        let tokens = ["systemInstruction", "contents", "tools"].iter().map(|key| words(&body[key])).sum::<usize>();
        if tokens < MIN_CACHE_TOKENS {
            let message = format!(
                "Cached content is too small. total_token_count={tokens}, min_total_token_count={MIN_CACHE_TOKENS}"
            );
            return Err(invalid(&message));
        }
        caches.push(Some(map.clone()).filter(|_| !self.1.load(Ordering::SeqCst)));
        let name = format!("cachedContents/{}", caches.len() - 1);
        Ok(json!({"name": name, "model": map["model"], "usageMetadata": {"totalTokenCount": tokens}}))
    }

    /// Returns the complete request for one that names a cache.
    pub fn whole(&self, model: &str, request: &Value) -> Result<Value, Refused> {
        let Some(name) = request["cachedContent"].as_str() else { return Ok(request.clone()) };
        if ["systemInstruction", "tools", "toolConfig"].iter().any(|key| request.get(key).is_some()) {
            return Err(invalid(
                "CachedContent can not be used with GenerateContent request setting system_instruction, tools or tool_config.",
            ));
        }
        let id = name.strip_prefix("cachedContents/").and_then(|id| id.parse::<usize>().ok());
        let caches = self.0.lock().unwrap();
        let cache = id.and_then(|id| caches.get(id)?.as_ref()).ok_or_else(lost)?;
        if cache["model"] != format!("models/{model}") {
            return Err(invalid("the cache is another model's"));
        }
        let mut whole = request.as_object().unwrap().clone();
        whole.remove("cachedContent");
        for key in ["systemInstruction", "tools", "toolConfig"] {
            whole.extend(cache.get(key).map(|value| (key.to_owned(), value.clone())));
        }
        let kept = cache.get("contents").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut contents: Vec<Value> = kept;
        let mut rest = request["contents"].as_array().cloned().unwrap_or_default();
        // Joins the turn that was cut.
        if let (Some(last), Some(first)) = (contents.last_mut(), rest.first())
            && last["role"] == first["role"]
        {
            last["parts"].as_array_mut().unwrap().extend(first["parts"].as_array().unwrap().clone());
            rest.remove(0);
        }
        contents.extend(rest);
        whole.insert("contents".to_owned(), contents.into());
        Ok(whole.into())
    }
}
