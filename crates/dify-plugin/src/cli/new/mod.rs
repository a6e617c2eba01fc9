//! `new`: writes the crate of a plugin from the templates of this package. Nothing that exists is overwritten, and nothing is
//! downloaded; what the templates contain is in `templates/`.

mod author;
mod library;
mod name;
mod template;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use self::library::Library;
use self::name::PluginName;
use self::template::{DatasourceType, Kind, Template};
use super::schema as schema_command;
use super::terminal::print_line;
use crate::declare::schema::{self, Schema};

/// Write the crate of a new plugin in Rust
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Name of the plugin, of its crate and of its executable: a-z, 0-9, `-` and `_`
    name: String,
    /// What the plugin provides
    #[arg(long, value_enum)]
    kind: Kind,
    /// Type of the datasource [default: online-document]
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    datasource_type: Option<DatasourceType>,
    /// Directory of the crate [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Checkout of the library that the crate uses, instead of the published version
    #[arg(long, value_name = "PATH")]
    library: Option<PathBuf>,
    /// Author in the manifest: a-z, 0-9, `-` and `_` [default: from Git's user.name]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

impl NewArgs {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let name = PluginName::parse(&self.name).map_err(anyhow::Error::msg)?;
        let template = Template::of(self.kind, self.datasource_type).map_err(anyhow::Error::msg)?;
        let author = author::choose(self.author.as_deref()).map_err(anyhow::Error::msg)?;
        let library = match &self.library {
            Some(path) => Library::checkout(path)?,
            None => Library::published(),
        };
        let directory = self.dir.unwrap_or_else(|| PathBuf::from(name.as_str()));
        claim(&directory)?;
        for (path, text) in template.files(&name, &author, &library) {
            write(&directory.join(path), &text)?;
        }
        for_editors(&directory)?;
        print_line(&format!("created {} `{}` in {}", template.title(), name.as_str(), directory.display()))?;
        for line in next_steps(&directory, template) {
            print_line(&line)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Creates the directory of the crate. One with anything in it is rejected.
fn claim(directory: &Path) -> anyhow::Result<()> {
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                bail!("{} is not empty; nothing was written. Choose another --dir, or remove it", directory.display())
            }
        },
        Err(_) if fs::symlink_metadata(directory).is_ok() => {
            bail!("{} exists and is not a directory that can be read; nothing was written", directory.display())
        }
        Err(_) => fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display())),
    }
}

/// Writes a file that does not exist yet.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let create = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
    };
    create().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes the schemas of the YAML files, and their names into the first line of each: most editors read it.
fn for_editors(directory: &Path) -> anyhow::Result<()> {
    for file in schema::files_of(directory) {
        for relative in file.paths(directory) {
            let path = directory.join(&relative);
            let name = file.schema.name;
            let to_root = "../".repeat(relative.matches('/').count());
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let line = format!("# yaml-language-server: $schema={to_root}{}/{name}.json\n", schema_command::DIRECTORY);
            fs::write(&path, line + &text).with_context(|| format!("cannot write {}", path.display()))?;
            write_schema(directory, file.schema)?;
        }
    }
    Ok(())
}

fn write_schema(directory: &Path, schema: &Schema) -> anyhow::Result<()> {
    let path = directory.join(schema_command::DIRECTORY).join(schema.name).with_extension("json");
    match path.exists() {
        true => Ok(()),
        false => write(&path, &schema_command::text(&[], schema)?),
    }
}

/// The commands that come next, as they are typed.
fn next_steps(directory: &Path, template: Template) -> Vec<String> {
    let steps = [
        ("cargo test", "run its tests"),
        ("cargo run -- check", "check the YAML files"),
        ("cargo run -- debug", "connect it to a running Dify; see .env.example"),
        ("cargo run -- dev", "the same, and build again when a file is saved"),
        ("cargo run -- package", "build the package that Dify installs; see README.md"),
    ];
    let mut lines =
        vec![String::new(), format!("  cd {}", quoted(directory)), format!("  {}", template.first_command())];
    lines.push(String::new());
    lines.push("then:".to_owned());
    lines.extend(steps.map(|(command, what)| format!("  {command:<24}{what}")));
    lines
}

/// A path as one word of a shell's command line.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) && !text.starts_with('-') {
        return text;
    }
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests;
