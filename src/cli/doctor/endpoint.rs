//! A provider's endpoint with given credentials: name, connection, TLS, HTTP, clock, then the provider's own validation.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::finding::Report;
use crate::cli::credentials::Given;
use crate::cli::session_client::{self, Frame};
use crate::protocol::{Credentials, ModelType};
use crate::runtime::registry::Entry;
use crate::upstream::probe::{Probe, probe};
use crate::upstream::{NetworkSettings, Upstream};

/// Clocks this far apart still make signatures that everybody takes, in seconds.
const CLOCK_TOLERANCE: f64 = 30.0;

/// Clocks this far apart have tokens and signatures refused, in seconds.
const CLOCK_LIMIT: f64 = 300.0;

/// What is to be looked at.
pub struct DoctorTarget<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The model, where credentials belong to one.
    pub model: Option<&'a str>,
    /// Its type.
    pub model_type: ModelType,
    /// The credential fields as they were given.
    pub given: Given,
}

/// Walks to every endpoint of the credentials, then has the provider validate them.
pub async fn check(
    report: &mut Report,
    directory: &Path,
    asked: &DoctorTarget<'_>,
    credentials: &Credentials,
) -> anyhow::Result<()> {
    let Ok(registry) = session_client::registry(directory, Upstream::new()) else {
        let hint = "Mend the declarations first.";
        return report.error("endpoint", format!("`{}` cannot be asked", asked.provider), hint);
    };
    let Some(entry) = registry.get(asked.provider) else {
        let found = format!("no provider `{}`", asked.provider);
        return report.error("endpoint", found, format!("The manifest lists {}.", registry.names().join(", ")));
    };
    if asked.given.fields.is_empty() {
        let hint = "Give --credentials FILE or --credential NAME=VALUE.";
        report.warning("credentials", format!("none given for `{}`", asked.provider), hint)?;
    }
    if let Err(why) = asked.given.keep_from_directory(entry, &asked.given.fields) {
        return report.error("credentials", why.to_string(), "Look at the defaults of the form in this folder.");
    }
    let reached = walk(report, entry, credentials).await?;
    if !reached || asked.given.fields.is_empty() {
        return Ok(());
    }
    let request = match request(entry, asked) {
        Ok(request) => request,
        Err(hint) => return report.warning("credentials", "not validated: they belong to a model", hint),
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
        None => report.ok("credentials", format!("`{}` takes them", asked.provider)),
        Some(message) => report.error("credentials", message, "This is what Dify would show when they are saved."),
    }
}

/// Whether every endpoint was reached.
async fn walk(report: &mut Report, entry: &Entry, credentials: &Credentials) -> anyhow::Result<bool> {
    let network = NetworkSettings::from_credentials(credentials);
    let (endpoints, network) = match (entry.provider.endpoints(credentials), network) {
        (Ok(endpoints), Ok(network)) => (endpoints, network),
        (Err(error), _) | (_, Err(error)) => {
            report.failure("credentials", &error, "Correct this field of the form.")?;
            return Ok(false);
        }
    };
    let upstream = Upstream::new();
    let mut reached = true;
    for url in endpoints {
        let Probe { steps, clock_ahead } = probe(&upstream, &url, &network).await;
        for step in steps {
            match step.outcome {
                Ok(found) => report.ok(step.name, found)?,
                Err(error) => {
                    reached = false;
                    report.failure(step.name, &error, "Mend this first: what follows needs it.")?;
                }
            }
        }
        if let Some(ahead) = clock_ahead {
            clock(report, ahead, url.host_str().unwrap_or_default())?;
        }
    }
    Ok(reached)
}

fn clock(report: &mut Report, ahead: f64, host: &str) -> anyhow::Result<()> {
    const HINT: &str = "Set the clock of this machine (NTP): JWTs and HMAC signatures carry its time.";
    let apart = ahead.abs().round();
    let direction = if ahead > 0.0 { "behind" } else { "ahead of" };
    let found = format!("this machine's clock is {apart} s {direction} that of {host}");
    match apart {
        apart if apart > CLOCK_LIMIT => report.error("clock", found, HINT),
        apart if apart > CLOCK_TOLERANCE => report.warning("clock", found, HINT),
        apart if apart > 2.0 => report.ok("clock", found),
        _ => report.ok("clock", format!("as that of {host}")),
    }
}

/// The validation that Dify would ask for, or what is missing for it.
fn request(entry: &Entry, asked: &DoctorTarget<'_>) -> Result<Map<String, Value>, String> {
    let model = asked.model.or_else(|| {
        ["model_uid", "endpoint_model_name"]
            .iter()
            .find_map(|field| asked.given.fields.get(*field).and_then(Value::as_str))
    });
    let request = match (&entry.declaration.provider_credential_schema, model) {
        (Some(_), None) => json!({"action": "validate_provider_credentials"}),
        (_, Some(model)) => {
            json!({"action": "validate_model_credentials", "model": model, "model_type": asked.model_type})
        }
        (None, None) => return Err("Name one with --model (and --model-type).".to_owned()),
    };
    let Value::Object(mut request) = request else { return Err(String::new()) };
    request.insert("provider".to_owned(), asked.provider.into());
    request.insert("credentials".to_owned(), asked.given.fields.clone().into());
    Ok(request)
}
