//! Thought signatures of function calls, kept for hosts that lose the message's private JSON.
//!
//! First carrier: the message's `opaque_body`. Second: this store, asked by the call itself (id, name, arguments), so that
//! an equal id of another session finds nothing. Third: the value that Google documents for history of other origin.
//! Source: Gemini API, "Thought signatures".

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The documented value for calls whose signature is not known.
pub const BYPASS: &str = "skip_thought_signature_validator";

/// Bytes of signatures that are kept.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How long a signature is kept: longer than an agent works on one question.
const LIFE: Duration = Duration::from_secs(6 * 3600);

/// A bounded store; the oldest goes first.
#[derive(Debug, Default)]
pub struct SignatureStore(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<u64, (String, Instant)>,
    order: VecDeque<(u64, Instant)>,
    bytes: usize,
}

fn key(id: &str, name: &str, arguments: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    // White space and number forms may change on the way; the order of members does not.
    let arguments = serde_json::from_str::<serde_json::Value>(arguments).unwrap_or_default().to_string();
    (id, name, arguments).hash(&mut hasher);
    hasher.finish()
}

impl SignatureStore {
    /// Keeps the signature of a call.
    pub fn keep(&self, id: &str, name: &str, arguments: &str, signature: &str) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, now) = (key(id, name, arguments), Instant::now());
        inner.bytes += signature.len();
        inner.order.push_back((key, now));
        if let Some((old, _)) = inner.known.insert(key, (signature.to_owned(), now)) {
            inner.bytes -= old.len();
        }
        while inner.bytes > MOST_BYTES || inner.order.front().is_some_and(|(_, kept)| kept.elapsed() > LIFE) {
            let Some((oldest, kept)) = inner.order.pop_front() else { break };
            // A renewed entry stands further back in the queue.
            if inner.known.get(&oldest).is_some_and(|(_, since)| *since == kept)
                && let Some((old, _)) = inner.known.remove(&oldest)
            {
                inner.bytes -= old.len();
            }
        }
    }

    /// The signature of a call.
    pub fn find(&self, id: &str, name: &str, arguments: &str) -> Option<String> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (signature, since) = inner.known.get(&key(id, name, arguments))?;
        (since.elapsed() <= LIFE).then(|| signature.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_found_by_the_whole_call_only() {
        let store = SignatureStore::default();
        store.keep("c1", "lookup", r#"{"q": "cat"}"#, "Q2lR+/==");
        assert_eq!(store.find("c1", "lookup", r#"{"q":"cat"}"#).as_deref(), Some("Q2lR+/=="));
        assert_eq!(store.find("c1", "lookup", r#"{"q":"dog"}"#), None);
        assert_eq!(store.find("c2", "lookup", r#"{"q":"cat"}"#), None);
    }

    #[test]
    fn the_store_stays_within_its_bytes() {
        let store = SignatureStore::default();
        let signature = "x".repeat(MOST_BYTES / 4);
        for id in ["a", "b", "c", "d", "e", "e"] {
            store.keep(id, "f", "{}", &signature);
        }
        assert!(store.0.lock().unwrap().bytes <= MOST_BYTES);
        assert_eq!(store.find("a", "f", "{}"), None);
        assert!(store.find("e", "f", "{}").is_some());
    }
}
