//! Why a call into Dify failed. Dify sends texts only, no types and no codes; they are classified here, by their words.

use std::fmt;

use crate::error::{ErrorKind, InvokeError, MAX_MESSAGE_BYTES, clip};

/// How long the plugin daemon waits for a response of Dify, in words.
pub const DAEMON_LIMIT: &str =
    "Dify's plugin daemon ends a call back into Dify after 240 s (DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT)";

/// How long a session may take, in words.
pub const SESSION_LIMIT: &str = "Dify ends a session after 600 s, or when its caller disconnects";

/// What the caller of Dify can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DifyErrorKind {
    /// The manifest does not grant what the call needs.
    PermissionDenied,
    /// There is no such app, tool, model or key.
    NotFound,
    /// A quota of the workspace, or the plugin's storage, is exhausted.
    QuotaExceeded,
    /// A model's server requests fewer calls.
    RateLimited,
    /// The request is wrong.
    Invalid,
    /// This Dify, or this kind of plugin, does not offer the call.
    Unsupported,
    /// The call took too long.
    TimedOut,
    /// The session that made the call is over.
    SessionEnded,
    /// The request does not fit into a line, or the responses do not fit into memory.
    TooLarge,
    /// The daemon, or the Dify API behind it, cannot be reached.
    Unreachable,
    /// A response cannot be read.
    Malformed,
    /// What was called failed: a model, a tool, an app.
    Failed,
}

/// A failed call into Dify: category, what happened, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct DifyError {
    /// What the caller can do.
    pub kind: DifyErrorKind,
    /// What happened, in Dify's own words where it gave any.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl DifyError {
    /// An error of this kind with this text.
    pub fn new(kind: DifyErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// A wrong request.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(DifyErrorKind::Invalid, message)
    }

    /// A response that cannot be read.
    pub fn malformed(why: impl fmt::Display) -> Self {
        Self::new(DifyErrorKind::Malformed, format!("cannot read Dify's response: {why}"))
    }

    /// A session that is over.
    pub fn session_ended() -> Self {
        Self::new(DifyErrorKind::SessionEnded, "the session has ended, and with it its calls back into Dify")
            .with_hint(format!("{SESSION_LIMIT}."))
    }

    /// A call without a response in time.
    pub fn timed_out(seconds: f64) -> Self {
        Self::new(DifyErrorKind::TimedOut, format!("Dify did not complete the call within {seconds} s"))
            .with_hint(format!("{DAEMON_LIMIT}; split the work into shorter calls."))
    }

    /// Adds what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Classifies the text with which the daemon rejected or broke off a call.
    pub fn of_text(text: &str) -> Self {
        let message = clip(text.trim(), MAX_MESSAGE_BYTES).into_owned();
        let lower = message.to_lowercase();
        match RULES.iter().find(|rule| rule.words.iter().any(|word| lower.contains(word))) {
            None => Self::new(DifyErrorKind::Failed, message),
            Some(rule) if rule.hint.is_empty() => Self::new(rule.kind, message),
            Some(rule) => Self::new(rule.kind, message).with_hint(rule.hint),
        }
    }

    /// Whether the storage has no value for the key. The daemon reports the same for a value that it could not load.
    pub fn is_missing_key(&self) -> bool {
        self.message.starts_with(MISSING_KEY)
    }
}

const MISSING_KEY: &str = "load data failed, please check if the key is correct";

/// The texts that contain one of these words, in lower case.
struct Rule {
    words: &'static [&'static str],
    kind: DifyErrorKind,
    hint: &'static str,
}

/// The first rule that fits counts: what a text is about comes before what it quotes.
const RULES: &[Rule] = {
    use DifyErrorKind::*;
    &[
        Rule { words: &["permission denied, you need to enable"], kind: PermissionDenied, hint: "" },
        Rule {
            words: &["you can not invoke dify from"],
            kind: Unsupported,
            hint: "Dify lets model plugins make no calls back.",
        },
        Rule {
            words: &["unsupported invoke type"],
            kind: Unsupported,
            hint: "The plugin daemon is older than this call; upgrade Dify.",
        },
        Rule { words: &["unmarshal backwards invoke request failed"], kind: Invalid, hint: "" },
        Rule {
            words: &["allocated size is greater than max storage size"],
            kind: QuotaExceeded,
            hint: "Raise `resource.permission.storage.size` in manifest.yaml (and PERSISTENCE_STORAGE_MAX_SIZE of the \
                   plugin daemon), or delete keys. The new value was stored all the same.",
        },
        Rule { words: &[MISSING_KEY], kind: NotFound, hint: "" },
        Rule { words: &["path traversal", "key length must be"], kind: Invalid, hint: "" },
        Rule {
            words: &["session not found", "failed to get session info", "context canceled", "session is nil"],
            kind: SessionEnded,
            hint: "Dify ends a session after 600 s, or when its caller disconnects.",
        },
        Rule {
            words: &[
                "use of closed network connection",
                "read on closed response body",
                "http: read on closed",
                "context deadline exceeded",
                "failed to read system header",
                "i/o timeout",
            ],
            kind: TimedOut,
            hint: "Dify's plugin daemon ends a call back into Dify after 240 s \
                   (DIFY_BACKWARDS_INVOCATION_READ_TIMEOUT); split the work into shorter calls.",
        },
        Rule {
            words: &["connection refused", "no such host", "dial tcp", "connection reset", "network is unreachable"],
            kind: Unreachable,
            hint: "The plugin daemon cannot reach the Dify API; check DIFY_INNER_API_URL of the daemon.",
        },
        Rule {
            words: &["status code: 401", "status code: 403"],
            kind: Unreachable,
            hint: "The Dify API rejected the daemon's key; check DIFY_INNER_API_KEY of the daemon.",
        },
        Rule { words: &["status code: 404"], kind: Unsupported, hint: "This version of Dify has no such call." },
        Rule {
            words: &["quota exceeded", "quota has been exhausted", "quota is exceeded"],
            kind: QuotaExceeded,
            hint: "",
        },
        Rule { words: &["rate limit", "ratelimit", "too many requests"], kind: RateLimited, hint: "" },
        Rule {
            words: &["app not found", "does not exist", "not exist", "not found"],
            kind: NotFound,
            hint: "It must be in the workspace that runs the plugin.",
        },
        Rule {
            words: &["missing query", "is required", "bad request error", "field required", "validation error"],
            kind: Invalid,
            hint: "",
        },
        Rule { words: &["validate request failed", "data is nil", "unmarshal json failed"], kind: Malformed, hint: "" },
    ]
};

impl fmt::Display for DifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        InvokeError::from(self.clone()).fmt(formatter)
    }
}

/// The same failure in the vocabulary of sessions, so that an author can hand it on.
impl From<DifyError> for InvokeError {
    fn from(error: DifyError) -> Self {
        let kind = match error.kind {
            DifyErrorKind::NotFound => ErrorKind::NotFound,
            DifyErrorKind::Unsupported => ErrorKind::Unsupported,
            DifyErrorKind::QuotaExceeded | DifyErrorKind::RateLimited => ErrorKind::RateLimit,
            DifyErrorKind::PermissionDenied | DifyErrorKind::Invalid | DifyErrorKind::TooLarge => ErrorKind::BadRequest,
            DifyErrorKind::TimedOut | DifyErrorKind::SessionEnded | DifyErrorKind::Unreachable => ErrorKind::Connection,
            DifyErrorKind::Malformed | DifyErrorKind::Failed => ErrorKind::ServerUnavailable,
        };
        Self { hint: error.hint, ..Self::new(kind, error.message) }
    }
}
