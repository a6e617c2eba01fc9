//! Answers as streams: reads what Dify sends, maps it, and writes the response whole or as server-sent events.

use std::time::Duration;

use async_stream::{stream, try_stream};
use dify_plugin::http::Response;
use dify_plugin::plugin::dify::Llm;
use dify_plugin::prelude::*;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tokio::time::timeout;

use crate::answer::chat::{Chunks, Whole};
use crate::answer::llm::LlmMapper;
use crate::answer::text::TextCompletion;
use crate::answer::{End, Head, Piece, error_event};
use crate::error::ApiError;
use crate::http_io;

/// How long a stream may be silent before the client gets a comment: proxies close connections that are silent for a minute.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);

/// A line that clients of server-sent events ignore.
const COMMENT: &[u8] = b": waiting\n\n";

/// An answer as it arrives: pieces, then an end, or an error.
pub type Answer = BoxStream<'static, Result<Step, ApiError>>;

/// See [`Answer`].
pub enum Step {
    Pieces(Vec<Piece>),
    End(Vec<Piece>, End),
}

/// The answer of a language model. Dify is called when the answer is read.
pub fn of_model((llm, is_structured): (Llm, bool)) -> Answer {
    let answer = try_stream! {
        let mut chunks = llm.stream().await?;
        let mut mapper = LlmMapper::new(is_structured);
        while let Some(chunk) = chunks.next().await {
            let mut pieces = Vec::new();
            mapper.push(chunk?, &mut pieces);
            if !pieces.is_empty() {
                yield Step::Pieces(pieces);
            }
        }
        let mut pieces = Vec::new();
        let end = mapper.finish(&mut pieces);
        yield Step::End(pieces, end);
    };
    answer.boxed()
}

/// A chat completion as events.
pub async fn chat_chunks(answer: Answer, head: Head, include_usage: bool) -> Result<Response<Body>, ApiError> {
    let mut chunks = Chunks::new(head, include_usage);
    events(answer, move |step, out| match step {
        Step::Pieces(pieces) => pieces.iter().for_each(|piece| chunks.piece(piece, out)),
        Step::End(pieces, end) => {
            pieces.iter().for_each(|piece| chunks.piece(piece, out));
            chunks.end(&end, out);
        }
    })
    .await
}

/// A completion as events.
pub async fn text_chunks(answer: Answer, mut completion: TextCompletion) -> Result<Response<Body>, ApiError> {
    events(answer, move |step, out| match step {
        Step::Pieces(pieces) => pieces.iter().for_each(|piece| completion.piece(piece, out)),
        Step::End(pieces, end) => {
            pieces.iter().for_each(|piece| completion.piece(piece, out));
            completion.end(&end, out);
        }
    })
    .await
}

/// A chat completion as one object.
pub async fn chat_whole(answer: Answer, head: Head) -> Result<Value, ApiError> {
    let mut whole = Whole::default();
    let end = collect(answer, |piece| whole.piece(piece)).await?;
    Ok(whole.finish(head, end))
}

/// A completion as one object.
pub async fn text_whole(answer: Answer, mut completion: TextCompletion) -> Result<Value, ApiError> {
    let end = collect(answer, |piece| completion.collect(piece)).await?;
    Ok(completion.finish(end))
}

async fn collect(mut answer: Answer, mut take: impl FnMut(Piece)) -> Result<End, ApiError> {
    while let Some(step) = answer.next().await {
        match step? {
            Step::Pieces(pieces) => pieces.into_iter().for_each(&mut take),
            Step::End(pieces, end) => {
                pieces.into_iter().for_each(&mut take);
                return Ok(end);
            }
        }
    }
    Err(incomplete())
}

/// Waits for the first step, so that a failure before it has a status of its own. What comes later is in the stream.
async fn events(
    mut answer: Answer,
    mut write: impl FnMut(Step, &mut Vec<u8>) + Send + 'static,
) -> Result<Response<Body>, ApiError> {
    let mut next = match next_step(&mut answer).await {
        Some(Err(error)) => return Err(error),
        next => next,
    };
    let body = stream! {
        loop {
            let mut out = Vec::new();
            let is_over = match next {
                None => {
                    out.extend_from_slice(COMMENT);
                    false
                }
                Some(Ok(step)) => {
                    let is_last = matches!(step, Step::End(..));
                    write(step, &mut out);
                    is_last
                }
                Some(Err(error)) => {
                    out = error_event(&error);
                    true
                }
            };
            yield Ok::<_, PluginError>(out);
            if is_over {
                return;
            }
            next = next_step(&mut answer).await;
        }
    };
    Ok(http_io::events(Body::stream(body)))
}

/// The next step; `None` if there is none yet.
async fn next_step(answer: &mut Answer) -> Option<Result<Step, ApiError>> {
    timeout(COMMENT_INTERVAL, answer.next()).await.ok().map(|step| step.unwrap_or_else(|| Err(incomplete())))
}

fn incomplete() -> ApiError {
    ApiError::upstream("Dify's answer ended before it was complete.")
}
