//! Converts an agent's report to Dify content: texts and images in order, citation markers at the cited passages, and
//! the list of sources at the end.
//!
//! Source: Gemini API, "Interactions API" (`TextContent.annotations`; positions are bytes of the text that contains
//! them).

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

use super::interactions::Interaction;
use crate::dialect::gemini::grounding::Grounding;
use crate::dialect::gemini::response::media::media;
use crate::dialect::gemini::wire::{Blob, GroundingChunk, GroundingMetadata, GroundingSupport, Segment, WebSource};
use dify_plugin::protocol::{Content, ContentPart};

/// An item of a report.
enum Item {
    /// A range of the complete text.
    Text(Range<usize>),
    /// An image or another file.
    Media(Box<ContentPart>),
}

/// A report under construction.
#[derive(Default)]
pub(super) struct Report {
    text: String,
    items: Vec<Item>,
    grounding: GroundingMetadata,
    /// Source numbers by URL.
    numbers: HashMap<String, usize>,
}

impl Report {
    /// Collects the report of a task; thoughts and tool calls are omitted.
    pub(super) fn of(task: &Interaction) -> Self {
        let mut report = Self::default();
        for output in &task.outputs {
            report.paragraph(std::slice::from_ref(output));
        }
        for step in task.steps.iter().filter(|step| step["type"] == "model_output") {
            report.paragraph(step["content"].as_array().map_or(&[], Vec::as_slice));
        }
        report
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn paragraph(&mut self, contents: &[Value]) {
        let mut start = self.text.len();
        let mut begins = start > 0;
        for content in contents {
            let text = |key: &str| content[key].as_str().unwrap_or_default();
            match text("type") {
                "text" if !text("text").is_empty() => {
                    if std::mem::take(&mut begins) {
                        self.text.push_str("\n\n");
                    }
                    let offset = self.text.len();
                    self.text.push_str(text("text"));
                    self.cite(&content["annotations"], offset);
                }
                "image" | "audio" | "video" | "document" => {
                    self.end_text(start);
                    start = self.text.len();
                    self.items.push(Item::Media(Box::new(shown(content))));
                }
                _ => {}
            }
        }
        self.end_text(start);
    }

    fn end_text(&mut self, start: usize) {
        if start < self.text.len() {
            self.items.push(Item::Text(start..self.text.len()));
        }
    }

    /// Records which passages cite which sources; a source has one number, however often it is cited.
    fn cite(&mut self, annotations: &Value, offset: usize) {
        for annotation in annotations.as_array().into_iter().flatten() {
            let first =
                |keys: &[&str]| keys.iter().find_map(|key| annotation[*key].as_str()).unwrap_or_default().to_owned();
            let source = WebSource {
                uri: first(&["url", "document_uri", "source"]),
                title: first(&["title", "name", "file_name"]),
                ..WebSource::default()
            };
            if source.uri.is_empty() && source.title.is_empty() {
                continue;
            }
            let chunks = &mut self.grounding.grounding_chunks;
            let number = *self.numbers.entry(source.uri.clone()).or_insert(chunks.len());
            if number == chunks.len() {
                chunks.push(GroundingChunk { web: Some(source), ..GroundingChunk::default() });
            }
            if let Some(end) = annotation["end_index"].as_u64().and_then(|end| usize::try_from(end).ok()) {
                let segment = Segment { end_index: Some(end.saturating_add(offset)), ..Segment::default() };
                self.grounding
                    .grounding_supports
                    .push(GroundingSupport { segment: Some(segment), grounding_chunk_indices: vec![number] });
            }
        }
    }

    /// Returns plain text if the report contains only text.
    pub(super) fn into_content(self) -> Content {
        let mut sources = Grounding::default();
        sources.add(self.grounding, 0);
        let marks = sources.marks(&self.text);
        let mut parts: Vec<ContentPart> = Vec::new();
        let mut text = String::new();
        for item in self.items {
            match item {
                Item::Text(range) => Grounding::marked(&self.text, range, &marks, |piece| text.push_str(piece)),
                Item::Media(part) => {
                    if !text.is_empty() {
                        parts.push(ContentPart::text(std::mem::take(&mut text)));
                    }
                    parts.push(*part);
                }
            }
        }
        text.push_str(&sources.list());
        match parts.is_empty() {
            true => Content::Text(text),
            false => {
                parts.extend((!text.is_empty()).then(|| ContentPart::text(text)));
                Content::Parts(parts)
            }
        }
    }
}

/// Converts an image or another file: its data, or else its URL.
fn shown(content: &Value) -> ContentPart {
    let text = |key: &str| content[key].as_str().unwrap_or_default().to_owned();
    let usual = if text("type") == "image" { "image/png".to_owned() } else { format!("{}/*", text("type")) };
    let mime_type = Some(text("mime_type")).filter(|mime_type| !mime_type.is_empty()).unwrap_or(usual);
    let mut part = media(Blob { mime_type, data: text("data") }, None);
    if text("data").is_empty()
        && let Some(found) = part.media_mut()
    {
        (found.base64_data, found.url) = (None, Some(text("uri")));
    }
    part
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn content(task: Value) -> Content {
        Report::of(&serde_json::from_value(task).unwrap()).into_content()
    }

    #[test]
    fn marks_passages_by_byte_and_lists_each_source_once() {
        let (first, second) = ("Zürich ist groß. ", "Bern nicht.");
        let source = |url: &str, end: usize| json!({"type": "url_citation", "url": url, "title": "T", "start_index": 0, "end_index": end});
        let report = content(json!({"steps": [
            {"type": "thought", "content": [{"type": "text", "text": "hm"}]},
            {"type": "model_output", "content": [
                {"type": "text", "text": first, "annotations": [source("https://a", first.trim().len()), source("https://a", 3)]},
                {"type": "text", "text": second, "annotations": [source("https://b", second.len()), source("https://a", second.len()),
                    source("https://c", 9999), {"type": "word_info", "word": "x"}]},
            ]},
            {"type": "model_output", "content": [{"type": "text", "text": "Ende.", "annotations": [{"type": "file_citation", "file_name": "f.pdf", "end_index": 5}]}]},
        ]}));
        let expected = "Zü[1]rich ist groß.[1] Bern nicht.[1][2]\n\nEnde.[4]\n\nSources:\n[1] [T](https://a)\n[2] [T](https://b)\n[3] [T](https://c)\n[4] f.pdf";
        assert_eq!(report, Content::Text(expected.to_owned()));
    }

    #[test]
    fn images_are_placed_between_the_texts() {
        let report = content(
            json!({"outputs": [{"type": "text", "text": "One."}, {"type": "image", "mime_type": "image/png", "data": "AA=="},
            {"type": "image", "uri": "https://p/1.png"}, {"type": "text", "text": "Two."}]}),
        );
        let Content::Parts(parts) = report else { panic!("no parts") };
        let kinds: Vec<&str> = parts.iter().map(ContentPart::type_name).collect();
        assert_eq!(kinds, ["text", "image", "image", "text"]);
        assert_eq!(parts[1].media().unwrap().base64_data.as_deref(), Some("AA=="));
        assert_eq!(parts[2].media().unwrap().url.as_deref(), Some("https://p/1.png"));
    }
}
