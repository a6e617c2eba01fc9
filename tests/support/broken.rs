//! Credentials that cannot be used, with the secret that their errors must not repeat.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::canaries::{
    EXTRA_HEADER, GATEWAY_KEY, GOOGLE_KEY, Kind, PROXY_PASSWORD, XINFERENCE_KEY, body_of, key_file, keys, kinds,
    subject,
};

/// Name, invalid field, its value, and the secret that must not appear in the error.
pub type Broken = (Kind, &'static str, Value, String);

/// Credentials that cannot be used: cut, of another type, in the wrong form.
pub fn broken() -> Vec<Broken> {
    let keys = keys();
    let pem = keys["rsa_private_pem_pkcs8"].as_str().unwrap().to_owned();
    let body = body_of(&pem);
    let file = key_file();
    let jwk = |name: &str| keys[name].to_string();
    let find = |name: &str| {
        let (_directory, subject) = subject();
        kinds(&subject).into_iter().find(|kind| kind.name == name).unwrap()
    };
    let cut = |text: &str| text[..text.len() * 2 / 3].to_owned();
    let with_key = |key: &str| {
        let mut file: Value = serde_json::from_str(&file).unwrap();
        file["private_key"] = json!(key);
        file.to_string()
    };
    let mut all: Vec<Broken> = Vec::new();
    let damaged_pem = format!("{}\n{}", &pem[..400], &pem[470..]);
    for value in [
        json!(cut(&file)),
        json!(STANDARD.encode(cut(&file))),
        json!(cut(&STANDARD.encode(&file))),
        json!(pem),
        json!(body),
        json!([file]),
        json!({"private_key": pem}),
        json!(file.replace("service_account", "other")),
        json!(with_key(&damaged_pem)),
        json!(with_key(&body)),
        json!(with_key(&cut(&pem))),
        json!(file.replace("{url}", "https://evil.example")),
    ] {
        all.push((find("service account"), "google_service_account_json", value, body.clone()));
    }
    let mut wrong_curve = keys["ec_p256_private_jwk"].clone();
    wrong_curve["crv"] = json!("P-384");
    let d = |name: &str| keys[name]["d"].as_str().unwrap().to_owned();
    for (value, secret) in [
        (json!(cut(&jwk("ec_p256_private_jwk"))), d("ec_p256_private_jwk")),
        (json!(wrong_curve.to_string()), d("ec_p256_private_jwk")),
        (json!(jwk("ed25519_private_jwk")), d("ed25519_private_jwk")),
        (json!(json!({"keys": d("ed25519_private_jwk")}).to_string()), d("ed25519_private_jwk")),
        (json!(json!([d("ed25519_private_jwk")]).to_string()), d("ed25519_private_jwk")),
        (json!(d("ed25519_private_jwk")), d("ed25519_private_jwk")),
        (json!([d("ed25519_private_jwk")]), d("ed25519_private_jwk")),
        (json!(pem), body.clone()),
        (json!(damaged_pem), body.clone()),
        (json!(cut(&pem)), body.clone()),
    ] {
        all.push((find("private key as JWK"), "jwt_jwks", value, secret));
    }
    let headers = json!({"X-Team": EXTRA_HEADER}).to_string();
    for (name, field) in [
        ("Gemini API key and extra headers", "extra_headers"),
        ("gateway key as bearer", "extra_headers"),
        ("Xinference key", "extra_headers"),
    ] {
        for value in [
            json!(cut(&headers) + EXTRA_HEADER),
            json!(format!("[\"{EXTRA_HEADER}\"]")),
            json!(format!("\"{EXTRA_HEADER}\"")),
            json!(json!({"X-Team": [EXTRA_HEADER]}).to_string()),
            json!(json!({"X-Team": format!("{EXTRA_HEADER}\r\nX-Other: 1")}).to_string()),
        ] {
            all.push((find(name), field, value, EXTRA_HEADER.to_owned()));
        }
    }
    for (name, field, key) in [
        ("Gemini API key and extra headers", "google_api_key", GOOGLE_KEY),
        ("gateway key as bearer", "api_key", GATEWAY_KEY),
        ("gateway key as header", "api_key", GATEWAY_KEY),
        ("Xinference key", "api_key", XINFERENCE_KEY),
    ] {
        all.push((find(name), field, json!(format!("{key}\n{key}")), key.to_owned()));
    }
    let proxy = |form: &str| json!(form.replace("{}", &format!("user:{PROXY_PASSWORD}")));
    for form in [
        "{}@host:1",
        "ftp://{}@host",
        "http://{}@ho st",
        "http://{}@",
        "http://{}@127.0.0.1:9",
        "socks5://{}@127.0.0.1:9",
    ] {
        for name in ["Gemini API key and extra headers", "gateway key as bearer", "Xinference key"] {
            all.push((find(name), "proxy_url", proxy(form), PROXY_PASSWORD.to_owned()));
        }
    }
    for (name, field) in [
        ("Gemini API key and extra headers", "google_base_url"),
        ("gateway key as bearer", "endpoint_url"),
        ("Xinference key", "server_url"),
    ] {
        for form in ["http://{}@127.0.0.1:9", "http://{}@ho st", "ftp://{}@host"] {
            all.push((find(name), field, proxy(form), PROXY_PASSWORD.to_owned()));
        }
    }
    all
}
