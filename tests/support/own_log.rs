//! The log of a test that runs providers in-process. The test is run again in a process of its own, so that no other test writes
//! to its log.

use std::io::Write;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// Set in the process of one test.
const OWN_PROCESS: &str = "TEST_IN_ITS_OWN_PROCESS";

/// Whether this is the process of the test alone. If it is not, runs the test in such a process, which must succeed.
pub fn is_own_process(test: &str) -> bool {
    if std::env::var_os(OWN_PROCESS).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env(OWN_PROCESS, "1").output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let has_run = output.status.success() && printed.contains("1 passed");
    assert!(has_run, "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    false
}

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
