//! What this process logs, for tests that run the providers within themselves.

use std::io::Write;
use std::sync::{Mutex, OnceLock};

/// Everything that this process logs from the first call on, down to the finest level.
pub fn log() -> &'static Mutex<Vec<u8>> {
    static LOG: OnceLock<Mutex<Vec<u8>>> = OnceLock::new();
    LOG.get_or_init(|| {
        struct Sink;
        impl Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                log().lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let level = tracing_subscriber::filter::LevelFilter::TRACE;
        let logger = tracing_subscriber::fmt().with_max_level(level).with_writer(|| Sink).finish();
        // Set outside of the cell: the first message must find it filled.
        std::thread::spawn(move || tracing::subscriber::set_global_default(logger));
        Mutex::default()
    })
}
