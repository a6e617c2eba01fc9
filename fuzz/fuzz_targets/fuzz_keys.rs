//! Text that an administrator pastes: JWKs and PEM keys, Google Cloud key files, URLs.
#![no_main]

use dify_plugin::upstream::pem;
use dify_plugin::config::machine::MachineAccess;
use dify_plugin_google_auth::GoogleCredential;
use dify_plugin_runtime::dialect::openai::BaseUrl;
use dify_plugin_runtime::providers::aigateway::jwk::signing_key;
use dify_plugin_runtime::providers::aigateway::jws::Algorithm;
use libfuzzer_sys::fuzz_target;

// First byte: the algorithm, or what else the text is; the rest: the text.
fuzz_target!(|data: &[u8]| {
    let [kind, bytes @ ..] = data else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Algorithm::ALL.get(usize::from(kind % 16)) {
        Some(algorithm) => {
            if let Ok(key) = signing_key(text, *algorithm, (kind & 16 != 0).then_some("k")) {
                let _ = key.token(&serde_json::json!({"iss": "i"}));
            }
        }
        None => {
            let _ = GoogleCredential::from_key_file(text, "key", &MachineAccess::default());
            GoogleCredential::project_of_key_file(text);
            if let Ok(base) = BaseUrl::parse(text, "base_url") {
                assert!(base.join(&["v1", "a/b?c#d"]).as_str().starts_with("http"));
                assert!(base.join_path("chat/completions").as_str().starts_with("http"));
            }
            for block in pem::blocks(text) {
                block.der();
                let again = pem::blocks(&block.text());
                assert_eq!(again.len(), 1, "our own block is one block");
            }
        }
    }
});
