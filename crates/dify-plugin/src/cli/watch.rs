//! Changed files, found by their modification times: the declarations of a plugin, and the sources of its crate. For `debug`
//! and `dev`.
//!
//! The files are few and a save is noticed within half a second, so that every executable does without a watcher of the
//! operating system.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::declare::schema::files_of;

/// Interval between two checks for changed files.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);

/// How long files stay as they are once they are written.
pub(super) const SETTLED: Duration = Duration::from_millis(50);

/// Maximum number of nested directories.
const MAX_DEPTH: usize = 6;

/// Modification time and length of each file.
pub(crate) type Files = BTreeMap<PathBuf, (SystemTime, u64)>;

/// The directories of a plugin's declarations. They are remembered while a file that names them cannot be read.
#[derive(Debug)]
pub(crate) struct Declarations {
    directory: PathBuf,
    /// Names directly below the plugin's directory.
    names: BTreeSet<String>,
}

impl Declarations {
    /// The declarations of a plugin's directory.
    pub fn new(directory: &Path) -> Self {
        let always = ["_assets", "provider", "shared"].map(str::to_owned);
        Self { directory: directory.to_owned(), names: BTreeSet::from(always) }
    }

    /// The files as they are now.
    pub fn files(&mut self) -> Files {
        self.names.extend(files_of(&self.directory).iter().filter_map(|file| first_component(&file.path)));
        let mut found = Files::new();
        let names = self.names.clone();
        let mut walk = ignore::WalkBuilder::new(&self.directory);
        walk.standard_filters(false).max_depth(Some(MAX_DEPTH)).filter_entry(move |entry| {
            entry.depth() != 1 || entry.path().is_file() || names.contains(&*entry.file_name().to_string_lossy())
        });
        let assets = self.directory.join("_assets");
        for entry in walk.build().flatten() {
            let path = entry.path();
            let is_declared = path.starts_with(&assets)
                || path.extension().is_some_and(|extension| {
                    ["yaml", "yml", "svg", "png"].iter().any(|declared| extension.eq_ignore_ascii_case(declared))
                });
            if is_declared && path.is_file() {
                add(path, &mut found);
            }
        }
        found
    }
}

/// The first component of a path that the manifest or a provider names.
fn first_component(path: &str) -> Option<String> {
    let (first, _) = path.split_once('/')?;
    Some(first).filter(|first| !first.is_empty() && !first.contains("..")).map(str::to_owned)
}

/// The sources of a crate: what Cargo reads in its directory.
pub(super) fn sources(crate_directory: &Path, found: &mut Files) {
    for file in ["Cargo.toml", "Cargo.lock", "build.rs", ".cargo/config.toml", "rust-toolchain.toml"] {
        add(&crate_directory.join(file), found);
    }
    let mut walk = ignore::WalkBuilder::new(crate_directory.join("src"));
    for entry in walk.standard_filters(false).build().flatten() {
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            add(entry.path(), found);
        }
    }
}

/// Extensions of the sources of a plugin that is run by a command.
#[cfg(feature = "workbench")]
const SOURCES: [&str; 10] = ["py", "js", "mjs", "ts", "rs", "go", "rb", "sh", "toml", "json"];

/// Maximum number of sources of a command that are watched.
#[cfg(feature = "workbench")]
const MAX_SOURCES: usize = 2000;

/// The sources of a plugin in any language: what its directory contains, but for what is hidden, ignored or installed.
#[cfg(feature = "workbench")]
pub(crate) fn sources_of_command(directory: &Path, found: &mut Files) {
    let installed = ["target", "node_modules", "venv", "__pycache__", "site-packages"];
    let mut walk = ignore::WalkBuilder::new(directory);
    walk.require_git(false).max_depth(Some(MAX_DEPTH));
    walk.filter_entry(move |entry| !installed.iter().any(|name| entry.file_name() == *name));
    let is_source = |path: &Path| path.extension().is_some_and(|found| SOURCES.iter().any(|known| found == *known));
    let files = walk.build().flatten().filter(|entry| is_source(entry.path()) && entry.path().is_file());
    for entry in files.take(MAX_SOURCES) {
        add(entry.path(), found);
    }
}

/// Adds a file, if it exists.
pub(super) fn add(file: &Path, found: &mut Files) {
    if let Ok(metadata) = std::fs::metadata(file)
        && let Ok(time) = metadata.modified()
    {
        found.insert(file.to_owned(), (time, metadata.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, file: &str, text: &str) {
        let path = directory.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn names(directory: &Path, files: &Files) -> Vec<String> {
        files.keys().map(|path| path.strip_prefix(directory).unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn declarations_of_every_kind_are_watched() {
        for (key, parts, provider) in [
            ("tools", "mytools", "tools: [mytools/a.yaml]"),
            ("endpoints", "hooks", "endpoints: [hooks/a.yaml]"),
            ("agent_strategies", "strategies", "strategies: [strategies/a.yaml]"),
            ("datasources", "sources", "datasources: [sources/a.yaml]"),
            ("triggers", "events", "events: [events/a.yaml]"),
            ("models", "llms", "models: {llm: {predefined: ['llms/*.yaml']}}"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path();
            write(path, "manifest.yaml", &format!("plugins: {{{key}: [own/x.yaml]}}"));
            write(path, "own/x.yaml", provider);
            for file in [&format!("{parts}/a.yaml"), "_assets/icon.webp", "target/x.yaml", "src/main.rs", "README.md"] {
                write(path, file, "a");
            }
            let mut declarations = Declarations::new(path);
            let mut expected =
                ["_assets/icon.webp", "manifest.yaml", "own/x.yaml", &format!("{parts}/a.yaml")].map(str::to_owned);
            expected.sort();
            assert_eq!(names(path, &declarations.files()), expected, "{key}");
            // A file that cannot be read for a moment does not hide the others.
            write(path, "own/x.yaml", "tools: [");
            assert_eq!(names(path, &declarations.files()), expected, "{key}");
        }
    }

    #[test]
    fn sources_are_those_that_cargo_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for file in ["Cargo.toml", "Cargo.lock", "src/main.rs", "src/a/b.rs", "tests/a.rs", "target/x", "a.yaml"] {
            write(path, file, "a");
        }
        let mut found = Files::new();
        sources(path, &mut found);
        assert_eq!(names(path, &found), ["Cargo.lock", "Cargo.toml", "src/a/b.rs", "src/main.rs"]);
        let before = found.clone();
        write(path, "src/main.rs", "longer");
        sources(path, &mut found);
        assert_ne!(found, before);
    }
}
