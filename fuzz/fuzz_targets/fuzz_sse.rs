//! The event decoder: any split of the bytes gives the same events and refuses the same streams.
#![no_main]

use dify_plugin::codec::events::{Event, EventDecoder, TooLong};
use dify_plugin_runtime_fuzz::pieces;
use libfuzzer_sys::fuzz_target;

fn events<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Result<(), TooLong>) {
    let mut decoder = EventDecoder::new(limit);
    let mut events = Vec::new();
    for piece in pieces {
        if let Err(error) = decoder.push(piece, &mut events) {
            return (events, Err(error));
        }
    }
    decoder.finish(&mut events);
    (events, Ok(()))
}

// First byte: the limit; second: where the bytes are cut; the rest: what an upstream sends.
fuzz_target!(|data: &[u8]| {
    let [limit, seed, bytes @ ..] = data else { return };
    let limit = usize::from(*limit) * 40;
    let whole = events(limit, [bytes]);
    assert_eq!(whole, events(limit, pieces(*seed, bytes)), "a split changes the events");
    assert!(whole.0.iter().all(|event| event.data.len() <= 3 * limit), "an event beyond the limit");
});
