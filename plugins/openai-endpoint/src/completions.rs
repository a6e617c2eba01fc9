//! `POST /v1/completions`, the older API: a prompt that a chat model answers. No I/O.

use dify_plugin::protocol::PromptMessage;
use serde::Deserialize;

use crate::chat::{Mode, ModelCall, Parameters, StreamOptions, check_choices, check_logprobs, stops};
use crate::error::ApiError;
use crate::read::{Texts, required};

/// The members that are read. All others are ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompletionRequest {
    pub model: Option<String>,
    prompt: Option<Texts>,
    suffix: Option<String>,
    echo: Option<bool>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    stop: Option<Texts>,
    n: Option<u64>,
    best_of: Option<u64>,
    logprobs: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    max_tokens: Option<u64>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    seed: Option<i64>,
}

impl CompletionRequest {
    pub fn mode(&self) -> Mode {
        Mode::of(self.stream, self.stream_options)
    }

    /// The call of the model, and the prompt if the response repeats it.
    pub fn into_call(self) -> Result<(ModelCall, Option<String>), ApiError> {
        check_choices("n", self.n)?;
        check_choices("best_of", self.best_of)?;
        check_logprobs(self.logprobs.map(|count| count > 0), None)?;
        if self.suffix.is_some_and(|suffix| !suffix.is_empty()) {
            return Err(ApiError::unsupported("suffix", "`suffix` is not supported."));
        }
        let Texts(mut prompts) = required(self.prompt, "prompt")?;
        let prompt = prompts.pop().filter(|_| prompts.is_empty()).ok_or_else(|| {
            ApiError::unsupported(
                "prompt",
                "Exactly one prompt is supported: send the others in requests of their own.",
            )
        })?;
        let mut parameters = Parameters::default();
        parameters.set("temperature", self.temperature);
        parameters.set("top_p", self.top_p);
        parameters.set("max_tokens", self.max_tokens);
        parameters.set("presence_penalty", self.presence_penalty);
        parameters.set("frequency_penalty", self.frequency_penalty);
        parameters.set("seed", self.seed);
        let echo = self.echo.unwrap_or(false).then(|| prompt.clone());
        let messages = vec![PromptMessage::user(prompt)];
        let stop = stops(self.stop)?;
        Ok((ModelCall { messages, tools: Vec::new(), tool_choice: None, stop, parameters, schema: None }, echo))
    }
}
