//! `try`: sends a prompt to a model, or calls a part of a plugin of any other kind, through the complete runtime.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args};

use super::answers::AnswerArgs;
use super::call_args::CallArgs;
use super::program::Program;
use super::try_kind::{self, KindArgs, ParameterArgs, Trial};
use super::try_prompt::{ModelArgs, Prompt};

/// Call a tool, agent strategy, datasource, endpoint or trigger of the plugin, or send a prompt to its model
///
/// The response is printed to standard output, everything else to standard error. Without NAME, the plugin's only part is
/// called.
///
/// Credentials come from --credential and --credentials, or else from the environment, or else from .env. The variable of the
/// field `api_key` of a plugin with the name `weather` is WEATHER_API_KEY.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("action").args(try_kind::ACTIONS).multiple(false))]
pub struct TryArgs {
    /// Name of a tool, agent strategy, datasource or event; for a plugin with models, the prompt
    #[arg(value_name = "NAME or PROMPT")]
    subject: Option<String>,
    #[command(flatten)]
    parameters: ParameterArgs,
    #[command(flatten)]
    call: CallArgs,
    #[command(flatten)]
    kind: KindArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    model: ModelArgs,
}

impl TryArgs {
    /// Runs the command. The exit code is 1 if the call failed.
    pub async fn run(self, program: &Program) -> anyhow::Result<ExitCode> {
        let loaded = self.call.load(program)?;
        let (registry, subject) = (loaded.registry, self.subject.as_deref());
        if !registry.declared().is_empty() {
            let trial = Trial {
                registry,
                plugin: &loaded.name,
                parameters: &self.parameters,
                credentials: &self.call.credentials,
                kind: &self.kind,
                answers: self.answers.read()?,
                raw: self.call.json,
            };
            return trial.run(subject).await;
        }
        if self.kind.has_action() {
            bail!("the manifest lists only models; this option is for other types of plugin");
        }
        let prompt = Prompt {
            text: subject.context("a prompt is required but missing")?,
            params: &self.parameters.params,
            credentials: &self.call.credentials,
            model: &self.model,
            raw: self.call.json,
        };
        prompt.run(program, registry).await
    }
}
