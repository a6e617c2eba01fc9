//! Follows the plugin: has its files read again when one changes, and reports a command that ends.

use std::sync::Arc;

use serde_json::json;

use super::state::{Notice, Workbench};
use crate::cli::watch;

/// Runs until it is dropped.
pub(super) async fn watch(workbench: Arc<Workbench>) {
    let mut declarations = watch::Declarations::new(&workbench.directory);
    let mut files = || {
        let mut found = declarations.files();
        if !workbench.command.is_empty() {
            watch::sources_of_command(&workbench.directory, &mut found);
        }
        found
    };
    let (mut seen, mut failure) = (files(), None);
    loop {
        tokio::time::sleep(watch::INTERVAL).await;
        let now_failed = workbench.target.failure();
        if now_failed != failure {
            failure = now_failed;
            workbench.notify(Notice { event: "plugin", data: json!({ "revision": workbench.read().revision }) });
        }
        let now = files();
        if now != seen {
            seen = now;
            let workbench = workbench.clone();
            // A failure to join is a panic, which was logged; the next change is read again.
            let _ = tokio::task::spawn_blocking(move || workbench.reread()).await;
        }
    }
}
