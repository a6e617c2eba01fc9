//! The sources of an answer: numbered in its text and after it, and as data.

use dify_plugin::serde_json::{Map, Value, json};
use dify_plugin_gemini::grounding::Grounding;
use dify_plugin_gemini::wire::{GroundingMetadata, UrlMetadata};

use crate::service::Reply;

/// Maximum bytes of the search suggestions that Google provides as HTML.
const MAX_SUGGESTIONS_BYTES: usize = 256 * 1024;

/// An answer with its sources.
pub struct Sourced {
    /// The text alone.
    pub answer: String,
    /// The text with markers, and the list of sources.
    pub text: String,
    /// The sources, in the order of their numbers.
    pub sources: Vec<Value>,
    /// The passages with the numbers of their sources.
    pub citations: Vec<Value>,
    /// What was searched for.
    pub queries: Vec<String>,
    /// Google's search suggestions as HTML, which its terms require to be shown with the answer.
    pub suggestions_html: Option<String>,
    /// The pages that were requested, with their states.
    pub pages: Vec<Value>,
}

impl Sourced {
    /// Reads the sources of a reply.
    pub fn of(reply: &Reply) -> Self {
        let answer = reply.answer.text();
        let metadata = reply.answer.grounding.clone().unwrap_or_default();
        let raw = &reply.raw["candidates"][0]["groundingMetadata"];
        let (sources, citations) = (sources(&metadata, raw), citations(&metadata));
        let queries = metadata.web_search_queries.clone();
        let suggestions = raw["searchEntryPoint"]["renderedContent"].as_str();
        let suggestions = suggestions.filter(|html| !html.is_empty() && html.len() <= MAX_SUGGESTIONS_BYTES);
        let mut grounding = Grounding::default();
        grounding.add(metadata, 0);
        grounding.pages(reply.answer.pages.clone());
        let mut text = String::new();
        let marks = grounding.marks(&answer);
        Grounding::marked(&answer, 0..answer.len(), &marks, |piece| text.push_str(piece));
        text.push_str(&grounding.list());
        Self {
            text,
            sources,
            citations,
            queries,
            suggestions_html: suggestions.map(str::to_owned),
            pages: reply.answer.pages.iter().map(page).collect(),
            answer,
        }
    }
}

fn sources(metadata: &GroundingMetadata, raw: &Value) -> Vec<Value> {
    let chunks = metadata.grounding_chunks.iter().enumerate();
    chunks
        .filter_map(|(index, chunk)| {
            let source = chunk.source()?;
            let kind = match chunk {
                chunk if chunk.maps.is_some() => "maps",
                chunk if chunk.image.is_some() => "image",
                chunk if chunk.retrieved_context.is_some() => "document",
                _ => "web",
            };
            let uri = if source.uri.is_empty() { &source.source_uri } else { &source.uri };
            let mut entry = Map::new();
            entry.insert("number".to_owned(), (index + 1).into());
            entry.insert("type".to_owned(), kind.into());
            entry.insert("title".to_owned(), source.title.as_str().into());
            entry.insert("uri".to_owned(), uri.as_str().into());
            if let Some(place) = raw["groundingChunks"][index]["maps"]["placeId"].as_str() {
                entry.insert("place_id".to_owned(), place.into());
            }
            Some(entry.into())
        })
        .collect()
}

fn citations(metadata: &GroundingMetadata) -> Vec<Value> {
    let known = metadata.grounding_chunks.len();
    let supports = metadata.grounding_supports.iter();
    supports
        .filter_map(|support| {
            let text = support.segment.as_ref()?.text.as_deref()?;
            let numbers: Vec<usize> =
                support.grounding_chunk_indices.iter().filter(|index| **index < known).map(|index| index + 1).collect();
            (!numbers.is_empty()).then(|| json!({"text": text, "sources": numbers}))
        })
        .collect()
}

/// Describes a page: its URL, and `success` or why it was not read.
fn page(page: &UrlMetadata) -> Value {
    json!({"uri": page.retrieved_url, "status": state(page)})
}

/// Returns `success`, or why a page was not read; a state that no one names counts as success.
pub fn state(page: &UrlMetadata) -> String {
    match page.url_retrieval_status.trim_start_matches("URL_RETRIEVAL_STATUS_") {
        "" => "success".to_owned(),
        state => state.to_ascii_lowercase(),
    }
}
