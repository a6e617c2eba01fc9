//! The one error vocabulary: what the caller should do next, and what the upstream said.
//!
//! An [`InvokeError`] is a category that Dify understands plus the raw detail, verbatim and without secrets.
//! It is not an error of a transport or of a file: those end a process or a load, not a session.
//! Source: `dify-plugin-sdks: src/dify_plugin/errors/model.py`, `interfaces/model/ai_model.py`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Longest text of an error, in bytes; what an upstream or a host says may have megabytes.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// Longest advice.
const MAX_HINT_BYTES: usize = 1024;

/// Longest name, code or id beside an error's text.
pub const MAX_FIELD_BYTES: usize = 256;

/// The beginning of a text, and that it is no more than that.
pub fn clip(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest {
        return Cow::Borrowed(text);
    }
    let kept = &text[..text.floor_char_boundary(longest)];
    Cow::Owned(format!("{kept}… ({} more bytes are left out)", text.len() - kept.len()))
}

/// What Dify should do about a failed call. The names are the exact `error_type` strings that the Dify API matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The upstream could not be reached: DNS, TLS, refused, timed out, cut.
    Connection,
    /// The upstream answered that it cannot serve now (5xx, overload).
    ServerUnavailable,
    /// The upstream asked us to slow down, or a quota is used up.
    RateLimit,
    /// The credential was refused.
    Authorization,
    /// The request is wrong: a parameter, a message, an unknown model.
    BadRequest,
    /// What was asked for does not exist: a page, a file, a tool of that name.
    NotFound,
    /// The plugin has no code for what was asked.
    Unsupported,
    /// The credential form holds something wrong. Every failure of a validate action becomes this.
    CredentialsValidateFailed,
    /// The model cannot be polled (`start_polling`, `check_polling`).
    PollingUnsupported,
    /// A stream's first token did not come within the time that the caller gave it.
    FirstTokenTimeout,
    /// None of the above: a fault of ours or an answer nobody can read. Dify has no word for it and would show a bare
    /// `InvokeError` as raw JSON, so on the wire it is a service that cannot serve now.
    Internal,
}

impl ErrorKind {
    /// The `error_type` on the wire.
    pub fn error_type(self) -> &'static str {
        match self {
            Self::Connection => "InvokeConnectionError",
            Self::ServerUnavailable | Self::Internal => "InvokeServerUnavailableError",
            Self::RateLimit => "InvokeRateLimitError",
            Self::Authorization => "InvokeAuthorizationError",
            Self::BadRequest | Self::NotFound | Self::Unsupported => "InvokeBadRequestError",
            Self::CredentialsValidateFailed => "CredentialsValidateFailedError",
            Self::PollingUnsupported => "PluginLLMPollingUnsupportedError",
            Self::FirstTokenTimeout => "FirstTokenTimeoutError",
        }
    }

    /// The short description that the reference SDK puts between provider and detail.
    pub fn description(self) -> &'static str {
        match self {
            Self::Connection => "Connection Error",
            Self::ServerUnavailable => "Server Unavailable Error",
            Self::RateLimit => "Rate Limit Error",
            Self::Authorization => "Incorrect model credentials provided, please check and try again.",
            Self::BadRequest | Self::NotFound | Self::Unsupported => "Bad Request Error",
            Self::CredentialsValidateFailed | Self::PollingUnsupported | Self::FirstTokenTimeout | Self::Internal => {
                "Error"
            }
        }
    }
}

/// A failed call: category, what happened, and what to do about it.
///
/// `message` names what was wrong and where; it must be safe to show to a user (no secrets).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct InvokeError {
    /// What the caller should do.
    pub kind: ErrorKind,
    /// What was wrong, in the upstream's own words where it gave any.
    pub message: String,
    /// HTTP status of the upstream's answer.
    pub status: Option<u16>,
    /// The upstream's own code or status word (`RESOURCE_EXHAUSTED`, `invalid_api_key`).
    pub code: Option<String>,
    /// The upstream's request id, for support tickets.
    pub request_id: Option<String>,
    /// How long the upstream asked to wait.
    pub retry_after: Option<Duration>,
    /// Whether the same request may be sent again before any output was delivered.
    pub retryable: bool,
    /// What to do about it.
    pub hint: Option<String>,
}

impl InvokeError {
    /// An error of this category with this text.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            status: None,
            code: None,
            request_id: None,
            retry_after: None,
            retryable: false,
            hint: None,
        }
    }

    /// A wrong request; see [`ErrorKind::BadRequest`].
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    /// A refused credential; see [`ErrorKind::Authorization`].
    pub fn authorization(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Authorization, message)
    }

    /// An unreachable upstream; see [`ErrorKind::Connection`].
    pub fn connection(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Connection, message)
    }

    /// A service that the plugin works with failed, whatever its reason.
    pub fn upstream(message: impl Into<String>) -> Self {
        Self::server_unavailable(message)
    }

    /// An overloaded upstream; see [`ErrorKind::ServerUnavailable`].
    pub fn server_unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ServerUnavailable, message)
    }

    /// A rate or quota limit; see [`ErrorKind::RateLimit`].
    pub fn rate_limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::RateLimit, message)
    }

    /// Something that does not exist; see [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Something that the plugin does not offer; see [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// A wrong credential form; see [`ErrorKind::CredentialsValidateFailed`].
    pub fn credentials(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::CredentialsValidateFailed, message)
    }

    /// A fault of ours or an unreadable answer; see [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds what the user should do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the upstream's HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds the upstream's own code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Marks the request as safe to repeat while nothing has been delivered.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// The same failure as the credential form shows it: whatever goes wrong while validating is a validation failure.
    #[must_use]
    pub fn into_credentials_failure(mut self) -> Self {
        self.kind = ErrorKind::CredentialsValidateFailed;
        self
    }

    /// The failure in a few words for logs. What an upstream says may repeat the prompt, so of a refusal only status and
    /// code are told; what never arrived has our own words.
    pub fn brief(&self) -> String {
        match (self.status, self.code_word()) {
            (Some(status), Some(code)) => format!("HTTP {status} {code}"),
            (Some(status), None) => format!("HTTP {status}"),
            (None, _) if self.kind == ErrorKind::Connection => clip(&self.message, MAX_HINT_BYTES).into_owned(),
            (None, Some(code)) => format!("{} {code}", self.kind.error_type()),
            (None, None) => self.kind.error_type().to_owned(),
        }
    }

    /// The upstream's code where it is a word; some servers put a sentence there.
    pub fn code_word(&self) -> Option<&str> {
        let is_word = |code: &&str| {
            code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        self.code.as_deref().filter(is_word)
    }

    /// Message, request id, and hint in one sentence, without the category. Each of them is clipped by itself, so that a
    /// long answer of the upstream does not cost the hint.
    pub fn detail(&self) -> String {
        let mut text = clip(self.message.trim(), MAX_MESSAGE_BYTES).into_owned();
        if let Some(id) = &self.request_id {
            text.push_str(&format!(" (request id {})", clip(id, MAX_FIELD_BYTES)));
        }
        if let Some(hint) = &self.hint {
            if !text.is_empty() && !text.ends_with(['.', '!', '?']) {
                text.push('.');
            }
            text.push(' ');
            text.push_str(&clip(hint, MAX_HINT_BYTES));
        }
        text
    }
}

impl fmt::Display for InvokeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.detail())
    }
}
