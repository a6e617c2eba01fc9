//! The log of the test process, for tests that run providers in-process.

use std::io::Write;
use std::sync::{Mutex, OnceLock};

/// Returns everything that this process logs from the first call on, at all levels.
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
        // Set on another thread, because the cell must be initialized before the first event.
        std::thread::spawn(move || tracing::subscriber::set_global_default(logger));
        Mutex::default()
    })
}
