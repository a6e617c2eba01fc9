//! Embeddings: one vector per text or picture, in batches side by side; long texts in pieces whose vectors are averaged.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::connection::Connection;
use super::{Shared, schema};
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::catalog::Catalog;
use crate::dialect::gemini::embedding::{
    EmbeddingProfile, EmbeddingResponse, FULL_LENGTH, Form, Options, mean, normalise,
};
use crate::dialect::gemini::served::Served;
use crate::dialect::gemini::wire::Part;
use crate::dialect::tokens::estimate_text;
use crate::providers::common::batches::in_batches;
use crate::providers::common::download::{self, Room};
use crate::providers::common::text_split;
use dify_plugin::declare::{ModelSchema, price};
use dify_plugin::error::InvokeError;
use dify_plugin::model::CallContext;
use dify_plugin::protocol::{
    Credentials, EmbeddingInputType, EmbeddingResult, ModelRequest, MultimodalContentType, MultimodalEmbeddingRequest,
    Target, TextEmbeddingRequest,
};

/// Contents of one `batchEmbedContents`.
const MAX_TEXTS: usize = 100;

/// Pictures of one request.
const MAX_IMAGES: usize = 6;

/// Requests at a time.
const MAX_CONCURRENT_REQUESTS: usize = 4;

/// Tokens of a picture.
const IMAGE_TOKENS: u64 = 258;

/// Bytes of all pictures of a call together: they are held in memory.
const MAX_IMAGE_BYTES: usize = 90 * 1024 * 1024;

/// Longest answer: 100 vectors of 3072 numbers are about 4 MB.
const MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

/// Embedded in place of an empty text among others, which the service refuses: a document with an empty paragraph can be
/// indexed.
const BLANK: &str = ".";

/// Tokens of a text that every model reads.
const DEFAULT_LIMIT: u64 = 2048;

/// One content on the wire, and what it weighs.
type Piece = (Vec<Part>, u64);

/// What one request brought.
struct Embedded {
    /// The vectors with their weights.
    vectors: Vec<(Vec<f32>, u64)>,
    tokens: u64,
    /// The model that answered, where it is another one.
    answered: Option<Arc<ModelSchema>>,
}

pub(super) async fn texts(
    shared: &Shared,
    context: &CallContext,
    request: TextEmbeddingRequest,
) -> Result<EmbeddingResult, InvokeError> {
    let call = Call::new(shared, context, &request.target, request.input_type)?;
    let others = request.texts.iter().any(|text| !text.trim().is_empty());
    let texts = request.texts.iter().enumerate();
    let inputs = texts.map(|(number, text)| call.text(number, said(text, others))).collect::<Result<_, _>>()?;
    call.run(inputs, MAX_TEXTS).await
}

pub(super) async fn documents(
    shared: &Shared,
    context: &CallContext,
    request: MultimodalEmbeddingRequest,
) -> Result<EmbeddingResult, InvokeError> {
    let call = Call::new(shared, context, &request.target, request.input_type)?;
    let mut inputs = Vec::with_capacity(request.documents.len());
    let mut images = false;
    let others = request.documents.iter().any(|document| !document.content.trim().is_empty());
    let mut room = Room::of(MAX_IMAGE_BYTES);
    for (number, document) in request.documents.iter().enumerate() {
        inputs.push(match document.content_type {
            MultimodalContentType::Text => call.text(number, said(&document.content, others))?,
            MultimodalContentType::Image => {
                images = true;
                vec![call.image(&request.target.credentials, &document.content, &mut room).await?]
            }
        });
    }
    call.run(inputs, if images { MAX_IMAGES } else { MAX_TEXTS }).await
}

/// What is embedded for a text.
fn said(text: &str, among_others: bool) -> &str {
    if !among_others || !text.trim().is_empty() {
        return text;
    }
    tracing::warn!("a text of the batch is empty; a full stop is embedded in its place");
    BLANK
}

/// Validates a model by embedding a word.
pub(super) async fn validate(
    shared: &Shared,
    context: &CallContext,
    request: &ModelRequest,
) -> Result<(), InvokeError> {
    let call = Call::new(shared, context, &request.target, EmbeddingInputType::Query)?;
    call.run(vec![call.text(0, "ping")?], 1).await.map(drop)
}

struct Call<'a> {
    context: &'a CallContext,
    connection: Connection,
    profile: EmbeddingProfile,
    options: Options,
    purpose: EmbeddingInputType,
    limit: u64,
    model: &'a str,
    served: Served,
    /// Whether the user gives the price.
    has_prices: bool,
}

impl<'a> Call<'a> {
    fn new(
        shared: &Shared,
        context: &'a CallContext,
        target: &'a Target,
        purpose: EmbeddingInputType,
    ) -> Result<Self, InvokeError> {
        let model = &target.model;
        let connection = shared.connect(&target.credentials, context)?;
        let schema = context.model.as_deref();
        let profile = schema.map(EmbeddingProfile::of).transpose().map_err(|error| {
            InvokeError::internal(format!("the `gemini` data of model `{model}` cannot be read: {error}"))
        })?;
        let profile = profile.unwrap_or_default();
        if let Some(reason) = &profile.retired {
            return Err(InvokeError::bad_request(format!("model `{model}` is gone: {reason}")));
        }
        if profile.vertex_only && connection.surface != Surface::Vertex {
            return Err(InvokeError::bad_request(format!("model `{model}` is on Vertex AI only"))
                .with_hint("Sign in with a Google Cloud account and name a project, or use gemini-embedding-001."));
        }
        let dimensions = dimensions(&target.credentials)?;
        let declared = context.model.as_ref().and_then(|schema| schema.number_property("context_size"));
        Ok(Self {
            context,
            options: Options::new(&profile, model, purpose, dimensions),
            connection,
            profile,
            purpose,
            // The estimate may be low, and the task's words count as well.
            limit: declared.unwrap_or(DEFAULT_LIMIT) * 9 / 10,
            model,
            served: Served::new(model, Catalog::new(context.models.clone())),
            has_prices: schema::has_prices(context, &target.credentials),
        })
    }

    /// The pieces of a text that the model reads at once.
    fn text(&self, number: usize, text: &str) -> Result<Vec<Piece>, InvokeError> {
        if text.trim().is_empty() {
            return Err(InvokeError::bad_request(format!("text {} of the request is empty", number + 1)));
        }
        let mut pieces = Vec::new();
        split(text, self.limit, &mut pieces);
        Ok(pieces.into_iter().map(|piece| (self.profile.text(piece, self.purpose), estimate_text(piece))).collect())
    }

    async fn image(&self, credentials: &Credentials, content: &str, room: &mut Room) -> Result<Piece, InvokeError> {
        if self.profile.form(self.connection.surface) == Form::Predict || self.options.task_type.is_some() {
            return Err(InvokeError::bad_request(format!("model `{}` reads no pictures", self.model))
                .with_hint("Use gemini-embedding-2."));
        }
        let base64 = match content.split_once(";base64,") {
            Some((_, data)) => data.to_owned(),
            None if content.starts_with("http") || content.starts_with("/files/") => {
                let (upstream, network) = (&self.context.upstream, self.connection.network());
                download::fetch(upstream, network, credentials.get("file_url"), content, room).await?.base64
            }
            None => content.to_owned(),
        };
        // Sixteen letters of base64 tell the kind.
        let head = base64.get(..16).and_then(|head| STANDARD.decode(head).ok()).unwrap_or_default();
        let mime_type = match head.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [0xFF, 0xD8, 0xFF, ..] => "image/jpeg",
            _ => return Err(InvokeError::bad_request("a picture to embed is neither PNG nor JPEG")),
        };
        Ok((EmbeddingProfile::image(mime_type, base64), IMAGE_TOKENS))
    }

    /// Asks for all pieces and puts the vectors of each input together.
    async fn run(&self, inputs: Vec<Vec<Piece>>, batch: usize) -> Result<EmbeddingResult, InvokeError> {
        let form = self.profile.form(self.connection.surface);
        let batch = match form {
            Form::Batch => batch,
            Form::Single => 1,
            Form::Predict => self.profile.predict_batch,
        };
        let counts: Vec<usize> = inputs.iter().map(Vec::len).collect();
        let pieces: Vec<Piece> = inputs.into_iter().flatten().collect();
        let answers = in_batches(pieces, batch, MAX_CONCURRENT_REQUESTS, |batch| self.ask(form, batch)).await?;
        let tokens = answers.iter().map(|answer| answer.tokens).sum();
        let answered = answers.iter().find_map(|answer| answer.answered.clone()).filter(|_| !self.has_prices);
        let pricing = answered.as_ref().and_then(|model| model.pricing.as_ref()).or(self.context.pricing());
        let usage = price::embedding_usage(pricing, tokens);
        let mut vectors = answers.into_iter().flat_map(|answer| answer.vectors);
        let embeddings = counts.into_iter().filter_map(|count| self.joined(vectors.by_ref().take(count).collect()));
        let embeddings = embeddings.collect();
        Ok(EmbeddingResult { model: self.model.to_owned(), embeddings, usage })
    }

    async fn ask(&self, form: Form, batch: Vec<Piece>) -> Result<Embedded, InvokeError> {
        let (contents, weights): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let url = self.connection.model_url(self.model, form.method())?;
        let request = self.connection.post(url, &self.options.body(form, &contents))?;
        let answer: EmbeddingResponse = self.context.upstream.send(&request).await?.json(MAX_RESPONSE_BYTES).await?;
        let answered = self.served.take(answer.model_version.as_deref(), answer.model_status.as_ref());
        let (vectors, counted) = answer.into_vectors(weights.len())?;
        let tokens = counted.unwrap_or_else(|| weights.iter().sum());
        Ok(Embedded { vectors: vectors.into_iter().zip(weights).collect(), tokens, answered })
    }

    fn joined(&self, mut pieces: Vec<(Vec<f32>, u64)>) -> Option<Vec<f32>> {
        if pieces.len() > 1 {
            return mean(&pieces);
        }
        let (mut vector, _) = pieces.pop()?;
        if self.options.dimensions.is_some() && vector.len() < FULL_LENGTH {
            normalise(&mut vector);
        }
        Some(vector)
    }
}

pub(super) fn dimensions(credentials: &Credentials) -> Result<Option<usize>, InvokeError> {
    match credentials.number("embedding_dimensions")? {
        None => Ok(None),
        Some(number) if number.fract() == 0.0 && (1.0..=FULL_LENGTH as f64).contains(&number) => {
            Ok(Some(number as usize))
        }
        Some(number) => Err(InvokeError::credentials(format!(
            "credential `embedding_dimensions` must be a whole number from 1 to {FULL_LENGTH}, found {number}"
        ))),
    }
}

/// Pieces of at most `limit` tokens, cut after sentences where possible.
fn split<'t>(text: &'t str, limit: u64, pieces: &mut Vec<&'t str>) {
    // A token is at least one byte: most texts need no counting.
    let tokens = if text.len() as u64 <= limit { 0 } else { estimate_text(text) };
    let letters = text.chars().count();
    if tokens <= limit || letters < 2 {
        pieces.push(text);
        return;
    }
    let parts = tokens.div_ceil(limit.max(1)).max(2) as usize;
    for piece in text_split::split(text, letters.div_ceil(parts)) {
        split(piece, limit, pieces);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_fit_and_keep_the_text() {
        let long = "A sentence of some words. ".repeat(400);
        let dense = "漢字".repeat(900);
        for (text, limit) in [("short", 10), (long.as_str(), 100), (dense.as_str(), 50), ("abc", 0)] {
            let mut pieces = Vec::new();
            split(text, limit, &mut pieces);
            assert_eq!(pieces.concat(), text, "nothing is lost");
            assert!(limit == 0 || pieces.iter().all(|piece| estimate_text(piece) <= limit), "{limit}");
        }
    }
}
