//! What of this machine credential forms may use: nothing, unless the operator allows it outside of every form.
//!
//! The data only: settings are read in [`super::operator`], and whoever fetches a token holds the rules.

use std::path::PathBuf;

use url::Url;

/// The setting of [`MachineAccess::identity`].
pub const ALLOW_IDENTITY: &str = "DIFY_PLUGIN_ALLOW_MACHINE_IDENTITY";
/// The setting of [`MachineAccess::token_files`].
pub const ALLOW_TOKEN_FILES: &str = "DIFY_PLUGIN_ALLOW_TOKEN_FILES";
/// The setting of [`MachineAccess::token_urls`].
pub const ALLOW_TOKEN_URLS: &str = "DIFY_PLUGIN_ALLOW_TOKEN_URLS";

/// What the operator puts at the disposal of every credential form of this process. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineAccess {
    /// The machine's own identity: its credentials file, or else its metadata server.
    pub identity: bool,
    /// Files that `credential_source.file` may name, by their absolute paths.
    pub token_files: Vec<PathBuf>,
    /// Addresses that `credential_source.url` may name, query included.
    pub token_urls: Vec<Url>,
    /// Where the machine's credentials file is.
    pub credentials_file: Option<PathBuf>,
    /// Host and port of the metadata server, where it is not Google's own.
    pub metadata_host: Option<String>,
}

impl MachineAccess {
    /// Whether anything at all is allowed.
    pub fn is_none(&self) -> bool {
        !self.identity && self.token_files.is_empty() && self.token_urls.is_empty()
    }

    /// Whether a form may use this machine's own identity.
    pub fn allows_identity(&self) -> bool {
        self.identity
    }
}
