//! Every algorithm with every form of key, verified by other code than the signer's, and every error message.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../tests/data/aigateway/jwt.json")).unwrap()
}

fn key(name: &str) -> String {
    match &vectors()["keys"][name] {
        Value::String(text) => text.clone(),
        Value::Null => panic!("no key {name}"),
        other => other.to_string(),
    }
}

/// Verifies a token with jsonwebtoken, or, for the algorithm it does not support, with the curve's own verifier.
fn verify(token: &str, jwk: &Value) {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let alg: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    if alg["alg"] == "ES512" {
        let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let point = [vec![4], member("x"), member("y")].concat();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P521_SHA512_FIXED, point)
            .verify(signed.as_bytes(), &signature)
            .unwrap();
        return;
    }
    let alg: jsonwebtoken::Algorithm = alg["alg"].as_str().unwrap().parse().unwrap();
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(alg);
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    let decoded = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap();
    assert_eq!(decoded.claims["uid"], "consumer");
}

#[test]
fn signs_with_every_algorithm_and_form_of_key() {
    let secret = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([9u8; 64])}).to_string();
    let object = |name: &str| json!({ "private_key": key(name) }).to_string();
    let rsa = vec![
        key("rsa_private_jwk"),
        key("rsa_private_pem_pkcs8"),
        key("rsa_pem_pkcs1"),
        key("rsa_private_pem_pkcs8").replace('\n', " "),
        object("rsa_pem_pkcs1"),
    ];
    let ec = |curve: &str| {
        let (jwk, pkcs8, sec1) =
            (format!("ec_{curve}_private_jwk"), format!("ec_{curve}_pem_pkcs8"), format!("ec_{curve}_pem_sec1"));
        vec![
            key(&jwk),
            key(&pkcs8),
            key(&sec1),
            object(&pkcs8),
            format!("{{\"keys\":[{}]}}", key(&jwk)),
            format!("[{}]", key(&jwk)),
        ]
    };
    let ed = vec![key("ed25519_private_jwk"), key("ed25519_pem_pkcs8")];
    for algorithm in Algorithm::ALL {
        let (forms, public) = match algorithm.key_kind() {
            KeyKind::Oct => (vec![secret.clone()], secret.clone()),
            KeyKind::Rsa => (rsa.clone(), key("rsa_public_jwk")),
            KeyKind::Ec(Curve::P256) => (ec("p256"), key("ec_p256_public_jwk")),
            KeyKind::Ec(Curve::P384) => (ec("p384"), key("ec_p384_public_jwk")),
            KeyKind::Ec(Curve::P521) => (ec("p521"), key("ec_p521_public_jwk")),
            KeyKind::Ed25519 => (ed.clone(), key("ed25519_public_jwk")),
        };
        let public: Value = serde_json::from_str(&public).unwrap();
        for form in forms {
            let signer = signing_key(&form, algorithm, None).unwrap();
            verify(&signer.token(&json!({"uid": "consumer"})).unwrap(), &public);
        }
    }
}

#[test]
fn reproduces_deterministic_vectors() {
    let mut checked = 0;
    for vector in vectors()["positive"].as_array().unwrap() {
        let algorithm: Algorithm = vector["alg"].as_str().unwrap().parse().unwrap();
        let signer =
            signing_key(&vector["jwk_as_entered"].to_string(), algorithm, vector["header"]["kid"].as_str()).unwrap();
        let token = vector["token"].as_str().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        if vector["deterministic"] == true {
            assert_eq!(URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes()).unwrap()), signature, "{}", vector["id"]);
            checked += 1;
        }
        if let Some(header) = vector["header"].as_object() {
            assert_eq!(signer.kid(), header.get("kid").and_then(Value::as_str));
            assert_eq!(signer.token(&vector["payload_in_order"]).unwrap(), token, "{}", vector["id"]);
        }
    }
    assert_eq!(checked, 8);
}

#[test]
fn selects_keys_by_algorithm_then_id() {
    let oct = |kid: Option<&str>, alg: Option<&str>, usage: Option<&str>| {
        let mut jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([1u8; 64])});
        for (name, value) in [("kid", kid), ("alg", alg), ("use", usage)] {
            if let Some(value) = value {
                jwk[name] = json!(value);
            }
        }
        jwk
    };
    let chosen = |keys: Vec<Value>, algorithm: Algorithm, kid: Option<&str>| {
        signing_key(&json!({ "keys": keys }).to_string(), algorithm, kid).map(|key| key.kid().map(str::to_owned))
    };
    let keys = || {
        vec![
            oct(Some("any"), None, None),
            oct(Some("encrypts"), None, Some("enc")),
            oct(Some("a"), Some("HS256"), None),
            oct(Some("b"), Some("HS256"), Some("sig")),
            serde_json::from_str(&key("ec_p256_private_jwk")).unwrap(),
        ]
    };
    let some = |kid: &str| Ok(Some(kid.to_owned()));
    assert_eq!(chosen(keys(), Algorithm::Hs256, None), some("a"));
    assert_eq!(chosen(keys(), Algorithm::Hs256, Some("b")), some("b"));
    assert_eq!(chosen(keys(), Algorithm::Hs384, None), some("any"));
    assert_eq!(chosen(keys(), Algorithm::Es256, None), Ok(None));
    assert_eq!(chosen(vec![oct(None, None, None)], Algorithm::Hs256, Some("mine")), some("mine"));
    let none = chosen(keys(), Algorithm::Es384, None).unwrap_err().to_string();
    assert!(none.contains("no key in the JWKS matches") && none.contains("`a` is for HS256"), "{none}");
}

#[test]
fn finds_the_usual_algorithm_of_a_key() {
    let secret = |more: Value| {
        let mut jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([0x5a; 64])});
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jwk.to_string()
    };
    let bare = |name: &str| {
        let mut jwk: Value = serde_json::from_str(&key(name)).unwrap();
        jwk.as_object_mut().unwrap().remove("alg");
        jwk.to_string()
    };
    for (text, expected) in [
        (secret(json!({})), Algorithm::Hs256),
        (secret(json!({"alg": "HS512"})), Algorithm::Hs512),
        (secret(json!({"alg": "nonsense"})), Algorithm::Hs256),
        (json!({"keys": [{"kty": "odd"}, {"kty": "oct", "alg": "HS384"}]}).to_string(), Algorithm::Hs384),
        (bare("rsa_private_jwk"), Algorithm::Rs256),
        (key("rsa_private_pem_pkcs8"), Algorithm::Rs256),
        (key("rsa_pem_pkcs1"), Algorithm::Rs256),
        (bare("ec_p256_private_jwk"), Algorithm::Es256),
        (key("ec_p256_pem_pkcs8"), Algorithm::Es256),
        (bare("ec_p384_private_jwk"), Algorithm::Es384),
        (key("ec_p384_pem_sec1"), Algorithm::Es384),
        (bare("ec_p521_private_jwk"), Algorithm::Es512),
        (key("ec_p521_pem_sec1"), Algorithm::Es512),
        (bare("ed25519_private_jwk"), Algorithm::EdDsa),
        (key("ed25519_pem_pkcs8"), Algorithm::EdDsa),
        ("neither".to_owned(), Algorithm::Hs256),
    ] {
        assert_eq!(usual_algorithm(&text), expected);
        if expected != Algorithm::Hs256 && !text.contains("keys") {
            assert!(signing_key(&text, expected, None).is_ok(), "{expected:?}");
        }
    }
}

#[test]
fn accepts_both_base64_alphabets_with_or_without_padding() {
    let secret = [0xfbu8; 64];
    let standard = base64::engine::general_purpose::STANDARD.encode(secret);
    let padded = base64::engine::general_purpose::URL_SAFE.encode(secret);
    let wrapped = format!("{} {}", &padded[..20], &padded[20..]);
    let token = |k: &str| {
        let jwk = json!({"kty": "oct", "k": k}).to_string();
        signing_key(&jwk, Algorithm::Hs256, None).unwrap().token(&json!({})).unwrap()
    };
    let expected = token(&URL_SAFE_NO_PAD.encode(secret));
    for text in [standard, padded, wrapped] {
        assert_eq!(token(&text), expected);
    }
}

#[test]
fn explains_invalid_keys_without_showing_them() {
    const CANARY: &str = "Q0FOQVJZLVNFQ1JFVA";
    let p256 = |member: &str, value: Value| {
        let mut jwk: Value = serde_json::from_str(&key("ec_p256_private_jwk")).unwrap();
        jwk[member] = value;
        jwk.to_string()
    };
    let oct = |k: &str| json!({"kty": "oct", "k": k}).to_string();
    let (hs256, hs512, rs256, es256, es384, eddsa) =
        (Algorithm::Hs256, Algorithm::Hs512, Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa);
    let cases: Vec<(String, Algorithm, &str)> = vec![
        (CANARY.into(), hs256, "not a JWK"),
        (format!("{{\"kty\":\"oct\",\"k\":\"{CANARY}\""), hs256, "not a JWK"),
        ("{\"keys\":5}".into(), hs256, "`keys` is not an array"),
        ("{\"keys\":[]}".into(), hs256, "contains no keys"),
        (format!("[\"{CANARY}\"]"), hs256, "key 1 of the JWKS is not an object"),
        (format!("{{\"k\":\"{CANARY}\"}}"), hs256, "`kty` is missing"),
        ("{\"kty\":\"oct\"}".into(), hs256, "`k` is missing"),
        ("{\"kty\":\"oct\",\"k\":17}".into(), hs256, "`k` is missing"),
        (oct(&format!("{CANARY}*")), hs256, "`k` is not valid Base64url"),
        (oct(CANARY), hs256, "too short: 104 bits; HS256 requires at least 256"),
        (oct(&URL_SAFE_NO_PAD.encode([1u8; 32])), hs512, "too short: 256 bits; HS512 requires at least 512"),
        (oct(CANARY), es256, "is symmetric (kty oct), but ES256 requires a key of type EC P-256"),
        (key("rsa_public_jwk"), rs256, "is a public key"),
        (key("rsa_public_pem"), rs256, "is a public key"),
        (key("ec_p256_public_jwk"), es256, "is a public key"),
        (key("ed25519_public_jwk"), eddsa, "is a public key"),
        (key("ec_p256_private_jwk"), es384, "is EC P-256, but ES384 requires a key of type EC P-384"),
        (key("ec_p256_pem_pkcs8"), es384, "is EC P-256, but ES384 requires a key of type EC P-384"),
        (key("ec_p256_pem_sec1"), rs256, "is EC P-256, but RS256 requires a key of type RSA"),
        (key("rsa_pem_pkcs1"), hs256, "is RSA, but HS256 requires a key of type symmetric"),
        (key("ed25519_pem_pkcs8"), rs256, "is Ed25519 (kty OKP), but RS256"),
        (key("rsa_pem_encrypted"), rs256, "is encrypted"),
        (key("rsa1024_private_jwk"), rs256, "too short: 1024 bits; RS256 requires at least 2048"),
        (key("rsa1024_pem_pkcs8"), rs256, "too short: 1024 bits"),
        (key("rsa1024_pem_pkcs1"), rs256, "too short: 1024 bits"),
        (p256("crv", json!("secp256k1")), es256, "`crv` must be"),
        (p256("kty", json!("FOO")), es256, "`kty` must be"),
        (p256("alg", json!("ES512")), es256, "is for ES512 (`alg`), but the selected algorithm is ES256"),
        (p256("use", json!("enc")), es256, "not for signatures"),
        (p256("y", Value::Null), es256, "`y` is missing"),
        (p256("y", json!("AQ")), es256, "do not form a key"),
        (p256("d", json!(URL_SAFE_NO_PAD.encode([1u8; 40]))), es256, "longer than the 32 bytes"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA".into(), rs256, "no matching BEGIN and END"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----".into(), rs256, "do not form a key"),
    ];
    for (text, algorithm, expected) in cases {
        let error = signing_key(&text, algorithm, None).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} lacks {expected}");
        assert!(!error.contains(CANARY), "{error}");
    }
    assert!("none".parse::<Algorithm>().unwrap_err().to_string().contains("unknown algorithm `none`"));
}
