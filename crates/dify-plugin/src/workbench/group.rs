//! A child process together with what it started in its turn: a shell script is no reason that a plugin goes on alone.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// A child that leads a process group. The group is killed when this is dropped.
pub(super) struct Group(pub Child);

impl Drop for Group {
    fn drop(&mut self) {
        // The number is there until the child was waited for, and belongs to this group until then.
        let leader = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(leader) = leader {
            // An error says that none of the group is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
