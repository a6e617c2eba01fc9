//! Stores thought signatures of calls and images, for Dify versions that lose the message's private JSON.
//!
//! First carrier: the message's `opaque_body`. Second: this store, keyed by the complete call (ID, name, arguments) or
//! by the image, so that an equal ID in another session finds nothing. Third: the value that Google documents for
//! history from other models. Source: Gemini API, "Thought signatures".

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The documented value for calls whose signature is unknown.
pub const BYPASS: &str = "skip_thought_signature_validator";

/// Maximum bytes in the store.
const MAX_STORE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of an entry in addition to its signature: its places in the table and the queue.
const ENTRY_BYTES: usize = 160;

/// How long a signature is stored: longer than an agent works on one task.
const SIGNATURE_TTL: Duration = Duration::from_secs(6 * 3600);

/// A bounded store; the oldest entries are removed first.
#[derive(Debug, Default)]
pub struct SignatureStore(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<Key, (String, Instant)>,
    order: VecDeque<(Key, Instant)>,
    bytes: usize,
}

/// Key of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// Returns the key of a call.
pub fn of_call(id: &str, name: &str, arguments: &str) -> Key {
    // Whitespace and number formats may change in transit; the order of members does not.
    let arguments = serde_json::from_str::<serde_json::Value>(arguments).unwrap_or_default().to_string();
    hash(("call", id, name, arguments))
}

/// Returns the key of an image, from its Base64 data.
pub fn of_content(content: &str) -> Key {
    hash(("content", content))
}

fn hash(what: impl Hash) -> Key {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    Key(hasher.finish())
}

impl SignatureStore {
    /// Stores a signature.
    pub fn keep(&self, key: Key, signature: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // Each queue entry counts: a renewed signature is in the queue twice until its older entry is removed.
        inner.bytes += signature.len() + ENTRY_BYTES;
        inner.order.push_back((key, now));
        if let Some((old, _)) = inner.known.insert(key, (signature.to_owned(), now)) {
            inner.bytes -= old.len();
        }
        while inner.bytes > MAX_STORE_BYTES
            || inner.order.front().is_some_and(|(_, kept)| kept.elapsed() > SIGNATURE_TTL)
        {
            let Some((oldest, kept)) = inner.order.pop_front() else { break };
            inner.bytes -= ENTRY_BYTES;
            // A renewed entry has a later position in the queue.
            if inner.known.get(&oldest).is_some_and(|(_, since)| *since == kept)
                && let Some((old, _)) = inner.known.remove(&oldest)
            {
                inner.bytes -= old.len();
            }
        }
    }

    /// Returns the signature stored for a key.
    pub fn find(&self, key: Key) -> Option<String> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (signature, since) = inner.known.get(&key)?;
        (since.elapsed() <= SIGNATURE_TTL).then(|| signature.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_found_by_the_complete_call_only() {
        let store = SignatureStore::default();
        store.keep(of_call("c1", "lookup", r#"{"q": "cat"}"#), "Q2lR+/==");
        assert_eq!(store.find(of_call("c1", "lookup", r#"{"q":"cat"}"#)).as_deref(), Some("Q2lR+/=="));
        assert_eq!(store.find(of_call("c1", "lookup", r#"{"q":"dog"}"#)), None);
        assert_eq!(store.find(of_call("c2", "lookup", r#"{"q":"cat"}"#)), None);
    }

    #[test]
    fn the_store_stays_within_its_limit() {
        let store = SignatureStore::default();
        let signature = "x".repeat(MAX_STORE_BYTES / 4);
        for id in ["a", "b", "c", "d", "e", "e"] {
            store.keep(of_call(id, "f", "{}"), &signature);
        }
        assert!(store.0.lock().unwrap().bytes <= MAX_STORE_BYTES);
        assert_eq!(store.find(of_call("a", "f", "{}")), None);
        assert!(store.find(of_call("e", "f", "{}")).is_some());
    }

    #[test]
    fn small_signatures_are_counted_with_their_overhead() {
        let store = SignatureStore::default();
        for number in 0..MAX_STORE_BYTES / ENTRY_BYTES {
            store.keep(of_call("c", "f", &number.to_string()), "QQ==");
            store.keep(of_call("c", "f", "always the same"), "QQ==");
        }
        let inner = store.0.lock().unwrap();
        assert!(
            inner.bytes <= MAX_STORE_BYTES && inner.order.len() <= MAX_STORE_BYTES / ENTRY_BYTES,
            "{}",
            inner.order.len()
        );
        assert!(inner.known.len() <= inner.order.len());
    }

    #[test]
    fn images_and_texts_are_found_by_content() {
        let store = SignatureStore::default();
        store.keep(of_content("aGk="), "S");
        assert_eq!(store.find(of_content("aGk=")).as_deref(), Some("S"));
        assert_eq!(store.find(of_content("aGs=")), None);
        assert_eq!(store.find(of_call("aGk=", "", "")), None);
    }
}
