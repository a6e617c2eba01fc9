//! Rejects invalid values in fields that requests would use late or never. The credentials themselves are validated by
//! a request, see [`dify_plugin_gemini::validate`].

use super::embedding;
use crate::dialect::gemini::request::parameters::{self, Parameters};
use crate::dialect::gemini::speech_options::SpeechOptions;
use crate::providers::common::download;
use dify_plugin::error::InvokeError;
use dify_plugin::protocol::Credentials;

/// Rejects invalid values in fields that requests would use late or never.
pub(super) fn fields(credentials: &Credentials) -> Result<(), InvokeError> {
    embedding::dimensions(credentials)?;
    SpeechOptions::read(credentials.get("speech_options"))?;
    credentials.get("file_url").map(download::file_host).transpose()?;
    parameters::safety(&Parameters(&serde_json::Map::new()), |name| super::safety_floor(credentials, name))?;
    Ok(())
}
