//! Token counts of prompts as the service reports them (`countTokens`, free of charge but rate-limited). Counts are
//! cached for some time; if the service does not respond, the caller estimates.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::media::{Delivery, Media};
use super::{Shared, llm};
use crate::dialect::gemini::request::Conversation;
use crate::dialect::gemini::request::functions::NAMES;
use crate::dialect::gemini::wire::GenerateContentRequest;
use crate::dialect::names::FunctionNames;
use dify_plugin::error::InvokeError;
use dify_plugin::model::CallContext;
use dify_plugin::protocol::LlmNumTokensRequest;

/// How long a count is cached: the content of linked files may change.
const COUNT_TTL: Duration = Duration::from_secs(600);

/// Maximum number of counts in the cache.
const MAX_ENTRIES: usize = 4096;

/// Maximum bytes of a response.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Owner of the prompt, and digest of the counting request.
type Key = (u64, [u8; 32]);

/// The cached counts.
#[derive(Default)]
pub(super) struct Counts(Mutex<HashMap<Key, (u64, Instant)>>);

impl Counts {
    fn get(&self, key: &Key) -> Option<u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(key).filter(|(_, since)| since.elapsed() < COUNT_TTL).map(|(count, _)| *count)
    }

    fn keep(&self, key: Key, count: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_ENTRIES {
            counts.clear();
        }
        counts.insert(key, (count, Instant::now()));
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counted {
    total_tokens: u64,
}

/// Returns the number of tokens of a prompt with its files and functions.
pub(super) async fn count(
    shared: &Shared,
    context: &CallContext,
    request: &LlmNumTokensRequest,
) -> Result<u64, InvokeError> {
    let profile = llm::profile(context)?;
    let credentials = &request.target.credentials;
    let connection = shared.connect(credentials, context)?;
    let (delivery, office_files) = (Delivery::default(), profile.office_files);
    let media = Media { shared, context, connection: &connection, credentials, delivery, office_files };
    let prepared = media.prepare(&request.prompt_messages).await?;
    let conversation = Conversation {
        messages: &prepared.messages,
        tools: &request.tools,
        names: &FunctionNames::of(&request.tools, NAMES),
        choice: None,
        mode: None,
        clip: None,
        profile: &profile,
        surface: connection.surface,
        remembered: &|call| shared.remembered(call),
        distrust_signatures: false,
    };
    let mut body = GenerateContentRequest::default();
    conversation.fill(&mut body)?;
    let url = connection.model_url(&request.target.model, "countTokens")?;
    let body = if connection.surface.is_vertex() {
        json!(body)
    } else {
        let mut inner = json!(body);
        inner["model"] = connection.model_name(&request.target.model)?.into();
        json!({"generateContentRequest": inner})
    };
    let question = connection.post(url, &body)?;
    let digest = Sha256::new().chain_update(question.url.as_str()).chain_update(&question.body).finalize();
    let key = (credentials.fingerprint(), digest.into());
    if let Some(count) = shared.counts.get(&key) {
        return Ok(count);
    }
    let count = context.upstream.send(&question).await?.json::<Counted>(MAX_RESPONSE_BYTES).await?.total_tokens;
    shared.counts.keep(key, count);
    Ok(count)
}
