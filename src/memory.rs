//! Memory that a burst of sessions took goes back to the system: a plugin idles most of its life.
//!
//! The allocator reuses what one thread freed for another only when the owner happens to look; in an idle process it never
//! does. The one `unsafe` call of this crate is here. Not here: which allocator is used, which is `main.rs`'s.

use std::time::Duration;

use tokio::sync::Notify;

/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(10);

/// Wait after much has come: by then it has been read, and what was read of it is kept elsewhere.
const SOON: Duration = Duration::from_secs(1);

/// How long a look keeps its thread, so that the next one gets another thread.
const HOLD: Duration = Duration::from_millis(1);

/// Has each of the runtime's `workers` give back what it no longer uses, again and again.
pub async fn give_back(workers: usize) {
    loop {
        tokio::time::sleep(PAUSE).await;
        for _ in 0..workers {
            tokio::spawn(async {
                collect();
                std::thread::sleep(HOLD);
            });
        }
    }
}

/// The same for a thread of its own, and soon after it was told that much has come.
pub async fn give_back_here(much: &Notify) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = much.notified() => tokio::time::sleep(SOON).await,
        }
        collect();
    }
}

/// Frees what other threads gave back to this one, and returns unused pages to the system.
#[allow(unsafe_code)]
fn collect() {
    // SAFETY: takes a flag, reads and changes the allocator's own bookkeeping of the calling thread only; any thread may
    // call it at any time (mimalloc, "Extended functions").
    unsafe { libmimalloc_sys::mi_collect(true) }
}
