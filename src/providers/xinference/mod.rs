//! Xinference: models on the user's own server, described by that server.
//!
//! The abilities of a model are queried from the server and cached for a minute (`model_cache`); schema, requests and
//! validation follow from them. The wire format is that of the OpenAI-compatible dialect.
//! Source: `xorbitsai/inference: xinference/api/restful_api.py`; fields as in
//! `langgenius/dify-official-plugins: models/xinference/`.

mod login;
mod model_cache;
mod model_info;
mod models;
mod schema_from_server;
mod settings;
mod thoughts;
mod validate;
mod voices;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use url::Url;

use super::compatible::model::{LanguageVoice, Model, Source};
use super::compatible::provider::Compatible;
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, ResultFuture, Validated};
use dify_plugin::protocol::{Credentials, ModelRequest, ModelType, Target};
use dify_plugin::upstream::Upstream;
use model_cache::Catalog;
use model_info::ModelInfo;
use settings::Settings;

/// The Xinference provider.
pub type Xinference = Compatible<Server>;

/// The source of its models: what the server reports about them.
#[derive(Default)]
pub struct Server {
    catalog: Arc<Catalog>,
    tokens: Arc<login::Tokens>,
}

/// What is known about the model of a form.
struct Found {
    settings: Settings,
    description: Arc<ModelInfo>,
    /// Why the model info is only assumed.
    assumed_because: Option<InvokeError>,
}

impl Server {
    /// Reads the form and the model info, and rejects a model that has another type according to the server.
    async fn find(&self, upstream: &Upstream, target: &Target, wanted: ModelType) -> Result<Found, InvokeError> {
        let settings = Settings::read(target, upstream, &self.tokens)?;
        let model_cache::Known { description, assumed_because, .. } =
            self.catalog.describe(upstream, &settings).await?;
        if description.is_reported() && !description.serves(wanted) {
            self.catalog.forget(settings.key);
            return Err(description.mismatch(&settings.uid, wanted));
        }
        Ok(Found { settings, description, assumed_because })
    }
}

impl Source for Server {
    fn name(&self) -> &str {
        "xinference"
    }

    fn model<'a>(
        &'a self,
        context: &'a CallContext,
        target: &'a Target,
        model_type: ModelType,
    ) -> BoxFuture<'a, Result<Arc<Model>, InvokeError>> {
        Box::pin(async move {
            let found = self.find(&context.upstream, target, model_type).await?;
            // Not kept: the server may describe its model differently after a minute.
            models::model(found, self.catalog.clone(), &target.credentials, model_type).map(Arc::new)
        })
    }

    fn schema(self: Arc<Self>, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        Box::pin(async move {
            let found = self.find(&context.upstream, &request.target, request.model_type).await?;
            match found.assumed_because {
                None => schema_from_server::schema(&request, &found.settings, &found.description),
                Some(error) => {
                    let message =
                        format!("the abilities of model `{}` are unknown: {}", found.settings.uid, error.message);
                    Err(error.with_message(message))
                }
            }
        })
    }

    fn call_schema(self: Arc<Self>, context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        Box::pin(async move {
            let found = self.find(&context.upstream, &request.target, request.model_type).await?;
            let mut schema = schema_from_server::schema(&request, &found.settings, &found.description)?;
            schema_from_server::admit_unknown(&mut schema, &found.settings, &found.description);
            Ok(schema)
        })
    }

    fn schemas_follow_from_credentials(&self) -> bool {
        false
    }

    fn voices<'a>(
        &'a self,
        context: &'a CallContext,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<Option<Vec<LanguageVoice>>, InvokeError>> {
        Box::pin(async move {
            let found = self.find(&context.upstream, target, ModelType::Tts).await?;
            Ok(Some(voices::of_server(&context.upstream, &found.settings, &found.description).await))
        })
    }

    fn validate_model(self: Arc<Self>, context: CallContext, request: ModelRequest) -> ResultFuture<Validated> {
        Box::pin(validate::validate(self, context, request))
    }

    fn endpoints(&self, credentials: &Credentials) -> Result<Vec<Url>, InvokeError> {
        Ok(vec![settings::root(credentials)?.as_url().clone()])
    }
}

/// Whether this model type is supported.
fn is_served(model_type: ModelType) -> bool {
    model_type != ModelType::Moderation
}
