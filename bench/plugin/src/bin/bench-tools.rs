//! The tools and the endpoint of `kinds/tools`, as the Python files beside their declarations have them.

use std::process::ExitCode;

use bytes::Bytes;
use dify_plugin::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Bench;

impl ToolProvider for Bench {
    const NAME: &'static str = "bench";

    fn tools(&self) -> Tools {
        Tools::new().tool(Greet).tool(File)
    }

    async fn validate(&self, _: Call) -> Result<(), PluginError> {
        Ok(())
    }
}

struct Greet;

#[derive(Deserialize, JsonSchema)]
struct Person {
    name: String,
}

impl Tool for Greet {
    const NAME: &'static str = "greet";
    type Parameters = Person;

    async fn invoke(&self, _: Call, person: Person, out: &mut Messages) -> Result<(), PluginError> {
        out.text(format!("Hello, {}", person.name)).await
    }
}

struct File;

#[derive(Deserialize, JsonSchema)]
struct Size {
    bytes: f64,
}

impl Tool for File {
    const NAME: &'static str = "file";
    type Parameters = Size;

    async fn invoke(&self, _: Call, size: Size, out: &mut Messages) -> Result<(), PluginError> {
        out.blob(vec![b'x'; size.bytes as usize], BlobMeta::new("application/octet-stream")).await
    }
}

struct Hello;

impl Endpoint for Hello {
    async fn handle(&self, _: Call, _: http::Request<Bytes>) -> Result<http::Response<Body>, PluginError> {
        Ok(http::Response::new("Hello".into()))
    }
}

fn main() -> ExitCode {
    Plugin::new().tool_provider(Bench).endpoint(Hello).run()
}
