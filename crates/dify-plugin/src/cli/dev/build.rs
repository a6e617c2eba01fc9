//! The build of `dev`: `cargo build` for the package, executable and profile that this process was started from. Diagnostics
//! go to the terminal; of Cargo's messages, only the executable and the directories of its path dependencies are read.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// How the plugin is built, and what the last build read and wrote.
#[derive(Debug)]
pub(super) struct Cargo {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    /// Directory of the crate.
    pub directory: PathBuf,
    /// Directory of the profile, in which builds are kept.
    pub target: PathBuf,
    /// Name of the executable.
    pub name: String,
    /// The crate and its path dependencies.
    pub directories: BTreeSet<PathBuf>,
    /// The executable of the last successful build.
    pub executable: Option<PathBuf>,
}

/// How a build ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Build {
    /// There is an executable that differs from that of the last build.
    New,
    /// The last build is up to date.
    Same,
    /// It does not compile.
    Failed,
}

impl Cargo {
    /// Finds out how this process was built.
    pub fn of_this_process(plugin: &Path, more: Vec<OsString>) -> anyhow::Result<Self> {
        let executable = std::env::current_exe().context("cannot find the executable of this process")?;
        let directory = crate_directory(plugin)?;
        let name = executable.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let target = executable.parent().unwrap_or(Path::new(".")).to_owned();
        let mut arguments: Vec<OsString> = ["build", "--manifest-path"].map(OsString::from).to_vec();
        arguments.push(directory.join("Cargo.toml").into());
        arguments.extend(selection(&executable).into_iter().map(OsString::from));
        arguments.push("--message-format=json-render-diagnostics".into());
        arguments.extend(more);
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let directories = BTreeSet::from([directory.clone()]);
        Ok(Self { program, arguments, directory, target, name, directories, executable: None })
    }

    /// Builds once. A build that is dropped ends.
    pub async fn build(&mut self) -> anyhow::Result<Build> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.to_string_lossy()))?;
        let output = child.stdout.take().context("Cargo has no output")?;
        let mut lines = BufReader::new(output).lines();
        let (mut built, mut directories) = (None, BTreeSet::from([self.directory.clone()]));
        while let Some(line) = lines.next_line().await.context("cannot read the messages of Cargo")? {
            // What is no message of Cargo was printed by a build script.
            let Ok(artifact) = serde_json::from_str::<Artifact>(&line) else { continue };
            directories.extend(artifact.path_dependency());
            if artifact.is_executable(&self.name) {
                built = artifact.executable.map(|executable| (executable, artifact.fresh));
            }
        }
        let status = child.wait().await.context("cannot wait for Cargo")?;
        if !status.success() {
            // What the failed build did not get to is still read by the next.
            self.directories.extend(directories);
            return Ok(Build::Failed);
        }
        self.directories = directories;
        let Some((executable, is_fresh)) = built else {
            bail!("Cargo built no executable `{}`; start `dev` with `cargo run -- dev`", self.name);
        };
        let is_same = is_fresh && self.executable.as_deref() == Some(&executable);
        self.executable = Some(executable);
        Ok(if is_same { Build::Same } else { Build::New })
    }
}

/// The directory of the crate: of `cargo run`, or above the plugin's directory.
fn crate_directory(plugin: &Path) -> anyhow::Result<PathBuf> {
    let has_crate = |directory: &Path| directory.join("Cargo.toml").is_file();
    if let Some(directory) = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|found| has_crate(found))
    {
        return Ok(directory);
    }
    let plugin = plugin.canonicalize().with_context(|| format!("cannot read {}", plugin.display()))?;
    let found = plugin.ancestors().find(|directory| has_crate(directory));
    found.map(Path::to_owned).with_context(|| format!("there is no Cargo.toml in {} or above it", plugin.display()))
}

/// The arguments that select an executable, its profile and its target, from where Cargo has put it:
/// `TARGET_DIRECTORY/[TRIPLE/]PROFILE/[examples/]NAME`.
fn selection(executable: &Path) -> Vec<String> {
    let name_of = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut parent = executable.parent().unwrap_or(Path::new(""));
    let kind = if name_of(parent) == "examples" { "--example" } else { "--bin" };
    if matches!(&*name_of(parent), "examples" | "deps") {
        parent = parent.parent().unwrap_or(Path::new(""));
    }
    let mut arguments = vec![kind.to_owned(), name_of(executable)];
    let profile = name_of(parent);
    match profile.as_str() {
        "debug" => {}
        profile => arguments.extend(["--profile".to_owned(), profile.to_owned()]),
    }
    let mut above = parent.ancestors().skip(1);
    // Only the directory of all targets has this file.
    let is_root = |path: &&Path| path.join(".rustc_info.json").is_file();
    let (first, second) = (above.next(), above.next());
    let root = match (first, second) {
        (Some(root), _) if is_root(&root) => Some(root),
        (Some(triple), Some(root)) if is_root(&root) => {
            arguments.extend(["--target".to_owned(), name_of(triple)]);
            Some(root)
        }
        _ => None,
    };
    arguments.extend(root.map(|root| format!("--target-dir={}", root.display())));
    arguments
}

/// Cargo's message about something that it built.
#[derive(Deserialize)]
struct Artifact {
    reason: String,
    #[serde(default)]
    package_id: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    executable: Option<PathBuf>,
    #[serde(default)]
    fresh: bool,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    #[serde(default)]
    kind: Vec<String>,
}

impl Artifact {
    /// The directory of a package that is neither from a registry nor from a Git repository.
    fn path_dependency(&self) -> Option<PathBuf> {
        let is_local = self.package_id.starts_with("path+") || self.package_id.contains("(path+");
        Some(self.manifest_path.as_ref().filter(|_| is_local)?.parent()?.to_owned())
    }

    fn is_executable(&self, name: &str) -> bool {
        let Some(target) = &self.target else { return false };
        let is_program = target.kind.iter().any(|kind| kind == "bin" || kind == "example");
        self.reason == "compiler-artifact" && self.executable.is_some() && is_program && target.name == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_is_selected_by_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::write(root.join(".rustc_info.json"), "{}").unwrap();
        let target = format!("--target-dir={}", root.display());
        for (path, expected) in [
            ("debug/weather", &["--bin", "weather"][..]),
            ("release/weather", &["--bin", "weather", "--profile", "release"]),
            ("fast/weather", &["--bin", "weather", "--profile", "fast"]),
            ("debug/examples/weather", &["--example", "weather"]),
            ("x86_64-unknown-linux-musl/debug/weather", &["--bin", "weather", "--target", "x86_64-unknown-linux-musl"]),
        ] {
            let expected: Vec<&str> = expected.iter().copied().chain([target.as_str()]).collect();
            assert_eq!(selection(&root.join(path)), expected, "{path}");
        }
        assert_eq!(selection(Path::new("/elsewhere/debug/weather")), ["--bin", "weather"]);
    }
}
