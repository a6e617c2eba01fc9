//! Reports the machine's resources that credential forms may use (none, unless the operator allows them), and settings
//! of the operator that are not read.

use std::collections::HashMap;
use std::path::Path;

use super::finding::Report;
use crate::config::machine::{ALLOW_IDENTITY, ALLOW_TOKEN_FILES, ALLOW_TOKEN_URLS};
use crate::config::operator::{FILE, NAMES, Operator};
use crate::upstream::client::public_url;

const CHECK: &str = "machine";

const TRUST: &str = "All workspaces of this Dify can use it. Remove the permission if they do not trust each other.";

/// Reads the permissions as when serving. `settings` are those of the environment and of the `.env` at `file`.
pub fn check(report: &mut Report, settings: &HashMap<String, String>, file: &Path) -> anyhow::Result<()> {
    let Operator { access, line_limit, problems } = Operator::read();
    for problem in problems {
        report.error(CHECK, problem, "Correct it. Until then it has no effect.")?;
    }
    if let Some(limit) = line_limit {
        report.ok("environment", format!("line limit of Dify's plugin daemon set to {limit} bytes"))?;
    }
    for name in NAMES.iter().filter(|name| settings.contains_key(**name) && std::env::var_os(name).is_none()) {
        let found = format!("{name} is set in {}, but is not read there", file.display());
        report.warning(CHECK, found, format!("Set it in the environment, or in {FILE}."))?;
    }
    if access.is_none() {
        return report.ok(CHECK, "credential forms cannot use identities, files or URLs of this machine");
    }
    if access.identity {
        let source = match (&access.credentials_file, &access.metadata_host) {
            (Some(file), _) => format!("credentials file {}", file.display()),
            (None, Some(host)) => format!("metadata server {host}"),
            (None, None) => "Google's metadata server".to_owned(),
        };
        report.warning(
            CHECK,
            format!("credential forms may use this machine's Google identity: {source} ({ALLOW_IDENTITY})"),
            TRUST,
        )?;
    }
    for path in &access.token_files {
        let found = format!("credential forms may use the token file {} ({ALLOW_TOKEN_FILES})", path.display());
        report.warning(CHECK, found, TRUST)?;
    }
    for url in &access.token_urls {
        let found = format!("credential forms may use the token URL {} ({ALLOW_TOKEN_URLS})", public_url(url));
        report.warning(CHECK, found, TRUST)?;
    }
    if settings.get("INSTALL_METHOD").is_some_and(|method| matches!(method.as_str(), "serverless" | "aws_lambda")) {
        let found = "any client that reaches the serverless port can use it without authentication";
        report.warning(CHECK, found, "Restrict access to that port to the daemon.")?;
    }
    Ok(())
}
