//! What credential forms may use of this machine: nothing, unless the operator allows it outside of all forms.
//!
//! Contains the data only: settings are read in [`super::operator`], and the code that fetches tokens has the rules.

use std::path::PathBuf;

use url::Url;

/// Setting for [`MachineAccess::identity`].
pub const ALLOW_IDENTITY: &str = "DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY";
/// Setting for [`MachineAccess::token_files`].
pub const ALLOW_TOKEN_FILES: &str = "DIFY_PLUGIN_ALLOW_TOKEN_FILES";
/// Setting for [`MachineAccess::token_urls`].
pub const ALLOW_TOKEN_URLS: &str = "DIFY_PLUGIN_ALLOW_TOKEN_URLS";

/// What the operator allows every credential form of this process to use. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineAccess {
    /// Whether the machine's own identity is allowed: its credentials file, or else its metadata server.
    pub identity: bool,
    /// Absolute paths that are allowed in `credential_source.file`.
    pub token_files: Vec<PathBuf>,
    /// URLs, query string included, that are allowed in `credential_source.url`.
    pub token_urls: Vec<Url>,
    /// Path of the machine's credentials file.
    pub credentials_file: Option<PathBuf>,
    /// Host and port of the metadata server, if it is not Google's default.
    pub metadata_host: Option<String>,
}

impl MachineAccess {
    /// Whether nothing is allowed.
    pub fn is_none(&self) -> bool {
        !self.identity && self.token_files.is_empty() && self.token_urls.is_empty()
    }

    /// Whether a form may use this machine's own identity.
    pub fn allows_identity(&self) -> bool {
        self.identity
    }
}
