//! The gateway's mapper around the dialect's, which detects blocks by the content moderation.
#![no_main]

use dify_plugin_runtime::dialect::openai::{ChatMapper, MapperOptions};
use dify_plugin_runtime::providers::aigateway::ModeratedStream;
use dify_plugin_runtime_fuzz::{Outcome, chat, pieces, pricing, tools};
use libfuzzer_sys::fuzz_target;

fn run(flags: u8, pieces: &[&[u8]]) -> Outcome {
    let tools = if flags & 1 == 0 { tools() } else { Vec::new() };
    let inner = ChatMapper::new(MapperOptions { accept_calls: true, tools, ..MapperOptions::default() });
    chat(ModeratedStream::new(inner, (flags & 2 == 0).then(pricing)), pieces)
}

// First byte: options; second: where the bytes are cut; the rest: what the gateway sends.
fuzz_target!(|data: &[u8]| {
    let [flags, seed, bytes @ ..] = data else { return };
    assert_eq!(run(*flags, &[bytes]), run(*flags, &pieces(*seed, bytes)), "a split changes the answer");
});
