//! Waits for events in tests, however slow the machine is. Nothing is measured; only an event that takes longer than
//! [`TIMEOUT`] counts as stalled.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

/// Maximum time that a test waits for an event.
pub const TIMEOUT: Duration = Duration::from_secs(180);

/// Waits until a condition is true.
pub async fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < TIMEOUT, "timed out");
        sleep(Duration::from_millis(2)).await;
    }
}

/// Awaits a future that must not stall.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, future).await.expect("timed out")
}
