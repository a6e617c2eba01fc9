//! The plugin's storage.

use bytes::Bytes;

use super::{Dify, DifyError};
use crate::protocol::backwards::{StorageInvocation, StorageOperation, StorageResult};

impl Dify {
    /// The plugin's storage in this workspace.
    pub fn storage(&self) -> Storage {
        Storage(self.clone())
    }
}

/// Bytes by key, shared by all users of the workspace: a key of one user's data needs the user's ID in it.
///
/// There is no compare-and-set: of two writers the later one counts. A value has about 2.5 MB at most, and all values
/// of a plugin together as much as `resource.permission.storage.size` in its manifest.
#[derive(Clone)]
pub struct Storage(Dify);

impl Storage {
    /// The value of a key. The daemon reports a value that it cannot load as a missing one.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, DifyError> {
        match self.call(StorageOperation::Get, key).await {
            Ok(result) => result.bytes().map(Some),
            Err(error) if error.is_missing_key() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the value of a key. A value that exceeds the plugin's size is an error, but is stored all the same.
    pub async fn set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), DifyError> {
        let request = StorageInvocation::new(StorageOperation::Set, key)?.with_value(value.as_ref());
        self.0.call_once(request).await?.done()
    }

    /// Removes a key; a missing one is an error.
    pub async fn delete(&self, key: &str) -> Result<(), DifyError> {
        self.call(StorageOperation::Delete, key).await?.done()
    }

    /// Whether a key has a value.
    pub async fn exists(&self, key: &str) -> Result<bool, DifyError> {
        self.call(StorageOperation::Exist, key).await?.exists()
    }

    async fn call(&self, operation: StorageOperation, key: &str) -> Result<StorageResult, DifyError> {
        self.0.call_once(StorageInvocation::new(operation, key)?).await
    }
}
