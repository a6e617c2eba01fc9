//! Waiting in tests: for what must come, however slow the machine is. Nothing here measures; what takes longer than
//! [`TIMEOUT`] has stalled.
#![allow(dead_code)]

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

/// How long a test waits for something before it fails.
pub const TIMEOUT: Duration = Duration::from_secs(180);

/// Waits until something is so.
pub async fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < TIMEOUT, "it does not happen");
        sleep(Duration::from_millis(2)).await;
    }
}

/// What a future brings, which must not stall.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, future).await.expect("it does not come")
}
