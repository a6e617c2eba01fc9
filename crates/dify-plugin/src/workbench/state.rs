//! What the workbench knows while it runs: the plugin as its files are now, and who wants to hear of changes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::broadcast;

use super::credentials::Stored;
use super::sessions::Sessions;
use super::target::Target;
use crate::declare::{Declarations, Problems};
use crate::process::program::Program;

/// Maximum number of notices that a slow page may be behind; it then reads everything again.
const MAX_NOTICES: usize = 256;

/// A notice for the page.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    /// Its type.
    pub event: &'static str,
    /// Its data.
    pub data: Value,
}

/// The state of a run.
pub(super) struct Workbench {
    pub(super) program: Program,
    pub(super) directory: PathBuf,
    pub(super) command: Vec<String>,
    pub(super) credentials: Stored,
    pub(super) sessions: Sessions,
    pub(super) target: Target,
    read: Mutex<Arc<Read>>,
    notices: broadcast::Sender<Notice>,
}

/// The plugin as its files were when they were read last.
pub(super) struct Read {
    /// Counts the changes.
    pub revision: u64,
    /// Its declarations, unless Dify would reject them.
    pub declarations: Option<Declarations>,
    /// What is wrong with them.
    pub problems: Problems,
}

impl Workbench {
    /// Reads the plugin for the first time.
    pub(super) fn new(program: Program, directory: PathBuf, command: Vec<String>) -> Self {
        let (declarations, problems) = inspect(&program, &directory, &command);
        let read = Mutex::new(Arc::new(Read { revision: 1, declarations, problems }));
        let notices = broadcast::channel(MAX_NOTICES).0;
        Self {
            program,
            directory,
            command,
            credentials: Stored::default(),
            sessions: Sessions::default(),
            target: Target::default(),
            read,
            notices,
        }
    }

    /// The plugin as it was read last.
    pub(super) fn read(&self) -> Arc<Read> {
        self.locked().clone()
    }

    /// Reads the plugin again, after a change of its files.
    pub(super) fn reread(&self) {
        let (declarations, problems) = inspect(&self.program, &self.directory, &self.command);
        let revision = {
            let mut read = self.locked();
            let revision = read.revision + 1;
            *read = Arc::new(Read { revision, declarations, problems });
            revision
        };
        self.notify(Notice { event: "plugin", data: serde_json::json!({ "revision": revision }) });
    }

    /// Tells the pages.
    pub(super) fn notify(&self, notice: Notice) {
        // Without a page there is nothing to tell.
        let _ = self.notices.send(notice);
    }

    /// Hears of changes from now on.
    pub(super) fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    fn locked(&self) -> MutexGuard<'_, Arc<Read>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Another command has code of its own, which the declarations are not compared with.
fn inspect(program: &Program, directory: &Path, command: &[String]) -> (Option<Declarations>, Problems) {
    match command {
        [] => program.inspect(directory),
        _ => crate::declare::inspect(directory),
    }
}
