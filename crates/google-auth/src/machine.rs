//! What of this machine a credential form may use to sign in at Google: nothing, unless the operator allows it outside of
//! every form. And how far a token may go, by where it comes from.
//!
//! The rules only: settings are read in `dify_plugin::config::operator`, tokens are fetched in `grants`.

use std::fmt::Display;

use tracing::warn;
use url::{Host, Url};

use super::credential::{GoogleCredential, SubjectSource};
use dify_plugin::config::machine::{ALLOW_IDENTITY, ALLOW_TOKEN_FILES, ALLOW_TOKEN_URLS, MachineAccess};
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::NetworkSettings;

/// Refuses a source that no form may name.
pub(super) fn check_source(access: &MachineAccess, source: &SubjectSource) -> Result<(), InvokeError> {
    let (allowed, setting) = match source {
        SubjectSource::File { path, .. } => {
            (path.is_absolute() && access.token_files.contains(path), ALLOW_TOKEN_FILES)
        }
        SubjectSource::Url { url, .. } => (access.token_urls.contains(url), ALLOW_TOKEN_URLS),
    };
    let reason = || refused(format!("its operator allows no form to name {source} ({setting})"));
    allowed.then_some(()).ok_or_else(reason)
}

/// The machine's own identity, and the project that its credentials file names.
pub fn machine_identity(access: &MachineAccess) -> Result<(GoogleCredential, Option<String>), InvokeError> {
    if !access.identity {
        return Err(refused(format!("its operator allows no form to use its identity ({ALLOW_IDENTITY})")));
    }
    if let Some(file) = &access.credentials_file {
        let text = std::fs::read_to_string(file)
            .map_err(|error| refused(format!("{} cannot be read: {error}", file.display())))?;
        let identity = GoogleCredential::of_machine(&text).map_err(|error| refused(error.detail()))?;
        return Ok((identity, GoogleCredential::project_of_key_file(&text)));
    }
    let host = access.metadata_host.as_deref().unwrap_or("metadata.google.internal");
    let host = Url::parse(&format!("http://{host}/")).map_err(|_| refused("GCE_METADATA_HOST is not a host"))?;
    Ok((GoogleCredential::Metadata { host }, None))
}

/// The one answer to whatever fails on the way to a token of this machine: a second one would tell whoever fills in the
/// form which files and addresses there are. The reason goes to the operator's log.
pub fn refused(reason: impl Display) -> InvokeError {
    warn!(reason = reason.to_string(), "a credential form gets nothing of this machine");
    InvokeError::credentials(
        "the credential form asks for an identity, a file or an address of the machine that runs the plugin, and gets none",
    )
    .with_hint(
        "They are used only where the operator of that machine allows it outside of every form, with `google_base_url`, \
         `proxy_url` and `tls_ca` empty, and for Google alone; the plugin's log, `doctor` and docs/operations.md (\"The machine's \
         identity\") say more.",
    )
}

/// How far the tokens of an identity may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Wherever the form says: whoever typed the secrets could get such a token without us.
    Anywhere,
    /// To Google and to this machine: they come from a token endpoint on this machine.
    Nearby,
    /// To Gemini's services at Google alone, by no proxy and no certificate of a form: they come from this machine.
    Google,
}

/// The services at Google that a token of this machine is for, as labels of their host names.
const GEMINI: &[&str] = &["generativelanguage", "aiplatform"];

impl Reach {
    /// Refuses a request that would carry a token too far.
    pub(super) fn check(self, url: &Url, network: &NetworkSettings) -> Result<(), InvokeError> {
        match self {
            Self::Anywhere => Ok(()),
            Self::Nearby if is_loopback(url) || is_google(url) => Ok(()),
            Self::Nearby => Err(InvokeError::credentials(format!(
                "a token from a token endpoint on this machine goes to Google and to this machine, not to {}",
                url.host_str().unwrap_or_default()
            ))),
            Self::Google if !network.is_operators() => Err(refused("the form names a proxy or certificates")),
            Self::Google if !is_google_service(url, GEMINI) => {
                Err(refused(format!("the form would have its token sent to {}", url.origin().ascii_serialization())))
            }
            Self::Google => Ok(()),
        }
    }
}

/// Whether an address is Google's, with Google's certificate.
pub(super) fn is_google(url: &Url) -> bool {
    let host = url.domain().unwrap_or_default();
    url.scheme() == "https" && (host == "googleapis.com" || host.ends_with(".googleapis.com"))
}

/// Whether an address is that of one of these services at Google, in any region (`sts.us-east1.rep.googleapis.com`,
/// `us-central1-aiplatform.googleapis.com`) and at the private endpoint of a network
/// (`aiplatform-name.p.googleapis.com`).
pub(super) fn is_google_service(url: &Url, services: &[&str]) -> bool {
    let host = url.domain().unwrap_or_default();
    is_google(url) && url.port().is_none() && host.split(['.', '-']).any(|label| services.contains(&label))
}

/// Whether an address is on this machine.
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
    fn a_token_of_this_machine_goes_to_gemini_at_google_alone() {
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
    fn a_token_from_an_endpoint_on_this_machine_stays_near() {
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
    fn a_source_is_allowed_letter_for_letter() {
        let access = MachineAccess {
            token_files: vec!["/run/secrets/token".into()],
            token_urls: vec![url("http://169.254.169.254/identity?api-version=1&resource=a")],
            ..MachineAccess::default()
        };
        let file = |path: &str| SubjectSource::File { path: path.into(), field: None };
        let asked = |text: &str| SubjectSource::Url { url: url(text), headers: Vec::new(), field: None };
        for (source, allowed) in [
            (file("/run/secrets/token"), true),
            (file("/run/secrets/token2"), false),
            (file("/run/secrets"), false),
            (file("/run/secrets/../secrets/token"), false),
            (file("run/secrets/token"), false),
            (asked("http://169.254.169.254/identity?api-version=1&resource=a"), true),
            (asked("http://169.254.169.254/identity?api-version=1&resource=b"), false),
            (asked("http://169.254.169.254/identity"), false),
            (asked("https://169.254.169.254/identity?api-version=1&resource=a"), false),
            (asked("http://169.254.169.254:8080/identity?api-version=1&resource=a"), false),
        ] {
            assert_eq!(check_source(&access, &source).is_ok(), allowed, "{source}");
            assert!(check_source(&MachineAccess::default(), &source).is_err(), "{source}");
        }
        assert!(!access.is_none() && MachineAccess::default().is_none());
    }
}
