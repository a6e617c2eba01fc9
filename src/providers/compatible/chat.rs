//! Chat and completion requests with the fallbacks that compatible servers need, and the validation request.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryFutureExt, TryStreamExt};
use tracing::{debug, info};

use super::rejections::{Lessons, Place, min_limit};
use super::signatures::Owner;
use super::{Action, Endpoint, refuse_page};
use crate::dialect::StreamMapper;
use crate::dialect::driver::drive;
use crate::dialect::names::FunctionNames;
use crate::dialect::openai::{ChatMapper, MapperOptions, Profile, chat_request};
use dify_plugin::error::InvokeError;
use dify_plugin::model::Chunks;
use dify_plugin::protocol::{LlmDelta, LlmRequest};
use dify_plugin::upstream::{Upstream, UpstreamResponse};

/// Sends a request and maps its response to deltas; the last one carries usage and finish reason.
///
/// `model` is the wire name. Dropping the stream cancels the request.
pub fn invoke(
    upstream: Upstream,
    endpoint: impl Into<Arc<Endpoint>>,
    model: String,
    profile: Profile,
    options: MapperOptions,
    request: LlmRequest,
) -> Chunks<LlmDelta> {
    let names = options.names.clone();
    invoke_mapped(upstream, endpoint.into(), model, profile, names, ChatMapper::new(options), request)
}

/// Like [`invoke`], with a mapper of the provider; `names` are those of [`MapperOptions`].
pub fn invoke_mapped<M: StreamMapper<Item = LlmDelta>>(
    upstream: Upstream,
    endpoint: Arc<Endpoint>,
    model: String,
    profile: Profile,
    names: Arc<FunctionNames>,
    mapper: M,
    request: LlmRequest,
) -> Chunks<LlmDelta> {
    let owner = Owner::new(endpoint.credentials, &model);
    // In a box of its own, which is freed once there is a response: an open stream does not hold its request.
    let deltas = Box::pin(async move {
        let response = send(&upstream, &endpoint, &model, profile, names, request).await?;
        let keep = move |mut delta: LlmDelta| {
            owner.keep(&mut delta);
            delta
        };
        Ok(drive(response, mapper).map_ok(keep))
    });
    deltas.try_flatten_stream().boxed()
}

/// Validates a model with a request for a few tokens, and waits for the end of the response. If the server reports a
/// higher
/// minimum for the limit, the request is retried once with that value.
pub async fn try_model(
    few: u64,
    ask: impl Fn(u64) -> Result<Chunks<LlmDelta>, InvokeError>,
) -> Result<(), InvokeError> {
    match drain(ask(few)?).await {
        Err(error) => match min_limit(&error, few) {
            Some(limit) => drain(ask(limit)?).await,
            None => Err(error),
        },
        done => done,
    }
}

/// Waits for the end of a response.
async fn drain<T>(mut chunks: Chunks<T>) -> Result<(), InvokeError> {
    while let Some(chunk) = chunks.next().await {
        chunk?;
    }
    Ok(())
}

/// Sends a request in the form that the server accepts: each type of rejection that suggests another form is followed
/// once.
async fn send(
    upstream: &Upstream,
    endpoint: &Endpoint,
    model: &str,
    profile: Profile,
    names: Arc<FunctionNames>,
    mut request: LlmRequest,
) -> Result<UpstreamResponse, InvokeError> {
    let action = Action::from(profile.mode);
    let place = Place::of(endpoint, action, model, &request);
    let asked = profile.stream.streams(request.stream, &request.model_parameters);
    Owner::new(endpoint.credentials, model).restore(&mut request.prompt_messages);
    let known = place.recall();
    let mut lessons = known;
    let (mut request, mut profile) = (Arc::new(request), Arc::new(profile));
    for _ in 0..=Lessons::MAX_PER_REQUEST {
        lessons.apply(Arc::make_mut(&mut profile), Arc::make_mut(&mut request), asked);
        let body = chat_request(model, &request, &profile, &names)?;
        let (name, again, form, names) = (model.to_owned(), request.clone(), profile.clone(), names.clone());
        // The same input was serialized successfully before.
        let make = move || chat_request(&name, &again, &form, &names).unwrap_or_default();
        let call = endpoint.post(action, Bytes::new()).with_body(body, make);
        let address = call.url.clone();
        match upstream.send(&call).await {
            Ok(response) => {
                debug!(request_id = response.request_id(), "response started");
                if lessons != known {
                    place.keep(lessons);
                }
                return refuse_page(response, &address).await;
            }
            Err(error) => match lessons.learn(&error, &profile, &request) {
                Some(learnt) => {
                    info!(?learnt, "server rejected the form of the request; retrying with another one");
                    lessons = learnt;
                }
                None => return Err(error),
            },
        }
    }
    Err(InvokeError::server_unavailable("the server rejected every variant of the request"))
}
