//! Grounding of a response: markers in the text, the list of sources after it, search suggestions, and pages that could
//! not be fetched.
//!
//! Google counts segments in bytes of the response text (without thoughts). A segment that is not at its reported
//! position is searched for by its text, and left unmarked if it is not found. Source: Gemini API, "Grounding with
//! Google Search", "URL context".

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::ops::{Bound, Range};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::wire::{GroundingMetadata, GroundingSupport, MAX_SOURCES, Segment, UrlMetadata, WebSource};
use dify_plugin::steps;

/// Maximum bytes shown of a URL or title.
const MAX_NAME_BYTES: usize = 4096;

/// Maximum bytes of text to search for segments that are not at their reported position.
const MAX_SEARCHED_BYTES: usize = 16 * 1024 * 1024;

/// How sources are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Citations {
    /// Not at all.
    Off,
    /// As a list after the response.
    #[default]
    List,
    /// As markers in the text, and the list. The text is buffered until its end, because the service reports the
    /// positions last.
    Inline,
}

/// The sources of a complete response, limited to a readable number of each type.
#[derive(Debug, Default)]
pub struct Grounding {
    grounding: GroundingMetadata,
    queries: HashSet<String>,
    quoted: Vec<WebSource>,
    known: HashSet<(String, String)>,
    /// Fetch results of the pages, by URL, in the order in which they were requested.
    pages: Vec<UrlMetadata>,
    places: HashMap<String, usize>,
}

impl Grounding {
    /// Adds the grounding metadata of one request; `offset` is the position of its text in the complete response.
    pub fn add(&mut self, grounding: GroundingMetadata, offset: usize) {
        let chunks = &mut self.grounding.grounding_chunks;
        let shift = chunks.len();
        let room = MAX_SOURCES.saturating_sub(shift);
        chunks.extend(grounding.grounding_chunks.into_iter().take(room));
        // Both query types are billed as searches.
        for query in grounding.web_search_queries.into_iter().chain(grounding.image_search_queries) {
            steps::count(query.len());
            if self.queries.len() < MAX_SOURCES && query.len() <= MAX_NAME_BYTES && self.queries.insert(query.clone()) {
                self.grounding.web_search_queries.push(query);
            }
        }
        self.grounding.grounding_supports.extend(grounding.grounding_supports.into_iter().map(|support| {
            GroundingSupport {
                segment: support.segment.map(|segment| Segment {
                    start_index: Some(segment.start_index.unwrap_or(0).saturating_add(offset)),
                    end_index: segment.end_index.map(|end| end.saturating_add(offset)),
                    text: segment.text,
                }),
                grounding_chunk_indices: support
                    .grounding_chunk_indices
                    .iter()
                    .filter_map(|index| index.checked_add(shift))
                    .collect(),
            }
        }));
    }

    /// Adds recited sources.
    pub fn add_quoted(&mut self, sources: Vec<WebSource>) {
        for source in sources {
            steps::count(source.uri.len() + source.title.len());
            let empty = source.uri.is_empty() && source.title.is_empty();
            if !empty
                && self.quoted.len() < MAX_SOURCES
                && is_short(&source)
                && self.known.insert((source.uri.clone(), source.title.clone()))
            {
                self.quoted.push(source);
            }
        }
    }

    /// Adds requested pages; a later result for the same page replaces an earlier one.
    pub fn pages(&mut self, pages: Vec<UrlMetadata>) {
        for page in pages.into_iter().filter(|page| page.retrieved_url.len() <= MAX_NAME_BYTES) {
            steps::count(page.retrieved_url.len());
            match self.places.get(&page.retrieved_url) {
                Some(place) => self.pages[*place] = page,
                None if self.pages.len() < MAX_SOURCES => {
                    self.places.insert(page.retrieved_url.clone(), self.pages.len());
                    self.pages.push(page);
                }
                None => {}
            }
        }
    }

    /// Returns the number of searches that the model made.
    pub fn searches(&self) -> usize {
        self.grounding.web_search_queries.len()
    }

    /// Returns the markers (`[1][3]`) by the byte offset in `text` at which they are inserted.
    pub fn marks(&self, text: &str) -> BTreeMap<usize, String> {
        let mut numbers: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        let mut left = MAX_SEARCHED_BYTES;
        for support in &self.grounding.grounding_supports {
            let segment = support.segment.as_ref();
            let Some(end) = segment.and_then(|segment| end_of(segment, text, &mut left)) else { continue };
            let indexes = support.grounding_chunk_indices.iter().copied();
            steps::count(support.grounding_chunk_indices.len());
            let known = indexes.filter(|index| *index < self.grounding.grounding_chunks.len());
            numbers.entry(end).or_default().extend(known);
        }
        let mark = |indexes: BTreeSet<usize>| indexes.iter().map(|index| format!("[{}]", index + 1)).collect();
        numbers
            .into_iter()
            .filter(|(_, indexes)| !indexes.is_empty())
            .map(|(at, indexes)| (at, mark(indexes)))
            .collect()
    }

    /// Splits a range of the text at its markers and returns it with the markers in between.
    pub fn marked<'a>(
        text: &'a str,
        range: Range<usize>,
        marks: &'a BTreeMap<usize, String>,
        mut piece: impl FnMut(&'a str),
    ) {
        let mut last = range.start;
        // An empty range is valid here; `start + 1..=end` would panic.
        for (at, mark) in marks.range((Bound::Excluded(range.start), Bound::Included(range.end))) {
            piece(&text[last..*at]);
            piece(mark);
            last = *at;
        }
        piece(&text[last..range.end]);
    }

    /// Returns the Markdown list after the response; empty if there is nothing to list.
    pub fn list(&self) -> String {
        let mut text = String::new();
        let listed: Vec<_> = self.grounding.grounding_chunks.iter().map(|chunk| chunk.source()).collect();
        section(&mut text, "Sources", listed.into_iter().map(|source| source.filter(|source| is_short(source))));
        section(&mut text, "Quoted from", self.quoted.iter().map(Some));
        if !self.grounding.web_search_queries.is_empty() {
            let links: Vec<String> = self
                .grounding
                .web_search_queries
                .iter()
                .map(|query| {
                    let encoded = utf8_percent_encode(query, NON_ALPHANUMERIC);
                    format!("[{}](https://www.google.com/search?q={encoded})", label(query))
                })
                .collect();
            let _ = write!(text, "\n\nSearch suggestions: {}", links.join(" · "));
        }
        for page in &self.pages {
            let why = match page.url_retrieval_status.trim_start_matches("URL_RETRIEVAL_STATUS_") {
                // A missing or numeric status is not a failure.
                "SUCCESS" | "" => continue,
                word if word.bytes().all(|byte| byte.is_ascii_digit()) => continue,
                "UNSPECIFIED" => "no reason given".to_owned(),
                word => word.to_ascii_lowercase(),
            };
            let _ = write!(text, "\n\nCould not read {} ({why})", page.retrieved_url);
        }
        text
    }
}

fn section<'a>(text: &mut String, title: &str, sources: impl Iterator<Item = Option<&'a WebSource>>) {
    let mut open = false;
    for (number, source) in sources.enumerate() {
        let Some(source) = source else { continue };
        if !std::mem::replace(&mut open, true) {
            let _ = write!(text, "\n\n{title}:");
        }
        let address = if source.uri.is_empty() { &source.source_uri } else { &source.uri };
        let mut name = label(if source.title.is_empty() { address } else { &source.title });
        if let Some(page) = source.page_number {
            let _ = write!(name, ", page {page}");
        }
        let _ = match address.as_str() {
            "" => write!(text, "\n[{}] {name}", number + 1),
            uri => write!(text, "\n[{}] [{name}]({uri})", number + 1),
        };
    }
}

/// Escapes text that would end a Markdown link early.
fn label(text: &str) -> String {
    text.replace(['[', ']', '\n'], " ")
}

fn is_short(source: &WebSource) -> bool {
    [&source.uri, &source.source_uri, &source.title].iter().all(|text| text.len() <= MAX_NAME_BYTES)
}

/// Returns the end of a segment in the text; `left` limits how many bytes may still be searched.
fn end_of(segment: &Segment, text: &str, left: &mut usize) -> Option<usize> {
    let start = segment.start_index.unwrap_or(0);
    let reported = segment.end_index.filter(|end| *end <= text.len() && text.is_char_boundary(*end) && *end > 0);
    let Some(words) = segment.text.as_deref().filter(|words| !words.is_empty()) else { return reported };
    if let Some(end) = reported
        && text.get(start..end) == Some(words)
    {
        return Some(end);
    }
    *left = left.checked_sub(text.len())?;
    steps::count(text.len());
    text.find(words).map(|at| at + words.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sources(grounding: serde_json::Value) -> Grounding {
        let mut sources = Grounding::default();
        sources.add(serde_json::from_value(grounding).unwrap(), 0);
        sources
    }

    #[test]
    fn markers_are_placed_by_byte_not_character() {
        let text = "Zürich ist größer. Bern nicht.";
        let first = text.find(" Bern").unwrap();
        let chunk = |name: &str| json!({"web": {"uri": format!("https://{name}"), "title": name}});
        let sources = sources(json!({
            "groundingChunks": [chunk("a"), chunk("b")],
            "groundingSupports": [
                {"segment": {"endIndex": first, "text": "Zürich ist größer."}, "groundingChunkIndices": [1, 0]},
                {"segment": {"startIndex": 3, "endIndex": 7, "text": "Bern nicht."}, "groundingChunkIndices": [1]},
                {"segment": {"startIndex": 1, "endIndex": 2}, "groundingChunkIndices": [0]},
                {"segment": {"endIndex": 9999}, "groundingChunkIndices": [0]},
                {"segment": {"endIndex": 4, "text": "not in the text"}, "groundingChunkIndices": [0]},
                {"segment": {"endIndex": text.len(), "text": "Bern nicht."}, "groundingChunkIndices": [7]},
            ],
        }));
        let marks = sources.marks(text);
        assert_eq!(marks.get(&first).map(String::as_str), Some("[1][2]"));
        assert_eq!(marks.get(&text.len()).map(String::as_str), Some("[2]"));
        assert_eq!(marks.len(), 2, "{marks:?}");
    }

    #[test]
    fn offsets_and_numbers_continue_across_requests() {
        let part = |name: &str| {
            serde_json::from_value(json!({
                "groundingChunks": [{"web": {"uri": format!("https://{name}")}}],
                "groundingSupports": [{"segment": {"endIndex": 3, "text": name}, "groundingChunkIndices": [0]}],
            }))
            .unwrap()
        };
        let mut sources = Grounding::default();
        sources.add(part("one"), 0);
        sources.add(part("two"), 3);
        let marks = sources.marks("onetwo");
        assert_eq!(marks.into_iter().collect::<Vec<_>>(), [(3, "[1]".to_owned()), (6, "[2]".to_owned())]);
    }

    #[test]
    fn lists_sources_searches_and_failed_pages() {
        let mut sources = sources(json!({
            "groundingChunks": [
                {"web": {"uri": "https://a", "title": "A [1]"}}, {"retrievedContext": {"title": "Notes"}},
                {"maps": {"uri": "https://maps.google.com/?cid=1", "title": "Café", "placeId": "places/1", "text": "…"}},
                {"retrievedContext": {"title": "Contract", "fileSearchStore": "fileSearchStores/s-1", "pageNumber": 3, "mediaId": 7}},
                {"image": {"sourceUri": "https://b", "imageUri": "https://b/i.png", "title": "B"}},
            ],
            "webSearchQueries": ["größe?"],
            "imageSearchQueries": ["bear", "größe?"],
        }));
        sources.add_quoted(vec![WebSource { uri: "https://q".to_owned(), ..WebSource::default() }; 2]);
        sources.pages(
            serde_json::from_value(json!([
                {"retrievedUrl": "https://ok", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
                {"retrievedUrl": "https://pay", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_PAYWALL"},
            ]))
            .unwrap(),
        );
        assert_eq!(
            sources.list(),
            "\n\nSources:\n[1] [A  1 ](https://a)\n[2] Notes\n[3] [Café](https://maps.google.com/?cid=1)\n\
             [4] Contract, page 3\n[5] [B](https://b)\n\nQuoted from:\n[1] [https://q](https://q)\n\n\
             Search suggestions: [größe?](https://www.google.com/search?q=gr%C3%B6%C3%9Fe%3F) · \
             [bear](https://www.google.com/search?q=bear)\n\nCould not read https://pay (paywall)"
        );
        assert_eq!(Grounding::default().list(), "");
    }
}
