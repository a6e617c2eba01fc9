//! Apps of Dify as models: which inputs they get ([`inputs`]), what their events mean ([`events`]), and under which key of the
//! storage a conversation is kept ([`conversation_key`]). No I/O.

pub mod events;
pub mod inputs;

use sha2::{Digest, Sha256};

/// The key of the storage for a conversation that a client has named. The same name of another key, another app or another endpoint
/// is another conversation.
pub fn conversation_key(endpoint_id: &str, client: &[u8; 32], app_id: &str, name: &str) -> String {
    let mut hash = Sha256::new();
    for part in [endpoint_id.as_bytes(), client, app_id.as_bytes(), name.as_bytes()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("conversation-{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_of_others_have_other_keys() {
        let key = |endpoint, client: u8, app, name| conversation_key(endpoint, &[client; 32], app, name);
        let mine = key("e", 1, "a", "c");
        assert!(mine.len() < 256 && mine == key("e", 1, "a", "c"));
        for other in [
            key("f", 1, "a", "c"),
            key("e", 2, "a", "c"),
            key("e", 1, "b", "c"),
            key("e", 1, "a", "d"),
            key("e", 1, "ac", ""),
        ] {
            assert_ne!(mine, other);
        }
    }
}
