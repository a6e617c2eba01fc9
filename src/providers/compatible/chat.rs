//! Chat and completion calls, with the fallbacks that compatible servers need; what a server refused is remembered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_stream::try_stream;
use futures_util::StreamExt;
use tracing::{debug, info};

use super::{Endpoint, refuse_page};
use crate::dialect::StreamMapper;
use crate::dialect::driver::drive;
use crate::dialect::openai::profile::MaxTokensName;
use crate::dialect::openai::{ChatMapper, MapperOptions, Profile, chat_request};
use crate::error::{ErrorKind, InvokeError};
use crate::protocol::{LlmDelta, LlmRequest};
use crate::providers::Chunks;
use crate::upstream::{Upstream, UpstreamResponse};

/// Endpoints whose refusals are remembered at once.
const MOST_REMEMBERED: usize = 1024;

/// What a server does not take, learnt from its refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Refused {
    stream_options: bool,
    max_tokens: bool,
    streaming: bool,
}

static REFUSED: Mutex<Option<HashMap<String, Refused>>> = Mutex::new(None);

/// One answer: a request, its deltas, one last delta with usage and finish reason.
///
/// `model` is the name on the wire. Dropping the stream closes the upstream call.
pub fn invoke(
    upstream: Upstream,
    endpoint: Endpoint,
    model: String,
    profile: Profile,
    options: MapperOptions,
    request: LlmRequest,
) -> Chunks<LlmDelta> {
    invoke_mapped(upstream, endpoint, model, profile, ChatMapper::new(options), request)
}

/// The same with a mapper of the provider's own.
pub fn invoke_mapped<M: StreamMapper<Item = LlmDelta>>(
    upstream: Upstream,
    endpoint: Endpoint,
    model: String,
    profile: Profile,
    mapper: M,
    request: LlmRequest,
) -> Chunks<LlmDelta> {
    try_stream! {
        let response = send(&upstream, &endpoint, &model, profile, request).await?;
        let mut deltas = drive(response, mapper);
        while let Some(delta) = deltas.next().await {
            yield delta?;
        }
    }
    .boxed()
}

async fn send(
    upstream: &Upstream,
    endpoint: &Endpoint,
    model: &str,
    mut profile: Profile,
    mut request: LlmRequest,
) -> Result<UpstreamResponse, InvokeError> {
    let key = format!("{} {model}", endpoint.base.as_url());
    let mut refused = recall(&key);
    // Each kind of refusal is met once.
    for _ in 0..3 {
        apply(refused, &mut profile, &mut request);
        let call = endpoint.post(profile.mode.path(), chat_request(model, &request, &profile)?);
        let address = call.url.clone();
        match upstream.send(&call).await {
            Ok(response) => {
                debug!(request_id = response.request_id(), "the model answers");
                return refuse_page(response, &address).await;
            }
            Err(error) => match refusal(&error, refused, &profile, &request) {
                Some(learnt) => {
                    info!(?learnt, "the server refuses a part of the request: sent again without it");
                    refused = learnt;
                    remember(&key, learnt);
                }
                None => return Err(error),
            },
        }
    }
    Err(InvokeError::server_unavailable("the server refuses every form of the request"))
}

fn apply(refused: Refused, profile: &mut Profile, request: &mut LlmRequest) {
    profile.include_usage &= !refused.stream_options;
    request.stream &= !refused.streaming;
    if refused.max_tokens {
        profile.max_tokens = MaxTokensName::MaxCompletionTokens;
    }
}

/// What a refusal teaches, or `None` when it stands.
fn refusal(error: &InvokeError, known: Refused, profile: &Profile, request: &LlmRequest) -> Option<Refused> {
    if !matches!(error.status, Some(400 | 422 | 501)) || error.kind == ErrorKind::Authorization {
        return None;
    }
    let text = error.message.to_ascii_lowercase();
    if request.stream && profile.include_usage && text.contains("stream_options") {
        return Some(Refused { stream_options: true, ..known });
    }
    if !known.max_tokens
        && request.model_parameters.contains_key("max_tokens")
        && text.contains("max_completion_tokens")
    {
        return Some(Refused { max_tokens: true, ..known });
    }
    let says_no = ["not support", "unsupported", "not implemented", "not allowed"].iter().any(|no| text.contains(no));
    if request.stream && says_no && text.contains("stream") && !text.contains("stream_options") {
        return Some(Refused { streaming: true, ..known });
    }
    None
}

fn recall(key: &str) -> Refused {
    let map = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    map.as_ref().and_then(|map| map.get(key)).copied().unwrap_or_default()
}

fn remember(key: &str, refused: Refused) {
    let mut map = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    let map = map.get_or_insert_default();
    if map.len() >= MOST_REMEMBERED {
        map.clear();
    }
    map.insert(key.to_owned(), refused);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_teach_one_thing_each() {
        let request: LlmRequest = serde_json::from_value(serde_json::json!({
            "provider": "p", "model": "m", "model_parameters": {"max_tokens": 5}, "stream": true
        }))
        .unwrap();
        let profile = Profile { include_usage: true, ..Profile::default() };
        let cases = [
            (400, "Unknown field stream_options", Some("stream_options")),
            (422, "body.stream_options: Extra inputs are not permitted", Some("stream_options")),
            (400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", Some("max_tokens")),
            (400, "Streaming is not supported for this model", Some("streaming")),
            (501, "stream not implemented", Some("streaming")),
            (400, "the prompt is too long", None),
            (401, "stream_options", None),
            (500, "stream_options", None),
        ];
        for (status, message, expected) in cases {
            let error = InvokeError::bad_request(message).with_status(status);
            let learnt = refusal(&error, Refused::default(), &profile, &request).map(|refused| match refused {
                Refused { stream_options: true, .. } => "stream_options",
                Refused { max_tokens: true, .. } => "max_tokens",
                _ => "streaming",
            });
            assert_eq!(learnt, expected, "{status} {message}");
        }
    }
}
