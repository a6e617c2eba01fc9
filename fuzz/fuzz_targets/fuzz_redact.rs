//! URLs of a request and a message of an upstream: whatever both are, no secret of the request is left in the words, hiding
//! twice is hiding once, and a wait that the words ask for is a time.
#![no_main]

use dify_plugin::error::InvokeError;
use dify_plugin::upstream::{Upstream, retry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let cut = input.iter().position(|byte| *byte == 0).unwrap_or(input.len() / 2);
    let (request, words) = input.split_at(cut);
    let (key, request) = request.split_at(request.len().min(24));

    let upstream = Upstream::new();
    let redactor = upstream.redactor();
    redactor.register_urls(request);
    // Certainly a secret: letters and digits, as long as a key.
    let key: String = key.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|byte| char::from(*byte)).collect();
    redactor.register_urls(format!("\"https://h/f?key={key}\""));

    let words = String::from_utf8_lossy(words);
    for text in [words.to_string(), format!("{words} {key} {words}"), format!("{words}{key}")] {
        let mut hidden = text.clone();
        redactor.redact(&mut hidden);
        assert!(key.len() < 8 || !hidden.contains(&key), "{key} in {hidden}");
        let mut again = hidden.clone();
        redactor.redact(&mut again);
        assert!(again.len() <= hidden.len(), "{hidden} became {again}");
        let error = retry::with_stated_wait(InvokeError::rate_limit(text).retryable());
        assert!(retry::RetryPolicy::default().wait(&error, 0, 1.0).is_none_or(|wait| wait.as_secs() <= 21));
    }
});
