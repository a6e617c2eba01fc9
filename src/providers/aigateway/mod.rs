//! Alibaba Cloud AI Gateway and Higress: the OpenAI-compatible dialect behind three authentication methods.
//!
//! There are only customizable models, which are described by their forms. This module contains what the gateway adds
//! to the dialect: signatures and tokens (`hmac`, `jwt`), its errors (`errors`) and its content moderation (`moderation`,
//! `moderated_stream`).

mod connection;
mod errors;
#[cfg(test)]
mod for_tests;
mod hmac;
pub mod jwk;
pub mod jws;
mod jwt;
mod llm;
mod models;
mod moderated_stream;
mod moderation;
mod schema_from_form;
mod speech_from_form;
mod validate;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use url::Url;

use super::compatible::model::{Model, Source};
use super::compatible::provider::Compatible;
use dify_plugin::declare::ModelSchema;
use dify_plugin::error::InvokeError;
use dify_plugin::model::{CallContext, ResultFuture, Validated};
use dify_plugin::protocol::{Credentials, ModelRequest, ModelType, Target};

pub use moderated_stream::ModeratedStream;

/// The provider `ai-gateway`.
pub type AiGateway = Compatible<Gateway>;

/// The source of its models: their credential forms.
#[derive(Default)]
pub struct Gateway {
    tokens: jwt::TokenCache,
}

impl Source for Gateway {
    fn name(&self) -> &str {
        "ai-gateway"
    }

    fn model<'a>(
        &'a self,
        context: &'a CallContext,
        target: &'a Target,
        model_type: ModelType,
    ) -> BoxFuture<'a, Result<Arc<Model>, InvokeError>> {
        let make = || models::model(self, context, target, model_type);
        Box::pin(std::future::ready(context.kept.get_or_make(target, model_type, make)))
    }

    fn schema(self: Arc<Self>, _context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        Box::pin(std::future::ready(schema_from_form::schema(&request)))
    }

    fn call_schema(self: Arc<Self>, _context: CallContext, request: ModelRequest) -> ResultFuture<ModelSchema> {
        Box::pin(std::future::ready(schema_from_form::call_schema(&request)))
    }

    fn validate_model(self: Arc<Self>, context: CallContext, request: ModelRequest) -> ResultFuture<Validated> {
        Box::pin(validate::validate(self, context, request))
    }

    fn is_multimodal(&self) -> bool {
        false
    }

    fn endpoints(&self, credentials: &Credentials) -> Result<Vec<Url>, InvokeError> {
        Ok(vec![connection::base_url(credentials)?.as_url().clone()])
    }
}
