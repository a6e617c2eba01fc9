//! The command line of a plugin that has tools and endpoints and no models: the same commands as for model providers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use crate::{elf, sample_plugins};
use dify_plugin::cli::{self, Program};
use dify_plugin::testing::Host;
use elf::elf;
use serde_json::json;

/// Set for the plugin, and absent for the test.
const PLUGIN: &str = "PROGRAM_PLUGIN";

/// Runs the plugin if this process is one.
pub fn plugin() -> Option<ExitCode> {
    std::env::var_os(PLUGIN)?;
    Some(cli::run(&Program {
        name: "weather",
        version: "0.1.0",
        about: "Forecasts for the tests",
        models: |_| Vec::new(),
        dialects: &[],
        plugin: sample_plugins::weather(),
    }))
}

pub const TESTS: &[(&str, fn())] = &[
    ("check_accepts_the_declarations", check_accepts_the_declarations),
    ("serves_a_host_over_standard_input", serves_a_host_over_standard_input),
    ("try_calls_a_tool", try_calls_a_tool),
    ("try_calls_an_endpoint", try_calls_an_endpoint),
    ("invoke_runs_any_action", invoke_runs_any_action),
    ("packages_all_declared_files", packages_all_declared_files),
    ("rejects_declarations_without_code", rejects_declarations_without_code),
    ("declare_updates_the_files", declare_updates_the_files),
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plugins/weather")
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.current_dir(directory).env(PLUGIN, "1").env("INSTALL_METHOD", "local");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(directory).args(arguments).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Returns standard output of a command that succeeds.
fn output(arguments: &[&str], input: &str) -> String {
    let output = run(&directory(), arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn check_accepts_the_declarations() {
    assert!(output(&["check"], "").contains("no problems found"));
}

fn serves_a_host_over_standard_input() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let host = Host::spawn(&mut tokio::process::Command::from(command(&directory()))).unwrap();
        let outputs = host.tool("forecast").provider("weather").parameter("place", "Riga").await.unwrap();
        // `days` has a default in the declaration.
        assert_eq!(outputs.text(), "Sunny in Riga for 2 (user-1)");
        let response = host.endpoint(http::Request::post("/echo").body("hello").unwrap()).await.unwrap();
        assert_eq!(&response.body()[..], b"POST /echo none hello");
        assert!(host.tool("forecast").await.unwrap_err().message.contains("provider"));
        assert_eq!(host.dropped_lines(), [] as [String; 0]);
        host.close_input();
        while !host.is_closed() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let failure = host.tool("forecast").provider("weather").await.unwrap_err();
        assert!(failure.is_of_dify() && failure.message.contains("closed its output"), "{failure}");
    });
}

fn try_calls_a_tool() {
    let text = output(&["try", "forecast", "--param", "place=Riga", "--param", "days=3"], "");
    assert!(text.starts_with("Sunny in Riga for 3 (terminal)\n"), "{text}");
    assert!(text.lines().any(|line| line.contains("\"temperature\"")), "{text}");
    let unknown = run(&directory(), &["try", "forcast"], "");
    let message = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(!unknown.status.success() && message.contains("the provider lists forecast, odd"), "{message}");
}

fn try_calls_an_endpoint() {
    let text = output(&["try", "--request", "POST /echo", "--body", "hello", "--credential", "token=t"], "");
    assert!(text.contains("POST /echo t hello"), "{text}");
    let invalid = run(&directory(), &["try", "--request", "/echo"], "");
    assert!(!invalid.status.success(), "{invalid:?}");
}

fn invoke_runs_any_action() {
    let fields = json!({"provider": "weather", "credentials": {"api_key": "good-key"}}).to_string();
    assert!(output(&["invoke", "validate_tool_credentials", "-"], &fields).contains("true"));
}

fn packages_all_declared_files() {
    let out = tempfile::tempdir().unwrap();
    let binary = out.path().join("weather");
    std::fs::write(&binary, elf(62, false)).unwrap();
    let binary = format!("linux-amd64={}", binary.display());
    let arguments = ["package", "--target", "linux-amd64", "--binary", &binary, "--out", out.path().to_str().unwrap()];
    output(&arguments, "");
    let package = std::fs::File::open(out.path().join("weather-0.1.0.difypkg")).unwrap();
    let archive = zip::ZipArchive::new(package).unwrap();
    let names: Vec<_> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    for name in [
        "manifest.yaml",
        "main.py",
        "requirements.txt",
        "provider/weather.yaml",
        "tools/forecast.yaml",
        "endpoints/weather.yaml",
        "_assets/icon.svg",
    ] {
        assert!(names.iter().any(|known| known == name), "{name} is missing: {names:?}");
    }
}

/// A copy of the plugin's files with a text replaced.
fn copy(from: &str, to: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["manifest.yaml", "provider/weather.yaml", "tools/forecast.yaml", "tools/odd.yaml", "_assets/icon.svg"]
        .into_iter()
        .chain(["endpoints/weather.yaml"])
    {
        let target = copy.path().join(file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        let text = std::fs::read_to_string(directory().join(file)).unwrap();
        std::fs::write(target, text.replace(from, to)).unwrap();
    }
    copy
}

fn rejects_declarations_without_code() {
    let copy = copy("name: odd", "name: even");
    let output = run(copy.path(), &[], "");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && message.contains("`even` is declared"), "{message}");
}

fn declare_updates_the_files() {
    let copy = copy("name: days\n    type: number", "name: days # of the forecast\n    type: string");
    let file = copy.path().join("tools/forecast.yaml");
    let before = std::fs::read_to_string(&file).unwrap();
    let run = |arguments: &[&str]| {
        let output = run(copy.path(), arguments, "");
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, printed, _) = run(&["check"]);
    let problem = "tools/forecast.yaml: parameters[1].type: parameter `days`: the code reads type `number`, found `string`; \
                   run `declare` (line 14)";
    let expected = "\
error[R020]: type: parameter `days`: the code reads type `number`, found `string`; run `declare`
  --> tools/forecast.yaml:14:11
   |
14 |     type: string
   |           ^^^^^^
   |
   = note: parameters[1].type of `days`

1 error, 0 warnings; for more about a code, run `check --explain R020`
";
    assert_eq!((code, printed.as_str()), (Some(1), expected));
    let (code, _, error) = run(&["package"]);
    assert!(code == Some(1) && error.contains("do not match the code") && error.contains(problem), "{error}");
    let (code, printed, _) = run(&["declare", "--check"]);
    let change = "tools/forecast.yaml: parameter `days`: `type` is now `number`\n";
    assert_eq!((code, printed), (Some(1), format!("{change}files that would change: 1; run `declare`\n")));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    assert_eq!(run(&["declare"]), (Some(0), change.to_owned(), String::new()));
    let expected = before.replace("type: string\n    default", "type: number\n    default");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
    for arguments in [&["declare", "--check"][..], &["declare"], &["declare", "--keep"]] {
        assert_eq!(run(arguments), (Some(0), "the YAML files match the code\n".to_owned(), String::new()));
    }
    assert_eq!(run(&["check"]).0, Some(0));
    let (code, _, error) = run(&["declare", "nowhere"]);
    assert!(code == Some(1) && error.contains("nowhere is not a directory"), "{error}");
}
