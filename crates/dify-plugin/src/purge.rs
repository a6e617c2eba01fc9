//! Returns the memory that a burst of sessions used to the operating system, because a plugin is idle most of the time.
//!
//! The allocator collects blocks that were freed by another thread only when the owning thread allocates again, which
//! never happens in an idle process. This module contains the only `unsafe` call of the crate. The allocator itself is
//! chosen in `main.rs`.

use std::time::Duration;

use tokio::sync::Notify;

/// Interval between two collections.
const PURGE_INTERVAL: Duration = Duration::from_secs(10);

/// Delays before the collections after a large input. By then the input was parsed and its results were sent.
const EARLY_PURGE_DELAYS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Wakes the collection loops early.
static LARGE_INPUT: Notify = Notify::const_new();

/// How long a collection task occupies its worker thread, so that the next task runs on another worker.
const WORKER_OCCUPATION: Duration = Duration::from_millis(1);

/// Schedules early collections after a large input, most of which will soon be freed.
pub fn purge_soon() {
    LARGE_INPUT.notify_waiters();
}

/// Periodically makes every runtime worker return unused memory to the operating system.
pub async fn purge_loop(workers: usize) {
    collect_periodically(|| {
        for _ in 0..workers {
            tokio::spawn(async {
                collect();
                std::thread::sleep(WORKER_OCCUPATION);
            });
        }
    })
    .await;
}

/// Periodically returns the unused memory of the current thread.
pub async fn purge_this_thread() {
    collect_periodically(collect).await;
}

/// Runs `collect` at each interval, and soon after a large input.
async fn collect_periodically(collect: impl Fn()) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PURGE_INTERVAL) => collect(),
            () = LARGE_INPUT.notified() => for delay in EARLY_PURGE_DELAYS {
                tokio::time::sleep(delay).await;
                collect();
            }
        }
    }
}

/// Frees this thread's blocks that other threads released, and returns unused pages to the operating system.
#[allow(unsafe_code)]
fn collect() {
    // SAFETY: the function takes a flag and only changes the allocator's data of the calling thread. Any thread may
    // call it at any time (mimalloc, "Extended functions").
    unsafe { libmimalloc_sys::mi_collect(true) }
}
