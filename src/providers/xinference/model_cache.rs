//! Caches what the server reports about its models for a minute, so that most requests need no additional query.
//!
//! Each model is queried by one request at a time. If the server does not respond, it is not queried again for some
//! seconds,
//! and the known or assumed model info is used. An error of a request drops the entry, so that a changed model is
//! noticed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use tracing::{info, warn};

use super::model_info::ModelInfo;
use super::settings::Settings;
use crate::dialect::think::Beginning;
use crate::providers::compatible::refuse_page;
use dify_plugin::codec::json;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::Upstream;
use dify_plugin::upstream::client::public_url;

/// How long model info is used.
const MODEL_INFO_TTL: Duration = Duration::from_secs(60);

/// How long it is remembered how a model's thoughts begin.
const SEEN_TTL: Duration = Duration::from_secs(10 * 60);

/// Minimum time between queries to a server that did not respond.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Maximum number of cached models.
const MAX_MODELS: usize = 1024;

/// Maximum size of the list of models in bytes.
const MAX_LIST_BYTES: usize = 16 * 1024 * 1024;

/// Maximum number of listed models that are examined.
const MAX_LISTED_MODELS: usize = 10_000;

/// Cached information about models.
#[derive(Default)]
pub(super) struct Catalog(Mutex<HashMap<u64, Arc<Place>>>);

#[derive(Default)]
struct Place {
    asking: tokio::sync::Mutex<()>,
    known: Mutex<Option<Known>>,
    /// How the thoughts of the last responses began, for thinking switched on and for no setting.
    seen: Mutex<[Option<(Beginning, Instant)>; 2]>,
}

/// What is known about a model.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) description: Arc<ModelInfo>,
    until: Instant,
    /// Why the model info is only assumed: the server has never reported any.
    pub(super) assumed_because: Option<InvokeError>,
    /// Set if the server rejected the credentials of the latest query.
    refused: Option<InvokeError>,
}

impl Known {
    /// Returns the rejection instead of querying again, because too many rejections ban the client address.
    fn usable(self) -> Result<Self, InvokeError> {
        match self.refused {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

impl Catalog {
    /// Returns what is known about the model: cached, queried, or assumed with a logged reason. An error if the server
    /// rejects the credentials.
    pub(super) async fn describe(&self, upstream: &Upstream, settings: &Settings) -> Result<Known, InvokeError> {
        let place = self.place(settings.key);
        if let Some(known) = place.fresh() {
            return known.usable();
        }
        let _asking = place.asking.lock().await;
        if let Some(known) = place.fresh() {
            return known.usable();
        }
        match ask(upstream, settings).await {
            Ok(description) => Ok(place.learn(Arc::new(description), &settings.uid)),
            Err(error) => place.assume(settings, error).usable(),
        }
    }

    /// Queries the server for the model info, and returns it or the server's rejection.
    pub(super) async fn ask(&self, upstream: &Upstream, settings: &Settings) -> Result<Arc<ModelInfo>, InvokeError> {
        let description = Arc::new(ask(upstream, settings).await?);
        Ok(self.place(settings.key).learn(description, &settings.uid).description)
    }

    /// Drops the entry, so that the next request queries the server.
    pub(super) fn forget(&self, key: u64) {
        if let Some(known) = self.place(key).known.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.until = Instant::now();
        }
    }

    /// Returns how the thoughts of an earlier response began, with thinking switched on or not set.
    pub(super) fn seen(&self, key: u64, is_switched_on: bool) -> Option<Beginning> {
        let place = self.place(key);
        let seen = place.seen.lock().unwrap_or_else(PoisonError::into_inner)[usize::from(is_switched_on)];
        seen.filter(|(_, until)| *until > Instant::now()).map(|(beginning, _)| beginning)
    }

    /// Stores how the thoughts of a response began.
    pub(super) fn saw(&self, key: u64, is_switched_on: bool, beginning: Beginning) {
        let place = self.place(key);
        let mut seen = place.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen[usize::from(is_switched_on)] = Some((beginning, Instant::now() + SEEN_TTL));
    }

    fn place(&self, key: u64) -> Arc<Place> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX_MODELS && !places.contains_key(&key) {
            places.clear();
        }
        places.entry(key).or_default().clone()
    }
}

impl Place {
    fn fresh(&self) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.until > Instant::now()).cloned()
    }

    fn learn(&self, description: Arc<ModelInfo>, uid: &str) -> Known {
        let known = Known { description, until: Instant::now() + MODEL_INFO_TTL, assumed_because: None, refused: None };
        let before = self.known.lock().unwrap_or_else(PoisonError::into_inner).replace(known.clone());
        if before.is_some_and(|before| before.assumed_because.is_none() && before.description != known.description) {
            *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = [None; 2];
            info!(uid, abilities = ?known.description.model_ability, "model changed on the server");
        }
        known
    }

    fn assume(&self, settings: &Settings, error: InvokeError) -> Known {
        let mut place = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let last =
            place.as_ref().filter(|known| known.assumed_because.is_none()).map(|known| known.description.clone());
        let source = if last.is_some() { "the last model info" } else { "the stored credentials" };
        warn!(uid = settings.uid, reason = error.log_summary(), source, "cannot query the server for the model");
        let known = Known {
            assumed_because: last.is_none().then(|| error.clone()),
            description: last.unwrap_or_else(|| Arc::new(settings.assumed.clone())),
            until: Instant::now() + RETRY_INTERVAL,
            refused: Some(error).filter(|error| error.status == Some(401)),
        };
        *place = Some(known.clone());
        known
    }
}

async fn ask(upstream: &Upstream, settings: &Settings) -> Result<ModelInfo, InvokeError> {
    let url = settings.description_url();
    let response = upstream.send(&settings.get(url.clone())).await?;
    let description: ModelInfo = refuse_page(response, &url).await?.json(MAX_LIST_BYTES).await?;
    if description == ModelInfo::default() {
        return Err(InvokeError::server_unavailable(format!(
            "the response of {} describes no model",
            public_url(&url)
        ))
        .with_hint("Set `server_url` to the URL of the Xinference server itself."));
    }
    Ok(description)
}

/// An entry of the list of running models.
#[derive(Debug, Deserialize)]
pub(super) struct Running {
    /// The model's UID.
    pub(super) id: String,
    #[serde(flatten)]
    pub(super) description: ModelInfo,
}

/// Returns the running models; entries that cannot be parsed are skipped.
pub(super) async fn list(upstream: &Upstream, settings: &Settings) -> Result<Vec<Running>, InvokeError> {
    #[derive(Deserialize)]
    struct List {
        #[serde(deserialize_with = "json::first::<MAX_LISTED_MODELS, _, _>")]
        data: Vec<Running>,
    }
    let url = settings.root.join(&["v1", "models"]);
    let response = upstream.send(&settings.get(url.clone())).await?;
    let list: List = refuse_page(response, &url).await?.json(MAX_LIST_BYTES).await?;
    Ok(list.data)
}
