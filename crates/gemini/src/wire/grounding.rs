//! Grounding metadata of a response: search results, places, documents, fetched pages, recited sources. How they are
//! shown is decided in `grounding`.

use serde::Deserialize;

use dify_plugin::codec::json;
use dify_plugin::protocol::lenient;

/// Maximum number of sources of each type; further ones are dropped.
pub const MAX_SOURCES: usize = 1024;

/// Maximum number of cited passages.
const MAX_SUPPORTS: usize = 4096;

/// Grounding metadata. Indexes count bytes of the complete text.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingMetadata {
    /// The sources.
    #[serde(deserialize_with = "json::places::<MAX_SOURCES, _, _>")]
    pub grounding_chunks: Vec<GroundingChunk>,
    /// Search queries.
    #[serde(deserialize_with = "json::first::<MAX_SOURCES, _, _>")]
    pub web_search_queries: Vec<String>,
    /// Image search queries.
    #[serde(deserialize_with = "json::first::<MAX_SOURCES, _, _>")]
    pub image_search_queries: Vec<String>,
    /// Passages with their sources.
    #[serde(deserialize_with = "json::first::<MAX_SUPPORTS, _, _>")]
    pub grounding_supports: Vec<GroundingSupport>,
}

/// A passage and its sources.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingSupport {
    /// The passage.
    #[serde(deserialize_with = "json::fit")]
    pub segment: Option<Segment>,
    /// Indexes of its sources.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub grounding_chunk_indices: Vec<usize>,
}

/// A passage of the response, in bytes of UTF-8.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Segment {
    /// Index of the first byte; defaults to 0.
    #[serde(deserialize_with = "json::fit")]
    pub start_index: Option<usize>,
    /// Index after the last byte.
    #[serde(deserialize_with = "json::fit")]
    pub end_index: Option<usize>,
    /// Text of the passage.
    #[serde(deserialize_with = "json::fit")]
    pub text: Option<String>,
}

/// A source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingChunk {
    /// A web page.
    #[serde(deserialize_with = "json::fit")]
    pub web: Option<WebSource>,
    /// A place on Google Maps.
    #[serde(deserialize_with = "json::fit")]
    pub maps: Option<WebSource>,
    /// An image.
    #[serde(deserialize_with = "json::fit")]
    pub image: Option<WebSource>,
    /// A document of the user.
    #[serde(deserialize_with = "json::fit")]
    pub retrieved_context: Option<WebSource>,
}

impl GroundingChunk {
    /// Returns the source, whatever its type.
    pub fn source(&self) -> Option<&WebSource> {
        [&self.web, &self.maps, &self.image, &self.retrieved_context].into_iter().find_map(Option::as_ref)
    }
}

/// URL and title of a source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebSource {
    /// The URL.
    #[serde(deserialize_with = "json::or_default")]
    pub uri: String,
    /// URL of the page that contains an image.
    #[serde(deserialize_with = "json::or_default")]
    pub source_uri: String,
    /// The title, often the domain.
    #[serde(deserialize_with = "json::or_default")]
    pub title: String,
    /// Page number of a document in a file search store.
    #[serde(deserialize_with = "lenient::count")]
    pub page_number: Option<u64>,
}

/// Pages fetched for the URL context tool.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlContextMetadata {
    /// One entry per page.
    #[serde(deserialize_with = "json::first::<MAX_SOURCES, _, _>")]
    pub url_metadata: Vec<UrlMetadata>,
}

/// A fetched page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlMetadata {
    /// URL of the page.
    #[serde(deserialize_with = "json::or_default")]
    pub retrieved_url: String,
    /// `URL_RETRIEVAL_STATUS_…`
    #[serde(deserialize_with = "json::or_default")]
    pub url_retrieval_status: String,
}

/// Recited sources; a response may contain either member.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CitationMetadata {
    /// Member of the Gemini Developer API.
    #[serde(deserialize_with = "json::first::<MAX_SOURCES, _, _>")]
    pub citation_sources: Vec<WebSource>,
    /// Member of Vertex AI.
    #[serde(deserialize_with = "json::first::<MAX_SOURCES, _, _>")]
    pub citations: Vec<WebSource>,
}
