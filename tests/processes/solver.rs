//! Agent strategies that call Dify back: one in rounds, one with many tool calls at the same time.

use dify_plugin::plugin::{AgentMessages, AgentStrategies, AgentStrategy, AgentUsage, Call, Plugin, PluginError};
use dify_plugin::protocol::backwards::{ModelConfig, ToolType};
use futures_util::future;
use serde_json::{Map, Value};

/// Number of tool calls of the strategy `fan`.
pub const CALLS: usize = 16;

pub fn agent() -> Plugin {
    Plugin::new().agent_strategies(AgentStrategies::new("solver").strategy(Solver).strategy(Fan))
}

/// Asks the model until it calls no more tools.
struct Solver;

impl AgentStrategy for Solver {
    const NAME: &'static str = "solve";
    type Parameters = Map<String, Value>;

    async fn run(
        &self,
        call: Call,
        parameters: Self::Parameters,
        out: &mut AgentMessages,
    ) -> Result<AgentUsage, PluginError> {
        let model: ModelConfig = serde_json::from_value(parameters["model"].clone()).unwrap();
        assert!(parameters["tools"].is_array() && parameters["rounds"] == 2, "{parameters:?}");
        call.dify.storage().set("runs", "1").await?;
        let mut prompt = parameters["query"].as_str().unwrap().to_owned();
        for _ in 0..2 {
            let answer = call.dify.llm(&model).user(prompt.as_str()).whole().await?;
            out.text(answer.content.text()).await?;
            let Some(tool) = answer.tool_calls.first() else { break };
            let tool = call.dify.tool(ToolType::Builtin, "acme/weather/weather", tool.function.name.as_str());
            prompt = tool.whole().await?.iter().filter_map(|message| message.as_text()).collect();
            out.text(format!(" [{prompt}] ")).await?;
        }
        let runs = call.dify.storage().get("runs").await?;
        assert_eq!(runs.as_deref(), Some(&b"1"[..]));
        Ok(AgentUsage::new(7).with_price("0.01", "USD"))
    }
}

/// Calls many tools at the same time, and sends their results in the order of the calls.
struct Fan;

impl AgentStrategy for Fan {
    const NAME: &'static str = "fan";
    type Parameters = Map<String, Value>;

    async fn run(
        &self,
        call: Call,
        _parameters: Self::Parameters,
        out: &mut AgentMessages,
    ) -> Result<AgentUsage, PluginError> {
        let calls = (0..CALLS).map(|number| {
            call.dify.tool(ToolType::Builtin, "acme/weather/weather", "forecast").parameter("number", number).whole()
        });
        for messages in future::try_join_all(calls).await? {
            for message in messages {
                out.forward(message).await?;
            }
        }
        Ok(AgentUsage::new(0))
    }
}
