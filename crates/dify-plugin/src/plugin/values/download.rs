//! Downloads the files that Dify gives a plugin.

use bytes::Bytes;
use url::Url;

use super::File;
use crate::error::InvokeError;
use crate::plugin::Dify;
use crate::upstream::UpstreamRequest;

/// How to make a file reachable, for errors.
const SET_FILES_URL: &str = "Set FILES_URL, or INTERNAL_FILES_URL, of Dify to a URL that the plugin can reach.";

impl File {
    /// Downloads the file; one of more than `max_bytes` is an error.
    ///
    /// ```
    /// use dify_plugin::plugin::{Call, File, PluginError};
    ///
    /// async fn length(call: &Call, file: &File) -> Result<usize, PluginError> {
    ///     Ok(file.download(&call.dify, 10 * 1024 * 1024).await?.len())
    /// }
    /// ```
    pub async fn download(&self, dify: &Dify, max_bytes: usize) -> Result<Bytes, InvokeError> {
        let max = max_bytes as u64;
        if let Some(size) = self.size.filter(|size| *size > max) {
            let message = format!("file {} has {size} bytes; the limit is {max_bytes}", self.name());
            return Err(InvokeError::bad_request(message));
        }
        let Some(url) = Url::parse(&self.url).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            let message = format!("the URL of file {} is not absolute", self.name());
            return Err(InvokeError::bad_request(message).with_hint(SET_FILES_URL));
        };
        let response = dify.upstream().send(&UpstreamRequest::get(url).confidential()).await;
        let bytes = async { response?.bytes(max_bytes).await }.await;
        bytes.map_err(|mut error| {
            error.message = format!("cannot download file {}: {}", self.name(), error.message);
            match error.hint {
                Some(_) => error,
                None => error.with_hint(SET_FILES_URL),
            }
        })
    }

    fn name(&self) -> String {
        self.filename.as_deref().map_or_else(|| "without a name".to_owned(), |name| format!("`{name}`"))
    }
}
