//! Tracks which model responded. Google routes requests for a model that it is about to retire to its successor, and
//! requests for an alias to the newest model; the response contains the model (`modelVersion`) and its lifecycle stage
//! (`modelStatus`). Both are logged once per call. `price` uses them for the price.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde_json::Value;

use crate::dialect::gemini::models::catalog::Catalog;
use crate::dialect::gemini::wire::ModelStatus;
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::{MAX_FIELD_BYTES, clip};

/// Maximum bytes logged of a model status message.
const MAX_MESSAGE_BYTES: usize = 500;

/// The requested model, and what responses report about the model that served it. Clones share the state of one call.
#[derive(Clone, Debug, Default)]
pub struct Served {
    requested: String,
    catalog: Catalog,
    seen: Arc<Seen>,
}

/// What the responses of a call have reported.
#[derive(Debug, Default)]
struct Seen {
    version: AtomicBool,
    retirement: AtomicBool,
}

impl Served {
    /// Creates the state for a call of one of the declared models.
    pub fn new(requested: &str, catalog: Catalog) -> Self {
        Self { requested: requested.to_owned(), catalog, seen: Arc::default() }
    }

    /// Returns the requested model.
    pub fn requested(&self) -> &str {
        &self.requested
    }

    /// Reads the model and its status from a complete response.
    pub fn read(&self, response: &Value) -> Option<Arc<ModelSchema>> {
        let status = response.get("modelStatus").and_then(|status| ModelStatus::deserialize(status).ok());
        self.take(response.get("modelVersion").and_then(Value::as_str), status.as_ref())
    }

    /// Processes a model version and status. Returns the declaration of the model that responded when it is reported
    /// for the first time and differs from the requested model.
    pub fn take(&self, version: Option<&str>, status: Option<&ModelStatus>) -> Option<Arc<ModelSchema>> {
        if let Some(status) = status {
            self.warn(status);
        }
        let version = version.map(str::trim).filter(|version| !version.is_empty())?;
        if self.seen.version.swap(true, Ordering::Relaxed) {
            return None;
        }
        let answered = self.catalog.find(version).cloned();
        let requested = self.catalog.find(&self.requested);
        if requested.is_some() && requested.map(|model| &model.model) == answered.as_ref().map(|model| &model.model) {
            return None;
        }
        let name = version.rsplit('/').next().unwrap_or(version);
        if name != self.requested.rsplit('/').next().unwrap_or(&self.requested) {
            let is_declared = answered.is_some();
            tracing::info!(
                requested = self.requested,
                answered = clip(name, MAX_FIELD_BYTES).as_ref(),
                is_declared,
                "another model responded"
            );
        }
        answered
    }

    fn warn(&self, status: &ModelStatus) {
        let time = status.retirement_time.as_deref().map(str::trim).filter(|time| !time.is_empty());
        let Some(time) = time.filter(|_| !self.seen.retirement.swap(true, Ordering::Relaxed)) else { return };
        tracing::warn!(
            model = self.requested,
            retirement_time = clip(time, MAX_FIELD_BYTES).as_ref(),
            stage = clip(&status.model_stage, MAX_FIELD_BYTES).as_ref(),
            status = clip(&status.message, MAX_MESSAGE_BYTES).as_ref(),
            "Google will retire the model; choose another one"
        );
    }
}
