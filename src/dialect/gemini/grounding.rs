//! Grounding behind an answer: marks in the text, a list after it, search suggestions, pages that could not be read.
//!
//! Google counts passages in bytes of the answer's text (thoughts not counted). A passage that does not lie where it is
//! said to is looked up by its own words, and left unmarked when it is not found.
//! Source: Gemini API, "Grounding with Google Search", "URL context".

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::ops::{Bound, Range};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::wire::{GroundingMetadata, GroundingSupport, MAX_SOURCES, Segment, UrlMetadata, WebSource};
use dify_plugin::steps;

/// Longest address or title that is shown.
const MAX_NAME_BYTES: usize = 4096;

/// Bytes of text that are searched for passages which do not stand where they are said to.
const MAX_SEARCHED_BYTES: usize = 16 * 1024 * 1024;

/// What is shown of the sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Citations {
    /// Nothing.
    Off,
    /// A list after the answer.
    #[default]
    List,
    /// Marks in the text, and the list: the text is held until its end, as the places are told last.
    Inline,
}

/// The sources of a whole answer; of each kind as many as anybody reads.
#[derive(Debug, Default)]
pub struct Grounding {
    grounding: GroundingMetadata,
    queries: HashSet<String>,
    quoted: Vec<WebSource>,
    known: HashSet<(String, String)>,
    /// What became of each page, by its address, in the order in which they were asked for.
    pages: Vec<UrlMetadata>,
    places: HashMap<String, usize>,
}

impl Grounding {
    /// Adds what one request told; `offset` is where its text begins in the whole answer's.
    pub fn add(&mut self, grounding: GroundingMetadata, offset: usize) {
        let chunks = &mut self.grounding.grounding_chunks;
        let shift = chunks.len();
        let room = MAX_SOURCES.saturating_sub(shift);
        chunks.extend(grounding.grounding_chunks.into_iter().take(room));
        // Both kinds are searches, and are paid for as such.
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
    pub fn quote(&mut self, sources: Vec<WebSource>) {
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

    /// Adds pages that were asked for; a later word about a page replaces an earlier one.
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

    /// Searches that the model made.
    pub fn searches(&self) -> usize {
        self.grounding.web_search_queries.len()
    }

    /// Marks (`[1][3]`) by the byte of `text` in front of which they stand.
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

    /// A range of a text in pieces, with its marks between them.
    pub fn marked<'a>(
        text: &'a str,
        range: Range<usize>,
        marks: &'a BTreeMap<usize, String>,
        mut piece: impl FnMut(&'a str),
    ) {
        let mut last = range.start;
        // An empty range is legal here, as `start + 1..=end` would not be.
        for (at, mark) in marks.range((Bound::Excluded(range.start), Bound::Included(range.end))) {
            piece(&text[last..*at]);
            piece(mark);
            last = *at;
        }
        piece(&text[last..range.end]);
    }

    /// The list after the answer, in Markdown; empty when there is nothing to say.
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
                // Nothing, or a number, says nothing of a failure.
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

/// Text that cannot end a Markdown link early.
fn label(text: &str) -> String {
    text.replace(['[', ']', '\n'], " ")
}

fn is_short(source: &WebSource) -> bool {
    [&source.uri, &source.source_uri, &source.title].iter().all(|text| text.len() <= MAX_NAME_BYTES)
}

/// Where a passage ends in the text; `left` is how many bytes may still be searched.
fn end_of(segment: &Segment, text: &str, left: &mut usize) -> Option<usize> {
    let start = segment.start_index.unwrap_or(0);
    let told = segment.end_index.filter(|end| *end <= text.len() && text.is_char_boundary(*end) && *end > 0);
    let Some(words) = segment.text.as_deref().filter(|words| !words.is_empty()) else { return told };
    if let Some(end) = told
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
    fn marks_stand_at_bytes_not_letters() {
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
                {"segment": {"endIndex": 4, "text": "not said"}, "groundingChunkIndices": [0]},
                {"segment": {"endIndex": text.len(), "text": "Bern nicht."}, "groundingChunkIndices": [7]},
            ],
        }));
        let marks = sources.marks(text);
        assert_eq!(marks.get(&first).map(String::as_str), Some("[1][2]"));
        assert_eq!(marks.get(&text.len()).map(String::as_str), Some("[2]"));
        assert_eq!(marks.len(), 2, "{marks:?}");
    }

    #[test]
    fn later_requests_shift_numbers_and_places() {
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
    fn the_list_names_sources_searches_and_unread_pages() {
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
        sources.quote(vec![WebSource { uri: "https://q".to_owned(), ..WebSource::default() }; 2]);
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
