//! What an answer rests on: search results, places, documents, pages that were read, recited sources. How they are shown
//! is `sources`'.

use serde::Deserialize;

use dify_plugin::codec::json;
use dify_plugin::protocol::lenient;

/// Most sources of a kind that are read; the rest is left out.
pub(in crate::dialect::gemini) const MAX_SOURCES: usize = 1024;

/// Most passages that rest on sources.
const MAX_PASSAGES: usize = 4096;

/// Grounding of Google Search. Indexes count bytes of the whole text.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingMetadata {
    /// The sources.
    #[serde(deserialize_with = "json::places::<MAX_SOURCES, _, _>")]
    pub grounding_chunks: Vec<GroundingChunk>,
    /// What was searched for.
    #[serde(deserialize_with = "json::first::<MAX_SOURCES, _, _>")]
    pub web_search_queries: Vec<String>,
    /// What images were searched for.
    #[serde(deserialize_with = "json::first::<MAX_SOURCES, _, _>")]
    pub image_search_queries: Vec<String>,
    /// Which passage rests on which sources.
    #[serde(deserialize_with = "json::first::<MAX_PASSAGES, _, _>")]
    pub grounding_supports: Vec<GroundingSupport>,
}

/// A passage and its sources.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingSupport {
    /// The passage.
    #[serde(deserialize_with = "json::fit")]
    pub segment: Option<Segment>,
    /// Numbers of its sources.
    #[serde(deserialize_with = "json::first::<64, _, _>")]
    pub grounding_chunk_indices: Vec<usize>,
}

/// A passage of the answer, in bytes of UTF-8.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Segment {
    /// Its first byte; absent is 0.
    #[serde(deserialize_with = "json::fit")]
    pub start_index: Option<usize>,
    /// The byte after its last.
    #[serde(deserialize_with = "json::fit")]
    pub end_index: Option<usize>,
    /// The passage itself.
    #[serde(deserialize_with = "json::fit")]
    pub text: Option<String>,
}

/// One source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroundingChunk {
    /// A web page.
    #[serde(deserialize_with = "json::fit")]
    pub web: Option<WebSource>,
    /// A place on the map.
    #[serde(deserialize_with = "json::fit")]
    pub maps: Option<WebSource>,
    /// An image.
    #[serde(deserialize_with = "json::fit")]
    pub image: Option<WebSource>,
    /// A document of the user's.
    #[serde(deserialize_with = "json::fit")]
    pub retrieved_context: Option<WebSource>,
}

impl GroundingChunk {
    /// The source, whatever its kind.
    pub fn source(&self) -> Option<&WebSource> {
        [&self.web, &self.maps, &self.image, &self.retrieved_context].into_iter().find_map(Option::as_ref)
    }
}

/// Address and title of a source.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebSource {
    /// The address.
    #[serde(deserialize_with = "json::or_default")]
    pub uri: String,
    /// The page that an image is shown on.
    #[serde(deserialize_with = "json::or_default")]
    pub source_uri: String,
    /// The title, mostly the domain.
    #[serde(deserialize_with = "json::or_default")]
    pub title: String,
    /// The page of a document in a file search store.
    #[serde(deserialize_with = "lenient::count")]
    pub page_number: Option<u64>,
}

/// Pages that were read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlContextMetadata {
    /// One entry a page.
    #[serde(deserialize_with = "json::first::<MAX_SOURCES, _, _>")]
    pub url_metadata: Vec<UrlMetadata>,
}

/// One page.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlMetadata {
    /// Its address.
    #[serde(deserialize_with = "json::or_default")]
    pub retrieved_url: String,
    /// `URL_RETRIEVAL_STATUS_…`
    #[serde(deserialize_with = "json::or_default")]
    pub url_retrieval_status: String,
}

/// Quoted sources; an answer may name them under both words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CitationMetadata {
    /// As the developer API says it.
    #[serde(deserialize_with = "json::first::<MAX_SOURCES, _, _>")]
    pub citation_sources: Vec<WebSource>,
    /// As Vertex says it.
    #[serde(deserialize_with = "json::first::<MAX_SOURCES, _, _>")]
    pub citations: Vec<WebSource>,
}
