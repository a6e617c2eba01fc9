//! What the server said about its models, kept for a minute: calls and schemas need no question of their own.
//!
//! One question at a time per model; a model that does not answer is not asked again for some seconds, and what is known
//! or assumed of it is used meanwhile. An error of a call drops the entry, so that a changed model is noticed at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use tracing::{info, warn};

use super::description::Description;
use super::settings::Settings;
use crate::error::InvokeError;
use crate::providers::compatible::refuse_page;
use crate::upstream::Upstream;

/// How long a description is used.
const LIFE: Duration = Duration::from_secs(60);

/// How long a server that did not answer is left alone.
const PAUSE: Duration = Duration::from_secs(5);

/// Models that are kept at once.
const MOST_MODELS: usize = 1024;

/// Longest list of models.
const LONGEST_LIST: usize = 16 * 1024 * 1024;

/// See the module.
#[derive(Default)]
pub(super) struct Catalog(Mutex<HashMap<u64, Arc<Place>>>);

#[derive(Default)]
struct Place {
    asking: tokio::sync::Mutex<()>,
    known: Mutex<Option<Known>>,
}

#[derive(Clone)]
struct Known {
    description: Arc<Description>,
    until: Instant,
    /// From the server, not assumed.
    told: bool,
}

impl Catalog {
    /// The model's description: known, asked for, or assumed with a logged reason.
    pub(super) async fn describe(&self, upstream: &Upstream, settings: &Settings) -> Arc<Description> {
        let place = self.place(settings.key);
        if let Some(known) = place.fresh() {
            return known;
        }
        let _asking = place.asking.lock().await;
        if let Some(known) = place.fresh() {
            return known;
        }
        match ask(upstream, settings).await {
            Ok(description) => place.learn(Arc::new(description), &settings.uid),
            Err(error) => place.assume(settings, &error),
        }
    }

    /// The model's description as the server gives it now, or its refusal.
    pub(super) async fn ask(&self, upstream: &Upstream, settings: &Settings) -> Result<Arc<Description>, InvokeError> {
        let description = Arc::new(ask(upstream, settings).await?);
        Ok(self.place(settings.key).learn(description, &settings.uid))
    }

    /// The next call asks again.
    pub(super) fn forget(&self, key: u64) {
        if let Some(known) = self.place(key).known.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.until = Instant::now();
        }
    }

    fn place(&self, key: u64) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MOST_MODELS && !places.contains_key(&key) {
            places.clear();
        }
        places.entry(key).or_default().clone()
    }
}

impl Place {
    fn fresh(&self) -> Option<Arc<Description>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.until > Instant::now()).map(|known| known.description.clone())
    }

    fn learn(&self, description: Arc<Description>, uid: &str) -> Arc<Description> {
        let known = Known { description: description.clone(), until: Instant::now() + LIFE, told: true };
        let before = self.known.lock().unwrap_or_else(PoisonError::into_inner).replace(known);
        if before.is_some_and(|before| before.told && before.description != description) {
            info!(uid, abilities = ?description.model_ability, "the model was changed on the server");
        }
        description
    }

    fn assume(&self, settings: &Settings, error: &InvokeError) -> Arc<Description> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let last = known.as_ref().filter(|known| known.told).cloned();
        let source = if last.is_some() { "the last description" } else { "the stored credentials" };
        warn!(uid = settings.uid, reason = error.brief(), source, "the server cannot be asked about the model");
        let told = last.is_some();
        let description = last.map_or_else(|| Arc::new(settings.assumed.clone()), |last| last.description);
        *known = Some(Known { description: description.clone(), until: Instant::now() + PAUSE, told });
        description
    }
}

async fn ask(upstream: &Upstream, settings: &Settings) -> Result<Description, InvokeError> {
    let url = settings.description_url();
    let response = upstream.send(&settings.get(url.clone())).await?;
    refuse_page(response, &url).await?.json(LONGEST_LIST).await
}

/// An entry of the list of running models.
#[derive(Debug, Deserialize)]
pub(super) struct Running {
    /// The model's UID.
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) description: Description,
}

/// The models that run; an entry that cannot be read is passed over.
pub(super) async fn list(upstream: &Upstream, settings: &Settings) -> Result<Vec<Running>, InvokeError> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<serde_json::Value>,
    }
    let url = settings.root.join(&["v1", "models"]);
    let response = upstream.send(&settings.get(url.clone())).await?;
    let list: List = refuse_page(response, &url).await?.json(LONGEST_LIST).await?;
    Ok(list.data.into_iter().filter_map(|entry| serde_json::from_value(entry).ok()).collect())
}
