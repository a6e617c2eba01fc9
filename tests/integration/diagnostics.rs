//! What `check` prints: each code by at least one case, with the text that people read; the formats for programs; files that
//! are made to hurt; and the page about all codes.
//!
//! `UPDATE_GOLDEN=1 cargo test --test integration diagnostics` writes the expected texts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::support::{diagnostic_cases, kind_packages};
use diagnostic_cases::{CASES, directory, problems_of_code};
use dify_plugin::declare::diagnostic::{self, Diagnostic, Style, render, repeats};
use dify_plugin::declare::{self, Code, Problem};
use proptest::prelude::{Strategy, any, prop};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dify-plugin-runtime");

fn run(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("check").args(arguments).current_dir(directory).env_remove("NO_COLOR").output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The problems of a case: those of the files, or with the code of this executable.
fn lines(directory: &Path, code: Code) -> Vec<Value> {
    let is_of_program =
        matches!(code, Code::Unserved | Code::WrongFacts | Code::UnownedFacts | Code::UnusedFacts | Code::OddFacts);
    if is_of_program || (Code::Switch..=Code::LostText).contains(&code) {
        let output = run(directory, &["--all", "--format", "json"]);
        return stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    }
    let problems = problems_of_code(directory, code).unwrap_or_else(|| declare::check(directory));
    diagnostic::of(directory, &problems).iter().map(|diagnostic| json!(diagnostic)).collect()
}

#[test]
fn every_code_is_shown_as_written() {
    let mut shown = String::new();
    for case in CASES {
        let directory = directory(case);
        let found = lines(directory.path(), case.code);
        let of_code: Vec<&Value> = found.iter().filter(|line| line["code"] == case.code.text()).collect();
        assert!(!of_code.is_empty(), "{} {:?}: {found:#?}", case.code, case.changes);
        for line in &of_code {
            assert_eq!(line["severity"], case.code.severity().word());
        }
        writeln!(shown, "{}\n", of_code[0]["rendered"].as_str().unwrap()).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diagnostics.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    for (shown, expected) in shown.split("\n\n").zip(expected.split("\n\n")) {
        assert_eq!(shown, expected);
    }
    assert_eq!(shown, expected);
}

#[test]
fn every_code_has_a_case() {
    let tested: BTreeSet<Code> = CASES.iter().map(|case| case.code).collect();
    let left: Vec<&Code> = Code::ALL.iter().filter(|code| !tested.contains(code)).collect();
    assert!(left.is_empty(), "codes without a case: {left:?}");
}

#[test]
fn the_page_about_all_codes_is_the_one_that_the_command_writes() {
    let output = run(Path::new("."), &["--explain", "--markdown"]);
    let committed = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnostics.md")).unwrap();
    assert!(stdout(&output) == committed, "write docs/diagnostics.md again: check --explain --markdown");
}

#[test]
fn explains_codes_and_lists_them() {
    let here = Path::new(".");
    let listed = stdout(&run(here, &["--explain"]));
    assert_eq!(listed.lines().count(), Code::ALL.len());
    for code in Code::ALL {
        assert!(listed.lines().any(|line| line == format!("{code}  {}", code.title())), "{code}");
    }
    let explained = stdout(&run(here, &["--explain", "d012"]));
    assert!(explained.starts_with("D012: ") && explained.contains("Source: dify-plugin-daemon"), "{explained}");
    let unknown = run(here, &["--explain", "D912"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no code `D912` (did you mean `D012`?)"));
}

/// A package with an error that has a suggestion, one with two places, and a warning.
fn mistakes() -> tempfile::TempDir {
    diagnostic_cases::package(
        "models",
        &[
            ("provider/acme.yaml", "type: secret-input", "type: secret_input"),
            ("models/llm/acme-1.yaml", "model: acme-1", "model: acme-1\nmodel: acme-1"),
            ("models/llm/_position.yaml", "- acme-1", "- acme-1\n- 100%,\"a:b\""),
        ],
    )
}

#[test]
fn formats_for_programs() {
    let directory = mistakes();
    let short = run(directory.path(), &["--format", "short"]);
    assert_eq!(short.status.code(), Some(1));
    let expected = "\
models/llm/_position.yaml:1:3: warning[W036]: no model `acme-1` is declared
models/llm/_position.yaml:2:3: warning[W036]: no model `100%,\"a:b\"` is declared
models/llm/acme-1.yaml:2:1: error[D003]: `model` is here a second time; the daemon refuses the file
provider/acme.yaml:15:13: error[D012]: `type` must be one of text-input, secret-input, select, radio, switch, found \"secret_input\"
";
    assert_eq!(stdout(&short), expected);
    let lines = stdout(&run(directory.path(), &["--format", "json"]));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut keys: Vec<&str> = lines[0].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "advice",
            "code",
            "column",
            "end_column",
            "end_line",
            "file",
            "help",
            "line",
            "message",
            "path",
            "related",
            "rendered",
            "severity",
            "suggestion",
            "variable"
        ]
    );
    assert_eq!(
        lines[3]["suggestion"],
        json!({"replacement": "secret-input", "line": 15, "column": 13, "end_column": 25})
    );
    assert_eq!(lines[3]["variable"], "api_key");
    assert_eq!(
        lines[2]["related"],
        json!([{"message": "`model` is here first", "file": "models/llm/acme-1.yaml", "line": 1, "column": 1, "end_line": 1,
            "end_column": 6}])
    );
    let github = stdout(&run(directory.path(), &["--format", "github"]));
    let github: Vec<&str> = github.lines().collect();
    assert_eq!(
        github[1],
        "::warning file=models/llm/_position.yaml,line=2,endLine=2,col=3,endColumn=13,title=W036 a position of a model that does \
         not exist::no model `100%25,\"a:b\"` is declared"
    );
    assert!(
        github[2].starts_with("::error file=models/llm/acme-1.yaml,line=2,endLine=2,col=1,endColumn=6,title=D003 ")
    );
    // From another directory, files are found from there.
    let parent = directory.path().parent().unwrap();
    let name = directory.path().file_name().unwrap().to_str().unwrap();
    let elsewhere = stdout(&run(parent, &[name, "--format", "short"]));
    assert!(elsewhere.starts_with(&format!("{name}/models/llm/_position.yaml:1:3: ")), "{elsewhere}");
}

/// What code scanning demands of a document.
#[test]
fn sarif_has_what_code_scanning_needs() {
    for directory in [mistakes(), diagnostic_cases::package("models", &[("manifest.yaml", "label:", "lab\u{e4} l: [")])]
    {
        let document: Value = serde_json::from_str(&stdout(&run(directory.path(), &["--format", "sarif"]))).unwrap();
        assert_eq!(document["version"], "2.1.0");
        assert!(document["$schema"].as_str().unwrap().ends_with("sarif-2.1.0.json"));
        let run = &document["runs"][0];
        assert_eq!(run["columnKind"], "unicodeCodePoints");
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert_eq!(run["tool"]["driver"]["name"], "dify-plugin-runtime");
        for rule in rules {
            for key in ["shortDescription", "fullDescription", "help"] {
                assert!(!rule[key]["text"].as_str().unwrap().is_empty(), "{key}: {rule}");
            }
            assert!(["error", "warning"].contains(&rule["defaultConfiguration"]["level"].as_str().unwrap()));
        }
        let results = run["results"].as_array().unwrap();
        assert!(!results.is_empty());
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            let place = &result["locations"][0]["physicalLocation"];
            let uri = place["artifactLocation"]["uri"].as_str().unwrap();
            assert!(
                !uri.is_empty() && !uri.starts_with('/') && uri.bytes().all(|byte| byte.is_ascii_graphic()),
                "{uri}"
            );
            let number = |key: &str| place["region"][key].as_u64().unwrap();
            assert!(number("startLine") >= 1 && number("startColumn") >= 1);
            assert!((number("startLine"), number("startColumn")) <= (number("endLine"), number("endColumn")));
        }
    }
}

#[test]
fn exit_codes_are_the_documented_ones() {
    let (right, warned, wrong) = (
        diagnostic_cases::package("tools", &[]),
        diagnostic_cases::package("tools", &[("endpoints/hook.yaml", "path: /hook", "path: hook")]),
        diagnostic_cases::package("tools", &[("manifest.yaml", "version: 0.1.0", "version: one")]),
    );
    for (directory, arguments, code) in [
        (&right, &[][..], 0),
        (&right, &["--deny", "warnings"], 0),
        (&warned, &[], 0),
        (&warned, &["--format", "sarif"], 0),
        (&warned, &["--deny", "warnings"], 1),
        (&wrong, &[], 1),
        (&wrong, &["--format", "json"], 1),
        (&right, &["nowhere"], 2),
        (&right, &["--format", "xml"], 2),
        (&right, &["--markdown"], 2),
    ] {
        let output = run(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stdout(&output));
    }
    let last = |directory: &tempfile::TempDir| stdout(&run(directory.path(), &[])).lines().last().unwrap().to_owned();
    assert_eq!(last(&right), "1 tools, 2 endpoints: no problems found");
    assert_eq!(
        last(&warned),
        "1 tools, 2 endpoints: no errors, 1 warning; for more about a code, run `check --explain W042`"
    );
    assert_eq!(last(&wrong), "1 error, 0 warnings; for more about a code, run `check --explain D016`");
}

/// What no declaration avoids is reported upon request only.
#[test]
fn advice_is_given_upon_request() {
    let directory = diagnostic_cases::package("tools", &[]);
    let codes = |arguments: &[&str]| {
        let lines = stdout(&run(directory.path(), arguments));
        let code = |line: &str| serde_json::from_str::<Value>(line).unwrap()["code"].as_str().unwrap().to_owned();
        lines.lines().map(code).collect::<BTreeSet<String>>()
    };
    assert!(codes(&["--format", "json"]).is_empty());
    let all = codes(&["--format", "json", "--all"]);
    assert!(all.contains("W011") && all.contains("W017"), "{all:?}");
    for code in &all {
        assert!(Code::named(code).is_some_and(Code::is_advice), "{code}");
    }
    let denied = run(directory.path(), &["--deny", "warnings"]);
    assert!(denied.status.success());
}

/// A published plugin: its report for people, its problems for programs.
#[test]
fn formats_for_the_directory_of_a_published_plugin() {
    let directory = mistakes();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let people = run(elsewhere.path(), &["--from", path]);
    assert!(people.status.code() == Some(1) && String::from_utf8_lossy(&people.stderr).contains("contain errors"));
    let programs = run(elsewhere.path(), &["--from", path, "--format", "json"]);
    assert_eq!(programs.status.code(), Some(1));
    assert!(stdout(&programs).lines().any(|line| line.contains("\"D003\"")), "{}", stdout(&programs));
}

#[test]
fn colours_are_for_terminals_only() {
    let directory = mistakes();
    let is_styled = |arguments: &[&str]| stdout(&run(directory.path(), arguments)).contains('\u{1b}');
    assert!(!is_styled(&[]) && !is_styled(&["--color", "never"]) && is_styled(&["--color", "always"]));
}

#[test]
fn one_mistake_in_many_places_is_printed_once() {
    let many: String =
        (0..30).map(|index| format!("  - name: p{index}\n    type: strng\n    label: {{en_US: P}}\n")).collect();
    let directory = diagnostic_cases::package(
        "models",
        &[("models/llm/acme-1.yaml", "parameter_rules:\n", &format!("parameter_rules:\n{many}"))],
    );
    let found = diagnostic::of(directory.path(), &declare::check(directory.path()));
    let groups = repeats(&found);
    let group = groups.iter().find(|(first, _)| first.code == Code::NotAllowed).unwrap();
    assert_eq!(group.1.len(), 29);
    let text = render(group.0, &group.1, Style::Plain);
    let file = "models/llm/acme-1.yaml";
    assert!(text.contains(&format!("and 29 more: {file}:15, {file}:18, {file}:21, {file}:24, …")), "{text}");
    assert_eq!(text.matches("strng").count(), 2, "{text}");
}

/// Every problem of changed files has a place: its own, or that of what contains it.
#[test]
fn problems_of_changed_files_have_places() {
    let files: Vec<(&str, String)> = kind_packages::files("tools");
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let edits = prop::collection::vec((0..files.len(), any::<prop::sample::Index>(), 0..6_u8), 1..4);
    let changed = edits.prop_map(|edits| {
        let mut files = files.clone();
        for (file, at, edit) in edits {
            let lines: Vec<&str> = files[file].1.lines().collect();
            if lines.is_empty() {
                continue;
            }
            let chosen = at.index(lines.len());
            let line = lines[chosen];
            let new = match edit {
                0 => String::new(),
                1 => line.replace(": ", ": [1, 2] #"),
                2 => format!("{line}\n{line}"),
                3 => line.replace('e', "\u{e9}"),
                4 => line.replace(": ", ": {a: 1, \u{202e}: 2} #"),
                _ => line.replace(['{', '"'], ""),
            };
            let new: Vec<&str> = lines[..chosen]
                .iter()
                .copied()
                .chain([new.as_str()])
                .chain(lines[chosen + 1..].iter().copied())
                .collect();
            files[file].1 = new.join("\n");
        }
        files
    });
    runner
        .run(&changed, |files| {
            let directory = tempfile::tempdir().unwrap();
            for (path, text) in &files {
                let path = directory.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            let problems = declare::check(directory.path());
            let found = diagnostic::of(directory.path(), &problems);
            assert_eq!(found.len(), problems.len());
            for diagnostic in &found {
                let text = files.iter().find(|(path, _)| *path == diagnostic.file).map_or("", |(_, text)| text);
                assert_in_file(diagnostic, text);
                let rendered = render(diagnostic, &[], Style::Plain);
                let is_safe =
                    |character: char| character == '\n' || !(character.is_control() || character == '\u{202e}');
                assert!(rendered.chars().all(is_safe), "{rendered:?}");
            }
            Ok(())
        })
        .unwrap();
}

fn assert_in_file(diagnostic: &Diagnostic, text: &str) {
    let lines: Vec<&str> = text.split('\n').collect();
    for position in [diagnostic.start, diagnostic.end] {
        let line = lines.get(position.line - 1).unwrap_or_else(|| panic!("{diagnostic:?}"));
        assert!(position.column <= line.chars().count() + 1, "{diagnostic:?}: {line}");
    }
    assert!(diagnostic.start <= diagnostic.end, "{diagnostic:?}");
    // A member that is there, or whose parent is there, is not reported at the beginning of the file.
    if diagnostic.path.contains(['.', '[']) && lines.len() > 1 {
        let first = diagnostic.path.split(['.', '[']).next().unwrap();
        let is_there = lines.iter().any(|line| line.starts_with(&format!("{first}:")));
        assert!(!is_there || diagnostic.start.line > 1 || lines[0].starts_with(first), "{diagnostic:?}");
    }
}

/// Problems of a file that is made to hurt: they cost no more than the file, and none reaches the terminal as it is.
#[test]
fn hostile_files_are_shown_safely_and_soon() {
    let long = "x".repeat(900_000);
    let many: String = (0..20_000).map(|index| format!("  k{index}: 1\n")).collect();
    let cases = [
        ("a long value", format!("model_type: {long}\n")),
        ("a long line before", format!("{{a: {long}, model_type: x}}\n")),
        ("many unknown keys", format!("model_properties:\n{many}")),
        ("many wrong items", format!("features: [{}]\n", "a, ".repeat(100_000))),
        ("many repeated keys", "a: 1\n".repeat(50_000)),
        ("control characters", "model_type: \"\\e[31m\\x07\"\nmodel: \u{202e}\u{7f}\u{9b}\n".to_owned()),
        ("an escape sequence", "model_type: \u{1b}]0;pwned\u{7}\n".to_owned()),
        ("carriage returns", "model: a\r\nmodel_type: llmm\r\nlabel: x\r\n".to_owned()),
        ("a byte order mark", "\u{feff}model_type: llmm\n".to_owned()),
        ("tabs", "model:\ta\nmodel_type:\tllmm\n\tlabel: x\n".to_owned()),
        ("wide characters", format!("{}: 1\nmodel_type: 漢漢漢\n", "漢".repeat(200_000))),
        ("10 MB", "# c\n".repeat(2_500_000)),
        ("an open quote", format!("model: \"{long}\n")),
        ("deep", format!("a: {}", "[".repeat(100_000))),
    ];
    for (name, text) in cases {
        let directory = diagnostic_cases::package("models", &[]);
        std::fs::write(directory.path().join("models/llm/acme-1.yaml"), &text).unwrap();
        let start = Instant::now();
        let problems: Vec<Problem> = declare::check(directory.path());
        let found = diagnostic::of(directory.path(), &problems);
        let shown: String = repeats(&found).iter().map(|(first, more)| render(first, more, Style::Plain)).collect();
        let longest = shown.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(!found.is_empty() && longest < 2_000, "{name}: a line of {longest} characters");
        let is_unsafe = |character: char| character.is_control() && character != '\n' || character == '\u{202e}';
        assert!(!shown.contains(is_unsafe), "{name}: {shown:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn columns_are_those_of_editors_whatever_the_text() {
    for (text, line, column) in [
        ("\u{feff}model_type: llmm\n", 1, 13),
        ("model: a\r\nmodel_type: llmm\r\n", 2, 13),
        ("{漢漢: 1, model_type: llmm}\n", 1, 21),
        ("model_type:\tllmm\n", 1, 13),
    ] {
        let directory = diagnostic_cases::package("models", &[]);
        std::fs::write(directory.path().join("models/llm/acme-1.yaml"), text).unwrap();
        let found = diagnostic::of(directory.path(), &declare::check(directory.path()));
        let wrong = found.iter().find(|diagnostic| diagnostic.path == "model_type").unwrap();
        assert_eq!((wrong.start.line, wrong.start.column), (line, column), "{text:?}");
    }
}

#[test]
fn watch_checks_again_after_a_change() {
    use std::io::{BufRead, BufReader};
    let directory = diagnostic_cases::package("tools", &[]);
    let mut command = Command::new(PROGRAM);
    command.args(["check", "--watch", "--format", "human"]).current_dir(directory.path());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.next().unwrap(), "1 tools, 2 endpoints: no problems found");
    let manifest = directory.path().join("manifest.yaml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("version: 0.1.0", "version: first")).unwrap();
    assert!(lines.next().unwrap().starts_with("error[D016]"));
    child.kill().unwrap();
    child.wait().unwrap();
}
