//! The commands of the guides: those whose output a guide shows are run and print it, and the others exist with their options.
//! The test executable is the plugin of each template itself, so it has a `main` of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]
#![allow(missing_docs, dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use dify_plugin::plugin::Plugin;
use dify_plugin_guides::blocks::{self, Block};
use dify_plugin_guides::templates;

include!(concat!(env!("OUT_DIR"), "/plugins.rs"));

/// Names the template whose plugin the process is; absent for the test.
const PLUGIN: &str = "GUIDES_PLUGIN";

fn plugin(template: &str) -> Option<Plugin> {
    Some(match template {
        "tool" => tool::plugin(),
        "endpoint" => endpoint::plugin(),
        "agent-strategy" => agent_strategy::plugin(),
        "datasource-website-crawl" => datasource_website_crawl::plugin(),
        "datasource-online-document" => datasource_online_document::plugin(),
        "datasource-online-drive" => datasource_online_drive::plugin(),
        "trigger" => trigger::plugin(),
        "model" => model::plugin(),
        _ => return None,
    })
}

fn main() -> ExitCode {
    if let Some(template) = std::env::var_os(PLUGIN) {
        return plugin(&template.to_string_lossy()).unwrap().run();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let plugins = templates::read(&root.join("crates/dify-plugin/templates")).unwrap();
    // Commands of one guide run one after the other in the same directories.
    let mut directories = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut shown = 0;
    for block in blocks::read(&root.join("docs")).unwrap() {
        if block.language != "console" {
            continue;
        }
        let mistake = block.mistake();
        let is_of_guide = block.info.is_empty() || mistake.is_some();
        let template = if is_of_guide { blocks::template_of(&block.guide) } else { &*block.info };
        let directory = directories.entry((block.guide.clone(), template.to_owned())).or_insert_with(|| {
            let directory = tempfile::tempdir().unwrap();
            templates::write(directory.path(), &plugins[template]).unwrap();
            directory
        });
        let replace = |file: &str, from: &str, to: &str| {
            let path = directory.path().join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{}: no `{from}` in {file}", block.place());
            std::fs::write(path, text.replacen(from, to, 1)).unwrap();
        };
        if let Some((file, right, wrong)) = mistake {
            replace(file, right, wrong);
        }
        for session in sessions(&block) {
            shown += usize::from(!session.output.is_empty());
            if let Err(reason) = session.check(template, directory.path()) {
                wrong.push(format!("{}: $ {}\n{reason}", block.place(), session.command));
            }
        }
        if let Some((file, right, wrong)) = mistake {
            replace(file, wrong, right);
        }
    }
    assert!(wrong.is_empty() && shown > 10, "{shown} outputs\n{}", wrong.join("\n\n"));
    println!("test commands_print_what_guides_show ... ok ({shown} outputs)");
    ExitCode::SUCCESS
}

/// A command of a block, and what the guide shows of its output.
struct Session {
    command: String,
    output: Vec<String>,
}

fn sessions(block: &Block) -> Vec<Session> {
    let mut sessions: Vec<Session> = Vec::new();
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), sessions.last_mut()) {
            (Some(command), _) => sessions.push(Session { command: command.to_owned(), output: Vec::new() }),
            (None, Some(session)) if session.command.ends_with('\\') => {
                session.command.truncate(session.command.len() - 1);
                session.command.push_str(line.trim_start());
            }
            (None, Some(session)) => session.output.push(line.to_owned()),
            (None, None) => panic!("{}: output without a command", block.place()),
        }
    }
    sessions
}

impl Session {
    fn check(&self, template: &str, directory: &Path) -> Result<(), String> {
        let words = words(&self.command);
        let is_setting = |word: &&String| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
        let settings: Vec<(&str, &str)> =
            words.iter().take_while(is_setting).filter_map(|word| word.split_once('=')).collect();
        let words: Vec<&str> = words.iter().skip(settings.len()).map(String::as_str).collect();
        let arguments = match words[..] {
            ["cargo", "run", "--", ref arguments @ ..] | ["dify-plugin-runtime", ref arguments @ ..] => arguments,
            ["cargo" | "cd" | "rustup" | "pip" | "cp" | "ssh", ..] if self.output.is_empty() => return Ok(()),
            _ => return Err("this command is not checked".to_owned()),
        };
        let run = |arguments: &[&str]| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.current_dir(directory).args(arguments).env_clear();
            command.env(PLUGIN, template).envs(settings.iter().copied()).stdin(Stdio::null());
            command.output().unwrap()
        };
        let known = run(&[arguments[0], "--help"]);
        if !known.status.success() {
            return Err(format!("there is no command `{}`", arguments[0]));
        }
        let help = String::from_utf8_lossy(&known.stdout).into_owned();
        for option in
            arguments.iter().take_while(|argument| **argument != "--").filter(|argument| argument.starts_with("--"))
        {
            let option = option.split('=').next().unwrap();
            if !help
                .split(|character: char| !character.is_ascii_alphanumeric() && character != '-')
                .any(|word| word == option)
            {
                return Err(format!("`{}` has no option {option}", arguments[0]));
            }
        }
        if self.output.is_empty() {
            return Ok(());
        }
        let output = run(arguments);
        let streams = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let mut rest = streams.each_ref().map(|text| text.lines().collect::<Vec<_>>().into_iter());
        for expected in self.output.iter().filter(|line| *line != "…") {
            let is_found =
                |lines: &mut std::vec::IntoIter<&str>| lines.clone().position(|line| matches(line, expected));
            let found = rest.iter_mut().find_map(|lines| is_found(lines).map(|at| (lines, at)));
            match found {
                Some((lines, at)) => _ = lines.nth(at),
                None => return Err(format!("no line `{expected}` in\n{}", streams.join("---\n"))),
            }
        }
        Ok(())
    }
}

/// Whether a line is what a guide shows, where an ellipsis replaces anything.
fn matches(line: &str, shown: &str) -> bool {
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The words of a command, up to a comment or a pipe, as a shell reads them.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in command.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (None, '|' | '>' | '&') => break,
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}
