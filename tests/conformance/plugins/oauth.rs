//! The authorization of every provider that has one.

use bytes::Bytes;
use dify_plugin::plugin::{Call, OAuth, OAuthCredentials, PluginError, RefreshRequest};
use http::Request;
use serde_json::{Map, json};

pub struct Authorization;

impl OAuth for Authorization {
    async fn authorization_url(&self, call: Call, redirect_uri: String) -> Result<String, PluginError> {
        let client = call.credentials.require("client_id")?;
        Ok(format!("https://example.com/authorize?client_id={client}&redirect_uri={redirect_uri}"))
    }

    async fn credentials(
        &self,
        _: Call,
        _redirect_uri: String,
        request: Request<Bytes>,
    ) -> Result<OAuthCredentials, PluginError> {
        match request.uri().query() {
            Some(query) => Ok(made(&format!("token of {query}"))),
            None => Err(PluginError::bad_request("the callback has no code")),
        }
    }

    async fn refresh(&self, _: Call, request: RefreshRequest) -> Result<OAuthCredentials, PluginError> {
        Ok(made(&format!("{}, renewed", request.credentials.require("access_token")?)))
    }
}

fn made(token: &str) -> OAuthCredentials {
    let credentials = Map::from_iter([("access_token".to_owned(), json!(token))]);
    OAuthCredentials::new(credentials).with_expiry(1_900_000_000)
}
