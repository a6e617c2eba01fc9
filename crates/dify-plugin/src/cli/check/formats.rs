//! The formats in which `check` prints problems. Only people get repeated mistakes as one.

use std::path::{Component, Path};

use clap::ValueEnum;
use serde_json::json;

use super::sarif;
use crate::cli::program::Program;
use crate::cli::terminal::{is_terminal, print_json, print_line, print_raw};
use crate::declare::diagnostic::{Diagnostic, Style, render, repeats};

/// A format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// With the lines of the files, as a compiler prints errors
    #[default]
    Human,
    /// `file:line:column: error[CODE]: message`, one per line
    Short,
    /// One JSON object per line
    Json,
    /// Annotations of GitHub Actions
    Github,
    /// One SARIF 2.1.0 document
    Sarif,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// If the output is a terminal and `NO_COLOR` is not set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// The style of standard output. The variables are those of the process.
    fn style(self) -> Style {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_styled = match self {
            Self::Auto => is_terminal() && !is_set("NO_COLOR") && !is_dumb(),
            Self::Always => true,
            Self::Never => false,
        };
        if is_styled { Style::Styled } else { Style::Plain }
    }
}

/// Prints the problems of a directory.
pub(super) struct Printer<'a> {
    pub(super) format: Format,
    pub(super) color: Color,
    pub(super) directory: &'a Path,
    pub(super) program: &'a Program,
}

impl Printer<'_> {
    /// Prints all problems.
    pub(super) fn print(&self, diagnostics: &[Diagnostic]) -> anyhow::Result<()> {
        match self.format {
            Format::Human => self.human(diagnostics),
            Format::Short => diagnostics.iter().try_for_each(|diagnostic| print_line(&self.short(diagnostic))),
            Format::Json => diagnostics.iter().try_for_each(|diagnostic| print_json(&json!(diagnostic))),
            Format::Github => diagnostics.iter().try_for_each(|diagnostic| print_line(&self.github(diagnostic))),
            Format::Sarif => {
                let uri = |file: &str| sarif::uri(&self.path(file));
                print_json(&sarif::document(diagnostics, self.program, &uri))
            }
        }
    }

    fn human(&self, diagnostics: &[Diagnostic]) -> anyhow::Result<()> {
        let style = self.color.style();
        for (diagnostic, more) in repeats(diagnostics) {
            // The text has no control characters but those of the style.
            print_raw(&format!("{}\n", render(diagnostic, &more, style)))?;
        }
        Ok(())
    }

    fn short(&self, diagnostic: &Diagnostic) -> String {
        let (file, start) = (self.path(&diagnostic.file), diagnostic.start);
        let (severity, code) = (diagnostic.severity.word(), diagnostic.code);
        format!("{file}:{}:{}: {severity}[{code}]: {}", start.line, start.column, diagnostic.headline())
    }

    /// An annotation. Columns are allowed within one line only.
    fn github(&self, diagnostic: &Diagnostic) -> String {
        let (start, end) = (diagnostic.start, diagnostic.end);
        let mut place =
            format!("file={},line={},endLine={}", property(&self.path(&diagnostic.file)), start.line, end.line);
        if start.line == end.line {
            place.push_str(&format!(",col={},endColumn={}", start.column, end.column));
        }
        let title = property(&format!("{} {}", diagnostic.code, diagnostic.code.title()));
        let help = diagnostic.help.as_ref().map_or_else(String::new, |help| format!("\n{help}"));
        let message = data(&format!("{}{help}", diagnostic.headline()));
        format!("::{} {place},title={title}::{message}", diagnostic.severity.word())
    }

    /// A file as it is found from the working directory.
    fn path(&self, file: &str) -> String {
        let plain = self.directory.components().filter(|part| *part != Component::CurDir);
        let directory: std::path::PathBuf = plain.collect();
        directory.join(file).to_string_lossy().into_owned()
    }
}

/// The text of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_commands_are_escaped() {
        assert_eq!(data("100%\r\n::error::x"), "100%25%0D%0A::error::x");
        assert_eq!(property("a,b:c\n%"), "a%2Cb%3Ac%0A%25");
    }
}
