//! The single error type: what the caller should do next, and the server's error message.
//!
//! An [`InvokeError`] is a category that Dify understands plus the details, verbatim and without secrets. Errors of
//! transports and files are separate: they end a process or a load, not a session.
//! Source: `dify-plugin-sdks: src/dify_plugin/errors/model.py`, `interfaces/model/ai_model.py`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Maximum length of an error text in bytes; servers and daemons may send megabytes.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// Maximum length of a hint in bytes.
const MAX_HINT_BYTES: usize = 1024;

/// Maximum length in bytes of a name, code or ID in an error.
pub const MAX_FIELD_BYTES: usize = 256;

/// Returns the beginning of a text, with a note if it was truncated.
pub fn clip(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest {
        return Cow::Borrowed(text);
    }
    let kept = &text[..text.floor_char_boundary(longest)];
    Cow::Owned(format!("{kept}… ({} more bytes are left out)", text.len() - kept.len()))
}

/// What Dify should do about a failed call. The names are the exact `error_type` strings that the Dify API matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The server is unreachable: DNS, TLS, connection refused, timed out or interrupted.
    Connection,
    /// The server cannot respond now (5xx, overload).
    ServerUnavailable,
    /// The server limits the request rate, or a quota is exhausted.
    RateLimit,
    /// The credential was rejected.
    Authorization,
    /// The request is invalid: a parameter, a message, an unknown model.
    BadRequest,
    /// The requested item does not exist, such as a page, a file or a tool.
    NotFound,
    /// The plugin does not implement the request.
    Unsupported,
    /// The credential form is invalid. Every error of a validate action becomes this.
    CredentialsValidateFailed,
    /// The model does not support polling (`start_polling`, `check_polling`).
    PollingUnsupported,
    /// The first token of a stream did not arrive within the caller's timeout.
    FirstTokenTimeout,
    /// None of the above: a bug, or a response that cannot be parsed. Dify has no type for it and would show a bare
    /// `InvokeError` as raw JSON, so on the wire it is `InvokeServerUnavailableError`.
    Internal,
}

impl ErrorKind {
    /// Returns the `error_type` on the wire.
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

    /// Returns the short description that the Python SDK puts between provider and details.
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
/// `message` says what was wrong and where; it must be safe to show to a user (no secrets).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub struct InvokeError {
    /// What the caller should do.
    pub kind: ErrorKind,
    /// What was wrong, in the server's words if it sent an error message.
    pub message: String,
    /// HTTP status of the response.
    pub status: Option<u16>,
    /// The server's own code or status (`RESOURCE_EXHAUSTED`, `invalid_api_key`).
    pub code: Option<String>,
    /// The server's request ID, for support tickets.
    pub request_id: Option<String>,
    /// Delay that the server asked for.
    pub retry_after: Option<Duration>,
    /// Whether the same request may be retried before any output was delivered.
    pub retryable: bool,
    /// What to do about it.
    pub hint: Option<String>,
}

impl InvokeError {
    /// Creates an error of this category with this text.
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

    /// Invalid request; see [`ErrorKind::BadRequest`].
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    /// Rejected credential; see [`ErrorKind::Authorization`].
    pub fn authorization(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Authorization, message)
    }

    /// Unreachable server; see [`ErrorKind::Connection`].
    pub fn connection(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Connection, message)
    }

    /// A service that the plugin uses failed, whatever the reason.
    pub fn upstream(message: impl Into<String>) -> Self {
        Self::server_unavailable(message)
    }

    /// Overloaded server; see [`ErrorKind::ServerUnavailable`].
    pub fn server_unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ServerUnavailable, message)
    }

    /// Rate or quota limit; see [`ErrorKind::RateLimit`].
    pub fn rate_limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::RateLimit, message)
    }

    /// Missing item; see [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Unsupported request; see [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Invalid credential form; see [`ErrorKind::CredentialsValidateFailed`].
    pub fn credentials(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::CredentialsValidateFailed, message)
    }

    /// Bug or unreadable response; see [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Replaces the text.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Replaces the category.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Adds a hint for the user.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds the server's own code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Marks the request as safe to retry while nothing has been delivered.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }

    /// Converts the error to `CredentialsValidateFailed`, the type that Dify shows in the credential form.
    #[must_use]
    pub fn into_credentials_failure(mut self) -> Self {
        self.kind = ErrorKind::CredentialsValidateFailed;
        self
    }

    /// Returns a summary for logs. A server's message may quote the prompt, so HTTP errors are reduced to status and
    /// code; connection errors contain only the runtime's own text and are returned in full.
    pub fn log_summary(&self) -> String {
        match (self.status, self.code_word()) {
            (Some(status), Some(code)) => format!("HTTP {status} {code}"),
            (Some(status), None) => format!("HTTP {status}"),
            (None, _) if self.kind == ErrorKind::Connection => clip(&self.message, MAX_HINT_BYTES).into_owned(),
            (None, Some(code)) => format!("{} {code}", self.kind.error_type()),
            (None, None) => self.kind.error_type().to_owned(),
        }
    }

    /// Returns the server's code if it is a single word; some servers put a sentence there.
    pub fn code_word(&self) -> Option<&str> {
        let is_word = |code: &&str| {
            code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        self.code.as_deref().filter(is_word)
    }

    /// Returns message, request ID and hint as one text, without the category. Each is truncated separately, so that a
    /// long server message does not cost the hint.
    pub fn detail(&self) -> String {
        let mut text = clip(self.message.trim(), MAX_MESSAGE_BYTES).into_owned();
        if let Some(id) = &self.request_id {
            text.push_str(&format!(" (request ID {})", clip(id, MAX_FIELD_BYTES)));
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
