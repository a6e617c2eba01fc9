//! A child process together with what it started in its turn: a shell script is no reason that a plugin goes on alone.

use std::io;

use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};

/// A child that leads a process group. The group is killed when this is dropped.
pub(super) struct Group(pub Child);

impl Group {
    /// Completes when the child has ended, whatever it has started. The child is not waited for: its number stays that of the group.
    /// Absent if it was waited for before.
    pub(super) fn ended(&self) -> io::Result<Option<BoxFuture<'static, ()>>> {
        let Some(child) = self.leader() else { return Ok(None) };
        // Before the first look, so that no end is missed.
        let mut children = signal(SignalKind::child())?;
        Ok(Some(Box::pin(async move {
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
            // An error says that it is no longer there.
            while waitid(WaitId::Pid(child), look).is_ok_and(|status| status.is_none()) {
                if children.recv().await.is_none() {
                    return std::future::pending().await;
                }
            }
        })))
    }

    /// The number of the child, which is there until the child was waited for, and belongs to this group until then.
    fn leader(&self) -> Option<Pid> {
        self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader() {
            // An error says that none of the group is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
