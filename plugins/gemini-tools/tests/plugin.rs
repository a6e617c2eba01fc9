//! Calls the plugin as Dify does, with a mock of Google that checks every request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../../../tests/support/gemini_rules.rs"]
#[allow(dead_code)]
mod gemini_rules;
#[path = "../../../tests/support/google.rs"]
#[allow(dead_code)]
mod google;
#[path = "../../../tests/support/google_api.rs"]
#[allow(dead_code)]
mod google_api;

#[path = "plugin/answers.rs"]
mod answers;
#[path = "plugin/failures.rs"]
mod failures;
#[path = "plugin/images.rs"]
mod images;
#[path = "plugin/media.rs"]
mod media;
#[path = "plugin/setup.rs"]
mod setup;
#[path = "plugin/sign_in.rs"]
mod sign_in;
#[path = "plugin/speech.rs"]
mod speech;
#[path = "plugin/terminal.rs"]
mod terminal;
