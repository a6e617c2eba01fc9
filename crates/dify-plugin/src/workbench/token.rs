//! The secret of a run, without which the workbench answers nothing about the plugin. It is the printed link's fragment, which no browser sends, and comes
//! back in a header.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// 256 random bits, in hexadecimal digits.
pub(super) struct Token(SecretString);

impl Token {
    /// Makes one for this run.
    pub(super) fn generate() -> Self {
        let mut digest = Sha256::new();
        // Each holds 122 random bits of the operating system.
        (0..3).for_each(|_| digest.update(Uuid::new_v4().as_bytes()));
        Self(hex::encode(digest.finalize()).into())
    }

    /// Returns its text, for the link.
    pub(super) fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether a header `Authorization` holds it. The comparison takes constant time for equal lengths.
    pub(super) fn is_in(&self, header: &str) -> bool {
        let found = header.strip_prefix("Bearer ").unwrap_or_default();
        found.as_bytes().ct_eq(self.0.expose_secret().as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_recognized_whole_and_differs_between_runs() {
        let (token, other) = (Token::generate(), Token::generate());
        assert_eq!(token.reveal().len(), 64);
        assert!(token.is_in(&format!("Bearer {}", token.reveal())));
        for wrong in [
            String::new(),
            "Bearer ".to_owned(),
            token.reveal().to_owned(),
            format!("Bearer {}", other.reveal()),
            format!("Bearer {}", &token.reveal()[..63]),
            format!("Bearer {}0", token.reveal()),
            format!("Basic {}", token.reveal()),
        ] {
            assert!(!token.is_in(&wrong), "{wrong}");
        }
    }
}
