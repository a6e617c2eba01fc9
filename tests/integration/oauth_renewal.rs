//! Credentials that Dify has renewed more than once at the same time, at a service that accepts a refresh token once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dify_plugin::prelude::*;
use dify_plugin::testing::Host;
use serde_json::{Map, json};

struct Provider;

impl ToolProvider for Provider {
    const NAME: &'static str = "mail";

    fn tools(&self) -> Tools {
        Tools::new()
    }
}

/// Counts the renewals; the first one fails.
struct Counting(Arc<AtomicUsize>);

impl OAuth for Counting {
    async fn authorization_url(&self, _call: Call, redirect_uri: String) -> Result<String, PluginError> {
        Ok(redirect_uri)
    }

    async fn credentials(
        &self,
        _call: Call,
        _redirect_uri: String,
        _request: http::Request<bytes::Bytes>,
    ) -> Result<OAuthCredentials, PluginError> {
        Err(PluginError::unsupported("not part of the test"))
    }

    async fn refresh(&self, _call: Call, request: RefreshRequest) -> Result<OAuthCredentials, PluginError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        if number == 0 {
            return Err(PluginError::upstream("try again"));
        }
        let token = format!("{}-{number}", request.credentials.require("token")?);
        Ok(OAuthCredentials::new(Map::from_iter([("token".to_owned(), json!(token))])))
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_credentials_are_renewed_once_a_minute() {
    let count = Arc::new(AtomicUsize::new(0));
    let host = Host::new(Plugin::new().tool_provider(Provider).oauth(Counting(count.clone())));
    let renew = async |token: &str, client: &str| {
        let renewal = host.refresh_credentials("https://d/cb").credential("token", token);
        renewal.system_credential("client_id", client).await.map(|renewed| renewed.credentials["token"].clone())
    };
    // A failure is not kept.
    assert!(renew("a", "c").await.is_err());
    let (one, two, other) = tokio::join!(renew("a", "c"), renew("a", "c"), renew("b", "c"));
    assert_eq!((one.clone().unwrap(), other.unwrap().as_str().unwrap().starts_with("b-")), (two.unwrap(), true));
    assert_eq!(count.load(Ordering::SeqCst), 3);
    assert_eq!(renew("a", "c").await.unwrap(), one.unwrap());
    assert_eq!(count.load(Ordering::SeqCst), 3);
    // The credentials of another client, and those of a minute ago.
    assert!(renew("a", "another").await.is_ok());
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(renew("a", "c").await.is_ok());
    assert_eq!(count.load(Ordering::SeqCst), 5);
}
