//! Google Cloud credentials, read from a key file in any form that users paste, or from the machine.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use super::machine::{Reach, check_source, is_google, is_google_service, is_loopback, refused};
use dify_plugin::config::machine::MachineAccess;
use dify_plugin::error::InvokeError;
use dify_plugin::upstream::client::public_url;

/// URL at which Google exchanges assertions for tokens.
pub const TOKEN_ENDPOINT: &str = "https://oauth2.googleapis.com/token";

/// A Google Cloud credential.
#[derive(Clone)]
pub enum GoogleCredential {
    /// Service account key.
    ServiceAccount {
        /// Email address of the service account.
        client_email: String,
        /// Key ID.
        key_id: String,
        /// Private key in PEM format.
        private_key: SecretString,
        /// Token endpoint.
        token_uri: Url,
    },
    /// Refresh token of a user.
    RefreshToken {
        /// OAuth client ID.
        client_id: String,
        /// OAuth client secret.
        client_secret: SecretString,
        /// Refresh token.
        refresh_token: SecretString,
        /// Token endpoint.
        token_uri: Url,
    },
    /// Service account of the machine, from its metadata server.
    Metadata {
        /// `http://metadata.google.internal`
        host: Url,
    },
    /// Identity of another cloud.
    External(Box<ExternalAccount>),
}

/// Identity of another cloud (workload identity federation).
#[derive(Clone)]
pub struct ExternalAccount {
    /// Provider in the workload identity pool.
    pub audience: String,
    /// Type of the external token.
    pub subject_token_type: String,
    /// URL at which the external token is exchanged.
    pub token_url: Url,
    /// Source of the external token.
    pub source: SubjectSource,
    /// URL at which the token is exchanged for one of a service account.
    pub impersonation_url: Option<Url>,
}

/// Source of an external token.
#[derive(Clone)]
pub enum SubjectSource {
    /// A file that another process refreshes.
    File {
        /// Path.
        path: std::path::PathBuf,
        /// Field with the token, if the file is JSON.
        field: Option<String>,
    },
    /// A URL in this network.
    Url {
        /// URL.
        url: Url,
        /// Headers of the request.
        headers: Vec<(String, SecretString)>,
        /// Field with the token, if the response is JSON.
        field: Option<String>,
    },
}

impl fmt::Display for SubjectSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(formatter, "the file {}", path.display()),
            Self::Url { url, .. } => write!(formatter, "the URL {}", public_url(url)),
        }
    }
}

impl GoogleCredential {
    /// Parses a key file of any type, pasted as is, in Base64, or quoted once more. `field` is the credential field for
    /// error messages; `access` limits what the file may use of this machine.
    pub fn from_key_file(text: &str, field: &str, access: &MachineAccess) -> Result<Self, InvokeError> {
        Self::read(text, field, Some(access))
    }

    /// Parses the machine's own key file, whose sources the operator chose.
    pub(super) fn of_machine(text: &str) -> Result<Self, InvokeError> {
        Self::read(text, "GOOGLE_APPLICATION_CREDENTIALS", None)
    }

    fn read(text: &str, field: &str, access: Option<&MachineAccess>) -> Result<Self, InvokeError> {
        let file = read_object(text, field)?;
        let file_type = file.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let reader = Reader { file, field };
        match file_type.as_str() {
            "service_account" => Ok(Self::ServiceAccount {
                client_email: reader.text("client_email")?,
                key_id: reader.optional("private_key_id").unwrap_or_default(),
                private_key: SecretString::from(repaired_pem(&reader.text("private_key")?)),
                token_uri: reader.token_uri("token_uri")?,
            }),
            "authorized_user" => Ok(Self::RefreshToken {
                client_id: reader.text("client_id")?,
                client_secret: SecretString::from(reader.text("client_secret")?),
                refresh_token: SecretString::from(reader.text("refresh_token")?),
                token_uri: reader.token_uri("token_uri")?,
            }),
            "external_account" => reader.external(access).map(|account| Self::External(Box::new(account))),
            "" => Err(reader.invalid("has no `type`; it is not a Google Cloud credentials file")),
            other => Err(reader.invalid(&format!(
                "has type `{other}`; supported types are service_account, authorized_user and external_account"
            ))),
        }
    }

    /// Returns the URLs that receive a part of this credential before it has a token, the token endpoint first.
    pub fn token_endpoints(&self) -> Vec<&Url> {
        match self {
            Self::ServiceAccount { token_uri, .. } | Self::RefreshToken { token_uri, .. } => vec![token_uri],
            Self::Metadata { .. } => Vec::new(),
            Self::External(account) => std::iter::once(&account.token_url).chain(&account.impersonation_url).collect(),
        }
    }

    /// Returns where tokens of this credential may be sent if it comes from a credential form.
    pub fn reach(&self) -> Reach {
        match self {
            Self::ServiceAccount { token_uri, .. } | Self::RefreshToken { token_uri, .. } if is_google(token_uri) => {
                Reach::Anywhere
            }
            Self::ServiceAccount { .. } | Self::RefreshToken { .. } => Reach::Nearby,
            Self::Metadata { .. } | Self::External(_) => Reach::Google,
        }
    }

    /// Returns the project ID in a key file.
    pub fn project_of_key_file(text: &str) -> Option<String> {
        read_object(text, "").ok()?.get("project_id")?.as_str().map(str::to_owned)
    }
}

/// Fields of a key file; errors contain the name of a field, never its value.
struct Reader<'a> {
    file: Map<String, Value>,
    field: &'a str,
}

impl Reader<'_> {
    fn invalid(&self, what: &str) -> InvokeError {
        InvokeError::credentials(format!("credential `{}` {what}", self.field))
    }

    fn optional(&self, key: &str) -> Option<String> {
        self.file.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn text(&self, key: &str) -> Result<String, InvokeError> {
        self.optional(key).ok_or_else(|| self.invalid(&format!("has no `{key}`; paste the whole key file")))
    }

    /// A signed assertion is sent to this URL, so it must be Google's (or on this machine, for a mock server).
    fn token_uri(&self, key: &str) -> Result<Url, InvokeError> {
        google_url(&self.optional(key).unwrap_or_else(|| TOKEN_ENDPOINT.to_owned()))
            .ok_or_else(|| self.invalid(&format!("has a `{key}` that is not an https:// URL of googleapis.com")))
    }

    fn external(&self, access: Option<&MachineAccess>) -> Result<ExternalAccount, InvokeError> {
        // Credential forms get the same error for everything that concerns this machine.
        let refused = |why: String| if access.is_some() { refused(why) } else { self.invalid(&why) };
        let source = self.file.get("credential_source").and_then(Value::as_object);
        let source = source.ok_or_else(|| self.invalid("has no `credential_source`"))?;
        let text = |key: &str| source.get(key).and_then(Value::as_str).map(str::to_owned);
        let field = source.get("format").and_then(|format| format.get("subject_token_field_name"));
        let field = field.and_then(Value::as_str).map(str::to_owned);
        let source = match (text("file"), text("url")) {
            (Some(path), _) => SubjectSource::File { path: path.into(), field },
            (None, Some(url)) => {
                let url =
                    Url::parse(&url).map_err(|_| self.invalid("has an invalid URL in `credential_source.url`"))?;
                let headers = source.get("headers").and_then(Value::as_object);
                if headers.is_some_and(|headers| headers.keys().any(|name| name.eq_ignore_ascii_case("host"))) {
                    return Err(refused("has a `credential_source` with a Host header".to_owned()));
                }
                let headers = headers
                    .into_iter()
                    .flatten()
                    .filter_map(|(name, value)| Some((name.clone(), SecretString::from(value.as_str()?.to_owned()))));
                SubjectSource::Url { url, headers: headers.collect(), field }
            }
            (None, None) => {
                return Err(self.invalid("has an unsupported `credential_source`: only a file or a URL is supported"));
            }
        };
        if let Some(access) = access {
            check_source(access, &source)?;
        }
        // These URLs receive a token of this machine.
        let service = |key: &str, text: String, service: &str| {
            let url = Url::parse(&text).ok().filter(|url| is_google_service(url, &[service]));
            url.ok_or_else(|| {
                refused(format!("has a `{key}` that is not an https:// URL of Google's {service} service"))
            })
        };
        let impersonation = "service_account_impersonation_url";
        Ok(ExternalAccount {
            audience: self.text("audience")?,
            subject_token_type: self.text("subject_token_type")?,
            token_url: service("token_url", self.text("token_url")?, "sts")?,
            source,
            impersonation_url: self
                .optional(impersonation)
                .map(|url| service(impersonation, url, "iamcredentials"))
                .transpose()?,
        })
    }
}

/// Parses a URL of Google, or one on this machine for a mock server.
pub fn google_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| is_google(url) || is_loopback(url))
}

/// Parses a JSON object: as is, with line breaks inside strings, in Base64, or quoted once more.
fn read_object(text: &str, field: &str) -> Result<Map<String, Value>, InvokeError> {
    let invalid = |what: &str| InvokeError::credentials(format!("credential `{field}` {what}"));
    // Editors may write a byte order mark, which is not whitespace.
    let blank = |character: char| character.is_whitespace() || character == '\u{feff}';
    let text = text.trim_matches(blank);
    if text.starts_with("-----BEGIN") {
        return Err(invalid("contains only the private key; paste the whole JSON key file"));
    }
    let decoded;
    let text = if text.starts_with('{') || text.starts_with('"') {
        text
    } else {
        let packed: String = text.split_whitespace().collect();
        let bytes = STANDARD
            .decode(&packed)
            .or_else(|_| URL_SAFE_NO_PAD.decode(packed.trim_end_matches('=')))
            .map_err(|_| invalid("is neither JSON nor Base64-encoded JSON"))?;
        decoded = String::from_utf8(bytes).map_err(|_| invalid("is not valid JSON after Base64 decoding"))?;
        decoded.trim_matches(blank)
    };
    let escaped = text.replace("\r\n", "\n");
    let value = serde_json::from_str::<Value>(text).or_else(|_| serde_json::from_str(&escape_breaks(&escaped)));
    match value {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::String(inner)) => read_object(&inner, field),
        Ok(_) => Err(invalid("must be a JSON object")),
        Err(error) => Err(invalid(&format!("is not valid JSON (line {}, column {})", error.line(), error.column()))),
    }
}

/// Escapes line breaks inside strings, which a form converted from `\n`.
fn escape_breaks(text: &str) -> String {
    let (mut fixed, mut inside, mut escaped) = (String::with_capacity(text.len()), false, false);
    for character in text.chars() {
        match character {
            '\n' if inside => {
                fixed.push_str("\\n");
                continue;
            }
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = character == '\\' && !escaped;
        fixed.push(character);
    }
    fixed
}

/// Reverts doubly escaped line breaks.
fn repaired_pem(text: &str) -> String {
    text.replace("\\r", "").replace("\\n", "\n")
}
