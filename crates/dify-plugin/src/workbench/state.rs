//! What the workbench knows while it runs: the plugin as its files are now, and who wants to hear of changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::broadcast;

use super::credentials::Stored;
use super::limits::Limits;
use super::logs::Logs;
use super::sessions::Sessions;
use super::target::Target;
use crate::declare::Declarations;
use crate::declare::diagnostic::{self, Diagnostic};
use crate::process::program::Program;

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
    pub(super) limits: Limits,
    pub(super) credentials: Stored,
    pub(super) sessions: Sessions,
    pub(super) logs: Logs,
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
    /// What is wrong with them, and what Dify shows differently, with the places.
    pub diagnostics: Vec<Diagnostic>,
    /// What Dify shows of them; nothing if it would reject them.
    pub view: Value,
    /// The files in `_assets` that they name.
    pub icons: BTreeSet<String>,
}

impl Read {
    /// Another command has code of its own, which the declarations are not compared with.
    fn new(revision: u64, program: &Program, directory: &Path, command: &[String]) -> Self {
        let (declarations, problems) = match command {
            [] => program.inspect(directory),
            _ => crate::declare::inspect(directory),
        };
        // What this executable cannot serve is drawn all the same.
        let unserved = if declarations.is_none() { crate::declare::inspect(directory).0 } else { None };
        let drawn = declarations.as_ref().or(unserved.as_ref());
        let view = drawn.map_or(Value::Null, |declarations| crate::declare::view(declarations, &problems.0));
        let icons = drawn.map(|declarations| declarations.icons().into_iter().map(str::to_owned).collect());
        let mut shown = problems.0.clone();
        shown.extend(crate::declare::shown_differently(&view, &problems.0));
        let diagnostics = diagnostic::of(directory, &shown);
        Self { revision, declarations, diagnostics, view, icons: icons.unwrap_or_default() }
    }
}

impl Workbench {
    /// Reads the plugin for the first time.
    pub(super) fn new(program: Program, directory: PathBuf, command: Vec<String>, limits: Limits) -> Self {
        let read = Mutex::new(Arc::new(Read::new(1, &program, &directory, &command)));
        let notices = broadcast::channel(limits.notices).0;
        Self {
            program,
            directory,
            command,
            limits,
            credentials: Stored::default(),
            sessions: Sessions::default(),
            logs: Logs::default(),
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
        let revision = self.read().revision + 1;
        *self.locked() = Arc::new(Read::new(revision, &self.program, &self.directory, &self.command));
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
