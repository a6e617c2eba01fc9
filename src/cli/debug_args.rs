//! Where Dify's debugging port is and what opens it: flags, else the environment or a file of settings.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;

use crate::config::{CLEAR_TEXT, Config};

/// Dify's debugging port.
#[derive(Debug, Args)]
pub struct DifyArgs {
    /// Dify's debugging address, host:port; by default REMOTE_INSTALL_URL of the environment or the file
    #[arg(long)]
    url: Option<String>,
    /// Debugging key of Plugins → Debug; by default REMOTE_INSTALL_KEY of the environment or the file
    #[arg(long)]
    key: Option<String>,
    /// Let the key, and the credentials behind it, cross the network in clear text: Dify's debugging port has no TLS
    #[arg(long)]
    clear_text: bool,
    /// File of settings, as Dify's command line writes it
    #[arg(long, default_value = ".env", value_name = "FILE")]
    pub env_file: PathBuf,
}

impl DifyArgs {
    /// All settings, the flags among them.
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
