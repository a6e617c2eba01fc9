//! Embeddings: one vector per text or image, in concurrent batches. Long texts are split, and the vectors of their
//! segments are averaged.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Shared, schema_from_resemblance};
use crate::dialect::gemini::Surface;
use crate::dialect::gemini::embedding::{
    EmbeddingProfile, EmbeddingResponse, FULL_LENGTH, Form, Options, mean, normalize,
};
use crate::dialect::gemini::models::catalog::Catalog;
use crate::dialect::gemini::response::served::Served;
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
use dify_plugin_gemini::connection::Connection;

/// Maximum number of contents in a `batchEmbedContents` request.
const MAX_TEXTS: usize = 100;

/// Maximum number of images in a request.
const MAX_IMAGES: usize = 6;

/// Maximum number of concurrent requests.
const MAX_CONCURRENT_REQUESTS: usize = 4;

/// Tokens per image.
const IMAGE_TOKENS: u64 = 258;

/// Maximum bytes of all images of a call, which are held in memory.
const MAX_IMAGE_BYTES: usize = 90 * 1024 * 1024;

/// Maximum bytes of a response: 100 vectors of 3072 numbers are about 4 MB.
const MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

/// Embedded instead of an empty text in a batch, which the service would reject, so that a document with an empty
/// paragraph can be indexed.
const BLANK: &str = ".";

/// Maximum number of tokens per text that every model supports.
const DEFAULT_LIMIT: u64 = 2048;

/// A content and its weight in tokens.
type Segment = (Vec<Part>, u64);

/// The result of one request.
struct Embedded {
    /// The vectors with their weights.
    vectors: Vec<(Vec<f32>, u64)>,
    tokens: u64,
    /// The model that responded, if it differs from the requested one.
    responding_model: Option<Arc<ModelSchema>>,
}

pub(super) async fn texts(
    shared: &Shared,
    context: &CallContext,
    request: TextEmbeddingRequest,
) -> Result<EmbeddingResult, InvokeError> {
    let call = Call::new(shared, context, &request.target, request.input_type)?;
    let others = request.texts.iter().any(|text| !text.trim().is_empty());
    let texts = request.texts.iter().enumerate();
    let inputs =
        texts.map(|(number, text)| call.text(number, text_or_placeholder(text, others))).collect::<Result<_, _>>()?;
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
            MultimodalContentType::Image => {
                images = true;
                vec![call.image(&request.target.credentials, &document.content, &mut room).await?]
            }
            _ => call.text(number, text_or_placeholder(&document.content, others))?,
        });
    }
    call.run(inputs, if images { MAX_IMAGES } else { MAX_TEXTS }).await
}

/// Returns the text to embed.
fn text_or_placeholder(text: &str, among_others: bool) -> &str {
    if !among_others || !text.trim().is_empty() {
        return text;
    }
    tracing::warn!("empty text in a batch; embedding a period instead");
    BLANK
}

/// Validates a model by embedding one word.
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
    /// Whether the user has set the prices.
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
            InvokeError::internal(format!("cannot parse the `gemini` section of model `{model}`: {error}"))
        })?;
        let profile = profile.unwrap_or_default();
        if let Some(reason) = &profile.retired {
            return Err(InvokeError::bad_request(format!("model `{model}` has been retired: {reason}")));
        }
        if profile.vertex_only && connection.surface != Surface::Vertex {
            return Err(InvokeError::bad_request(format!("model `{model}` is available on Vertex AI only")).with_hint(
                "Authenticate with a Google Cloud account and set a project, or use gemini-embedding-001.",
            ));
        }
        let dimensions = dimensions(&target.credentials)?;
        let declared = context.model.as_ref().and_then(|schema| schema.number_property("context_size"));
        Ok(Self {
            context,
            options: Options::new(&profile, model, purpose, dimensions),
            connection,
            profile,
            purpose,
            // The estimate may be low, and the task prefix counts too.
            limit: declared.unwrap_or(DEFAULT_LIMIT) * 9 / 10,
            model,
            served: Served::new(model, Catalog::new(context.models.clone())),
            has_prices: schema_from_resemblance::has_prices(context, &target.credentials),
        })
    }

    /// Splits a text into segments that fit into the model's limit.
    fn text(&self, number: usize, text: &str) -> Result<Vec<Segment>, InvokeError> {
        if text.trim().is_empty() {
            return Err(InvokeError::bad_request(format!("text {} of the request is empty", number + 1)));
        }
        let mut segments = Vec::new();
        split(text, self.limit, &mut segments);
        Ok(segments
            .into_iter()
            .map(|segment| (self.profile.text(segment, self.purpose), estimate_text(segment)))
            .collect())
    }

    async fn image(&self, credentials: &Credentials, content: &str, room: &mut Room) -> Result<Segment, InvokeError> {
        if self.profile.form(self.connection.surface) == Form::Predict || self.options.task_type.is_some() {
            return Err(InvokeError::bad_request(format!("model `{}` does not support images", self.model))
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
        // 16 Base64 characters are enough to detect the type.
        let head = base64.get(..16).and_then(|head| STANDARD.decode(head).ok()).unwrap_or_default();
        let mime_type = match head.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => "image/png",
            [0xFF, 0xD8, 0xFF, ..] => "image/jpeg",
            _ => return Err(InvokeError::bad_request("an image to embed must be PNG or JPEG")),
        };
        Ok((EmbeddingProfile::image(mime_type, base64), IMAGE_TOKENS))
    }

    /// Embeds all segments and combines the vectors of each input.
    async fn run(&self, inputs: Vec<Vec<Segment>>, batch: usize) -> Result<EmbeddingResult, InvokeError> {
        let form = self.profile.form(self.connection.surface);
        let batch = match form {
            Form::Batch => batch,
            Form::Single => 1,
            Form::Predict => self.profile.predict_batch,
        };
        let counts: Vec<usize> = inputs.iter().map(Vec::len).collect();
        let segments: Vec<Segment> = inputs.into_iter().flatten().collect();
        let results = in_batches(segments, batch, MAX_CONCURRENT_REQUESTS, |batch| self.ask(form, batch)).await?;
        let tokens = results.iter().map(|answer| answer.tokens).sum();
        let responding_model =
            results.iter().find_map(|answer| answer.responding_model.clone()).filter(|_| !self.has_prices);
        let pricing = responding_model.as_ref().and_then(|model| model.pricing.as_ref()).or(self.context.pricing());
        let usage = price::embedding_usage(pricing, tokens);
        let mut vectors = results.into_iter().flat_map(|answer| answer.vectors);
        let embeddings = counts.into_iter().filter_map(|count| self.joined(vectors.by_ref().take(count).collect()));
        let embeddings = embeddings.collect();
        let mut result = EmbeddingResult::new(embeddings, usage);
        self.model.clone_into(&mut result.model);
        Ok(result)
    }

    async fn ask(&self, form: Form, batch: Vec<Segment>) -> Result<Embedded, InvokeError> {
        let (contents, weights): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let url = self.connection.model_url(self.model, form.method())?;
        let request = self.connection.post(url, &self.options.body(form, &contents))?;
        let answer: EmbeddingResponse = self.context.upstream.send(&request).await?.json(MAX_RESPONSE_BYTES).await?;
        let responding_model = self.served.take(answer.model_version.as_deref(), answer.model_status.as_ref());
        let (vectors, counted) = answer.into_vectors(weights.len())?;
        let tokens = counted.unwrap_or_else(|| weights.iter().sum());
        Ok(Embedded { vectors: vectors.into_iter().zip(weights).collect(), tokens, responding_model })
    }

    fn joined(&self, mut segments: Vec<(Vec<f32>, u64)>) -> Option<Vec<f32>> {
        if segments.len() > 1 {
            return mean(&segments);
        }
        let (mut vector, _) = segments.pop()?;
        if self.options.dimensions.is_some() && vector.len() < FULL_LENGTH {
            normalize(&mut vector);
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
            "credential `embedding_dimensions` must be an integer from 1 to {FULL_LENGTH}, found {number}"
        ))),
    }
}

/// Splits a text into segments of at most `limit` tokens, after sentences where possible.
fn split<'t>(text: &'t str, limit: u64, segments: &mut Vec<&'t str>) {
    // A token is at least one byte, so most texts need no counting.
    let tokens = if text.len() as u64 <= limit { 0 } else { estimate_text(text) };
    let letters = text.chars().count();
    if tokens <= limit || letters < 2 {
        segments.push(text);
        return;
    }
    let parts = tokens.div_ceil(limit.max(1)).max(2) as usize;
    for segment in text_split::split(text, letters.div_ceil(parts)) {
        split(segment, limit, segments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_fit_and_preserve_the_text() {
        let long = "A sentence of some words. ".repeat(400);
        let dense = "漢字".repeat(900);
        for (text, limit) in [("short", 10), (long.as_str(), 100), (dense.as_str(), 50), ("abc", 0)] {
            let mut segments = Vec::new();
            split(text, limit, &mut segments);
            assert_eq!(segments.concat(), text, "nothing is lost");
            assert!(limit == 0 || segments.iter().all(|segment| estimate_text(segment) <= limit), "{limit}");
        }
    }
}
