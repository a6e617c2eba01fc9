//! Untrusted directories, packages and responses: what is read from them, where an API key is sent, and what reaches
//! the terminal.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::archives;
use archives::{archive, entry};
use serde_json::{Value, json};

const KEY: &str = "AIza-of-the-environment";

/// Unsafe output for a terminal: a title, a cleared screen, a C1 sequence, and bidirectional formatting.
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

/// Creates a plugin directory with Gemini only.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in ["provider", "models/gemini", "_assets", "README.md", "PRIVACY.md", "LICENSE"] {
        copy(&root.join(path), &directory.path().join(path));
    }
    let manifest = std::fs::read_to_string(root.join("manifest.yaml")).unwrap();
    let only = ["aigateway", "xinference", "gemini-agents", "openai_api_compatible"]
        .iter()
        .fold(manifest, |text, name| text.replace(&format!("    - provider/{name}.yaml\n"), ""));
    std::fs::write(directory.path().join("manifest.yaml"), only).unwrap();
    directory
}

/// Replaces a text in a file, which must contain it.
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
    // A process that still runs is killed; its output then lacks the expected text.
    let _ = child.kill();
    child.wait_with_output().unwrap()
}

fn output_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Starts an upstream that counts its connections and sends this response on each.
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

fn response(text: &str) -> String {
    json!([{"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}}])
    .to_string()
}

/// Form fields that decide where a request is sent.
const DESTINATIONS: [(&str, &str, &str); 2] =
    [("provider/_gemini.yaml", "  ", "google_base_url"), ("provider/_shared.yaml", "  - ", "proxy_url")];

#[test]
fn does_not_send_a_key_from_the_environment_where_only_the_directory_leads() {
    let request = r#"{"provider": "google", "model": "gemini-3.5-flash", "model_type": "llm",
        "prompt_messages": [{"role": "user", "content": "hi"}]}"#;
    let runs: [(&[&str], &str); 4] = [
        (&["try", "hi", "--model", "gemini-3.5-flash"], ""),
        (&["try", "hi", "--model", "my-own"], ""),
        (&["invoke", "invoke_llm"], request),
        (&["doctor", "--provider", "google"], ""),
    ];
    for (file, mark, field) in DESTINATIONS {
        let directory = directory();
        let (url, count) = upstream("200 OK", response("hello"));
        let variable = format!("\n{mark}variable: {field}\n");
        let indent = " ".repeat(mark.len());
        change(directory.path(), file, &variable, &format!("{variable}{indent}default: {url}\n"));
        change(directory.path(), "provider/_shared.yaml", "default: 'off'", "default: 'on'");
        for variable in ["GEMINI_API_KEY", "GOOGLE_API_KEY"] {
            for (arguments, input) in runs {
                let output = output_of(&run(directory.path(), arguments, &[(variable, KEY)], input));
                assert!(output.contains(&format!("{variable} is not sent")), "{field} {arguments:?}: {output}");
                assert!(!output.contains(KEY), "{output}");
            }
        }
        assert_eq!(count.load(Ordering::SeqCst), 0, "{field}: it was connected");
    }
    // The user may send the key to any URL.
    let (url, count) = upstream("200 OK", response("hello"));
    let base = format!("google_base_url={url}");
    let arguments = ["try", "hi", "--model", "gemini-3.5-flash", "--param", &base];
    let output = output_of(&run(directory().path(), &arguments, &[("GEMINI_API_KEY", KEY)], ""));
    assert!(output.contains("hello") && count.load(Ordering::SeqCst) == 1, "{output}");
}

#[test]
fn does_not_record_because_of_a_settings_file_in_the_directory() {
    let directory = directory();
    let traffic_store = directory.path().join("elsewhere");
    std::fs::write(directory.path().join(".env"), format!("DIFY_PLUGIN_RECORD={}\n", traffic_store.display())).unwrap();
    let output = output_of(&run(directory.path(), &["try", "hi"], &[], ""));
    assert!(output.contains("You asked") && !output.contains("recording") && !traffic_store.exists(), "{output}");
    let output = output_of(&run(
        directory.path(),
        &["try", "hi"],
        &[("DIFY_PLUGIN_RECORD", traffic_store.to_str().unwrap())],
        "",
    ));
    assert!(output.contains("recording upstream traffic"), "{output}");
    assert_eq!(std::fs::metadata(&traffic_store).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn check_package_and_stage_reject_paths_outside_the_directory() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.md"), "SECRET").unwrap();
    let absolute = outside.path().join("secret.md");
    let absolute = absolute.to_str().unwrap();
    // The line of the field, and its replacement.
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
            let output = output_of(&run(directory.path(), &["check"], &[], ""));
            assert!(output.contains("must be a path inside the package"), "{file} {field}{path}: {output}");
            let stage = directory.path().join("stage");
            let arguments = ["package", "--binary", "linux-amd64=README.md", "--target", "linux-amd64", "--stage"];
            let output = run(directory.path(), &[&arguments[..], &[stage.to_str().unwrap()]].concat(), &[], "");
            assert!(!output.status.success() && !stage.exists(), "{}", output_of(&output));
            assert!(!directory.path().join("dist").exists() && !output_of(&output).contains("SECRET"));
        }
    }
}

#[test]
fn does_not_package_links_to_outside_files() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.md"), "SECRET").unwrap();
    for name in ["LICENSE", "readme/README_zh_Hans.md"] {
        let directory = directory();
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&path);
        symlink(outside.path().join("secret.md"), &path).unwrap();
        let arguments = ["package", "--binary", "linux-amd64=README.md", "--target", "linux-amd64"];
        let output = output_of(&run(directory.path(), &arguments, &[], ""));
        assert!(output.contains("leads out"), "{name}: {output}");
    }
}

#[test]
fn reads_the_files_of_a_directory_within_limits() {
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
    for (name, change, expected) in changes {
        let directory = directory();
        change(directory.path());
        let output = run(directory.path(), &["check"], &[], "");
        let text = output_of(&output);
        assert!(text.contains(expected) && output.status.code() == Some(1), "{name}: {text}");
        assert!(!text.contains("passwd"), "{name}: {text}");
    }
    let directory = tempfile::tempdir().unwrap();
    assert!(Command::new("mkfifo").arg(directory.path().join("0001-a.json")).status().unwrap().success());
    let output = output_of(&run(
        self::directory().path(),
        &["try", "hi", "--replay", directory.path().to_str().unwrap()],
        &[],
        "",
    ));
    assert!(output.contains("not a regular file"), "{output}");
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
fn reports_invalid_or_duplicate_declarations() {
    let manifest = |plugins: &str| {
        let directory = directory();
        change(directory.path(), "manifest.yaml", "  models:\n    - provider/gemini.yaml", plugins);
        directory
    };
    let twice = manifest("  models:\n    - provider/gemini.yaml\n    - provider/again.yaml");
    copy(&twice.path().join("provider/gemini.yaml"), &twice.path().join("provider/again.yaml"));
    for (directory, expected) in [
        (twice, "provider/again.yaml declares provider `google`, which provider/gemini.yaml declares already"),
        (manifest("  tools:\n    - provider/gemini.yaml"), "is required but missing"),
        (
            manifest("  endpoints: [a.yaml]\n  triggers: [b.yaml]"),
            "plugins: endpoints can be in no package with others",
        ),
    ] {
        for arguments in [&["check"][..], &[]] {
            let output = run(directory.path(), arguments, &[], "");
            assert!(output_of(&output).contains(expected), "{arguments:?}: {}", output_of(&output));
            assert!(!output.status.success());
        }
    }
}

/// Asserts that the text reached the terminal without its unsafe characters.
fn assert_escaped(case: &str, output: &Output) {
    let text = output_of(output);
    let is_unsafe = |character: char| {
        (character.is_control() && character != '\n' && character != '\t')
            || ('\u{202a}'..='\u{202e}').contains(&character)
            || character == '\u{2066}'
    };
    assert!(!text.contains(is_unsafe), "{case}: {text:?}");
    assert!(text.contains("pwned"), "{case}: the escaped text is printed: {text}");
}

#[test]
fn untrusted_text_cannot_control_the_terminal() {
    let ours = directory();
    let try_at = |url: &str, more: &[&str]| {
        let base = format!("google_base_url={url}");
        let arguments = ["try", "hi", "--credential", "google_api_key=k", "--param", &base, "--param", "max_retries=0"];
        run(ours.path(), &[&arguments[..], more].concat(), &[], "")
    };
    let (working, _) = upstream("200 OK", response(UNSAFE));
    assert_escaped("a model's response", &try_at(&working, &[]));
    let rejection = json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": UNSAFE}}).to_string();
    let (failing, _) = upstream("400 Bad Request", rejection);
    assert_escaped("an upstream's error", &try_at(&failing, &[]));
    let base = format!("google_base_url={failing}");
    let doctor = ["doctor", "--provider", "google", "--credential", "google_api_key=k", "--credential", &base];
    assert_escaped("doctor", &run(ours.path(), &doctor, &[], ""));

    let request = json!({"provider": UNSAFE, "model": "m", "model_type": "llm"}).to_string();
    assert_escaped("a provider's name", &run(ours.path(), &["invoke", "invoke_llm"], &[], &request));
    let request = json!({"provider": "google", "model": "gemini-3.5-flash", "model_type": "llm", "stream": false,
        "credentials": {"google_api_key": "k", "google_base_url": working}, "prompt_messages": [{"role": "user", "content": "x"}]});
    let output = run(ours.path(), &["invoke", "invoke_llm"], &[], &request.to_string());
    assert_escaped("an item", &output);
    let item: Value = serde_json::from_slice(&output.stdout).expect("an item is JSON");
    assert!(item["delta"]["message"]["content"].as_str().unwrap().contains(UNSAFE), "the JSON value is unchanged");

    let traffic_store = tempfile::tempdir().unwrap();
    let there = traffic_store.path().join("recording");
    let _ = try_at(&working, &["--record", there.to_str().unwrap()]);
    assert_escaped("a recording", &try_at(&working, &["--replay", there.to_str().unwrap()]));

    let hostile = directory();
    write(hostile.path(), &format!("models/gemini/llm/{UNSAFE}\nerror: forged.yaml"), "a: [");
    assert_escaped("a file's name", &run(hostile.path(), &["check"], &[], ""));
    assert!(
        !output_of(&run(hostile.path(), &["check"], &[], "")).lines().any(|line| line.starts_with("error: forged"))
    );
}

#[test]
fn inspect_escapes_line_breaks_of_a_package() {
    let manifest = json!({"author": "a", "name": format!("x\nsigned     yes{UNSAFE}"), "version": "0.1.0",
        "plugins": {"models": [format!("provider/{UNSAFE}.yaml\nsigned     yes")]}});
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.difypkg");
    let escaped = |character: char| {
        if character.is_ascii() { character.to_string() } else { format!("\\u{:04x}", character as u32) }
    };
    let manifest: String = manifest.to_string().chars().map(escaped).collect();
    std::fs::write(&path, archive(vec![entry("manifest.yaml", manifest.as_bytes())]).bytes()).unwrap();
    let output = run(directory.path(), &["inspect", path.to_str().unwrap()], &[], "");
    assert_escaped("inspect", &output);
    let signed: Vec<String> =
        output_of(&output).lines().filter(|line| line.starts_with("signed")).map(str::to_owned).collect();
    assert_eq!(signed, ["signed     no"], "{}", output_of(&output));
}

#[test]
fn limits_the_length_of_entry_names() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.difypkg");
    let deep = |number: usize| format!("{}{number}", "a/".repeat(30_000));
    let long = |number: usize| format!("{number}{}", "a".repeat(32_000));
    for names in [(0..60).map(deep).collect::<Vec<_>>(), (0..3000).map(long).collect()] {
        let entries = names.iter().map(|name| entry(name, b"")).collect();
        std::fs::write(&path, archive(entries).bytes()).unwrap();
        let output = output_of(&run(directory.path(), &["inspect", path.to_str().unwrap()], &[], ""));
        assert!(output.contains("at most 1024"), "{output}");
    }
}

#[test]
fn does_not_sign_archives_that_are_not_packages() {
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
        assert!(
            !output.status.success() && output_of(&output).contains("manifest.yaml"),
            "{name}: {}",
            output_of(&output)
        );
        assert!(!directory.path().join("signed").exists());
    }
}
