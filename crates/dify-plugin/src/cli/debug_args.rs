//! The options of `debug` and `dev`: address and key of Dify's debugging port (flags, or else the environment or a settings
//! file), and what is registered there.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;

use crate::config::{CLEAR_TEXT, Config};

/// Address and key of Dify's debugging port.
#[derive(Debug, Args)]
pub struct DifyArgs {
    /// Debugging address as host:port [default: REMOTE_INSTALL_URL from the environment or the env file]
    #[arg(long)]
    pub url: Option<String>,
    /// Debugging key from Plugins → Debug [default: REMOTE_INSTALL_KEY from the environment or the env file]
    #[arg(long)]
    pub key: Option<String>,
    /// Allow sending the key, and the credentials after it, unencrypted: Dify's debugging port does not support TLS
    #[arg(long)]
    pub clear_text: bool,
    /// File with environment settings, in the format of Dify's CLI
    #[arg(long, default_value = ".env", value_name = "FILE")]
    pub env_file: PathBuf,
}

impl DifyArgs {
    /// Returns all settings, including the flags.
    pub fn settings(&self) -> HashMap<String, String> {
        let mut settings = Config::settings(&self.env_file);
        for (name, flag) in [("REMOTE_INSTALL_URL", &self.url), ("REMOTE_INSTALL_KEY", &self.key)] {
            if let Some(value) = flag {
                settings.insert(name.to_owned(), value.clone());
            }
        }
        if self.clear_text {
            settings.insert(CLEAR_TEXT.to_owned(), "true".to_owned());
        }
        settings
    }
}

/// The plugin, and what of it is registered.
#[derive(Debug, Args)]
pub struct PluginArgs {
    /// Provider to register (repeatable) [default: all that the manifest's minimum Dify version supports]
    #[arg(long = "provider", value_name = "NAME")]
    pub providers: Vec<String>,
    /// Register under the IDs of the installed plugins, which Dify uninstalls from the workspace when the command ends
    #[arg(long)]
    pub real_ids: bool,
    /// Directory that contains manifest.yaml
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
}
