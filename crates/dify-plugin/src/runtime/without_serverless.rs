//! What is left of serving over HTTP without the feature `serverless`: its error.

use std::io;
use std::sync::Arc;

use super::registry::Registry;
use super::serve::ServeOptions;
use crate::config::Config;
use crate::transport::stdio::Output;

/// Fails.
pub async fn serve(_: &Config, _: ServeOptions, _: Arc<Registry>, _: Output) -> io::Result<()> {
    Err(io::Error::other("this executable was built without the feature `serverless` of `dify-plugin`"))
}
