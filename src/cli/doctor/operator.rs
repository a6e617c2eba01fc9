//! What credential forms may use of this machine: nothing, unless its operator allows it; and what of that is not read.

use std::collections::HashMap;
use std::path::Path;

use super::finding::Report;
use crate::config::operator::{FILE, NAMES, Operator};
use crate::upstream::client::public_url;
use crate::upstream::google::{ALLOW_IDENTITY, ALLOW_TOKEN_FILES, ALLOW_TOKEN_URLS};

const CHECK: &str = "machine";

const TRUST: &str = "Every workspace of this Dify has it then: take it back where they do not trust each other.";

/// Reads what is allowed as serving would. `settings` are those of the environment and of the `.env` at `file`.
pub fn check(report: &mut Report, settings: &HashMap<String, String>, file: &Path) -> anyhow::Result<()> {
    let Operator { access, line_limit, problems } = Operator::read();
    for problem in problems {
        report.error(CHECK, problem, "Correct it: until then it has no effect.")?;
    }
    if let Some(limit) = line_limit {
        report.ok("environment", format!("Dify's plugin daemon is said to take lines of {limit} bytes"))?;
    }
    for name in NAMES.iter().filter(|name| settings.contains_key(**name) && std::env::var_os(name).is_none()) {
        let found = format!("{name} stands in {} and is not read there", file.display());
        report.warning(CHECK, found, format!("Set it in the environment, or in {FILE}."))?;
    }
    if access.is_none() {
        return report.ok(CHECK, "credential forms get no identity, file or address of this machine");
    }
    if access.identity {
        let whose = match (&access.credentials_file, &access.metadata_host) {
            (Some(file), _) => format!("that of {}", file.display()),
            (None, Some(host)) => format!("that of the metadata server {host}"),
            (None, None) => "that of Google's metadata server".to_owned(),
        };
        report.warning(
            CHECK,
            format!("credential forms may use this machine's identity at Google: {whose} ({ALLOW_IDENTITY})"),
            TRUST,
        )?;
    }
    for path in &access.token_files {
        let found = format!("credential forms may name the token file {} ({ALLOW_TOKEN_FILES})", path.display());
        report.warning(CHECK, found, TRUST)?;
    }
    for url in &access.token_urls {
        let found = format!("credential forms may name the address {} ({ALLOW_TOKEN_URLS})", public_url(url));
        report.warning(CHECK, found, TRUST)?;
    }
    if settings.get("INSTALL_METHOD").is_some_and(|method| matches!(method.as_str(), "serverless" | "aws_lambda")) {
        let found = "whoever reaches the serverless port may use it, without a login";
        report.warning(CHECK, found, "Let the daemon alone reach that port.")?;
    }
    Ok(())
}
