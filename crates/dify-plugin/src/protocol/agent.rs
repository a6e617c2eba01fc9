//! What the daemon asks of an agent strategy. It sends the messages of tools, with a log of its rounds and, as the last
//! one, what it used.
//!
//! Source: `dify-plugin-daemon: pkg/entities/requests/agent.go`; the usage as in `langgenius/dify:
//! api/core/workflow/nodes/agent/message_transformer.py`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::LlmUsage;
use super::decimal;
use super::invocation::actions;
use super::lenient::{lenient, null_default};
use super::tool_message::Message;

/// `invoke_agent_strategy`.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct InvokeAgentStrategyRequest {
    /// Short name of the provider's declaration.
    #[serde(rename = "agent_strategy_provider")]
    pub provider: String,
    /// Name of the strategy's declaration.
    pub agent_strategy: String,
    /// Values by parameter name; one that the declaration does not name any longer is null.
    #[serde(default, rename = "agent_strategy_params", deserialize_with = "null_default")]
    pub parameters: Map<String, Value>,
    /// An account or an end user of an app; may be empty.
    #[serde(default, deserialize_with = "lenient")]
    pub user_id: String,
}

/// Every action of an agent strategy.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum AgentRequest {
    /// `invoke_agent_strategy`
    Invoke(InvokeAgentStrategyRequest),
}

actions! { AgentRequest: "invoke_agent_strategy" => Invoke }

impl AgentRequest {
    /// The fields, of which there is one kind only.
    pub fn invocation(&self) -> &InvokeAgentStrategyRequest {
        let Self::Invoke(request) = self;
        request
    }
}

/// What a run of a strategy used, over all calls of models.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AgentUsage {
    /// Tokens of all calls.
    pub total_tokens: u64,
    /// Their price, as a decimal number.
    pub total_price: String,
    /// Currency of the price.
    pub currency: String,
    /// Further members that the agent node reads: `prompt_tokens`, `completion_tokens`, `latency`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// No tokens, and no price.
impl Default for AgentUsage {
    fn default() -> Self {
        Self { total_tokens: 0, total_price: "0".to_owned(), currency: String::new(), extra: Map::new() }
    }
}

impl AgentUsage {
    /// Tokens without a price.
    pub fn new(total_tokens: u64) -> Self {
        Self { total_tokens, ..Self::default() }
    }

    /// Sets the price, a decimal number, and its currency.
    #[must_use]
    pub fn with_price(mut self, price: impl Into<String>, currency: impl Into<String>) -> Self {
        (self.total_price, self.currency) = (price.into(), currency.into());
        self
    }

    /// Adds what a call of a model used, if that is known. Prices are added exactly; unit prices are those of the last call.
    pub fn add<'a>(&mut self, usage: impl Into<Option<&'a LlmUsage>>) {
        let Some(usage) = usage.into() else { return };
        self.total_tokens = self.total_tokens.saturating_add(usage.total_tokens);
        if let Some(price) = decimal::sum(&self.total_price, &usage.total_price.0) {
            self.total_price = price;
        }
        if !usage.currency.is_empty() {
            self.currency.clone_from(&usage.currency);
        }
        let tokens = [("prompt_tokens", usage.prompt_tokens), ("completion_tokens", usage.completion_tokens)];
        for (name, more) in tokens {
            let known = self.extra.get(name).and_then(Value::as_u64).unwrap_or_default();
            self.extra.insert(name.to_owned(), known.saturating_add(more).into());
        }
        let prices = [("prompt_price", &usage.prompt_price.0), ("completion_price", &usage.completion_price.0)];
        for (name, more) in prices {
            let known = self.extra.get(name).and_then(Value::as_str).unwrap_or("0");
            if let Some(price) = decimal::sum(known, more) {
                self.extra.insert(name.to_owned(), price.into());
            }
        }
        let units = [
            ("prompt_unit_price", &usage.prompt_unit_price),
            ("prompt_price_unit", &usage.prompt_price_unit),
            ("completion_unit_price", &usage.completion_unit_price),
            ("completion_price_unit", &usage.completion_price_unit),
        ];
        self.extra.extend(units.map(|(name, unit)| (name.to_owned(), unit.0.clone().into())));
        let latency = self.extra.get("latency").and_then(Value::as_f64).unwrap_or_default();
        self.extra.insert("latency".to_owned(), (latency + usage.latency).into());
    }

    /// Adds a further member; see [`Self::extra`].
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// The message that Dify reads it from. The last `json` message of any shape wins, so that it must be the last one.
    pub fn into_message(self) -> Message {
        Message::json(json!({ "execution_metadata": self }))
    }
}
