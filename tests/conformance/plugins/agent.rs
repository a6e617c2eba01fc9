//! An agent strategy.

use dify_plugin::plugin::{AgentMessages, AgentStrategies, AgentStrategy, AgentUsage, Call, Plugin, PluginError};
use serde_json::{Map, Value};

use super::{script, tools};

pub fn plugin() -> Plugin {
    let plugin = Plugin::new().agent_strategies(AgentStrategies::new("conformance_agent").strategy(Script));
    tools::PERMISSIONS.iter().fold(plugin, |plugin, permission| plugin.needs(*permission))
}

struct Script;

impl AgentStrategy for Script {
    const NAME: &'static str = "script";
    type Parameters = Map<String, Value>;

    async fn run(
        &self,
        call: Call,
        parameters: Map<String, Value>,
        out: &mut AgentMessages,
    ) -> Result<AgentUsage, PluginError> {
        for step in script::steps(&parameters) {
            match script::text(step, "do") {
                "log" => log(step, out).await?,
                "citations" => {
                    let resources = step["resources"].as_array().cloned().unwrap_or_default();
                    let resources = resources.into_iter().filter_map(|resource| resource.as_object().cloned());
                    out.citations(resources.collect(), script::text(step, "context")).await?;
                }
                _ => script::take(step, &call, out).await?,
            }
        }
        Ok(AgentUsage::new(7).with_price("0.01", "USD"))
    }
}

/// A round with one entry below it, which succeeds or fails.
async fn log(step: &Value, out: &mut AgentMessages) -> Result<(), PluginError> {
    let round = out.log(script::text(step, "label")).data("step", 1).start().await?;
    let call = round.child("CALL lookup").metadata("provider", "acme/time/time").start().await?;
    match step["error"].as_str() {
        Some(error) => call.fail(error).await?,
        None => call.finish(serde_json::json!({"found": 1})).await?,
    }
    round.finish(serde_json::json!({"step": 1})).await
}
