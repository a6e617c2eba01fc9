//! The plugin's storage: one map of keys to bytes per workspace and plugin, which all its users share. It never reaches
//! the Dify API; the daemon answers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BackwardsRequest, DifyError, InvokeType};

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StorageOperation {
    /// Read its value.
    Get,
    /// Write its value.
    Set,
    /// Remove it.
    #[serde(rename = "del")]
    Delete,
    /// Whether it has a value.
    Exist,
}

/// `storage`.
#[derive(Clone, Debug, Serialize)]
pub struct StorageInvocation {
    opt: StorageOperation,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// Longest key that the daemon saves, in bytes.
const MAX_KEY_BYTES: usize = 256;

impl StorageInvocation {
    /// An operation on a key. The daemon rejects some keys, with a text that does not say why.
    pub fn new(opt: StorageOperation, key: &str) -> Result<Self, DifyError> {
        let problem = if key.is_empty() {
            "is empty".to_owned()
        } else if key.len() > MAX_KEY_BYTES {
            format!("has {} bytes; at most {MAX_KEY_BYTES} are allowed", key.len())
        } else if key.contains("..") || key.contains('\\') {
            "contains `..` or `\\`".to_owned()
        } else {
            return Ok(Self { opt, key: key.to_owned(), value: None });
        };
        Err(DifyError::invalid(format!("the storage key {problem}")))
    }

    /// The value to be written.
    #[must_use]
    pub fn with_value(mut self, value: &[u8]) -> Self {
        self.value = Some(hex::encode(value));
        self
    }
}

impl BackwardsRequest for StorageInvocation {
    type Response = StorageResult;

    fn invoke_type(&self) -> InvokeType {
        InvokeType::Storage
    }
}

/// What the daemon responds: hexadecimal bytes, `ok`, or a boolean.
#[derive(Clone, Debug, Deserialize)]
pub struct StorageResult {
    data: Value,
}

impl StorageResult {
    /// The bytes of a value.
    pub fn bytes(&self) -> Result<Bytes, DifyError> {
        let bytes = self.data.as_str().and_then(|text| hex::decode(text).ok());
        bytes.map(Bytes::from).ok_or_else(|| DifyError::malformed("`data` is not hexadecimal"))
    }

    /// Whether the key has a value.
    pub fn exists(&self) -> Result<bool, DifyError> {
        self.data.as_bool().ok_or_else(|| DifyError::malformed("`data` is not a boolean"))
    }

    /// That it was done.
    pub fn done(&self) -> Result<(), DifyError> {
        match self.data.as_str() {
            Some("ok") => Ok(()),
            _ => Err(DifyError::malformed("`data` is not `ok`")),
        }
    }
}
