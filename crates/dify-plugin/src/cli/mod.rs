//! The command line: arguments and output of each subcommand. Without a subcommand the plugin is served.
//!
//! Apart from the transports, only this module writes to standard output. It does not know any provider's wire format.

pub(crate) mod answers;
mod call_args;
mod check;
mod completions;
mod credentials;
mod debug;
mod debug_args;
mod declare;
mod dev;
#[cfg(feature = "client")]
pub(crate) mod doctor;
#[cfg(feature = "package")]
mod executables;
mod facts;
mod form_fields;
mod invoke;
mod man;
#[cfg(feature = "new")]
mod new;
#[cfg(feature = "package")]
mod package;
mod schema;
pub(crate) mod session_client;
mod take_over;
mod traffic;
mod try_command;
mod try_kind;
mod try_prompt;
pub(crate) mod watch;
#[cfg(feature = "workbench")]
mod workbench;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Config, ConfigError, LogSettings};
pub use crate::process::program::Program;
use crate::process::{exit_code, program, serve, terminal};
use crate::runtime::logs;

/// The arguments of every plugin's command line.
#[derive(Debug, Parser)]
#[command(about = None, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

/// Command to run instead of serving.
#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "new")]
    New(new::NewArgs),
    Try(Box<try_command::TryArgs>),
    Invoke(invoke::InvokeArgs),
    Check(check::CheckArgs),
    Declare(declare::DeclareArgs),
    #[cfg(feature = "client")]
    Doctor(doctor::DoctorArgs),
    Debug(debug::DebugArgs),
    Dev(dev::DevArgs),
    #[cfg(feature = "workbench")]
    Workbench(workbench::WorkbenchArgs),
    #[cfg(feature = "package")]
    #[command(flatten)]
    Package(package::PackageCommand),
    Facts(facts::FactsArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Serves without arguments, otherwise runs the command that they name, and gives the exit code of the process.
pub fn run(program: &Program) -> ExitCode {
    // A child of the daemon has no arguments: it starts without building the command line.
    if std::env::args_os().len() <= 1 {
        return exit_code(serve::run(program));
    }
    match Cli::from_arg_matches(&command(program).get_matches()) {
        Ok(cli) => exit_code(cli.run(program)),
        Err(error) => error.exit(),
    }
}

fn command(program: &Program) -> clap::Command {
    let command = Cli::command().name(program.name).about(program.about);
    if program.version.is_empty() { command } else { command.version(program.version) }
}

impl Cli {
    fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        match self.command {
            None => serve::run(program),
            #[cfg(feature = "new")]
            Some(Command::New(args)) => args.run(),
            Some(Command::Check(args)) => args.run(program),
            Some(Command::Declare(args)) => args.run(program),
            #[cfg(feature = "package")]
            Some(Command::Package(command)) => command.run(program),
            Some(Command::Try(args)) => at_terminal(program, args.run(program)),
            Some(Command::Invoke(args)) => at_terminal(program, args.run(program)),
            Some(Command::Debug(args)) => at_terminal(program, args.run(program)),
            Some(Command::Dev(args)) => at_terminal(program, args.run()),
            #[cfg(feature = "workbench")]
            Some(Command::Workbench(args)) => at_terminal(program, args.run(program)),
            Some(Command::Facts(args)) => args.run(program),
            Some(Command::Schema(args)) => args.run(program),
            Some(Command::Completions(args)) => args.run(command(program)),
            Some(Command::Man(args)) => args.run(command(program)),
            #[cfg(feature = "client")]
            // An invalid setting is reported as a finding.
            Some(Command::Doctor(args)) => block_on(program, log_settings().unwrap_or_default(), args.run(program)),
        }
    }
}

/// Runs a command's future. Only warnings are logged, unless a setting selects more.
fn at_terminal(program: &Program, command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    block_on(program, log_settings()?, command)
}

fn log_settings() -> Result<LogSettings, ConfigError> {
    LogSettings::from_settings(&Config::settings(Path::new(".env")))
}

fn block_on(
    program: &Program,
    log: LogSettings,
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    logs::start(&log, logs::DEFAULT_FILTER, &program.plugin.crates());
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(command)
}
