//! The credentials that were typed into the page. They stay in the memory of this process; the page gets them back as Dify's does:
//! secrets as a mask. They are added to calls by the server, so that the page never has to keep one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::{Path, State};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body::Body;
use super::error::ApiError;
use super::state::Workbench;
use crate::declare::config::ConfigField;

/// What the page sends for a secret that was not touched. Source: `langgenius/dify: api/constants/__init__.py`.
const HIDDEN: &str = "[__HIDDEN__]";

/// Maximum number of forms whose values are kept.
const MAX_FORMS: usize = 256;

/// Values by form. A key names the form: `model/PROVIDER`, `model/PROVIDER/TYPE/MODEL`, `tool/PROVIDER`, `endpoint`, ….
#[derive(Default)]
pub(super) struct Stored(Mutex<BTreeMap<String, Fields>>);

/// The values of a form.
#[derive(Default)]
pub(super) struct Fields {
    values: BTreeMap<String, Kept>,
    /// Whether they are those of an OAuth sign-in, which is a credential of its own in Dify.
    of_sign_in: bool,
}

/// A value as JSON: settings of endpoints and tools may be objects, numbers or booleans.
struct Kept(SecretString);

impl Kept {
    fn new(value: &Value) -> Self {
        Self(value.to_string().into())
    }

    fn value(&self) -> Value {
        serde_json::from_str(self.0.expose_secret()).unwrap_or_default()
    }
}

impl Stored {
    /// The values of a form, for a call.
    pub(super) fn values(&self, key: &str) -> Map<String, Value> {
        let forms = self.locked();
        let values = forms.get(key).into_iter().flat_map(|fields| &fields.values);
        values.map(|(name, kept)| (name.clone(), kept.value())).collect()
    }

    /// Whether the values of a form are those of an OAuth sign-in.
    pub(super) fn is_of_sign_in(&self, key: &str) -> bool {
        self.locked().get(key).is_some_and(|fields| fields.of_sign_in)
    }

    /// Keeps the credentials that a plugin returned from an OAuth sign-in, in place of those that were typed.
    pub(super) fn keep_sign_in(&self, key: &str, fields: &Map<String, Value>) {
        let mut forms = self.locked();
        if forms.len() >= MAX_FORMS && !forms.contains_key(key) {
            return;
        }
        let values = fields.iter().filter(|(_, value)| !value.is_null());
        let values = values.map(|(name, value)| (name.clone(), Kept::new(value))).collect();
        forms.insert(key.to_owned(), Fields { values, of_sign_in: true });
    }

    /// Puts the secrets of a subscription that were kept in their places.
    pub(super) fn fill_properties(&self, provider: &str, properties: &mut Map<String, Value>) {
        let kept = self.values(&subscription_key(provider));
        for (name, value) in properties.iter_mut().filter(|(_, value)| **value == HIDDEN) {
            *value = kept.get(name).cloned().unwrap_or_default();
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Fields>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: &str, values: Map<String, Value>) -> Result<(), ApiError> {
        let mut forms = self.locked();
        if forms.len() >= MAX_FORMS && !forms.contains_key(key) {
            return Err(
                ApiError::bad_request("the workbench keeps no more credentials").with_hint("Remove others first.")
            );
        }
        let mut former = forms.remove(key).unwrap_or_default().values;
        let mut kept = BTreeMap::new();
        for (name, value) in values {
            let value = match value {
                Value::Null => continue,
                value if value == HIDDEN => former.remove(&name),
                value => Some(Kept::new(&value)),
            };
            kept.extend(value.map(|value| (name, value)));
        }
        forms.insert(key.to_owned(), Fields { values: kept, of_sign_in: false });
        Ok(())
    }
}

/// Dify's mask of a secret. Source: `langgenius/dify: api/core/helper/encrypter.py`.
pub(super) fn masked(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    match characters.len() {
        ..=8 => "*".repeat(20),
        length => {
            let end: String = characters[length - 2..].iter().collect();
            format!("{}{}{end}", characters[..6].iter().collect::<String>(), "*".repeat(12))
        }
    }
}

/// Whether a field of a form holds a secret; one that no form declares does.
pub(super) fn is_secret(workbench: &Workbench, key: &str, name: &str) -> bool {
    let read = workbench.read();
    let Some(declarations) = &read.declarations else { return true };
    let mut parts = key.split('/');
    match (parts.next(), parts.next()) {
        (Some("model"), Some(provider)) => {
            let mut providers = declarations.providers.iter().map(|loaded| &loaded.declaration);
            let declaration = providers.find(|declaration| declaration.provider == provider);
            declaration.is_none_or(|declaration| !declaration.takes(name) || declaration.is_secret(name))
        }
        _ => {
            let kinds = &declarations.kinds;
            let constructor = kinds.trigger.as_ref().and_then(|provider| provider.subscription_constructor.as_ref());
            let fields = match key.split('/').next() {
                Some("tool") => kinds.tool.as_ref().map(|provider| &provider.credentials_schema),
                Some("datasource") => kinds.datasource.as_ref().map(|provider| &provider.credentials_schema),
                Some("trigger") => constructor.map(|constructor| &constructor.credentials_schema),
                Some("endpoint") => kinds.endpoint.as_ref().map(|group| &group.settings),
                _ => None,
            };
            // The properties of a subscription travel beside the credentials.
            let properties = kinds.trigger.as_ref().map(|provider| &provider.subscription_schema);
            let properties = properties.filter(|_| key.starts_with("trigger/"));
            let field = fields.into_iter().chain(properties).flatten().find(|field| field.name == name);
            field.is_none_or(ConfigField::is_secret)
        }
    }
}

/// Whether a field of an OAuth client holds a secret; none if no provider declares it. The address to authorize at names the client.
pub(super) fn is_client_secret(workbench: &Workbench, name: &str) -> Option<bool> {
    let read = workbench.read();
    let kinds = &read.declarations.as_ref()?.kinds;
    let constructor = kinds.trigger.as_ref().and_then(|provider| provider.subscription_constructor.as_ref());
    let schemas = [
        kinds.tool.as_ref().and_then(|provider| provider.oauth_schema.as_ref()),
        kinds.datasource.as_ref().and_then(|provider| provider.oauth_schema.as_ref()),
        constructor.and_then(|constructor| constructor.oauth_schema.as_ref()),
    ];
    let mut fields = schemas.into_iter().flatten().flat_map(|schema| &schema.client_schema);
    fields.find(|field| field.name == name).map(ConfigField::is_secret)
}

/// Keeps credentials that are given on the command line, as if they were typed into the form of the provider.
pub(super) fn keep_given(
    workbench: &Workbench,
    provider: Option<&str>,
    given: Map<String, Value>,
) -> anyhow::Result<()> {
    let read = workbench.read();
    let known = read.view["providers"].as_array().map(Vec::as_slice).unwrap_or_default();
    // Endpoints have no name; they are one provider.
    let name = |provider: &Value| provider["name"].as_str().or(provider["kind"].as_str()).map(str::to_owned);
    let form = |provider: &Value| {
        if provider["kind"] == "endpoint" { &provider["settings"] } else { &provider["credentials"] }.clone()
    };
    let found = known.iter().find(|one| match provider {
        Some(wanted) => name(one).as_deref() == Some(wanted),
        None => !form(one).is_null(),
    });
    let Some(found) = found else {
        let names: Vec<String> = known.iter().filter_map(name).collect();
        let what = provider
            .map_or_else(|| "no provider takes credentials".to_owned(), |name| format!("unknown provider `{name}`"));
        anyhow::bail!("{what}; the manifest lists {}", names.join(", "));
    };
    let name = name(found).unwrap_or_default();
    if form(found).is_null() {
        anyhow::bail!("each model of `{name}` has credentials of its own; type them into the page");
    }
    let kind = found["kind"].as_str().unwrap_or_default();
    let key = if kind == "endpoint" { kind.to_owned() } else { format!("{kind}/{name}") };
    workbench.credentials.put(&key, given).map_err(|_| anyhow::anyhow!("the credentials of `{name}` cannot be kept"))
}

/// Where the secrets of a subscription are kept that a plugin has created.
fn subscription_key(provider: &str) -> String {
    format!("subscription/{provider}")
}

/// Keeps the secrets among the properties of a subscription; the page gets what it sends for a secret that was not touched.
pub(super) fn keep_properties(workbench: &Workbench, provider: &str, properties: &mut Value) {
    let Some(properties) = properties.as_object_mut() else { return };
    let key = format!("trigger/{provider}");
    let mut secrets = Map::new();
    for (name, value) in properties.iter_mut().filter(|(_, value)| !value.is_null()) {
        if is_secret(workbench, &key, name) {
            secrets.insert(name.clone(), std::mem::replace(value, HIDDEN.into()));
        }
    }
    // With too many forms, the secrets are lost; the page says so when it uses them.
    let _ = workbench.credentials.put(&subscription_key(provider), secrets);
}

/// A form as the page gets it: secrets masked.
fn shown(workbench: &Workbench, key: &str) -> Value {
    let values = workbench.credentials.values(key).into_iter().map(|(name, value)| {
        let shown = match value.as_str() {
            Some(text) if is_secret(workbench, key, &name) => masked(text).into(),
            _ => value,
        };
        (name, shown)
    });
    json!({ "values": values.collect::<Map<_, _>>() })
}

/// `GET /api/credentials`: the forms by key.
pub(super) async fn list(State(workbench): State<Arc<Workbench>>) -> Json<Value> {
    let keys: Vec<String> = workbench.credentials.locked().keys().cloned().collect();
    let forms = keys.into_iter().map(|key| {
        let form = shown(&workbench, &key);
        (key, form)
    });
    Json(Value::Object(forms.collect()))
}

/// The values of a form.
#[derive(Deserialize)]
pub(super) struct Given {
    values: Map<String, Value>,
}

/// `PUT /api/credentials/KEY`
pub(super) async fn put(
    State(workbench): State<Arc<Workbench>>,
    Path(key): Path<String>,
    Body(given): Body<Given>,
) -> Result<Json<Value>, ApiError> {
    workbench.credentials.put(&key, given.values)?;
    Ok(Json(shown(&workbench, &key)))
}

/// `DELETE /api/credentials/KEY`
pub(super) async fn delete(State(workbench): State<Arc<Workbench>>, Path(key): Path<String>) -> Json<Value> {
    workbench.credentials.locked().remove(&key);
    Json(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_as_dify_does() {
        for (text, expected) in [
            ("", "********************"),
            ("12345678", "********************"),
            ("123456789", "123456************89"),
            ("sk-ünïcödé-key", "sk-ünï************ey"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn an_untouched_secret_stays() {
        let stored = Stored::default();
        let object = |value: Value| value.as_object().cloned().unwrap();
        stored.put("tool/a", object(json!({"key": "one", "url": "u", "empty": null}))).unwrap();
        stored.put("tool/a", object(json!({"key": HIDDEN, "url": "v", "other": HIDDEN}))).unwrap();
        assert_eq!(Value::Object(stored.values("tool/a")), json!({"key": "one", "url": "v"}));
        stored.put("tool/a", object(json!({"url": "v"}))).unwrap();
        assert_eq!(Value::Object(stored.values("tool/a")), json!({"url": "v"}));
        assert!(stored.values("tool/b").is_empty());
    }

    #[test]
    fn a_sign_in_and_typed_credentials_replace_each_other() {
        let stored = Stored::default();
        let object = |value: Value| value.as_object().cloned().unwrap();
        stored.put("tool/a", object(json!({"key": "one"}))).unwrap();
        assert!(!stored.is_of_sign_in("tool/a") && !stored.is_of_sign_in("tool/b"));
        stored.keep_sign_in("tool/a", &object(json!({"access_token": "t", "refresh_token": null})));
        assert!(stored.is_of_sign_in("tool/a"));
        assert_eq!(Value::Object(stored.values("tool/a")), json!({"access_token": "t"}));
        stored.put("tool/a", object(json!({"key": "two"}))).unwrap();
        assert!(!stored.is_of_sign_in("tool/a"));
        assert_eq!(Value::Object(stored.values("tool/a")), json!({"key": "two"}));
    }

    #[test]
    fn the_secrets_of_a_subscription_come_back_where_they_were() {
        let stored = Stored::default();
        let object = |value: Value| value.as_object().cloned().unwrap();
        stored.put(&subscription_key("p"), object(json!({"secret": "s", "number": 7}))).unwrap();
        let mut properties = object(json!({"secret": HIDDEN, "number": HIDDEN, "hook_id": "1", "lost": HIDDEN}));
        stored.fill_properties("p", &mut properties);
        assert_eq!(Value::Object(properties), json!({"secret": "s", "number": 7, "hook_id": "1", "lost": null}));
        let mut typed = object(json!({"secret": "typed"}));
        stored.fill_properties("p", &mut typed);
        assert_eq!(typed["secret"], "typed");
    }
}
