//! Declarations without code, served from facts by a dialect: blocks, sidecars, what `check` names, and `--from` with the
//! directory of a published plugin.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use crate::echo_dialect::Echo;
use crate::{elf, written};
use dify_plugin::cli::{self, Program};
use dify_plugin::declare::{self, remote};
use dify_plugin::plugin::Plugin;
use elf::elf;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Set for the plugin, and absent for the test.
const PLUGIN: &str = "TAKE_OVER_PLUGIN";

/// Runs the plugin if this process is one.
pub fn plugin() -> Option<ExitCode> {
    std::env::var_os(PLUGIN)?;
    Some(cli::run(&Program {
        name: "echo",
        version: "0.1.0",
        about: "Answers for the tests",
        models: |_| Vec::new(),
        dialects: &[&Echo],
        plugin: Plugin::new(),
    }))
}

pub const TESTS: &[(&str, fn())] = &[
    ("check_names_what_is_wrong_with_facts", check_names_what_is_wrong_with_facts),
    ("facts_serve_a_declaration", facts_serve_a_declaration),
    ("a_start_with_wrong_facts_says_what_to_do", a_start_with_wrong_facts_says_what_to_do),
    ("facts_are_packaged_and_never_registered", facts_are_packaged_and_never_registered),
    ("check_from_reports_what_is_served", check_from_reports_what_is_served),
    ("contradictions_are_named_before_anything_is_written", contradictions_are_named_before_anything_is_written),
    ("package_from_writes_a_native_package", package_from_writes_a_native_package),
    ("try_from_calls_a_model", try_from_calls_a_model),
    ("debug_from_registers_all_plugins_of_one_process", debug_from_registers_all_plugins_of_one_process),
    ("facts_are_listed_and_printed", facts_are_listed_and_printed),
];

const MANIFEST: &str = "version: 0.0.7
type: plugin
author: maker
name: published
label: {en_US: Acme}
description: {en_US: Models of Acme}
icon: icon.svg
resource: {memory: 1048576, permission: {}}
plugins:
  models:
    - provider/acme.yaml
meta:
  version: 0.0.1
  arch: [amd64]
  runner: {language: python, version: '3.11', entrypoint: other}
created_at: 2026-01-01T00:00:00Z
";

const PROVIDER: &str = "provider: acme
label: {en_US: Acme}
supported_model_types: [llm, tts]
configurate_methods: [predefined-model]
provider_credential_schema:
  credential_form_schemas:
    - {variable: api_key, label: {en_US: Key}, type: secret-input, required: true}
    - {variable: endpoint_url, label: {en_US: URL}, type: text-input, required: false}
models:
  llm:
    position: models/llm/_position.yaml
    predefined:
      - models/llm/*.yaml
  tts:
    predefined:
      - models/tts/*.yaml
extra:
  python:
    provider_source: provider/acme.py
";

const FILES: &[(&str, &str)] = &[
    ("manifest.yaml", MANIFEST),
    ("provider/acme.yaml", PROVIDER),
    ("models/llm/_position.yaml", "- acme-chat\n- acme-draw\n"),
    (
        "models/llm/acme-chat.yaml",
        "model: acme-chat\nlabel: {en_US: Chat}\nmodel_type: llm\nmodel_properties: {mode: chat, context_size: 4096}\n",
    ),
    (
        "models/llm/acme-draw.yaml",
        "model: acme-draw\nlabel: {en_US: Draw}\nmodel_type: llm\nmodel_properties: {mode: chat, context_size: 4096}\n",
    ),
    (
        "models/tts/acme-say.yaml",
        "model: acme-say\nlabel: {en_US: Say}\nmodel_type: tts\nmodel_properties: {audio_type: mp3}\n",
    ),
    ("_assets/icon.svg", "<svg/>"),
    ("README.md", "# Acme\n"),
    ("main.py", "import dify_plugin\n"),
    ("provider/acme.py", "class Acme: pass\n"),
    ("models/llm/llm.py", "class Llm: pass\n"),
    ("pyproject.toml", "[project]\nname = 'published'\n"),
    ("requirements.txt", "dify_plugin\n"),
    ("uv.lock", "version = 1\n"),
];

/// The published plugin, with changes and further files.
fn published(changes: &[(&str, &str, &str)], more: &[(&str, &str)]) -> TempDir {
    let directory = written::directory(FILES, changes);
    for (path, text) in more {
        std::fs::write(directory.path().join(path), text).unwrap();
    }
    directory
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.current_dir(directory).env(PLUGIN, "1").env("INSTALL_METHOD", "local").args(arguments);
    command.stdin(Stdio::null()).output().unwrap()
}

/// Problems as one line each.
fn lines(json: &str) -> String {
    let line = |line: &str| {
        let problem: Value = serde_json::from_str(line).unwrap();
        let part = |key: &str| problem[key].as_str().unwrap();
        let warning = if part("severity") == "warning" { "warning: " } else { "" };
        let path = if part("path").is_empty() { String::new() } else { format!("{}: ", part("path")) };
        format!("{warning}{}: {path}{} (line {})\n", part("file"), part("message"), problem["line"])
    };
    json.lines().map(line).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a command that succeeds prints to standard output.
fn output(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What a command that fails prints.
fn failure(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

const GOOD: (&str, &str) = ("provider/acme.echo.yaml", "url: https://a.test\nanswer: hello\n");

type Changes<'a> = &'a [(&'a str, &'a str, &'a str)];
type More<'a> = &'a [(&'a str, &'a str)];

fn check_names_what_is_wrong_with_facts() {
    let block: Changes<'_> = &[("provider/acme.yaml", "extra:", "echo:\n  url: https://a.test\nextra:")];
    let wrong: Changes<'_> = &[("provider/acme.yaml", "extra:", "echo:\n  answer: a\n  url: ftp\nextra:")];
    let of_model: Changes<'_> = &[("models/llm/acme-chat.yaml", "model_type", "echo: {pitch: 3}\nmodel_type")];
    let cases: &[(&str, Changes<'_>, More<'_>, bool, &[&str])] = &[
        ("a block", block, &[], true, &["no problems found"]),
        ("a sidecar", &[], &[GOOD], true, &["no problems found"]),
        (
            "neither",
            &[],
            &[],
            false,
            &[
                "provider/acme.yaml: provider: nothing serves provider `acme`",
                "no block `echo:`",
                "docs/provider-file.md",
                "check --from",
                "(line 1)",
            ],
        ),
        ("a wrong block", wrong, &[], false, &["provider/acme.yaml: echo.url: must be a URL, found `ftp` (line 19)"]),
        (
            "a wrong sidecar",
            &[],
            &[("provider/acme.echo.yaml", "answer: a\nurl: ftp\nodd: 1\n")],
            false,
            &[
                "provider/acme.echo.yaml: odd: is not known (line 3)",
                "provider/acme.echo.yaml: url: must be a URL, found `ftp` (line 2)",
            ],
        ),
        ("no YAML", &[], &[("provider/acme.echo.yaml", "url: [\n")], false, &["provider/acme.echo.yaml: is not YAML"]),
        (
            "a list",
            &[],
            &[("provider/acme.echo.yaml", "- url\n")],
            false,
            &["provider/acme.echo.yaml: must be an object"],
        ),
        (
            "both",
            wrong,
            &[GOOD],
            true,
            &[
                "warning: provider/acme.yaml: echo: is not used, because provider/acme.echo.yaml is used instead (line 17)",
            ],
        ),
        (
            "a warning",
            &[],
            &[("provider/acme.echo.yaml", "url: https://a.test/\n")],
            true,
            &["warning: provider/acme.echo.yaml: url: ends with a slash (line 1)"],
        ),
        (
            "facts of another provider",
            &[],
            &[("provider/acme.echo.yaml", "url: https://a.test\nprovider: other\n")],
            false,
            &["provider/acme.echo.yaml: provider: is \"other\", but the provider is `acme` (line 2)"],
        ),
        (
            "a sidecar beside no provider",
            &[],
            &[GOOD, ("provider/other.echo.yaml", "url: https://a.test\n")],
            false,
            &[
                "provider/other.echo.yaml: belongs to provider/other.yaml, which the manifest does not list",
                "provider/acme.yaml",
            ],
        ),
        (
            "a sidecar for no dialect",
            &[],
            &[GOOD, ("provider/acme.other.yaml", "url: 1\n")],
            true,
            &["warning: provider/acme.other.yaml: is read by nothing: this executable has no dialect `other`"],
        ),
        (
            "a block of a model",
            of_model,
            &[GOOD],
            false,
            &["models/llm/acme-chat.yaml: echo.pitch: is not known (line 3)"],
        ),
        (
            "a sidecar is no model",
            &[("provider/acme.yaml", "- models/tts/*.yaml", "- provider/*.echo.yaml")],
            &[GOOD],
            true,
            &["`provider/*.echo.yaml` matches no model files"],
        ),
    ];
    for (name, changes, more, succeeds, expected) in cases {
        let directory = published(changes, more);
        let output = run(directory.path(), &["check", "--format", "json"]);
        let summary = run(directory.path(), &["check"]);
        let text = lines(&text(&output.stdout)) + &text(&output.stderr) + &text(&summary.stdout);
        assert_eq!(output.status.success(), *succeeds, "{name}: {text}");
        for expected in *expected {
            assert!(text.contains(expected), "{name}: `{expected}` is missing:\n{text}");
        }
    }
}

fn facts_serve_a_declaration() {
    let directory = published(&[], &[GOOD]);
    let printed = output(directory.path(), &["try", "hi", "--credential", "api_key=good"]);
    assert!(printed.starts_with("acme-chat: hello"), "{printed}");
    // A corrected field goes back, and only that; without a correction there is no member for it.
    for (key, expected) in [
        ("good", json!({"result": true})),
        ("moved", json!({"result": true, "credentials": {"endpoint_url": "https://a.test"}})),
    ] {
        let fields = json!({"provider": "acme", "credentials": {"api_key": key}}).to_string();
        std::fs::write(directory.path().join("call.json"), fields).unwrap();
        let printed = output(directory.path(), &["invoke", "validate_provider_credentials", "call.json"]);
        let item: Value = printed.lines().filter_map(|line| serde_json::from_str(line).ok()).next().unwrap();
        assert_eq!(item, expected, "{printed}");
    }
}

fn a_start_with_wrong_facts_says_what_to_do() {
    for (more, expected) in [
        (
            &[("provider/acme.echo.yaml", "url: ftp\n")][..],
            "provider/acme.echo.yaml: url: must be a URL, found `ftp` (line 1)",
        ),
        (&[][..], "add one (see docs/provider-file.md)"),
    ] {
        let directory = published(&[], more);
        let printed = failure(directory.path(), &[]);
        assert!(printed.contains(expected), "{printed}");
    }
}

fn facts_are_packaged_and_never_registered() {
    let changes: Changes<'_> = &[("provider/acme.yaml", "extra:", "echo:\n  url: https://unused.test\nextra:")];
    let directory = published(changes, &[GOOD]);
    let declarations = declare::load(directory.path()).unwrap();
    let registration = remote::registration(&declarations, &declarations.providers[0], remote::Identity::Own).unwrap();
    let sent = serde_json::to_string(&registration.declarations).unwrap() + &registration.manifest.to_string();
    assert!(!sent.contains("a.test") && !sent.contains("unused.test") && !sent.contains("echo"), "{sent}");
    assert!(sent.contains("acme-chat"), "{sent}");
    let files = package(directory.path(), &["--dir", "."]);
    assert_eq!(files["provider/acme.echo.yaml"], GOOD.1);
    assert!(files["provider/acme.yaml"].contains("unused.test"));
}

/// The files of the package that a command writes.
fn package(directory: &Path, arguments: &[&str]) -> BTreeMap<String, String> {
    let out = tempfile::tempdir().unwrap();
    std::fs::write(out.path().join("echo"), elf(62, false)).unwrap();
    let binary = format!("linux-amd64={}", out.path().join("echo").display());
    let target = out.path().join("out");
    let fixed = ["package", "--target", "linux-amd64", "--binary", &binary, "--out", target.to_str().unwrap()];
    output(directory, &[&fixed[..], arguments].concat());
    let written: Vec<_> = std::fs::read_dir(&target).unwrap().flatten().collect();
    assert_eq!(written.len(), 1);
    let mut archive = zip::ZipArchive::new(std::fs::File::open(written[0].path()).unwrap()).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let mut files = BTreeMap::new();
    for name in names {
        let mut bytes = Vec::new();
        archive.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
        files.insert(name, text(&bytes));
    }
    files
}

fn check_from_reports_what_is_served() {
    let directory = published(&[], &[]);
    let path = directory.path().to_str().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let printed = output(elsewhere.path(), &["check", "--from", path]);
    for line in [
        "acme: maker/published 0.0.7",
        "  facts: the table of this executable (`facts published` prints them)",
        "  served natively: llm: 1 of 2 declared models",
        "  not served: tts: it speaks another protocol",
        "  not served: llm acme-draw: it draws",
        "all of the plugin but what is named above (2 declared models) is served natively",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "`{line}` is missing:\n{printed}");
    }
    // The directory has facts of its own, and an option has others.
    std::fs::write(directory.path().join(GOOD.0), GOOD.1).unwrap();
    let printed = output(elsewhere.path(), &["check", "--from", path]);
    assert!(
        printed.contains("facts: provider/acme.echo.yaml") && printed.contains("the whole plugin is served"),
        "{printed}"
    );
    std::fs::write(elsewhere.path().join("f.yaml"), "echo:\n  url: https://b.test\n  left_out: {llm: no, tts: no}\n")
        .unwrap();
    let printed = failure(elsewhere.path(), &["check", "--from", path, "--facts", "f.yaml"]);
    assert!(printed.contains("facts: f.yaml") && printed.contains("not served: llm: no"), "{printed}");
}

fn contradictions_are_named_before_anything_is_written() {
    let odd: Changes<'_> = &[("provider/acme.yaml", "provider: acme", "provider: odd")];
    let unknown: Changes<'_> = &[("provider/acme.yaml", "provider: acme", "provider: unheard")];
    let cases: &[(&str, Changes<'_>, Option<&str>, &[&str])] = &[
        ("not served", odd, None, &["`odd` is not served natively: it has an API of its own"]),
        ("not known", unknown, None, &["no facts about provider `unheard`", "--facts FILE"]),
        (
            "another provider",
            &[],
            Some("url: https://a.test\nprovider: other\n"),
            &["f.yaml: provider: is \"other\"", "(line 2)"],
        ),
        (
            "a model that is not declared",
            &[],
            Some("url: https://a.test\nonly:\n  - acme-chat\n  - gone\n"),
            &["f.yaml: only[1]: matches no model (line 4)"],
        ),
        ("no URL", &[], Some("url: nowhere\n"), &["f.yaml: url: must be a URL, found `nowhere` (line 1)"]),
        ("an unknown key", &[], Some("url: https://a.test\nurll: x\n"), &["f.yaml: urll: is not known (line 2)"]),
        ("no YAML", &[], Some("url: [\n"), &["f.yaml is not YAML"]),
        (
            "wrong declarations",
            &[("provider/acme.yaml", "[predefined-model]", "[sometimes]")],
            None,
            &["contain errors", "configurate_methods"],
        ),
        ("no plugin", &[("manifest.yaml", "provider/acme.yaml", "provider/gone.yaml")], None, &["provider/gone.yaml"]),
    ];
    for (name, changes, facts, expected) in cases {
        let directory = published(changes, &[]);
        let scratch = tempfile::tempdir().unwrap();
        let mut options = vec!["--from", directory.path().to_str().unwrap()];
        if let Some(facts) = facts {
            std::fs::write(scratch.path().join("f.yaml"), facts).unwrap();
            options.extend(["--facts", "f.yaml"]);
        }
        for command in [&["check"][..], &["package", "--out", "out"], &["try", "hi"]] {
            let printed = failure(scratch.path(), &[command, &options].concat());
            for expected in *expected {
                assert!(printed.contains(expected), "{name} {command:?}: `{expected}` is missing:\n{printed}");
            }
            assert!(!scratch.path().join("out").exists(), "{name} {command:?}");
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    assert!(failure(scratch.path(), &["check", "--from", "gone"]).contains("not a plugin's directory"));
}

fn package_from_writes_a_native_package() {
    let directory = published(&[], &[]);
    let path = directory.path().to_str().unwrap();
    let before = snapshot(directory.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let files = package(elsewhere.path(), &["--from", path]);
    assert_eq!(snapshot(directory.path()), before, "the published directory is not changed");
    let names: Vec<&str> = files.keys().map(String::as_str).filter(|name| !name.starts_with("wheels/")).collect();
    assert_eq!(
        names,
        [
            "LICENSE",
            "NOTICE.md",
            "README.md",
            "_assets/icon.svg",
            "main.py",
            "manifest.yaml",
            "models/llm/_position.yaml",
            "models/llm/acme-chat.yaml",
            "provider/acme.echo.yaml",
            "provider/acme.yaml",
            "requirements.txt",
            "uv.toml",
        ]
    );
    assert!(!files["main.py"].contains("import dify_plugin") && !files["requirements.txt"].contains("dify_plugin"));
    assert_eq!(
        files["provider/acme.echo.yaml"],
        "# What the echo needs.\nprovider: acme\nurl: https://api.acme.test/v1\nanswer: from the table\n"
    );
    assert_eq!(files["models/llm/acme-chat.yaml"], FILES[3].1);
    let position: Value = serde_yaml::from_str(&files["models/llm/_position.yaml"]).unwrap();
    assert_eq!(position, json!(["acme-chat"]));
    assert!(!files["provider/acme.yaml"].contains("tts"), "{}", files["provider/acme.yaml"]);
    let manifest: Value = serde_yaml::from_str(&files["manifest.yaml"]).unwrap();
    assert_eq!(manifest["author"], "maker");
    assert_eq!(manifest["name"], "published");
    assert_eq!(manifest["version"], "0.0.7");
    assert_eq!(manifest["meta"]["runner"], json!({"language": "python", "version": "3.12", "entrypoint": "main"}));
    assert!(files["LICENSE"].contains("Apache License"));
    for expected in
        ["`maker/published` 0.0.7", "Removed from provider `acme`: llm acme-draw: it draws", "tts: it speaks"]
    {
        assert!(files["NOTICE.md"].contains(expected), "`{expected}` is missing:\n{}", files["NOTICE.md"]);
    }
    // Nothing is left out: the provider's file is the published one. Its licence is its own.
    std::fs::write(directory.path().join("LICENSE"), "My licence\n").unwrap();
    std::fs::write(elsewhere.path().join("f.yaml"), GOOD.1).unwrap();
    let options = ["--from", path, "--facts", "f.yaml", "--author", "me", "--name", "own"];
    let files = package(elsewhere.path(), &options);
    assert_eq!(files["provider/acme.yaml"], PROVIDER);
    assert_eq!(files["LICENSE"], "My licence\n");
    let manifest: Value = serde_yaml::from_str(&files["manifest.yaml"]).unwrap();
    assert_eq!((&manifest["author"], &manifest["name"]), (&json!("me"), &json!("own")));
    for (more, expected) in [
        (&[][..], "installing it replaces that plugin, and apps and stored credentials stay"),
        (&["--name", "own"][..], "the package has the ID maker/own instead of maker/published"),
        (&["--author", "not valid!"][..], "author"),
    ] {
        let printed =
            run(elsewhere.path(), &[&["package", "--target", "linux-amd64", "--from", path][..], more].concat());
        assert!(text(&printed.stderr).contains(expected), "`{expected}` is missing:\n{}", text(&printed.stderr));
    }
}

/// All files of a directory.
fn snapshot(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |path: &str| (path.to_owned(), std::fs::read(directory.join(path)).unwrap());
    FILES.iter().map(|(path, _)| read(path)).collect()
}

fn try_from_calls_a_model() {
    let directory = published(&[], &[]);
    let path = directory.path().to_str().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let printed = output(elsewhere.path(), &["try", "hi", "--from", path, "--credential", "api_key=good"]);
    assert!(printed.starts_with("acme-chat: from the table"), "{printed}");
}

fn debug_from_registers_all_plugins_of_one_process() {
    let other: Changes<'_> = &[
        ("manifest.yaml", "name: published", "name: second"),
        ("provider/acme.yaml", "provider: acme", "provider: second"),
    ];
    let (first, second) = (published(&[], &[]), published(other, &[GOOD]));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(PLUGIN, "1")
        .args(["debug", "--key", "k", "--url", &format!("127.0.0.1:{port}")])
        .args(["--from".as_ref(), first.path().as_os_str(), "--from".as_ref(), second.path().as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut registered = BTreeMap::new();
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut name = String::new();
        loop {
            let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            match line["type"].as_str() {
                Some("manifest_declaration") => name = line["data"]["name"].as_str().unwrap().to_owned(),
                Some("end") => break,
                _ => {}
            }
        }
        let provider = if name == "second-debug" { "second" } else { "acme" };
        let request = json!({"session_id": "s", "event": "request", "data": {
            "user_id": "u", "type": "model", "action": "invoke_llm", "provider": provider, "model": "acme-chat",
            "model_type": "llm", "credentials": {"api_key": "good"}, "model_parameters": {}, "tools": [], "stop": [],
            "prompt_messages": [{"role": "user", "content": "hi"}], "stream": false}});
        writeln!(stream, "{request}").unwrap();
        let answer = loop {
            let line = lines.next().unwrap().unwrap();
            if line.contains("acme-chat: ") {
                break line;
            }
            assert!(!line.contains("\"type\":\"error\""), "{line}");
        };
        registered.insert(name, answer);
    }
    let _ = child.kill();
    let _ = child.wait();
    assert!(registered["published-debug"].contains("acme-chat: from the table"), "{registered:?}");
    assert!(registered["second-debug"].contains("acme-chat: hello"), "{registered:?}");
}

fn facts_are_listed_and_printed() {
    let here = tempfile::tempdir().unwrap();
    let list = output(here.path(), &["facts"]);
    assert_eq!(
        list,
        "odd: not served natively: it has an API of its own\n\
         published (provider acme): served natively but acme-draw: it draws; tts: it speaks another protocol\n"
    );
    assert!(output(here.path(), &["facts", "published"]).starts_with("# What the echo needs.\nprovider: acme\n"));
    assert!(output(here.path(), &["facts", "acme"]).contains("provider: acme"));
    assert!(failure(here.path(), &["facts", "odd"]).contains("it has an API of its own"));
    assert!(failure(here.path(), &["facts", "publshed"]).contains("did you mean `published`?"));
    let page = output(here.path(), &["facts", "--markdown"]);
    let served =
        "| `published` | published | `acme` |  | `acme-draw`: it draws<br>`tts`: it speaks another protocol |\n";
    assert!(page.contains(served), "{page}");
    assert!(page.contains("| `odd` | odd | `odd` |  | it has an API of its own |\n"), "{page}");
    let keys = output(here.path(), &["facts", "--keys"]);
    assert!(keys.contains("| `url` | text |  | Where. |"), "{keys}");
}
