//! Takes out of an upstream's words what was sent as proof: some refusals repeat the key that they refuse.

use http::HeaderMap;

use crate::error::InvokeError;

/// What stands in place of a secret.
const HIDDEN: &str = "***";

/// Shorter values are words that an explanation may need.
const SHORTEST: usize = 8;

/// Hides the secret values of the headers in an error's words.
pub(super) fn hide(mut error: InvokeError, sent: &HeaderMap) -> InvokeError {
    let values = sent.values().filter(|value| value.is_sensitive()).filter_map(|value| value.to_str().ok());
    // `Bearer …`: the scheme is no secret.
    for secret in values.filter_map(|value| value.rsplit(' ').next()).filter(|secret| secret.len() >= SHORTEST) {
        for text in [Some(&mut error.message), error.code.as_mut(), error.hint.as_mut()].into_iter().flatten() {
            if text.contains(secret) {
                *text = text.replace(secret, HIDDEN);
            }
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::auth::insert_secret;

    #[test]
    fn what_was_sent_as_proof_is_not_repeated() {
        let mut sent = HeaderMap::new();
        insert_secret(&mut sent, "authorization", "Bearer token-of-mine").unwrap();
        insert_secret(&mut sent, "x-key", "key-of-mine").unwrap();
        insert_secret(&mut sent, "x-team", "a").unwrap();
        sent.insert("x-open", "everybody".parse().unwrap());
        let error = InvokeError::bad_request("key-of-mine and token-of-mine are wrong for everybody, a")
            .with_hint("Not token-of-mine.");
        let error = hide(error, &sent);
        assert_eq!(error.message, "*** and *** are wrong for everybody, a");
        assert_eq!(error.hint.as_deref(), Some("Not ***."));
    }
}
