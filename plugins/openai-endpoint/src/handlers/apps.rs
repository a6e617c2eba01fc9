//! Calls an app: its form where it matters, uploads of files, the conversation that the client has named, and its events.

use async_stream::try_stream;
use dify_plugin::prelude::*;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tracing::warn;

use super::stream::{Answer, Step};
use crate::apps::conversation_key;
use crate::apps::events::AppMapper;
use crate::apps::inputs::AppForm;
use crate::chat::{AppCall, Attachment, ChatRequest, Source};
use crate::error::ApiError;
use crate::service::Caller;
use crate::settings::{App, AppKind};

/// The header that names a conversation, for clients that cannot add members to a body.
const CONVERSATION_HEADER: &str = "x-conversation-id";

/// The answer of an app.
pub async fn answer(caller: &Caller, app: &App, request: ChatRequest) -> Result<Answer, ApiError> {
    let dify = caller.call.dify.clone();
    let mut call = request.into_app_call(caller.header(CONVERSATION_HEADER))?;
    if app.kind != AppKind::Chat && call.conversation.is_some() {
        let message = "This app has no conversations: it is not a chat app, an agent or a chatflow.";
        return Err(ApiError::unsupported("conversation_id", message));
    }
    let mut inputs = app.inputs.clone();
    inputs.append(&mut call.inputs);
    let AppCall { query, attachments, conversation, .. } = call;
    if app.kind != AppKind::Chat || !attachments.is_empty() {
        let form = AppForm::from(&dify.app_info(&app.app_id).await?);
        if !attachments.is_empty() {
            form.add_files(&mut inputs, upload(&dify, attachments).await?)?;
        }
        if app.kind != AppKind::Chat {
            form.add_text(&mut inputs, query.clone())?;
        }
    }
    let endpoint = caller.call.endpoint_id.as_deref().unwrap_or_default();
    let key = conversation.map(|name| (conversation_key(endpoint, caller.key.digest(), &app.app_id, &name), name));
    let known = match &key {
        Some((key, _)) => dify.storage().get(key).await?,
        None => None,
    };
    let known = known.and_then(|id| String::from_utf8(id.to_vec()).ok());
    let call = dify.app(&app.app_id).inputs(inputs);
    let call = match app.kind {
        AppKind::Chat => call.chat(query).conversation(known.as_deref().unwrap_or_default()),
        AppKind::Completion => call.completion(),
        AppKind::Workflow => call.workflow(),
    };
    let answer = try_stream! {
        let mut events = call.stream().await?;
        let mut mapper = AppMapper::default();
        while let Some(event) = events.next().await {
            let mut pieces = Vec::new();
            mapper.push(&event?, &mut pieces)?;
            if !pieces.is_empty() {
                yield Step::Pieces(pieces);
            }
        }
        let mut pieces = Vec::new();
        let (mut end, id) = mapper.finish(&mut pieces)?;
        if let Some((key, name)) = key {
            if let Some(id) = id.filter(|id| known.as_ref() != Some(id)) {
                // The answer is complete; without the conversation the next request begins another one.
                if let Err(error) = dify.storage().set(&key, id).await {
                    warn!(kind = ?error.kind, "cannot keep a conversation");
                }
            }
            end.conversation = Some(name);
        }
        yield Step::End(pieces, end);
    };
    Ok(answer.boxed())
}

/// The files as inputs of an app: Dify fetches those that have a URL, and keeps the others.
async fn upload(dify: &Dify, attachments: Vec<Attachment>) -> Result<Vec<Value>, ApiError> {
    let mut inputs = Vec::with_capacity(attachments.len());
    for (index, file) in attachments.into_iter().enumerate() {
        let input = match (&file.source, file.bytes()) {
            (Source::Url(url), _) => {
                json!({"transfer_method": "remote_url", "url": url, "type": file.kind.as_str()})
            }
            (Source::Base64(_), bytes) => {
                let (files, name) = (dify.files(), file.upload_name(index));
                files.upload(name, &file.mime_type, bytes.unwrap_or_default()).await?.app_input()
            }
        };
        inputs.push(input);
    }
    Ok(inputs)
}
