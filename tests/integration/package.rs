//! Packages: reproducible and complete output, rejection of what Dify would reject, signatures, and invalid archives.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::elf;
use dify_plugin::declare::Problems;
use dify_plugin::package::{archive, inspect, signature};
use elf::elf;
use serde_json::Value;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

struct Fixture {
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("amd64"), elf(62, false)).unwrap();
        std::fs::write(directory.path().join("arm64"), elf(183, false)).unwrap();
        std::fs::write(directory.path().join("dynamic"), elf(62, true)).unwrap();
        std::fs::write(directory.path().join("text"), "#!/bin/sh\n").unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(arguments)
            .output()
            .unwrap()
    }

    fn package(&self, out: &str, more: &[&str]) -> Output {
        let (amd64, arm64, out) = (self.binary("amd64", "amd64"), self.binary("arm64", "arm64"), self.path(out));
        let mut arguments = vec!["package", "--binary", &amd64, "--binary", &arm64, "--out", out.to_str().unwrap()];
        arguments.extend(more);
        self.run(&arguments)
    }

    fn binary(&self, arch: &str, file: &str) -> String {
        format!("linux-{arch}={}", self.path(file).display())
    }

    /// Builds the Gemini package and returns its path.
    fn built(&self) -> PathBuf {
        let output = self.package("built", &["--provider", "google"]);
        assert!(output.status.success(), "{}", text_of(&output));
        self.path("built").join(format!("gemini-{}.difypkg", env!("CARGO_PKG_VERSION")))
    }
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    inspect::read(path).unwrap().entries.into_iter().map(|entry| (entry.path, entry.bytes)).collect()
}

#[test]
fn builds_one_reproducible_package_per_provider() {
    let fixture = Fixture::new();
    for out in ["a", "b"] {
        assert!(fixture.package(out, &[]).status.success());
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(fixture.path("a")).unwrap() {
        let path = entry.unwrap().path();
        let other = fixture.path("b").join(path.file_name().unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(other).unwrap());
        let contents = inspect::read(&path).unwrap();
        assert_eq!(contents.warnings, Vec::<String>::new());
        let manifest = contents.manifest().unwrap();
        assert_eq!(manifest.provider_files().len(), 1);
        assert_eq!(manifest.text("version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(manifest.0["meta"]["arch"], serde_json::json!(["amd64", "arm64"]));
        names.push(manifest.text("name").to_owned());
    }
    names.sort();
    assert_eq!(names, ["ai-gateway", "gemini", "gemini-agents", "openai_api_compatible", "xinference"]);
}

#[test]
fn packages_contain_what_dify_and_the_installer_read() {
    let fixture = Fixture::new();
    let found = files(&fixture.built());
    for required in [
        "manifest.yaml",
        "main.py",
        "requirements.txt",
        "uv.toml",
        "README.md",
        "PRIVACY.md",
        "LICENSE",
        "provider/gemini.yaml",
        "models/gemini/llm/_position.yaml",
    ] {
        assert!(found.contains_key(required), "{required}");
    }
    assert!(
        !found.keys().any(|path| path.contains("xinference") || path.contains("aigateway") || path.starts_with("src/"))
    );
    let wheels: Vec<_> = found.keys().filter(|path| path.ends_with(".whl")).collect();
    assert_eq!(wheels.len(), 2);
    let requirements = String::from_utf8(found["requirements.txt"].clone()).unwrap();
    assert_eq!(requirements.matches("--hash=sha256:").count(), 2);
    // The daemon reads the package as a plugin directory, so it must be valid as one.
    let directory = TempDir::new().unwrap();
    for (path, bytes) in &found {
        let file = directory.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
    let problems = Problems(dify_plugin::declare::check(directory.path()));
    assert!(!problems.has_errors(), "{problems}");
}

#[test]
fn stages_the_same_files() {
    let fixture = Fixture::new();
    let stage = fixture.path("stage");
    let output = fixture.package("out", &["--provider", "google", "--stage", stage.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", text_of(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packaged = files(Path::new(summary[0]["file"].as_str().unwrap()));
    for (path, bytes) in &packaged {
        assert_eq!(&std::fs::read(stage.join("gemini").join(path)).unwrap(), bytes, "{path}");
    }
    let checksum = archive::checksum(packaged.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())));
    assert!(summary[0]["identifier"].as_str().unwrap().ends_with(&checksum));
}

/// An older Dify rejects its whole list of providers for one unknown name.
#[test]
fn packages_contain_only_what_their_minimum_dify_version_can_read() {
    let fixture = Fixture::new();
    assert!(fixture.package("all", &[]).status.success());
    for (name, minimum, polling) in [
        ("gemini", "1.3.0", false),
        ("gemini-agents", "1.15.0", true),
        ("ai-gateway", "1.3.0", false),
        ("xinference", "1.3.0", false),
        ("openai_api_compatible", "1.3.0", false),
    ] {
        let file = fixture.path("all").join(format!("{name}-{}.difypkg", env!("CARGO_PKG_VERSION")));
        let manifest = inspect::read(&file).unwrap().manifest().unwrap();
        assert_eq!(manifest.0["meta"]["minimum_dify_version"], minimum, "{name}");
        let declared = files(&file).into_iter().filter(|(path, _)| path.ends_with(".yaml"));
        let all: String = declared.map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect();
        assert_eq!(all.contains("polling"), polling, "{name}");
    }
}

#[test]
fn packages_for_an_older_dify_omit_unsupported_features() {
    let fixture = Fixture::new();
    let output = fixture.package("old", &["--minimum-dify", "1.0.0"]);
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(text_of(&output).contains("gemini-agents skipped"), "{}", text_of(&output));
    let package = |name: &str| fixture.path("old").join(format!("{name}-{}.difypkg", env!("CARGO_PKG_VERSION")));
    assert!(!package("gemini-agents").exists());
    for name in ["gemini", "ai-gateway", "xinference", "openai_api_compatible"] {
        let manifest = inspect::read(&package(name)).unwrap().manifest().unwrap();
        assert_eq!(manifest.0["meta"]["minimum_dify_version"], "1.0.0", "{name}");
        let models = files(&package(name)).into_iter().filter(|(path, _)| path.starts_with("models/"));
        let all: String = models.map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect();
        assert!(!all.contains("structured-output") && !all.contains("polling"), "{name}");
        // Nothing else is omitted.
        assert!(name != "gemini" || all.contains("json_schema") && all.contains("agent-thought"));
    }
    // The schemas that the running plugin returns are limited too.
    let schema = |package: &Path| {
        let directory = TempDir::new().unwrap();
        for (path, bytes) in files(package) {
            let file = directory.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
        let request = serde_json::json!({"provider": "ai-gateway", "model": "m", "model_type": "llm", "credentials": {
            "endpoint_url": "http://127.0.0.1:9", "api_key": "k", "vision_support": "support",
            "structured_output_support": "supported"}});
        let file = directory.path().join("request.json");
        std::fs::write(&file, request.to_string()).unwrap();
        let dir = directory.path().to_str().unwrap();
        let output = fixture.run(&["invoke", "get_ai_model_schemas", file.to_str().unwrap(), "--dir", dir]);
        let item: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text_of(&output)));
        item["model_schema"]["features"].to_string()
    };
    assert!(fixture.package("new", &["--provider", "ai-gateway"]).status.success());
    let new = schema(&fixture.path("new").join(package("ai-gateway").file_name().unwrap()));
    assert!(new.contains("structured-output") && new.contains("vision"), "{new}");
    let old = schema(&package("ai-gateway"));
    assert!(!old.contains("structured-output") && old.contains("vision"), "{old}");
    for (arguments, expected) in [
        (["--minimum-dify", "1.14.0", "--provider", "gemini-agents"], "needs the feature `polling`"),
        (["--minimum-dify", "0.15.3", "--provider", "google"], "does not support plugins"),
        (["--minimum-dify", "latest", "--provider", "google"], "must be a version of Dify"),
    ] {
        let output = fixture.package("rejected", &arguments);
        assert!(!output.status.success() && text_of(&output).contains(expected), "{expected}: {}", text_of(&output));
    }
}

#[test]
fn rejects_an_existing_stage_before_writing_anything() {
    let fixture = Fixture::new();
    let stage = fixture.path("stage");
    std::fs::create_dir_all(stage.join("xinference")).unwrap();
    let output = fixture.package("out", &["--stage", stage.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(text_of(&output).contains("already exists; --stage"), "{}", text_of(&output));
    assert!(!fixture.path("out").exists() && !stage.join("gemini").exists());
}

#[test]
fn rejects_devices() {
    let output = Fixture::new().run(&["inspect", "/dev/zero"]);
    assert!(!output.status.success());
    assert!(text_of(&output).contains("/dev/zero is not a regular file"), "{}", text_of(&output));
}

#[test]
fn reports_what_cannot_be_packaged_with_a_fix() {
    let fixture = Fixture::new();
    let one = |binary: &str| {
        let out = fixture.path("rejected");
        fixture.run(&["package", "--target", "linux-amd64", "--binary", binary, "--out", out.to_str().unwrap()])
    };
    let cases = [
        (one(&fixture.binary("amd64", "missing")), "rustup target add x86_64-unknown-linux-musl"),
        (one(&fixture.binary("amd64", "arm64")), "is an executable for linux-arm64, not for linux-amd64"),
        (one(&fixture.binary("amd64", "dynamic")), "is dynamically linked"),
        (one(&fixture.binary("amd64", "text")), "is not a 64-bit Linux executable"),
        (one("linux-amd64"), "expected TARGET=PATH"),
        (
            fixture.package("rejected", &["--provider", "unknown"]),
            "unknown provider `unknown`; the manifest lists google, gemini-agents, ai-gateway, xinference, openai_api_compatible",
        ),
        (fixture.run(&["package", "--target", "windows-amd64"]), "expected one of linux-amd64, linux-arm64"),
    ];
    for (output, expected) in cases {
        assert!(!output.status.success(), "{expected}");
        assert!(text_of(&output).contains(expected), "{expected}: {}", text_of(&output));
    }
    assert!(!fixture.path("rejected").exists(), "a file was written");
}

#[test]
fn lists_the_largest_files_of_an_oversize_package() {
    let fixture = Fixture::new();
    // Random enough not to be compressible.
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    })
    .take(30_000_000)
    .collect();
    for (name, machine) in [("huge-amd64", 62), ("huge-arm64", 183)] {
        std::fs::write(fixture.path(name), [elf(machine, false), noise.clone()].concat()).unwrap();
    }
    let out = fixture.path("rejected");
    let output = fixture.run(&[
        "package",
        "--binary",
        &fixture.binary("amd64", "huge-amd64"),
        "--binary",
        &fixture.binary("arm64", "huge-arm64"),
        "--provider",
        "google",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(!output.status.success());
    assert!(
        text_of(&output).contains("Dify accepts at most 52428800; the largest files are wheels/"),
        "{}",
        text_of(&output)
    );
    assert!(!out.exists());
}

#[test]
fn adds_and_lists_the_fields_for_the_marketplace() {
    let fixture = Fixture::new();
    let rejected = fixture.package("market", &["--provider", "google", "--marketplace"]);
    assert!(text_of(&rejected).contains("the marketplace requires `repo`: pass --repo"), "{}", text_of(&rejected));
    let given =
        ["--provider", "google", "--marketplace", "--repo", "https://github.com/a/b", "--contact", "a@example.com"];
    let output = fixture.package("market", &given);
    assert!(
        text_of(&output).contains("added for the marketplace: repo: \"https://github.com/a/b\""),
        "{}",
        text_of(&output)
    );
    let file = fixture.path("market").join(format!("gemini-{}.difypkg", env!("CARGO_PKG_VERSION")));
    let manifest = inspect::read(&file).unwrap().manifest().unwrap();
    assert_eq!((manifest.text("repo"), manifest.text("contact")), ("https://github.com/a/b", "a@example.com"));
}

#[test]
fn reports_a_required_file_that_is_ignored() {
    let fixture = Fixture::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = fixture.path("plugin");
    for path in [
        "manifest.yaml",
        "README.md",
        "LICENSE",
        "PRIVACY.md",
        "provider/xinference.yaml",
        "provider/_shared.yaml",
        "_assets/icon.svg",
        "_assets/xinference-small.svg",
        "_assets/xinference-large.svg",
    ] {
        let target = copy.join(path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(root.join(path), target).unwrap();
    }
    let manifest = std::fs::read_to_string(copy.join("manifest.yaml")).unwrap();
    let only = ["gemini", "aigateway", "gemini-agents", "openai_api_compatible"]
        .iter()
        .fold(manifest, |text, name| text.replace(&format!("    - provider/{name}.yaml\n"), ""));
    std::fs::write(copy.join("manifest.yaml"), only).unwrap();
    let run = |ignored: &str| {
        std::fs::write(copy.join(".difyignore"), ignored).unwrap();
        fixture.package("ignored", &["--dir", copy.to_str().unwrap()])
    };
    let output = run("LICENSE\n");
    assert!(output.status.success(), "{}", text_of(&output));
    let file = std::fs::read_dir(fixture.path("ignored")).unwrap().next().unwrap().unwrap().path();
    assert!(!files(&file).contains_key("LICENSE"));
    assert!(text_of(&run("_assets/\n")).contains("is required, but .difyignore excludes it"));
}

#[test]
fn replaces_an_existing_output_atomically() {
    let fixture = Fixture::new();
    let built = fixture.built();
    let before = std::fs::read(&built).unwrap();
    let output = fixture.package("built", &["--provider", "google", "--binary", "linux-amd64=/nonexistent"]);
    drop(output);
    assert_eq!(std::fs::read(&built).unwrap(), before);
    let left: Vec<_> =
        std::fs::read_dir(fixture.path("built")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn signatures_are_valid_until_anything_changes() {
    let fixture = Fixture::new();
    let built = fixture.built();
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    for prefix in ["mine", "other"] {
        assert!(fixture.run(&["keygen", "--out", &text(fixture.path(prefix))]).status.success());
    }
    let mode = std::fs::metadata(fixture.path("mine.private.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!fixture.run(&["keygen", "--out", &text(fixture.path("mine"))]).status.success(), "a key was overwritten");
    assert!(
        std::fs::read_to_string(fixture.path("mine.private.pem"))
            .unwrap()
            .starts_with("-----BEGIN RSA PRIVATE KEY-----")
    );

    let signed = fixture.path("signed.difypkg");
    let output = fixture.run(&[
        "sign",
        &text(built.clone()),
        "--key",
        &text(fixture.path("mine.private.pem")),
        "--out",
        &text(signed.clone()),
    ]);
    assert!(output.status.success(), "{}", text_of(&output));
    let verify =
        |file: &Path, key: &str| fixture.run(&["verify", file.to_str().unwrap(), "--key", &text(fixture.path(key))]);
    assert!(verify(&signed, "mine.public.pem").status.success());
    assert!(text_of(&verify(&signed, "other.public.pem")).contains("the signature does not match"));
    assert!(text_of(&verify(&built, "mine.public.pem")).contains("is not signed"));
    assert!(text_of(&verify(&signed, "mine.private.pem")).contains("expected `RSA PUBLIC KEY`"));

    let contents = inspect::read(&signed).unwrap();
    assert_eq!(contents.entries.last().unwrap().path, signature::VERIFICATION_FILE);
    assert_eq!(contents.entries.last().unwrap().bytes, br#"{"authorized_category":"community"}"#);
    // The checksum covers the added file: a signed package is another plugin version to Dify.
    assert_ne!(contents.checksum(), inspect::read(&built).unwrap().checksum());

    let mut changed = contents.entries;
    changed[0].bytes.push(b' ');
    let entries = changed.iter().map(|entry| (entry.path.as_str(), entry.bytes.as_slice()));
    let bytes = archive::write_in_order(entries, contents.comment.as_deref(), |_| 0o644).unwrap();
    let tampered = fixture.path("tampered.difypkg");
    std::fs::write(&tampered, bytes).unwrap();
    assert!(text_of(&verify(&tampered, "mine.public.pem")).contains("the signature does not match"));
}

/// The expected value was computed with another tool: `sha256` of sorted (hash of path, hash of content).
#[test]
fn computes_the_checksum_as_dify_does() {
    let entries = [("b.txt", b"two".as_slice()), ("a.txt", b"one".as_slice())];
    assert_eq!(
        archive::checksum(entries.into_iter()),
        "fab3c3cce0803c4e2fd32203e03a69fb89c37aa81c0f56093da4326cd24dc9aa"
    );
}

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (path, bytes) in entries {
        writer.start_file(*path, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Hostile archives are tested in `security_packages.rs`.
#[test]
fn reports_files_that_are_not_packages() {
    let valid = zip_of(&[("manifest.yaml", b"version: 0.1.0")]);
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("invalid.difypkg");
    for bytes in [b"hello".as_slice(), b"", &valid[..valid.len() / 2]] {
        std::fs::write(&path, bytes).unwrap();
        let error = inspect::read(&path).err().unwrap().to_string();
        assert!(error.contains("invalid.difypkg: not a valid package"), "{error}");
    }
}

#[test]
fn inspect_prints_identifier_models_wheels_and_signature() {
    let fixture = Fixture::new();
    let output = fixture.run(&["inspect", fixture.built().to_str().unwrap()]);
    let shown = text_of(&output);
    for expected in [
        "native-runtime/gemini:",
        "provider/gemini.yaml",
        "manylinux_2_17_x86_64",
        "manylinux_2_17_aarch64",
        "signed     no",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}

#[test]
fn each_package_has_its_own_readme_pages() {
    let fixture = Fixture::new();
    assert!(fixture.package("all", &[]).status.success());
    for (name, title) in [
        ("gemini", "# Gemini\n"),
        ("gemini-agents", "# Gemini Agents\n"),
        ("ai-gateway", "# AI Gateway\n"),
        ("xinference", "# Xinference\n"),
        ("openai_api_compatible", "# OpenAI-API-compatible\n"),
    ] {
        let file = format!("{name}-{}.difypkg", env!("CARGO_PKG_VERSION"));
        let mut found = files(&fixture.path("all").join(file));
        let pages: Vec<String> =
            found.keys().filter(|path| path.ends_with(".md") && path.contains("README")).cloned().collect();
        assert_eq!(pages, ["README.md", "readme/README_zh_Hans.md"], "{name}");
        let page = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
        let english = page(found.remove("README.md"));
        assert!(english.starts_with(title) && english.len() < 8_000, "{name}: {english}");
        let chinese = page(found.remove("readme/README_zh_Hans.md"));
        assert!(chinese.contains("需要 Dify") && chinese.len() < 8_000, "{name}: {chinese}");
    }
}

#[test]
fn finds_executables_in_cargos_target_directory() {
    let fixture = Fixture::new();
    let release = fixture.path("elsewhere/x86_64-unknown-linux-musl/release");
    std::fs::create_dir_all(&release).unwrap();
    std::fs::copy(fixture.path("amd64"), release.join("dify-plugin-runtime")).unwrap();
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"] {
        let out = fixture.path(name);
        let output = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("CARGO_TARGET_DIR")
            .env(name, fixture.path("elsewhere"))
            .args(["package", "--target", "linux-amd64", "--provider", "google", "--out", out.to_str().unwrap()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", text_of(&output));
    }
}
