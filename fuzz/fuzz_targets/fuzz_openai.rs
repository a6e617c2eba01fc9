//! The mapper of OpenAI-compatible streams, thoughts and leaked calls included: any split gives the same deltas; an answer
//! that ends well has one usage and one finish reason.
#![no_main]

use dify_plugin_runtime::dialect::openai::{ChatMapper, MapperOptions};
use dify_plugin_runtime::dialect::think::ThinkPolicy;
use dify_plugin_runtime_fuzz::{Outcome, chat, pieces, pricing, tools};
use libfuzzer_sys::fuzz_target;

fn run(flags: u8, pieces: &[&[u8]]) -> Outcome {
    let policies = [ThinkPolicy::Show, ThinkPolicy::ShowUnopened, ThinkPolicy::Hide, ThinkPolicy::Opened];
    let options = MapperOptions {
        think: policies[usize::from(flags & 3) % policies.len()],
        accept_calls: flags & 4 == 0,
        tools: if flags & 8 == 0 { tools() } else { Vec::new() },
        leaks_calls: flags & 32 == 0,
        pricing: (flags & 16 == 0).then(pricing),
        prompt_estimate: 1000,
        ..MapperOptions::default()
    };
    chat(ChatMapper::new(options), pieces)
}

// First byte: options; second: where the bytes are cut; the rest: what an upstream sends.
fuzz_target!(|data: &[u8]| {
    let [flags, seed, bytes @ ..] = data else { return };
    assert_eq!(run(*flags, &[bytes]), run(*flags, &pieces(*seed, bytes)), "a split changes the answer");
});
