//! What a session sent as proof, kept so that it can be taken out of the words that come back: many upstreams and proxies
//! repeat the key, token or signed address that they refuse, and not only in a refusal.
//!
//! It is no filter of logs or answers: nothing there is made of credentials.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::network::{NetworkSettings, proxy_address};
use super::spelling::{self, HIDDEN, SHORTEST};
use crate::error::InvokeError;

/// Proofs kept at once: a source of tokens lives as long as the process.
const MOST: usize = 64;

/// The proofs of one session, or of one source of tokens; cheap to clone.
#[derive(Clone, Default)]
pub struct Proofs(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    /// What requests carried, the latest last.
    sent: VecDeque<SecretString>,
    /// The queries of addresses that requests name: as many as there are, so that they push nothing else out.
    named: BTreeSet<String>,
}

impl Proofs {
    /// Keeps a secret that is about to be sent.
    pub(super) fn keep(&self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let sent = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).sent;
        sent.retain(|known| known.expose_secret() != secret);
        sent.push_back(SecretString::from(secret.to_owned()));
        if sent.len() > MOST {
            sent.pop_front();
        }
    }

    /// Keeps what an attempt carries as proof: sensitive headers, what stands in the query, the proxy's password.
    pub(super) fn keep_attempt(&self, url: &Url, headers: &HeaderMap, network: &NetworkSettings) {
        let secrets = headers.values().filter(|value| value.is_sensitive()).filter_map(|value| value.to_str().ok());
        for secret in secrets {
            // `Bearer …`: the scheme is no secret.
            self.keep(secret.split_once(' ').map_or(secret, |(_, token)| token));
            self.keep(secret);
        }
        secrets_of(url).iter().for_each(|secret| self.keep(secret));
        if let Some(proxy) = network.proxy.as_ref().and_then(|proxy| proxy_address(proxy.expose_secret())) {
            let plain = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            let (user, password) = (plain(proxy.username()), plain(proxy.password().unwrap_or_default()));
            self.keep(&STANDARD.encode(format!("{user}:{password}")));
            self.keep(&password);
        }
    }

    /// Keeps the queries of the addresses in a JSON text: files are signed there.
    pub fn keep_addresses(&self, json: &str) {
        for at in memmem::find_iter(json.as_bytes(), "://") {
            let start = json[..at].rfind('"').map_or(0, |quote| quote + 1);
            let whole = json[start..].split('"').next().unwrap_or_default();
            // Some writers escape `&`.
            let Ok(text) = serde_json::from_str::<String>(&format!("\"{whole}\"")) else { continue };
            for word in text.split_whitespace().filter(|word| word.contains('?')) {
                let address = word.find("http").and_then(|from| Url::parse(&word[from..]).ok());
                let secrets = address.iter().flat_map(secrets_of).filter(|secret| secret.len() >= SHORTEST);
                self.0.lock().unwrap_or_else(PoisonError::into_inner).named.extend(secrets);
            }
        }
    }

    /// Takes every proof out of an error's words.
    pub fn hide(&self, mut error: InvokeError) -> InvokeError {
        let forms = self.forms();
        hide_forms(&mut error.message, &forms);
        for text in [&mut error.code, &mut error.hint, &mut error.request_id].into_iter().flatten() {
            hide_forms(text, &forms);
        }
        error
    }

    /// Takes every proof out of a text, whether it is written plainly, in base64, percent-encoded or with JSON's escapes.
    pub fn hide_in(&self, text: &mut String) {
        hide_forms(text, &self.forms());
    }

    fn forms(&self) -> BTreeSet<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = kept.sent.iter().map(ExposeSecret::expose_secret);
        sent.chain(kept.named.iter().map(String::as_str)).flat_map(spelling::forms).collect()
    }
}

fn hide_forms(text: &mut String, forms: &BTreeSet<String>) {
    // From the end on, so that places stay where they are. What ends within a letter was no text at all.
    for place in spelling::find(text.as_bytes(), forms).into_iter().rev() {
        if text.is_char_boundary(place.start) && text.is_char_boundary(place.end) {
            text.replace_range(place, HIDDEN);
        }
    }
}

/// What may be secret in an address: its query, as a whole and by value.
fn secrets_of(url: &Url) -> Vec<String> {
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    url.query().map(str::to_owned).into_iter().chain(values).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::auth::{insert_public, insert_secret};

    fn proofs() -> Proofs {
        let mut sent = HeaderMap::new();
        insert_secret(&mut sent, "authorization", "Bearer token-of-mine").unwrap();
        insert_secret(&mut sent, "x-key", "key of/mine\"+1").unwrap();
        insert_secret(&mut sent, "x-team", "a").unwrap();
        insert_public(&mut sent, "x-open", "everybody").unwrap();
        let network = NetworkSettings::new(Some("http://user:pass%2Fword@proxy".into()), None);
        let proofs = Proofs::default();
        proofs.keep_attempt(&"http://host/?b=2&apikey=query-key".parse().unwrap(), &sent, &network);
        proofs
    }

    #[test]
    fn what_was_sent_as_proof_is_not_repeated() {
        let error = InvokeError::bad_request("key of/mine\"+1 and token-of-mine are wrong for everybody, a")
            .with_hint("Not token-of-mine.")
            .with_code("query-key");
        let error = proofs().hide(error);
        assert_eq!(error.message, "*** and *** are wrong for everybody, a");
        assert_eq!((error.hint.as_deref(), error.code.as_deref()), (Some("Not ***."), Some("***")));
    }

    #[test]
    fn every_spelling_is_found_and_nothing_else() {
        for (said, shown) in [
            ("ä key%20of%2fmine%22%2B1!".to_owned(), "ä ***!"),
            ("key+of/mine%22+1".to_owned(), "***"),
            (r#"{"a":"key of/mine\"+1"}"#.to_owned(), r#"{"a":"***"}"#),
            (r#"\"key of\\/mine\\\"+1\""#.to_owned(), r#"\"***\""#),
            ("bad token-of-m…".to_owned(), "bad ***…"),
            ("bad token-of-m".to_owned(), "bad ***"),
            ("bad token%2Dof%2".to_owned(), "bad ***%2"),
            ("token-of-m is a word, and so is pass/wor-".to_owned(), "token-of-m is a word, and so is pass/wor-"),
            ("pass/word pass%2Fword".to_owned(), "*** ***"),
            ("tok\u{20ac}en-of-mine % %4".to_owned(), "tok\u{20ac}en-of-mine % %4"),
        ] {
            let mut text = said.clone();
            proofs().hide_in(&mut text);
            assert_eq!(text, shown, "{said}");
        }
        for before in ["", "u", "us", "user:"] {
            let mut text = STANDARD.encode(format!("{before}token-of-mine!"));
            proofs().hide_in(&mut text);
            assert!(text.contains(HIDDEN) && text.len() < 16, "{text}");
        }
    }

    #[test]
    fn the_queries_of_addresses_are_secret() {
        let proofs = Proofs::default();
        proofs.keep_addresses(
            r#"{"a": "see https://h/f?sign=0123456789&t=1 there", "b": ["http://h/g?x=a\u0026key=abcdefghi"], "c": "://"}"#,
        );
        let mut text =
            "no https://h/f?sign=0123456789&t=1, no x=a&key=abcdefghi, no abcdefghi, no 0123456789".to_owned();
        proofs.hide_in(&mut text);
        assert_eq!(text, "no https://h/f?***, no ***, no ***, no ***");
    }

    #[test]
    fn only_the_latest_are_kept() {
        let proofs = Proofs::default();
        for number in 0..1000 {
            proofs.keep("key-of-every-call");
            proofs.keep(&format!("token-number-{number}"));
            proofs.keep_addresses(&format!("\"https://h/f?sign=signature-{number}\""));
        }
        assert_eq!(proofs.0.lock().unwrap().sent.len(), MOST);
        let mut text = "key-of-every-call token-number-999 signature-0 token-number-0".to_owned();
        proofs.hide_in(&mut text);
        assert_eq!(text, "*** *** *** token-number-0");
    }
}
