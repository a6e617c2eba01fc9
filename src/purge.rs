//! Memory that a burst of sessions took goes back to the system: a plugin idles most of its life.
//!
//! The allocator reuses what one thread freed for another only when the owner happens to look; in an idle process it never
//! does. The one `unsafe` call of this crate is here. Not here: which allocator is used, which is `main.rs`'s.

use std::time::Duration;

use tokio::sync::Notify;

/// Time between two looks.
const PURGE_INTERVAL: Duration = Duration::from_secs(10);

/// Waits after much has come: by then it has been read, and what was made of it has been sent.
const EARLY_PURGE_DELAYS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Wakes those who give back.
static MUCH_CAME: Notify = Notify::const_new();

/// How long a look keeps its thread, so that the next one gets another thread.
const WORKER_OCCUPATION: Duration = Duration::from_millis(1);

/// Tells that much has come, of which little will be kept.
pub fn much_came() {
    MUCH_CAME.notify_waiters();
}

/// Has each of the runtime's `workers` give back what it no longer uses, again and again.
pub async fn purge_loop(workers: usize) {
    looks(|| {
        for _ in 0..workers {
            tokio::spawn(async {
                collect();
                std::thread::sleep(WORKER_OCCUPATION);
            });
        }
    })
    .await;
}

/// The same for a thread of its own.
pub async fn purge_this_thread() {
    looks(collect).await;
}

/// Looks again and again, and soon after much has come.
async fn looks(look: impl Fn()) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PURGE_INTERVAL) => look(),
            () = MUCH_CAME.notified() => for wait in EARLY_PURGE_DELAYS {
                tokio::time::sleep(wait).await;
                look();
            }
        }
    }
}

/// Frees what other threads gave back to this one, and returns unused pages to the system.
#[allow(unsafe_code)]
fn collect() {
    // SAFETY: takes a flag, reads and changes the allocator's own bookkeeping of the calling thread only; any thread may
    // call it at any time (mimalloc, "Extended functions").
    unsafe { libmimalloc_sys::mi_collect(true) }
}
