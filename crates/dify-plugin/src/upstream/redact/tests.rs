//! Which secrets are registered, and what is redacted.

use super::*;
use crate::upstream::auth::{insert_public, insert_secret};

fn redactor() -> Redactor {
    let mut sent = HeaderMap::new();
    insert_secret(&mut sent, "authorization", "Bearer token-of-mine").unwrap();
    insert_secret(&mut sent, "x-key", "key of/mine\"+1").unwrap();
    insert_secret(&mut sent, "x-team", "a").unwrap();
    insert_public(&mut sent, "x-open", "anyone").unwrap();
    let network = NetworkSettings::new(Some("http://user:pass%2Fword@proxy".into()), None);
    let redactor = Redactor::default();
    redactor.register_attempt(&"http://host/?b=2&apikey=query-key".parse().unwrap(), &sent, &network);
    redactor
}

#[test]
fn redacts_the_secrets_that_were_sent() {
    let error = InvokeError::bad_request("key of/mine\"+1 and token-of-mine are wrong for anyone, a")
        .with_hint("Not token-of-mine.")
        .with_code("query-key");
    let error = redactor().redact_error(error);
    assert_eq!(error.message, "*** and *** are wrong for anyone, a");
    assert_eq!((error.hint.as_deref(), error.code.as_deref()), (Some("Not ***."), Some("***")));
}

#[test]
fn finds_every_encoding_and_nothing_else() {
    for (text, shown) in [
        ("ä key%20of%2fmine%22%2B1!".to_owned(), "ä ***!"),
        ("key+of/mine%22+1".to_owned(), "***"),
        (r#"{"a":"key of/mine\"+1"}"#.to_owned(), r#"{"a":"***"}"#),
        (r#"\"key of\\/mine\\\"+1\""#.to_owned(), r#"\"***\""#),
        ("bad token-of-m…".to_owned(), "bad ***…"),
        ("bad token-of-m".to_owned(), "bad ***"),
        ("bad token%2Dof%2".to_owned(), "bad ***%2"),
        ("bad token-of-m... or token-of-m***".to_owned(), "bad ***... or ******"),
        ("'token-of' (shortened), token-of, token-o, pass/wor-".to_owned(), "'***' (shortened), ***, token-o, ***-"),
        (r"token\u002dof\u002Dmine".to_owned(), "***"),
        ("%token-of-mine \\token-of-mine %2token-of-mine".to_owned(), "%*** \\*** %2***"),
        ("token-oftoken-of-mine token-of-mintoken-of-mine".to_owned(), "*** ***"),
        ("pass/word pass%2Fword".to_owned(), "*** ***"),
        ("tok\u{20ac}en-of-mine % %4".to_owned(), "tok\u{20ac}en-of-mine % %4"),
    ] {
        let mut redacted = text.clone();
        redactor().redact(&mut redacted);
        assert_eq!(redacted, shown, "{text}");
    }
    for before in ["", "u", "us", "user:"] {
        let mut text = STANDARD.encode(format!("{before}token-of-mine!"));
        redactor().redact(&mut text);
        assert!(text.contains(REDACTED) && text.len() < 16, "{text}");
    }
}

#[test]
fn redacts_the_query_strings_of_urls() {
    let redactor = Redactor::default();
    redactor.register_urls(
        r#"{"a": "see https://h/f?sign=0123456789&t=1 there", "b": ["http://h/g?x=a\u0026key=abcdefghi"], "c": "://"}"#,
    );
    let mut text = "no https://h/f?sign=0123456789&t=1, no x=a&key=abcdefghi, no abcdefghi, no 0123456789".to_owned();
    redactor.redact(&mut text);
    assert_eq!(text, "no https://h/f?***, no ***, no ***, no ***");
}

#[test]
fn keeps_the_latest_secrets_only() {
    let redactor = Redactor::default();
    for number in 0..1000 {
        redactor.register("key-of-every-call");
        redactor.register(&format!("{number}-token-number"));
        redactor.register_urls(format!("\"https://h/f?sign={number}-signature\""));
    }
    assert_eq!(redactor.0.lock().unwrap().sent.len(), MAX_SECRETS);
    let mut text = "key-of-every-call 999-token-number 0-signature 0-token-number".to_owned();
    redactor.redact(&mut text);
    assert_eq!(text, "*** *** *** 0-token-number");
}

#[test]
fn does_not_redact_the_words_before_a_secret() {
    let mut sent = HeaderMap::new();
    insert_secret(&mut sent, "authorization", "Bearer abcdefghijk").unwrap();
    insert_secret(&mut sent, "proxy-authorization", "hmac username=\"me\", signature=\"c2lnbmF0dXJl\"").unwrap();
    insert_secret(&mut sent, "x-key", "two words of a key").unwrap();
    let redactor = Redactor::default();
    redactor.register_attempt(
        &"http://h/?api-version=2024-02-01&key=0a1b2c3d4e".parse().unwrap(),
        &sent,
        &Default::default(),
    );
    for (text, shown) in [
        ("Bearer a is wrong: Bearer abcdefghijk", "Bearer a is wrong: ***"),
        ("hmac username=\"you\" is unknown", "hmac username=\"you\" is unknown"),
        ("hmac username=\"me\", signature=\"c2lnbmF0dXJl\"", "***"),
        ("two words of", "***"),
        ("api-version is unknown, not 2024-02-01", "api-version is unknown, not ***"),
        ("/?api-version=2024-02-01&key=0a1b2c3d", "/?***"),
        ("/?api-version=2024-02-01&key=0a1b2c3d, cut", "/?api-version=***&key=***, cut"),
    ] {
        let mut redacted = text.to_owned();
        redactor.redact(&mut redacted);
        assert_eq!(redacted, shown, "{text}");
    }
}

#[test]
fn finds_urls_in_any_json_text() {
    for json in [
        r#"{"url": "https://h/f?sign=0123456789"}"#,
        r#"{"text": "see https://h/f?sign=0123456789 there"}"#,
        r#"{"text": "see\nhttps://h/f?sign=0123456789\nthere"}"#,
        r#"{"text": "<a href=\"https://h/f?sign=0123456789\">"}"#,
        r#"{"text": "<a href=\\\"https://h/f?sign=0123456789\\\">"}"#,
        r#"{"text": "![a](https://h/a)![b](https://h/f?sign=0123456789)"}"#,
        r#"{"text": "https://h/a?x=abcdefghij,https://h/f?sign=0123456789"}"#,
        r#"{"text": "https://h/a?to=https://h/f?sign=0123456789"}"#,
        r#"{"text": "https:\/\/h\/f?sign=0123456789"}"#,
        r#"{"text": "https://h/f?sign=0123456789\ud83d"}"#,
        r#"{"text": "gs://h/f?sign=0123456789#part"}"#,
        r#"{"text": "世界https://h/f?sign=0123456789世界"}"#,
        "https://h/f?a=\u{1}&sign=0123456789",
        "https://h/f?sign=0123456789",
    ] {
        let redactor = Redactor::default();
        redactor.register_urls(json);
        let mut text = "bad signature: 0123456789".to_owned();
        redactor.redact(&mut text);
        assert_eq!(text, "bad signature: ***", "{json}");
    }
}

#[test]
fn redacts_every_query_string_beyond_the_limit() {
    let redactor = Redactor::default();
    let links: String = (0..MAX_QUERY_BYTES / 20).map(|number| format!("https://h/f?sign={number:020} ")).collect();
    redactor.register_urls(&links);
    let mut text = "no https://h/f?sign=00000000000000052000 and no http://g/?a=1".to_owned();
    redactor.redact(&mut text);
    assert_eq!(text, "no https://h/f?*** and no http://g/?***");
    assert!(redactor.0.lock().unwrap().length <= MAX_QUERY_BYTES);
}

#[test]
fn truncates_very_long_texts_and_redacts_truncated_secrets() {
    let redactor = redactor();
    for before in MAX_TEXT_BYTES - 12..MAX_TEXT_BYTES + 2 {
        let mut text = format!("{}token-of-mine{}", "ä".repeat(before / 2), "x".repeat(100_000));
        redactor.redact(&mut text);
        assert!(text.len() < MAX_TEXT_BYTES + 10 && text.ends_with('…') && !text.contains("token-of"), "{before}");
    }
}

#[cfg(debug_assertions)]
mod linear {
    use super::*;
    use crate::steps::assert_linear;

    #[test]
    fn registers_urls_in_linear_time() {
        type Make = fn(usize) -> String;
        let wholes: [(&str, Make); 9] = [
            ("links in one literal", |size| format!("\"{}\"", "see http://h/p?id=12345678 and ".repeat(size))),
            ("different links", |size| (0..size).map(|number| format!("http://h/p?id={number:08} ")).collect()),
            ("links without blanks", |size| "http://h/p?id=12345678,".repeat(size)),
            ("links between escaped breaks", |size| "http://h/p?id=12345678\\n".repeat(size)),
            ("links between escaped quotes", |size| "\\\"http://h/p?id=12345678\\\"".repeat(size)),
            ("only scheme separators", |size| "://".repeat(size)),
            ("scheme separators with question marks", |size| "://?".repeat(size)),
            ("escaped slashes", |size| "http:\\/\\/h?a=12345678 ".repeat(size)),
            ("one long query", |size| format!("http://h/?{}", "a=12345678&".repeat(size))),
        ];
        for (name, make) in wholes {
            assert_linear(name, make, |json| Redactor::default().register_urls(json));
        }
    }

    #[test]
    fn redacts_in_linear_time() {
        type Make = fn(usize) -> (String, String);
        let texts: [(&str, Make); 8] = [
            ("a text of the secret's character", |size| ("A".repeat(4000) + "B", "A".repeat(size))),
            ("a secret of the text's character", |size| ("A".repeat(size) + "B", "A".repeat(4000))),
            ("a URL of one character", |size| (format!("http://h/{0}?{0}B", "A".repeat(size)), "A".repeat(2 * size))),
            ("periods", |size| ("abcabcabd".repeat(size), "abcabcabc".repeat(size))),
            ("beginnings of the secret", |size| ("0123456789abcdef".to_owned(), "0123456789".repeat(size))),
            ("percent signs", |size| ("%41%".repeat(size), "%41".repeat(size))),
            ("backslashes", |size| ("a\\bcdefgh".to_owned(), "\\".repeat(size))),
            ("different characters", |size| {
                ("0123456789".to_owned(), (0..size).map(|n| char::from(b' ' + (n * n % 90) as u8)).collect())
            }),
        ];
        for (name, make) in texts {
            assert_linear(name, make, |(secret, mut text)| {
                let redactor = Redactor::default();
                redactor.register(&secret);
                redactor.register_urls(&secret);
                redactor.redact(&mut text);
            });
        }
    }

    #[test]
    fn searches_secrets_with_a_common_prefix_in_linear_time() {
        let links =
            |size| (0..size).map(|number| format!("http://h/?{}{number:08} ", "A".repeat(40))).collect::<String>();
        assert_linear("links", links, |json| {
            let redactor = Redactor::default();
            redactor.register_urls(json);
            redactor.redact(&mut "A".repeat(1000));
        });
    }
}
