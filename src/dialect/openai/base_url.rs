//! Parses the base URL of an API as a user enters it, and builds the URLs of its endpoints.

use url::Url;

use dify_plugin::error::InvokeError;

/// Endpoint paths that users paste with the URL.
const ENDPOINTS: [&str; 4] = ["chat/completions", "audio/speech", "audio/transcriptions", "audio/translations"];

/// Endpoint paths of one segment. They may be names of the owner, so they count as endpoints only after a version
/// (`v1`).
const ENDPOINTS_OF_A_VERSION: [&str; 5] = ["completions", "embeddings", "rerank", "reranks", "models"];

/// Base URL of an API: no trailing slash, no fragment; its query string is kept for every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Parses a URL; `field` names the credential in errors. Removes blanks, trailing slashes and an endpoint path, and
    /// adds
    /// `http://` if there is no scheme.
    pub fn parse(text: &str, field: &str) -> Result<Self, InvokeError> {
        let wrong = |reason: String| InvokeError::credentials(format!("credential `{field}` {reason}"));
        let text = text.trim().trim_matches(['"', '\'']);
        if text.is_empty() {
            return Err(wrong("is empty; enter the URL of the server, such as http://host:port".to_owned()));
        }
        let absolute = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&absolute).map_err(|error| wrong(format!("is not a valid URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(format!("must start with http:// or https://, not {}://", url.scheme())));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("has no host".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "must not contain a user name or password; use the API key or the extra headers".to_owned(),
            ));
        }
        url.set_fragment(None);
        let mut base = Self(url);
        base.trim_slashes();
        if !ENDPOINTS.iter().any(|endpoint| base.strip_tail(endpoint)) {
            let mut root = base.clone();
            if ENDPOINTS_OF_A_VERSION.iter().any(|endpoint| root.strip_tail(endpoint)) && root.ends_with_version() {
                base = root;
            }
        }
        Ok(base)
    }

    /// Removes this last segment of the path (`v1`, `ui`), if present.
    #[must_use]
    pub fn without_tail(mut self, tail: &str) -> Self {
        self.strip_tail(tail);
        self
    }

    /// Adds this to the end of the path (`v1`), unless it is there.
    #[must_use]
    pub fn with_tail(mut self, tail: &str) -> Self {
        let ends = self.0.path().strip_suffix(tail).is_some_and(|rest| rest.ends_with('/'));
        if !ends && !tail.is_empty() {
            self.0 = self.join_path(tail);
        }
        self
    }

    /// Removes the whole path.
    #[must_use]
    pub fn without_path(mut self) -> Self {
        self.0.set_path("");
        self
    }

    /// Returns the URL of these path segments below the base URL. Each segment is percent-encoded.
    pub fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        // Only URLs without a host cannot have a path, and `parse` rejects them.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Returns the URL of a path below the base URL, without encoding (`chat/completions`).
    pub fn join_path(&self, path: &str) -> Url {
        self.join(&path.split('/').collect::<Vec<_>>())
    }

    /// Returns the URL of an endpoint by its path. If the base URL already ends with this path, it is the base URL
    /// itself.
    pub fn action(&self, path: &str) -> Url {
        let named = self.0.path().strip_suffix(path).is_some_and(|rest| rest.ends_with('/'));
        if named { self.0.clone() } else { self.join_path(path) }
    }

    /// Returns the base URL itself.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    fn trim_slashes(&mut self) {
        let path = self.0.path().trim_end_matches('/').to_owned();
        self.0.set_path(&path);
    }

    /// Whether the last segment of the path is a version: `v1`, `v1beta`.
    fn ends_with_version(&self) -> bool {
        let last = self.0.path().rsplit('/').next().unwrap_or_default();
        last.strip_prefix('v').is_some_and(|number| number.starts_with(|digit: char| digit.is_ascii_digit()))
    }

    fn strip_tail(&mut self, tail: &str) -> bool {
        let path = self.0.path().to_owned();
        let Some(rest) = path.strip_suffix(tail).filter(|rest| rest.ends_with('/')) else { return false };
        self.0.set_path(rest.trim_end_matches('/'));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes_base_urls() {
        let cases = [
            ("http://host:9997", "http://host:9997/v1/models/m"),
            (" http://host:9997/ ", "http://host:9997/v1/models/m"),
            ("host:9997", "http://host:9997/v1/models/m"),
            ("localhost", "http://localhost/v1/models/m"),
            ("https://host/v1", "https://host/v1/models/m"),
            ("https://host/v1/", "https://host/v1/models/m"),
            ("https://host//v1//", "https://host/v1/models/m"),
            ("http://host:9997/ui/", "http://host:9997/v1/models/m"),
            ("http://host:9997/ui/#/login", "http://host:9997/v1/models/m"),
            ("http://host:9997/v1/chat/completions", "http://host:9997/v1/models/m"),
            ("http://host/base/v1/models", "http://host/base/v1/models/m"),
            ("http://[::1]:9997", "http://[::1]:9997/v1/models/m"),
            ("http://host/v1?key=a", "http://host/v1/models/m?key=a"),
        ];
        for (text, expected) in cases {
            let base = BaseUrl::parse(text, "server_url").unwrap().without_tail("v1").without_tail("ui");
            assert_eq!(base.join(&["v1", "models", "m"]).as_str(), expected, "{text}");
        }
    }

    #[test]
    fn keeps_custom_paths_and_adds_no_endpoint_twice() {
        for (text, action, expected) in [
            ("https://g/v1", "chat/completions", "https://g/v1/chat/completions"),
            ("https://g/v1/chat/completions", "chat/completions", "https://g/v1/chat/completions"),
            ("https://g/v1/chat/completions/", "embeddings", "https://g/v1/embeddings"),
            ("https://g/v1/models", "chat/completions", "https://g/v1/chat/completions"),
            ("https://g/compatible-mode/v1beta/embeddings", "rerank", "https://g/compatible-mode/v1beta/rerank"),
            ("https://g/rerank", "chat/completions", "https://g/rerank/chat/completions"),
            ("https://g/models", "chat/completions", "https://g/models/chat/completions"),
            ("https://g/qwen/embeddings", "chat/completions", "https://g/qwen/embeddings/chat/completions"),
            ("https://g/qwen/completions/v1", "completions", "https://g/qwen/completions/v1/completions"),
            ("https://g/my-rerank", "rerank", "https://g/my-rerank/rerank"),
            ("https://g/qwen/reranks?a=1", "reranks", "https://g/qwen/reranks?a=1"),
            ("https://g/reranks", "rerank", "https://g/reranks/rerank"),
            ("https://g/vip/models", "embeddings", "https://g/vip/models/embeddings"),
        ] {
            let base = BaseUrl::parse(text, "endpoint_url").unwrap();
            assert_eq!(base.action(action).as_str(), expected, "{text} {action}");
        }
    }

    #[test]
    fn encodes_reserved_characters() {
        let base = BaseUrl::parse("http://host", "server_url").unwrap();
        assert_eq!(
            base.join(&["v1", "models", "a b/c?d#é%"]).as_str(),
            "http://host/v1/models/a%20b%2Fc%3Fd%23%C3%A9%25"
        );
    }

    #[test]
    fn rejects_invalid_base_urls() {
        let cases = [
            ("", "is empty"),
            ("ftp://host", "http:// or https://"),
            ("http://", "not a valid URL"),
            ("http://user:secret@host", "must not contain a user"),
            ("http://ho st", "not a valid URL"),
        ];
        for (text, expected) in cases {
            let error = BaseUrl::parse(text, "server_url").unwrap_err();
            assert!(error.message.contains("`server_url`") && error.message.contains(expected), "{text}: {error}");
            assert!(!error.message.contains("secret"), "{error}");
        }
    }
}
