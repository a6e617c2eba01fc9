//! The strategy of `kinds/agent`, as the Python file beside its declaration has it.

use std::process::ExitCode;

use dify_plugin::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Ask;

#[derive(Deserialize, JsonSchema)]
struct Question {
    query: String,
}

impl AgentStrategy for Ask {
    const NAME: &'static str = "ask";
    type Parameters = Question;

    async fn run(&self, call: Call, question: Question, out: &mut AgentMessages) -> Result<AgentUsage, PluginError> {
        let model = ModelConfig::new("bench/bench/bench", "m");
        let whole = call.dify.llm(&model).user(question.query).stream().await?.whole().await?;
        out.text(whole.text()).await?;
        Ok(AgentUsage::default())
    }
}

fn main() -> ExitCode {
    Plugin::new().agent_strategies(AgentStrategies::new("bench").strategy(Ask)).run()
}
