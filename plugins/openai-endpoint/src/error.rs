//! OpenAI's error object, and what a failure of Dify is in its terms: the one place that decides status, type and code.

use dify_plugin::http::StatusCode;
use dify_plugin::protocol::backwards::{DifyError, DifyErrorKind};
use serde::Deserialize;
use serde_json::{Value, json};

/// Bytes of a message; servers may send megabytes.
const MAX_MESSAGE_BYTES: usize = 4096;

/// A failed request, as OpenAI's clients expect it: they choose their exception by the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub status: StatusCode,
    /// `type` of the object.
    pub kind: &'static str,
    pub code: Option<String>,
    /// The member of the request that is wrong.
    pub param: Option<String>,
    pub message: String,
}

impl ApiError {
    pub fn new(status: StatusCode, kind: &'static str, code: &str, message: impl Into<String>) -> Self {
        let message = dify_plugin::error::clip(&message.into(), MAX_MESSAGE_BYTES).into_owned();
        Self { status, kind, code: Some(code.to_owned()), param: None, message }
    }

    /// The request is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { code: None, ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", "", message) }
    }

    /// The request asks for what Dify does not offer.
    pub fn unsupported(param: &str, message: impl Into<String>) -> Self {
        let code = "unsupported_parameter";
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message).with_param(param)
    }

    /// There is no such path, model or app.
    pub fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", code, message)
    }

    /// What was called returned something that makes no sense.
    pub fn upstream(message: impl Into<String>) -> Self {
        failed(message.into())
    }

    /// The operator filled in the endpoint's settings wrongly.
    pub fn settings(message: impl Into<String>) -> Self {
        let message = format!("The settings of this endpoint in Dify are not valid: {}", message.into());
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "invalid_settings", message)
    }

    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into()).filter(|param| !param.is_empty());
        self
    }

    /// The body of a response, and the event of a stream that fails.
    pub fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }

    /// An error by the words of a model's server or of Dify, which sends neither type nor code.
    pub fn of_text(text: &str, or: fn(String) -> Self) -> Self {
        let message = inner_message(text).unwrap_or_else(|| text.to_owned());
        let text = text.to_ascii_lowercase();
        match KNOWN.iter().find(|known| known.words.iter().any(|words| text.contains(words))) {
            Some(Known { status, kind, code, .. }) => Self::new(*status, kind, code, message),
            None => or(message),
        }
    }

    /// An `error` event of an app: its status and its code come first, then its words.
    pub fn of_app_event(status: Option<u64>, code: &str, message: &str) -> Self {
        let status = status.and_then(|status| StatusCode::from_u16(status as u16).ok());
        match code {
            "provider_quota_exceeded" => return quota(message.to_owned()),
            "app_unavailable" => return Self::not_found("app_unavailable", message),
            _ => {}
        }
        match status.filter(|status| status.is_client_error()) {
            Some(status @ StatusCode::TOO_MANY_REQUESTS) => {
                Self::new(status, "rate_limit_error", "rate_limit_exceeded", message)
            }
            // Dify reports most failures of models as 400.
            Some(_) => Self::of_text(message, Self::invalid),
            None => Self::of_text(message, failed),
        }
    }
}

struct Known {
    words: &'static [&'static str],
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
}

/// The first row counts. Words are in lower case; the names of errors are those that model plugins send.
const KNOWN: &[Known] = {
    const INVALID: &str = "invalid_request_error";
    &[
        Known {
            words: &[
                "context_length",
                "context length",
                "context window",
                "maximum context",
                "prompt is too long",
                "input token count",
                "too many input tokens",
            ],
            status: StatusCode::BAD_REQUEST,
            kind: INVALID,
            code: "context_length_exceeded",
        },
        Known {
            words: &["quota exceeded", "quota has been exhausted", "insufficient_quota"],
            status: StatusCode::TOO_MANY_REQUESTS,
            kind: "insufficient_quota",
            code: "insufficient_quota",
        },
        Known {
            words: &["invokeratelimiterror", "rate limit", "too many requests"],
            status: StatusCode::TOO_MANY_REQUESTS,
            kind: "rate_limit_error",
            code: "rate_limit_exceeded",
        },
        // The client's own key was accepted: these are the credentials of the workspace.
        Known {
            words: &["invokeauthorizationerror", "credentials is not initialized", "model credentials"],
            status: StatusCode::FORBIDDEN,
            kind: "permission_error",
            code: "provider_credentials",
        },
        Known {
            words: &["content_filter", "content_policy", "content management policy"],
            status: StatusCode::BAD_REQUEST,
            kind: INVALID,
            code: "content_filter",
        },
        Known {
            words: &["invokebadrequesterror"],
            status: StatusCode::BAD_REQUEST,
            kind: INVALID,
            code: "provider_bad_request",
        },
        Known {
            words: &["invokeserverunavailableerror"],
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "server_error",
            code: "provider_unavailable",
        },
        Known {
            words: &["invokeconnectionerror"],
            status: StatusCode::BAD_GATEWAY,
            kind: "server_error",
            code: "provider_unreachable",
        },
    ]
};

fn failed(message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_GATEWAY, "server_error", "dify_failed", message)
}

fn quota(message: String) -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", "insufficient_quota", message)
}

/// What a plugin's error is wrapped in: `…: {"args": {"description": "…"}, "error_type": "…", "message": "…"}`.
fn inner_message(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Wrapped {
        #[serde(default)]
        args: Args,
        #[serde(default)]
        message: String,
    }
    #[derive(Default, Deserialize)]
    struct Args {
        #[serde(default)]
        description: String,
    }
    let object = text.find("{\"").map(|start| &text[start..])?;
    let wrapped = serde_json::Deserializer::from_str(object).into_iter::<Wrapped>().next()?.ok()?;
    [wrapped.args.description, wrapped.message].into_iter().find(|message| !message.is_empty())
}

impl From<DifyError> for ApiError {
    fn from(error: DifyError) -> Self {
        use DifyErrorKind as Kind;
        let text = error.to_string();
        let plain = |status, kind, code| Self::new(status, kind, code, text.clone());
        match error.kind {
            Kind::PermissionDenied => plain(StatusCode::FORBIDDEN, "permission_error", "permission_denied"),
            Kind::QuotaExceeded => quota(inner_message(&text).unwrap_or(text)),
            Kind::TimedOut => plain(StatusCode::GATEWAY_TIMEOUT, "server_error", "timeout"),
            Kind::SessionEnded => plain(StatusCode::SERVICE_UNAVAILABLE, "server_error", "session_ended"),
            Kind::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", "request_too_large"),
            Kind::Unreachable => plain(StatusCode::BAD_GATEWAY, "server_error", "dify_unreachable"),
            Kind::Malformed => plain(StatusCode::BAD_GATEWAY, "server_error", "dify_response"),
            Kind::Unsupported => plain(StatusCode::BAD_REQUEST, "invalid_request_error", "unsupported"),
            Kind::RateLimited => {
                let message = inner_message(&text).unwrap_or(text);
                Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", message)
            }
            Kind::NotFound => Self::of_text(&text, |message| Self::not_found("model_not_found", message)),
            Kind::Invalid => Self::of_text(&text, Self::invalid),
            _ => Self::of_text(&text, failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(kind: &str, description: &str) -> String {
        let error = json!({"args": {"description": description}, "error_type": kind, "message": "m"});
        format!("invoke llm model failed: req_id: 1 PluginInvokeError: {error}")
    }

    #[test]
    fn failures_of_dify_have_the_status_that_clients_act_on() {
        for (text, status, kind, code, message) in [
            (wrapped("InvokeRateLimitError", "slow down"), 429, "rate_limit_error", "rate_limit_exceeded", "slow down"),
            (
                wrapped("InvokeAuthorizationError", "bad key"),
                403,
                "permission_error",
                "provider_credentials",
                "bad key",
            ),
            (wrapped("InvokeBadRequestError", "no"), 400, "invalid_request_error", "provider_bad_request", "no"),
            (
                wrapped("InvokeBadRequestError", "This model's maximum context length is 8192 tokens"),
                400,
                "invalid_request_error",
                "context_length_exceeded",
                "This model's maximum context length",
            ),
            (wrapped("InvokeServerUnavailableError", "busy"), 503, "server_error", "provider_unavailable", "busy"),
            (wrapped("InvokeConnectionError", "refused"), 502, "server_error", "provider_unreachable", "refused"),
            ("invoke llm model failed: boom".into(), 502, "server_error", "dify_failed", "boom"),
            ("Provider acme does not exist.".into(), 404, "invalid_request_error", "model_not_found", "acme"),
            ("app not found".into(), 404, "invalid_request_error", "model_not_found", "app"),
            ("quota exceeded".into(), 429, "insufficient_quota", "insufficient_quota", "quota"),
            ("rate limit".into(), 429, "rate_limit_error", "rate_limit_exceeded", "rate"),
            ("use of closed network connection".into(), 504, "server_error", "timeout", "240 s"),
            ("dial tcp: connection refused".into(), 502, "server_error", "dify_unreachable", "DIFY_INNER_API_URL"),
            (
                "permission denied, you need to enable llm access".into(),
                403,
                "permission_error",
                "permission_denied",
                "llm",
            ),
        ] {
            let error = ApiError::from(DifyError::of_text(&text));
            assert_eq!(
                (error.status.as_u16(), error.kind, error.code.as_deref()),
                (status, kind, Some(code)),
                "{text}"
            );
            assert!(error.message.contains(message), "{text}: {}", error.message);
            assert_eq!(error.body()["error"]["type"], kind);
        }
    }

    #[test]
    fn events_of_apps_have_a_status_of_their_own() {
        for (status, code, message, expected) in [
            (Some(400), "completion_request_error", "Rate limit reached", 429),
            (Some(400), "invalid_param", "query is required", 400),
            (Some(400), "provider_quota_exceeded", "x", 429),
            (Some(429), "too_many_requests", "x", 429),
            (Some(500), "internal_server_error", "x", 502),
            (Some(99_999), "", "maximum context length", 400),
            (None, "app_unavailable", "x", 404),
        ] {
            let error = ApiError::of_app_event(status, code, message);
            assert_eq!(error.status.as_u16(), expected, "{status:?} {code} {message}");
        }
    }
}
