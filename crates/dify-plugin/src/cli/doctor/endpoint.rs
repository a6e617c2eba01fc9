//! Checks a provider's endpoint with the given credentials: DNS, connection, TLS, HTTP, clock, and then the provider's
//! own validation.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::finding::Report;
use crate::cli::credentials::Given;
use crate::cli::program::Program;
use crate::cli::session_client::{self, Frame};
use crate::protocol::{Credentials, ModelType};
use crate::runtime::registry::Entry;
use crate::upstream::probe::{Probe, probe};
use crate::upstream::{NetworkSettings, Upstream};

/// Clock skew in seconds that every server tolerates.
const CLOCK_TOLERANCE: f64 = 30.0;

/// Clock skew in seconds above which servers reject tokens and signatures.
const CLOCK_LIMIT: f64 = 300.0;

/// What to check.
pub struct DoctorTarget<'a> {
    /// Provider name.
    pub provider: &'a str,
    /// Model, for providers with per-model credentials.
    pub model: Option<&'a str>,
    /// Model type.
    pub model_type: ModelType,
    /// Credential fields as the user gave them.
    pub given: Given,
}

/// Probes every endpoint of the credentials, then lets the provider validate them.
pub async fn check(
    program: &Program,
    report: &mut Report,
    directory: &Path,
    target: &DoctorTarget<'_>,
    credentials: &Credentials,
) -> anyhow::Result<()> {
    let Ok(session_client::Loaded { registry, .. }) = session_client::load(program, directory, Upstream::new()) else {
        let hint = "Fix the declarations first.";
        return report.error("endpoint", format!("`{}` cannot be checked", target.provider), hint);
    };
    let Some(entry) = registry.get(target.provider) else {
        let found = format!("unknown provider `{}`", target.provider);
        return report.error("endpoint", found, format!("The manifest lists {}.", registry.names().join(", ")));
    };
    if target.given.fields.is_empty() {
        let hint = "Pass --credentials FILE or --credential NAME=VALUE.";
        report.warning("credentials", format!("no credentials given for `{}`", target.provider), hint)?;
    }
    if let Err(why) = target.given.keep_from_directory(entry, &target.given.fields) {
        return report.error(
            "credentials",
            why.to_string(),
            "Check the defaults of the credential form in this directory.",
        );
    }
    let reachable = probe_endpoints(report, entry, credentials).await?;
    if !reachable || target.given.fields.is_empty() {
        return Ok(());
    }
    let request = match request(entry, target) {
        Ok(request) => request,
        Err(hint) => {
            return report.warning("credentials", "not validated: this provider has per-model credentials", hint);
        }
    };
    let mut failure = None;
    session_client::session(registry.clone(), request, false, |frame| {
        if let Frame::Failure { message, .. } = frame {
            failure = Some(message);
        }
        Ok(())
    })
    .await?;
    match failure {
        None => report.ok("credentials", format!("accepted by `{}`", target.provider)),
        Some(message) => {
            report.error("credentials", message, "Dify would show this message when you save the credentials.")
        }
    }
}

/// Probes every endpoint and returns whether all are reachable.
async fn probe_endpoints(report: &mut Report, entry: &Entry, credentials: &Credentials) -> anyhow::Result<bool> {
    let network = NetworkSettings::from_credentials(credentials);
    let (endpoints, network) = match (entry.provider.endpoints(credentials), network) {
        (Ok(endpoints), Ok(network)) => (endpoints, network),
        (Err(error), _) | (_, Err(error)) => {
            report.failure("credentials", &error, "Correct this field of the credential form.")?;
            return Ok(false);
        }
    };
    let upstream = Upstream::new();
    let mut reachable = true;
    for url in endpoints {
        let Probe { steps, clock_ahead } = probe(&upstream, &url, &network).await;
        for step in steps {
            match step.outcome {
                Ok(found) => report.ok(step.name, found)?,
                Err(error) => {
                    reachable = false;
                    report.failure(step.name, &error, "Fix this first; the remaining checks depend on it.")?;
                }
            }
        }
        if let Some(ahead) = clock_ahead {
            clock(report, ahead, url.host_str().unwrap_or_default())?;
        }
    }
    Ok(reachable)
}

fn clock(report: &mut Report, ahead: f64, host: &str) -> anyhow::Result<()> {
    const HINT: &str = "Synchronize this machine's clock (NTP); JWTs and HMAC signatures contain its time.";
    let skew = ahead.abs().round();
    let direction = if ahead > 0.0 { "behind" } else { "ahead of" };
    let found = format!("this machine's clock is {skew} s {direction} the clock of {host}");
    match skew {
        skew if skew > CLOCK_LIMIT => report.error("clock", found, HINT),
        skew if skew > CLOCK_TOLERANCE => report.warning("clock", found, HINT),
        skew if skew > 2.0 => report.ok("clock", found),
        _ => report.ok("clock", format!("in sync with {host}")),
    }
}

/// Builds the validation request that Dify would send, or returns a hint if the model is missing.
fn request(entry: &Entry, target: &DoctorTarget<'_>) -> Result<Map<String, Value>, String> {
    let model = target.model.or_else(|| {
        ["model_uid", "endpoint_model_name"]
            .iter()
            .find_map(|field| target.given.fields.get(*field).and_then(Value::as_str))
    });
    let request = match (&entry.declaration.provider_credential_schema, model) {
        (Some(_), None) => json!({"action": "validate_provider_credentials"}),
        (_, Some(model)) => {
            json!({"action": "validate_model_credentials", "model": model, "model_type": target.model_type})
        }
        (None, None) => return Err("Pass --model (and --model-type).".to_owned()),
    };
    let Value::Object(mut request) = request else { return Err(String::new()) };
    request.insert("provider".to_owned(), target.provider.into());
    request.insert("credentials".to_owned(), target.given.fields.clone().into());
    Ok(request)
}
