//! What a credential form may use of this machine to authenticate with Google: nothing, unless the operator allows it
//! outside of all forms. Also limits where a token may be sent, depending on its source.
//!
//! Contains the rules only: settings are read in `dify_plugin::config::operator`, tokens are fetched in `token_exchange`.

use std::fmt::Display;

use tracing::warn;
use url::{Host, Url};

use super::credential::{GoogleCredential, SubjectSource};
use dify_plugin::config::machine::{ALLOW_IDENTITY, ALLOW_TOKEN_FILES, ALLOW_TOKEN_URLS, MachineAccess};
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::NetworkSettings;

/// Rejects a source that forms may not use.
pub(super) fn check_source(access: &MachineAccess, source: &SubjectSource) -> Result<(), InvokeError> {
    let (allowed, setting) = match source {
        SubjectSource::File { path, .. } => {
            (path.is_absolute() && access.token_files.contains(path), ALLOW_TOKEN_FILES)
        }
        SubjectSource::Url { url, .. } => (access.token_urls.contains(url), ALLOW_TOKEN_URLS),
    };
    let reason = || refused(format!("credential forms may not use {source} ({setting})"));
    allowed.then_some(()).ok_or_else(reason)
}

/// Returns the machine's own identity, and the project ID in its credentials file.
pub fn machine_identity(access: &MachineAccess) -> Result<(GoogleCredential, Option<String>), InvokeError> {
    if !access.identity {
        return Err(refused(format!("credential forms may not use its identity ({ALLOW_IDENTITY})")));
    }
    if let Some(file) = &access.credentials_file {
        let text = std::fs::read_to_string(file)
            .map_err(|error| refused(format!("cannot read {}: {error}", file.display())))?;
        let identity = GoogleCredential::of_machine(&text).map_err(|error| refused(error.detail()))?;
        return Ok((identity, GoogleCredential::project_of_key_file(&text)));
    }
    let host = access.metadata_host.as_deref().unwrap_or("metadata.google.internal");
    let host = Url::parse(&format!("http://{host}/")).map_err(|_| refused("GCE_METADATA_HOST is not a valid host"))?;
    Ok((GoogleCredential::Metadata { host }, None))
}

/// Returns the single error for everything that fails while a token of this machine is fetched: different errors would
/// reveal to the user of the form which files and URLs exist. The reason is logged for the operator.
pub fn refused(reason: impl Display) -> InvokeError {
    warn!(reason = reason.to_string(), "a credential form may not use this machine's identity");
    InvokeError::credentials(
        "the credential form requests an identity, a file or a URL of the machine that runs the plugin, which is not \
         allowed",
    )
    .with_hint(
        "The operator of that machine must allow it outside of the form. It works for requests to Google only, with \
         `google_base_url`, `proxy_url` and `tls_ca` empty. See the plugin's log, `doctor` and docs/operations.md (\"The \
         machine's identity\").",
    )
}

/// Where the tokens of a credential may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Anywhere the form says: the user who entered the secrets could get such a token without the plugin.
    Anywhere,
    /// To Google and to this machine: the tokens come from a token endpoint on this machine.
    Nearby,
    /// To Google's Gemini services only, without a proxy or certificates of a form: the tokens come from this machine.
    Google,
}

/// Google services that tokens of this machine may be sent to, as labels of their host names.
const GEMINI: &[&str] = &["generativelanguage", "aiplatform"];

impl Reach {
    /// Rejects a request that would send a token to a server that is not allowed.
    pub(super) fn check(self, url: &Url, network: &NetworkSettings) -> Result<(), InvokeError> {
        match self {
            Self::Anywhere => Ok(()),
            Self::Nearby if is_loopback(url) || is_google(url) => Ok(()),
            Self::Nearby => Err(InvokeError::credentials(format!(
                "a token from a token endpoint on this machine may be sent to Google and this machine only, not to {}",
                url.host_str().unwrap_or_default()
            ))),
            Self::Google if !network.is_operators() => Err(refused("the form sets a proxy or certificates")),
            Self::Google if !is_google_service(url, GEMINI) => {
                Err(refused(format!("the form would send its token to {}", url.origin().ascii_serialization())))
            }
            Self::Google => Ok(()),
        }
    }
}

/// Whether a URL is Google's and uses HTTPS.
pub(super) fn is_google(url: &Url) -> bool {
    let host = url.domain().unwrap_or_default();
    url.scheme() == "https" && (host == "googleapis.com" || host.ends_with(".googleapis.com"))
}

/// Whether a URL is that of one of these Google services, in any region (`sts.us-east1.rep.googleapis.com`,
/// `us-central1-aiplatform.googleapis.com`) or at a private endpoint (`aiplatform-name.p.googleapis.com`).
pub(super) fn is_google_service(url: &Url, services: &[&str]) -> bool {
    let host = url.domain().unwrap_or_default();
    is_google(url) && url.port().is_none() && host.split(['.', '-']).any(|label| services.contains(&label))
}

/// Whether a URL is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn sends_tokens_of_this_machine_to_gemini_only() {
        let form = |proxy: Option<&str>, ca: Option<&str>| {
            NetworkSettings::new(proxy.map(|proxy| proxy.to_owned().into()), ca.map(str::to_owned))
        };
        let operators = [form(None, None), form(Some("direct"), None)];
        for address in [
            "https://generativelanguage.googleapis.com/v1beta/models",
            "https://aiplatform.googleapis.com/v1/projects/p",
            "https://us-central1-aiplatform.googleapis.com/",
            "https://aiplatform.eu.rep.googleapis.com/",
            "https://aiplatform-mine.p.googleapis.com/",
        ] {
            for network in &operators {
                assert!(Reach::Google.check(&url(address), network).is_ok(), "{address}");
            }
            for network in
                [form(Some("http://127.0.0.1:1"), None), form(None, Some("PEM")), form(Some("direct"), Some("PEM"))]
            {
                assert!(Reach::Google.check(&url(address), &network).is_err(), "{address}");
            }
        }
        for address in [
            "http://generativelanguage.googleapis.com/",
            "https://generativelanguage.googleapis.com:8443/",
            "https://generativelanguage.googleapis.com.evil.example/",
            "https://generativelanguage.googleapis.com./",
            "https://generativelanguage-googleapis.com/",
            "https://evilgoogleapis.com/aiplatform",
            "https://aiplatform.evil.example/googleapis.com",
            "https://googleapis.com@evil.example/",
            "https://evil.example/?aiplatform.googleapis.com",
            "https://storage.googleapis.com/",
            "https://googleapis.com/",
            "https://127.0.0.1/",
            "http://127.0.0.1/",
            "http://localhost/",
            "https://aiplatform。googleapis.com.evil.example/",
        ] {
            assert!(Reach::Google.check(&url(address), &operators[0]).is_err(), "{address}");
        }
    }

    #[test]
    fn sends_tokens_of_a_local_endpoint_to_google_and_this_machine() {
        let network = NetworkSettings::default();
        for (address, near) in [
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]/", true),
            ("http://localhost/", true),
            ("https://aiplatform.googleapis.com/", true),
            ("http://aiplatform.googleapis.com/", false),
            ("https://gateway.example/", false),
            ("http://10.0.0.1/", false),
            ("http://localhost.evil.example/", false),
        ] {
            assert_eq!(Reach::Nearby.check(&url(address), &network).is_ok(), near, "{address}");
            assert!(Reach::Anywhere.check(&url(address), &network).is_ok(), "{address}");
        }
    }

    #[test]
    fn allows_exactly_the_listed_sources() {
        let access = MachineAccess {
            token_files: vec!["/run/secrets/token".into()],
            token_urls: vec![url("http://169.254.169.254/identity?api-version=1&resource=a")],
            ..MachineAccess::default()
        };
        let file = |path: &str| SubjectSource::File { path: path.into(), field: None };
        let from_url = |text: &str| SubjectSource::Url { url: url(text), headers: Vec::new(), field: None };
        for (source, allowed) in [
            (file("/run/secrets/token"), true),
            (file("/run/secrets/token2"), false),
            (file("/run/secrets"), false),
            (file("/run/secrets/../secrets/token"), false),
            (file("run/secrets/token"), false),
            (from_url("http://169.254.169.254/identity?api-version=1&resource=a"), true),
            (from_url("http://169.254.169.254/identity?api-version=1&resource=b"), false),
            (from_url("http://169.254.169.254/identity"), false),
            (from_url("https://169.254.169.254/identity?api-version=1&resource=a"), false),
            (from_url("http://169.254.169.254:8080/identity?api-version=1&resource=a"), false),
        ] {
            assert_eq!(check_source(&access, &source).is_ok(), allowed, "{source}");
            assert!(check_source(&MachineAccess::default(), &source).is_err(), "{source}");
        }
        assert!(!access.is_none() && MachineAccess::default().is_none());
    }
}
