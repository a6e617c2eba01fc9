//! Tests of the token's claims, its renewal and its header, and of invalid forms.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use super::super::for_tests::post;
use super::*;

const NOW: u64 = 1_760_000_000;

fn form(extra: &[(&str, &str)]) -> Credentials {
    let key = json!({"kty": "oct", "kid": "k1", "k": URL_SAFE_NO_PAD.encode([7u8; 32])}).to_string();
    let base = [("jwt_jwks", key.as_str()), ("jwt_consumer_id", "consumer-1")];
    Credentials::from_pairs(base.iter().chain(extra).copied())
}

fn claims_of(token: &SecretString) -> Value {
    let part = token.expose_secret().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn slot(extra: &[(&str, &str)]) -> Arc<Slot> {
    TokenCache::default().authorization(&form(extra)).unwrap().slot
}

#[test]
fn builds_the_token_from_the_form() {
    let extra = [
        ("jwt_issuer", "dify"),
        ("jwt_audience", "gateway"),
        ("jwt_subject", "me"),
        ("jwt_claim_name", "client"),
        ("jwt_expiration", "600"),
        ("jwt_extra_claims", "{\"team\":\"blue\"}"),
    ];
    let mut claims = claims_of(&slot(&extra).token(NOW).unwrap());
    let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert!(uuid::Uuid::parse_str(id.as_str().unwrap()).is_ok());
    let expected = json!({"iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 600, "client": "consumer-1", "iss": "dify",
        "aud": "gateway", "sub": "me", "team": "blue"});
    assert_eq!(claims, expected);
    assert_eq!(claims_of(&slot(&[]).token(NOW).unwrap())["exp"], NOW + 7200);
    let longest = claims_of(&slot(&[("jwt_expiration", "604800")]).token(NOW).unwrap());
    assert_eq!(longest["exp"].as_u64().unwrap() - longest["iat"].as_u64().unwrap(), 604_800);
}

#[test]
fn shares_a_token_until_renewal_or_a_clock_change() {
    // (lifetime, seconds later, same token)
    for (lifetime, later, same) in [
        ("7200", 0, true),
        ("7200", 6479, true),
        ("7200", 6480, false),
        ("600", 539, true),
        ("600", 540, false),
        ("60", 0, false),
        ("7200", -5, true),
        ("7200", -6, false),
    ] {
        let slot = slot(&[("jwt_expiration", lifetime)]);
        let first = slot.token(NOW).unwrap();
        let second = slot.token(NOW.saturating_add_signed(later)).unwrap();
        assert_eq!(first.expose_secret() == second.expose_secret(), same, "{lifetime} {later}");
    }
}

#[test]
fn shares_a_token_for_equal_forms_only() {
    let cache = TokenCache::default();
    let token = |extra: &[(&str, &str)]| {
        cache.authorization(&form(extra)).unwrap().slot.token(NOW).unwrap().expose_secret().to_owned()
    };
    let first = token(&[]);
    assert_eq!(first, token(&[("jwt_header_name", "X-Token"), ("unrelated", "1")]));
    for other in [("jwt_issuer", "a"), ("jwt_consumer_id", "b"), ("jwt_expiration", "100"), ("jwt_algorithm", "HS256")]
    {
        assert_eq!(first == token(&[other]), other.0 == "jwt_algorithm", "{other:?}");
    }
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let cache = cache.clone();
            std::thread::spawn(move || {
                cache
                    .authorization(&form(&[("jwt_issuer", "p")]))
                    .unwrap()
                    .slot
                    .token(NOW)
                    .unwrap()
                    .expose_secret()
                    .to_owned()
            })
        })
        .collect();
    let tokens: std::collections::HashSet<String> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(tokens.len(), 1);
    for number in 0..2 * MAX_TOKENS {
        token(&[("jwt_issuer", &number.to_string())]);
    }
    assert!(cache.0.lock().unwrap().len() <= MAX_TOKENS);
}

async fn sent(authorization: &JwtAuthorization) -> HeaderMap {
    let (mut url, mut headers, body) = (Url::parse("https://g.example/").unwrap(), HeaderMap::new(), Bytes::new());
    let attempt = post(&mut url, &mut headers, &body);
    authorization.authorize(attempt).await.unwrap();
    headers
}

#[tokio::test]
async fn sends_the_token_in_the_header_of_the_form() {
    for (extra, header, prefix) in [
        (vec![], "authorization", "Bearer "),
        (vec![("jwt_header_name", "X-Token"), ("jwt_header_prefix", "Tok")], "x-token", "Tok "),
        (vec![("jwt_header_prefix", "")], "authorization", "Bearer "),
        (vec![("jwt_header_prefix", "  ")], "authorization", "Bearer "),
        (vec![("jwt_header_prefix", "none")], "authorization", ""),
        (vec![("jwt_header_prefix", "None")], "authorization", ""),
        (vec![("jwt_header_prefix", "\"Token:\"")], "authorization", "Token:"),
        (vec![("jwt_header_prefix", "\"\"")], "authorization", ""),
    ] {
        let authorization = TokenCache::default().authorization(&form(&extra)).unwrap();
        let headers = sent(&authorization).await;
        assert_eq!(headers.len(), 1);
        let value = headers[header].to_str().unwrap();
        assert!(value.starts_with(&format!("{prefix}eyJ")), "{value}");
        assert!(headers[header].is_sensitive());
    }
}

#[tokio::test]
async fn renews_an_expired_token_and_keeps_a_newer_one() {
    let authorization = TokenCache::default().authorization(&form(&[])).unwrap();
    let (url, body) = (Url::parse("https://g.example/").unwrap(), Bytes::new());
    let rejection = |body: &'static str, status: StatusCode| ErrorResponse {
        status,
        headers: HeaderMap::new(),
        body: Bytes::from_static(body.as_bytes()),
        url: url.clone(),
    };
    let first = sent(&authorization).await;
    let refused = |headers| Sent { method: &Method::POST, url: &url, headers, body: &body, attempt: 0 };
    for (body, status) in [
        ("Jwt verification fails", StatusCode::UNAUTHORIZED),
        ("Jwt is expired", StatusCode::FORBIDDEN),
        ("expired key", StatusCode::UNAUTHORIZED),
    ] {
        assert!(matches!(authorization.refused(&rejection(body, status), refused(&first)).await, AuthOutcome::Final));
    }
    assert_eq!(first, sent(&authorization).await);
    let expired = rejection("Jwt is expired", StatusCode::UNAUTHORIZED);
    assert!(matches!(authorization.refused(&expired, refused(&first)).await, AuthOutcome::Again));
    let second = sent(&authorization).await;
    assert_ne!(first, second);
    // A concurrent request that was rejected with the first token must not drop the second.
    assert!(matches!(authorization.refused(&expired, refused(&first)).await, AuthOutcome::Again));
    assert_eq!(second, sent(&authorization).await);
}

#[test]
fn rejects_invalid_forms() {
    for (extra, expected) in [
        (vec![("jwt_jwks", "")], "`jwt_jwks` is required"),
        (vec![("jwt_consumer_id", " ")], "`jwt_consumer_id` is required"),
        (vec![("jwt_algorithm", "none")], "`jwt_algorithm`: unknown algorithm `none`"),
        (vec![("jwt_algorithm", "RS256")], "`jwt_jwks`: key `k1` is symmetric (kty oct), but RS256 requires"),
        (vec![("jwt_algorithm", "HS512")], "`jwt_jwks`: key `k1` is too short"),
        (vec![("jwt_jwks", "{")], "`jwt_jwks`: not a JWK"),
        (vec![("jwt_key_id", "k2")], "`jwt_jwks`: key `k1` is not the requested key `k2`"),
        (vec![("jwt_expiration", "0")], "`jwt_expiration` must be"),
        (vec![("jwt_expiration", "604801")], "`jwt_expiration` must be"),
        (vec![("jwt_expiration", "1h")], "`jwt_expiration` must be"),
        (vec![("jwt_claim_name", "exp")], "`exp` is generated by the plugin"),
        (vec![("jwt_extra_claims", "[]")], "`jwt_extra_claims` must be a JSON object"),
        (vec![("jwt_extra_claims", "{\"a\":1}")], "must contain strings only; `a` is not a string"),
        (vec![("jwt_extra_claims", "{\"uid\":\"x\"}")], "repeats the claim `uid`"),
    ] {
        let Err(error) = TokenCache::default().authorization(&form(&extra)) else { panic!("{extra:?} was accepted") };
        assert_eq!(error.kind, dify_plugin::error::ErrorKind::CredentialsValidateFailed);
        assert!(error.message.contains(expected), "{error} lacks {expected}");
    }
}
