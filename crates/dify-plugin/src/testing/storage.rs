//! The plugin's storage as the daemon keeps it: keys and values in memory, with the daemon's texts where it fails.
//!
//! Source: `dify-plugin-daemon: internal/core/persistence/persistence.go`.

use std::collections::BTreeMap;

use serde_json::json;

use super::answer::{Answer, CallBack};
use crate::daemon::MISSING_KEY;

/// Keys and values.
#[derive(Default)]
pub(super) struct Storage(pub(super) BTreeMap<String, Vec<u8>>);

impl Storage {
    /// Answers a call of type `storage`. `limit` is the size that the manifest requests, in bytes.
    pub(super) fn answer(&mut self, call: &CallBack, limit: Option<u64>) -> Answer {
        let key = call.text("key");
        if key.is_empty() || key.len() > 256 || key.contains("..") || key.contains("//") || key.contains('\\') {
            return Answer::error("save data failed: the key is not accepted");
        }
        let data = match call.text("opt") {
            "get" => match self.0.get(key) {
                Some(value) => json!({"data": hex::encode(value)}),
                None => return Answer::error(MISSING_KEY),
            },
            "set" => {
                let Ok(value) = hex::decode(call.text("value")) else {
                    return Answer::error("save data failed: the value is not hexadecimal");
                };
                // The daemon checks the size after it has written the value.
                self.0.insert(key.to_owned(), value);
                let size: usize = self.0.values().map(Vec::len).sum();
                if limit.is_some_and(|limit| size as u64 > limit) {
                    return Answer::error("save data failed: allocated size is greater than max storage size");
                }
                json!({"data": "ok"})
            }
            "del" => match self.0.remove(key) {
                Some(_) => json!({"data": "ok", "deleted_num": 0}),
                None => return Answer::error("delete data failed: the key does not exist"),
            },
            "exist" => json!({"data": self.0.contains_key(key), "exist_num": u8::from(self.0.contains_key(key))}),
            other => return Answer::error(format!("unmarshal backwards invoke request failed: opt `{other}`")),
        };
        Answer::data(data)
    }
}
