//! An answer from Google Search, Google Maps or pages: its sources, numbered in the text and after it, and as data.

use dify_plugin::prelude::*;
use dify_plugin::serde_json::{Map, Value, json};
use dify_plugin_gemini::grounding::Grounding;
use dify_plugin_gemini::wire::{GenerateContentRequest, GroundingMetadata, UrlMetadata};

use crate::output::{common, note_of_incomplete, require_text, send};
use crate::service::{Account, Reply};

/// Maximum bytes of the search suggestions that Google provides as HTML.
const MAX_SUGGESTIONS_BYTES: usize = 256 * 1024;

/// State of a page that was read.
pub const READ: &str = "success";

/// An answer with its sources.
pub struct Sourced {
    /// The text with markers, and the list of sources.
    pub text: String,
    /// The answer, its sources, what was searched for and which pages were read.
    pub everything: Map<String, Value>,
}

impl Sourced {
    /// Sends a request and reads the sources of its answer. An answer without text is an error.
    pub async fn ask(account: &Account<'_>, model: &str, request: GenerateContentRequest) -> Result<Self, PluginError> {
        let Reply { answer, grounding: raw } = account.ask(model, request).await?;
        let answer = require_text(answer)?;
        let text = answer.text();
        let metadata = answer.grounding.clone().unwrap_or_default();
        let suggestions = raw["searchEntryPoint"]["renderedContent"].as_str();
        let suggestions = suggestions.filter(|html| !html.is_empty() && html.len() <= MAX_SUGGESTIONS_BYTES);
        let mut everything = common(model, &answer);
        let members = [
            ("answer", json!(text)),
            ("sources", sources(&metadata, &raw).into()),
            ("citations", citations(&metadata).into()),
            ("queries", json!(metadata.web_search_queries)),
            ("search_suggestions", json!(suggestions)),
            ("pages", answer.pages.iter().map(page).collect()),
        ];
        everything.extend(members.map(|(name, value)| (name.to_owned(), value)));
        let mut grounding = Grounding::default();
        grounding.add(metadata, 0);
        grounding.pages(answer.pages.clone());
        let mut marked = String::new();
        let marks = grounding.marks(&text);
        Grounding::marked(&text, 0..text.len(), &marks, |piece| marked.push_str(piece));
        marked.push_str(&grounding.list());
        marked.push_str(&note_of_incomplete(&answer).unwrap_or_default());
        Ok(Self { text: marked, everything })
    }

    /// Sends the text, these outputs, and everything.
    pub async fn send(self, out: &mut Messages, outputs: &[&str]) -> Result<(), PluginError> {
        send(out, &self.text, self.everything, outputs).await
    }
}

fn sources(metadata: &GroundingMetadata, raw: &Value) -> Vec<Value> {
    let chunks = metadata.grounding_chunks.iter().enumerate();
    let described = chunks.filter_map(|(index, chunk)| {
        let source = chunk.source()?;
        let kind = match chunk {
            chunk if chunk.maps.is_some() => "maps",
            chunk if chunk.image.is_some() => "image",
            chunk if chunk.retrieved_context.is_some() => "document",
            _ => "web",
        };
        let uri = if source.uri.is_empty() { &source.source_uri } else { &source.uri };
        let mut entry = json!({"number": index + 1, "type": kind, "title": source.title, "uri": uri});
        if let Some(place) = raw["groundingChunks"][index]["maps"]["placeId"].as_str() {
            entry["place_id"] = place.into();
        }
        Some(entry)
    });
    described.collect()
}

/// Returns the passages with the numbers of their sources.
fn citations(metadata: &GroundingMetadata) -> Vec<Value> {
    let known = metadata.grounding_chunks.len();
    let supports = metadata.grounding_supports.iter();
    let cited = supports.filter_map(|support| {
        let text = support.segment.as_ref()?.text.as_deref()?;
        let indices = support.grounding_chunk_indices.iter().filter(|index| **index < known);
        let numbers: Vec<usize> = indices.map(|index| index + 1).collect();
        (!numbers.is_empty()).then(|| json!({"text": text, "sources": numbers}))
    });
    cited.collect()
}

/// Describes a page: its URL, and why it was not read. A missing state is not a failure.
fn page(page: &UrlMetadata) -> Value {
    let state = match page.url_retrieval_status.trim_start_matches("URL_RETRIEVAL_STATUS_") {
        "" => READ.to_owned(),
        state => state.to_ascii_lowercase(),
    };
    json!({"uri": page.retrieved_url, "status": state})
}
