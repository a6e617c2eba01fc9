//! `schema`: prints the JSON Schemas of a plugin's files, writes them to a directory, or has VS Code use them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::program::Program;
use super::terminal::{print_line, say};
use crate::atomic_file::write_whole;
use crate::declare::schema::{SCHEMAS, Schema, files_of};
use crate::model::Dialect;
use crate::names::did_you_mean;

/// Directory of a plugin in which `--install` writes the schemas. Packages leave out what begins with a dot.
pub(super) const DIRECTORY: &str = ".dify/schemas";

/// Where VS Code reads the settings of a directory.
const SETTINGS: &str = ".vscode/settings.json";

/// The setting of the YAML extension of VS Code: files by schema.
const ASSOCIATIONS: &str = "yaml.schemas";

/// Print the JSON Schema of a file of a plugin, so that an editor completes and checks it; without NAME, list all
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Name, such as `manifest` or `tool`
    name: Option<String>,
    /// Write all schemas to this directory
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    out: Option<PathBuf>,
    /// Write the schemas to .dify/schemas of a plugin, and have the YAML extension of VS Code use them
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = ".", conflicts_with_all = ["name", "out"])]
    install: Option<PathBuf>,
}

impl SchemaArgs {
    /// Runs the command.
    pub fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        match (self.name, self.out, self.install) {
            (Some(name), ..) => {
                let Some(schema) = Schema::of(&name) else {
                    let names: Vec<&str> = SCHEMAS.iter().map(|schema| schema.name).collect();
                    let suggestion = did_you_mean(&name, names.iter().copied());
                    bail!("unknown schema `{name}`{suggestion}; expected one of {}", names.join(", "));
                };
                std::io::stdout().lock().write_all(text(program.dialects, schema)?.as_bytes())?;
            }
            (None, Some(directory), _) => {
                write_all(program, &directory)?;
                say(&format!("{} schemas written to {}", SCHEMAS.len(), directory.display()));
            }
            (None, None, Some(plugin)) => install(program, &plugin)?,
            (None, None, None) => {
                let width = SCHEMAS.iter().map(|schema| schema.name.len()).max().unwrap_or_default();
                for Schema { name, about, files, .. } in SCHEMAS {
                    print_line(&format!("{name:width$}  {files:24}  {about}"))?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A schema as it is printed. That of a model provider includes the facts of each dialect.
pub(super) fn text(dialects: &[&dyn Dialect], schema: &Schema) -> anyhow::Result<String> {
    let mut built = schema.build();
    if schema.name == "model-provider" {
        for dialect in dialects {
            let mut facts = dialect.editor_schema();
            // The definitions of the facts are found from the root of the schema.
            let definitions =
                ["$defs", "definitions"].map(|name| facts.as_object_mut().and_then(|facts| facts.remove(name)));
            facts.as_object_mut().map(|facts| facts.remove("$schema"));
            built["properties"][dialect.key()] = facts;
            for (name, found) in ["$defs", "definitions"].into_iter().zip(definitions) {
                if let Some(Value::Object(found)) = found {
                    let all = built[name].take();
                    let mut all = all.as_object().cloned().unwrap_or_default();
                    all.extend(found);
                    built[name] = all.into();
                }
            }
        }
    }
    Ok(serde_json::to_string_pretty(&built)? + "\n")
}

/// Writes every schema as `NAME.json`.
fn write_all(program: &Program, directory: &Path) -> anyhow::Result<()> {
    let within = || format!("cannot write to {}", directory.display());
    std::fs::create_dir_all(directory).with_context(within)?;
    for schema in SCHEMAS {
        std::fs::write(directory.join(schema.name).with_extension("json"), text(program.dialects, schema)?)
            .with_context(within)?;
    }
    Ok(())
}

/// Writes the schemas into a plugin, and adds its files to the settings of VS Code. Other settings stay.
fn install(program: &Program, plugin: &Path) -> anyhow::Result<()> {
    let path = plugin.join(SETTINGS);
    let mut settings = match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str::<Map<String, Value>>(&text).with_context(|| {
            format!("{} is no plain JSON object, perhaps because of comments; it was not changed", path.display())
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    write_all(program, &plugin.join(DIRECTORY))?;
    let associations = settings.entry(ASSOCIATIONS).or_insert_with(|| json!({}));
    let Value::Object(associations) = associations else {
        bail!("`{ASSOCIATIONS}` in {} is no object; it was not changed", path.display());
    };
    let found = files_of(plugin);
    for schema in SCHEMAS {
        let mut files: Vec<&str> =
            found.iter().filter(|file| file.schema.name == schema.name).map(|file| file.path.as_str()).collect();
        // A pattern of models also matches their order, which is no model.
        if schema.name == "model" && !files.is_empty() {
            files.push("!_position.yaml");
        }
        let key = format!("./{DIRECTORY}/{}.json", schema.name);
        match files.is_empty() {
            true => drop(associations.remove(&key)),
            false => drop(associations.insert(key, json!(files))),
        }
    }
    let within = || format!("cannot write {}", path.display());
    path.parent().map(std::fs::create_dir_all).transpose().with_context(within)?;
    write_whole(&path, (serde_json::to_string_pretty(&settings)? + "\n").as_bytes()).with_context(within)?;
    say(&format!("{} files of the plugin have a schema in {}", found.len(), path.display()));
    Ok(())
}
