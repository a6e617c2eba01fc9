//! `try` for every kind of plugin: agent strategies with scripted responses of Dify, datasources, triggers, OAuth, options and
//! credentials.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use crate::sample_packages;
use serde_json::{Value, json};

/// Set to the name of the plugin, and absent for the test.
const PLUGIN: &str = "TRY_KINDS_PLUGIN";

/// Runs the plugin if this process is one.
pub fn plugin() -> Option<ExitCode> {
    let name = std::env::var(PLUGIN).ok()?;
    Some(sample_packages::plugin(&name)?.run())
}

pub const TESTS: &[(&str, fn())] = &[
    ("a_strategy_runs_with_scripted_responses", a_strategy_runs_with_scripted_responses),
    ("a_call_without_a_response_names_the_option", a_call_without_a_response_names_the_option),
    ("responses_can_be_typed_at_the_terminal", responses_can_be_typed_at_the_terminal),
    ("invoke_answers_calls_too", invoke_answers_calls_too),
    ("a_name_finds_its_kind", a_name_finds_its_kind),
    ("datasources_of_every_type_are_called", datasources_of_every_type_are_called),
    ("files_are_saved", files_are_saved),
    ("a_webhook_goes_through_the_dispatcher_to_its_events", a_webhook_goes_through_the_dispatcher_to_its_events),
    ("subscriptions_are_kept_in_files", subscriptions_are_kept_in_files),
    ("oauth_goes_from_the_url_to_credentials", oauth_goes_from_the_url_to_credentials),
    ("options_of_parameters_are_listed", options_of_parameters_are_listed),
    ("credentials_have_one_source", credentials_have_one_source),
    ("completions_name_the_executable_and_its_commands", completions_name_the_executable_and_its_commands),
];

/// A run of the plugin.
struct Run<'a> {
    plugin: &'static str,
    directory: &'a Path,
    environment: Vec<(&'static str, &'static str)>,
}

impl<'a> Run<'a> {
    fn of(plugin: &'static str, directory: &'a Path) -> Self {
        Self { plugin, directory, environment: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .current_dir(self.directory)
            .env_clear()
            .env(PLUGIN, self.plugin)
            .envs(self.environment.iter().copied())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that fails early does not read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Standard output and standard error of a command that succeeds.
    fn succeeds(&self, arguments: &[&str]) -> (String, String) {
        let output = self.run(arguments, "");
        let (out, log) = texts(&output);
        assert!(output.status.success(), "{arguments:?}: {out}{log}");
        (out, log)
    }

    /// Standard error of a command that fails.
    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, "");
        let (out, log) = texts(&output);
        assert!(!output.status.success(), "{arguments:?}: {out}{log}");
        log
    }
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn a_strategy_runs_with_scripted_responses() {
    let directory = sample_packages::agent();
    let agent = Run::of("agent", directory.path());
    for (arguments, expected) in [
        (&["try", "solve", "--param", "query=Why?", "--llm", "Because."][..], "Because.\n"),
        (&["try", "solve", "--param", "query=5", "--llm", "5", "--llm", "unused"], "5\n"),
        (
            &[
                "try",
                "solve",
                "--param",
                "query=Why?",
                "--param",
                "model=acme/models/acme/gpt",
                "--answer",
                r#"llm={"text": "I ask.", "tool_calls": [{"name": "forecast"}]}"#,
                "--answer",
                "llm=Sunny.",
                "--answer",
                "tool=sun",
            ],
            "I ask. [sun] Sunny.\n",
        ),
    ] {
        let (out, log) = agent.succeeds(arguments);
        assert_eq!(out, expected, "{log}");
        assert!(log.contains("used 7 tokens, price 0.01 USD"), "{log}");
    }
    fs::write(directory.path().join("a.yaml"), "llm:\n  - tool_calls: [{name: forecast}]\n  - Done.\ntool: rain\n")
        .unwrap();
    let (out, _) = agent.succeeds(&["try", "solve", "--param", "query=Why?", "--answers", "a.yaml"]);
    assert_eq!(out, " [rain] Done.\n");
    let (out, _) = agent.succeeds(&["try", "solve", "--param", "query=Why?", "--llm", "x", "--json"]);
    let types: Vec<Value> =
        out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["data"]["type"].clone()).collect();
    let count = |kind: &str| types.iter().filter(|found| **found == kind).count();
    assert_eq!((count("invoke"), count("stream"), types.last()), (3, 2, Some(&json!("end"))), "{types:?}");
}

fn a_call_without_a_response_names_the_option() {
    let directory = sample_packages::agent();
    let agent = Run::of("agent", directory.path());
    for (arguments, expected) in [
        (&["try", "solve", "--param", "query=Why?"][..], "pass --llm TEXT"),
        (
            &["try", "solve", "--param", "query=Why?", "--answer", r#"llm={"tool_calls": [{"name": "x"}]}"#],
            "--answer tool=VALUE",
        ),
        (&["try", "solve"], "parameter `query` is required but missing"),
        (&["try", "solve", "--param", "query=x", "--answer", "lm=x"], "did you mean `llm`?"),
        (&["try", "solve", "--param", "query=x", "--param", "model=gpt"], "PROVIDER/MODEL"),
    ] {
        let log = agent.fails(arguments);
        assert!(log.contains(expected), "{arguments:?}: {log}");
    }
}

fn responses_can_be_typed_at_the_terminal() {
    let directory = sample_packages::agent();
    let agent = Run::of("agent", directory.path());
    let arguments = ["try", "solve", "--param", "query=Why?", "--ask"];
    let output = agent.run(&arguments, "{\"tool_calls\": [{\"name\": \"x\"}]}\nrain\nTyped.\n");
    let (out, log) = texts(&output);
    assert_eq!(out, " [rain] Typed.\n", "{log}");
    assert!(log.contains("the plugin calls `llm`") && log.contains("Why?"), "{log}");
    assert!(!agent.run(&arguments, "").status.success());
}

fn invoke_answers_calls_too() {
    let directory = sample_packages::agent();
    let request = json!({"agent_strategy_provider": "solver", "agent_strategy": "solve", "agent_strategy_params":
        {"query": "Why?", "rounds": 2, "tools": [], "model": {"provider": "a", "model": "b", "mode": "chat"}}});
    fs::write(directory.path().join("request.json"), request.to_string()).unwrap();
    let agent = Run::of("agent", directory.path());
    let (out, _) = agent.succeeds(&["invoke", "invoke_agent_strategy", "request.json", "--llm", "Because."]);
    assert!(out.starts_with(r#"{"type":"text","message":{"text":"Because."}"#), "{out}");
}

fn a_name_finds_its_kind() {
    let (agent, drive, triggers) =
        (sample_packages::agent(), sample_packages::sources("online_drive"), sample_packages::triggers());
    let weather = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plugins/weather");
    for (plugin, directory, arguments, expected) in [
        (
            "weather",
            weather.as_path(),
            &["try", "forcast"][..],
            "unknown tool `forcast` (did you mean `forecast`?); the provider lists forecast, odd",
        ),
        ("weather", &weather, &["try"], "name the tool to call: forecast, odd"),
        ("weather", &weather, &["try", "forecast", "--request", "GET /echo"], "endpoints have no names"),
        ("agent", agent.path(), &["try", "Solv"], "unknown agent strategy `Solv` (did you mean `solve`?)"),
        ("agent", agent.path(), &["try"], "name the agent strategy to call: solve, fan"),
        ("agent", agent.path(), &["try", "--validate"], "no provider with credentials"),
        ("agent", agent.path(), &["try", "--request", "GET /"], "neither endpoints nor triggers"),
        ("sources", drive.path(), &["try"], "name the datasource to call: site, notes, drive"),
        ("sources", drive.path(), &["try", "drive", "--page", "p"], "--page is for online documents"),
        ("triggers", triggers.path(), &["try", "push"], "--request"),
        (
            "triggers",
            triggers.path(),
            &["try", "pull", "--request", "POST /"],
            "unknown event `pull` (did you mean `push`?)",
        ),
        ("triggers", triggers.path(), &["try", "--subscribe", "--validate"], "cannot be used with"),
    ] {
        let log = Run::of(plugin, directory).fails(arguments);
        assert!(log.contains(expected), "{plugin} {arguments:?}: {log}");
    }
}

fn datasources_of_every_type_are_called() {
    for (provider_type, arguments, expected) in [
        (
            "website_crawl",
            &["try", "site", "--param", "url=https://x"][..],
            "https://x/0  \n# Page\n\nhttps://x/1  \n# Page\n\n",
        ),
        ("online_document", &["try", "notes"], "p    Page\n"),
        ("online_document", &["try", "notes", "--page", "p"], "text of p\n"),
        ("online_document", &["try", "notes", "--page", "q", "--workspace", "w"], "text of q\n"),
        ("online_drive", &["try", "drive", "--bucket", "b"], "1  file  0 bytes  a.txt\n"),
    ] {
        let directory = sample_packages::sources(provider_type);
        let sources = Run::of("sources", directory.path()).with("SAMPLE_KINDS_API_KEY", "k");
        let (out, log) = sources.succeeds(arguments);
        assert_eq!(out, expected, "{arguments:?}: {log}");
        assert!(!log.contains("warning"), "{log}");
    }
    let directory = sample_packages::sources("online_document");
    let log = Run::of("sources", directory.path()).fails(&["try", "notes", "--page", "pp"]);
    assert!(log.contains("lists no page `pp` (did you mean `p`?)"), "{log}");
    let log = Run::of("sources", directory.path()).fails(&["try", "--validate"]);
    assert!(log.contains("DatasourceCredentialValidationError: the service is down"), "{log}");
}

fn files_are_saved() {
    let directory = sample_packages::sources("online_drive");
    let sources = Run::of("sources", directory.path());
    let (out, log) = sources.succeeds(&["try", "drive", "--download", "20000"]);
    assert!(out.trim_end().ends_with("a.txt") && log.contains("text/plain, 20000 bytes"), "{out}{log}");
    assert_eq!(fs::read(directory.path().join("a.txt")).unwrap().len(), 20_000);
    assert!(sources.fails(&["try", "drive", "--download", "7"]).contains("exists"));
    sources.succeeds(&["try", "drive", "--download", "7", "--out", "other.txt"]);
    assert_eq!(fs::read(directory.path().join("other.txt")).unwrap().len(), 7);

    let weather = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plugins/weather");
    let (weather, out) = (Run::of("weather", &weather), directory.path().join("out/"));
    let (_, log) = weather.succeeds(&["try", "odd", "--param", "deed=blob"]);
    assert!(log.contains("file x.txt (text/plain, 20000 bytes)") && log.contains("--out"), "{log}");
    fs::create_dir(&out).unwrap();
    weather.succeeds(&["try", "odd", "--param", "deed=blob", "--out", out.to_str().unwrap()]);
    assert_eq!(fs::read(out.join("x.txt")).unwrap(), vec![b'x'; 20_000]);
}

fn a_webhook_goes_through_the_dispatcher_to_its_events() {
    let directory = sample_packages::triggers();
    let triggers = Run::of("triggers", directory.path());
    fs::write(directory.path().join("body.json"), "body").unwrap();
    let signed = [
        "try",
        "--request",
        "POST /",
        "--body-file",
        "body.json",
        "--header",
        "X-A: 1",
        "--property",
        "secret=s3cret-value",
    ];
    for (more, expected, logged) in [
        (&[][..], "ok\n{\"length\":4}\n", "push: a workflow starts"),
        (&["--param", "branch=main"], "ok\n{\"length\":4}\n", "events: push"),
        (&["--param", "branch=other"], "ok\n", "push: ignored"),
        (&["push"], "ok\n{\"length\":4}\n", "HTTP 200 OK"),
    ] {
        let (out, log) = triggers.succeeds(&[&signed, more].concat());
        assert_eq!(out, expected, "{log}");
        assert!(log.contains(logged), "{log}");
    }
    let log = triggers.fails(&["try", "--request", "POST /", "--property", "secret=wrong"]);
    assert!(log.contains("TriggerValidationError: wrong signature"), "{log}");
    let log = triggers.fails(&["try", "--request", "POST /"]);
    assert!(
        log.contains("`secret` is required but missing; pass --property secret=VALUE or set SAMPLE_KINDS_SECRET"),
        "{log}"
    );
    let (out, _) = Run::of("triggers", directory.path()).with("SAMPLE_KINDS_SECRET", "s3cret-value").succeeds(&[
        "try",
        "--request",
        "POST /",
        "--body",
        "12345",
    ]);
    assert_eq!(out, "ok\n{\"length\":5}\n");
}

fn subscriptions_are_kept_in_files() {
    let directory = sample_packages::triggers();
    let triggers = Run::of("triggers", directory.path());
    let (out, _) = triggers.succeeds(&["try", "--subscribe", "--param", "repo=r", "--out", "s.json"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    let kept: Value = serde_json::from_slice(&fs::read(directory.path().join("s.json")).unwrap()).unwrap();
    assert_eq!((&shown["parameters"], &kept["properties"]), (&json!({"repo": "r"}), &json!({"id": "7"})));
    triggers.succeeds(&["try", "--unsubscribe", "--subscription", "s.json"]);
    let (out, _) = triggers.succeeds(&[
        "try",
        "--request",
        "POST /",
        "--subscription",
        "s.json",
        "--property",
        "secret=s3cret-value",
    ]);
    assert!(out.starts_with("ok\n"), "{out}");
    let log = triggers.fails(&["try", "--subscribe"]);
    assert!(log.contains("parameter `repo` is required but missing"), "{log}");
    let log = triggers.fails(&["try", "--refresh", "--subscription", "s.json"]);
    assert!(log.contains("SubscriptionError"), "{log}");
}

fn oauth_goes_from_the_url_to_credentials() {
    for (plugin, directory) in
        [("sources", sample_packages::sources("online_drive")), ("triggers", sample_packages::triggers())]
    {
        let run = Run::of(plugin, directory.path());
        let (out, _) = run.succeeds(&["try", "--authorize", "--client", "client_id=c"]);
        assert_eq!(out, "https://x/authorize?client=c&to=http://localhost/callback\n");
        let callback = "http://localhost/callback?code=s3cret-code";
        let (out, log) = run.succeeds(&["try", "--callback", callback, "--client", "client_id=c", "--out", "c.json"]);
        assert!(!format!("{out}{log}").contains("s3cret-code") && out.contains("(redacted)"), "{out}{log}");
        let file = directory.path().join("c.json");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let (out, log) = run.succeeds(&[
            "try",
            "--refresh-credentials",
            "--credentials",
            "c.json",
            "--client",
            "client_id=c",
            "--out",
            "c.json",
        ]);
        assert!(!format!("{out}{log}").contains("s3cret-code") && out.contains("1900000000"), "{out}{log}");
        assert!(fs::read_to_string(&file).unwrap().contains("code=s3cret-code-renewed"));
        let log = run.fails(&["try", "--callback", "http://localhost/callback", "--client", "client_id=c"]);
        assert!(log.contains("the callback has no code"), "{log}");
        let log = run.fails(&["try", "--authorize"]);
        assert!(log.contains("`client_id` is required but missing; pass --client client_id=VALUE"), "{log}");
    }
    let agent = sample_packages::agent();
    assert!(Run::of("agent", agent.path()).fails(&["try", "--authorize"]).contains("no provider with OAuth"));
}

fn options_of_parameters_are_listed() {
    let (triggers, weather) =
        (sample_packages::triggers(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plugins/weather"));
    let (out, _) = Run::of("triggers", triggers.path()).succeeds(&["try", "--options", "repo"]);
    assert_eq!(out, "subscription  repo\n");
    let (out, _) = Run::of("weather", &weather).succeeds(&["try", "forecast", "--options", "place"]);
    assert_eq!(out, "riga  Riga\nplace\n");
}

fn credentials_have_one_source() {
    let directory = tempfile::tempdir().unwrap();
    let weather = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plugins/weather");
    let arguments = ["try", "--validate", "--dir", weather.to_str().unwrap()];
    fs::write(directory.path().join(".env"), "WEATHER_API_KEY=from-file\n").unwrap();
    fs::write(directory.path().join("good.yaml"), "api_key: good-key\n").unwrap();
    let none = tempfile::tempdir().unwrap();
    for (directory, variable, more, expected) in [
        (directory.path(), None, &["--credential", "api_key=good-key"][..], "the credentials are valid"),
        (directory.path(), Some("bad"), &["--credentials", "good.yaml"], "the credentials are valid"),
        (directory.path(), Some("good-key"), &[], "the credentials are valid"),
        (directory.path(), None, &[], "the service rejects"),
        (
            none.path(),
            None,
            &[],
            "`api_key` is required but missing; pass --credential api_key=VALUE or set WEATHER_API_KEY",
        ),
    ] {
        let mut run = Run::of("weather", directory);
        if let Some(key) = variable {
            run = run.with("WEATHER_API_KEY", key);
        }
        let (out, log) = texts(&run.run(&[&arguments, more].concat(), ""));
        let written = format!("{out}{log}");
        assert!(written.contains(expected), "{more:?} {variable:?}: {written}");
        assert!(!written.contains("from-file") && !written.contains("good-key"), "{written}");
    }
}

fn completions_name_the_executable_and_its_commands() {
    let directory = tempfile::tempdir().unwrap();
    let run = Run::of("weather", directory.path());
    let name = std::env::current_exe().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    for (shell, marks) in [
        ("bash", &["complete -F", "COMPREPLY"][..]),
        ("zsh", &["#compdef"]),
        ("fish", &["complete -c"]),
        ("powershell", &["Register-ArgumentCompleter"]),
        ("elvish", &["edit:completion"]),
    ] {
        let (script, _) = run.succeeds(&["completions", shell]);
        for expected in marks.iter().chain(&[name.as_str(), "try", "param", "invoke", "completions", "dev", "validate"])
        {
            assert!(script.contains(expected), "{shell}: no `{expected}`");
        }
    }
    let log = run.fails(&["completions", "tcsh"]);
    assert!(log.contains("bash") && log.contains("elvish"), "{log}");
}
