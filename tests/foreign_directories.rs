//! Folders, packages and answers of somebody else: what is read of them, where a key goes, and what reaches the terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "support/archives.rs"]
mod archives;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use archives::{archive, entry};
use serde_json::{Value, json};

const KEY: &str = "AIza-of-the-environment";

/// What no terminal may get: a title, a cleared screen, a C1 sequence, a turned direction.
const UNSAFE: &str = "\u{1b}]0;pwned\u{7}\u{1b}[2J\u{9b}2J\u{202e}\u{2066}";

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).unwrap();
        for inner in std::fs::read_dir(from).unwrap().flatten() {
            copy(&inner.path(), &to.join(inner.file_name()));
        }
    } else {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
}

/// A plugin's folder with Gemini alone.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in ["provider", "models/gemini", "_assets", "README.md", "PRIVACY.md", "LICENSE"] {
        copy(&root.join(path), &directory.path().join(path));
    }
    let manifest = std::fs::read_to_string(root.join("manifest.yaml")).unwrap();
    let only = ["aigateway", "xinference", "gemini-agents"]
        .iter()
        .fold(manifest, |text, name| text.replace(&format!("    - provider/{name}.yaml\n"), ""));
    std::fs::write(directory.path().join("manifest.yaml"), only).unwrap();
    directory
}

/// Replaces a text of a folder's file, which must be there.
fn change(directory: &Path, file: &str, from: &str, to: &str) {
    let path = directory.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no `{from}`");
    std::fs::write(&path, text.replace(from, to)).unwrap();
}

fn run(directory: &Path, arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dify-plugin-runtime"))
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().copied())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() && started.elapsed() < Duration::from_secs(180) {
        thread::sleep(Duration::from_millis(10));
    }
    // What still runs is killed: its output then lacks what is looked for.
    let _ = child.kill();
    child.wait_with_output().unwrap()
}

fn written(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// An upstream that counts its connections and answers each with this.
fn upstream(status: &'static str, body: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (url, count)
}

fn answer(text: &str) -> String {
    json!([{"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}}])
    .to_string()
}

/// Fields of both forms that decide where a call goes.
const LEADING: [(&str, &str, &str); 2] =
    [("provider/_gemini.yaml", "  ", "google_base_url"), ("provider/_shared.yaml", "  - ", "proxy_url")];

#[test]
fn a_key_of_the_environment_goes_nowhere_that_only_the_folder_names() {
    let request = r#"{"provider": "google", "model": "gemini-3.5-flash", "model_type": "llm",
        "prompt_messages": [{"role": "user", "content": "hi"}]}"#;
    let runs: [(&[&str], &str); 4] = [
        (&["try", "hi", "--model", "gemini-3.5-flash"], ""),
        (&["try", "hi", "--model", "my-own"], ""),
        (&["invoke", "invoke_llm"], request),
        (&["doctor", "--provider", "google"], ""),
    ];
    for (file, mark, field) in LEADING {
        let directory = directory();
        let (url, count) = upstream("200 OK", answer("hello"));
        let variable = format!("\n{mark}variable: {field}\n");
        let indent = " ".repeat(mark.len());
        change(directory.path(), file, &variable, &format!("{variable}{indent}default: {url}\n"));
        change(directory.path(), "provider/_shared.yaml", "default: 'off'", "default: 'on'");
        for variable in ["GEMINI_API_KEY", "GOOGLE_API_KEY"] {
            for (arguments, input) in runs {
                let said = written(&run(directory.path(), arguments, &[(variable, KEY)], input));
                assert!(said.contains(&format!("{variable} is not sent")), "{field} {arguments:?}: {said}");
                assert!(!said.contains(KEY), "{said}");
            }
        }
        assert_eq!(count.load(Ordering::SeqCst), 0, "{field}: it was called");
    }
    // What the person names is theirs to name.
    let (url, count) = upstream("200 OK", answer("hello"));
    let base = format!("google_base_url={url}");
    let arguments = ["try", "hi", "--model", "gemini-3.5-flash", "--param", &base];
    let said = written(&run(directory().path(), &arguments, &[("GEMINI_API_KEY", KEY)], ""));
    assert!(said.contains("hello") && count.load(Ordering::SeqCst) == 1, "{said}");
}

#[test]
fn a_file_of_settings_in_the_folder_records_nothing() {
    let directory = directory();
    let traffic_store = directory.path().join("elsewhere");
    std::fs::write(directory.path().join(".env"), format!("DIFY_PLUGIN_RECORD={}\n", traffic_store.display())).unwrap();
    let said = written(&run(directory.path(), &["try", "hi"], &[], ""));
    assert!(said.contains("You asked") && !said.contains("recording") && !traffic_store.exists(), "{said}");
    let said =
        written(&run(directory.path(), &["try", "hi"], &[("DIFY_PLUGIN_RECORD", traffic_store.to_str().unwrap())], ""));
    assert!(said.contains("recording upstream traffic"), "{said}");
    assert_eq!(std::fs::metadata(&traffic_store).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn what_leads_out_of_the_folder_is_refused_by_check_package_and_stage() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.md"), "SECRET").unwrap();
    let absolute = outside.path().join("secret.md");
    let absolute = absolute.to_str().unwrap();
    // The field's line, and what it becomes.
    for (file, from, field) in [
        ("manifest.yaml", "icon: icon.svg", "icon: "),
        ("provider/gemini.yaml", "icon_small:\n  en_US: gemini-small.svg", "icon_small:\n  en_US: "),
        ("manifest.yaml", "privacy: PRIVACY.md", "privacy: "),
        ("provider/gemini.yaml", "  privacy: PRIVACY.md", "  privacy: "),
        ("manifest.yaml", "    - provider/gemini.yaml", "    - "),
    ] {
        for path in ["../secret.md", absolute, "..\\secret.md", "a/../../secret.md", "link.md", "linked/secret.md"] {
            let directory = directory();
            for place in ["", "_assets"] {
                symlink(absolute, directory.path().join(place).join("link.md")).unwrap();
                symlink(outside.path(), directory.path().join(place).join("linked")).unwrap();
            }
            std::fs::write(directory.path().parent().unwrap().join("secret.md"), "SECRET").unwrap();
            let text = std::fs::read_to_string(directory.path().join(file)).unwrap();
            let quoted = json!(path).to_string();
            let changed = text.replacen(from, &format!("{field}{quoted}"), 1);
            assert_ne!(text, changed, "{from}");
            std::fs::write(directory.path().join(file), changed).unwrap();
            let said = written(&run(directory.path(), &["check"], &[], ""));
            assert!(said.contains("must be a path inside the package"), "{file} {field}{path}: {said}");
            let stage = directory.path().join("stage");
            let arguments = ["package", "--binary", "linux-amd64=README.md", "--target", "linux-amd64", "--stage"];
            let output = run(directory.path(), &[&arguments[..], &[stage.to_str().unwrap()]].concat(), &[], "");
            assert!(!output.status.success() && !stage.exists(), "{}", written(&output));
            assert!(!directory.path().join("dist").exists() && !written(&output).contains("SECRET"));
        }
    }
}

#[test]
fn texts_that_are_links_to_elsewhere_are_not_packaged() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.md"), "SECRET").unwrap();
    for name in ["LICENSE", "readme/README_zh_Hans.md"] {
        let directory = directory();
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        symlink(outside.path().join("secret.md"), &path).unwrap();
        let arguments = ["package", "--binary", "linux-amd64=README.md", "--target", "linux-amd64"];
        let said = written(&run(directory.path(), &arguments, &[], ""));
        assert!(said.contains("leads out"), "{name}: {said}");
    }
}

#[test]
fn what_a_folder_holds_is_read_within_limits() {
    type Change = fn(&Path);
    let changes: [(&str, Change, &str); 9] = [
        (
            "deep",
            |directory| write(directory, "models/gemini/llm/z.yaml", &format!("a: {}", "[".repeat(120_000))),
            "nests deeper",
        ),
        ("deep marks", |directory| write(directory, "provider/gemini.yaml", &"- ".repeat(60_000)), "nests deeper"),
        ("large", |directory| write(directory, "models/gemini/llm/z.yaml", &"# c\n".repeat(500_000)), "is larger than"),
        (
            "pipe",
            |directory| {
                std::fs::remove_file(directory.join("provider/gemini.yaml")).unwrap();
                assert!(Command::new("mkfifo").arg(directory.join("provider/gemini.yaml")).status().unwrap().success());
            },
            "is not a regular file",
        ),
        (
            "device",
            |directory| {
                std::fs::remove_file(directory.join("manifest.yaml")).unwrap();
                symlink("/dev/zero", directory.join("manifest.yaml")).unwrap();
            },
            "manifest.yaml",
        ),
        ("glob upwards", |directory| glob(directory, "../../../../etc/**/*"), "must be a pattern inside the package"),
        ("glob from the root", |directory| glob(directory, "/etc/**/*"), "must be a pattern inside the package"),
        ("glob inside and out", |directory| glob(directory, "models/../../*"), "must be a pattern inside the package"),
        (
            "glob by a link",
            |directory| {
                symlink("/etc", directory.join("linked")).unwrap();
                glob(directory, "linked/*");
            },
            "must be a pattern inside the package",
        ),
    ];
    for (name, change, said) in changes {
        let directory = directory();
        change(directory.path());
        let output = run(directory.path(), &["check"], &[], "");
        let text = written(&output);
        assert!(text.contains(said) && output.status.code() == Some(1), "{name}: {text}");
        assert!(!text.contains("passwd"), "{name}: {text}");
    }
    let directory = tempfile::tempdir().unwrap();
    assert!(Command::new("mkfifo").arg(directory.path().join("0001-a.json")).status().unwrap().success());
    let said = written(&run(
        self::directory().path(),
        &["try", "hi", "--replay", directory.path().to_str().unwrap()],
        &[],
        "",
    ));
    assert!(said.contains("is no regular file"), "{said}");
}

fn write(directory: &Path, file: &str, text: &str) {
    std::fs::write(directory.join(file), text).unwrap();
}

fn glob(directory: &Path, pattern: &str) {
    let file = "provider/gemini.yaml";
    let text = std::fs::read_to_string(directory.join(file)).unwrap();
    let changed = text.replace("models/gemini/llm/*.yaml", pattern);
    assert_ne!(text, changed);
    std::fs::write(directory.join(file), changed).unwrap();
}

#[test]
fn what_no_package_can_hold_or_declares_twice_is_said() {
    let manifest = |plugins: &str| {
        let directory = directory();
        change(directory.path(), "manifest.yaml", "  models:\n    - provider/gemini.yaml", plugins);
        directory
    };
    let twice = manifest("  models:\n    - provider/gemini.yaml\n    - provider/again.yaml");
    copy(&twice.path().join("provider/gemini.yaml"), &twice.path().join("provider/again.yaml"));
    for (directory, expected) in [
        (twice, "provider/again.yaml declares provider `google`, which provider/gemini.yaml declares already"),
        (manifest("  tools:\n    - provider/gemini.yaml"), "provider/gemini.yaml: identity: is required and missing"),
        (
            manifest("  endpoints: [a.yaml]\n  triggers: [b.yaml]"),
            "plugins: endpoints can be in no package with others",
        ),
    ] {
        for arguments in [&["check"][..], &[]] {
            let output = run(directory.path(), arguments, &[], "");
            assert!(written(&output).contains(expected), "{arguments:?}: {}", written(&output));
            assert!(!output.status.success());
        }
    }
}

/// Whether the letters themselves, or what they would do, reached the terminal.
fn assert_shown(case: &str, output: &Output) {
    let text = written(output);
    let wrong = |letter: char| {
        (letter.is_control() && letter != '\n' && letter != '\t')
            || ('\u{202a}'..='\u{202e}').contains(&letter)
            || letter == '\u{2066}'
    };
    assert!(!text.contains(wrong), "{case}: {text:?}");
    assert!(text.contains("pwned"), "{case}: what was said is shown, escaped: {text}");
}

#[test]
fn nothing_that_others_say_moves_the_terminal() {
    let ours = directory();
    let try_at = |url: &str, more: &[&str]| {
        let base = format!("google_base_url={url}");
        let arguments = ["try", "hi", "--credential", "google_api_key=k", "--param", &base, "--param", "max_retries=0"];
        run(ours.path(), &[&arguments[..], more].concat(), &[], "")
    };
    let (good, _) = upstream("200 OK", answer(UNSAFE));
    assert_shown("a model's answer", &try_at(&good, &[]));
    let refusal = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": UNSAFE}}).to_string();
    let (bad, _) = upstream("400 Bad Request", refusal);
    assert_shown("an upstream's error", &try_at(&bad, &[]));
    let base = format!("google_base_url={bad}");
    let doctor = ["doctor", "--provider", "google", "--credential", "google_api_key=k", "--credential", &base];
    assert_shown("doctor", &run(ours.path(), &doctor, &[], ""));

    let request = json!({"provider": UNSAFE, "model": "m", "model_type": "llm"}).to_string();
    assert_shown("a provider's name", &run(ours.path(), &["invoke", "invoke_llm"], &[], &request));
    let request = json!({"provider": "google", "model": "gemini-3.5-flash", "model_type": "llm", "stream": false,
        "credentials": {"google_api_key": "k", "google_base_url": good}, "prompt_messages": [{"role": "user", "content": "x"}]});
    let output = run(ours.path(), &["invoke", "invoke_llm"], &[], &request.to_string());
    assert_shown("an item", &output);
    let item: Value = serde_json::from_slice(&output.stdout).expect("an item is JSON");
    assert!(item["delta"]["message"]["content"].as_str().unwrap().contains(UNSAFE), "which says the same");

    let traffic_store = tempfile::tempdir().unwrap();
    let there = traffic_store.path().join("tape");
    let _ = try_at(&good, &["--record", there.to_str().unwrap()]);
    assert_shown("a recording", &try_at(&good, &["--replay", there.to_str().unwrap()]));

    let hostile = directory();
    write(hostile.path(), &format!("models/gemini/llm/{UNSAFE}\nerror: forged.yaml"), "a: [");
    assert_shown("a file's name", &run(hostile.path(), &["check"], &[], ""));
    assert!(!written(&run(hostile.path(), &["check"], &[], "")).lines().any(|line| line.starts_with("error: forged")));
}

#[test]
fn a_package_speaks_for_itself_on_its_own_lines() {
    let manifest = json!({"author": "a", "name": format!("x\nsigned     yes{UNSAFE}"), "version": "0.1.0",
        "plugins": {"models": [format!("provider/{UNSAFE}.yaml\nsigned     yes")]}});
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.difypkg");
    let letter =
        |letter: char| if letter.is_ascii() { letter.to_string() } else { format!("\\u{:04x}", letter as u32) };
    let manifest: String = manifest.to_string().chars().map(letter).collect();
    std::fs::write(&path, archive(vec![entry("manifest.yaml", manifest.as_bytes())]).bytes()).unwrap();
    let output = run(directory.path(), &["inspect", path.to_str().unwrap()], &[], "");
    assert_shown("inspect", &output);
    let signed: Vec<String> =
        written(&output).lines().filter(|line| line.starts_with("signed")).map(str::to_owned).collect();
    assert_eq!(signed, ["signed     no"], "{}", written(&output));
}

#[test]
fn names_of_a_package_have_an_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.difypkg");
    let deep = |number: usize| format!("{}{number}", "a/".repeat(30_000));
    let long = |number: usize| format!("{number}{}", "a".repeat(32_000));
    for names in [(0..60).map(deep).collect::<Vec<_>>(), (0..3000).map(long).collect()] {
        let entries = names.iter().map(|name| entry(name, b"")).collect();
        std::fs::write(&path, archive(entries).bytes()).unwrap();
        let said = written(&run(directory.path(), &["inspect", path.to_str().unwrap()], &[], ""));
        assert!(said.contains("more than 1024"), "{said}");
    }
}

#[test]
fn an_archive_that_is_no_package_is_not_signed() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    assert!(run(directory.path(), &["keygen", "--out", "key"], &[], "").status.success());
    for (name, entries) in [
        ("empty.difypkg", vec![]),
        ("other.difypkg", vec![entry("hello.txt", b"hello")]),
        ("list.difypkg", vec![entry("manifest.yaml", b"[1]")]),
    ] {
        std::fs::write(at(name), archive(entries).bytes()).unwrap();
        let output =
            run(directory.path(), &["sign", &at(name), "--key", "key.private.pem", "--out", "signed"], &[], "");
        assert!(!output.status.success() && written(&output).contains("manifest.yaml"), "{name}: {}", written(&output));
        assert!(!directory.path().join("signed").exists());
    }
}
