//! The strategies `function_calling` and `ReAct` for Dify's agent nodes, with the parameters, names and outputs of Dify's own
//! plugin, so that an app changes over by selecting the strategy.
//!
//! What the model is asked, and what is read of its answer, is decided by synchronous code (`conversation`, `reply`, `react`); two
//! short loops (`function_calling`, `react::strategy`) call the model and the tools.

mod context;
mod conversation;
mod deadline;
mod files;
mod function_calling;
mod parameters;
mod react;
mod reply;
mod thoughts;

use dify_plugin::prelude::*;

/// Name of the provider in `provider/agent.yaml`.
const PROVIDER: &str = "agent";

/// The plugin: which code serves which declaration, and what it calls in Dify.
pub fn plugin() -> Plugin {
    let strategies =
        AgentStrategies::new(PROVIDER).strategy(function_calling::FunctionCalling).strategy(react::strategy::ReAct);
    Plugin::new().agent_strategies(strategies).needs(Permission::Llm).needs(Permission::Tool)
}
