//! `invoke`: runs any action from a JSON file or standard input through the complete runtime.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::answers::AnswerArgs;
use super::call_args::CallArgs;
use super::credentials::read_object;
use super::program::Program;
use super::session_client;
use super::terminal::print_json;
use crate::protocol::Invocation;

/// Run any action from a JSON file or standard input and print one result item per line
#[derive(Debug, Args)]
pub struct InvokeArgs {
    /// Action to run, such as `invoke_text_embedding` or `invoke_tool`
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Invocation::actions().map(|(_, action)| action)))]
    action: String,
    /// JSON file with the request fields (`provider`, `model`, `credentials`, …); `-` reads standard input
    #[arg(default_value = "-", value_name = "FILE")]
    request: PathBuf,
    #[command(flatten)]
    call: CallArgs,
    #[command(flatten)]
    answers: AnswerArgs,
}

impl InvokeArgs {
    /// Runs the command. The exit code is 1 if the call failed.
    pub async fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        let registry = self.call.load(program)?.registry;
        let mut data = read_object(&self.request)?;
        let access_type = Invocation::actions().find(|(_, action)| *action == self.action).map(|(access, _)| access);
        data.entry("type").or_insert_with(|| access_type.into());
        data.insert("action".to_owned(), self.action.into());
        let provider = data.get("provider").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
        let given = self.call.credentials.read(program, &provider)?;
        if let Some(fields) = data.entry("credentials").or_insert_with(|| serde_json::json!({})).as_object_mut() {
            fields.extend(given.fields.clone());
            if let Some(entry) = registry.get(&provider) {
                given.keep_from_directory(entry, fields)?;
            }
        }
        let (raw, mut answers) = (self.call.json, self.answers.read()?);
        let print = |item: &serde_json::Value| if raw { Ok(()) } else { print_json(item) };
        let succeeded = session_client::items(registry, data, raw, &mut answers, print).await?;
        Ok(session_client::exit_code(succeeded))
    }
}
