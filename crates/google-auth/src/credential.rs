//! Who asks for a token: read from a key file in any form that people paste, or from where the process runs.

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

/// Where Google exchanges assertions for tokens.
pub const TOKEN_ENDPOINT: &str = "https://oauth2.googleapis.com/token";

/// Who asks.
#[derive(Clone)]
pub enum GoogleCredential {
    /// A service account's key file.
    ServiceAccount {
        /// Its address.
        client_email: String,
        /// Id of the key.
        key_id: String,
        /// The key in PEM.
        private_key: SecretString,
        /// Where to ask.
        token_uri: Url,
    },
    /// A user's refresh token.
    RefreshToken {
        /// The OAuth client.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
        /// The token.
        refresh_token: SecretString,
        /// Where to ask.
        token_uri: Url,
    },
    /// The machine's own account.
    Metadata {
        /// `http://metadata.google.internal`
        host: Url,
    },
    /// An identity of another cloud.
    External(Box<ExternalAccount>),
}

/// An identity of another cloud (workload identity federation).
#[derive(Clone)]
pub struct ExternalAccount {
    /// The pool's provider.
    pub audience: String,
    /// What kind of token the other cloud gives.
    pub subject_token_type: String,
    /// Where it is exchanged.
    pub token_url: Url,
    /// Where it comes from.
    pub source: SubjectSource,
    /// Where it becomes a service account.
    pub impersonation_url: Option<Url>,
}

/// Where the other cloud's token comes from.
#[derive(Clone)]
pub enum SubjectSource {
    /// A file that somebody renews.
    File {
        /// Its path.
        path: std::path::PathBuf,
        /// The key of the token, when the file is JSON.
        field: Option<String>,
    },
    /// An address on this network.
    Url {
        /// The address.
        url: Url,
        /// Headers it wants.
        headers: Vec<(String, SecretString)>,
        /// The key of the token, when the answer is JSON.
        field: Option<String>,
    },
}

impl fmt::Display for SubjectSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(formatter, "the file {}", path.display()),
            Self::Url { url, .. } => write!(formatter, "the address {}", public_url(url)),
        }
    }
}

impl GoogleCredential {
    /// Reads a key file of any type, pasted raw, in base64, or quoted once more. `field` names the credential in errors,
    /// `access` says what of this machine the file may name.
    pub fn from_key_file(text: &str, field: &str, access: &MachineAccess) -> Result<Self, InvokeError> {
        Self::read(text, field, Some(access))
    }

    /// Reads the machine's own key file, whose sources are the operator's.
    pub(super) fn of_machine(text: &str) -> Result<Self, InvokeError> {
        Self::read(text, "GOOGLE_APPLICATION_CREDENTIALS", None)
    }

    fn read(text: &str, field: &str, access: Option<&MachineAccess>) -> Result<Self, InvokeError> {
        let file = read_object(text, field)?;
        let kind = file.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let reader = Reader { file, field };
        match kind.as_str() {
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
            "" => Err(reader.wrong("has no `type`: it is not a key file of Google Cloud")),
            other => Err(reader.wrong(&format!(
                "is of type `{other}`; served are service_account, authorized_user and external_account"
            ))),
        }
    }

    /// Whoever is sent something of this identity before it has a token: the token endpoint first.
    pub fn token_endpoints(&self) -> Vec<&Url> {
        match self {
            Self::ServiceAccount { token_uri, .. } | Self::RefreshToken { token_uri, .. } => vec![token_uri],
            Self::Metadata { .. } => Vec::new(),
            Self::External(account) => std::iter::once(&account.token_url).chain(&account.impersonation_url).collect(),
        }
    }

    /// How far tokens of this identity may go, as a form brought it.
    pub fn reach(&self) -> Reach {
        match self {
            Self::ServiceAccount { token_uri, .. } | Self::RefreshToken { token_uri, .. } if is_google(token_uri) => {
                Reach::Anywhere
            }
            Self::ServiceAccount { .. } | Self::RefreshToken { .. } => Reach::Nearby,
            Self::Metadata { .. } | Self::External(_) => Reach::Google,
        }
    }

    /// The project a key file names.
    pub fn project_of_key_file(text: &str) -> Option<String> {
        read_object(text, "").ok()?.get("project_id")?.as_str().map(str::to_owned)
    }
}

/// A key file's fields; errors name the field, never its value.
struct Reader<'a> {
    file: Map<String, Value>,
    field: &'a str,
}

impl Reader<'_> {
    fn wrong(&self, what: &str) -> InvokeError {
        InvokeError::credentials(format!("credential `{}` {what}", self.field))
    }

    fn optional(&self, key: &str) -> Option<String> {
        self.file.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn text(&self, key: &str) -> Result<String, InvokeError> {
        self.optional(key).ok_or_else(|| self.wrong(&format!("lacks `{key}`: paste the whole key file")))
    }

    /// A signed assertion is posted there, so it must be Google's (or this machine's, for a local stand-in).
    fn token_uri(&self, key: &str) -> Result<Url, InvokeError> {
        google_url(&self.optional(key).unwrap_or_else(|| TOKEN_ENDPOINT.to_owned()))
            .ok_or_else(|| self.wrong(&format!("has a `{key}` that is not an https address of googleapis.com")))
    }

    fn external(&self, access: Option<&MachineAccess>) -> Result<ExternalAccount, InvokeError> {
        // In a form, what has to do with this machine has one answer.
        let refused = |why: String| if access.is_some() { refused(why) } else { self.wrong(&why) };
        let source = self.file.get("credential_source").and_then(Value::as_object);
        let source = source.ok_or_else(|| self.wrong("lacks `credential_source`"))?;
        let text = |key: &str| source.get(key).and_then(Value::as_str).map(str::to_owned);
        let field = source.get("format").and_then(|format| format.get("subject_token_field_name"));
        let field = field.and_then(Value::as_str).map(str::to_owned);
        let source = match (text("file"), text("url")) {
            (Some(path), _) => SubjectSource::File { path: path.into(), field },
            (None, Some(url)) => {
                let url =
                    Url::parse(&url).map_err(|_| self.wrong("has a `credential_source.url` that is no address"))?;
                let headers = source.get("headers").and_then(Value::as_object);
                if headers.is_some_and(|headers| headers.keys().any(|name| name.eq_ignore_ascii_case("host"))) {
                    return Err(refused("has a `credential_source` whose headers name another host".to_owned()));
                }
                let headers = headers
                    .into_iter()
                    .flatten()
                    .filter_map(|(name, value)| Some((name.clone(), SecretString::from(value.as_str()?.to_owned()))));
                SubjectSource::Url { url, headers: headers.collect(), field }
            }
            (None, None) => {
                return Err(
                    self.wrong("has a `credential_source` that is neither a file nor a URL; others are not served")
                );
            }
        };
        if let Some(access) = access {
            check_source(access, &source)?;
        }
        // Whoever is sent a token of this machine.
        let service = |key: &str, text: String, service: &str| {
            let url = Url::parse(&text).ok().filter(|url| is_google_service(url, &[service]));
            url.ok_or_else(|| refused(format!("has a `{key}` that is not the https address of Google's {service}")))
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

/// An address of Google's, or one on this machine for a local stand-in.
pub fn google_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| is_google(url) || is_loopback(url))
}

/// A JSON object: raw, with line breaks inside strings, in base64, or quoted once more.
fn read_object(text: &str, field: &str) -> Result<Map<String, Value>, InvokeError> {
    let wrong = |what: &str| InvokeError::credentials(format!("credential `{field}` {what}"));
    // Editors write a mark before the text that is no blank.
    let blank = |letter: char| letter.is_whitespace() || letter == '\u{feff}';
    let text = text.trim_matches(blank);
    if text.starts_with("-----BEGIN") {
        return Err(wrong("is only the private key: paste the whole JSON key file"));
    }
    let decoded;
    let text = if text.starts_with('{') || text.starts_with('"') {
        text
    } else {
        let packed: String = text.split_whitespace().collect();
        let bytes = STANDARD
            .decode(&packed)
            .or_else(|_| URL_SAFE_NO_PAD.decode(packed.trim_end_matches('=')))
            .map_err(|_| wrong("is neither JSON nor base64 of it"))?;
        decoded = String::from_utf8(bytes).map_err(|_| wrong("is not JSON once its base64 is decoded"))?;
        decoded.trim_matches(blank)
    };
    let escaped = text.replace("\r\n", "\n");
    let value = serde_json::from_str::<Value>(text).or_else(|_| serde_json::from_str(&escape_breaks(&escaped)));
    match value {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::String(inner)) => read_object(&inner, field),
        Ok(_) => Err(wrong("must be a JSON object")),
        Err(error) => Err(wrong(&format!("is not JSON (line {}, column {})", error.line(), error.column()))),
    }
}

/// Line breaks inside strings, which a form turned from `\n` into real ones.
fn escape_breaks(text: &str) -> String {
    let (mut fixed, mut inside, mut escaped) = (String::with_capacity(text.len()), false, false);
    for letter in text.chars() {
        match letter {
            '\n' if inside => {
                fixed.push_str("\\n");
                continue;
            }
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
        fixed.push(letter);
    }
    fixed
}

/// Escapes that were escaped once more.
fn repaired_pem(text: &str) -> String {
    text.replace("\\r", "").replace("\\n", "\n")
}
