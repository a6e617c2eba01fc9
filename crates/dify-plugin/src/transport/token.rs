//! Secret that requests to the serverless port must contain, if the operator sets one.
//!
//! The daemon does not authenticate itself. It sends the credentials in the function's URL
//! (`https://plugin:SECRET@host`) as HTTP basic authentication, and a proxy before the port can send `Authorization:
//! Bearer SECRET`. Both are accepted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// The secret.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// Wraps a secret.
    pub fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// Whether an `Authorization` header contains the secret. The comparison takes constant time for equal lengths.
    pub fn is_in(&self, header: &str) -> bool {
        let Some((scheme, rest)) = header.trim().split_once(' ') else { return false };
        let rest = rest.trim();
        let found = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Some(rest.as_bytes().to_vec()),
            "basic" => STANDARD.decode(rest).ok().and_then(|pair| {
                let colon = memchr::memchr(b':', &pair)?;
                Some(pair[colon + 1..].to_vec())
            }),
            _ => None,
        };
        found.is_some_and(|found| found.ct_eq(self.0.expose_secret().as_bytes()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_the_secret_as_password_or_bearer_token() {
        let token = Token::new("s3cret:word".into());
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (header, is_accepted) in [
            ("Bearer s3cret:word".to_owned(), true),
            ("bearer  s3cret:word ".to_owned(), true),
            (basic("plugin:s3cret:word"), true),
            (basic(":s3cret:word"), true),
            (basic("s3cret:word"), false),
            (basic("s3cret"), false),
            ("Bearer s3cret:wor".to_owned(), false),
            ("Bearer s3cret:word2".to_owned(), false),
            ("Bearer".to_owned(), false),
            ("Bearer ".to_owned(), false),
            ("Basic ?".to_owned(), false),
            ("s3cret:word".to_owned(), false),
            ("Digest s3cret:word".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(token.is_in(&header), is_accepted, "{header}");
        }
    }
}
