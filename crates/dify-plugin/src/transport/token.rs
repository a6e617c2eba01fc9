//! What a caller of the serverless port must know, when the operator says so.
//!
//! The daemon itself sends no login of its own. It sends what stands in the function's address (`https://plugin:SECRET@host`),
//! as HTTP's basic authentication; a proxy before the port can send `Authorization: Bearer SECRET`. Both are understood.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

/// The secret.
#[derive(Clone)]
pub struct Token(SecretString);

impl Token {
    /// This one.
    pub fn new(secret: SecretString) -> Self {
        Self(secret)
    }

    /// Whether an `Authorization` header holds it. How long that takes tells nothing but lengths.
    pub fn is_in(&self, header: &str) -> bool {
        let Some((scheme, rest)) = header.trim().split_once(' ') else { return false };
        let rest = rest.trim();
        let said = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Some(rest.as_bytes().to_vec()),
            "basic" => STANDARD.decode(rest).ok().and_then(|pair| {
                let colon = memchr::memchr(b':', &pair)?;
                Some(pair[colon + 1..].to_vec())
            }),
            _ => None,
        };
        said.is_some_and(|said| verify_slices_are_equal(&said, self.0.expose_secret().as_bytes()).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_and_a_bearer_token_are_understood_and_nothing_else() {
        let token = Token::new("s3cret:word".into());
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (header, right) in [
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
            assert_eq!(token.is_in(&header), right, "{header}");
        }
    }
}
