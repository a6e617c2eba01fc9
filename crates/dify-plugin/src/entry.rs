//! Where the process of a plugin begins: with its command line, or without one.

use std::process::ExitCode;

#[cfg(feature = "commands")]
use crate::cli::run;
use crate::plugin::Plugin;
use crate::process::program::Program;

impl Plugin {
    /// Owns the process: serves the plugin of the current directory without arguments, and runs the command line with them.
    /// The executable's file name is the name of the command; `cli::Program` sets it, a version and a description. Without the
    /// feature `commands` there is no command line, and arguments are an error.
    ///
    /// ```no_run
    /// use std::process::ExitCode;
    ///
    /// use dify_plugin::plugin::Plugin;
    ///
    /// fn main() -> ExitCode {
    ///     Plugin::new().run()
    /// }
    /// ```
    pub fn run(self) -> ExitCode {
        let executable = std::env::current_exe().unwrap_or_default();
        let name =
            executable.file_name().map_or_else(|| "plugin".to_owned(), |name| name.to_string_lossy().into_owned());
        // The command line needs the name until the process ends.
        let name: &'static str = name.leak();
        run(&Program {
            name,
            version: "",
            about: "A plugin for Dify",
            models: |_| Vec::new(),
            dialects: &[],
            plugin: self,
        })
    }
}

/// Serves. Arguments are wrong usage, exit code 2.
#[cfg(not(feature = "commands"))]
fn run(program: &Program) -> ExitCode {
    use crate::process::{exit_code, serve, terminal};

    if std::env::args_os().len() <= 1 {
        return exit_code(serve::run(program));
    }
    terminal::say(&format!(
        "error: {} only serves: it was built without the command line, the feature `commands` of `dify-plugin`. In the \
         directory of the crate, `cargo run -- --help` lists the commands",
        program.name
    ));
    ExitCode::from(2)
}
