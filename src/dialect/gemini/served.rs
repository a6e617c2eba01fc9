//! Which model answered. Google routes calls for a model that it is about to shut down to the one that follows it, and an
//! alias to the newest one; an answer says which (`modelVersion`), and how long that model will be served (`modelStatus`).
//! What is said is written to the log once per call. What the tokens cost is `price`'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde_json::Value;

use super::catalog::Catalog;
use super::wire::ModelStatus;
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::{MAX_FIELD_BYTES, clip};

/// Longest message of a model's status that is logged.
const MAX_MESSAGE_BYTES: usize = 500;

/// The model that a call asks for, and what its answers say of the one that serves it. Clones belong to the same call.
#[derive(Clone, Debug, Default)]
pub struct Served {
    asked: String,
    catalog: Catalog,
    seen: Arc<Seen>,
}

/// What the answers of a call have said.
#[derive(Debug, Default)]
struct Seen {
    version: AtomicBool,
    retirement: AtomicBool,
}

impl Served {
    /// A call of a model among the declared ones.
    pub fn new(asked: &str, catalog: Catalog) -> Self {
        Self { asked: asked.to_owned(), catalog, seen: Arc::default() }
    }

    /// The model that is asked.
    pub fn asked(&self) -> &str {
        &self.asked
    }

    /// Takes what a whole answer says.
    pub fn read(&self, answer: &Value) -> Option<Arc<ModelSchema>> {
        let status = answer.get("modelStatus").and_then(|status| ModelStatus::deserialize(status).ok());
        self.take(answer.get("modelVersion").and_then(Value::as_str), status.as_ref())
    }

    /// Takes what an answer says. The declaration of the model that answered, when it says so for the first time and is
    /// another than the one that was asked for.
    pub fn take(&self, version: Option<&str>, status: Option<&ModelStatus>) -> Option<Arc<ModelSchema>> {
        if let Some(status) = status {
            self.warn(status);
        }
        let version = version.map(str::trim).filter(|version| !version.is_empty())?;
        if self.seen.version.swap(true, Ordering::Relaxed) {
            return None;
        }
        let answered = self.catalog.find(version).cloned();
        let asked = self.catalog.find(&self.asked);
        if asked.is_some() && asked.map(|model| &model.model) == answered.as_ref().map(|model| &model.model) {
            return None;
        }
        let name = version.rsplit('/').next().unwrap_or(version);
        if name != self.asked.rsplit('/').next().unwrap_or(&self.asked) {
            let is_declared = answered.is_some();
            tracing::info!(
                asked = self.asked,
                answered = clip(name, MAX_FIELD_BYTES).as_ref(),
                is_declared,
                "another model answered"
            );
        }
        answered
    }

    fn warn(&self, status: &ModelStatus) {
        let time = status.retirement_time.as_deref().map(str::trim).filter(|time| !time.is_empty());
        let Some(time) = time.filter(|_| !self.seen.retirement.swap(true, Ordering::Relaxed)) else { return };
        tracing::warn!(
            model = self.asked,
            retirement_time = clip(time, MAX_FIELD_BYTES).as_ref(),
            stage = clip(&status.model_stage, MAX_FIELD_BYTES).as_ref(),
            status = clip(&status.message, MAX_MESSAGE_BYTES).as_ref(),
            "Google will retire the model; choose another one"
        );
    }
}
