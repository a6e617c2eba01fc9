//! Files as messages: cut into chunks for tools and agents, which Dify joins again. Their bytes are in the data chunks
//! alone; the last chunk is empty, because the daemon drops its bytes when an agent sent it.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::protocol::tool_message::{BlobChunk, Content, MAX_CHUNK_BYTES, Message};

/// Type and name of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobMeta {
    /// Media type, such as `application/pdf`. Dify shows a file as an image if `image` is in it.
    pub mime_type: Option<String>,
    /// File name.
    pub filename: Option<String>,
}

impl BlobMeta {
    /// A file of this type.
    pub fn new(mime_type: impl Into<String>) -> Self {
        Self { mime_type: Some(mime_type.into()), filename: None }
    }

    /// The same with a file name.
    #[must_use]
    pub fn with_filename(mut self, filename: impl Into<String>) -> Self {
        self.filename = Some(filename.into());
        self
    }

    /// The meta of a message.
    fn into_map(self) -> Map<String, Value> {
        let mut meta = Map::new();
        let mime_type = self.mime_type.unwrap_or_else(|| "application/octet-stream".to_owned());
        meta.insert("mime_type".to_owned(), mime_type.into());
        if let Some(filename) = self.filename {
            meta.insert("filename".to_owned(), filename.into());
        }
        meta
    }
}

/// The chunks of a file. Each carries the meta, the whole length and the file's ID.
pub(super) fn chunks(bytes: &[u8], meta: BlobMeta) -> impl Iterator<Item = Message> + '_ {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = format!("{:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let meta = meta.into_map();
    let parts = bytes.chunks(MAX_CHUNK_BYTES).map(Some).chain([None]);
    parts.zip(0..).map(move |(part, sequence)| Message {
        content: Content::BlobChunk(BlobChunk {
            id: id.clone(),
            sequence,
            total_length: bytes.len() as u64,
            blob: part.map(|part| STANDARD.encode(part)).unwrap_or_default(),
            end: part.is_none(),
        }),
        meta: Some(meta.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_contain_every_byte_and_the_last_one_none() {
        for (length, expected) in [(0, 1), (1, 2), (MAX_CHUNK_BYTES, 2), (MAX_CHUNK_BYTES + 1, 3)] {
            let bytes: Vec<u8> = (0..length).map(|number| number as u8).collect();
            let messages: Vec<Message> = chunks(&bytes, BlobMeta::new("text/plain").with_filename("a")).collect();
            assert_eq!(messages.len(), expected, "{length}");
            let mut joined = Vec::new();
            let mut ids = std::collections::HashSet::new();
            for (number, message) in messages.iter().enumerate() {
                assert_eq!(message.meta.as_ref().unwrap()["filename"], "a");
                let Content::BlobChunk(chunk) = &message.content else { panic!("{message:?}") };
                assert_eq!((chunk.sequence, chunk.total_length), (number as u64, length as u64));
                assert_eq!(chunk.end, number + 1 == expected);
                assert!(!chunk.end || chunk.blob.is_empty());
                joined.extend(STANDARD.decode(&chunk.blob).unwrap());
                ids.insert(chunk.id.clone());
            }
            assert_eq!((joined, ids.len()), (bytes, 1));
        }
    }
}
