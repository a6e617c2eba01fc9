//! The providers of this executable: each selects a dialect, URLs and credentials.

pub mod aigateway;
pub mod common;
pub mod compatible;
pub mod described;
pub mod gemini;
pub mod xinference;

use std::sync::Arc;

use dify_plugin::config::machine::MachineAccess;
use dify_plugin::model::Provider;

/// Returns all providers, the main one first. `machine` limits what their credential forms may use of this machine.
pub fn all(machine: MachineAccess) -> Vec<Arc<dyn Provider>> {
    let gemini = gemini::Gemini::new(machine);
    let agents = gemini.agents();
    vec![
        Arc::new(gemini),
        Arc::new(agents),
        Arc::new(aigateway::AiGateway::default()),
        Arc::new(xinference::Xinference::default()),
    ]
}
