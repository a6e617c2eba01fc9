//! `check`: prints all problems of a plugin's declarations, as a compiler does. Where the problems are and how they look is in
//! [`crate::declare::diagnostic`]; here are the options, the formats and the exit codes.

mod explain;
mod formats;
mod sarif;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use self::formats::{Color, Format, Printer};
use super::program::Program;
use super::take_over::FromArgs;
use super::terminal::{is_terminal, print_control, print_line, say};
use super::watch;
use crate::declare::diagnostic::{self, Diagnostic};
use crate::declare::{self, Declarations, Problems};

/// Exit code of a call that cannot be run as it is written; clap has the same.
const USAGE: u8 = 2;

/// Clears the terminal and the lines that were scrolled out of it.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// Check the plugin's declarations against the rules of the plugin daemon and the Dify API, and against its code
///
/// Each problem has its file, line and column, and a code; --explain CODE says more about it. Warnings are what Dify accepts and
/// shows differently than written, or ignores.
///
/// With --from, report what of a published plugin is served natively, and what is not.
///
/// Exit codes: 0 if there are no problems, or warnings only; 1 if there are errors, or warnings with --deny warnings, or if a
/// published plugin cannot be served; 2 if the command cannot be run as it is written.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Directory that contains manifest.yaml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// How problems are printed: for people, one per line for editors, as JSON objects, as GitHub annotations, or as SARIF 2.1.0
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Colours: if the output is a terminal and NO_COLOR is not set, always, or never
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
    /// Fail upon warnings, too
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Deny>,
    /// Report also what Dify shows differently and no declaration avoids, such as ranges that its page does not enforce
    #[arg(long)]
    all: bool,
    /// Check again whenever a file changes, until interrupted
    #[arg(long, conflicts_with = "from")]
    watch: bool,
    /// Explain a code such as D012, or list all codes
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["watch", "from"])]
    explain: Option<String>,
    /// With --explain: print the page that explains every code
    #[arg(long, requires = "explain")]
    markdown: bool,
    #[command(flatten)]
    from: FromArgs,
}

/// What fails beside errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// Warnings.
    Warnings,
}

impl CheckArgs {
    /// Runs the command.
    pub fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        if let Some(code) = &self.explain {
            return explain::run(code, self.markdown);
        }
        if let Some(directory) = self.from.directory() {
            return self.published(program, directory);
        }
        if !self.dir.is_dir() {
            say(&format!("error: {} is not a directory", self.dir.display()));
            return Ok(ExitCode::from(USAGE));
        }
        if self.watch {
            return self.watch(program);
        }
        self.once(program)
    }

    fn printer<'a>(&self, program: &'a Program, directory: &'a Path) -> Printer<'a> {
        Printer { format: self.format, color: self.color, directory, program }
    }

    fn once(&self, program: &Program) -> anyhow::Result<ExitCode> {
        let (declarations, mut problems) = program.inspect(&self.dir);
        if let Some(declarations) = &declarations {
            let view = declare::view(declarations, &problems.0);
            problems.0.extend(declare::shown_differently(&view, &problems.0));
        }
        problems.0.retain(|problem| self.all || !problem.code.is_advice());
        let diagnostics = diagnostic::of(&self.dir, &problems.0);
        self.printer(program, &self.dir).print(&diagnostics)?;
        if self.format == Format::Human {
            print_line(&summary(declarations.as_ref(), &diagnostics))?;
        }
        Ok(self.exit_code(&problems))
    }

    fn exit_code(&self, problems: &Problems) -> ExitCode {
        let is_denied = self.deny == Some(Deny::Warnings) && !problems.0.is_empty();
        if problems.has_errors() || is_denied { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// Checks now and after each change. What is printed replaces what was printed before.
    fn watch(&self, program: &Program) -> anyhow::Result<ExitCode> {
        let mut declarations = watch::Declarations::new(&self.dir);
        loop {
            let seen = declarations.files();
            if self.format == Format::Human && is_terminal() {
                print_control(CLEAR)?;
            }
            self.once(program)?;
            let mut now = declarations.files();
            while now == seen {
                std::thread::sleep(watch::INTERVAL);
                now = declarations.files();
            }
            // A file that is being written is checked once it is complete.
            loop {
                std::thread::sleep(watch::SETTLED);
                let next = declarations.files();
                if next == now {
                    break;
                }
                now = next;
            }
        }
    }

    /// Reports on the directory of a published plugin; programs get its problems.
    fn published(&self, program: &Program, directory: &Path) -> anyhow::Result<ExitCode> {
        if self.format != Format::Human && directory.is_dir() {
            let (_, problems) = declare::inspect_published(directory);
            self.printer(program, directory).print(&diagnostic::of(directory, &problems.0))?;
            let is_served = self.from.take(program)?.is_some_and(|taken| taken.serves_every_provider());
            return Ok(if is_served { self.exit_code(&problems) } else { ExitCode::FAILURE });
        }
        let Some(taken) = self.from.take(program)? else { return Ok(ExitCode::from(USAGE)) };
        taken.report().iter().try_for_each(|line| print_line(line))?;
        Ok(if taken.serves_every_provider() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The last line for people: what is there, and how many problems.
fn summary(declarations: Option<&Declarations>, diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let warnings = counted(diagnostics.len() - errors, "warning");
    let example = diagnostics.iter().min_by_key(|diagnostic| !diagnostic.is_error()).map(|diagnostic| diagnostic.code);
    let more =
        example.map_or_else(String::new, |code| format!("; for more about a code, run `check --explain {code}`"));
    match declarations.map(parts).filter(|_| errors == 0) {
        Some(parts) if diagnostics.is_empty() => format!("{parts}: no problems found"),
        Some(parts) => format!("{parts}: no errors, {warnings}{more}"),
        None => format!("{}, {warnings}{more}", counted(errors, "error")),
    }
}

/// How many of everything is declared.
fn parts(declarations: &Declarations) -> String {
    let models: usize = declarations.providers.iter().map(|provider| provider.models.len()).sum();
    let kinds = &declarations.kinds;
    let parts = kinds.kinds().map(|kind| format!("{} {}", kinds.parts(kind), kind.parts_key().replace('_', " ")));
    let mut counted: Vec<String> = parts.collect();
    if counted.is_empty() || !declarations.providers.is_empty() {
        counted.insert(0, format!("{} providers, {models} models", declarations.providers.len()));
    }
    counted.join(", ")
}
