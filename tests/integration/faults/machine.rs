//! The machine's limits: descriptors, memory, a full disk, a read-only directory.

use std::path::Path;
use std::process::Command as Builder;
use std::time::Instant;

use serde_json::json;
use tokio::process::Command;

use super::plugin::{EXECUTABLE, Plugin, healthy, llm};
use super::table::Table;

#[tokio::test]
async fn under_a_limit_every_session_ends_and_the_next_one_succeeds() {
    let mut table = Table::new("machine-limits");
    for (fault, limits, sessions) in [
        ("24 file descriptors, 200 sessions", "ulimit -n 24;", 200),
        ("1 GB of address space, 1000 sessions", "ulimit -v 1048576;", 1000),
        ("no file may be written, 20 sessions", "ulimit -f 0;", 20),
    ] {
        let upstream = healthy().await;
        let mut plugin = Plugin::start(limits);
        let seen = plugin.many(sessions, &upstream.url).await;
        let peak = plugin.peak();
        match limits {
            "ulimit -n 24;" => assert!(seen.answered > 0 && seen.report.contains("Too many open files"), "{seen:?}"),
            _ => assert_eq!(seen.answered, sessions, "{fault}: {seen:?}"),
        }
        table.row(fault, &seen.lost(), &seen.report, seen.took, peak);
        plugin.neighbor(&upstream, fault).await;
        plugin.finish().await;
    }
    table.write();
}

#[tokio::test]
async fn a_line_without_memory_ends_its_session_only() {
    let upstream = healthy().await;
    let mut plugin = Plugin::start("ulimit -v 262144;");
    plugin.neighbor(&upstream, "before the line").await;
    let request = llm("large", &upstream.url, &json!({}));
    plugin.send(&request[..request.len() / 2]).await;
    for _ in 0..200 {
        plugin.send(vec![b'x'; 1 << 20]).await;
    }
    plugin.send("\n").await;
    let outcome = plugin.outcomes(&["large"]).await.remove(0);
    assert!(outcome.message().contains("too large"), "{outcome:?}");
    let mut table = Table::new("machine-memory");
    table.outcome("256 MB of address space, a request of 200 MB", &outcome, &plugin);
    plugin.neighbor(&upstream, "after the line").await;
    plugin.finish().await;
    table.write();
}

/// Script that makes the directory `$0` a full disk.
const FULL: &str = r#"mount -t tmpfs -o size=64k tmpfs "$0" || exit 99; cat /dev/zero 2>&- > "$0/filling"; exec "$@""#;

/// Script that makes the directory `$0` and the checkout read-only.
const READ_ONLY: &str = r#"mount --bind . . && mount -o remount,bind,ro . && cd "$PWD" && mount -t tmpfs -o ro tmpfs "$0" ||
    exit 99; exec "$@""#;

/// Script that runs the executable with its log in its home directory.
const LOGGED: [&str; 4] = ["sh", "-c", r#"exec "$0" 2>> "$HOME/log""#, EXECUTABLE];

/// Runs a program whose home is the directory, in a namespace of its own with other file systems.
fn elsewhere(script: &str, directory: &Path, program: &[&str]) -> Builder {
    let mut command = Builder::new("unshare");
    command.args(["-Urm", "sh", "-c", script]).arg(directory).args(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("HOME", directory).env("TMPDIR", directory);
    command
}

#[tokio::test]
async fn a_full_disk_does_not_affect_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let permitted =
        |script| elsewhere(script, directory.path(), &["true"]).status().is_ok_and(|status| status.success());
    let mut cases = Vec::new();
    if permitted(FULL) && permitted(READ_ONLY) {
        cases.push(("a full disk (tmpfs) as home, its log too", elsewhere(FULL, directory.path(), &LOGGED)));
        cases.push(("home and plugin directory read-only", elsewhere(READ_ONLY, directory.path(), &[EXECUTABLE])));
    }
    let mut command = Builder::new("sh");
    command.args(["-c", "exec \"$0\" 2> /dev/full", EXECUTABLE]);
    cases.push(("a log on a full disk (/dev/full)", command));
    let mut table = Table::new("machine-disk");
    for (fault, command) in cases {
        let upstream = healthy().await;
        let mut plugin = Plugin::spawn(Command::from(command));
        // Which is logged, at the level that the suite asks for.
        plugin.send("{oops\n").await;
        let seen = plugin.many(20, &upstream.url).await;
        assert_eq!(seen.answered, 20, "{fault}: {seen:?}");
        table.row(fault, &seen.lost(), &seen.report, seen.took, plugin.peak());
        plugin.finish().await;
    }
    table.write();
}

#[test]
fn reports_write_errors_and_leaves_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys");
    let keygen = [EXECUTABLE, "keygen", "--out", keys.to_str().unwrap()];
    // The remaining files are listed after the command.
    let listed = [&["sh", "-c", r#""$@"; code=$?; ls -A "$HOME"; exit $code"#, "sh"][..], &keygen].concat();
    let mut table = Table::new("machine-files");
    let cases = [
        ("`keygen` on a full disk (tmpfs)", FULL, "No space left on device", "filling\n"),
        ("`keygen` in a read-only directory", READ_ONLY, "Read-only file system", ""),
    ];
    for (fault, script, word, left) in cases {
        let start = Instant::now();
        let ended = elsewhere(script, directory.path(), &listed).output();
        let Ok(ended) = ended.map(|ended| (ended.status.code(), text(&ended.stdout), text(&ended.stderr))) else {
            return;
        };
        // A machine that permits no namespace says so by another code.
        let (Some(1), listing, output) = ended else { return };
        if output.contains("unshare") {
            return;
        }
        assert!(output.contains(word) && output.contains("keys.private.pem"), "{fault}: {output}");
        assert_eq!(listing, left, "{fault}");
        let output = output.replace(directory.path().to_str().unwrap(), "DIRECTORY");
        table.row(fault, "the command, exit code 1", output.trim(), start.elapsed(), None);
    }
    table.write();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_full_standard_output_ends_the_process_with_the_reason() {
    let upstream = healthy().await;
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" > /dev/full", EXECUTABLE]);
    let mut plugin = Plugin::spawn(command);
    let start = Instant::now();
    plugin.send(llm("lost", &upstream.url, &json!({}))).await;
    let (code, log) = plugin.failure().await;
    assert!(code == Some(1) && log.contains("No space left on device"), "{code:?}: {log}");
    let mut table = Table::new("machine-output");
    let output = log.lines().last().unwrap_or_default();
    let fault = "standard output on a full disk (/dev/full)";
    table.row(fault, "the process, exit code 1", output, start.elapsed(), None);
    table.write();
}
