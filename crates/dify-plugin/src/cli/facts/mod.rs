//! `facts`: what the dialects of this executable know of published plugins, the keys of facts, and the pages that are made of
//! both. The tables and the keys come from the dialects; nothing is known here.

mod keys;
mod plugins;

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::program::Program;
use super::terminal::{print_line, print_part, print_raw};
use crate::model::KnownPlugin;
use crate::names::did_you_mean;

/// List the published plugins that this executable serves natively with --from, print the facts about one, or describe the keys
#[derive(Debug, Args)]
pub struct FactsArgs {
    /// Print the facts about this plugin or provider as YAML
    #[arg(conflicts_with_all = ["keys", "markdown"])]
    name: Option<String>,
    /// Print the page that describes every key of facts
    #[arg(long, conflicts_with = "markdown")]
    keys: bool,
    /// Print the page that lists the plugins
    #[arg(long)]
    markdown: bool,
}

impl FactsArgs {
    /// Runs the command. The exit code is 1 for the facts about a plugin that is not served.
    pub fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        if program.dialects.is_empty() {
            bail!("this executable has no dialects that take facts");
        }
        if self.keys {
            for dialect in program.dialects {
                print_part(&keys::page(dialect.key(), &dialect.schema()))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut known: Vec<&KnownPlugin> = program.dialects.iter().flat_map(|dialect| dialect.known()).collect();
        known.sort_by_key(|known| (known.plugin, known.provider));
        if self.markdown {
            print_part(&plugins::page(&known))?;
            return Ok(ExitCode::SUCCESS);
        }
        let Some(name) = &self.name else {
            for known in known {
                print_line(&plugins::line(known))?;
            }
            return Ok(ExitCode::SUCCESS);
        };
        let found = known
            .iter()
            .find(|known| known.plugin == name)
            .or_else(|| known.iter().find(|known| known.provider == name));
        let Some(found) = found else {
            let suggestion = did_you_mean(name, known.iter().map(|known| known.plugin));
            bail!("this executable knows no plugin `{name}`{suggestion}; `facts` lists them");
        };
        match found.facts {
            Ok(facts) => print_raw(facts.trim_end())?,
            Err(reason) => bail!("`{}` is not served natively: {reason}", found.plugin),
        }
        Ok(ExitCode::SUCCESS)
    }
}
