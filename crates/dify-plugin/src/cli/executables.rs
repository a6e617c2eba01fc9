//! The executables of a package: those that the user names, and those that Cargo built for each target. It builds nothing.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::terminal::say;
use crate::atomic_file;
use crate::package::build::{Binary, MAX_PACKAGE_BYTES};
use crate::package::{Target, elf};

/// Reads the executables. Every target that is named must have one; without a name, each target that has one is included.
pub(super) fn read(
    directory: &Path,
    executable: &str,
    targets: &[Target],
    given: &[(Target, PathBuf)],
) -> anyhow::Result<Vec<Binary>> {
    let set = |name: &str| env::var_os(name).filter(|directory| !directory.is_empty()).map(PathBuf::from);
    let named = set("CARGO_TARGET_DIR").or_else(|| set("CARGO_BUILD_TARGET_DIR"));
    let running = env::current_exe().ok();
    let searched = target_directories(directory, named, running.as_deref());
    let mut wanted = if targets.is_empty() { Target::ALL.to_vec() } else { targets.to_vec() };
    wanted.sort_unstable();
    wanted.dedup();
    let (mut binaries, mut missing) = (Vec::new(), Vec::new());
    for target in wanted {
        let given = given.iter().find(|(known, _)| *known == target).map(|(_, path)| path.clone());
        let paths = match &given {
            Some(path) => vec![path.clone()],
            None => searched.iter().flat_map(|found| built(found, target, executable)).collect(),
        };
        let Some(path) = newest(&paths) else {
            if let Some(binary) = running.as_deref().filter(|_| given.is_none()).and_then(|path| itself(path, target)) {
                say(&format!("for {target}, the package contains the running executable, {}", binary.path));
                binaries.push(binary);
                continue;
            }
            let problem = describe_missing(target, &paths);
            if !targets.is_empty() || given.is_some() {
                bail!(problem);
            }
            missing.push((target, problem));
            continue;
        };
        let bytes = atomic_file::read_limited(path, MAX_PACKAGE_BYTES as u64)?;
        binaries.push(Binary { target, path: path.display().to_string(), bytes });
    }
    if binaries.is_empty() {
        let problems: Vec<String> = missing.into_iter().map(|(_, problem)| problem).collect();
        bail!("{}", problems.join("\n"));
    }
    for (target, problem) in missing {
        say(&format!("warning: the package does not run on {target}: {problem}"));
    }
    Ok(binaries)
}

/// Reads `TARGET=PATH`.
pub(super) fn parse_pair(pair: &str) -> anyhow::Result<(Target, PathBuf)> {
    let (target, path) = pair.split_once('=').with_context(|| format!("expected TARGET=PATH, found `{pair}`"))?;
    Ok((target.parse().map_err(anyhow::Error::msg)?, PathBuf::from(path)))
}

/// Where Cargo puts an executable that is built to be distributed: the profile `release`, or one of that purpose.
fn built(target_directory: &Path, target: Target, executable: &str) -> [PathBuf; 2] {
    ["release", "dist"].map(|profile| target_directory.join(target.triple()).join(profile).join(executable))
}

/// Returns the executable that was built last; of those of one time, the first.
fn newest(paths: &[PathBuf]) -> Option<&PathBuf> {
    let changed = |path: &Path| path.metadata().ok().filter(|metadata| metadata.is_file())?.modified().ok();
    let found = paths.iter().filter_map(|path| Some((changed(path)?, path)));
    found.reduce(|newest, next| if next.0 > newest.0 { next } else { newest }).map(|(_, path)| path)
}

/// The running executable, if it can be packaged for a target: one that was installed and not built here.
fn itself(running: &Path, target: Target) -> Option<Binary> {
    let path = running.display().to_string();
    let bytes = atomic_file::read_limited(running, MAX_PACKAGE_BYTES as u64).ok()?;
    elf::check(&path, &bytes, target).ok()?;
    Some(Binary { target, path, bytes })
}

fn describe_missing(target: Target, paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let command = target.build_command();
    format!(
        "no executable for {target} at {}; build it with `{command}`, or pass --binary {target}=PATH",
        paths.join(" or ")
    )
}

/// Returns the directories in which Cargo builds: the one that its environment names; otherwise that of the running
/// executable, which Cargo has just built, and those of the package and of the workspaces around it.
fn target_directories(directory: &Path, named: Option<PathBuf>, running: Option<&Path>) -> Vec<PathBuf> {
    if let Some(named) = named {
        return vec![named];
    }
    let mut found: Vec<PathBuf> = running.and_then(target_directory_of).into_iter().collect();
    let package = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let parents = package.ancestors().skip(1).filter(|parent| parent.join("Cargo.toml").is_file());
    for target in [directory].into_iter().chain(parents).map(|directory| directory.join("target")) {
        if !found.iter().any(|known| is_same(known, &target)) {
            found.push(target);
        }
    }
    found
}

/// Returns the target directory of an executable at `TARGET/[TRIPLE/]PROFILE/NAME`. Cargo marks it with a file.
fn target_directory_of(executable: &Path) -> Option<PathBuf> {
    let marked = |directory: &&Path| directory.join("CACHEDIR.TAG").is_file();
    executable.ancestors().skip(2).take(2).find(marked).map(Path::to_owned)
}

fn is_same(left: &Path, right: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).ok();
    left == right || absolute(left).is_some_and(|left| Some(left) == absolute(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_target_directory_of_the_running_executable() {
        let scratch = tempfile::tempdir().unwrap();
        let target = scratch.path().join("target");
        std::fs::create_dir_all(target.join("x/release")).unwrap();
        std::fs::write(target.join("CACHEDIR.TAG"), "").unwrap();
        for (executable, found) in [
            ("target/debug/weather", true),
            ("target/x86_64-unknown-linux-musl/release/weather", true),
            ("target/weather", false),
            ("weather", false),
            ("bin/debug/weather", false),
        ] {
            let expected = found.then(|| target.clone());
            assert_eq!(target_directory_of(&scratch.path().join(executable)), expected, "{executable}");
        }
    }

    #[test]
    fn searches_the_package_and_the_workspaces_around_it() {
        let scratch = tempfile::tempdir().unwrap();
        let package = scratch.path().join("workspace/plugins/weather");
        std::fs::create_dir_all(&package).unwrap();
        std::fs::write(scratch.path().join("workspace/Cargo.toml"), "").unwrap();
        let below = |path: &str| scratch.path().join(path);
        let found = target_directories(&package, None, None);
        let found: Vec<_> = found.into_iter().filter(|directory| directory.starts_with(scratch.path())).collect();
        assert_eq!(found, [below("workspace/plugins/weather/target"), below("workspace/target")]);
        assert_eq!(target_directories(&package, Some(below("named")), None), [below("named")]);
    }

    #[test]
    fn the_executable_that_was_built_last_is_packaged() {
        let scratch = tempfile::tempdir().unwrap();
        let [release, dist] = built(scratch.path(), Target::LinuxAmd64, "weather");
        let build = |path: &Path, at: u64| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
            std::fs::File::create(path).unwrap().set_modified(time).unwrap();
        };
        let paths = [release.clone(), dist.clone()];
        assert_eq!(newest(&paths), None);
        for (path, at) in [(&dist, 5), (&release, 9), (&dist, 12)] {
            build(path, at);
            assert_eq!(newest(&paths), Some(path), "{at}");
        }
    }
}
