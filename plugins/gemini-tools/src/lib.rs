//! Tools of Gemini for Dify: which code serves which declaration.
//!
//! How users sign in, uploads, the wire format and the errors are those of the Gemini provider; both use
//! `dify-plugin-gemini`.

mod create_image;
mod edit_image;
mod files;
mod images;
mod maps;
mod models;
mod output;
mod read_pages;
mod search;
mod service;
mod sources;
mod speak;
mod understand_media;

use std::sync::Arc;

use dify_plugin::config::machine::MachineAccess;
use dify_plugin::config::operator::Operator;
use dify_plugin::prelude::*;

use crate::service::Service;

/// Returns the plugin. What its credential form may use of this machine is read from the operator's settings.
pub fn plugin() -> Plugin {
    with_access(Operator::read().access)
}

/// Returns the plugin with these permissions of the operator.
pub fn with_access(machine: MachineAccess) -> Plugin {
    Plugin::new().tool_provider(Provider(Arc::new(Service::new(machine))))
}

/// Serves `provider/gemini-tools.yaml`.
struct Provider(Arc<Service>);

impl ToolProvider for Provider {
    const NAME: &'static str = "gemini-tools";

    fn tools(&self) -> Tools {
        let Self(service) = self;
        Tools::new()
            .tool(create_image::CreateImage(service.clone()))
            .tool(edit_image::EditImage(service.clone()))
            .tool(search::Search(service.clone()))
            .tool(maps::Maps(service.clone()))
            .tool(read_pages::ReadPages(service.clone()))
            .tool(understand_media::UnderstandMedia(service.clone()))
            .tool(speak::Speak(service.clone()))
    }

    async fn validate(&self, call: Call) -> Result<(), PluginError> {
        self.0.account(&call)?.validate().await
    }
}
