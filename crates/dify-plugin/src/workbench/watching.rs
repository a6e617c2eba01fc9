//! Follows the files of the plugin, and has them read again when one changes.

use std::sync::Arc;

use super::state::Workbench;
use crate::cli::watch;

/// Runs until it is dropped.
pub(super) async fn watch(workbench: Arc<Workbench>) {
    let mut declarations = watch::Declarations::new(&workbench.directory);
    let mut seen = declarations.files();
    loop {
        tokio::time::sleep(watch::INTERVAL).await;
        let now = declarations.files();
        if now != seen {
            seen = now;
            let workbench = workbench.clone();
            // A failure to join is a panic, which was logged; the next change is read again.
            let _ = tokio::task::spawn_blocking(move || workbench.reread()).await;
        }
    }
}
