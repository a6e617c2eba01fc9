//! Which executables a package contains, and under which name they are installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::elf;
use dify_plugin::package::inspect;
use elf::elf;
use tempfile::TempDir;

const AMD64: &str = "x86_64-unknown-linux-musl";
const ARM64: &str = "aarch64-unknown-linux-musl";

/// Packages one provider with the executables of this target directory.
fn package(target_directory: &Path, out: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .env("CARGO_TARGET_DIR", target_directory)
        .args(["package", "--provider", "google", "--out", out.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap()
}

fn build(target_directory: &Path, triple: &str, machine: u16) -> PathBuf {
    let release = target_directory.join(triple).join("release");
    std::fs::create_dir_all(&release).unwrap();
    std::fs::write(release.join("dify-plugin-runtime"), elf(machine, false)).unwrap();
    release.join("dify-plugin-runtime")
}

fn text(package: &Path, path: &str) -> String {
    let contents = inspect::read(package).unwrap();
    let entry = contents.entries.into_iter().find(|entry| entry.path == path).unwrap();
    String::from_utf8(entry.bytes).unwrap()
}

#[test]
fn contains_the_executables_that_were_built() {
    let scratch = TempDir::new().unwrap();
    for (name, built, arguments, fails, reports) in [
        ("both", &[(AMD64, 62), (ARM64, 183)][..], &[][..], false, ""),
        ("one", &[(AMD64, 62)], &[], false, "warning: the package does not run on linux-arm64: no executable"),
        ("none", &[], &[], true, "no executable for linux-amd64"),
        ("named", &[(AMD64, 62)], &["--target", "linux-amd64"], false, ""),
        (
            "missing",
            &[(AMD64, 62)],
            &["--target", "linux-arm64"],
            true,
            "cargo zigbuild --release --no-default-features --target aarch64",
        ),
        ("two", &[(AMD64, 62)], &["--target", "linux-amd64,linux-arm64"], true, "no executable for linux-arm64"),
    ] {
        let (target, out) = (scratch.path().join(name), scratch.path().join(format!("{name}-out")));
        for (triple, machine) in built {
            build(&target, triple, *machine);
        }
        let output = package(&target, &out, arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(!output.status.success(), fails, "{name}: {errors}");
        assert!(errors.contains(reports), "{name}: {errors}");
        assert!(!reports.is_empty() || !errors.contains("warning"), "{name}: {errors}");
        let package = out.join(format!("gemini-{}.difypkg", env!("CARGO_PKG_VERSION")));
        assert_eq!(package.exists(), !fails, "{name}");
        if !fails {
            let manifest = inspect::read(&package).unwrap().manifest().unwrap();
            assert_eq!(manifest.0["meta"]["arch"].as_array().unwrap().len(), built.len(), "{name}");
        }
    }
}

/// By this text an executable with the workbench is known.
const WORKBENCH: &[u8] = b"dify-plugin-workbench and what is in no package";

#[test]
fn an_executable_with_the_workbench_is_refused() {
    let own = std::fs::read(env!("CARGO_BIN_EXE_dify-plugin-runtime")).unwrap();
    assert!(own.windows(WORKBENCH.len()).any(|part| part == WORKBENCH), "the text is not in this executable");
    let scratch = TempDir::new().unwrap();
    for (name, place) in [("start", 4096), ("end", 9000)] {
        let target = scratch.path().join(name);
        let path = build(&target, AMD64, 62);
        let mut bytes = elf(62, false);
        bytes.resize(place, 0);
        bytes.extend_from_slice(WORKBENCH);
        std::fs::write(&path, bytes).unwrap();
        let out = scratch.path().join("out");
        let output = package(&target, &out, &[]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains("contains the workbench"), "{errors}");
        assert!(errors.contains("--no-default-features") && errors.contains(path.to_str().unwrap()), "{errors}");
        assert!(!out.join(format!("gemini-{}.difypkg", env!("CARGO_PKG_VERSION"))).exists());
    }
}

#[test]
fn executables_are_installed_under_a_name_of_the_plugin() {
    let scratch = TempDir::new().unwrap();
    build(scratch.path(), AMD64, 62);
    let out = scratch.path().join("out");
    assert!(package(scratch.path(), &out, &[]).status.success());
    let package = out.join(format!("gemini-{}.difypkg", env!("CARGO_PKG_VERSION")));
    let name = "native-runtime-gemini-native";
    assert!(text(&package, "main.py").contains(&format!("NAME = \"{name}\"\n")));
    assert!(!text(&package, "main.py").contains("native-model-runtime"));
    assert!(text(&package, "requirements.txt").contains(&format!("\n{name}==")));
    let wheels: Vec<String> = inspect::read(&package)
        .unwrap()
        .entries
        .into_iter()
        .map(|entry| entry.path)
        .filter(|path| path.ends_with(".whl"))
        .collect();
    assert!(wheels.len() == 1 && wheels[0].starts_with("wheels/native_runtime_gemini_native-"), "{wheels:?}");
}
